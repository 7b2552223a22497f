"""Where in a TOML file a message points: the line of the key that it is about.

`tomllib` keeps no positions, and the parsers that keep layout do not hand out line numbers either, so a key's line is
found by reading the file from its top with the same parser: a statement of TOML ends with its line, hence the first
lines of a file parse unless they end within a value, and a key is written in the statement that brings it into what
they parse to.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..theory.errors import InputError

MOST_LINES = 1000  # each prefix is parsed: about a second for a file this long
# What messages of functions call what the file has under another key.
ALIASES = {"formula": "attributes", "scale": "gaussian"}


@contextmanager
def naming_lines(path: str | os.PathLike | None) -> Iterator[None]:
    """Around what reads a TOML file or uses what it says: errors say the file's line, where they name a key of it.

    Parameters
    ----------
    path : of the file; None for none, which changes nothing

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = os.path.join(folder, "run.toml")
    ...     _ = open(file, "w").write("[model]\\nridge = -1\\n")
    ...     try:
    ...         with naming_lines(file):
    ...             raise InputError("ridge: -1 is negative.")
    ...     except InputError as error:
    ...         print(str(error).removeprefix(folder + os.sep))
    run.toml, line 2: ridge: -1 is negative.
    """
    try:
        yield
    except InputError as error:
        if path is None or (where := _where(path, str(error))) is None:
            raise
        raise InputError(f"{os.fspath(path)}, {where}: {str(error).removeprefix('config: ')}") from None


def _where(path: str | os.PathLike, message: str) -> str | None:
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
        found = tomllib.loads(text)
    except (OSError, ValueError, RecursionError):
        return None  # the message is about the file as a whole, and says the line where there is one
    paths = subject(message, found)
    lines = sorted({line for key in paths if (line := line_of(text, key)) is not None})
    return f"line {' or '.join(map(str, lines))}" if lines else None


def subject(message: str, config: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Paths of the keys that a message is about: what it begins with, or else what it quotes; several of one name.

    Examples
    --------
    >>> config = {"model": {"kernel": {"color": 1}, "ridge": 0}, "sweep": {"grid": {"ridge": [1]}}}
    >>> subject("weights[color]: 'x' is no number.", config)
    [('model', 'kernel', 'color')]
    >>> subject("config: [model] has no key 'ridge'.", config), subject("width: 0 is none.", config)
    ([('model', 'ridge')], [])
    """
    message = message.removeprefix("config: ")
    table = re.match(r"\[([\w.]+)\]", message)
    inside = tuple(table[1].split(".")) if table else ()
    quoted = re.findall(r"'([^']*)'", message)
    begins = re.match(r"([\w.]*)(?:\[([^\]]*)\])?:? ", message)
    head, part = begins.groups("") if begins else ("", "")
    words = [] if table else [message.partition(": ")[0], f"{head}.{part}", part, head]
    known = list(_paths(config))
    for word in [*words, *quoted]:
        name = ALIASES.get(word, word)
        if name and (found := [key for key in known if key[: len(inside)] == inside and _ends_in(key, name)]):
            # At the top of a file no other key has the right to that name.
            return [(name,)] if (name,) in found else found
    return [inside] if inside in known else []


def _ends_in(key: tuple[str, ...], name: str) -> bool:
    return any(".".join(key[-n:]) == name for n in range(1, len(key) + 1))


def _paths(table: Mapping[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        yield (*before, key)
        if isinstance(value, Mapping):
            yield from _paths(value, (*before, key))


def line_of(text: str, path: tuple[str, ...]) -> int | None:
    """The line on which a key of a TOML document is written; None without it, and in documents of many lines.

    Examples
    --------
    >>> line_of("# sizes\\n[model]\\nwidth = [\\n  3,\\n]\\nridge = 0", ("model", "ridge"))
    6
    """
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        return None
    begun = 1
    for end in range(1, len(lines) + 1):
        try:
            value: Any = tomllib.loads("\n".join(lines[:end]) + "\n")
        except ValueError:
            continue  # within a value of several lines
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            return begun
        begun = end + 1
    return None
