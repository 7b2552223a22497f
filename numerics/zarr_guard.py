"""What is checked before a zarr store is read: no pickles, no links out of it, no shapes beyond all bounds."""

import json
import math
import os
from pathlib import Path
from typing import Any

from .unfolding import check_inside, check_unfolded, stored_bytes

METADATA = (".zarray", ".zmetadata", "zarr.json")


def check_store(path: str | os.PathLike, unfolds: bool = True) -> None:
    """Refuse a store that would unpickle, read elsewhere, or take memory out of all proportion.

    Parameters
    ----------
    path : of the folder
    unfolds : whether arrays may be no larger than what is stored of them allows; False for a store whose parts are
        still to be written, which has large arrays with nothing in them

    Raises
    ------
    ValueError, OSError
        Saying what is wrong.
    """
    check_inside(path)
    stored = stored_bytes(path)
    for file in sorted(Path(path).rglob("*")):
        if file.name in METADATA and file.is_file():
            try:
                found = json.loads(file.read_text(encoding="utf-8"))
            except (ValueError, RecursionError):
                raise ValueError(f"{file.relative_to(path)} is no JSON") from None
            for part in _tables(found):
                _check_codec(part, file.name)
                if unfolds:
                    _check_shape(part, file.relative_to(path).as_posix(), stored)


def _tables(value: Any) -> list[dict]:
    """All tables within a value of JSON."""
    found, waiting = [], [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found.append(part)
            # What a user wrote about the data is nothing that zarr acts on.
            waiting.extend(v for k, v in part.items() if k != "attributes" and not k.endswith(".zattrs"))
        elif isinstance(part, list):
            waiting.extend(part)
    return found


def _check_codec(table: dict, name: str) -> None:
    # Format 2 names codecs by `id`, format 3 by `name`.
    for key in ("id", "name"):
        if "pickle" in str(table.get(key, "")).lower():
            raise ValueError(f"an array in {name} is pickled; store plain numbers")


def _check_shape(table: dict, name: str, stored: int) -> None:
    for size in (table.get(key) for key in ("shape", "chunks", "chunk_shape")):
        if isinstance(size, list) and all(isinstance(n, int) for n in size):
            # Of eight bytes each, as nearly all numbers have; strings are counted as such too.
            check_unfolded(name, 8 * math.prod(size), stored)
