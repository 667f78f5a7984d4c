"""The command lines in the documents, each as the words that a shell makes.

And the files that these lines take for granted.
"""

from pathlib import Path
import re
import subprocess
from typing import NamedTuple

from tests.configuration import authors_files

ROOT = Path(__file__).parents[1]
# Not CHANGELOG.md: what it names need not be there any more.
PAGES = [
  *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md')),
  *sorted((ROOT / 'docs').rglob('*.md')),
]
PAGES.sort(key=lambda path: path.stem == 'reproduction')  # It repeats others.
GIN_FILES = sorted((ROOT / 'gin').rglob('*.gin'))
# The first word of a command line; `flags` stands for an unnamed command.
PROGRAMS = (
  *('flags', 'python', 'trax-hourglass', 'make', 'pip', 'git', 'cd', 'ruff'),
  *('gcloud', 'rm', 'taskset', 'tfds', 'zensical'),
)
THEIRS = 'trax/supervised/configs/hourglass_enwik8.gin'
_BLOCK = re.compile(r'^ *```(\w*)\n(.*?)^ *```', re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r'`([^`]+)`')
_BEGINNING = re.compile(
  rf'(?:(?:{"|".join(PROGRAMS)}) .|\.venv/bin/|for |\.\.\. -|--\w)'
)


class Command(NamedTuple):
  """A command line, or flags that are part of one.

  Attributes:
    page: Where it is, relative to the root.
    is_block: Whether it is in a block of its own.
    words: The program and its arguments; `trax-hourglass NAME` is given as
      `python -m trax_hourglass.NAME`.
  """

  page: str
  is_block: bool
  words: tuple[str, ...]

  @property
  def id(self) -> str:
    """A short name, for a test."""
    words = [word for word in self.words if word not in ('python', '-m')]
    return f'{Path(self.page).stem}-{" ".join(words)[:60]!r}'

  @property
  def is_ours(self) -> bool:
    """Whether it is a command of the package."""
    return ' '.join(self.words).startswith('python -m trax_hourglass.')


def commands() -> list[Command]:
  """Returns all commands; of equal ones of a page the first."""
  found = {}
  for path in [*PAGES, *GIN_FILES]:
    page, text = str(path.relative_to(ROOT)), path.read_text()
    if path.suffix == '.gin':
      blocks, inline = _header(text), []
    else:
      blocks = [code for kind, code in _BLOCK.findall(text) if kind == 'bash']
      spans = _INLINE.findall(_BLOCK.sub('', text))
      inline = [s for s in map(_joined, spans) if _BEGINNING.match(s)]
    for is_block, snippets in ((True, blocks), (False, inline)):
      for words in split('\n'.join(map(_completed, snippets)), page):
        found.setdefault((page, words), Command(page, is_block, words))
  return list(found.values())


def unique() -> list[Command]:
  """Returns all commands; of equal ones the first."""
  found = {}
  for command in commands():
    found.setdefault(command.words, command)
  return list(found.values())


def write_files(folder: Path):
  """Writes the files that the documents take for granted."""
  theirs = folder / THEIRS
  theirs.parent.mkdir(parents=True)
  theirs.write_text(authors_files.FORMS['enwik8'])
  page = (ROOT / 'docs/guides/train_text.md').read_text()
  corpus = re.search(r'```json\n(.*?)```', page, re.DOTALL)[1]
  lines = (corpus.replace('document', f'document {i}') for i in range(50))
  (folder / 'corpus.jsonl').write_text(''.join(lines))
  [documents] = re.findall(
    r"```gin\n(import.*?corpus.jsonl'.*?)```", page, re.S
  )
  (folder / 'documents.gin').write_text(documents)
  saved = folder / 'runs' / 'mine' / 'config.gin'
  saved.parent.mkdir(parents=True)
  saved.write_text("include 'quickstart.gin'")


def _joined(span):
  return ' '.join(span.split())


def _header(text):
  """Returns the commands in the header of a gin file."""
  header = re.sub(r'\\\n# *', '', text.partition('\n\nimport ')[0])
  lines = re.findall(
    r'^#(?: Command:|  ) (.*?)(?:, or)?$', header, re.MULTILINE
  )
  return [line for line in lines if _BEGINNING.match(line)]


def _completed(snippet):
  """Returns a snippet that a shell can read, with `flags` before flags."""
  snippet = snippet.strip().removeprefix('... ').replace('FILE|DIR', 'DIR')
  if snippet.startswith('--'):
    snippet = 'flags ' + snippet
  return snippet.replace('.venv/bin/', '')


def split(script, page):
  """Returns the words of each command that a shell would run; it runs none.

  Raises:
    AssertionError: If a program is none of `PROGRAMS`.
  """
  functions = (f'{p}() {{ printf "%s\\0" {p} "$@" ""; }}\n' for p in PROGRAMS)
  result = subprocess.run(
    ['/bin/bash', '-c', f'{"".join(functions)}{script}'],
    cwd=ROOT,
    env={'PATH': ''},
    capture_output=True,
    text=True,
    check=False,
  )
  assert not result.stderr, f'{page}: {result.stderr}'
  found, words = [], []
  for word in result.stdout.split('\0')[:-1]:
    if word:
      words.append(word)
    else:
      if words[0] == 'trax-hourglass':
        words[:2] = 'python', '-m', f'trax_hourglass.{words[1]}'
      found.append(tuple(words))
      words = []
  return found
