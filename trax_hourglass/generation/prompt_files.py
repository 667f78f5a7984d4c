"""Files of prompts, and the texts generated after them, as JSON lines."""

from collections.abc import Sequence
import json
from typing import NamedTuple

from trax_hourglass.data import files
from trax_hourglass.errors import UserError
from trax_hourglass.generation.sample import Sample


class Entry(NamedTuple):
  """A prompt of a file.

  Attributes:
    prompt: Its bytes.
    fields: What is written with the result: the prompt as text, and the other
      fields of its JSON object.
  """

  prompt: bytes
  fields: dict


def entries(content: bytes, name: str) -> list[Entry]:
  """Returns the prompts in a file, one a line.

  Args:
    content: The file's content.
    name: The file's name. If it ends in .jsonl, whatever the suffix of a
      compression after that, each line is a JSON object with a `prompt`.

  Raises:
    UserError: If the file has no prompts, or a line has none.
  """
  files.check_not_utf16(name, content)
  is_jsonl = '.jsonl' in name.rpartition('/')[2].lower()
  read = _object if is_jsonl else _plain
  lines = content.removesuffix(b'\n').split(b'\n') if content else []
  if not lines:
    raise UserError(f'{name}: got an empty file, expected a prompt a line')
  found = []
  for number, line in enumerate(lines, 1):
    where = f'{name}, line {number}'
    entry = read(line.removesuffix(b'\r'), where)
    if not entry.prompt:
      raise UserError(
        f'{where}: got an empty prompt, expected some text; leave the line out'
      )
    found.append(entry)
  return found


def results(
  batch: Sequence[Entry], sample: Sample, stop: Sequence[bytes]
) -> str:
  """Returns a line for each row of a sample: a JSON object.

  Its fields are those of the entry; `text`, in which bytes that are not UTF-8
  are replaced; `tokens`, exact; `bits`, their mean under the model; and
  `ended`, 'stop' or 'length'.
  """
  lines = []
  for entry, text, bits in zip(
    batch, sample.texts(), sample.bits.tolist(), strict=True
  ):
    result = {
      **entry.fields,
      'text': text.decode(errors='replace'),
      'tokens': list(text),
      'bits': bits,
      'ended': 'stop' if text.endswith(tuple(stop)) else 'length',
    }
    lines.append(json.dumps(result, ensure_ascii=False) + '\n')
  return ''.join(lines)


def _plain(line, where):
  del where
  return Entry(line, {'prompt': line.decode(errors='replace')})


def _object(line, where):
  try:
    fields = json.loads(line)
  except ValueError as error:
    raise UserError(
      f'{where}: got no JSON ({error}), expected an object with a "prompt"'
    ) from error
  prompt = fields.get('prompt') if isinstance(fields, dict) else None
  if not isinstance(prompt, str):
    raise UserError(
      f'{where}: got no text as "prompt", expected {{"prompt": "..."}}'
    )
  # Half of a surrogate pair cannot be encoded, but can be written in JSON.
  return Entry(prompt.encode(errors='replace'), fields)
