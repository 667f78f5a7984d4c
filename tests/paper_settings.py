"""What the gin files of the paper's experiments must say, as literals.

The numbers are those of arXiv:2110.13711; where it states none, they are what
the header of the file chooses. A setting is nested: configurable, parameter,
value.
"""

MODEL = 'trax_hourglass.HourglassLM'
LSH = '@trax_hourglass.LSHAttention'
RELATIVE = '@trax_hourglass.RelativeAttention'
ATTENTION = '@trax_hourglass.AttentionResampling'
AVERAGE = '@trax_hourglass.AveragePooling'
LINEAR_POOLING = '@trax_hourglass.LinearPooling'
LINEAR_UPSAMPLING = '@trax_hourglass.LinearUpsampling'
REPEAT = '@trax_hourglass.NaiveUpsampling'
NOTHING = '@trax_hourglass.NoUpsampling'

ADAM = {
  'train': {'optimizer': '@trax.optimizers.Adam'},
  'trax.optimizers.Adam': {
    'b1': 0.9,
    'b2': 0.98,
    'eps': 1e-9,
    'weight_decay_rate': 0.0,
  },
}

MAIN_RESULTS = {
  'enwik8.gin': {
    'train': {
      'steps': 350_000,
      'lr_schedule_fn': '@trax_hourglass.warmup_cosine',
    },
    'trax_hourglass.warmup_cosine': {
      'peak': 4e-4,
      'warmup_steps': 20_000,
      'cycle_steps': 330_000,
    },
    'trax_hourglass.text_inputs': {
      'text': '@trax_hourglass.enwik8()',
      'length': 2048,
      'stride': 512,
      'batch_size': 8,
    },
    MODEL: {
      'vocab_size': 256,
      'hierarchy': '4@1 8@3 4@1',
      'd_model': 768,
      'd_ff': 3072,
      'n_heads': 8,
      'dropout': 0.15,
      'downsampling_fn': ATTENTION,
      'upsampling_fn': ATTENTION,
      'attention_downsampling_fn': AVERAGE,
      'attention_upsampling_fn': REPEAT,
    },
    'trax_hourglass.evaluate': {
      'text': '@trax_hourglass.enwik8()',
      'split': 'test',
      'length': 4096,
      'step': 128,
    },
  },
  'imagenet32.gin': {
    'train': {
      'steps': 470_000,
      'lr_schedule_fn': '@trax_hourglass.warmup_rsqrt_cosine_tail',
    },
    'trax_hourglass.warmup_rsqrt_cosine_tail': {
      'constant': 0.0442,
      'warmup_steps': 8000,
      'tail_start': 400_000,
      'steps': 470_000,
    },
    'trax_hourglass.image_inputs': {
      'images': '@trax_hourglass.imagenet32()',
      'batch_size': 64,
    },
    MODEL: {
      'vocab_size': 256,
      'hierarchy': '3@1 24@3 3@1',
      'd_model': 512,
      'd_ff': 2048,
      'n_heads': 8,
      'dropout': 0.01,
      'downsampling_fn': ATTENTION,
      'upsampling_fn': ATTENTION,
      'attention_downsampling_fn': LINEAR_POOLING,
      'attention_upsampling_fn': LINEAR_UPSAMPLING,
    },
    'trax_hourglass.evaluate_images': {
      'images': '@trax_hourglass.imagenet32()',
      'split': 'validation',
    },
  },
  'imagenet64.gin': {
    'train': {
      'steps': 300_000,
      'lr_schedule_fn': '@trax_hourglass.warmup_rsqrt',
    },
    'trax_hourglass.warmup_rsqrt': {'constant': 0.03125, 'warmup_steps': 8000},
    'trax_hourglass.image_inputs': {
      'images': '@trax_hourglass.imagenet64()',
      'batch_size': 64,
    },
    MODEL: {
      'vocab_size': 256,
      'hierarchy': '3@1 12@3 3@1',
      'd_model': 768,
      'd_ff': 3072,
      'n_heads': 8,
      'dropout': 0.0,
      'downsampling_fn': LINEAR_POOLING,
      'upsampling_fn': LINEAR_UPSAMPLING,
      'vanilla_attn_type': LSH,
      'middle_attn_type': RELATIVE,
    },
    'trax_hourglass.LSHAttention': {'chunk_len': 128, 'n_hashes': 2},
    'trax_hourglass.evaluate_images': {
      'images': '@trax_hourglass.imagenet64()',
      'split': 'validation',
    },
  },
}

# Of Tables 1 and 4 to 8, Figures 6 and 7.
ABLATIONS = {
  'enwik8': {
    'train': {
      'steps': 200_000,
      'lr_schedule_fn': '@trax_hourglass.warmup_cosine',
    },
    'trax_hourglass.warmup_cosine': {
      'peak': 4e-4,
      'warmup_steps': 4000,
      'cycle_steps': 200_000,
    },
    'trax_hourglass.text_inputs': {
      'text': '@trax_hourglass.enwik8()',
      'length': 2048,
      'stride': 512,
      'batch_size': 8,
    },
    MODEL: {
      'vocab_size': 256,
      'd_model': 512,
      'd_ff': 2048,
      'n_heads': 8,
      'dropout': 0.15,
      'downsampling_fn': ATTENTION,
      'upsampling_fn': ATTENTION,
      'attention_downsampling_fn': AVERAGE,
      'attention_upsampling_fn': REPEAT,
    },
    'trax_hourglass.evaluate': {
      'text': '@trax_hourglass.enwik8()',
      'split': 'validation',
      'length': 2048,
    },
  },
  'cifar10': {
    'train': {
      'steps': 100_000,
      'lr_schedule_fn': '@trax_hourglass.warmup_cosine',
    },
    'trax_hourglass.warmup_cosine': {
      'peak': 1e-3,
      'warmup_steps': 5000,
      'cycle_steps': 100_000,
    },
    'trax_hourglass.image_inputs': {
      'images': '@trax_hourglass.cifar10()',
      'batch_size': 8,
    },
    MODEL: {
      'vocab_size': 256,
      'd_model': 512,
      'd_ff': 2048,
      'n_heads': 8,
      'dropout': 0.0,
      'downsampling_fn': ATTENTION,
      'upsampling_fn': ATTENTION,
      'attention_downsampling_fn': AVERAGE,
      'attention_upsampling_fn': LINEAR_UPSAMPLING,
    },
    'trax_hourglass.evaluate_images': {
      'images': '@trax_hourglass.cifar10()',
      'split': 'test',
    },
  },
}

# What a folder or a row has other than that, for either data set.
ROWS = {
  'table4': {'downsampling_fn': AVERAGE, 'upsampling_fn': REPEAT},
  'table7/repeat': {'upsampling_fn': REPEAT},
  'table7/linear': {'upsampling_fn': LINEAR_UPSAMPLING},
  'table7/attention_x': {'attention_upsampling_fn': NOTHING},
  'table7/attention_linear': {'attention_upsampling_fn': LINEAR_UPSAMPLING},
  'table8/average': {'downsampling_fn': AVERAGE},
  'table8/attention_average': {'attention_downsampling_fn': AVERAGE},
  'table8/attention_linear': {'attention_downsampling_fn': LINEAR_POOLING},
  'table8/linear': {'downsampling_fn': LINEAR_POOLING},
  'figure7': {'vanilla_attn_type': LSH, 'middle_attn_type': LSH},
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
  'quickstart.gin': ('1@1 4@4 1@1', 1_851_904),
  'wikipedia_sample.gin': ('1@1 4@4 1@1', 1_851_904),
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
