"""A text coloured by its bits per byte, as a page of HTML."""

import html
import unicodedata

import numpy as np

MOST_BYTES = 100_000  # Browsers are slow to show more.
_STEP = 0.5  # Bits from one colour to the next.
_N_COLOURS = 17  # The last one for 8 bits and more.

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.6 system-ui, sans-serif; margin: 2em auto; max-width: 60em;
  padding: 0 1em; }
h1 { font-size: 1.2em; }
pre { font: 14px/1.7 ui-monospace, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }
b { font-weight: normal; }
u { font-size: 0.75em; opacity: 0.7; text-decoration: none; }
"""


def page(text: bytes, bits: np.ndarray, title: str) -> str:
  """Returns a page that shows each character behind its bits per byte.

  A character of several bytes has the colour of their mean; the bits of each
  are shown when the pointer rests on it. Invisible characters, and bytes that
  are no UTF-8, are written as Python escapes. The page needs no other file, and
  is light or dark as the reader's system prefers.

  Args:
    text: The text; of a longer one the first 100,000 bytes are shown.
    bits: Bits of each of its bytes, `(len(text),)`.
    title: Its heading, with the figure for the whole text, say.
  """
  # The name of a file may have bytes that are no UTF-8, too.
  title = html.escape(title.encode('utf-8', 'backslashreplace').decode())
  shown = text[:MOST_BYTES]
  note = ''
  if len(shown) < len(text):
    note = f'<p>The first {len(shown):,} of {len(text):,} bytes.</p>'
  # At most 80% opaque, so that black text and white text can be read on them.
  colours = ''.join(
    f'.c{i} {{ background: rgb(230 70 0 / {5 * i}%); }}\n'
    for i in range(_N_COLOURS)
  )
  legend = ' '.join(
    f'<b class=c{_colour(value)}>&nbsp;{value}{"+" if value == 8 else ""}'
    '&nbsp;</b>'
    for value in range(9)
  )
  return (
    '<!DOCTYPE html>\n<html lang="">\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width">\n'
    f'<title>{title}</title>\n<style>{_STYLE}{colours}</style>\n'
    f'<h1>{title}</h1>\n<p>Bits per byte: {legend}</p>\n{note}'
    f'<pre>{"".join(_characters(shown, bits))}</pre>\n</html>\n'
  )


def _characters(text, bits):
  """Yields the element of each character."""
  first = 0
  for character in text.decode('utf-8', 'surrogateescape'):
    n = len(character.encode('utf-8', 'surrogateescape'))
    own = bits[first : first + n]
    first += n
    figures = ' '.join(f'{x:.2f}' for x in own)
    yield (
      f'<b class=c{_colour(own.mean())} title="{figures}">'
      f'{_shown(character)}</b>'
    )


def _colour(bits):
  """Returns the number of a colour: the last one also for infinity and NaN."""
  last = _N_COLOURS - 1
  return int(bits / _STEP) if bits < last * _STEP else last


def _shown(character):
  """Returns the HTML of a character, with a sign if it is invisible."""
  if character == '\n':
    return '<u>↵</u>\n'
  if '\udc80' <= character <= '\udcff':  # A byte that is no UTF-8.
    return f'<u>\\x{ord(character) - 0xDC00:02x}</u>'
  if character != '\t' and unicodedata.category(character).startswith('C'):
    return f'<u>{html.escape(ascii(character)[1:-1])}</u>'
  return html.escape(character)
