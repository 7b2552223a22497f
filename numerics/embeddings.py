"""Reading embeddings and their attribute tables from files: no pickle, one row per context."""

import os
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from ..theory.table import read_columns
from .unfolding import check_unfolded, stored_bytes


def read_embeddings(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray | None]:
    """H (m, d) and, where the file has it, W (V, d).

    Floating-point numbers keep their precision, whole numbers become double precision.

    Parameters
    ----------
    path : .npy, whose floating-point numbers are mapped and not loaded, or .npz with `H` (and `W`), or with one array

    Raises
    ------
    InputError
        For files that cannot be read, hold no 2-d numbers, or leave open which array is meant.
    """
    name = os.fspath(path)
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _two_dimensional(loaded, name), None
        with loaded as archive:
            keys = archive.files
            wanted = [key for key in keys if key in ("H", "W") or len(keys) == 1]
            for member in archive.zip.infolist():
                if member.filename.removesuffix(".npy") in wanted:
                    check_unfolded(member.filename, member.file_size, stored_bytes(path))
            found = {key: archive[key] for key in wanted}
    except Exception as error:  # headers are parsed as Python, and raise what that raises
        raise InputError(f"file: cannot read {name!r} as .npy or .npz ({error}).") from None
    if "H" not in found and len(keys) != 1:
        raise InputError(
            f"file: {name!r} holds {', '.join(keys) or 'nothing'}; name the embeddings H, or store one array."
        )
    H = found["H"] if "H" in found else found[keys[0]]
    return _two_dimensional(H, name), _two_dimensional(found["W"], name) if "W" in found and "H" in found else None


def read_table(path: str | os.PathLike, formula: str | None = None) -> tuple[Attributes, np.ndarray | None]:
    """The structure of an attribute CSV, and its `label` column as row numbers of W (None when there is none).

    Labels that are no numbers are numbered in the order in which they first occur.
    """
    columns = read_columns(path)
    structure = Attributes.from_table(columns, formula)
    if "label" not in columns:
        return structure, None
    words = columns["label"]
    if all(isinstance(word, str) and word.isdecimal() and len(word) < 19 for word in words):
        return structure, np.array([int(word) for word in words])
    number = {word: i for i, word in enumerate(dict.fromkeys(words))}
    return structure, np.array([number[word] for word in words])


def _two_dimensional(array: Any, name: str) -> np.ndarray:
    if not isinstance(array, np.ndarray):  # a member of an archive that is no .npy
        raise InputError(f"file: {name!r} holds other files than arrays; store the embeddings with numpy.savez.")
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise InputError(
            f"file: {name!r} holds an array of shape {array.shape} and type {array.dtype}; rows of numbers are needed."
        )
    return array if array.dtype.kind == "f" else array.astype(float)
