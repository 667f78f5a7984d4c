"""A language model around an Hourglass (arXiv:2110.13711, Section 3)."""

import math

import numpy as np
from trax import layers as tl
from trax import shapes
from trax.layers.assert_shape import assert_shape

from trax_hourglass import hierarchy as hierarchy_lib
from trax_hourglass.errors import UserError, check_positive
from trax_hourglass.kernels import documents as documents_lib
from trax_hourglass.layers.attention.local import LocalAttention
from trax_hourglass.layers.attention.relative import RelativeAttention
from trax_hourglass.layers.attention.rotary import RotaryAttention
from trax_hourglass.layers.basic import (
  Cast,
  DenseToFloat32,
  Dropout,
  RestoredSerial,
)
from trax_hourglass.layers.checks import check_dtype, check_segments, unwrapped
from trax_hourglass.layers.resampling import (
  AttentionResampling,
  AveragePooling,
  LinearPooling,
  LinearUpsampling,
  NaiveUpsampling,
  NoUpsampling,
)
from trax_hourglass.models.hourglass import Hourglass
from trax_hourglass.runtime import importing

# Functions that keep documents apart, by the endings of arguments.
_KEEP_APART = {
  'attn_type': (RelativeAttention, RotaryAttention, LocalAttention),
  'sampling_fn': (
    AttentionResampling,
    AveragePooling,
    LinearPooling,
    LinearUpsampling,
    NaiveUpsampling,
    NoUpsampling,
  ),
}


def HourglassLM(
  vocab_size,
  d_model=512,
  d_ff=2048,
  vanilla_layers=None,
  hierarchy='6@3',
  n_heads=8,
  dropout=0.1,
  dropout_shared_axes=None,
  mode='train',
  ff_activation=tl.FastGelu,
  vanilla_attn_type=RelativeAttention,
  middle_attn_type=RelativeAttention,
  downsampling_fn=AttentionResampling,
  upsampling_fn=AttentionResampling,
  attention_downsampling_fn=AveragePooling,
  attention_upsampling_fn=LinearUpsampling,
  rematerialize=False,
  activation_dtype='float32',
  max_inference_length=2048,
  documents=False,
):
  """Returns an autoregressive language model around an `Hourglass`.

  Maps tokens, `(batch, length)` integers below `vocab_size`, to logits,
  `(batch, length, vocab_size)`, where those at position i depend on the tokens
  before i alone. Takes the arguments of `trax.models.HourglassLM` and has the
  same flat weights in the same order: checkpoints load either way.

  Tokens outside the vocabulary are silently clipped to it, as by
  `tl.Embedding`. `Loop`, `score` and `Sampler` refuse them; call `check_tokens`
  before calls of your own.

  Mode `'predict'` maps the start symbol 0 and then the tokens, any number of
  them in a call, to the logits of mode `'eval'`.

  With `documents=True` maps (tokens, segments) to logits that are, for each
  document in a row, those of the document alone. Segments, integers of the
  shape of tokens, number the documents in a row, each of which starts at a
  multiple of the total shorten factor; padding is 0. Attention must be
  relative, rotary or local, and all resamplers must be ours. Tokens alone, and
  mode `'predict'`, which takes nothing else, have one document in each row.
  Flat weights are the same.

  Arguments and errors are those of `Hourglass`, and three more: `vocab_size` is
  the number of different tokens, `documents` is described above, and
  `activation_dtype` is the type of the activations, `'float32'` or
  `'bfloat16'`; weights, norms, softmax and logits are in float32 either way.
  """
  arguments = dict(locals())  # Before there are other variables.
  check_positive(vocab_size=vocab_size)
  check_dtype(activation_dtype)
  if documents:
    _check_keeps_apart(arguments)
  hourglass = Hourglass(
    d_model=d_model,
    d_ff=d_ff,
    vanilla_layers=vanilla_layers,
    hierarchy=hierarchy,
    n_heads=n_heads,
    dropout=dropout,
    dropout_shared_axes=dropout_shared_axes,
    mode=mode,
    ff_activation=ff_activation,
    vanilla_attn_type=vanilla_attn_type,
    middle_attn_type=middle_attn_type,
    downsampling_fn=downsampling_fn,
    upsampling_fn=upsampling_fn,
    attention_downsampling_fn=attention_downsampling_fn,
    attention_upsampling_fn=attention_upsampling_fn,
    rematerialize=rematerialize,
    max_inference_length=max_inference_length,
  )
  takes_segments = documents and mode != 'predict'
  return (DocumentModel if takes_segments else LanguageModel)(
    ShiftDocumentsRight() if takes_segments else tl.ShiftRight(mode=mode),
    tl.Embedding(vocab_size, d_model),
    Cast(activation_dtype),
    Dropout(rate=dropout, shared_axes=dropout_shared_axes, mode=mode),
    hourglass,
    DenseToFloat32(vocab_size),
    arguments=arguments,
  )


with importing.cheap_stack():
  # As around Trax's layer: weights and state have the same nesting with it.
  _asserted = assert_shape('bl,bl->bl')


@_asserted
def ShiftDocumentsRight():
  """Returns a layer that maps (tokens, segments) to each document's inputs."""
  return tl.Fn(
    'ShiftRight(1)',
    lambda tokens, segments: documents_lib.shift_right(tokens, 1, 1),
  )


def _check_keeps_apart(arguments):
  """Raises `UserError` if a document could see another one."""
  for ending, functions in _KEEP_APART.items():
    for name, function in arguments.items():
      if name.endswith(ending) and unwrapped(function) not in functions:
        got = getattr(unwrapped(function), '__name__', repr(function))
        expected = ', '.join(one.__name__ for one in functions)
        raise UserError(
          f'{name}: got {got}, which may mix documents, expected one of '
          f'trax_hourglass: {expected}; or documents=False'
        )


class LanguageModel(RestoredSerial):
  """A language model that knows the arguments it was made with."""

  def __init__(self, *layers, arguments):
    super().__init__(*layers, name='HourglassLM')
    self._arguments = arguments

  @property
  def arguments(self):
    """The arguments of `HourglassLM` by name, defaults and mode included."""
    return dict(self._arguments)

  @property
  def multiple(self):
    """The total shorten factor, of which padded lengths are multiples."""
    return hierarchy_lib.parse(
      self._arguments['hierarchy'], self._arguments['vanilla_layers']
    ).multiple

  @property
  def tokens_signature(self):
    """Signature of tokens that the model can be initialised with.

    They are as many as all attention can cut into its chunks: Trax's own takes
    no others.
    """
    length = 1
    if self._arguments['mode'] != 'predict':
      length = self.multiple * math.lcm(*_chunk_lens(self))
    return shapes.ShapeDtype((1, length), np.int32)


class DocumentModel(LanguageModel):
  """A language model of (tokens, segments), or of tokens alone."""

  def init_weights_and_state(self, input_signature):
    if not isinstance(input_signature, list | tuple):
      input_signature = (input_signature, input_signature)
    super().init_weights_and_state(input_signature)

  def forward(self, inputs):
    if not isinstance(inputs, list | tuple):
      return super().forward((inputs, inputs))
    tokens, segments, *_ = inputs  # Trax's loop passes on a whole batch.
    check_segments(tokens, segments, self.multiple)
    with documents_lib.kept_apart(segments):
      return super().forward(inputs)


def _chunk_lens(layer):
  if chunk_len := getattr(layer, '_chunk_len', None):
    yield chunk_len
  for sublayer in layer.sublayers:
    yield from _chunk_lens(sublayer)
