"""How much memory the arrays of a file may take, beside the bytes that the file has.

A header may state any shape, and a few kilobytes of a compressed file may stand for gigabytes.  Numbers of a run
compress several-fold at the most: far more than that is an accident or an attack, and refused before it is read.
"""

import os
from collections.abc import Iterator
from pathlib import Path

SMALL = 2**28  # bytes that are always allowed
MOST_TIMES = 100  # the bytes of the file, beyond that


def check_unfolded(name: str, size: int, stored: int) -> None:
    """Refuse an array of `size` bytes from `stored` bytes of a file.

    Raises
    ------
    ValueError
        When it is more than 256 MiB and more than 100 times what is stored.

    Examples
    --------
    >>> check_unfolded("H", 2**28, 10)
    >>> check_unfolded("H", 2**40, 2**20)
    Traceback (most recent call last):
      ...
    ValueError: H would take 1.1e+12 bytes of memory from 1.0e+06 in the file; store it anew without compression
    """
    if size > SMALL and size > MOST_TIMES * stored:
        raise ValueError(
            f"{name} would take {size:.1e} bytes of memory from {stored:.1e} in the file; store it anew without "
            "compression"
        )


def stored_bytes(place: str | os.PathLike) -> int:
    """The bytes of a file, or of all files in a folder."""
    path = Path(place)
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in _files(path))


def check_inside(place: str | os.PathLike) -> None:
    """Refuse a folder with links that lead out of it.

    Raises
    ------
    ValueError
        Naming the link.
    """
    root = Path(place).resolve()
    for file in root.rglob("*"):
        if file.is_symlink() and not file.resolve().is_relative_to(root):
            raise ValueError(f"{file.relative_to(root)} is a link that leads out of it; store a copy instead")


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())
