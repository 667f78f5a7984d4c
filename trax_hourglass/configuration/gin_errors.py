"""What gin says of a mistake, in one line that says what to do."""

import re
import tokenize

# What gin raises at a file that is wrong.
ERRORS = (
  ValueError,
  LookupError,
  OSError,
  ImportError,
  RecursionError,
  SyntaxError,
  tokenize.TokenError,
)

_CALL = 'In call to configurable '
_FIX = 'correct the gin file or --config'

# What is found in gin's message, and what is said in its place.
_WORDS = (
  (
    r"No bindings specified for '(?:\S*/)?(\S+)/gin\.macro'",
    "gin: %{0} is used and not bound; add for example --config='{0} = 100'",
  ),
  (
    r'Unable to open file: (\S*)\. Searched config paths: \[.*?\]\.?(.*)',
    'gin: Unable to open file: {0}{1}; give --config_file a path, or the name '
    'of a file in gin/, such as quickstart.gin',
  ),
  (
    rf'No values supplied by Gin or caller for arguments: (\[.*?\]).*?{_CALL}'
    r"'(\S+)'",
    "{1}: nothing is bound to {0}; bind it, as in --config='{1}.NAME = VALUE'",
  ),
  (
    r'Ambiguous selector (\S+), matches (\[.*\])',
    'gin: Ambiguous selector {0}; write one of {1}',
  ),
)


def one_line(error: BaseException) -> str:
  """Returns an error's message in one line, without gin's list of callers."""
  message = str(error).partition(f'\n  {_CALL}')[0]
  if isinstance(error, SyntaxError) and error.text:
    message += f': {error.text}'
  return ' '.join(message.split()) or type(error).__name__


def explained(error: BaseException) -> str:
  """Returns what is wrong with a configuration, and what to do about it."""
  text = ' '.join(str(error).split())
  for pattern, words in _WORDS:
    if found := re.search(pattern, text):
      return words.format(*found.groups())
  if isinstance(error, RecursionError):
    return 'gin: a file includes itself; take that `include` out'
  if isinstance(error, UnicodeDecodeError):
    return 'gin: got a file that is not text; give a gin file in UTF-8'
  if isinstance(error, tokenize.TokenError):
    return f'gin: {error.args[0]}, in the last line; {_FIX}'
  return f'gin: {one_line(error)}; {_FIX}'


def is_unbound(error: BaseException) -> bool:
  """Returns whether gin has found nothing for an argument that needs it."""
  texts = (
    'Required bindings for',
    'No values supplied by Gin or caller for arguments',
  )
  return any(text in str(error) for text in texts)


def wrong_type(error: BaseException) -> str | None:
  """Returns what to say where a bound value is of a type that cannot be.

  `None` where the error is another, or not from a call of what gin binds.
  """
  found = re.search(rf"{_CALL}'(\S+)'", str(error))
  if not isinstance(error, TypeError) or not found:
    return None
  return f'{found[1]}: {one_line(error)}; correct the types of its bindings'
