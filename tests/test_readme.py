"""What the README shows works."""

import contextlib
import importlib.util
import io
import pathlib
import re

import gin
import pytest

from trax_hourglass.configuration import command_line, reading, registration

README = (pathlib.Path(__file__).parent.parent / 'README.md').read_text()
BINDINGS = re.findall(r"--config='([^']+)'", README)
EXAMPLES = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
MODULES = sorted(set(re.findall(r'\| `(trax_hourglass[\w.]*)`', README)))


@pytest.mark.parametrize('code', EXAMPLES, ids=range(len(EXAMPLES)))
def test_python_examples_print_what_they_say(code):
  expected = re.findall(r'^print.*  # ([^:\n]*)', code, re.MULTILINE)
  assert expected
  out = io.StringIO()
  with contextlib.redirect_stdout(out):
    exec(code, {})
  printed = [line for line in out.getvalue().splitlines() if line]
  assert printed[-len(expected) :] == expected


@pytest.mark.parametrize('binding', BINDINGS)
def test_bindings_are_of_parameters_that_exist(binding):
  gin.clear_config()
  command_line.start(
    ['train', '--config_file=quickstart.gin', '--config=' + binding]
  )
  reading.configure()
  gin.clear_config()


@pytest.mark.parametrize('module', MODULES)
def test_modules_exist(module):
  assert importlib.util.find_spec(module)


def test_no_placeholder_is_left():
  assert not re.search(r'[A-Z]+_(LINE|ROWS|HERE)', README)


def test_finds_what_it_tests():
  assert len(BINDINGS) >= 8
  assert len(EXAMPLES) >= 4
  assert len(MODULES) >= 8


def test_gin_files_exist():
  names = set(re.findall(r'--config_file=(\S+\.gin)', README))
  assert names
  # Those in Trax's repository are in none of its packages.
  for name in (name for name in names if not name.startswith('trax/')):
    assert (registration.GIN_DIRECTORY / name).exists()


def test_files_that_it_links_exist():
  root = pathlib.Path(__file__).parent.parent
  for path in re.findall(r'(?:\]\(|src=")(?!http)([^)"#]+)[)"]', README):
    assert (root / path).exists(), path
