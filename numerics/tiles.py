"""Embeddings read by blocks of columns or of labels, in double precision and within a memory bound.

A file mapped into memory counts as the process's own once it is read, so each block gives its pages back.
"""

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .matrices import label_of_context

MEMORY = 2**30  # bytes; what an analysis may use beyond its arguments
DOUBLE = 8


@dataclass(frozen=True)
class Tiles:
    """The rows of H by cell of their structure, or by label.

    Attributes
    ----------
    H : array (m, d) of any real type, in the table's order; a memory-mapped one is read by blocks
    attributes, kept : structures of the contexts and of the labels
    memory : bytes that one block and what is computed from it may take
    """

    H: np.ndarray
    attributes: Attributes
    kept: Attributes
    memory: int = MEMORY

    @cached_property
    def cells(self) -> np.ndarray:
        """The row of H of each cell (m,), in the formula's order."""
        order = self.attributes.order
        return np.arange(len(self.H)) if order is None else np.argsort(order)

    @cached_property
    def by_label(self) -> np.ndarray:
        """The cells of each label (C, r), both in the formula's order."""
        label = label_of_context(self.attributes, self.kept)
        return np.argsort(label, kind="stable").reshape(label.max() + 1, -1)

    def columns(self, copies: int = 6) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks (m, b) of all cells, which leave room for `copies` of each."""
        m, d = self.H.shape
        width = max(1, min(d, self.memory // (DOUBLE * m * copies)))
        for start in range(0, d, width):
            chosen = slice(start, min(start + width, d))
            block = np.asarray(self.H[:, chosen], dtype=float)
            if self.attributes.order is not None:
                block = block[self.cells]
            self._forget()
            self._check(block, start)
            yield chosen, block

    def labels(self, side: int, first: int = 0) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks (k, r, d) of the contexts of `side` labels each, from label `first` on."""
        C, r = self.by_label.shape
        for start in range(first, C, side):
            chosen = slice(start, min(start + side, C))
            rows = self.cells[self.by_label[chosen].ravel()]
            block = np.asarray(self.H[rows], dtype=float).reshape(-1, r, self.H.shape[1])
            self._forget()
            yield chosen, block

    def side(self, copies: int, reserved: int = 0) -> int:
        """How many labels leave room for `copies` of their contexts' rows beside `reserved` bytes."""
        r = self.by_label.shape[1]
        return max(1, (self.memory - reserved) // (DOUBLE * r * self.H.shape[1] * copies))

    def pair_side(self) -> int:
        """How many labels a tile of labels x labels may have on each side, with the rows of both."""
        r = self.by_label.shape[1]
        return max(1, min(self.side(copies=10), math.isqrt(self.memory // (DOUBLE * 6 * r))))

    def _check(self, block: np.ndarray, start: int) -> None:
        if not np.all(np.isfinite(block)):
            cell, column = np.argwhere(~np.isfinite(block))[0]
            where = [int(self.cells[cell]), int(column) + start]
            raise InputError(f"H: NaN or infinity at index {where}; give finite numbers (did the run diverge?).")

    def _forget(self) -> None:
        """Hand the pages of a mapped file back to the system (they stay in its cache)."""
        mapped = self.H.base
        if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def check_rows(H: np.ndarray, attributes: Attributes) -> None:
    """Refuse what is no real array (m, d) with one row per context."""
    if not isinstance(H, np.ndarray) or H.ndim != 2 or H.dtype.kind not in "iuf" or 0 in H.shape:
        shape, kind = (H.shape, H.dtype) if isinstance(H, np.ndarray) else (None, type(H).__name__)
        raise InputError(f"H: shape {shape} of {kind}; give a real array (contexts, features), one row per context.")
    m = int(attributes.cardinality)
    if len(H) != m:
        raise InputError(f"H: it has {len(H)} rows, but {attributes} has {m} contexts; give one row per context.")
