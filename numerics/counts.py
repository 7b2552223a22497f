"""Counts of tokens in contexts, from arrays and files, in the order of the attribute tables."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from ..theory.errors import InputError
from ..theory.table import read_columns
from .embeddings import read_embeddings
from .unfolding import check_unfolded, stored_bytes

MOST_CELLS = 2**26  # of the dense matrix: half a gigabyte


def read_counts(
    counts: Any, contexts: Mapping[str, list], tokens: Mapping[str, list] | None
) -> tuple[np.ndarray, float]:
    """Counts (m, n) in the order of the tables, and the share of all counts that they hold.

    Parameters
    ----------
    counts : array (m, n), scipy sparse matrix, or path: .npy, .npz (dense, or as scipy.sparse has it), or CSV
    contexts, tokens : columns of the tables; names in columns `context` and `token` where counts are a CSV

    Raises
    ------
    InputError
        For what cannot be read, is too large, negative or not finite, and for names that the tables lack.

    Examples
    --------
    >>> read_counts([[2, 0], [1, 3]], {"a": ["x", "y"]}, None)
    (array([[2., 0.],
           [1., 3.]]), 1.0)
    """
    if isinstance(counts, (str, os.PathLike)):
        if os.path.splitext(counts)[1] not in (".npy", ".npz"):
            return _long_counts(counts, contexts, tokens)
        counts = _matrix(counts)
    shape = getattr(counts, "shape", None) or np.shape(counts)
    if len(shape) == 2 and shape[0] * shape[1] > MOST_CELLS:
        raise InputError(f"counts: {shape[0]} x {shape[1]} cells; at most {MOST_CELLS} fit, so merge rare tokens.")
    try:
        C = np.asarray(counts.toarray() if sparse.issparse(counts) else counts, dtype=float)
    except (TypeError, ValueError):
        raise InputError("counts: they are no numeric matrix; give contexts x tokens.") from None
    if C.ndim != 2 or 0 in C.shape or not np.all(np.isfinite(C)) or C.min() < 0:
        raise InputError(f"counts: shape {C.shape}; give a matrix contexts x tokens of finite numbers >= 0.")
    return C, 1.0


def _long_counts(
    path: str | os.PathLike, contexts: Mapping[str, list], tokens: Mapping[str, list] | None
) -> tuple[np.ndarray, float]:
    rows = read_columns(path)
    for name in ("context", "token", "count"):
        if name not in rows:
            raise InputError(f"counts: {os.fspath(path)!r} has no column {name!r}; it needs context, token and count.")
    if "context" not in contexts or (tokens is not None and "token" not in tokens):
        raise InputError("contexts, tokens: a CSV of counts needs their names, in columns context and token.")
    row = {str(name): i for i, name in enumerate(contexts["context"])}
    if len(row) < len(contexts["context"]):
        raise InputError("contexts: a name in column context is there twice; give each row one of its own.")
    names = rows["token"] if tokens is None else tokens["token"]
    column = {str(name): i for i, name in enumerate(dict.fromkeys(map(str, names)))}
    if len(row) * len(column) > MOST_CELLS:
        raise InputError(f"counts: {len(row)} x {len(column)} cells; at most {MOST_CELLS} fit, so merge rare tokens.")
    C, lost = np.zeros((len(row), len(column))), 0.0
    for line, (context, token, text) in enumerate(zip(rows["context"], rows["token"], rows["count"], strict=True), 2):
        try:
            count = float(text)
        except ValueError:
            count = -1.0
        if not 0 <= count < np.inf:
            raise InputError(f"counts: {text!r} in line {line} is no count; give a finite number >= 0.")
        if str(context) not in row:
            raise InputError(
                f"counts: context {context!r} in line {line} is not in the table; add it with its attributes."
            )
        if str(token) in column:
            C[row[str(context)], column[str(token)]] += count
        else:
            lost += count
    total = C.sum() + lost
    return C, float(C.sum() / total) if total else 1.0


def _matrix(path: str | os.PathLike) -> Any:
    if os.path.splitext(path)[1] == ".npz":
        try:
            with np.load(path, allow_pickle=False) as archive:
                for member in archive.zip.infolist():
                    check_unfolded(member.filename, member.file_size, stored_bytes(path))
            found = sparse.load_npz(path)
        except Exception:  # dense, or what cannot be read at all
            return read_embeddings(path)[0]
        try:
            if hasattr(found, "check_format"):
                found.check_format(full_check=True)  # SciPy writes to where the indices point, wherever that is
        except ValueError as error:
            raise InputError(f"counts: {os.fspath(path)!r} is no sparse matrix ({error}).") from None
        return found
    return read_embeddings(path)[0]
