"""Models in safetensors files: exact, complete, and read as data."""

import functools
import json
import os
import resource
import signal

import jax
from jax import numpy as jnp
import numpy as np
import pytest
import safetensors
from safetensors import numpy as safetensors_numpy
from trax import layers as tl
from trax import shapes

from tests.models import cases
import trax_hourglass as th
from trax_hourglass import pretrained_models
from trax_hourglass.models import arguments, safetensors_files

ARGUMENTS = {
  'hierarchy': '0@1 1@2 0@1',
  'middle_attn_type': functools.partial(th.LSHAttention, chunk_len=2),
  'downsampling_fn': th.LinearPooling,
  'upsampling_fn': th.NaiveUpsampling,
  'ff_activation': tl.Relu,
  'vanilla_layers': None,
  'dropout_shared_axes': (0,),
}
ENTRY = 'trax_hourglass.HourglassLM'


@pytest.fixture(scope='module')
def model():
  model = th.HourglassLM(**cases.WIDTHS, **ARGUMENTS)
  model.init(model.tokens_signature)
  named = th.named_weights(model)
  bits = np.random.default_rng(0).integers(2**16, size=(13, 12), dtype='u2')
  # Every pattern of bits, NaN among them; and not in the order of C.
  named['embedding.embedding'] = bits.view(jnp.bfloat16)
  named['logits.kernel'] = np.asfortranarray(
    np.random.default_rng(1).normal(size=(12, 13)).astype('f')
  )
  th.set_named_weights(model, named)
  return model


@pytest.fixture(scope='module')
def path(model, tmp_path_factory):
  path = tmp_path_factory.mktemp('file') / 'model.safetensors'
  th.save_safetensors(model, path)
  return path


def test_file_may_be_read_as_any_other(path):
  other = path.with_name('other')
  other.touch()
  assert path.stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize('mode', ['eval', 'predict'])
def test_loads_every_bit_in_each_mode(model, path, mode):
  loaded = th.load_safetensors(path, mode, max_inference_length=64)
  for (name, x), (expected, y) in zip(
    th.named_weights(loaded).items(),
    th.named_weights(model).items(),
    strict=True,
  ):
    assert (name, x.dtype) == (expected, y.dtype)
    assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
  got, given = loaded.arguments, model.arguments
  assert got.pop('mode') == mode
  assert got.pop('max_inference_length') == 64
  attention_type = got.pop('middle_attn_type')
  assert attention_type.func is th.LSHAttention
  assert attention_type.keywords == {'chunk_len': 2}
  assert got.pop('ff_activation')().name == 'Relu'
  assert got.pop('dropout_shared_axes') == [0]
  assert got.items() <= given.items()
  logits, _ = jax.jit(loaded.pure_fn)(
    np.zeros((1, 1), np.int32), loaded.weights, loaded.state, None
  )
  assert logits.shape == (1, 1, 13)


def test_weights_are_rounded_in_the_file_alone(tmp_path, monkeypatch):
  model = th.HourglassLM(**cases.WIDTHS, hierarchy='0@1')
  model.init(model.tokens_signature)
  folder = tmp_path / 'toy'
  folder.mkdir()
  th.save_safetensors(model, folder / 'model.safetensors', 'bfloat16')
  with safetensors.safe_open(folder / 'model.safetensors', 'np') as file:
    assert file.get_tensor('logits.kernel').dtype == jnp.bfloat16
  monkeypatch.setattr(pretrained_models, 'FOLDER', tmp_path)
  rounded = th.pretrained('toy', 'predict', max_inference_length=8)
  assert rounded.arguments['max_inference_length'] == 8
  for name, x in th.named_weights(model).items():
    y = th.named_weights(rounded)[name]
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, x.astype(jnp.bfloat16).astype('f'))


def test_equal_models_make_equal_files(model, path, tmp_path):
  again = tmp_path / 'again'
  th.save_safetensors(model, again)
  assert again.read_bytes() == path.read_bytes()


def test_options_of_trax_are_kept():
  attention_type = functools.partial(
    tl.PureLSHSelfAttentionWrapper,
    pure_lsh_implementation=functools.partial(
      tl.PureLSHSelfAttention, n_hashes=np.int64(1)
    ),
    chunk_len=4,
  )
  text = arguments.to_json({'vanilla_attn_type': attention_type})
  got = arguments.from_json(text)['vanilla_attn_type']
  assert got.keywords['chunk_len'] == 4
  inner = got.keywords['pure_lsh_implementation']
  assert inner.keywords == {'n_hashes': 1}
  assert arguments.to_json({'vanilla_attn_type': got}) == text


def test_takes_chunks_of_trax_attention(tmp_path):
  """They divide no length but their multiples."""
  model = th.HourglassLM(
    **cases.WIDTHS,
    hierarchy='0@1 1@2 0@1',
    middle_attn_type=functools.partial(tl.SelfAttention, chunk_len=3),
    downsampling_fn=th.AveragePooling,
    upsampling_fn=th.NaiveUpsampling,
  )
  assert model.tokens_signature.shape == (1, 6)


@pytest.mark.parametrize(
  'function',
  [
    lambda *_, **__: tl.Relu(),
    os.system,
    functools.partial(th.LSHAttention, 12),
    # As gin wraps those of ours: what it binds does not show.
    functools.wraps(th.LSHAttention)(lambda *a, **b: th.LSHAttention(*a, **b)),
  ],
  ids=['own', 'foreign', 'positional', 'wrapped'],
)
def test_no_other_function_is_written(function):
  with pytest.raises(th.UserError, match='arguments: got .*, expected a funct'):
    arguments.to_json({'ff_activation': function})


def test_only_ours_are_saved(tmp_path):
  model = tl.Dense(2)
  model.init(shapes.ShapeDtype((1, 2)))
  with pytest.raises(th.UserError, match='got Dense Dense_2, expected one'):
    th.save_safetensors(model, tmp_path / 'x')
  assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_file_before(model, path, tmp_path):
  whole = tmp_path / 'model.safetensors'
  whole.write_bytes(path.read_bytes())
  limit = resource.getrlimit(resource.RLIMIT_FSIZE)
  handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
  try:
    with pytest.raises(th.UserError, match='safetensors: cannot be written'):
      th.save_safetensors(model, whole)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    signal.signal(signal.SIGXFSZ, handler)
  assert [one.name for one in tmp_path.iterdir()] == [whole.name]
  assert whole.read_bytes() == path.read_bytes()


def changed(path, arguments=None, **content):
  """Returns a file's bytes with other arguments or entries of its metadata."""
  with safetensors.safe_open(path, 'np') as file:
    entry = json.loads(file.metadata()[ENTRY])
    weights = file.get_tensors()
  entry['arguments'] |= arguments or {}
  return safetensors_numpy.save(weights, {ENTRY: json.dumps(entry | content)})


def resealed(path, other):
  """The same with a hash that fits: as of another version, or an attacker."""
  with safetensors.safe_open(path, 'np') as file:
    weights = file.get_tensors()
    entry = json.loads(file.metadata()[ENTRY])
  digest = safetensors_files._digest(
    arguments.from_json(json.dumps(entry['arguments'] | other)), weights
  )
  return changed(path, other, sha256=digest)


def flipped(path):
  content = bytearray(path.read_bytes())
  content[-5] ^= 1
  return bytes(content)


CALL = {'function': 'os.system', 'options': {'command': 'touch called'}}


@pytest.mark.parametrize(
  ('damage', 'line'),
  [
    (lambda path: b'', 'cannot be read as safetensors (Error while'),
    (lambda path: path.read_bytes()[:-1], 'cannot be read as safetensors (Err'),
    (lambda path: b'\x80\x04cos\nsystem\n' * 9, 'cannot be read as safetensor'),
    (flipped, 'is damaged, its SHA-256 is not the one in its metadata; copy'),
    (lambda path: changed(path, {'d_ff': 15}), 'is damaged, its SHA-256'),
    (
      lambda path: changed(path, arguments=None, sha256=3),
      'is damaged',
    ),
    (
      lambda path: safetensors_numpy.save({'a': np.zeros(2)}),
      'got a safetensors file of another program, expected one that',
    ),
    (
      lambda path: safetensors_numpy.save({'a': np.zeros(2)}, {ENTRY: '{'}),
      'is damaged',
    ),
    (
      lambda path: changed(path, {'ff_activation': CALL}),
      "arguments: got the function 'os.system', expected one of trax_hour",
    ),
    (
      lambda path: resealed(path, {'depth': 3}),
      'got an argument depth, which this version of HourglassLM does not have',
    ),
    (
      lambda path: resealed(path, {'d_ff': 15}),
      'weights: level_1.block_0.feed_forward.hidden.kernel has shape (12, 14), '
      'expected (12, 15)',
    ),
    (lambda path: resealed(path, {'d_ff': -1}), 'd_ff: got -1, expected a wh'),
    (lambda path: resealed(path, {'hierarchy': 3}), 'hierarchy'),
    (
      lambda path: resealed(
        path,
        {
          'middle_attn_type': {
            'function': 'trax.layers.SelfAttention',
            'options': {'chunk_len': 'x'},
          }
        },
      ),
      'str',
    ),
    (
      lambda path: safetensors_numpy.save(
        {'a': np.zeros(2)}, {ENTRY: '{"arguments": [], "sha256": ""}'}
      ),
      'is damaged',
    ),
    (
      lambda path: safetensors_numpy.save(
        {'a': np.zeros(2)}, {ENTRY: '[' * 99999}
      ),
      'is damaged',
    ),
  ],
  ids=range(16),
)
def test_damaged_and_foreign_files_are_one_line(path, tmp_path, damage, line):
  other = tmp_path / 'other.safetensors'
  other.write_bytes(damage(path))
  with pytest.raises(th.UserError) as error_info:
    th.load_safetensors(other)
  message = str(error_info.value)
  assert message.startswith(f'{other}: ')
  assert line in message
  assert len(message.splitlines()) == 1


def test_no_file(tmp_path):
  with pytest.raises(th.UserError, match='read as safetensors .No such'):
    th.load_safetensors(tmp_path / 'none')


def test_unknown_changes_are_refused(path):
  with pytest.raises(th.UserError, match='width: got 3, which HourglassLM'):
    th.load_safetensors(path, width=3)
