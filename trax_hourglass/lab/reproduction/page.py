"""Writes REPRODUCTION.md, and its pictures, from results."""

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

_HEADER = """\
# The paper in small

What two CPU cores can show of
[arXiv:2110.13711](https://arxiv.org/abs/2110.13711): small models, trained on
the embedded samples, most for minutes and so early in training, tiny ones for
as long as two cores allow. Figures are *measured here* unless they stand in a
column of the paper. This page is written from `results/*.json` by

```bash
python -m trax_hourglass.reproduce  # all of it; or one study: --study=table5
```

What is in `results` is not done again, and what was stopped goes on; another
`--output_dir` begins anew, and has a page of its own. After an edit of
`gin/reproduction/NAME.gin` delete `results/NAME*.json`.

Only the sign of a difference can be compared, for the models are much smaller
than the paper's. Every model with a verdict was run with three seeds. A
difference of means counts if it is larger than the range of the three runs of a
baseline, which each row names (the paper's App. D.1 reruns a baseline, too),
and larger than that of either side; else it is *not resolved*. In about 5 of
100 comparisons, this rule would still call one of two equal models better. With
the same seed all models see the same data in the same order, so the difference
is given for each seed as well."""

_SPECIAL = {
  'when_it_pays': long_runs.when_it_pays,
  'tiny': long_runs.figure_1,
  'figure1': figures.figure_1,
  'section3_1': figures.section_3_1,
  'figures6and7': figures.figures_6_and_7,
  'appendix_a1': figures.appendix_a1,
  'figure8': figures.figure_8,
  'tables2and3': prepared.section,
}


def write(found: sections.Results, path: str) -> None:
  """Writes the page and its pictures.

  Args:
    found: All that is there.
    path: Of the page.
  """
  made = {
    name: _SPECIAL.get(name, sections.comparison)(name, study, found)
    for name, study in STUDIES.items()
  }
  folder = os.path.dirname(os.path.abspath(path))
  parts = [
    _HEADER,
    long_runs.answer(made['when_it_pays'].verdict, made['gpu'].verdict, found),
    _experiments(),
    _summary(made),
  ]
  parts += [_section(name, made[name], folder) for name in made]
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
    'dropout (`gpu` 0.1). All models of a row share one learning rate, which '
    'is not tuned, except on the Transformer-XL `6@1` of `tiny`.'
  )


def _summary(made):
  return sections.table(
    ('', 'the paper says', 'ours in small'),
    [
      (
        f'[{study.source}](#{sections.anchor(study.title)})',
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
