"""Mistakes in what gin files and `--config` bind."""

from tests.bad_inputs.cases import LEAVE, MODEL, TEXTS, WHOLE, Case

_GIN = 'correct the gin file or --config'
_BY_NAME = 'expected a function by its name'
_LEVELS = f"{MODEL}.hierarchy = '0@1 1@2 0@1'"

CASES = [
  Case(
    'train',
    '--output_dir=$new',
    'train.model is not bound',
    '--config_file=quickstart.gin',
    alone=True,
  ),
  Case(
    'train',
    '--output_dir=$run',
    'no configuration is given; the run in $run resumes with',
    '--config_file=$run/checkpoints/step_00000001/config.gin',
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
    f'train.model = @{MODEL}()',
    f'train.model: got @{MODEL}()',
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
  Case('train', 'train.use_loop = False', 'use_loop: got False', LEAVE),
  Case('train', "train.steps = 'a'", "train.steps: got 'a'", WHOLE),
  Case('train', 'train.steps = None', 'train.steps: got None', WHOLE),
  Case('train', 'train.eval_steps = 0', 'train.eval_steps: got 0', WHOLE),
  Case('train', 'train.eval_frequency = 0', 'eval_frequency: got 0', WHOLE),
  Case('train', 'train.random_seed = 1.5', 'seed: got 1.5', 'a whole number'),
  Case('train', 'train.permanent_checkpoint_frequency = 0', 'got 0', WHOLE),
  Case('train', 'train.permanent_checkpoints_at = 5', 'at: got 5', 'a list'),
  Case(
    'train',
    "train.checkpoint_lowest = 'bits'",
    "got 'bits'",
    "expected one of the metrics ['bits_per_byte']",
  ),
  Case('train', 'trax_hourglass.Loop.keep_last = 0', 'keep_last: got 0', WHOLE),
  Case(
    'train',
    'trax_hourglass.Loop.skip_nonfinite = 1',
    'skip_nonfinite: got 1',
    'expected True or False',
  ),
  Case('train', f"{MODEL}.hierarchy = '1@x'", "'1@x' is not of", 'form N@f'),
  Case(
    'train',
    f"{MODEL}.hierarchy = '1@1 1@2'",
    "'1@1' faces '1@2'",
    'sides may differ only in',
  ),
  Case(
    'train',
    f"{MODEL}.hierarchy = '2@2 4@3 2@2'",
    'total shorten factor 3',
    'not a multiple of the 2 around it',
  ),
  Case(
    'train',
    f'{MODEL}.n_heads = 3',
    'd_model 8',
    'an even number that n_heads 3 divides',
  ),
  Case('train', f'{MODEL}.d_ff = 8.5', 'd_ff: got 8.5', WHOLE),
  Case('train', f'{MODEL}.dropout = 1.0', 'dropout: got 1.0', 'below 1'),
  Case(
    'train',
    f"{MODEL}.activation_dtype = 'float16'",
    "activation_dtype: got 'float16'",
    "expected one of ('float32', 'bfloat16')",
  ),
  Case(
    'train',
    (_LEVELS, f"{MODEL}.ff_activation = 'relu'"),
    "ff_activation: got 'relu'",
    'expected the function that makes the layer',
  ),
  Case(
    'train',
    (_LEVELS, f'{MODEL}.upsampling_fn = @trax_hourglass.AveragePooling'),
    'upsampling_fn: got AveragePooling',
    'a resampler that upsamples, such as LinearUpsampling',
  ),
  Case(
    'train',
    (_LEVELS, f'{MODEL}.middle_attn_type = 3'),
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
  Case('benchmark', ('--table1', f'{MODEL}.x = 1'), "'x'", _GIN, alone=True),
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
  Case('memory', f'{TEXTS}.length = 0', f'{TEXTS}.length: got 0', WHOLE),
  Case(
    'memory',
    ('train.inputs = @trax_hourglass.image_inputs', '--tokens=3072'),
    'trax_hourglass.image_inputs.batch_size: got None',
    WHOLE,
  ),
  Case('plot_schedule', 'train.steps = 0', 'train.steps: got 0', WHOLE),
  Case(
    'plot_schedule',
    'train.steps = None',
    'train.steps is not bound',
    '--config_file=quickstart.gin',
  ),
  Case('plot_schedule', 'train.lr_schedule_fn = None', 'got None', _BY_NAME),
]
