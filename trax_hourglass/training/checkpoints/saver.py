"""Checkpoints written while training goes on."""

import gzip
import pickle
import threading

import jax
from jax import numpy as jnp
import numpy as np
from trax import layers as tl
from trax.supervised import training

from trax_hourglass.errors import UserError, warn
from trax_hourglass.training import finite
from trax_hourglass.training.checkpoints import find, folders, format, lineage

# Random float32 compresses by 7%, at 30 megabytes a second.
_LEVEL = 0


def snapshot(loop, extra) -> dict[str, object]:
  """Returns a copy in host memory of all that a checkpoint holds.

  Args:
    loop: A `Loop`.
    extra: What Trax has no place for: a tree of arrays and plain values.

  Returns:
    The contents by file name: a list of arrays; for `model.pkl.gz` Trax's
    dictionary; for `config.gin`, if the loop has one, its text.

  Raises:
    NotFiniteError: If a weight is not finite.
  """
  weights, state = tl.flatten_weights_and_state(
    loop.model.weights, loop.model.state
  )
  _, eval_state = tl.flatten_weights_and_state(
    loop.model.weights, loop.eval_model.state
  )
  files = {'model.weights.npy.gz': _copy(weights)}
  if loop.configuration is not None:
    files[folders.CONFIG] = loop.configuration
  if not all(_is_finite(x) for x in files['model.weights.npy.gz']):
    raise finite.NotFiniteError(
      f'a weight after step {loop.step} is not finite, so no checkpoint of it '
      'is written; lower the learning rate'
    )
  for i, trainer in enumerate(loop._trainer_per_task):
    slots = training._flatten_and_remove_empty(trainer.slots)
    files[f'model.opt_slots{i}.npy.gz'] = _copy(slots)
  files['model.pkl.gz'] = _copy(
    {
      'step': loop.step,
      'flat_weights': _LEVEL,  # A number: they are in a file of their own.
      'flat_state': state,
      'flat_eval_state': eval_state,
      'history': loop.history.to_dict(),
      'slots_per_task': _LEVEL,
      'input_signature': loop._batch_signature[: loop.model.n_in],
      'version_timestamp': 'Mar-10-2021',  # Of the format, as Trax calls it.
      format.EXTRA: extra,
    }
  )
  return files


class Saver:
  """Writes checkpoints into an output directory, one at a time, in a thread.

  Where one cannot be written, for the disk may be full, training goes on with
  a warning, and those written before stay as they are.

  Attributes:
    step: That of the newest checkpoint on disk; `None` if there is none.
    path: Its folder.
  """

  def __init__(
    self,
    directory: str,
    own: lineage.Lineage,
    keep_last: int,
    lowest=None,
    highest=None,
  ):
    """Writes checkpoints that continue `own`; the rest is as in `prune`."""
    self._directory = directory
    self._lineage = own
    self._retention = keep_last, lowest, highest
    self._thread = None
    self._error = None
    self._has_links = True
    self.step = self.path = None
    for newest in own.stored()[:1]:
      self.step, self.path = newest.step, newest.path

  def save(self, step: int, files: dict, **facts) -> None:
    """Starts to write what `snapshot` gave, after the former is written."""
    self.wait()
    arguments = step, files, facts
    self._thread = threading.Thread(target=self._write, args=arguments)
    self._thread.start()

  def record(self, metrics: dict[str, float]) -> None:
    """Records metrics in the newest checkpoint, which has the current state.

    The evaluation may have come after the checkpoint was written.
    """
    self.wait()
    path = self._lineage.newest_folder()
    if path is None or self._error or not metrics:
      return
    try:
      if folders.read_manifest(path)['metrics'] != metrics:
        folders.record_metrics(path, metrics)
    except (folders.DamagedError, OSError) as error:
      warn(f'{path}: cannot record its metrics ({error})')

  def link(self) -> None:
    """Points the links in the output directory to the newest checkpoint.

    A checkpoint that Trax wrote there stays until there is a newer one.
    """
    is_of_trax = find.written_by_trax(self._directory)
    if self.path is not None and not is_of_trax:
      self._link()

  @property
  def has_failed(self) -> bool:
    """Whether the last checkpoint could not be written."""
    return self._error is not None

  def wait(self) -> None:
    """Waits for the write under way; raises what is no matter of the disk."""
    if self._thread is not None:
      self._thread.join()
      self._thread = None
      if self._error and not isinstance(self._error, OSError):
        raise self._error

  def finish(self) -> None:
    """Waits, and raises a `UserError` if the last checkpoint is not on disk."""
    self.wait()
    if self._error:
      last = f'the last one is of step {self.step}' if self.path else 'none was'
      raise UserError(
        f'checkpoint: cannot be written to {self._directory} '
        f'({self._error.strerror}); {last}: make room, and the same command '
        'goes on from there'
      ) from self._error

  def _write(self, step, files, facts):
    writers = {name: _writer(content) for name, content in files.items()}
    try:
      self._error = None
      self.path = folders.write(self._directory, step, writers, **facts)
      self.step = step
      self._lineage.add(self.path)
      self._tidy(step)
    except OSError as error:
      self._error = error
      warn(
        f'checkpoint of step {step} cannot be written ({error.strerror}); '
        f'the last is of step {self.step}, training goes on'
      )
    except BaseException as error:  # Raised where it is waited for.
      self._error = error

  def _tidy(self, step):
    """Sets aside or removes checkpoints that the one just written replaces."""
    try:
      self._lineage.set_aside_others(step)
      self._link()
      folders.prune(self._directory, *self._retention, written=self.path)
    except OSError as error:
      warn(
        f'the checkpoint of step {step} is written, but older ones cannot be '
        f'removed ({error.filename}: {error.strerror})'
      )

  def _link(self):
    try:
      if self._has_links:
        folders.link_latest(self._directory, self.path)
    except OSError as error:
      self._has_links = False
      warn(
        f'{self._directory}: no symbolic links there ({error.strerror}), so '
        f'Trax finds checkpoints in {folders.FOLDER} alone'
      )


def _copy(tree):
  """Returns a tree with arrays of NumPy that nothing else changes."""

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


def _writer(content):
  """Returns a function that writes one of the contents of `snapshot`."""
  if isinstance(content, str):
    return lambda file: file.write(content.encode())
  is_pickled = isinstance(content, dict)
  return (_pickle_writer if is_pickled else _arrays_writer)(content)


def _pickle_writer(content):
  def write(file):
    with gzip.GzipFile('', 'wb', 1, file, mtime=0) as zipped:
      pickle.dump(content, zipped, protocol=pickle.HIGHEST_PROTOCOL)

  return write


def _arrays_writer(arrays):
  def write(file):
    with gzip.GzipFile('', 'wb', _LEVEL, file, mtime=0) as zipped:
      for x in arrays:
        # As Trax writes it: NumPy has no bfloat16.
        bits = x.view(np.uint16) if x.dtype == jnp.bfloat16 else x
        np.lib.format.write_array(zipped, bits, allow_pickle=False)

  return write
