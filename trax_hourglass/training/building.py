"""The loop that Trax's `train` builds from gin bindings, before it is run."""

import contextlib
import dataclasses
from unittest import mock

from trax.layers import base
from trax.supervised import trainer_lib, training

from trax_hourglass import pretrained_models
from trax_hourglass.training import trax_internals
from trax_hourglass.training.checkpoints import find, load
from trax_hourglass.training.loop import Loop


@dataclasses.dataclass
class Built:
  """A loop that is built and not yet run; Trax's `train` runs it as a loop.

  Attributes:
    loop: The loop.
    n_steps: The steps that are left for `loop.run`, 0 if there are none.
  """

  loop: Loop
  n_steps: int = 0

  @property
  def step(self) -> int:
    return self.loop.step

  def run(self, n_steps: int) -> None:
    self.n_steps = n_steps


def build(output_dir: str | None, random_seed: int, **options) -> Built:
  """Returns the loop that Trax's `train` builds from its gin bindings.

  Call `built.loop.run(built.n_steps)` to train.

  Args:
    output_dir: The output directory.
    random_seed: Seeds the generators of Python and NumPy, because streams are
      drawn from before the loop seeds them. Bind `train.random_seed` to it,
      too.
    **options: Arguments of `options.options`.
  """
  trax_internals.seed_generators(random_seed)
  with replacing_trax_loop(**options):
    return trainer_lib.train(output_dir=output_dir)


@contextlib.contextmanager
def replacing_trax_loop(**options):
  """Lets Trax's `train`, called in the body, build our loop and return `Built`.

  `train` has no argument for the class of its loop and runs the loop at once.
  So in the body `Loop` of Trax's module is a function that makes a `Built`.
  `train` reads `init_checkpoint` wherever ours are found, addresses included,
  and what `export` wrote.

  Args:
    **options: Arguments of `options.options`.
  """

  def init_from_file(layer, file_name, *args, **given):
    path = find.find_checkpoint(file_name)
    if path.endswith(pretrained_models.SUFFIX):
      return load.load_weights(layer, path, layer.tokens_signature)
    return from_file(layer, path, *args, **given)

  from_file = base.Layer.init_from_file
  with (
    mock.patch.object(
      training,
      'Loop',
      lambda *args, **given: Built(Loop(*args, **given, **options)),
    ),
    mock.patch.object(base.Layer, 'init_from_file', init_from_file),
  ):
    yield
