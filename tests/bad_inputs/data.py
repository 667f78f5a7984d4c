"""Texts, images and archives that cannot be read."""

from tests.bad_inputs.cases import MODEL, TEXTS, WHOLE, Case

_PATH = 'trax_hourglass.text_file.path'
_PICTURES = (
  'train.inputs = @trax_hourglass.image_inputs',
  'trax_hourglass.image_inputs.images = @trax_hourglass.image_folder()',
  'trax_hourglass.image_inputs.batch_size = 2',
  'trax_hourglass.evaluate.text = None',
)


def _pictures(folder):
  return (*_PICTURES, f"trax_hourglass.image_folder.path = '${folder}'")


def _enwik8(path):
  return (
    f'{TEXTS}.text = @trax_hourglass.enwik8()',
    f"trax_hourglass.enwik8.path = '{path}'",
  )


CASES = [
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
      f'{TEXTS}.text = @trax_hourglass.enwik8()',
      "trax_hourglass.enwik8.data_dir = '$new'",
    ),
    'got no file in $new',
    'set path, or download=True',
  ),
  Case(
    'train', f"{TEXTS}.text = 'book.txt'", "got 'book.txt'", 'such as @trax'
  ),
  Case(
    'train',
    f'{TEXTS}.text = @trax_hourglass.photos32()',
    "text: got Images('photos32",
    'expected a Text, such as @trax_hourglass.wikipedia_sample()',
  ),
  Case('train', f'{TEXTS}.length = 5000', 'got 1,800 bytes', 'shorter windows'),
  Case('train', f'{TEXTS}.length = 0', 'length: got 0', WHOLE),
  Case('train', f'{TEXTS}.stride = 17', 'stride: got 17', 'at most the length'),
  Case('train', f'{TEXTS}.seed = -1', 'seed: got -1', 'at least 0'),
  Case(
    'train',
    f'{MODEL}.vocab_size = 200',
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
  Case('evaluate', 'evaluate.n_bytes = 0', 'n_bytes: got 0', WHOLE),
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
