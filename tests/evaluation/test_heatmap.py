"""The coloured page shows every character, whatever the text has in it."""

import html
import html.parser
import re

import numpy as np

from trax_hourglass.evaluation import heatmap

TEXT = (
  'é日本 e\u0301\t<script>alert(1)</script> &amp;\n\u202e\0'.encode()
  + b'\xff\xe6'
)


class Reader(html.parser.HTMLParser):
  """Collects the text of a page's <pre>, and the tags of the whole page."""

  def __init__(self, page):
    super().__init__()
    self.tags, self.elements, self._inside = set(), [], False
    self.feed(page)

  def handle_starttag(self, tag, attributes):
    self.tags.add(tag)
    self._inside = self._inside or tag == 'pre'
    if self._inside and tag == 'b':
      self.elements.append((*dict(attributes).values(), ''))

  def handle_endtag(self, tag):
    self._inside = self._inside and tag != 'pre'

  def handle_data(self, data):
    if self._inside:
      *attributes, text = self.elements[-1]
      self.elements[-1] = (*attributes, text + data)


def test_characters_and_their_bits():
  bits = np.arange(len(TEXT)) / 4
  page = heatmap.page(TEXT, bits, title='<b> & 2.5 bits')
  reader = Reader(page)
  assert [x[-1] for x in reader.elements] == [
    *'é日本 e\u0301\t<script>alert(1)</script> &amp;',
    '↵\n',
    r'\u202e',
    r'\x00',
    r'\xff',
    r'\xe6',
  ]
  # Of the bytes of é (0 and 0.25) and of 日 (0.5, 0.75, 1).
  assert reader.elements[:2] == [
    ('c0', '0.00 0.25', 'é'),
    ('c1', '0.50 0.75 1.00', '日'),
  ]
  assert reader.elements[-1][:2] == ('c16', '12.50')
  assert 'script' not in reader.tags
  assert '<h1>&lt;b&gt; &amp; 2.5 bits</h1>' in page
  # Each colour is there, and nothing is fetched.
  for colour, *_ in reader.elements:
    assert f'.{colour} {{ background' in page
  assert not re.search(r'src=|href=|url\(|@import', page)
  assert 'color-scheme: light dark' in page


def test_a_model_that_has_diverged_and_a_name_that_is_no_utf_8():
  bits = np.array([np.nan, np.inf, 0.6])
  page = heatmap.page(b'abc', bits, title='\udcff.txt').encode()
  assert rb'<h1>\udcff.txt</h1>' in page
  assert Reader(page.decode()).elements == [
    ('c16', 'nan', 'a'),
    ('c16', 'inf', 'b'),
    ('c1', '0.60', 'c'),
  ]


def test_a_long_text_is_cut_and_says_so(monkeypatch):
  assert 'The first' not in heatmap.page(TEXT, np.zeros(len(TEXT)), 'title')
  monkeypatch.setattr(heatmap, 'MOST_BYTES', 4)
  page = heatmap.page(TEXT, np.zeros(len(TEXT)), 'title')
  assert f'<p>The first 4 of {len(TEXT)} bytes.</p>' in page
  # The third byte of a character is cut off.
  assert [x[-1] for x in Reader(page).elements] == ['é', r'\xe6', r'\x97']
