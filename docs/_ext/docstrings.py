"""Docstrings, which are written to be read in a terminal, as reStructuredText.

Formulas are indented blocks of plain text there; here they become literal blocks. Characters that mean something to
reStructuredText and nothing in plain text (`h_`, `a * b`, `|f|`) are escaped outside of code.
"""

import re
from collections.abc import Iterator
from itertools import groupby

from sphinx.ext.napoleon import Config, NumpyDocstring

FIELDS = Config(
    napoleon_use_param=False, napoleon_use_rtype=False, napoleon_custom_sections=[("Attributes", "params_style")]
)
LONGEST_TYPE = 60
CODE = re.compile(r"(`[^`]*`)")


def to_rst(app, what, name, obj, options, lines: list[str]) -> None:
    """Sphinx's hook: change the lines of a docstring in place."""
    # As of a method, whatever it is: a property's first words up to a colon are no type.
    lines[:] = NumpyDocstring(converted(lines), FIELDS, app, "method", name, obj, options).lines()


def converted(lines: list[str]) -> list[str]:
    """The lines of a docstring, without indentation of its own, as reStructuredText with numpydoc sections."""
    found: list[str] = []
    for title, body in _sections(lines):
        if title == "Examples":
            found += body
        elif title in ("Parameters", "Attributes"):
            found += [_escaped(line) for line in _described(body)]
        elif title in ("Returns", "Yields", "Raises"):
            found += [_escaped(line) for line in body]
        else:
            found += _prose(body)
    return found


def _sections(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The text before the first section, then each section with its title."""
    title, body = "", []
    for i, line in enumerate(lines):
        underline = lines[i + 1].strip() if i + 1 < len(lines) else ""
        if line and not line[0].isspace() and underline and set(underline) == {"-"}:
            yield title, body
            title, body = line.strip(), []
        body.append(line)
    yield title, body


def _described(lines: list[str]) -> list[str]:
    """Entries `name : what it is`; where that goes on in the next line or is long, it is a description and no type."""
    found: list[str] = []
    for line in lines:
        goes_on = re.match(r"\s+[a-z]\w", line) and found and re.match(r"\S.* : ", found[-1])
        if goes_on:
            found[-1] += f" {line.strip()}"
        else:
            found.append(line)
    entries: list[str] = []
    for line in found:
        name, colon, what = line.partition(" : ")
        long = colon and not line[0].isspace() and len(what) > LONGEST_TYPE
        entries += [name, f"    {what}"] if long else [line]
    return entries


def _prose(lines: list[str]) -> list[str]:
    """Paragraphs escaped, indented blocks made literal."""
    found: list[str] = []
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        block = list(group)
        if blank:
            found += block
        elif block[0].startswith("    "):
            found += ["::", "", *block]
        else:
            found += [_escaped(line) for line in block]
    return found


def _escaped(line: str) -> str:
    parts = CODE.split(line)
    plain = [re.sub(r"[\\*|]|(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
    text = "".join(text for pair in zip(plain, [*parts[1::2], ""], strict=True) for text in pair)
    return re.sub(r"^(\s*\w)\.(?=\s)", r"\1\\.", text)  # a letter and a point would begin a list
