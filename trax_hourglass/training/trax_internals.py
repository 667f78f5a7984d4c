"""The private names of Trax that training uses, each with its reason.

No other module uses private names of Trax's loop, tasks, trainers, optimizers,
history or summaries, except `runtime`, which repairs Trax.
"""

from collections.abc import Callable
import contextlib
import functools

import jax
from trax import optimizers, shapes
from trax.optimizers import trainer as trax_trainer
from trax.supervised import training


def _private(name, reason):
  """Returns a property that reads and sets a private attribute of the loop."""
  return property(
    lambda self: getattr(self._loop, name),
    lambda self, value: setattr(self._loop, name, value),
    doc=reason,
  )


class Internals:
  """A Trax loop's private attributes, under public names."""

  def __init__(self, loop):
    self._loop = loop

  step = _private('_step', 'Public for reading only; a resumed run sets it.')
  history = _private('_history', 'The same.')
  rng = _private('_rng', 'Saved and restored: dropout depends on it.')
  trainers = _private('_trainer_per_task', 'They hold the optimizer slots.')
  evaluators = _private('_evaluator_per_task', 'They compute the metrics.')
  signature = _private('_batch_signature', 'Checkpoints state it.')
  is_memory_efficient = _private(
    '_use_memory_efficient_trainer', 'Its weights are on no single device.'
  )
  which_task = _private('_which_task', 'Its default is made by Trax.')
  eval_at = _private('_eval_at', 'The same.')
  checkpoint_at = _private('_checkpoint_at', 'The same.')
  permanent_at = _private('_permanent_checkpoint_at', 'The same.')
  train_dirs = _private('_output_dir_per_train_task', 'Summaries go there.')
  eval_dirs = _private('_output_dir_per_eval_task', 'The same.')

  @contextlib.contextmanager
  def builders(self, trainer: Callable, evaluator: Callable):
    """Makes Trax's constructor, called in the body, use these functions.

    They take Trax's own functions, whose trainers and evaluators run on one
    device only, and a task.
    """
    loop = self._loop
    loop._init_trainer = functools.partial(trainer, loop._init_trainer)
    loop._init_evaluator = functools.partial(evaluator, loop._init_evaluator)
    yield
    del loop._init_trainer, loop._init_evaluator

  @staticmethod
  @contextlib.contextmanager
  def one_model(model, eval_model):
    """Makes Trax's constructor, called in the body, initialise one model.

    The other takes weights and state from it, as in every evaluation.
    """

    def take_over(input_signature):
      del input_signature
      eval_model.weights, eval_model.state = model.weights, model.state

    if eval_model in (None, model):
      yield
      return
    vars(eval_model)['init'] = take_over
    try:
      yield
    finally:
      del vars(eval_model)['init']

  def save_gin(self, summary_writer) -> None:
    """Writes `config.gin`: a loop without a command has no other."""
    self._loop._save_gin(summary_writer)

  @contextlib.contextmanager
  def restored_on_error(self):
    """Restores step, random key and layers if the body raises.

    A layer whose trace fails would keep the tracers it was given as weights.
    """
    model, eval_model = self._loop.model, self._loop.eval_model
    before = self.step, self.rng, model.weights, model.state
    try:
      yield
    except BaseException:
      self.step, self.rng, model.weights, model.state = before
      eval_model.weights, eval_model.state = model.weights, model.state
      raise

  @contextlib.contextmanager
  def history_restored_on_error(self):
    """Removes the body's entries from the history if it raises."""
    history = self._loop.history
    before = {
      (mode, metric): len(history.get(mode, metric))
      for mode in history.modes
      for metric in history.metrics_for_mode(mode)
    }
    try:
      yield
    except BaseException:
      for mode, metrics in history._values.items():  # Trax removes none.
        for metric in list(metrics):
          del metrics[metric][before.get((mode, metric), 0) :]
          if not metrics[metric]:
            del metrics[metric]
      raise


def replicated_trainer(model, task) -> optimizers.Trainer:
  """Returns a trainer whose arrays have no axis of devices.

  Trax's constructor of a loop gives them one where there are several devices.
  """
  model_with_loss = training._model_with_ends(
    model, [task.loss_layer], shapes.signature(task.sample_batch)
  )
  task.optimizer.tree_init(model_with_loss.weights)
  return optimizers.Trainer(model_with_loss, task.optimizer, n_devices=1)


def replicated_evaluator(model, task, accelerate: Callable):
  """Returns the evaluator of a task, its pure function compiled by a function.

  Trax's own has an axis of devices.
  """
  with_metrics = training._model_with_metrics(model, task)
  return training._Evaluator(
    weights=with_metrics.weights[1],
    state=with_metrics.state[1],
    metrics_fn=accelerate(with_metrics.pure_fn),
  )


def forward_and_backward(trainer) -> Callable:
  """Returns a trainer's function for gradients; accumulation calls it."""
  return trainer._forward_and_backward_fn


def set_update(trainer, update: Callable) -> None:
  """Sets the function by which a trainer updates weights and slots."""
  trainer._accelerated_update_fn = update


def single_update(forward_and_backward, optimizer) -> Callable:
  """Returns Trax's compiled update of one device, the same as without ours."""
  return trax_trainer._accelerate_update_fn(
    forward_and_backward, optimizer, n_devices=1
  )


def commit(trainer, device: jax.Device) -> None:
  """Pins all that the update function changes to the device it runs on.

  Trax leaves the weights uncommitted until the first step has made new ones,
  which to XLA is another function to compile, and pins the slots to the CPU,
  even where there is a GPU.
  """
  model = trainer.model_with_loss
  weights, state, trainer.slots, trainer._opt_params = jax.device_put(
    (model.weights, model.state, trainer.slots, trainer._opt_params), device
  )
  trainer.accelerated_model_with_loss.replicate_weights(weights)
  trainer.accelerated_model_with_loss.replicate_state(state)
  trainer._slots = trainer.slots  # Its setter has moved them to the CPU.


def flat_slots(slots) -> list:
  """Returns the arrays of slots in the order in which Trax saves them."""
  return training._flatten_and_remove_empty(slots)


def set_stream(task, stream) -> None:
  """Gives a task another stream: Trax has no public name to set it."""
  task._labeled_data = stream


def open_summaries(writer, event_file) -> None:
  """Initialises a writer of summaries: Trax's would open a file of its own."""
  writer._event_writer = event_file
  writer._step, writer._closed, writer._enabled = 0, False, True


def seed_generators(seed: int) -> None:
  """Seeds Python, NumPy and TensorFlow as Trax's loop does when it is made."""
  training._init_random_number_generators(seed)
