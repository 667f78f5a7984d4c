"""The state of a loop: taken for a checkpoint, and restored from one."""

import glob
import os

import jax
from jax import numpy as jnp
import numpy as np
from trax import fastmath
from trax import layers as tl
from trax.data import inputs
from trax.supervised import history as trax_history

from trax_hourglass.errors import UserError, warn
from trax_hourglass.training import progress, trax_internals
from trax_hourglass.training.checkpoints import folders, format, load, pickles


def snapshot(loop, extra) -> dict[str, object]:
  """Returns a copy in host memory of all that a checkpoint holds.

  Args:
    loop: A `Loop`.
    extra: What Trax has no place for: plain values and arrays in host memory,
      which nothing changes later.

  Returns:
    The contents by file name: a list of arrays; for `model.pkl.gz` Trax's
    dictionary; for `config.gin`, if the loop has one, its text.

  Raises:
    NotFiniteError: If a weight is not finite.
  """
  internals = trax_internals.Internals(loop)
  weights, state = tl.flatten_weights_and_state(
    loop.model.weights, loop.model.state
  )
  _, eval_state = tl.flatten_weights_and_state(
    loop.model.weights, loop.eval_model.state
  )
  files = {'model.weights.npy.gz': to_host(weights)}
  if loop.configuration is not None:
    files[folders.CONFIG] = loop.configuration
  if not all(_is_finite(x) for x in files['model.weights.npy.gz']):
    raise progress.NotFiniteError(
      f'a weight after step {loop.step} is not finite, so no checkpoint of it '
      'is written; lower the learning rate'
    )
  for i, trainer in enumerate(internals.trainers):
    slots = trax_internals.flat_slots(trainer.slots)
    files[f'model.opt_slots{i}.npy.gz'] = to_host(slots)
  files['model.pkl.gz'] = to_host(
    {
      'step': loop.step,
      'flat_weights': format.LEVEL,  # A number: they are in their own file.
      'flat_state': state,
      'flat_eval_state': eval_state,
      'history': loop.history.to_dict(),
      'slots_per_task': format.LEVEL,
      'input_signature': internals.signature[: loop.model.n_in],
      'version_timestamp': 'Mar-10-2021',  # Of the format, as Trax calls it.
    }
  )
  # Not a tree to JAX: streams' states may have keys of several types.
  files['model.pkl.gz'][format.EXTRA] = extra
  return files


def restore(loop, path: str) -> dict | None:
  """Sets step, history, weights, state and slots of a loop.

  Trax matches weights and slots by shape alone, skips those that do not match
  and leaves missing ones as they are.

  Args:
    loop: A `Loop`.
    path: A `*.pkl.gz` file.

  Returns:
    The `extra` of `snapshot`; `None` where Trax wrote the file.

  Raises:
    UserError: If it cannot be read, or is of another model or optimizer.
  """
  content = load.load_checkpoint(path)
  internals = trax_internals.Internals(loop)
  model, eval_model = loop.model, loop.eval_model
  flat = tl.flatten_weights_and_state(model.weights, model.state)
  slots = content.get('slots_per_task', [])
  if len(slots) != len(internals.trainers):
    raise UserError(
      f'checkpoint {path}: got optimizer slots of {len(slots)} tasks, expected '
      f"the run's {len(internals.trainers)}; use the configuration it was "
      'trained with, or another directory'
    )
  format.check_arrays(path, 'weight', content['flat_weights'], flat[0])
  format.check_arrays(path, 'state', content['flat_state'], flat[1])
  for trainer, arrays in zip(internals.trainers, slots, strict=True):
    arrays = trax_internals.flat_slots(arrays)
    expected = trax_internals.flat_slots(trainer.slots)
    format.check_arrays(path, 'optimizer slot', arrays, expected)
    trainer.slots, _ = fastmath.tree_unflatten(
      arrays, trainer.slots, copy_from_tree=[None, ()]
    )
  model.weights, model.state = tl.unflatten_weights_and_state(
    content['flat_weights'], content['flat_state'], (model.weights, model.state)
  )
  # As every evaluation sets them.
  eval_model.weights, eval_model.state = model.weights, model.state
  internals.step = content['step']
  internals.history = trax_history.History.from_dict(content['history'])
  extra = content.get(format.EXTRA)
  if extra is not None:
    inputs.data_counters.clear()  # Trax would skip what `Batches` skips.
  else:
    warn(
      f'{path} does not say where its streams and random keys were: they start '
      'again'
    )
  return extra


def check_counters(output_dir: str | None) -> None:
  """Raises `UserError` if Trax's counters of examples are more than numbers.

  Trax's loop unpickles them when it is made, from the output directory.
  """
  for path in glob.glob(f'{glob.escape(output_dir or os.devnull)}/data_coun*'):
    try:
      with open(path, 'rb') as file:
        pickles.load(file)
    except Exception as error:  # Unpickling may raise anything.
      raise UserError(
        f'{path}: got {error}, expected the numbers that Trax writes there; '
        'delete it'
      ) from error


def metrics_of_step(loop) -> dict[str, float]:
  """Returns the metrics of the evaluation after a loop's last step, if any."""
  history = loop.history
  names = history.metrics_for_mode('eval')
  newest = {name: history.get('eval', name)[-1] for name in names}
  return {
    name.removeprefix('metrics/'): float(value)
    for name, (step, value) in newest.items()
    if name.startswith('metrics/') and step == loop.step
  }


def to_host(tree):
  """Returns a copy of a tree with NumPy's arrays in place of JAX's."""

  def copy(x):
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
      x = x.addressable_data(0)  # Of several hosts, each of which has it whole.
    if isinstance(x, jax.Array | np.ndarray):
      return np.array(x)
    return float(x) if isinstance(x, np.floating) else x

  return jax.tree.map(copy, tree)


def _is_finite(x):
  is_float = jnp.issubdtype(x.dtype, jnp.floating)
  return not is_float or bool(np.isfinite(x).all())
