"""What the authors' published gin files say, as literals.

Replaced by what can be had: the data of enwik8; the data, the vocabulary (of
32,000) and `eval_steps` (600, for other data) of wiki40b. They gave the batch
of images as 1 on a device; here it is that of all devices, with 1 at once.
"""

from tests.paper_settings import (
  ADAM,
  ATTENTION,
  AVERAGE,
  LINEAR_POOLING,
  LINEAR_UPSAMPLING,
  LSH,
  MODEL,
  REPEAT,
)

_COSINE = 'constant * linear_warmup * cosine_decay'
_RSQRT = 'constant * linear_warmup * rsqrt_decay'

# Of all five.
COMMON = {
  **ADAM,
  'train': {
    'optimizer': '@trax.optimizers.Adam',
    'lr_schedule_fn': '@lr_schedules.multifactor',
    'metrics': None,
  },
}

FILES = {
  'authors/hourglass_enwik8.gin': {
    'train': {
      'steps': 263_000,
      'eval_frequency': 2000,
      'eval_steps': 305,
      'checkpoints_at': [150_000, 175_000, 263_000],
    },
    'lr_schedules.multifactor': {
      'factors': _COSINE,
      'constant': 4.1e-4,
      'warmup_steps': 4000,
      'steps_per_cycle': 350_000,
    },
    'trax_hourglass.text_inputs': {
      'text': '@trax_hourglass.enwik8()',
      'length': 2049,
      'batch_size': 8,
    },
    MODEL: {
      'vocab_size': 256,
      'vanilla_layers': (5, 5),
      'hierarchy': '24@3',
      'd_model': 512,
      'd_ff': 2048,
      'n_heads': 8,
      'dropout': 0.2,
      'downsampling_fn': ATTENTION,
      'upsampling_fn': ATTENTION,
      'attention_downsampling_fn': AVERAGE,
      'attention_upsampling_fn': REPEAT,
    },
  },
  'authors/hourglass_imagenet32.gin': {
    'train': {
      'steps': 400_000,
      'eval_frequency': 1000,
      'eval_steps': 512,
      'permanent_checkpoints_at': [
        100_000,
        150_000,
        200_000,
        250_000,
        300_000,
        350_000,
      ],
    },
    'lr_schedules.multifactor': {
      'factors': _RSQRT,
      'constant': 0.0442,
      'warmup_steps': 8000,
    },
    'trax_hourglass.image_inputs': {
      'images': '@trax_hourglass.downsampled_imagenet()',
      'batch_size': 64,
      'eval_batch_size': 8,
    },
    'trax_hourglass.downsampled_imagenet': {'size': 32},
    'trax_hourglass.Loop': {'device_batch_size': 1},
    MODEL: {
      'vocab_size': 256,
      'vanilla_layers': (3, 3),
      'hierarchy': '24@3',
      'd_model': 512,
      'd_ff': 2048,
      'n_heads': 8,
      'dropout': 0.01,
      'downsampling_fn': ATTENTION,
      'upsampling_fn': ATTENTION,
      'attention_downsampling_fn': LINEAR_POOLING,
      'attention_upsampling_fn': LINEAR_UPSAMPLING,
    },
  },
  'authors/hourglass_imagenet64.gin': {
    'train': {'steps': 500_000, 'eval_frequency': 1000, 'eval_steps': 512},
    'lr_schedules.multifactor': {
      'factors': _RSQRT,
      'constant': 0.03125,
      'warmup_steps': 8000,
    },
    'trax_hourglass.image_inputs': {
      'images': '@trax_hourglass.downsampled_imagenet()',
      'batch_size': 64,
      'eval_batch_size': 8,
    },
    'trax_hourglass.downsampled_imagenet': {'size': 64},
    'trax_hourglass.Loop': {'device_batch_size': 1},
    MODEL: {
      'vocab_size': 256,
      'vanilla_layers': (3, 3),
      'hierarchy': '12@3',
      'd_model': 768,
      'd_ff': 3072,
      'n_heads': 8,
      'dropout': 0.0,
      'downsampling_fn': LINEAR_POOLING,
      'upsampling_fn': LINEAR_UPSAMPLING,
      'vanilla_attn_type': LSH,
    },
    # No chunk after, two weight matrices and biases are what ours has.
    'trax_hourglass.LSHAttention': {
      'chunk_len': 256,
      'n_chunks_before': 1,
      'n_hashes': 2,
      'n_buckets': None,
    },
  },
  'authors/hourglass_cifar10.gin': {
    'train': {
      'steps': 100_000,
      'eval_frequency': 2000,
      'eval_steps': 625,
      'checkpoints_at': [100_000],
    },
    'lr_schedules.multifactor': {
      'factors': _COSINE,
      'constant': 1e-3,
      'warmup_steps': 5000,
      'steps_per_cycle': 100_000,
    },
    'trax_hourglass.image_inputs': {
      'images': '@trax_hourglass.cifar10()',
      'batch_size': 8,
      'eval_batch_size': 8,
    },
    'trax_hourglass.Loop': {'device_batch_size': 1},
    MODEL: {
      'vocab_size': 256,
      'vanilla_layers': (1, 1),
      'hierarchy': '8@3',
      'd_model': 512,
      'd_ff': 2048,
      'n_heads': 8,
      'dropout': 0.0,
      'downsampling_fn': ATTENTION,
      'upsampling_fn': ATTENTION,
      'attention_downsampling_fn': LINEAR_POOLING,
      'attention_upsampling_fn': LINEAR_UPSAMPLING,
    },
  },
  'authors/hourglass_wiki40b.gin': {
    'train': {
      'steps': 125_000,
      'eval_frequency': 2500,
      'eval_steps': 305,
      'permanent_checkpoints_at': [50_000, 100_000, 125_000],
    },
    'lr_schedules.multifactor': {
      'factors': _COSINE,
      'constant': 1e-3,
      'warmup_steps': 10_000,
      'steps_per_cycle': 125_000,
    },
    'trax_hourglass.text_inputs': {
      'text': '@trax_hourglass.enwik8()',
      'length': 2048,
      'batch_size': 128,
      'eval_batch_size': 8,
    },
    MODEL: {
      'vocab_size': 256,
      'vanilla_layers': (4, 4),
      'hierarchy': '8@4',
      'd_model': 512,
      'd_ff': 2048,
      'n_heads': 8,
      'dropout': 0.0,
      'downsampling_fn': ATTENTION,
      'upsampling_fn': ATTENTION,
      'attention_downsampling_fn': AVERAGE,
      'attention_upsampling_fn': LINEAR_UPSAMPLING,
    },
  },
}
