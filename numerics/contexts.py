"""The contexts that a user's network is shown: their attributes, their labels, and the table that a run keeps."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from ..theory.table import read_columns


@dataclass(frozen=True)
class Contexts:
    """Checked contexts, in the order of the user's rows.

    Attributes
    ----------
    attributes : Attributes
    label : int64 array (m,), row of W of each context
    kept : tuple of str or None, the factors that the label keeps; None for all
    table : columns of the run's CSV, `label` first
    """

    attributes: Attributes
    label: np.ndarray
    kept: tuple[str, ...] | None
    table: dict[str, list]

    @classmethod
    def of(cls, attributes: Any, label: Any, inputs: Any, labels: str | None = None, formula: str | None = None):
        """Contexts from attributes (a structure, CSV, DataFrame or mapping), labels, and the inputs they belong to.

        Raises
        ------
        InputError
            For attributes, labels and inputs of unequal number, labels that are no row numbers or fit no part of the
            attributes or not the stated one, and inputs that occur twice.
        """
        columns: dict[str, list] = {}
        if isinstance(attributes, Attributes):
            structure = attributes
        else:
            columns = read_columns(attributes)
            structure = Attributes.from_table(columns, formula)
        m = int(np.prod(structure.shape))
        if len(inputs) != m:
            raise InputError(f"inputs: {len(inputs)} rows, but {structure} has {m} contexts; give one row per context.")
        _check_distinct(inputs)
        rows = _row_numbers(columns.get("label", range(m)) if label is None else label, m)
        kept = structure.kept_by(rows.tolist())
        if labels is not None and structure.keep(labels) != structure.keep(kept):
            raise InputError(
                f"labels: {labels!r} is stated, but the labels given keep {structure.keep(kept)}; mend one of them."
            )
        factors = {k: v for k, v in columns.items() if k != "label"} or _written_out(structure)
        return cls(structure, rows, kept, {"label": rows.tolist(), **factors})

    @property
    def stated(self) -> str | None:
        """The part that the label keeps as NAME.json tells it."""
        return None if self.kept is None else " ".join(self.kept)


def _row_numbers(label: Any, m: int) -> np.ndarray:
    if hasattr(label, "detach"):
        label = label.detach().cpu().numpy()
    values = np.asarray(label)
    if values.dtype.kind == "U" and all(word.isdecimal() for word in values.ravel()):
        values = values.astype(np.int64)  # a CSV's column
    if values.shape != (m,) or values.dtype.kind not in "iu" or values.min() < 0:
        raise InputError(
            f"label: shape {values.shape} of {values.dtype}; give {m} row numbers of the head, one per context."
        )
    return values.astype(np.int64)


def _check_distinct(inputs: Any) -> None:
    """Two contexts that the network cannot tell apart would have one embedding, whatever their attributes."""
    rows = inputs.detach().cpu().numpy() if hasattr(inputs, "detach") else np.asarray(inputs)
    if rows.dtype.kind not in "biuf" or not rows.size:
        return
    _, first, number = np.unique(rows.reshape(len(rows), -1), axis=0, return_index=True, return_inverse=True)
    if len(first) < len(rows):
        second = int(np.flatnonzero(first[number.ravel()] != np.arange(len(rows)))[0])
        earlier = int(first[number.ravel()][second])
        raise InputError(f"inputs: rows {earlier + 1} and {second + 1} are the same context; give each context once.")


def _written_out(structure: Attributes) -> dict[str, list]:
    """A table whose rows are the structure's, values named after their factor."""
    m = int(np.prod(structure.shape))
    order = np.arange(m) if structure.order is None else np.asarray(structure.order)
    cells = np.unravel_index(order, structure.shape)
    return {name: [f"{name}_{value}" for value in values] for name, values in zip(structure.sizes, cells, strict=True)}
