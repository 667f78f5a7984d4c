"""The loop that Trax's `train` builds from gin bindings, before it is run."""

import contextlib
import dataclasses

from trax.supervised import trainer_lib, training

from trax_hourglass.training import trax_internals
from trax_hourglass.training.loop import Loop


@dataclasses.dataclass
class Built:
  """A loop and the run that is asked of it; Trax's `train` takes it for a loop.

  Attributes:
    loop: The loop.
    n_steps: How many steps it has left, to be given to `loop.run`; 0 if it has
      already trained as many as `train.steps` or more.
  """

  loop: Loop
  n_steps: int = 0

  @property
  def step(self) -> int:
    return self.loop.step

  def run(self, n_steps: int) -> None:
    self.n_steps = n_steps


def build(output_dir: str | None, random_seed: int, **options) -> Built:
  """Returns the loop that `trax.supervised.trainer_lib.train` builds.

  That takes its arguments from gin bindings.

  Args:
    output_dir: The output directory.
    random_seed: Seeds Python's and NumPy's generators, as the loop itself will:
      streams are drawn from before it is made. Bind `train.random_seed` to it.
    **options: Arguments of `options.options`.
  """
  trax_internals.seed_generators(random_seed)
  with replacing_trax_loop(**options):
    return trainer_lib.train(output_dir=output_dir)


@contextlib.contextmanager
def replacing_trax_loop(**options):
  """Lets Trax's `train`, called in the body, return a `Built` of our loop.

  `train` makes its loop by the name `Loop` of Trax's module and runs it at
  once. It takes no class for it, so the name stands for our loop in the body.

  Args:
    **options: Arguments of `options.options`.
  """
  trax_loop = training.Loop
  training.Loop = lambda *args, **given: Built(Loop(*args, **given, **options))
  try:
    yield
  finally:
    training.Loop = trax_loop
