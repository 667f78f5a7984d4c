"""Recognition of compressed files and archives by their first bytes."""

import re
import tarfile

LENGTH = 512  # How many bytes are examined: the length of a tar's header.

# Every compressed file or archive has one of these in its first bytes. A text
# that merely begins with the same letters has none.
_CONTROL = re.compile(rb'[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]')
# The digits of pi, and those of its square root.
_BLOCK, _NO_BLOCK = b'1AY&SY', b'\x17rE8P\x90'
_BEGINNINGS = {
  'gzip': (b'\x1f\x8b',),
  'bzip2': tuple(
    b'BZh%d' % level + block
    for level in range(1, 10)
    for block in (_BLOCK, _NO_BLOCK)
  ),
  'xz': (b'\xfd7zXZ\0',),
  'zstd': (
    b'\x28\xb5\x2f\xfd',
    *(b'%c\x2a\x4d\x18' % i for i in range(0x50, 0x60)),  # Skippable frames.
  ),
  'zip': (b'PK\3\4', b'PK\5\6', b'PK\7\x08'),
  '7-Zip': (b'7z\xbc\xaf\x27\x1c',),
  'RAR': (b'Rar!\x1a\x07',),
  'lz4': (b'\x04\x22\x4d\x18', b'\x02\x21\x4c\x18'),
  'lzip': (b'LZIP\1',),
  'lzop': (b'\x89LZO\0',),
  'Snappy': (b'\xff\x06\0\0sNaPpY',),
  'compress': (b'\x1f\x9d',),
  'Windows cabinet': (b'MSCF\0\0\0\0',),
  'xar': (b'xar!',),
  'ar': (b'!<arch>\n',),
  'cpio': (b'070701', b'070702', b'070707'),
  'RPM': (b'\xed\xab\xee\xdb',),
  'Parquet': (b'PAR1',),
  'Arrow': (b'ARROW1\0\0',),
}


def kind_of(head: bytes) -> str | None:
  """Returns the kind of a file, such as 'gzip', or `None` for any other file.

  Args:
    head: The file's first `LENGTH` bytes, or all if there are fewer.
  """
  if not _CONTROL.search(head):
    return None
  for kind, beginnings in _BEGINNINGS.items():
    if head.startswith(beginnings):
      return kind
  if _is_lzma(head):
    return 'lzma'
  return 'tar' if _is_tar(head) else None


def _is_lzma(head):
  """Returns whether this looks like a header of `xz --format=lzma` or others.

  The format has no fixed first bytes: there are a byte of properties, the sizes
  of the window and of the text, and a byte that is 0.
  """
  if len(head) < 14 or head[0] != 0x5D or head[13]:
    return False
  window = int.from_bytes(head[1:5], 'little')
  size = int.from_bytes(head[5:13], 'little')
  is_usual = window >= 4096 and window.bit_count() <= 2
  return is_usual and (size < 1 << 38 or size == (1 << 64) - 1)


def _is_tar(head):
  if head[257:262] == b'ustar':
    return True
  try:  # An older tar only has a checksum.
    tarfile.TarInfo.frombuf(head, 'utf-8', 'surrogateescape')
  except tarfile.TarError:
    return False
  return True
