"""The README and the pages in docs/ show what works."""

import contextlib
import inspect
import io
import pathlib
import re

import gin
import numpy as np
import pytest

import trax_hourglass
from trax_hourglass.configuration import (
  gin_internals,
  reading,
  registration,
  selectors,
)

ROOT = pathlib.Path(__file__).parent.parent
PAGES = {
  str(path.relative_to(ROOT)): path.read_text()
  for path in [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
}


def found(pattern, flags=0):
  """Yields (page, match) for each match in any page, each match once."""
  seen = set()
  for page, text in PAGES.items():
    for match in re.findall(pattern, text, flags):
      if match not in seen:
        seen.add(match)
        yield page, match


GIN = list(found(r'```gin\n(.*?)```', re.DOTALL))
EXAMPLES = list(found(r'```python\n((?!# \w+\.py\n).*?)```', re.DOTALL))
MODULES = list(found(r'```python\n(# (\w+\.py)\n.*?)```', re.DOTALL))
FILES = list(found(r'`([\w/]+\.py)`'))
LINKS = [
  (page, link)
  for page, text in PAGES.items()
  for link in re.findall(r'(?:\]\(|src=")(?!http)([^)"\s]+)[)"]', text)
]


@pytest.fixture
def modules(tmp_path, monkeypatch):
  """A folder of the modules in the pages, which Python imports from there."""
  for _, (code, name) in MODULES:
    (tmp_path / name).write_text(code)
  monkeypatch.syspath_prepend(tmp_path)
  return tmp_path


@pytest.mark.parametrize(('page', 'code'), EXAMPLES)
def test_python_examples_print_what_they_say(page, code):
  expected = re.findall(r'^print.*  # ([^:\n]*)', code, re.MULTILINE)
  assert expected
  out = io.StringIO()
  with contextlib.redirect_stdout(out):
    exec(code, {})
  printed = [line for line in out.getvalue().splitlines() if line]
  assert printed[-len(expected) :] == expected


@pytest.mark.parametrize(('page', 'code'), GIN)
def test_gin_blocks_are_of_parameters_that_exist(page, code, modules):
  file = modules / 'block.gin'
  file.write_text(f"include 'quickstart.gin'\n{code}")
  reading.configure(config_file=str(file))
  gin.clear_config()


def test_batches_of_a_users_own_have_the_stated_form(modules):
  np.save(modules / 'tokens.npy', np.arange(100))
  [code] = (code for _, code in GIN if 'import my_data' in code)
  (modules / 'mine.gin').write_text(code)
  path = modules / 'tokens.npy'
  reading.configure(
    config_file=str(modules / 'mine.gin'),
    config=[f"my_data.tokens.path = '{path}'", 'my_data.tokens.length = 5'],
  )
  made = gin.get_configurable('my_data.tokens')()
  for stream, least, most in (
    (made.train_stream(1), 0, 89),
    (made.eval_stream(1), 90, 99),
  ):
    tokens, targets, weights = next(stream)
    assert tokens.shape == weights.shape == (2, 5)
    assert (tokens.dtype, weights.dtype) == (np.int32, np.float32)
    assert least <= tokens.min() and tokens.max() <= most
    assert targets is tokens
    assert (weights == 1).all()
  gin.clear_config()


def test_source_files_exist():
  sources = [
    str(path.relative_to(ROOT))
    for folder in ('trax_hourglass', 'tests', 'docs')
    for path in (ROOT / folder).rglob('*.py')
  ]
  for page, name in FILES:
    assert any(f'/{source}'.endswith(f'/{name}') for source in sources), (
      page,
      name,
    )


def test_headers_of_gin_files_name_pages_that_exist():
  named = set()
  for path in (ROOT / 'gin').rglob('*.gin'):
    text = path.read_text()
    assert 'README' not in text, path
    named |= set(re.findall(r'docs/[\w/]+\.md', text))
  assert named
  for name in named:
    assert (ROOT / name).exists(), name


def test_public_names_are_in_the_reference():
  text = PAGES['docs/api.md']
  for name in trax_hourglass.__all__:
    assert f'::: trax_hourglass.{name}\n' in text, name


def test_names_in_gin_files_are_listed_with_their_parameters():
  page = PAGES['docs/guides/gin_names.md']
  rows = {
    name: parameters
    for names, parameters in re.findall(r'^\| (`.*?) \|(.*?)\|', page, re.M)
    for name in re.findall(r'`(\w+)`', names)
  }
  registered = {
    selector.removeprefix(selectors.PREFIX): configurable.wrapped
    for selector, configurable in gin_internals.registry().items()
    if selectors.is_ours(selector) and selector not in registration.ON_DEMAND
  }
  layers = set(trax_hourglass.__all__) - rows.keys()
  assert rows.keys() == registered.keys() - layers
  for name, parameters in rows.items():
    expected = [
      f'`{one.name}`'
      if one.default is one.empty
      else f'`{one.name}={one.default!r}`'
      for one in inspect.signature(registered[name]).parameters.values()
      if one.name != 'learning_rate'  # Of Optax, which gin may not bind.
    ]
    assert parameters.strip() == ', '.join(expected), name


def test_no_placeholder_is_left():
  for page, text in PAGES.items():
    assert not re.search(r'[A-Z]+_(LINE|ROWS|HERE)', text), page


def test_finds_what_it_tests():
  assert len(GIN) >= 4
  assert len(EXAMPLES) >= 4
  assert len(FILES) >= 20
  assert len(LINKS) >= 20


def anchors(path):
  """Returns the anchors of a page's headings, as GitHub forms them."""
  headings = re.findall(r'^#+ (.*)$', path.read_text(), re.MULTILINE)
  return {
    re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
    for heading in headings
  }


def test_links_lead_somewhere():
  for page, link in LINKS:
    name, _, anchor = link.partition('#')
    target = (ROOT / page).parent / name if name else ROOT / page
    assert target.exists(), (page, link)
    if anchor:
      assert anchor in anchors(target), (page, link)


def test_readme_is_one_screen():
  assert len(PAGES['README.md'].splitlines()) <= 160
