"""Checkpoints that are missing, damaged or of another model."""

from tests.bad_inputs.cases import LEAVE, MODEL, Case

CASES = [
  Case('evaluate', (), 'checkpoint: not given', 'use --checkpoint', alone=True),
  Case('generate', (), 'checkpoint: not given', 'use --checkpoint', alone=True),
  Case(
    'evaluate', '--checkpoint=$none', '$none does not exist', 'give a *.pkl'
  ),
  Case('generate', '--checkpoint=$folder', 'no model.pkl.gz', 'train there'),
  Case(
    'evaluate', '--checkpoint=$run/config.gin', 'cannot be read', 'another o'
  ),
  Case(
    'evaluate',
    '--checkpoint=$model_file',
    'no configuration is b',
    '_file=PATH',
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
    'evaluate', f'{MODEL}.d_model = 16', "model's (256, 16)", 'trained with'
  ),
  Case(
    'generate', f'{MODEL}.d_model = 16', "model's (256, 16)", 'trained with'
  ),
  Case('generate', f'{MODEL}.vocab_size = 65', '(256, 8)', 'trained with'),
  Case(
    'evaluate', f"{MODEL}.hierarchy = '1@1'", 'weight arrays', 'trained wit'
  ),
  Case(
    'train',
    ('--output_dir=$run', f'{MODEL}.d_model = 16'),
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
  Case('memory', '--pretrained=x', '--pretrained has no effect', LEAVE),
  Case(
    'train',
    "train.init_checkpoint = 'pretrained://x'",
    "pretrained: got 'x'",
    'the name of one of these:',
  ),
  Case(
    'train',
    ('--init_checkpoint=$run', f'{MODEL}.d_model = 16'),
    "expected the model's (256, 16)",
    'use the configuration',
  ),
  Case('train', '--init_checkpoint=$hostile', 'names posix.mkdir', 'use a che'),
  Case('train', '--output_dir=$hostile', 'names posix.mkdir', 'use a check'),
  Case('train', '--output_dir=$hostile_counters', 'posix.mkdir', 'delete it'),
  Case('evaluate', '--init_checkpoint=$hostile', 'posix.mkdir', 'use a check'),
  Case('generate', '--checkpoint=$hostile', 'posix.mkdir', 'use a checkpoint'),
]
