"""The pages of results that are made up."""

import gin
import pytest

from trax_hourglass.configuration import command_line
from trax_hourglass.lab.reproduction import figures, page, prepared, sections
from trax_hourglass.lab.reproduction.claims import Row
from trax_hourglass.lab.reproduction.experiments import Experiment
from trax_hourglass.lab.reproduction.sections import Results
from trax_hourglass.lab.reproduction.studies import STUDIES

EXPERIMENTS = ('text', 'tiny', 'photographs', 'lengths', 'chunks')


def made_up_bits(variant, seed):
  """More layers, fewer bits; seeds differ by 0.01."""
  n_layers = sum(int(c) for c in variant.split(',')[0] if c.isdigit())
  return 4 - n_layers / 10 - len(variant) / 1000 + seed / 100


@pytest.fixture(scope='module')
def found(tmp_path_factory):
  directory = tmp_path_factory.mktemp('page')
  command_line.start(['reproduce'])
  variants = {
    name: Experiment(name, str(directory)).variants() for name in EXPERIMENTS
  }
  gin.clear_config()
  records = {
    name: [
      {
        'variant': variant,
        'seed': seed,
        'bits': made_up_bits(variant, seed),
        'weights': 1_000_000,
        'steps': 3000,
        'curve': [[250, 3.0], [3000, made_up_bits(variant, seed)]],
        'accuracy': 0.359 if variant.startswith('0@1 2@3 0@1') else 0.679,
      }
      for variant in (*of.variants, *of.evaluations)
      for seed in range(3)
    ]
    for name, of in variants.items()
  }
  costs = {
    name: [
      {
        'variant': variant,
        'setting': setting,
        'length': int(setting) if setting.isdigit() else 240,
        'operations': 1e9 * (1 + i),
        'memory': 2**20 * (1 + i),
        'seconds': [0.1 * (1 + i), 0.12 * (1 + i)],
      }
      for setting, (_, names) in of.costs.items()
      for i, variant in enumerate(names)
    ]
    for name, of in variants.items()
  }
  steps = {
    name: [
      {
        'variant': variant,
        'setting': '',
        'length': 240 if name == 'text' else 504,
        'batch_size': 2 if name == 'text' else 8,
        'operations': 1e9 * (1 + i),
      }
      for i, variant in enumerate(of.variants)
    ]
    for name, of in variants.items()
  }
  kinds = {
    'full attention': 1.9,
    'full attention alone': 2,
    'local attention': 1,
    'local attention alone': 1,
  }
  operations = [
    {'variant': kind, 'setting': k, 'operations': 1e9 / k**power}
    for kind, power in kinds.items()
    for k in (1, 2, 3, 4)
  ]
  completions = [
    {
      'steps': 100,
      'bits': 4.5,
      'source': 'patches',
      'temperature': 1.0,
      'bits_per_dim': [[4.0, 4.2], [4.4, 4.6]],
    }
  ]
  trainings = [
    {'variant': 'enwik8.gin', 'operations': 4.28e18},
    {'variant': 'table1/12x1.gin', 'operations': 1.3e18},
  ]
  return Results(
    str(directory),
    {**records, 'gpu': []},
    {**costs, 'gpu': []},
    {**steps, 'gpu': []},
    operations,
    completions,
    trainings,
    {'tiny': []},
    {'tiny': ()},
  )


@pytest.fixture(scope='module')
def text(found):
  path = f'{found.directory}/REPRODUCTION.md'
  page.write(found, path)
  with open(path, encoding='utf-8') as file:
    return file.read()


def test_each_study_has_a_section_and_a_row(text):
  for name, study in STUDIES.items():
    assert f'\n## {study.title}\n' in text
    assert f'--study={name}`' in text
    assert f'| [{study.source}](#' in text
  before, heading, _ = text.partition('\n## Not run here\n')
  assert heading
  lines = before.partition('\n## ')[0].splitlines()
  gpu, prepared = [line for line in lines if line.endswith('| not run |')]
  assert gpu.startswith('| [Table 1](#cost-against-quality-on-a-gpu) |')
  assert prepared.startswith('| [Tables 2 and 3](#not-run-here) |')


def test_the_answer_comes_first(text):
  before = text.partition('\n## ')[0]
  answer = before.partition('**Does an Hourglass pay?** ')[2].splitlines()[0]
  assert '(`6@1`), tiny and trained for long: at equal operations ' in answer
  assert ' Early in training, at 1.4 million bytes' in answer
  assert answer.endswith('On a GPU: not run.')
  assert before.count('| early in training: ') == 8


def test_verdicts_have_a_page_of_their_own(found, text, tmp_path):
  evidence, verdicts = tmp_path / 'docs' / 'all.md', tmp_path / 'VERDICTS.md'
  page.write(found, str(evidence), str(verdicts))
  summary = verdicts.read_text()
  assert '\n## ' not in summary
  for study in STUDIES.values():
    anchor = sections.anchor(study.title)
    for place, written in (('docs/all.md', summary), ('', text)):
      row = f'| [{study.source}]({place}#{anchor}) | {study.says} |'
      assert written.count(row) == 1
  answer = next(x for x in summary.splitlines() if x.startswith('**Does an'))
  assert answer in text


def test_verdicts(text):
  section = text.partition('## Shortened layers\n')[2].partition('\n## ')[0]
  assert '*Ours, early in training:* 4 of 4 hold.' in section
  assert (
    '| `1@1 8@3 1@1` | `1@1 4@3 1@1` | +0.400 | +0.400, +0.400, +0.400 '
    '| 0.020, `1@1 4@3 1@1` | 0.020 | holds |' in section
  )
  assert '| `1@1 1@3 1@1` | 1.00M | 3.' in section


def test_a_larger_model_is_better_only_at_equal_cost(text):
  """Made-up costs are 1, 2, 3 and 4 times the first one's."""
  section = text.partition('## Other lengths')[2].partition('\n## ')[0]
  [verdict] = [x for x in section.splitlines() if x.startswith('*Ours')]
  assert (
    'Hourglass 1@1 6@3 1@1, 2048: fewer bits, but at a higher cost '
    '(2.00 x memory, 2.00 x time of a step)' in verdict
  )
  assert 'holds' not in verdict


@pytest.mark.parametrize(
  'memory, word', [(1.05, 'holds'), (1.2, 'fewer bits, but at a higher cost')]
)
def test_equal_cost(memory, word):
  better, worse = (
    Row('A', model='A', length=512),
    Row('B', model='B', length=512),
  )
  costs = [
    {'model': model, 'length': length, 'memory': x, 'seconds': [1.0, 2.0]}
    for model, x in (('A', memory), ('B', 1.0))
    for length in (256, 512)
  ]
  assert (
    figures._at_equal_cost(better, worse, 'holds', costs)
    == f'{word} ({memory:.2f} x memory, 1.00 x time of a step)'
  )
  assert figures._at_equal_cost(better, worse, 'holds', costs[:2]) == 'holds'


def test_slopes_and_powers(text):
  section = text.partition('## Cost against quality, early')[2].partition(
    '\n## '
  )[0]
  assert 'change in bits for ten times the cost' in section
  assert '| seconds of a step | Transformer-XL | ' in section
  assert '*Ours, early in training:* Hourglass: ' in section
  assert '; Hourglass, linear pooling: ' in section
  section = text.partition('## Operations of a level')[2].partition('\n## ')[0]
  assert '*Ours:* holds.' in section
  assert '| full attention alone | 1,000 M | 250 M | 111 M | 62 M | 2.00 |' in (
    section
  )


def test_what_is_not_run_would_take(text):
  section = text.partition('\n## Not run here\n')[2]
  # From the paper: 200,000 steps, 0.47 a second.
  assert ' | 1.3e+18 | 118 | `python -m trax_hourglass.train ' in section
  assert ' | 4.3e+18 | about 390 | `python -m trax_hourglass.train ' in section
  assert '| 3.74 bits per dim | - | - | `python -m ' in section
  for row in prepared.EXPERIMENTS:
    assert f'| `{row.command}` |' in section
  assert '`for FILE in gin/table6/enwik8_*.gin; do NAME=' in section


def test_predicted_accuracy(text):
  section = text.partition('## Why vanilla layers')[2].partition('\n## ')[0]
  assert 'holds: 4 of 4 accuracies as predicted' in section


def test_every_picture_is_there(found, text):
  pictures = {
    line.partition('](')[2].rstrip(')')
    for line in text.splitlines()
    if line.startswith('![')
  }
  assert 'figure1.png' in pictures
  for name in pictures - {'figure8.png'}:  # That is made with the completions.
    with open(f'{found.directory}/{name}', 'rb') as file:
      assert file.read(4) == b'\x89PNG'
