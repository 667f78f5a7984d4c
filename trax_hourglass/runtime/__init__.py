"""Repairs that let an unchanged trax 1.4.1 run well on today's JAX.

`apply` runs when `trax_hourglass` is imported. Every repair is one function
that names its cause, changes nothing where the cause is absent, and may run
again.
"""

from trax_hourglass.runtime import (
  importing,
  initialising,
  lazy_tensorflow,
  replacing,
)
from trax_hourglass.runtime.lazy_tensorflow import (
  import_trainer,
  leave_gpu_to_jax,
  when_tensorflow_loads,
)


def apply():
  """Imports Trax and applies every repair."""
  # Before anything is compiled.
  importing.no_library_fusions()
  with (
    lazy_tensorflow.deferred(),
    importing.no_tensorflow_notices(),
    importing.no_gym_notice(),
    importing.cheap_stack(),
  ):
    import trax.layers
  lazy_tensorflow.quiet()
  replacing.provide_xla_extension()
  replacing.repair_tree_unflatten()
  replacing.rename_host_count()
  replacing.keep_on_own_cpu()
  replacing.name_operands_of_cond()
  replacing.leave_integers_static()
  replacing.add_small_norms_together()
  replacing.trace_equal_updates_once()
  replacing.take_empty_arrays()
  replacing.skip_whole_examples()
  replacing.ignore_gzip_warning()
  initialising.infer_shapes_once()
  initialising.forget_failed_inits()
  initialising.cheap_keys()
