"""The notebooks: what they name exists, and they run from top to bottom.

They are run at small sizes, with no network: the cell tagged `parameters` is
followed by one of ours, as papermill does it.
"""

import ast
import importlib
import json
import pathlib
import re

import gin
import pytest

from trax_hourglass.configuration import reading, registration

COLABS = pathlib.Path(__file__).parents[1] / 'colabs'
NAMES = sorted(path.stem for path in COLABS.glob('*.ipynb'))
ADDRESS = re.compile(r'github(?:\.com)?/([\w-]+/trax_hourglass)')

PARAMETERS = {
  'quickstart': 'STEPS, LENGTH, PIPELINE_STEPS = 4, 20, 10',
  'hourglass_enwik8': 'STEPS, N_BYTES, LENGTH = 2, 256, 20',
  'hourglass_downsampled_imagenet': (
    "STEPS, N_IMAGES, IMAGES, COMPLETIONS = 1, 2, '0,1', 1"
  ),
}


def book(name):
  return json.loads((COLABS / f'{name}.ipynb').read_text('utf-8'))


def code_of(name):
  """Returns the code of each cell by its id, without IPython's own commands."""
  return {
    cell['id']: re.sub(
      r'^( *)[%!].*', r'\1pass', ''.join(cell['source']), flags=re.MULTILINE
    )
    for cell in book(name)['cells']
    if cell['cell_type'] == 'code'
  }


def nodes(name):
  """Yields all there is in the syntax of a notebook's code."""
  for cell_id, code in code_of(name).items():
    yield from ast.walk(ast.parse(code, cell_id))


def text_of(name):
  return '\n'.join(''.join(cell['source']) for cell in book(name)['cells'])


def test_finds_what_it_tests():
  assert set(NAMES) == set(PARAMETERS)


@pytest.mark.parametrize('name', NAMES)
def test_outputs_are_cleared_and_no_widget_is_left(name):
  notebook = book(name)
  assert set(notebook['metadata']) == {'kernelspec', 'language_info'}
  for cell in notebook['cells']:
    if cell['cell_type'] == 'code':
      assert cell['outputs'] == []
      assert cell['execution_count'] is None
    assert set(cell['metadata']) <= {'tags'}


@pytest.mark.parametrize('name', NAMES)
def test_begins_with_title_badge_install_and_imports(name):
  title, install, imports, *_ = book(name)['cells']
  heading, _, badge, _, *rest = ''.join(title['source']).splitlines()
  assert heading.startswith('# ')
  assert badge.endswith(f'/blob/main/colabs/{name}.ipynb)')
  assert len(rest) == 3  # What, on what hardware, in how many minutes.
  assert re.search(r'\d minutes', rest[-1])
  assert ''.join(install['source']).count('SOURCE =') == 1
  assert imports['id'] == 'imports'
  found = [
    cell_id
    for cell_id, code in code_of(name).items()
    if re.search('^(import|from) ', code, re.MULTILINE)
  ]
  assert found == ['install', 'imports']


def test_address_is_the_same_everywhere():
  addresses = [
    address for name in NAMES for address in ADDRESS.findall(text_of(name))
  ]
  assert len(addresses) == 2 * len(NAMES)
  assert len(set(addresses)) == 1


@pytest.mark.parametrize('name', NAMES)
def test_no_code_that_belongs_in_the_package(name):
  kinds = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef
  assert not [node for node in nodes(name) if isinstance(node, kinds)]


@pytest.mark.parametrize('name', NAMES)
def test_names_what_exists(name):
  imported = {}
  for node in nodes(name):
    if isinstance(node, ast.ImportFrom) and node.module != 'IPython':
      for alias in node.names:
        imported[alias.asname or alias.name] = found(node.module, alias.name)
    elif isinstance(node, ast.Import):
      for alias in node.names:
        module = importlib.import_module(alias.name)
        imported[alias.asname or alias.name] = module
  assert imported
  rebound = {
    node.id
    for node in nodes(name)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
  }
  for node in nodes(name):
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
      owner = node.value.id
      if owner in imported and owner not in rebound:
        assert hasattr(imported[owner], node.attr), f'{owner}.{node.attr}'


def found(module, name):
  """Returns what `from module import name` would give."""
  owner = importlib.import_module(module)
  if not hasattr(owner, name):
    return importlib.import_module(f'{module}.{name}')
  return getattr(owner, name)


@pytest.mark.parametrize('name', NAMES)
def test_gin_files_exist(name):
  text = text_of(name)
  files = set(re.findall(r'--config_file=([\w/{}]+\.gin)', text))
  files |= set(re.findall(r'`gin/([\w/]+\.gin)`', text))
  assert files
  for file in files:
    for size in (32, 64):
      path = registration.GIN_DIRECTORY / file.replace('{SIZE}', str(size))
      assert path.exists()


@pytest.mark.parametrize('name', NAMES)
def test_bindings_are_of_parameters_that_exist(name):
  bindings = re.findall(
    r"""['"](?:--config=)?([\w.]+ = .+)['"],?\n""", text_of(name)
  )
  assert bindings
  for binding in bindings:
    # Of an f-string: what a parameter is bound to does not matter here.
    binding = re.sub(r'\{\w+\}$', '1', binding)
    gin.clear_config()
    reading.configure(config_file='enwik8.gin', config=[binding])
  gin.clear_config()


@pytest.fixture(scope='module', params=NAMES)
def executed(request, tmp_path_factory):
  """A notebook's name, and its cells by their ids after they ran."""
  import nbclient
  import nbformat

  name = request.param
  notebook = nbformat.read(COLABS / f'{name}.ipynb', as_version=4)
  nbformat.validate(notebook)
  position = 1 + next(
    i
    for i, cell in enumerate(notebook.cells)
    if 'parameters' in cell.metadata.get('tags', [])
  )
  ours = nbformat.v4.new_code_cell(PARAMETERS[name])
  notebook.cells.insert(position, ours)
  directory = tmp_path_factory.mktemp(name)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('HOME', str(directory))  # No data set is at hand.
    for scheme in ('http', 'https'):  # Where nobody listens.
      patch.setenv(f'{scheme}_proxy', 'http://127.0.0.1:9')
    patch.setenv('PYTHONPATH', str(COLABS.parent))
    nbclient.NotebookClient(
      notebook,
      timeout=600,
      kernel_name='python3',
      resources={'metadata': {'path': str(directory)}},
    ).execute()
  return name, {cell.id: cell for cell in notebook.cells}


def printed(cell):
  return ''.join(o['text'] for o in cell.outputs if 'text' in o)


def pictures(cells):
  return [
    output['data']['image/png']
    for cell in cells.values()
    for output in cell.get('outputs', ())
    if 'image/png' in output.get('data', ())
  ]


@pytest.mark.slow
def test_runs_from_top_to_bottom(executed):
  name, cells = executed
  trained = printed(cells['train'])
  [steps] = re.findall(r'^trained .* (\d+) steps', trained, re.MULTILINE)
  assert int(steps) in (1, 2, 4)
  [bits] = re.findall(r'^score +(\d\.\d+) \+- ', trained, re.MULTILINE)
  assert 2 < float(bits) < 12
  n_pictures = 2 if 'imagenet' in name else 1
  assert len(pictures(cells)) == n_pictures
  for picture in pictures(cells):
    assert len(picture) > 4000
  {
    'quickstart': check_quickstart,
    'hourglass_enwik8': check_enwik8,
    'hourglass_downsampled_imagenet': check_imagenet,
  }[name](cells)


def check_quickstart(cells):
  assert '(1, 18, 256)' in printed(cells['model'])
  sample = printed(cells['generate'])
  assert sample.startswith('The history of ')
  assert '20 bytes, ' in sample
  assert '10 steps of plain Trax' in printed(cells['pipeline'])
  assert '(2, 12, 32), (2, 12, 32)' in printed(cells['resampling'])


def check_enwik8(cells):
  said = printed(cells['data'])
  assert 'The embedded sample of Wikipedia takes its place.' in said
  assert '[4500000, 250000, 250000]' in said
  said = printed(cells['checkpoint'])
  assert 'The model in runs/enwik8_small takes its place.' in said
  rows = re.findall(
    r'^windows of (\d+): ([\d.]+) \+- \S+ bits per byte over 256 bytes',
    printed(cells['table']),
    re.MULTILINE,
  )
  assert [length for length, _ in rows] == ['4096', '6912']
  assert all(4 < float(bits) < 12 for _, bits in rows)
  assert '0.98' in printed(cells['table'])
  assert '20 bytes, ' in printed(cells['generate'])
  assert printed(cells['prompt']).startswith('The history of ')


def check_imagenet(cells):
  said = printed(cells['data'])
  assert 'The embedded photographs take their place.' in said
  said = printed(cells['checkpoint'])
  assert 'The model photos32, which ships with the package, takes its' in said
  said = printed(cells['evaluate'])
  [bits] = re.findall(r'^([\d.]+) \+- .* over 2 images of photos32', said, re.M)
  assert 2 < float(bits) < 4
  assert '3.741' in said
  completed = printed(cells['complete'])
  assert re.search(r'image 1: [\d.]+ bits per dim \[photos32', completed)
