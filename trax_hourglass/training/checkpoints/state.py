"""A loop put back to where a checkpoint was written."""

import glob
import os

from trax import fastmath
from trax import layers as tl
from trax.data import inputs
from trax.supervised import history as trax_history
from trax.supervised import training

from trax_hourglass.errors import UserError, warn
from trax_hourglass.training.checkpoints import format, load, pickles


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


def restore(loop, path: str) -> dict | None:
  """Sets step, history, weights, state and slots of a loop.

  Trax matches weights and slots by shape alone, skips what does not match and
  leaves what is missing as it is.

  Args:
    loop: A `Loop`.
    path: A `*.pkl.gz` file.

  Returns:
    What was saved that Trax has no place for; `None` where Trax wrote the file.

  Raises:
    UserError: If it cannot be read, or is of another model or optimizer.
  """
  content = load.load_checkpoint(path)
  model, eval_model = loop.model, loop.eval_model
  flat = tl.flatten_weights_and_state(model.weights, model.state)
  slots = content.get('slots_per_task', [])
  if len(slots) != len(loop._trainer_per_task):
    raise UserError(
      f'checkpoint {path}: got optimizer slots of {len(slots)} tasks, expected '
      f"the run's {len(loop._trainer_per_task)}; use the configuration it was "
      'trained with, or another directory'
    )
  format.check_arrays(path, 'weight', content['flat_weights'], flat[0])
  format.check_arrays(path, 'state', content['flat_state'], flat[1])
  for trainer, arrays in zip(loop._trainer_per_task, slots, strict=True):
    arrays = training._flatten_and_remove_empty(arrays)
    expected = training._flatten_and_remove_empty(trainer.slots)
    format.check_arrays(path, 'optimizer slot', arrays, expected)
    trainer.slots, _ = fastmath.tree_unflatten(
      arrays, trainer.slots, copy_from_tree=[None, ()]
    )
  model.weights, model.state = tl.unflatten_weights_and_state(
    content['flat_weights'], content['flat_state'], (model.weights, model.state)
  )
  # As every evaluation sets them.
  eval_model.weights, eval_model.state = model.weights, model.state
  loop._step = content['step']
  loop._history = trax_history.History.from_dict(content['history'])
  extra = content.get(format.EXTRA)
  if extra is not None:
    inputs.data_counters.clear()  # Of Trax: it would skip what `Batches` does.
  else:
    warn(
      f'{path} does not say where its streams and random keys were: they start '
      'again'
    )
  return extra
