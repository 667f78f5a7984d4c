"""Files at addresses: copied once, copied again when they change."""

import os
import sys

import pytest

from trax_hourglass import UserError, addresses


def read(path):
  with open(path, 'rb') as file:
    return file.read()


@pytest.mark.parametrize(
  ('path', 'expected'),
  [
    ('gs://bucket/model.pkl.gz', True),
    ('file:///tmp/x', True),
    ('memory://x', True),
    ('runs/quickstart', False),
    ('/gs://x', False),
    ('~/x', False),
    ('3://x', False),
    ('C:/x', False),
  ],
)
def test_an_address_has_a_scheme(path, expected):
  assert addresses.is_address(path) == expected


def test_a_path_on_disk_stays(monkeypatch):
  monkeypatch.setenv('HOME', '/home/somebody')
  assert addresses.local('~/a') == '/home/somebody/a'
  assert addresses.local('a/../b') == 'a/../b'


def test_a_file_is_copied_once(bucket):
  bucket.pipe('/bucket/a/text', b'one')
  path = addresses.local('memory://bucket/a/text')
  assert path.startswith(addresses.CACHE)
  assert path.endswith('/memory/bucket/a/text')
  assert read(path) == b'one'
  before = os.stat(path)
  assert addresses.local('memory://bucket/a/text') == path
  assert os.stat(path) == before


def test_a_file_that_changed_is_copied_again(bucket):
  bucket.pipe('/text', b'one')
  first = addresses.local('memory://text')
  bucket.pipe('/text', b'two')  # As many bytes.
  second = addresses.local('memory://text')
  assert (read(first), read(second)) == (b'one', b'two')
  assert not [x for x in os.listdir(addresses.CACHE) if x.endswith('.part')]


def test_files_of_one_name_are_kept_apart(bucket):
  for folder in ('a', 'b'):
    bucket.pipe(f'/{folder}/text', folder.encode())
  paths = [addresses.local(f'memory://{folder}/text') for folder in 'ab']
  assert list(map(read, paths)) == [b'a', b'b']


def test_a_copy_that_was_interrupted_is_made_again(bucket, monkeypatch):
  bucket.pipe('/text', b'whole')
  system = type(bucket)
  get_file = system.get_file

  def interrupted(self, source, target, **options):
    get_file(self, source, target, **options)
    with open(target, 'wb') as file:
      file.write(b'part')
    raise KeyboardInterrupt

  with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
    patch.setattr(system, 'get_file', interrupted)
    addresses.local('memory://text')
  # The disk may be full.
  assert not [x for x in os.listdir(addresses.CACHE) if x.endswith('.part')]
  assert read(addresses.local('memory://text')) == b'whole'


def test_file_addresses_are_read(bucket, tmp_path):
  (tmp_path / 'text').write_bytes(b'on disk')
  assert read(addresses.local(f'file://{tmp_path}/text')) == b'on disk'


def test_a_copy_stays_in_its_folder(bucket):
  bucket.pipe('/a/../../../text', b'x')
  path = addresses.local('memory://a/../../../text')
  assert os.path.realpath(path).startswith(f'{addresses.CACHE}{os.sep}')
  assert read(path) == b'x'


def test_lists_and_matches(bucket):
  for name in ('a.txt', 'b/c.txt', 'b/d.bin'):
    bucket.pipe(f'/corpus/{name}', b'x')
  names = ['a.txt', 'b/c.txt', 'b/d.bin']
  assert sorted(addresses.files('memory://corpus', 2)) == names
  assert addresses.files('memory://corpus', 1) == ['a.txt']
  assert addresses.files('memory://corpus/a.txt', 1) == ['']
  assert addresses.files('memory://nothing', 1) == []
  found = addresses.matching('memory://corpus/**/*.txt')
  assert [read(addresses.local(one)) for one in found] == [b'x', b'x']


@pytest.mark.parametrize(
  ('address', 'parts'),
  [
    ('gs://bucket/a/b', ('gs://bucket/a', 'b')),
    ('gs://bucket/a/', ('gs://bucket', 'a')),
    ('memory://x', ('memory://', 'x')),
    ('file:///x', ('file:///', 'x')),
  ],
)
def test_splits_and_joins(address, parts):
  assert addresses.split(address) == parts
  assert addresses.join(*parts) == address.rstrip('/')
  assert addresses.join('gs://bucket/a', '../b') == 'gs://bucket/b'


@pytest.mark.parametrize(
  ('address', 'message'),
  [
    ('memory://a/none', 'memory://a/none: there is no such file; check the'),
    ('gs://bucket/text', r'install gcsfs to access Google Storage\); '),
    ('s3://bucket/text', 's3://bucket.*Install s3fs.*or copy the file to this'),
    ('moon://x', r'moon:// ?: cannot be .*\(Protocol not known: moon\); check'),
    ('memory://folder', 'memory://folder: got a folder, expected a file'),
  ],
)
def test_a_mistake_is_one_line(address, message, bucket, monkeypatch):
  for package in ('gcsfs', 's3fs'):
    monkeypatch.setitem(sys.modules, package, None)
  bucket.pipe('/folder/x', b'x')
  with pytest.raises(UserError, match=message) as error:
    addresses.local(address)
  assert '\n' not in str(error.value)


def test_an_error_of_a_file_system_is_one_line(bucket, monkeypatch):
  bucket.pipe('/text', b'x')

  def refuse(*args, **options):
    raise RuntimeError('Anonymous caller\nhas no access')

  system = type(bucket)
  monkeypatch.setattr(system, 'get_file', refuse)
  with pytest.raises(UserError) as error:
    addresses.local('memory://text')
  assert '(Anonymous caller has no access); check' in str(error.value)


def test_outputs_must_be_on_disk():
  addresses.check_on_disk('output_dir', None)
  addresses.check_on_disk('output_dir', 'runs/x')
  with pytest.raises(UserError, match='^output_dir: got gs://a.*gcloud stor'):
    addresses.check_on_disk('output_dir', 'gs://a')
