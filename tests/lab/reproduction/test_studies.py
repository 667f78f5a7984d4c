"""The studies and the gin files that they take their variants from."""

import copy

import gin
import pytest

from trax_hourglass import hierarchy
from trax_hourglass.configuration import (
  command_line,
  reading,
  registration,
  values,
)
from trax_hourglass.errors import UserError
from trax_hourglass.lab.reproduction import prepared
from trax_hourglass.lab.reproduction.experiments import Variants
from trax_hourglass.lab.reproduction.studies import EXPERIMENTS as TRAINED_ON
from trax_hourglass.lab.reproduction.studies import STUDIES

MODEL = 'trax_hourglass.HourglassLM'
EXPERIMENTS = ('text', 'tiny', 'gpu', 'photographs', 'lengths', 'chunks')


@pytest.fixture(autouse=True)
def clear():
  yield
  gin.clear_config()


def variants_of(name):
  gin.clear_config()
  gin.parse_config_file(f'reproduction/{name}.gin')
  return gin.get_configurable('trax_hourglass.reproduce')()


@pytest.mark.parametrize('name', EXPERIMENTS)
def test_every_variant_is_another_model_or_data(name):
  variants = variants_of(name)
  seen = []
  for variant, bindings in variants.variants.items():
    gin.clear_config()
    gin.parse_config_file(f'reproduction/{name}.gin')
    gin.parse_config(bindings)
    gin.finalize()
    model = {k: str(v) for k, v in gin.get_bindings(MODEL).items()}
    hierarchy.parse(model['hierarchy'])
    if '@' in variant:  # What a variant is called is what it is.
      assert model['hierarchy'] in variant
    others = [b for b in bindings if b.startswith(('LENGTH', 'STEPS'))]
    key = model, others
    assert key not in seen
    seen.append(key)


@pytest.mark.parametrize('name', EXPERIMENTS)
def test_studies_compare_what_there_is(name):
  variants = variants_of(name)
  there = {*variants.variants, *variants.evaluations}
  compared = set()
  for study in STUDIES.values():
    rows = {row.variant for row in study.rows.get(name, ())}
    claimed = {
      variant
      for claim in study.claims
      if claim.experiment == name
      for variant in (claim.better, claim.worse, claim.baseline)
    }
    assert claimed <= rows <= there
    compared |= rows
  assert compared == there  # None is trained for nothing.
  for _, names in variants.costs.values():
    assert set(names) <= there


@pytest.mark.parametrize('name', TRAINED_ON)
def test_what_is_said_of_experiments(name):
  command_line.start(['reproduce', f'--config_file=reproduction/{name}.gin'])
  reading.configure(**command_line.configuration())

  def bound(parameter):
    return copy.deepcopy(values.bound(f'trax_hourglass.{parameter}'))

  said = TRAINED_ON[name].text
  size, length = bound('photo_patches.size'), bound('text_inputs.length')
  length = length and f'{length:,}'
  inputs = 'text_inputs' if size is None else 'image_inputs'
  steps = copy.deepcopy(values.bound('train.steps'))
  assert f'{steps:,} steps of {bound(f"{inputs}.batch_size")} ' in said
  if size is None:
    assert f'windows of {length} bytes' in said
  else:
    assert f'of {size}x{size} ' in said or 'as `photographs`' in said
  model = [bound(f'HourglassLM.{x}') for x in ('d_model', 'n_heads', 'dropout')]
  others = {'tiny': [32, 2, 0.0], 'gpu': [256, 4, 0.1]}
  assert model == others.get(name, [64, 2, 0.0])


def test_every_experiment_of_the_paper_is_prepared_once():
  root = registration.GIN_DIRECTORY
  found = [
    file for row in prepared.EXPERIMENTS for file in root.glob(row.files)
  ]
  table_files = [*root.glob('table*/*.gin'), *root.glob('figure*/*.gin')]
  main = [root / 'enwik8.gin', root / 'imagenet32.gin', root / 'imagenet64.gin']
  there = [*main, *(file for file in table_files if file.name != 'base.gin')]
  assert sorted(found) == sorted(there)


def test_groups_are_trained_one_after_the_other():
  variants = Variants(
    {name: [] for name in 'abc'}, groups=[('bc', 2), ('a', 1)]
  )
  in_order = [(0, 0, 'b'), (0, 0, 'c'), (0, 1, 'b'), (0, 1, 'c'), (1, 0, 'a')]
  assert variants.runs('abc') == in_order
  assert variants.runs('ca') == [run for run in in_order if run[2] != 'b']


def test_variants_without_groups_have_the_same_seeds():
  variants = Variants(
    {'a': [], 'b': []}, evaluations={'again': ('b', [])}, seeds=2
  )
  assert variants.runs(['b', 'a', 'again']) == [
    (0, 0, 'b'),
    (0, 0, 'a'),
    (0, 1, 'b'),
    (0, 1, 'a'),
  ]


@pytest.mark.parametrize('groups', [[('a', 1)], [('ab', 1), ('b', 1)]])
def test_groups_are_made_of_all_variants(groups):
  with pytest.raises(UserError, match='groups: got a.*each variant once: a, b'):
    Variants({'a': [], 'b': []}, groups=groups)


def test_no_variants_are_refused():
  with pytest.raises(UserError, match='got none, expected names with lists'):
    Variants({})
