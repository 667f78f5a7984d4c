"""Expected content of the gin files, as literal tables.

The numbers are those of arXiv:2110.13711; where it states none, they are what
the header of the file chooses. A key is a file, a row of a table for both data
sets, a folder or the data set of an ablation; the most specific one counts.
"""

from typing import NamedTuple

# Files that need another one on top of them.
BASES = {
  'authors/base.gin',
  'cifar10_ablation.gin',
  'enwik8_ablation.gin',
  'figure7/base.gin',
  'images.gin',
  'table4/base.gin',
  'text.gin',
  'training.gin',
}


class Run(NamedTuple):
  """How a file trains and what it scores.

  Attributes:
    data: The data set.
    batch_size: Sequences in a batch, over all devices.
    dropout: The model's.
    split: What is scored.
    lengths: Of text: length and stride of training windows, length and step of
      scored ones; `None` for a default.
    rates: The learning rate at some steps; the last one ends the run.
  """

  data: str
  batch_size: int
  dropout: float
  split: str
  lengths: tuple[int | None, ...]
  rates: dict[int, float]


# fmt: off
RUNS = {
  'enwik8.gin': Run(
    'enwik8', 8, 0.15, 'test', (2048, 512, 4096, 128),
    {10_000: 2e-4, 20_000: 4e-4, 185_000: 2e-4, 350_000: 0},
  ),
  'imagenet32.gin': Run(
    'imagenet32', 64, 0.01, 'validation', (),
    {4000: 2.471e-4, 8000: 4.942e-4, 400_000: 6.989e-5, 435_000: 3.494e-5,
     470_000: 0},
  ),
  'imagenet64.gin': Run(
    'imagenet64', 64, 0.0, 'validation', (),
    {4000: 1.747e-4, 8000: 3.494e-4, 300_000: 5.705e-5},
  ),
  'enwik8': Run(
    'enwik8', 8, 0.15, 'validation', (2048, 512, 2048, None),
    {2000: 2e-4, 4000: 4e-4, 104_000: 2e-4, 200_000: 3.947e-7},
  ),
  'cifar10': Run(
    'cifar10', 8, 0.0, 'test', (),
    {2500: 5e-4, 5000: 1e-3, 55_000: 5e-4, 100_000: 6.156e-6},
  ),
  # A batch on each device in the authors' files is one over all devices here.
  'authors/hourglass_enwik8.gin': Run(
    'enwik8', 8, 0.2, 'test', (2049, 512, 6912, 128),
    {2000: 2.05e-4, 4000: 4.1e-4, 179_000: 2.05e-4, 263_000: 6.467e-5},
  ),
  'authors/hourglass_imagenet32.gin': Run(
    'downsampled_imagenet', 64, 0.01, 'validation', (),
    {4000: 2.471e-4, 8000: 4.942e-4, 400_000: 6.989e-5},
  ),
  'authors/hourglass_imagenet64.gin': Run(
    'downsampled_imagenet', 64, 0.0, 'validation', (),
    {4000: 1.747e-4, 8000: 3.494e-4, 500_000: 4.419e-5},
  ),
  'authors/hourglass_cifar10.gin': Run(
    'cifar10', 8, 0.0, 'test', (),
    {2500: 5e-4, 5000: 1e-3, 55_000: 5e-4, 100_000: 6.156e-6},
  ),
  'authors/hourglass_wiki40b.gin': Run(
    'enwik8', 128, 0.0, 'test', (2048, None, None, None),
    {5000: 5e-4, 10_000: 1e-3, 72_500: 5e-4, 125_000: 1.571e-5},
  ),
}
# fmt: on

SHORTENING = {
  'enwik8.gin': 'attention to AveragePooling',
  'enwik8': 'attention to AveragePooling',
  'cifar10': 'attention to AveragePooling',
  'imagenet32.gin': 'attention to LinearPooling',
  'imagenet64.gin': 'LinearPooling',
  'table4': 'AveragePooling',
  'table8/average': 'AveragePooling',
  'table8/attention_average': 'attention to AveragePooling',
  'table8/linear': 'LinearPooling',
  'table8/attention_linear': 'attention to LinearPooling',
}
UPSAMPLING = {
  'enwik8.gin': 'attention to NaiveUpsampling',
  'enwik8': 'attention to NaiveUpsampling',
  'cifar10': 'attention to LinearUpsampling',
  'imagenet32.gin': 'attention to LinearUpsampling',
  'imagenet64.gin': 'LinearUpsampling',
  'table4': 'NaiveUpsampling',
  'table7/repeat': 'NaiveUpsampling',
  'table7/linear': 'LinearUpsampling',
  'table7/attention_x': 'attention to NoUpsampling',
  'table7/attention_linear': 'attention to LinearUpsampling',
}
# Vanilla and middle layers with LSH attention, and its chunk length.
LSH = {
  'imagenet64.gin': (True, False, 128),
  'figure7': (True, True, 128),
  'authors/hourglass_imagenet64.gin': (True, False, 256),
}

# Rows of Table 1, with their weights in millions.
TABLE_1 = {
  '6@1': 21,
  '2@1 1@3 2@1': 24,
  '2@1 4@4 2@1': 34,
  '8@1': 28,
  '2@1 4@3 2@1': 34,
  '2@1 8@4 2@1': 48,
  '2@1 1@2 4@4 1@2 2@1': 48,
  '2@1 8@3 2@1': 48,
  '10@1': 34,
  '3@1 8@4 3@1': 55,
  '12@1': 41,
  '4@1 8@4 4@1': 62,
  '2@1 16@3 2@1': 75,
  '14@1': 48,
  '5@1 8@2 5@1': 69,
}

# Hierarchy and number of weights of the model in each file.
MODELS = {
  'quickstart.gin': ('2@1 4@4 2@1', 483_264),
  'wikipedia_sample.gin': ('3@1 8@4 3@1', 1_764_832),
  'photos32.gin': ('0@1 6@3 2@1', 1_000_576),
  'shorten_factor_dropout.gin': ('1@1 4@{2,3} 1@1', 1_785_856),
  'reproduction/text.gin': ('1@1 4@3 1@1', 479_552),
  'reproduction/tiny.gin': ('2@1 8@3 2@1', 212_896),
  'reproduction/gpu.gin': ('12@1', 10_398_976),
  'reproduction/photographs.gin': ('1@1 4@3 1@1', 479_552),
  'reproduction/lengths.gin': ('4@1', 249_856),
  'reproduction/chunks.gin': ('0@1 2@3 0@1', 262_976),
  'reproduction/completions.gin': ('1@1 4@3 1@1', 479_552),
  'enwik8.gin': ('4@1 8@3 4@1', 138_616_576),
  'imagenet32.gin': ('3@1 24@3 3@1', 111_125_760),
  'imagenet64.gin': ('3@1 12@3 3@1', 135_068_416),
  'table1/6x1.gin': ('6@1', 20_754_688),
  'table1/2x1_1x3_2x1.gin': ('2@1 1@3 2@1', 24_174_848),
  'table1/2x1_4x4_2x1.gin': ('2@1 4@4 2@1', 34_419_968),
  'table1/8x1.gin': ('8@1', 27_584_768),
  'table1/2x1_4x3_2x1.gin': ('2@1 4@3 2@1', 34_419_968),
  'table1/2x1_8x4_2x1.gin': ('2@1 8@4 2@1', 48_080_128),
  'table1/2x1_1x2_4x4_1x2_2x1.gin': ('2@1 1@2 4@4 1@2 2@1', 48_085_248),
  'table1/2x1_8x3_2x1.gin': ('2@1 8@3 2@1', 48_080_128),
  'table1/10x1.gin': ('10@1', 34_414_848),
  'table1/3x1_8x4_3x1.gin': ('3@1 8@4 3@1', 54_910_208),
  'table1/12x1.gin': ('12@1', 41_244_928),
  'table1/4x1_8x4_4x1.gin': ('4@1 8@4 4@1', 61_740_288),
  'table1/2x1_16x3_2x1.gin': ('2@1 16@3 2@1', 75_400_448),
  'table1/14x1.gin': ('14@1', 48_075_008),
  'table1/5x1_8x2_5x1.gin': ('5@1 8@2 5@1', 68_570_368),
  'table4/2x1_8x2_2x1.gin': ('2@1 8@2 2@1', 41_248_000),
  'table4/2x1_8x2or3_2x1.gin': ('2@1 8@{2,3} 2@1', 41_248_000),
  'table4/2x1_8x3_2x1.gin': ('2@1 8@3 2@1', 41_248_000),
  'table4/4x1_12x2_4x1.gin': ('4@1 12@2 4@1', 68_568_320),
  'table4/4x1_12x2or3_4x1.gin': ('4@1 12@{2,3} 4@1', 68_568_320),
  'table4/4x1_12x3_4x1.gin': ('4@1 12@3 4@1', 68_568_320),
  'table4/5x1_10x2_5x1.gin': ('5@1 10@2 5@1', 68_568_320),
  'table4/5x1_10x2or3_5x1.gin': ('5@1 10@{2,3} 5@1', 68_568_320),
  'table4/5x1_10x3_5x1.gin': ('5@1 10@3 5@1', 68_568_320),
  'table5/cifar10_n1.gin': ('1@1 1@3 1@1', 18_132_736),
  'table5/cifar10_n4.gin': ('1@1 4@3 1@1', 28_377_856),
  'table5/cifar10_n8.gin': ('1@1 8@3 1@1', 42_038_016),
  'table5/cifar10_n16.gin': ('1@1 16@3 1@1', 69_358_336),
  'table5/enwik8_n1.gin': ('2@1 1@3 2@1', 24_174_848),
  'table5/enwik8_n4.gin': ('2@1 4@3 2@1', 34_419_968),
  'table5/enwik8_n8.gin': ('2@1 8@3 2@1', 48_080_128),
  'table5/enwik8_n16.gin': ('2@1 16@3 2@1', 75_400_448),
  'table6/cifar10_0_0.gin': ('0@1 8@3 0@1', 35_207_936),
  'table6/cifar10_0_2.gin': ('0@1 8@3 2@1', 42_038_016),
  'table6/cifar10_1_1.gin': ('1@1 8@3 1@1', 42_038_016),
  'table6/cifar10_2_0.gin': ('2@1 8@3 0@1', 42_038_016),
  'table6/cifar10_2_2.gin': ('2@1 8@3 2@1', 48_868_096),
  'table6/enwik8_0_0.gin': ('0@1 8@4 0@1', 34_419_968),
  'table6/enwik8_0_2.gin': ('0@1 8@4 2@1', 41_250_048),
  'table6/enwik8_1_1.gin': ('1@1 8@4 1@1', 41_250_048),
  'table6/enwik8_2_0.gin': ('2@1 8@4 0@1', 41_250_048),
  'table6/enwik8_2_2.gin': ('2@1 8@4 2@1', 48_080_128),
  'table7/cifar10_attention_linear.gin': ('1@1 8@3 1@1', 42_038_016),
  'table7/cifar10_attention_x.gin': ('1@1 8@3 1@1', 41_250_048),
  'table7/cifar10_linear.gin': ('1@1 8@3 1@1', 38_621_952),
  'table7/cifar10_repeat.gin': ('1@1 8@3 1@1', 37_833_984),
  'table7/enwik8_attention_linear.gin': ('2@1 24@4 2@1', 103_771_392),
  'table7/enwik8_attention_x.gin': ('2@1 24@4 2@1', 102_720_768),
  'table7/enwik8_linear.gin': ('2@1 24@4 2@1', 100_355_328),
  'table7/enwik8_repeat.gin': ('2@1 24@4 2@1', 99_304_704),
  'table8/cifar10_attention_average.gin': ('1@1 8@3 1@1', 42_038_016),
  'table8/cifar10_attention_linear.gin': ('1@1 8@3 1@1', 42_824_960),
  'table8/cifar10_average.gin': ('1@1 8@3 1@1', 38_621_952),
  'table8/cifar10_linear.gin': ('1@1 8@3 1@1', 39_408_896),
  'table8/enwik8_attention_average.gin': ('2@1 24@4 2@1', 102_720_768),
  'table8/enwik8_attention_linear.gin': ('2@1 24@4 2@1', 103_769_856),
  'table8/enwik8_average.gin': ('2@1 24@4 2@1', 99_304_704),
  'table8/enwik8_linear.gin': ('2@1 24@4 2@1', 100_353_792),
  'figure6/hourglass_2x1_8x4_2x1.gin': ('2@1 8@4 2@1', 48_080_128),
  'figure6/hourglass_3x1_8x4_3x1.gin': ('3@1 8@4 3@1', 54_910_208),
  'figure6/hourglass_4x1_8x4_4x1.gin': ('4@1 8@4 4@1', 61_740_288),
  'figure6/transformer_xl_8x1.gin': ('8@1', 27_584_768),
  'figure6/transformer_xl_10x1.gin': ('10@1', 34_414_848),
  'figure6/transformer_xl_12x1.gin': ('12@1', 41_244_928),
  'figure7/hourglass_2x1_8x4_2x1.gin': ('2@1 8@4 2@1', 41_776_384),
  'figure7/hourglass_3x1_8x4_3x1.gin': ('3@1 8@4 3@1', 47_555_840),
  'figure7/hourglass_4x1_8x4_4x1.gin': ('4@1 8@4 4@1', 53_335_296),
  'figure7/reformer_8x1.gin': ('8@1', 23_381_248),
  'figure7/reformer_10x1.gin': ('10@1', 29_160_704),
  'figure7/reformer_12x1.gin': ('12@1', 34_940_160),
  'authors/hourglass_cifar10.gin': ('8@3', 42_824_960),
  'authors/hourglass_enwik8.gin': ('24@3', 123_211_008),
  'authors/hourglass_imagenet32.gin': ('24@3', 111_125_760),
  'authors/hourglass_imagenet64.gin': ('12@3', 135_068_416),
  'authors/hourglass_wiki40b.gin': ('8@4', 62_790_912),
}
