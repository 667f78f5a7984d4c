"""What users get wrong, and the line that each command says of it.

A case is a command, what is added to its usual arguments (see `USUAL`), what
the line says of the mistake, and what it says that one can do. `$NAME` stands
for a path that `bad_places` makes.
"""

from typing import NamedTuple

from tests.commands import TINY


class Case(NamedTuple):
  """A command that fails.

  Attributes:
    command: The module's name in `trax_hourglass`.
    arguments: One, or several. A binding of gin needs no `--config=`.
    mistake: Part of the line that names it.
    remedy: Part of the line that says what was expected, or what to do.
    alone: Whether the usual arguments are left out.
    environment: Variables that are set.
  """

  command: str
  arguments: str | tuple[str, ...]
  mistake: str
  remedy: str
  alone: bool = False
  environment: dict[str, str] | None = None

  def argv(self) -> list[str]:
    """Returns the command line, `$NAME` in it."""
    given = self.arguments
    given = (given,) if isinstance(given, str) else given
    usual = () if self.alone else USUAL[self.command]
    return [self.command, *usual, *map(_flag, given)]


def _flag(argument):
  is_binding = ' = ' in argument and not argument.startswith('--')
  return f'--config={argument}' if is_binding else argument


USUAL = {
  'train': (
    f'--config_file={TINY}',
    '--output_dir=$new/run',
    "--config=trax_hourglass.text_file.path = '$text'",
  ),
  'evaluate': ('--output_dir=$run',),
  'generate': ('--output_dir=$run',),
  'export': ('--output_dir=$run', '--file=$new.safetensors'),
  'benchmark': (
    '--length=8',
    '--d_model=8',
    '--n_heads=2',
    '--hierarchy=1@1',
    '--baseline=1@1',
    '--dropout=0',
    '--output_dir=$new/benchmark',
  ),
  'memory': (f'--config_file={TINY}',),
  'plot_schedule': (f'--config_file={TINY}', '--output=$new.png'),
  'reproduce': ('--output_dir=$new/results',),
}

_MODEL = 'trax_hourglass.HourglassLM'
_TEXTS = 'trax_hourglass.text_inputs'
_PATH = 'trax_hourglass.text_file.path'
_WHOLE = 'expected a whole number of at least 1'
_FLAGS = '--helpfull lists the flags'
_GIN = 'correct the gin file or --config'
_LEAVE = 'leave it out'
_BY_NAME = 'expected a function by its name'
_PICTURES = (
  'train.inputs = @trax_hourglass.image_inputs',
  'trax_hourglass.image_inputs.images = @trax_hourglass.image_folder()',
  'trax_hourglass.image_inputs.batch_size = 2',
  'trax_hourglass.evaluate.text = None',
)
_HOSTS = ('--coordinator_address=first:1', '--num_processes=2')
_LEVELS = f"{_MODEL}.hierarchy = '0@1 1@2 0@1'"


def _pictures(folder):
  return (*_PICTURES, f"trax_hourglass.image_folder.path = '${folder}'")


def _enwik8(path):
  return (
    f'{_TEXTS}.text = @trax_hourglass.enwik8()',
    f"trax_hourglass.enwik8.path = '{path}'",
  )


ARGUMENTS = [
  Case('train', '--step=10', "Unknown command line flag 'step'", _FLAGS),
  Case('train', '--config_fil', "flag 'config_fil'", 'Did you mean: config_fi'),
  Case('train', '--output_dir', 'Missing value for flag --output_dir', _FLAGS),
  Case('train', '--disable_jit=maybe', '--disable_jit=maybe', _FLAGS),
  Case('train', '--log_level=loud', "'loud'", _FLAGS),
  Case('train', 'enwik8', "argument 'enwik8'", 'write --NAME=VALUE'),
  Case(
    'train',
    ('--config', f'{_MODEL}.d_model', '=', '64'),  # Quotes are missing.
    "argument '='",
    'in quotes if it contains',
  ),
  Case('train', '--gpu_cluster_port=1', '--gpu_cluster_port has no', _LEAVE),
  Case('train', '--xm', '--xm has no effect any more', _LEAVE),
  Case('train', '--use_tpu', '--use_tpu has no effect any more', _LEAVE),
  Case(
    'train',
    '--data_dir=data',
    '--data_dir has no effect on trax_hourglass.text_in',
    'bind its data',
  ),
  Case(
    'evaluate', '--nothing=1', "Unknown command line flag 'nothing'", _FLAGS
  ),
  Case('evaluate', '--train_batch_size=3', '--train_batch_size has no', _LEAVE),
  Case('evaluate', 'run', "argument 'run'", 'expected flags only'),
  Case(
    'evaluate',
    ('--checkpoint=a', '--init_checkpoint=b'),
    '--checkpoint and --init_checkpoint are both given',
    'expected one',
  ),
  Case(
    'generate', '--nothing=1', "Unknown command line flag 'nothing'", _FLAGS
  ),
  Case('generate', '--length=0', 'length: got 0', _WHOLE),
  Case('generate', '--length=many', "'many'", _FLAGS),
  Case('generate', '--length=41', 'length: got 41 tokens', 'generate less'),
  Case(
    'generate',
    '--prompt=' + 'a' * 40,
    'prompt: got 40 tokens',
    'shorten the prompt',
  ),
  Case(
    'generate',
    ('--prompt=' + 'a' * 9, '--length=32'),
    'length: got 32 tokens after a prompt of 9',
    'expected at most 31',
  ),
  Case('generate', '--top_p=0', 'top_p: got 0.0', 'a number in (0, 1]'),
  Case('generate', '--top_p=1.5', 'top_p: got 1.5', 'a number in (0, 1]'),
  Case('generate', '--top_k=0', 'top_k: got 0', _WHOLE),
  Case('generate', '--top_k=a', 'top_k=a', _FLAGS),
  Case('generate', '--temperature=-1', 'temperature: got -1.0', 'at least 0'),
  Case('generate', '--temperature=inf', 'temperature: got inf', 'at least 0'),
  Case('generate', ('--seed=-1', '--length=2'), 'seed: got -1', 'at least 0'),
  Case(
    'generate',
    (f'--seed={10**20}', '--length=2'),
    f'seed: got {10**20}',
    'below 2**63',
  ),
  Case(
    'generate',
    ('--prompt=a', '--prompt_file=b'),
    '--prompt and --prompt_file are both given',
    'expected one',
  ),
  Case('generate', '--prompt_file=$broken.gz', 'broken or tru', 'fetch it'),
  Case('generate', '--prompt_file=$none', '$none: cannot', 'check that it is'),
  Case(
    'generate', '--prompt_file=$folder', 'Is a directory', 'check that it i'
  ),
  Case('generate', '--completions=2', '--completions has no effect', _LEAVE),
  Case(
    'generate',
    ('--output_dir=$image_run', '--prompt=a'),
    '--prompt has no effect on a model of images',
    _LEAVE,
  ),
  Case(
    'generate',
    ('--output_dir=$image_run', '--length=3'),
    '--length has no effect on a model of images',
    _LEAVE,
  ),
  Case(
    'generate',
    ('--output_dir=$image_run', '--images=20'),
    'images: got 20',
    'expected numbers from 0 to 19',
  ),
  Case(
    'generate',
    ('--output_dir=$image_run', '--images='),
    "--images: got ''",
    'expected numbers',
  ),
  Case(
    'generate',
    ('--output_dir=$image_run', '--completions=0'),
    'completions: got 0',
    _WHOLE,
  ),
  Case(
    'export',
    '--output_dir=$run',
    '--file: not given',
    'as --file=model.safetensors',
    alone=True,
  ),
  Case(
    'export',
    '--file=$none/model.safetensors',
    '$none/model.safetensors: cannot be written',
    'give another file',
  ),
  Case('export', '--dataset_dir=x', "'dataset_dir'", _FLAGS),
  Case('export', '--num_processes=2', '--num_processes has no', _LEAVE),
  Case(
    'export',
    f'{_MODEL}.d_model = 4',
    'weight array 0 has shape (256, 8)',
    'use the configuration it was trained with',
  ),
  Case('benchmark', '--nothing', "Unknown command line flag 'nothing'", _FLAGS),
  Case('benchmark', '--length=0', '--length: got 0', _WHOLE),
  Case('benchmark', '--repeats=0', '--repeats: got 0', _WHOLE),
  Case('benchmark', '--d_model=-8', '--d_model: got -8', _WHOLE),
  Case(
    'benchmark',
    '--n_heads=3',
    'd_model 8',
    'an even number that n_heads 3 divides',
  ),
  Case('benchmark', '--dropout=a', "--dropout: got 'a'", 'expected rates'),
  Case('benchmark', '--dropout=0,1.5', "--dropout: got '1.5'", 'below 1'),
  Case('benchmark', '--hierarchy=2@', "'2@'", 'of the form N@f'),
  Case('benchmark', '--baseline=1@2', "--baseline: got '1@2'", 'such as 12@1'),
  Case(
    'benchmark',
    '--what=step,back',
    "--what: got 'back'",
    'expected some of step, gradient',
  ),
  Case('benchmark', '--what=', "--what: got ''", 'expected some of'),
  Case(
    'benchmark',
    '--models=ours',
    "--models: got 'ours'",
    'expected some of trax_hourglass',
  ),
  Case('benchmark', '--config=STEPS = 1', '--config has no effect', _LEAVE),
  Case('benchmark', '--config_file=a.gin', '--config_file has no', _LEAVE),
  Case('benchmark', '--safe', '--safe has no effect here', _LEAVE),
  Case(
    'benchmark',
    '--table1',
    '--length has no effect with --table1',
    '--config changes what its gin files say',
  ),
  Case('benchmark', '--generation', '--dropout has no effect with', _LEAVE),
  Case(
    'benchmark',
    ('--generation', '--length=3', '--output_dir=$new'),
    '--length: got 3 tokens',
    'give more',
    alone=True,
  ),
  Case('memory', '--tokens=0', '--tokens: got 0', _WHOLE),
  Case('memory', '--output_dir=x', '--output_dir has no effect here', _LEAVE),
  Case('memory', '--init_checkpoint=x', '--init_checkpoint has no', _LEAVE),
  Case('memory', '--num_processes=2', '--num_processes has no effect', _LEAVE),
  Case(
    'memory',
    'train.inputs = @trax_hourglass.image_inputs',
    '--tokens: not given',
    'such as --tokens=3072',
  ),
  Case('plot_schedule', '--output_dir=x', '--output_dir has no eff', _LEAVE),
  Case(
    'plot_schedule',
    '--output=$none/rate.png',
    '$none/rate.png: cannot be written',
    'give another file',
  ),
  Case(
    'plot_schedule', '--output=$folder', 'got a folder', 'the name of a file'
  ),
  Case('reproduce', '--study=table99', "got 'table99'", 'expected some of'),
  Case('reproduce', '--safe', '--safe has no effect here', _LEAVE),
  Case(
    'reproduce',
    ('--page', '--study=figure8'),
    '--study has no effect with --page',
    'leave one of them out',
  ),
]

GIN = [
  Case(
    'train',
    '--output_dir=$new',
    'train.model is not bound',
    '--config_file=quickstart.gin',
    alone=True,
  ),
  Case(
    'train',
    '--config_file=nothing.gin',
    'Unable to open file: nothing.gin',
    'a file in gin/, such as quickstart.gin',
  ),
  Case(
    'train', '--config_file=$folder', '$folder', 'give --config_file a path'
  ),
  Case(
    'train',
    '--config=include "nothing.gin"',
    'Unable to open file: nothing.gin',
    'give --config_file a path',
  ),
  Case(
    'train',
    '--config_file=$model_file',
    'model.pkl.gz is not a text file',
    'a gin file',
  ),
  Case(
    'train',
    '--config_file=$utf16',
    'is not a text file',
    'give a gin file in UTF-8',
  ),
  Case(
    'train',
    '--config_file=$includes_binary',
    'is not a text file',
    'give a gin file',
  ),
  Case('train', '--config_file=$includes_itself', 'includes itself', 'remove'),
  Case('train', '--config_file=$wrong', "named 'modle'", _GIN),
  Case('train', 'train.modle = 1', "a parameter named 'modle'", _GIN),
  Case('train', 'trian.model = 1', "No configurable matching 'trian'", _GIN),
  Case('train', 'train.model = @nothing', "reference '@nothing'", _GIN),
  Case('train', 'train.steps = (1,', 'EOF in multi-line statement', _GIN),
  Case('train', '--config=train.steps 1', 'train.steps 1', _GIN),
  Case('train', 'train.optimizer = Adam', "token 'Adam'", _GIN),
  Case(
    'train', '--config=import nothing.at', "No module named 'nothing'", _GIN
  ),
  Case(
    'train', 'train.model = @HourglassLM', 'Ambiguous selector', 'write one'
  ),
  Case('train', 'train.model = %gin.REQUIRED', '`%gin.REQUIRED`', _GIN),
  Case(
    'train', 'train.steps = %STEPS', '%STEPS is used and not bound', 'STEPS ='
  ),
  Case('train', "train.model = 'HourglassLM'", "got 'HourglassLM'", _BY_NAME),
  Case(
    'train',
    f'train.model = @{_MODEL}()',
    f'train.model: got @{_MODEL}()',
    'without ()',
  ),
  Case(
    'train',
    'train.model = @trax_hourglass.Hourglass',
    'Hourglass: got an input of shape (2, 16)',
    'HourglassLM takes tokens',
  ),
  Case(
    'train',
    'train.model = @trax_hourglass.wikipedia_sample',
    "wikipedia_sample() got an unexpected keyword argument 'mode'",
    'correct the types of its bindings',
  ),
  Case(
    'train',
    'train.optimizer = @trax.optimizers.Adam()',
    'train.optimizer: got @trax.optimizers.Adam()',
    _BY_NAME,
  ),
  Case('train', "Adam.b1 = 'x'", "Adam: Value 'x'", 'correct the types'),
  Case('train', 'train.lr_schedule_fn = 0.1', 'lr_schedule_fn: got', _BY_NAME),
  Case(
    'train', "lr_schedules.constant.value = 'a'", "the rate 'a'", 'a number'
  ),
  Case(
    'train',
    'train.lr_schedule_fn = @trax_hourglass.warmup_cosine',
    "warmup_cosine: nothing is bound to ['cycle_steps', 'peak', 'warmup",
    "bind it, as in --config='warmup_cosine.",
  ),
  Case('train', 'train.metrics = {"a": 3}', "got {'a': 3}", 'expected layers'),
  Case(
    'train', 'train.loss_fn = 3', 'train.loss_fn: got 3', 'expected a layer'
  ),
  Case(
    'train', 'train.inputs = None', 'train.inputs: got None', 'such as @trax'
  ),
  Case('train', 'train.use_loop = False', 'use_loop: got False', _LEAVE),
  Case('train', "train.steps = 'a'", "train.steps: got 'a'", _WHOLE),
  Case('train', 'train.steps = None', 'train.steps: got None', _WHOLE),
  Case('train', 'train.eval_steps = 0', 'train.eval_steps: got 0', _WHOLE),
  Case('train', 'train.eval_frequency = 0', 'eval_frequency: got 0', _WHOLE),
  Case('train', 'train.random_seed = 1.5', 'seed: got 1.5', 'a whole number'),
  Case('train', 'train.permanent_checkpoint_frequency = 0', 'got 0', _WHOLE),
  Case('train', 'train.permanent_checkpoints_at = 5', 'at: got 5', 'a list'),
  Case(
    'train',
    "train.checkpoint_lowest = 'bits'",
    "got 'bits'",
    "expected one of the metrics ['bits_per_byte']",
  ),
  Case(
    'train', 'trax_hourglass.Loop.keep_last = 0', 'keep_last: got 0', _WHOLE
  ),
  Case(
    'train',
    'trax_hourglass.Loop.skip_nonfinite = 1',
    'skip_nonfinite: got 1',
    'expected True or False',
  ),
  Case('train', f"{_MODEL}.hierarchy = '1@x'", "'1@x' is not of", 'form N@f'),
  Case(
    'train',
    f"{_MODEL}.hierarchy = '1@1 1@2'",
    "'1@1' faces '1@2'",
    'sides may differ only in',
  ),
  Case(
    'train',
    f"{_MODEL}.hierarchy = '2@2 4@3 2@2'",
    'total shorten factor 3',
    'not a multiple of the 2 around it',
  ),
  Case(
    'train',
    f'{_MODEL}.n_heads = 3',
    'd_model 8',
    'an even number that n_heads 3 divides',
  ),
  Case('train', f'{_MODEL}.d_ff = 8.5', 'd_ff: got 8.5', _WHOLE),
  Case('train', f'{_MODEL}.dropout = 1.0', 'dropout: got 1.0', 'below 1'),
  Case(
    'train',
    f"{_MODEL}.activation_dtype = 'float16'",
    "activation_dtype: got 'float16'",
    "expected one of ('float32', 'bfloat16')",
  ),
  Case(
    'train',
    (_LEVELS, f"{_MODEL}.ff_activation = 'relu'"),
    "ff_activation: got 'relu'",
    'expected the function that makes the layer',
  ),
  Case(
    'train',
    (_LEVELS, f'{_MODEL}.upsampling_fn = @trax_hourglass.AveragePooling'),
    'upsampling_fn: got AveragePooling',
    'a resampler that upsamples, such as LinearUpsampling',
  ),
  Case(
    'train',
    (_LEVELS, f'{_MODEL}.middle_attn_type = 3'),
    'attention type: got 3',
    'such as RelativeAttention',
  ),
  Case(
    'train',
    ('--safe', '--config_file=$imports'),
    '--safe: got an import of this_would_have_run in $imports',
    'leave --safe out if you trust it',
  ),
  Case(
    'train', ('--safe', '--config_file=$includes_itself'), 'itself', 'remove'
  ),
  Case('evaluate', '--config_file=$imports', 'this_would_have_run', _GIN),
  Case(
    'evaluate', 'train.model = None', 'train.model is not bound', 'give a co'
  ),
  Case('evaluate', 'train.model = 3', 'train.model: got 3', _BY_NAME),
  Case(
    'evaluate', 'evaluate.text = None', 'evaluate_images.images is bound', '='
  ),
  Case(
    'evaluate',
    'evaluate_images.images = @photos32()',
    'are both bound',
    'bind the other one to None',
  ),
  Case('evaluate', 'evaluate.step = 17', 'step: got 17', 'at most the length'),
  Case('generate', "train.model = 'x'", "train.model: got 'x'", _BY_NAME),
  Case(
    'generate',
    'train.model = @trax.models.HourglassLM',
    "trax.models.HourglassLM has no mode 'predict'",
    'give --model=trax_hourglass.HourglassLM',
  ),
  Case('benchmark', ('--table1', f'{_MODEL}.x = 1'), "'x'", _GIN, alone=True),
  Case(
    'train',
    'train.optimizer = @trax_hourglass.Optax',
    'transformation: got None',
    'as @optax.adamw(), with ()',
  ),
  Case(
    'memory',
    (
      'train.optimizer = @trax_hourglass.Optax',
      'trax_hourglass.Optax.transformation = @optax.adamw()',
      "trax_hourglass.Optax.rates = {'level_1.*': 0.5}",
    ),
    "rates: got the pattern 'level_1.*', which no weight matches",
    'expected one for names such as embedding.embedding, level_0.norm.scale',
  ),
  Case('memory', 'train.model = 3', 'train.model: got 3', _BY_NAME),
  Case('memory', 'train.optimizer = None', 'optimizer: got None', _BY_NAME),
  Case('memory', 'train.inputs = None', 'train.inputs is not bound', 'bind it'),
  Case('memory', f'{_TEXTS}.length = 0', f'{_TEXTS}.length: got 0', _WHOLE),
  Case(
    'memory',
    ('train.inputs = @trax_hourglass.image_inputs', '--tokens=3072'),
    'trax_hourglass.image_inputs.batch_size: got None',
    _WHOLE,
  ),
  Case('plot_schedule', 'train.steps = 0', 'train.steps: got 0', _WHOLE),
  Case(
    'plot_schedule',
    'train.steps = None',
    'train.steps is not bound',
    '--config_file=quickstart.gin',
  ),
  Case('plot_schedule', 'train.lr_schedule_fn = None', 'got None', _BY_NAME),
]

DATA = [
  Case('train', f"{_PATH} = '$none'", '$none: cannot be read', 'check that it'),
  Case('train', f"{_PATH} = '$folder'", 'Is a directory', 'check that it is a'),
  Case('train', f'{_PATH} = None', 'path: got None', 'the name of a file'),
  Case('train', f"{_PATH} = '$empty'", 'got an empty file', 'some text'),
  Case('train', f"{_PATH} = '$short'", 'got 2 bytes', 'give a longer text'),
  Case('train', f"{_PATH} = '$broken.gz'", 'broken or trunc', 'fetch it again'),
  Case('train', f"{_PATH} = '$two.zip'", '2 files in the zip', 'unpack it'),
  Case('train', f"{_PATH} = '$seven'", 'got a 7-Zip file', 'unpack it'),
  Case('train', _enwik8('$text'), 'got 2,000 bytes', 'fetch it again from'),
  Case('train', _enwik8('$truncated_zip'), 'broken or trunc', 'fetch it again'),
  Case('train', _enwik8('$other_zip'), 'got 16 bytes', 'fetch it again from'),
  Case(
    'train',
    (
      f'{_TEXTS}.text = @trax_hourglass.enwik8()',
      "trax_hourglass.enwik8.data_dir = '$new'",
    ),
    'got no file in $new',
    'set path, or download=True',
  ),
  Case(
    'train', f"{_TEXTS}.text = 'book.txt'", "got 'book.txt'", 'such as @trax'
  ),
  Case(
    'train',
    f'{_TEXTS}.text = @trax_hourglass.photos32()',
    "text: got Images('photos32",
    'expected a Text, such as @trax_hourglass.wikipedia_sample()',
  ),
  Case(
    'train', f'{_TEXTS}.length = 5000', 'got 1,800 bytes', 'shorter windows'
  ),
  Case('train', f'{_TEXTS}.length = 0', 'length: got 0', _WHOLE),
  Case(
    'train', f'{_TEXTS}.stride = 17', 'stride: got 17', 'at most the length'
  ),
  Case('train', f'{_TEXTS}.seed = -1', 'seed: got -1', 'at least 0'),
  Case(
    'train',
    f'{_MODEL}.vocab_size = 200',
    'a batch: got a token 2',
    'expected tokens from 0 to 199',
  ),
  Case(
    'train',
    "trax_hourglass.evaluate.split = 'tset'",
    "split: got 'tset'",
    "expected one of ('train', 'validation', 'test')",
  ),
  Case(
    'train', "evaluate.text = 'book.txt'", "got 'book.txt'", 'such as @trax'
  ),
  Case('train', 'evaluate.step = 17', 'step: got 17', 'at most the length, 16'),
  Case('train', _pictures('folder'), '$folder: got no image', 'PNG or JPEG'),
  Case('train', _pictures('sizes'), 'an image of 3x3', 'the same size'),
  Case('train', _pictures('grey'), 'got a grey image', 'convert or remove it'),
  Case(
    'train', _pictures('undecodable'), 'cannot be decoded', 'fetch it again'
  ),
  Case('train', _pictures('one'), 'got 0 images', 'give more images'),
  Case(
    'train',
    (*_pictures('grey'), "trax_hourglass.image_inputs.images = 'photos'"),
    "images: got 'photos'",
    'such as @trax_hourglass.photos32()',
  ),
  Case(
    'train',
    (
      *_PICTURES,
      'trax_hourglass.image_inputs.images = @trax_hourglass.imagenet32()',
      "trax_hourglass.imagenet32.data_dir = '$new/images'",
    ),
    'got no train_32x32.tar in $new/images',
    'set data_dir',
  ),
  Case('evaluate', f"{_PATH} = '$none'", '$none: cannot be read', 'check that'),
  Case('evaluate', 'evaluate.n_bytes = 0', 'n_bytes: got 0', _WHOLE),
  Case(
    'generate',
    (
      '--output_dir=$image_run',
      "trax_hourglass.image_inputs.eval_split = 'tset'",
    ),
    "split: got 'tset'",
    'expected one of',
  ),
]

CHECKPOINTS = [
  Case('evaluate', (), 'checkpoint: not given', 'use --checkpoint', alone=True),
  Case('generate', (), 'checkpoint: not given', 'use --checkpoint', alone=True),
  Case(
    'evaluate', '--checkpoint=$none', '$none does not exist', 'give a *.pkl'
  ),
  Case('generate', '--checkpoint=$folder', 'no model.pkl.gz', 'train there'),
  Case(
    'evaluate', '--checkpoint=$run/config.gin', 'cannot be read', 'another o'
  ),
  Case('evaluate', '--checkpoint=$truncated', 'truncated', 'use another one'),
  Case('generate', '--checkpoint=$list', 'is not a checkpoint', 'of a run'),
  Case(
    'evaluate', '--checkpoint=$nothing_in_it', 'is not a checkpoint', 'of a run'
  ),
  Case('evaluate', '--output_dir=$damaged', 'are damaged', 'put one back'),
  Case('generate', '--output_dir=$damaged', 'are damaged', 'put one back'),
  Case('train', '--output_dir=$damaged', 'are damaged', 'to start again'),
  Case(
    'evaluate', f'{_MODEL}.d_model = 16', "model's (256, 16)", 'trained with'
  ),
  Case(
    'generate', f'{_MODEL}.d_model = 16', "model's (256, 16)", 'trained with'
  ),
  Case('generate', f'{_MODEL}.vocab_size = 65', '(256, 8)', 'trained with'),
  Case(
    'evaluate', f"{_MODEL}.hierarchy = '1@1'", 'weight arrays', 'trained wit'
  ),
  Case(
    'train',
    ('--output_dir=$run', f'{_MODEL}.d_model = 16'),
    "has shape (256, 8), expected the model's (256, 16)",
    'use the configuration it was trained with, or another directory',
  ),
  Case(
    'train',
    ('--output_dir=$run', 'train.optimizer = @trax.optimizers.SGD'),
    'got 10 optimizer slot arrays',
    'use the configuration it was trained with, or another directory',
  ),
  Case(
    'train', '--init_checkpoint=$none', '$none does not exist', 'give a *.p'
  ),
  Case('train', 'train.init_checkpoint = 3', 'got 3', 'the name of a check'),
  Case('train', '--pretrained=$none', "got '$none', expec", 'one of these:'),
  Case('train', '--pretrained=$folder', 'a folder without mod', 'one of these'),
  Case('memory', '--pretrained=x', '--pretrained has no effect', _LEAVE),
  Case(
    'train',
    "train.init_checkpoint = 'pretrained://x'",
    "pretrained: got 'x'",
    'the name of one of these:',
  ),
  Case(
    'train',
    ('--init_checkpoint=$run', f'{_MODEL}.d_model = 16'),
    "expected the model's (256, 16)",
    'use the configuration',
  ),
  Case('train', '--init_checkpoint=$hostile', 'names posix.mkdir', 'use a che'),
  Case('train', '--output_dir=$hostile', 'names posix.mkdir', 'use a check'),
  Case('train', '--output_dir=$hostile_counters', 'posix.mkdir', 'delete it'),
  Case('evaluate', '--init_checkpoint=$hostile', 'posix.mkdir', 'use a check'),
  Case('generate', '--checkpoint=$hostile', 'posix.mkdir', 'use a checkpoint'),
]

DEVICES = [
  Case(
    'train',
    'num_devices.value = 3',
    'batch_size: got 2',
    'expected a multiple of the 3 devices, such as 3',
  ),
  Case(
    'train',
    ('num_devices.value = 3', f'{_TEXTS}.batch_size = 6'),
    'num_devices: got 3',
    'expected 1, all that JAX finds here',
  ),
  Case(
    'train',
    (f'{_TEXTS}.batch_size = 6', 'trax_hourglass.Loop.device_batch_size = 4'),
    'device_batch_size: got 4',
    'one of 1, 2, 3, 6',
  ),
  Case(
    'train',
    'trax_hourglass.Loop.device_batch_size = 0',
    'device_batch_size: got 0',
    _WHOLE,
  ),
  Case('memory', '--devices=0', '--devices: got 0', _WHOLE),
  Case('memory', '--devices=many', "'many'", _FLAGS),
  Case(
    'memory',
    '--devices=4',
    'batch_size: got 2',
    'expected a multiple of the 4 devices, such as 4',
  ),
  *(
    Case(command, flags, mistake, remedy)
    for command in ('train', 'evaluate')
    for flags, mistake, remedy in (
      ('--num_processes=2', '--coordinator_address: not given', 'together'),
      (_HOSTS, '--process_id: not given', 'expected --coordinator_address'),
      (
        ('--coordinator_address=first', '--num_processes=2', '--process_id=0'),
        "--coordinator_address: got 'first'",
        'expected HOST:PORT',
      ),
      ((*_HOSTS, '--process_id=2'), '--process_id: got 2', 'from 0 to 1'),
      (
        (*_HOSTS, '--num_processes=0', '--process_id=0'),
        '--num_processes: got 0',
        _WHOLE,
      ),
    )
  ),
]

ENVIRONMENT = [
  Case('train', '--output_dir=gs://a/b', 'gs://a/b', 'use a local folder'),
  Case('benchmark', '--output_dir=gs://a', 'got gs://a', 'use a local folder'),
  Case('reproduce', '--output_dir=gs://a', 'got gs://a', 'use a local folder'),
  Case(
    'generate',
    ('--checkpoint=$image_run', '--output_dir=gs://a'),
    '--output_dir: got gs://a',
    'use a local folder',
  ),
  Case('export', '--file=gs://a', 'got gs://a', 'use a local folder'),
  Case('plot_schedule', '--output=gs://a', 'got gs://a', 'use a local folder'),
  Case('evaluate', '--html=gs://a', 'got gs://a', 'use a local folder'),
  Case(
    'evaluate',
    '--checkpoint=moon://a/run',
    'moon://a/run: cannot be',
    'check the address',
  ),
  Case(
    'generate',
    '--prompt_file=memory://none',
    'memory://none: there is no such file',
    'check the address',
  ),
  Case(
    'train',
    "trax_hourglass.text_file.path = 'memory://none'",
    'memory://none: there is no such file',
    'check the address',
  ),
  Case('train', '--output_dir=$text', 'cannot write to $text', 'give another'),
  Case(
    'train', '--output_dir=$text/run', 'cannot write to $text/run', 'give an'
  ),
  Case('train', '--output_dir=/proc', 'cannot write to /proc', 'give another'),
  Case('train', '--output_dir=$dangling', 'cannot write to', 'give another'),
  Case('train', '--output_dir=$occupied', 'train is a file', 'take it away'),
  Case('train', '--output_dir=$lock_folder', 'Is a directory', 'take it away'),
  Case(
    'benchmark', '--output_dir=$text', 'cannot write to $text', 'give anoth'
  ),
  Case(
    'benchmark', '--output_dir=/proc/x', 'cannot write to /proc', 'give ano'
  ),
  Case(
    'reproduce', '--output_dir=$text', 'cannot write to $text', 'give anoth'
  ),
  Case(
    'generate',
    ('--checkpoint=$image_run', '--output_dir=$text'),
    'cannot write to $text',
    'give another',
  ),
  Case(
    'train',
    (),
    "SLURM_STEP_NUM_TASKS: got 'two' in the environment",
    'unset it',
    environment={'SLURM_STEP_NUM_TASKS': 'two'},
  ),
  Case(
    'evaluate',
    (),
    "OMPI_COMM_WORLD_SIZE: got '-2' in the environment",
    'expected a number of processes',
    environment={'OMPI_COMM_WORLD_SIZE': '-2'},
  ),
]

CASES = {
  'arguments': ARGUMENTS,
  'gin': GIN,
  'data': DATA,
  'checkpoints': CHECKPOINTS,
  'devices': DEVICES,
  'environment': ENVIRONMENT,
}

# Each in a process of its own: what can only be seen there, where it can.
PROCESSES = [
  Case(
    'train',
    (),
    "devices: Unable to initialize backend 'gpux'",
    'name one of this machine, such as cpu',
    environment={'JAX_PLATFORMS': 'gpux'},
  ),
  Case(
    'evaluate',
    (),
    'hosts: coordinator_address should be defined',
    'start all of them with it, or with --coordinator_address',
    environment={'SLURM_STEP_NUM_TASKS': '2'},
  ),
  Case(
    'generate', '--checkpoint=$none', '$none does not exist', 'give a *.pkl'
  ),
  Case('export', '--checkpoint=$none', '$none does not exist', 'give a *.pkl'),
  Case(
    'benchmark', '--output_dir=$text', 'cannot write to $text', 'give anoth'
  ),
  Case(
    'memory',
    '--devices=3',
    'batch_size: got 2',
    'expected a multiple of the 3 devices, such as 3',
  ),
  Case(
    'plot_schedule',
    '--config_file=nothing.gin',
    'Unable to open file: nothing.gin',
    'such as quickstart.gin',
  ),
  Case('reproduce', '--study=table99', "got 'table99'", 'expected some of'),
]
