"""Checks that the data sets of Trax's own pipelines are available.

Tensor2Tensor, which made `t2t_enwik8_l2k`, cannot be installed any more, and
the files that TFDS would download for `downsampled_imagenet` are gone. For
other sets there may be no network. Trax and TFDS notice only after minutes, or
fail without a clear message.
"""

from collections.abc import Iterable
import contextlib
import importlib.util
import os
from unittest import mock
from urllib import parse

from absl import logging
import requests
from trax.data import tf_inputs

from trax_hourglass.errors import UserError

# Values of --dataset that replace data sets that are gone.
_REPLACEMENTS = {
  't2t_enwik8_l2k': 'trax_hourglass.enwik8',
  'downsampled_imagenet/32x32': 'trax_hourglass.imagenet32',
  'downsampled_imagenet/64x64': 'trax_hourglass.imagenet64',
}

# Where TFDS first looks for prepared data sets.
_TFDS_HOST = 'https://storage.googleapis.com/tfds-data'
_SECONDS = 5


@contextlib.contextmanager
def checked():
  """Makes Trax's pipelines in the body report missing data in one line."""

  def checking(function, check_arguments):
    def checked_function(*args, **kwargs):
      check_arguments(*args, **kwargs)
      return function(*args, **kwargs)

    return checked_function

  with mock.patch.multiple(
    tf_inputs,
    download_and_prepare=checking(tf_inputs.download_and_prepare, check),
    sentencepiece_tokenize=checking(
      tf_inputs.sentencepiece_tokenize, _check_sentencepiece
    ),
  ):
    yield


def check(name: str, data_dir: str | None = None) -> None:
  """Raises `UserError` if a data set is not on disk and not available.

  Args:
    name: A set of TFDS, or one of Tensor2Tensor, as `'t2t_NAME'`.
    data_dir: The folder of prepared data sets, by default that of TFDS.
  """
  if name.startswith('t2t_'):
    if importlib.util.find_spec('tensor2tensor') is None:
      raise UserError(
        f'{name}: got a data set of Tensor2Tensor, which cannot be installed '
        f'any more; {_advice(name)}'
      )
    return
  import tensorflow_datasets as tfds

  if data_dir:
    data_dir = os.path.expanduser(data_dir)
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)  # TFDS warns of missing files.
  try:
    builder = tfds.builder(name, data_dir=data_dir)
    is_prepared = builder.is_prepared()
  except tfds.core.registered.DatasetNotFoundError as error:
    raise UserError(
      f'{name}: TFDS has no data set of that name; {_advice(name)}'
    ) from error
  finally:
    logging.set_verbosity(verbosity)
  if is_prepared:
    return
  where = f'{name}: got nothing in {builder.data_path}'
  if name in _REPLACEMENTS:
    raise UserError(f'{where}, and nothing serves it any more; {_advice(name)}')
  if data_dir:  # Trax does not download to a given folder.
    raise UserError(
      f'{where}; run `tfds build {name} --data_dir={data_dir}`, or '
      f'{_advice(name)}'
    )
  if not _reachable(_sources(builder)):
    raise UserError(
      f'{where}, and no host that serves it can be reached; run `tfds build '
      f'{name}` where there is a network, or {_advice(name)}'
    )


def _check_sentencepiece(*_, **__):
  if importlib.util.find_spec('t5') is None:
    raise UserError(
      'data.SentencePieceTokenize: needs the package t5, which is not '
      'installed; install it, or give --dataset=trax_hourglass.enwik8, whose '
      'bytes need no vocabulary'
    )


def _advice(name):
  if name in _REPLACEMENTS:
    return f'give --dataset={_REPLACEMENTS[name]}, which is the same data'
  return (
    'give one of ours, such as --dataset=trax_hourglass.wikipedia_sample or '
    '--dataset=trax_hourglass.photos32'
  )


def _sources(builder) -> list[str]:
  """Returns addresses of hosts that TFDS would download a data set from."""
  hosts = {
    f'{url.scheme}://{url.netloc}'
    for url in map(parse.urlsplit, builder.url_infos or ())
    if url.scheme in ('http', 'https')
  }
  return [_TFDS_HOST, *sorted(hosts)[:2]]


def _reachable(urls: Iterable[str]) -> bool:
  """Returns whether any of the hosts answers, with any status."""
  for url in urls:
    with contextlib.suppress(requests.RequestException):
      requests.head(url, timeout=_SECONDS)
      return True
  return False
