"""Builds into the site what stands elsewhere in the repository.

Pages at the root, pictures in results/, headers of gin files; and formulas, as
MathML.
"""

import ast
import pathlib
import re

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parent.parent
_CODE = re.compile(r'(^```.*?^```|`[^`\n]*`)', re.DOTALL | re.MULTILINE)
# A link from a page in docs/ to the root, as it works in the repository.
_OUTSIDE = re.compile(r'(?<=\]\()((?:\.\./)+results/[^)]*)')
_FORMULA = re.compile(r'\$\$(.+?)\$\$|\$([^$\n]+?)\$', re.DOTALL)
_ROOT_PAGES = ('CONTRIBUTING.md', 'CHANGELOG.md')


def on_files(files, config, **_):
  """Adds the pages at the root, and the pictures that pages show."""
  for name in _ROOT_PAGES:
    text = (ROOT / name).read_text().replace('](docs/', '](')
    files.append(File.generated(config, name.lower(), content=text))
  for path in sorted((ROOT / 'results').glob('*.png')):
    name = f'results/{path.name}'
    files.append(File.generated(config, name, abs_src_path=str(path)))
  return files


def on_page_markdown(markdown, page, **_):
  """Returns a page with links within the site, and formulas as MathML."""
  markdown = _OUTSIDE.sub(lambda match: _within(match[1], page), markdown)
  if page.file.src_uri == 'experiments.md':
    introduction, marker, _ = markdown.partition('## Headers of the gin files')
    markdown = introduction + marker + '\n\n' + _headers()
  parts = _CODE.split(markdown)  # Every second part is code.
  parts[::2] = [_FORMULA.sub(_mathml, part) for part in parts[::2]]
  return ''.join(parts)


def on_page_content(html, **_):
  """Returns a page on which no line ends between the hyphens and a flag.

  Raises:
    PluginError: If a docstring's `Source:` takes more than one line, which
      mkdocstrings shows as a box.
  """
  if '<details class="source"' in html:
    raise PluginError("a docstring's Source: has more than one line")
  return re.sub(r'<code>(?=--[^\s<]+</code>)', '<code class="flag">', html)


def _within(link, page):
  depth = page.file.src_uri.count('/')
  return '../' * depth + link.removeprefix('../' * (depth + 1))


def _mathml(match):
  display, inline = match.groups()
  if display:
    return convert(display.strip(), display='block')
  # A line that begins with <math> would be a paragraph of its own.
  return f'<span>{convert(inline)}</span>'


def _headers():
  """Returns the header of each gin file of an experiment."""
  lines = []
  for path in sorted((ROOT / 'gin').rglob('*.gin')):
    header = re.match(r'(?:#.*\n)+', path.read_text())
    if header:
      text = re.sub(r'^# ?', '', header[0], flags=re.MULTILINE)
      name = path.relative_to(ROOT / 'gin')
      lines += [f'### {name}\n', f'```text\n{text}```\n']
  return '\n'.join(lines)


def on_post_build(config, **_):
  """Raises an error if a public name stands on no page."""
  init = ast.parse((ROOT / 'trax_hourglass' / '__init__.py').read_text())
  public = next(
    ast.literal_eval(node.value)
    for node in init.body
    if isinstance(node, ast.Assign) and node.targets[0].id == '__all__'
  )
  pages = pathlib.Path(config.docs_dir).rglob('*.md')
  text = ''.join(path.read_text() for path in pages)
  missing = [n for n in public if f'::: trax_hourglass.{n}\n' not in text]
  if missing:
    raise PluginError(f'docs/api.md lacks: {", ".join(missing)}')
