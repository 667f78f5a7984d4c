"""Hourglass: hierarchical Transformer language models as Trax layers."""

from trax_hourglass import starting

if starting.is_starting():
  starting.begin()
else:
  from trax_hourglass import runtime

  runtime.apply()

  from trax_hourglass.configuration import registration as _configurables
  from trax_hourglass.errors import UserError
  from trax_hourglass.evaluation import (
    Likelihood,
    Score,
    log_likelihood,
    log_probs,
    score,
    score_images,
  )
  from trax_hourglass.generation import Sample, Sampler
  from trax_hourglass.kernels.derivatives import forward_mode
  from trax_hourglass.layers import (
    AttentionResampling,
    AveragePooling,
    LinearPooling,
    LinearUpsampling,
    LocalAttention,
    LSHAttention,
    NaiveUpsampling,
    NoUpsampling,
    RelativeAttention,
    RotaryAttention,
  )
  from trax_hourglass.layers.checks import check_tokens
  from trax_hourglass.models import (
    Hourglass,
    HourglassLM,
    load_safetensors,
    named_weights,
    pretrained,
    save_safetensors,
    set_named_weights,
  )
  from trax_hourglass.training.checkpoints import load_checkpoint, published
  from trax_hourglass.training.optimizers import (
    Optax,
    muon_matrices,
    weights_named,
  )

__version__ = '0.2.0'

__all__ = [
  'AttentionResampling',
  'AveragePooling',
  'Hourglass',
  'HourglassLM',
  'LSHAttention',
  'Likelihood',
  'LinearPooling',
  'LinearUpsampling',
  'LocalAttention',
  'NaiveUpsampling',
  'NoUpsampling',
  'Optax',
  'RelativeAttention',
  'RotaryAttention',
  'Sample',
  'Sampler',
  'Score',
  'UserError',
  'check_tokens',
  'forward_mode',
  'load_checkpoint',
  'load_safetensors',
  'log_likelihood',
  'log_probs',
  'muon_matrices',
  'named_weights',
  'pretrained',
  'published',
  'save_safetensors',
  'score',
  'score_images',
  'set_named_weights',
  'weights_named',
]
