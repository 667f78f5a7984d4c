"""Results as JSON files, which several processes may add to."""

from collections.abc import Sequence
import json
import os
import re

import filelock

from trax_hourglass.errors import UserError


def read(path: str, settings: dict) -> list[dict]:
  """Returns the records of a file, none if there is no file.

  Args:
    path: The file.
    settings: The settings with which all its records were made.

  Raises:
    UserError: If they were made with other settings.
  """
  content = load(path)
  if content is None:
    return []
  others = {name: content.get(name) for name in settings}
  if others != settings:
    raise UserError(
      f'{path}: got results of {others}, expected {settings}; give another '
      '--output_dir'
    )
  return content['records']


def load(path: str) -> dict | None:
  """Returns a file's content, `None` if there is no file."""
  try:
    with open(path, encoding='utf-8') as file:
      return json.load(file)
  except FileNotFoundError:
    return None
  except json.JSONDecodeError as error:
    raise UserError(
      f'{path}: {error}, expected JSON; delete it, or give another --output_dir'
    ) from error


def add(path: str, settings: dict, records: Sequence[dict]) -> None:
  """Adds records to a file, in place of those with the same key."""
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with filelock.FileLock(os.path.join(os.path.dirname(path), '.lock')):
    by_key = {_key(r): r for r in (*read(path, settings), *records)}
    _write(path, {**settings, 'records': [by_key[k] for k in sorted(by_key)]})


def find(records: Sequence[dict], variant: str, seed: int) -> dict | None:
  """Returns the record of a run; `None` if there is none."""
  for record in records:
    if _key(record) == (variant, seed):
      return record
  return None


def values(
  records: Sequence[dict], variant: str, field: str = 'bits'
) -> list[float]:
  """Returns a field of the records of all runs of a variant."""
  return [r[field] for r in records if r['variant'] == variant]


def by_seed(records: Sequence[dict], variant: str) -> dict[int, float]:
  """Returns the bits of all runs of a variant, by their seeds."""
  return {r['seed']: r['bits'] for r in records if r['variant'] == variant}


def _key(record):
  """Returns a record's key; costs have a setting in place of a seed."""
  return record['variant'], record.get('seed', record.get('setting'))


def _in_lines(content):
  """Returns JSON in which each list of numbers is on one line."""
  return re.sub(
    r'\[\n[^][{}"]+\]',  # No string has a line break of its own.
    lambda numbers: json.dumps(json.loads(numbers[0])),
    json.dumps(content, indent=1),
  )


def _write(path, content):
  temporary = f'{path}.{os.getpid()}'
  with open(temporary, 'w', encoding='utf-8') as file:
    file.write(_in_lines(content) + '\n')
  os.replace(temporary, path)
