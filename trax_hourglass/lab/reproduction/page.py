"""Writes the page of the evidence, and that of the verdicts, from results."""

import os

from trax_hourglass.lab.reproduction import (
  figures,
  long_runs,
  prepared,
  sections,
)
from trax_hourglass.lab.reproduction.claims import TEXT
from trax_hourglass.lab.reproduction.studies import (
  EXPERIMENTS,
  LENGTHS,
  PHOTOGRAPHS,
  STUDIES,
)

_CLAIMS = """\
# The paper in small

Claims of [arXiv:2110.13711](https://arxiv.org/abs/2110.13711), tested on two
CPU cores: small models, trained on the embedded samples, most of them for
minutes and so early in training, tiny ones for as long as two cores allow."""
_METHOD = """\
Figures are *measured here* unless their column names the paper. This page is
written from `results/*.json` by

```bash
python -m trax_hourglass.reproduce  # all of it; or one study: --study=table5
```

It skips what is in `results` and resumes what was interrupted; another
`--output_dir` starts from nothing, and has its own page. After editing
`gin/reproduction/NAME.gin`, delete `results/NAME*.json`.

The models are much smaller than the paper's, so only the sign of a difference
can be compared. Every model with a verdict was trained with three seeds. A
difference of means counts if it exceeds the range of the three runs of a
baseline, which each row names (the paper's App. D.1 also reruns a baseline),
and the range of either side; otherwise it is *not resolved*. In about 5 of 100
comparisons this rule would still call one of two equal models better. With the
same seed all models see the same data in the same order, so the difference is
also given for each seed."""

_SPECIAL = {
  'when_it_pays': long_runs.when_it_pays,
  'tiny': long_runs.figure_1,
  'table5_long': long_runs.one_seed,
  'table6_long': long_runs.one_seed,
  'figure1': figures.figure_1,
  'section3_1': figures.section_3_1,
  'figures6and7': figures.figures_6_and_7,
  'appendix_a1': figures.appendix_a1,
  'figure8': figures.figure_8,
  'tables2and3': prepared.section,
}


def write(
  found: sections.Results, path: str, verdicts_path: str | None = None
) -> None:
  """Writes the evidence to `path`, and its pictures beside the results.

  Args:
    found: The results.
    path: Where the page goes.
    verdicts_path: Where a page of the verdicts alone goes, if there is one.
  """
  made = {
    name: _SPECIAL.get(name, sections.comparison)(name, study, found)
    for name, study in STUDIES.items()
  }
  folder = os.path.dirname(os.path.abspath(path))
  answer = long_runs.answer(
    made['when_it_pays'].verdict, made['gpu'].verdict, found
  )
  evidence = [f'{_CLAIMS}\n{_METHOD}', answer, _experiments(), _summary(made)]
  evidence += [_section(name, made[name], folder) for name in made]
  _write(path, evidence)
  if verdicts_path is not None:
    place = os.path.relpath(path, os.path.dirname(verdicts_path) or '.')
    where = f'The evidence for each verdict is in [{place}]({place}).'
    summary = _summary(made, place)
    _write(verdicts_path, [f'{_CLAIMS}\n{where}', answer, summary])


def _write(path, parts):
  os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
  with open(path, 'w', encoding='utf-8') as file:
    file.write('\n\n'.join(parts) + '\n')


def _experiments():
  return sections.table(
    ('', 'trained on', 'gin file'),
    [
      (name, training.text, f'`gin/reproduction/{name}.gin`')
      for name, training in EXPERIMENTS.items()
    ],
  ) + (
    '\n\nAll have d_model 64 (`tiny` 32, `gpu` 256), 2 heads (`gpu` 4) and no '
    'dropout (`gpu` 0.1). All models of an experiment share one learning rate, '
    'which is not tuned; that of `tiny` was tuned on its Transformer-XL `6@1`.'
  )


def _summary(made, place=''):
  return sections.table(
    ('', 'the paper says', 'ours in small'),
    [
      (
        f'[{study.source}]({place}#{sections.anchor(study.title)})',
        study.says,
        ('early in training: ' if _is_early(study) else '')
        + made[name].verdict,
      )
      for name, study in STUDIES.items()
    ],
  )


def _is_early(study):
  return not study.rows.keys().isdisjoint((TEXT, LENGTHS, PHOTOGRAPHS))


def _section(name, section, folder):
  study = STUDIES[name]
  parts = [
    f'## {study.title}',
    f'{study.source}. *The paper:* {study.says}',
    f'*Ours{", early in training" if _is_early(study) else ""}:* '
    f'{section.verdict}.',
  ]
  if section.picture:
    place = os.path.relpath(section.picture, folder)
    parts.append(f'![{study.title}]({place})')
  if section.body:
    parts.append(section.body)
  made_by = [f'python -m trax_hourglass.reproduce --study={name}']
  made_by += [f'gin/reproduction/{file}.gin' for file in study.files]
  parts.append(', '.join(f'`{what}`' for what in made_by))
  return '\n\n'.join(parts)
