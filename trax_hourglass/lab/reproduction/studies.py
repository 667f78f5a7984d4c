"""The claims of the paper, and the runs of ours that test them.

All numbers here are from the paper, arXiv:2110.13711.
"""

import functools

from trax_hourglass.lab.reproduction import long_studies
from trax_hourglass.lab.reproduction.claims import (
  TEXT,
  TRANSFORMER_XL,
  Claim,
  Row,
  Study,
  Training,
  claims,
  family,
)

PHOTOGRAPHS = 'photographs'
LENGTHS, CHUNKS = 'lengths', 'chunks'
COMPLETIONS = 'completions'

# The data and steps that each is trained with.
EXPERIMENTS = {
  TEXT: Training(
    'the sample of Wikipedia: 3,000 steps of 2 windows of 240 bytes'
  ),
  **long_studies.EXPERIMENTS,
  LENGTHS: Training(
    'the sample of Wikipedia: 600 steps of 4 windows of 512 bytes, or of 1 of '
    '2,048'
  ),
  PHOTOGRAPHS: Training(
    'patches of 16x16 of the photographs: 800 steps of 2 patches',
    'bits per dim',
  ),
  CHUNKS: Training(
    'chunks L#L of 26 letters: 1,000 steps of 16 windows of 48 bytes'
  ),
  COMPLETIONS: Training(
    'as `photographs`: 4,000 steps of 2 patches', 'bits per dim'
  ),
}


_BASE = '1@1 4@3 1@1'
# kernels/blockwise.py; a length of 2048 is padded to 2049, if the factor is 3.
_MEMORY_NOTE = (
  'On a CPU blocks of up to 2^20 logits are computed for all heads at once, '
  'larger ones head by head, in less memory. At length 2048 models without a '
  'factor of 3 have exactly that many, those with it a few more.'
)


_claims = functools.partial(claims, baseline=_BASE)

STUDIES = {
  **long_studies.STUDIES,
  'figure1': Study(
    title='Cost against quality, early in training',
    source='Figure 1, Section 4.2',
    says=(
      'At equal compute an Hourglass takes fewer bits than a Transformer-XL, '
      'and lines fitted to both have similar slopes.'
    ),
    rows={
      TEXT: (
        *family(
          TRANSFORMER_XL,
          Row('2@1', '6@1', 1.182),
          Row('3@1', '8@1', 1.151),
          Row('4@1', '10@1', 1.128),
          Row('6@1', '12@1', 1.115),
        ),
        *family(
          'Hourglass',
          Row('1@1 1@3 1@1', '2@1 1@3 2@1', 1.163),
          Row('1@1 2@3 1@1'),
          Row(_BASE, '2@1 4@3 2@1', 1.128),
          Row('1@1 8@3 1@1', '2@1 8@3 2@1', 1.111),
          Row('2@1 4@3 2@1'),
        ),
        *family(
          'Hourglass, linear pooling',
          Row('1@1 1@3 1@1, linear pooling', label='1@1 1@3 1@1'),
          Row('linear pooling', label=_BASE),
          Row('1@1 8@3 1@1, linear pooling', label='1@1 8@3 1@1'),
          Row('2@1 4@3 2@1, linear pooling', label='2@1 4@3 2@1'),
        ),
      )
    },
    costs={TEXT: 'Figure 1'},
  ),
  'section3_1': Study(
    title='Operations of a level',
    source='Section 3.1',
    says=(
      'Shortening by k divides the operations of full attention by k squared, '
      'those of linear-time attention and of feed-forward layers by k.'
    ),
    rows={},
    others=(LENGTHS,),
  ),
  'table5': Study(
    title='Shortened layers',
    source='Table 5, Section 4.2',
    says=long_studies.SHORTENED_LAYERS,
    rows={
      TEXT: (
        Row('1@1 1@3 1@1', '2@1 1@3 2@1', 1.164),
        Row('1@1 2@3 1@1'),
        Row(_BASE, '2@1 4@3 2@1', 1.134),
        Row('1@1 8@3 1@1', '2@1 8@3 2@1', 1.111),
        Row('1@1 1@3 1@1, 9000 steps'),
        Row('1@1 8@3 1@1, 9000 steps'),
      )
    },
    claims=(
      *_claims(
        TEXT,
        (_BASE, '1@1 1@3 1@1'),
        ('1@1 8@3 1@1', '1@1 1@3 1@1'),
        ('1@1 8@3 1@1', _BASE),
      ),
      *_claims(
        TEXT,
        ('1@1 8@3 1@1, 9000 steps', '1@1 1@3 1@1, 9000 steps'),
        baseline='1@1 1@3 1@1, 9000 steps',
      ),
    ),
  ),
  'table6': Study(
    title='Vanilla layers',
    source='Table 6, Section 4.3',
    says=long_studies.VANILLA_LAYERS,
    rows={
      TEXT: (
        Row('0@1 4@3 0@1', '(0, 0)', 1.460),
        Row('0@1 4@3 2@1', '(0, 2)', 1.176),
        Row('2@1 4@3 0@1', '(2, 0)', 1.189),
        Row(_BASE, '(1, 1)', 1.171),
        Row('2@1 4@3 2@1', '(2, 2)', 1.128),
      ),
      PHOTOGRAPHS: (
        Row('0@1 4@3 0@1', '(0, 0)', 3.429),
        Row('0@1 4@3 2@1', '(0, 2)', 3.108),
        Row('2@1 4@3 0@1', '(2, 0)', 3.035),
        Row(_BASE, '(1, 1)', 3.012),
        Row('2@1 4@3 2@1', '(2, 2)', 2.966),
      ),
    },
    claims=tuple(
      claim
      for experiment in (TEXT, PHOTOGRAPHS)
      for claim in _claims(
        experiment,
        (_BASE, '0@1 4@3 0@1'),
        (_BASE, '0@1 4@3 2@1'),
        (_BASE, '2@1 4@3 0@1'),
        ('2@1 4@3 2@1', _BASE),
      )
    ),
  ),
  'table7': Study(
    title='Upsampling',
    source='Table 7, Section 4.4',
    says=(
      'Attention upsampling is better than repeating and than a linear map; '
      "on text best with U(x, x') = x + linear(x'), on images with U = x."
    ),
    rows={
      TEXT: (
        Row('repeat', 'repeat', 1.148),
        Row('linear', 'linear', 1.163),
        Row('attention, U = x', 'attention, U = x', 1.145),
        Row(_BASE, 'attention, U = x + linear', 1.132),
      ),
      PHOTOGRAPHS: (
        Row('repeat', 'repeat', 3.062),
        Row('linear', 'linear', 3.020),
        Row('attention, U = x', 'attention, U = x', 2.967),
        Row(_BASE, 'attention, U = x + linear', 3.012),
      ),
    },
    claims=(
      *_claims(
        TEXT, (_BASE, 'repeat'), (_BASE, 'linear'), (_BASE, 'attention, U = x')
      ),
      *_claims(
        PHOTOGRAPHS,
        (_BASE, 'repeat'),
        (_BASE, 'linear'),
        ('attention, U = x', _BASE),
      ),
    ),
  ),
  'table8': Study(
    title='Shortening',
    source='Table 8, Section 4.5',
    says=(
      'On text attention with S = average is best and linear pooling worst; '
      'on images a linear S or linear pooling is best and the average worst.'
    ),
    rows={
      TEXT: (
        Row('average pooling', 'average pooling', 1.129),
        Row(_BASE, 'attention, S = average', 1.124),
        Row('attention, S = linear', 'attention, S = linear', 1.142),
        Row('linear pooling', 'linear pooling', 1.159),
      ),
      PHOTOGRAPHS: (
        Row('average pooling', 'average pooling', 3.116),
        Row(_BASE, 'attention, S = average', 3.012),
        Row('attention, S = linear', 'attention, S = linear', 2.998),
        Row('linear pooling', 'linear pooling', 2.998),
      ),
    },
    claims=(
      *_claims(
        TEXT,
        (_BASE, 'average pooling'),
        (_BASE, 'attention, S = linear'),
        (_BASE, 'linear pooling'),
      ),
      *_claims(
        PHOTOGRAPHS,
        (_BASE, 'average pooling'),
        ('attention, S = linear', _BASE),
        ('linear pooling', _BASE),
      ),
    ),
  ),
  'table4': Study(
    title='Shorten factor dropout',
    source='Table 4, Section 4.1',
    says=(
      'A model trained with a factor drawn from {2, 3} in each step is better '
      'at either factor than one trained with that factor alone.'
    ),
    rows={
      TEXT: (
        Row('k from {2,3}, at 2', '2@1 8@{2,3} 2@1, at 2', 1.104),
        Row('k = 2', '2@1 8@2 2@1', 1.116),
        Row('k from {2,3}, at 3', '2@1 8@{2,3} 2@1, at 3', 1.116),
        Row('k = 3', '2@1 8@3 2@1', 1.124),
      )
    },
    claims=_claims(
      TEXT,
      ('k from {2,3}, at 2', 'k = 2'),
      ('k from {2,3}, at 3', 'k = 3'),
      baseline='k = 2',
    ),
  ),
  'table1': Study(
    title='Shorten factors and stages',
    source='Table 1, Section 4.6',
    says=(
      'A factor of 3 takes fewer bits than 4 and costs more; so does 2, beside '
      '3, in Table 4 (1.116 and 1.124). Two stages take fewer bits than one of '
      'the same total factor and as many weights (1.115 and 1.128), in slower '
      'steps.'
    ),
    rows={
      TEXT: (
        Row('1@1 4@2 1@1', '2@1 8@2 2@1, Table 4', 1.116),
        Row(_BASE, '2@1 4@3 2@1', 1.128),
        Row('1@1 4@4 1@1', '2@1 4@4 2@1', 1.143),
        Row('1@1 1@2 2@4 1@2 1@1', '2@1 1@2 4@4 1@2 2@1', 1.115),
      ),
      LENGTHS: (
        Row('Hourglass 1@1 4@2 1@1, 2048', '2@1 8@2 2@1, Table 4', 1.116),
        Row('Hourglass 1@1 4@3 1@1, 2048', '2@1 4@3 2@1', 1.128),
        Row('Hourglass 1@1 4@4 1@1, 2048', '2@1 4@4 2@1', 1.143),
        Row(
          'Hourglass 1@1 1@2 2@4 1@2 1@1, 2048', '2@1 1@2 4@4 1@2 2@1', 1.115
        ),
      ),
    },
    costs={TEXT: 'Table 1', LENGTHS: 'Table 1'},
    claims=(
      *_claims(
        TEXT,
        ('1@1 4@2 1@1', _BASE),
        (_BASE, '1@1 4@4 1@1'),
        ('1@1 1@2 2@4 1@2 1@1', '1@1 4@4 1@1'),
      ),
      *_claims(
        LENGTHS,
        ('Hourglass 1@1 4@2 1@1, 2048', 'Hourglass 1@1 4@3 1@1, 2048'),
        ('Hourglass 1@1 4@3 1@1, 2048', 'Hourglass 1@1 4@4 1@1, 2048'),
        ('Hourglass 1@1 1@2 2@4 1@2 1@1, 2048', 'Hourglass 1@1 4@4 1@1, 2048'),
        baseline='Hourglass 1@1 4@3 1@1, 2048',
      ),
    ),
    note=(
      'The model of two stages has as many blocks as the one it is compared '
      'with, and two more resamplers. '
    )
    + _MEMORY_NOTE,
  ),
  'figures6and7': Study(
    title='Other lengths, and a Reformer inside',
    source='Figures 6 and 7, Section 3.2',
    says=(
      'With shortening, a larger model needs the memory and step time of its '
      'backbone, a Transformer-XL or a Reformer, and takes fewer bits.'
    ),
    rows={
      LENGTHS: tuple(
        Row(f'{name}, {length}', model=name, length=length)
        for length in (512, 2048)
        for name in (
          'Transformer-XL 4@1',
          'Hourglass 1@1 6@3 1@1',
          'Reformer 4@1',
          'Reformer Hourglass 1@1 6@3 1@1',
        )
      )
    },
    claims=tuple(
      Claim(
        LENGTHS,
        better=f'{hourglass} 1@1 6@3 1@1, {length}',
        worse=f'{backbone} 4@1, {length}',
        baseline=f'{backbone} 4@1, {length}',
      )
      for length in (512, 2048)
      for hourglass, backbone in (
        ('Hourglass', TRANSFORMER_XL),
        ('Reformer Hourglass', 'Reformer'),
      )
    ),
    costs={LENGTHS: None},
    note=_MEMORY_NOTE
    + (
      ' LSH attention sorts the whole sequence into its chunks, later tokens '
      'too: bits of a Reformer are not those of a strictly autoregressive '
      'model.'
    ),
  ),
  'appendix_a1': Study(
    title='Why vanilla layers',
    source='App. A.1',
    says=(
      'In chunks L#L with a random letter L, a model without vanilla layers '
      'predicts at most half of the letters (exactly 1/3 + 2/(3V) for an '
      'alphabet of V), with one vanilla layer two thirds, 2/3 + 1/(3V), for '
      'which attention to as many tokens as the shorten factor is enough.'
    ),
    rows={
      CHUNKS: (
        Row('0@1 2@3 0@1'),
        Row('1@1 2@3 0@1'),
        Row('0@1 2@3 1@1'),
        Row('0@1 2@3 1@1, local'),
      )
    },
  ),
  'figure8': Study(
    title='Completions',
    source='Figure 8',
    says='Given the upper half of an image, the model completes it plausibly.',
    rows={},
    others=(COMPLETIONS,),
  ),
  'tables2and3': Study(
    title='Not run here',
    source='Tables 2 and 3',
    says=(
      'An Hourglass takes 0.98 bits per byte of enwik8, 3.74 bits per dim of '
      'ImageNet32 and 3.44 of ImageNet64.'
    ),
    rows={},
  ),
}
