"""The studies of models that are trained for long, for `studies`.

All numbers here are from the paper, arXiv:2110.13711.
"""

from trax_hourglass.lab.reproduction.claims import (
  TEXT,
  TRANSFORMER_XL,
  Row,
  Study,
  Training,
  claims,
  family,
)

TINY, GPU = 'tiny', 'gpu'

# The data and steps that each is trained with.
EXPERIMENTS = {
  TINY: Training(
    'the sample of Wikipedia: 8,000 steps of 8 windows of 504 bytes'
  ),
  GPU: Training(
    'enwik8, or the sample: 2,500 steps of 32 windows of 1,024 bytes'
  ),
}

# The claims of Tables 5 and 6, which both short and long runs test.
SHORTENED_LAYERS = 'The more layers on the shortened sequence, the fewer bits.'
VANILLA_LAYERS = (
  'Without vanilla layers a model takes many more bits; one on each side is '
  'better than two on one side, and two on each side better still.'
)

_HOURGLASS = '2@1 8@3 2@1'

STUDIES = {
  'when_it_pays': Study(
    title='When does an Hourglass pay',
    source='Table 1, Section 4.2',
    says=(
      'After 3.3 billion bytes an Hourglass 2@1 8@3 2@1 takes fewer bits than '
      'a Transformer-XL 12@1, in half the hours (1.111 and 1.115).'
    ),
    rows={
      TINY: (
        Row('6@1'),
        Row('2@1 8@3 2@1'),
        Row('6@1, 24000 steps', steps=24000),
        Row('2@1 8@3 2@1, 24000 steps', steps=24000),
      )
    },
    claims=(
      *claims(TINY, ('2@1 8@3 2@1', '6@1'), baseline='6@1'),
      *claims(
        TINY,
        ('2@1 8@3 2@1, 24000 steps', '6@1, 24000 steps'),
        baseline='6@1, 24000 steps',
      ),
    ),
    costs={TINY: 'Figure 1'},
    counts=(TINY, TEXT),
  ),
  'tiny': Study(
    title='Cost against quality, trained for long',
    source='Figure 1, Section 4.2',
    says=(
      'At equal compute an Hourglass takes fewer bits than a Transformer-XL.'
    ),
    rows={
      TINY: (
        *family(
          TRANSFORMER_XL,
          Row('3@1', '8@1', 1.151),
          Row('4@1', '10@1', 1.128),
          Row('6@1', '12@1', 1.115),
          Row('9@1', '14@1', 1.102),
          Row('6@1, 24000 steps', steps=24000),
        ),
        *family(
          'Hourglass',
          Row('1@1 4@3 1@1', '2@1 4@3 2@1', 1.128),
          Row('2@1 8@3 2@1', '2@1 8@3 2@1', 1.111),
          Row('2@1 8@2 2@1', '5@1 8@2 5@1', 1.079),
          Row('2@1 8@3 2@1, 24000 steps', steps=24000),
        ),
      )
    },
    claims=claims(
      TINY,
      ('1@1 4@3 1@1', '6@1'),
      ('2@1 8@3 2@1', '6@1'),
      ('2@1 8@2 2@1', '6@1'),
      baseline='6@1',
    ),
    costs={TINY: 'Figure 1'},
    counts=(TINY,),
    note=(
      'Models, seeds, order of runs and the rule for a verdict were written '
      'into `gin/reproduction/tiny.gin` before the first run. The learning '
      'rate was chosen on the Transformer-XL `6@1` alone, with short runs, and '
      'is used for all models. The pair `6@1` and `2@1 8@3 2@1` has three '
      'seeds; the other models have one, and therefore no verdict. The bits of '
      'a Transformer-XL that costs as much as an Hourglass are interpolated '
      'between the next cheaper and the next more expensive one. Operations '
      'are counted; seconds are measured while nothing else runs.'
    ),
  ),
  'table5_long': Study(
    title='Shortened layers, trained for long',
    source='Table 5, Section 4.2',
    says=SHORTENED_LAYERS,
    rows={
      TINY: (
        Row('2@1 1@3 2@1', '2@1 1@3 2@1', 1.164),
        Row('2@1 4@3 2@1', '2@1 4@3 2@1', 1.134),
        Row(_HOURGLASS, '2@1 8@3 2@1', 1.111),
      )
    },
    claims=claims(
      TINY,
      ('2@1 4@3 2@1', '2@1 1@3 2@1'),
      (_HOURGLASS, '2@1 1@3 2@1'),
      (_HOURGLASS, '2@1 4@3 2@1'),
      baseline=_HOURGLASS,
    ),
  ),
  'table6_long': Study(
    title='Vanilla layers, trained for long',
    source='Table 6, Section 4.3',
    says=VANILLA_LAYERS,
    rows={
      TINY: (
        Row('0@1 8@3 0@1', '(0, 0)', 1.460),
        Row('0@1 8@3 2@1', '(0, 2)', 1.176),
        Row('2@1 8@3 0@1', '(2, 0)', 1.189),
        Row('1@1 8@3 1@1', '(1, 1)', 1.171),
        Row(_HOURGLASS, '(2, 2)', 1.128),
      )
    },
    claims=claims(
      TINY,
      ('1@1 8@3 1@1', '0@1 8@3 0@1'),
      ('1@1 8@3 1@1', '0@1 8@3 2@1'),
      ('1@1 8@3 1@1', '2@1 8@3 0@1'),
      (_HOURGLASS, '1@1 8@3 1@1'),
      baseline=_HOURGLASS,
    ),
  ),
  'gpu': Study(
    title='Cost against quality, on a GPU',
    source='Table 1',
    says=(
      'In fewer hours than a Transformer-XL 12@1 an Hourglass reaches as few '
      'bits, or fewer (1.111 and 1.115).'
    ),
    rows={
      GPU: (
        Row('12@1', '12@1', 1.115),
        Row('2@1 8@3 2@1', '2@1 8@3 2@1', 1.111),
        Row('3@1 8@3 3@1', '3@1 8@4 3@1', 1.109),
      )
    },
    claims=claims(
      GPU,
      ('2@1 8@3 2@1', '12@1'),
      ('3@1 8@3 3@1', '12@1'),
      ('3@1 8@3 3@1', '2@1 8@3 2@1'),
      baseline='12@1',
    ),
    costs={GPU: 'Table 1'},
    counts=(GPU,),
    note=(
      '`make gpu` runs it for nine minutes at a time: it installs what it '
      'needs, saves, and resumes when called again. The design is described in '
      '`gin/reproduction/gpu.gin`.'
    ),
  ),
}
