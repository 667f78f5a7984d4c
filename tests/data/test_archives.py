"""Tests of compressed files and archives, recognized by their first bytes."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import tracemalloc
import zipfile

from backports import zstd
import pytest

from trax_hourglass.data import archives
from trax_hourglass.errors import UserError

CONTENT = b'<page>\n  <title>Hourglass</title>\n' * 40


def _zip(content, *names, method=zipfile.ZIP_DEFLATED):
  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w', method) as archive:
    archive.writestr('folder/', '')
    for name in names or ('folder/text',):
      archive.writestr(name, content)
  return file.getvalue()


def _tar(content, *names, form=tarfile.PAX_FORMAT):
  file = io.BytesIO()
  with tarfile.open(fileobj=file, mode='w', format=form) as archive:
    folder = tarfile.TarInfo('folder')
    folder.type = tarfile.DIRTYPE
    archive.addfile(folder)
    for name in names or ('folder/text',):
      member = tarfile.TarInfo(name)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
  return file.getvalue()


def _old_tar(content):
  """Returns a tar from before 1988, with a checksum but no magic bytes."""
  header = bytearray(_tar(content, 't' * 40, form=tarfile.USTAR_FORMAT)[512:])
  header[257:265] = bytes(8)
  header[148:156] = b' ' * 8
  header[148:156] = b'%06o\0 ' % sum(header[:512])
  return bytes(header)


PACKED = {
  'gzip': gzip.compress,
  'bzip2': bz2.compress,
  'xz': lzma.compress,
  'lzma': lambda content: lzma.compress(content, lzma.FORMAT_ALONE),
  'zstd': zstd.compress,
  'zip': _zip,
  'zip by bzip2': lambda content: _zip(content, method=zipfile.ZIP_BZIP2),
  'zip of macOS': lambda content: _zip(content, 'a', '__MACOSX/._a'),
  'tar': _tar,
  'tar of GNU': lambda content: _tar(content, form=tarfile.GNU_FORMAT),
  'tar of macOS': lambda content: _tar(content, './._a', './a'),
  'old tar': _old_tar,
  'tar.gz': lambda content: gzip.compress(_tar(content)),
  'tar.bz2': lambda content: bz2.compress(_tar(content)),
  'tar.zst': lambda content: zstd.compress(_tar(content)),
  'gz in gz': lambda content: gzip.compress(gzip.compress(content)),
  'gz in tar': lambda content: _tar(gzip.compress(content)),
  'zip in zip': lambda content: _zip(_zip(content)),
  'zip in tar.xz': lambda content: lzma.compress(_tar(_zip(content))),
  'two parts of gzip': lambda content: b''.join(
    gzip.compress(part) for part in (content[:99], content[99:])
  ),
  'two parts of zstd': lambda content: b''.join(
    zstd.compress(part) for part in (content[:99], content[99:])
  ),
  'zstd behind what is skipped': lambda content: (
    b'\x50\x2a\x4d\x18\4\0\0\0skip' + zstd.compress(content)
  ),
}


@pytest.mark.parametrize('pack', PACKED.values(), ids=PACKED)
@pytest.mark.parametrize('content', [CONTENT, b'A', b''], ids=len)
def test_first_bytes_tell_the_format(tmp_path, pack, content):
  path = tmp_path / 'text'
  path.write_bytes(pack(content))
  assert archives.read_bytes(path) == content
  assert archives.unpack(io.BytesIO(pack(content)), 'stdin') == content


def test_zstd_with_a_long_window(tmp_path):
  """As `zstd --long=31` makes them; the default limit is 128 MiB."""
  level = {zstd.CompressionParameter.window_log: 28}
  compressor = zstd.ZstdCompressor(options=level)
  # Of unknown size: otherwise the window is no longer than the text.
  content = compressor.compress(CONTENT) + compressor.flush()
  (tmp_path / 'a').write_bytes(content)
  assert archives.read_bytes(tmp_path / 'a') == CONTENT


@pytest.mark.parametrize(
  'content',
  [
    b'BZh9 is how a bzip2 file begins',
    b'BZh91AY&SY is how a bzip2 file begins',
    b'PK',
    b'PK are the initials of Phil Katz',
    b'7z, Rar! and LZIP',
    b'Rar!',
    b'!<arch>\n is how an ar file begins',
    b'070701',
    b']\0\0\0\1',
    b'] as lzma files begin'.ljust(400, b'.'),
    b'(\xb5/\xfd in Latin-1',
    b'.' * 257 + b'ustar' + b'.' * 300,
    'a\tb\r\n\f\x1b[0m\u00e9'.encode('utf-16'),
    bytes(2000),
    bytes(range(256)) * 4,
    random.Random(0).randbytes(2000),
  ],
)
def test_other_bytes_are_unchanged(tmp_path, content):
  (tmp_path / 'text').write_bytes(content)
  assert archives.read_bytes(tmp_path / 'text') == content


@pytest.mark.parametrize(
  ('content', 'kind'),
  [
    (b'7z\xbc\xaf\x27\x1c\0\4', '7-Zip'),
    (b'Rar!\x1a\x07\1\0', 'RAR'),
    (b'\x04\x22\x4d\x18\x64\x40', 'lz4'),
    (b'LZIP\1\x14', 'lzip'),
    (b'\x1f\x9d\x90', 'compress'),
    (b'PAR1\x15\4', 'Parquet'),
    (b'!<arch>\ndebian-binary\n\0', 'ar'),
    (_zip(b'7z\xbc\xaf\x27\x1c\0\4'), '7-Zip'),
  ],
)
def test_unsupported_formats_are_refused_by_name(tmp_path, content, kind):
  path = tmp_path / 'text'
  path.write_bytes(content)
  with pytest.raises(UserError) as error:
    archives.read_bytes(path)
  message = str(error.value)
  assert message.startswith(f'{path}: got a {kind} file, expected a text')
  assert message.endswith('unpack it and give the text itself')
  assert '\n' not in message


def _nested(content):
  for _ in range(9):
    content = gzip.compress(content)
  return content


def _link():
  file = io.BytesIO()
  with tarfile.open(fileobj=file, mode='w') as archive:
    link = tarfile.TarInfo('a')
    link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
    archive.addfile(link)
  return file.getvalue()


@pytest.mark.parametrize(
  ('name', 'content', 'message'),
  [
    ('a', _zip(b'x', 'b', 'c'), 'got 2 files in the zip, expected one'),
    ('a', _tar(b'x', 'b', 'c'), "got 'b' and 'c' in the tar, expected one"),
    ('a', gzip.compress(_tar(b'x', 'b', 'c')), "got 'b' and 'c' in the tar"),
    ('a', bytes(10240).join([_tar(b'')[:512], b'']), 'got no file in the tar'),
    ('a', _link(), "got a link or device 'a' in the tar"),
    ('a', _nested(b'x'), 'got more than 8 nested archives'),
    ('a.bz2', CONTENT, 'it does not begin as .bz2 files do'),
    ('a.ZST', b'', 'it does not begin as .zst files do'),
    ('a.tar', bytes(10240), 'it does not begin as .tar files do'),
    ('a.br', b'\x1b\x10\0', 'got a Brotli file, expected a text'),
  ],
)
def test_errors_are_one_line(tmp_path, name, content, message):
  path = tmp_path / name
  path.write_bytes(content)
  with pytest.raises(UserError) as error:
    archives.read_bytes(path)
  assert str(error.value).startswith(f'{path}: ')
  assert message in str(error.value)
  assert '\n' not in str(error.value)


SUFFIXES = {
  'gzip': '.gz',
  'bzip2': '.bz2',
  'xz': '.xz',
  'lzma': '.lzma',
  'zstd': '.zst',
  'zip': '.zip',
  'tar': '.tar',
  'tar.gz': '.gz',
  'zip in zip': '.zip',
}


@pytest.mark.parametrize('kind', SUFFIXES)
def test_truncated_and_damaged_files_are_one_line(kind):
  """Damage anywhere is an error if the format has a checksum."""
  whole, source = PACKED[kind](CONTENT), 'a' + SUFFIXES[kind]
  rng = random.Random(kind)
  n_errors = 0
  for i in range(200):
    damaged = bytearray(whole)
    if i % 2:
      del damaged[rng.randrange(len(whole)) :]
    else:
      damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    try:
      found = archives.unpack(io.BytesIO(damaged), source)
    except UserError as error:
      assert str(error).startswith(f'{source}: ')
      assert 'cannot be read' not in str(error)  # It is broken.
      assert '\n' not in str(error)
      n_errors += 1
    else:
      assert len(found) == len(CONTENT)
      assert found == CONTENT or kind in ('tar', 'zstd', 'lzma')
  assert n_errors > (20 if kind in ('tar', 'zip', 'zip in zip') else 90)


@pytest.mark.parametrize('pack', [bytes, gzip.compress, _tar, _zip])
def test_memory_holds_only_the_text(tmp_path, pack):
  n_bytes = 20_000_000
  path = tmp_path / 'text'
  path.write_bytes(pack(bytes(n_bytes - 1) + b'x'))
  tracemalloc.start()
  try:
    content = archives.read_bytes(path)
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert len(content) == n_bytes
  assert peak < 1.5 * n_bytes
