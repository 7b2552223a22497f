"""`observe(H, W, labels, attributes)`: the strata of any network's embeddings, in the trajectory's schema."""

from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .matrices import cross_entropy, label_of_context
from .simulate import singular_values
from .trajectory import Trajectory, dataset, in_formula_order


def observe(
    H: np.ndarray,
    W: np.ndarray | None,
    labels: Any,
    attributes: Attributes,
    time: Any = None,
    loss: Any = None,
) -> Trajectory:
    """Read singular values, shares, loss and semantic index off embeddings.

    Parameters
    ----------
    H : array (m, d) or (T, m, d), one row per context, in the order of the attributes' table (the formula's if None)
    W : array (V, d) or (T, V, d), one row per label, or None (then w, z and the loss are 0)
    labels : array (m,) of the row of W that each context is labelled with, or None: context i has label i
    attributes : structure of the contexts
    time : times (T,); 0, 1, 2, ... if None
    loss : recorded losses (T,); if None, the mean cross-entropy of W H with one-hot labels

    Returns
    -------
    Trajectory
        With `H` and `W` in its data, contexts and labels in the formula's order.

    Raises
    ------
    InputError
        For shapes that do not fit, NaN or infinity, and labels that do not fit W or the attributes.

    Examples
    --------
    >>> structure = Attributes("a[2] * b[2]")
    >>> rows = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> observe(rows, None, None, structure).data["share_H"].values.tolist()
    [[0.0, 0.5, 0.5, 0.0]]
    """
    H = _checked(H, "H")
    times = np.arange(len(H), dtype=float) if time is None else np.asarray(time, dtype=float)
    if times.shape != (len(H),) or not np.all(np.isfinite(times)):
        raise InputError(f"time: shape {times.shape} with {len(H)} snapshots of H; give one finite time for each.")
    m = int(np.prod(attributes.shape))
    if H.shape[1] != m:
        raise InputError(f"H: it has {H.shape[1]} rows, but {attributes} has {m} contexts; give one row per context.")
    kept, rows = label_rows(labels, attributes)
    ordered = in_formula_order(H, attributes, axis=1)
    if W is None:
        w, h, z = singular_values(ordered, np.zeros((len(H), len(rows), H.shape[2])), attributes, kept)
        found, arrays = np.zeros(len(H)), {}
    else:
        W = _checked(W, "W")
        if W.shape[0] != len(H) or W.shape[2] != H.shape[2]:
            raise InputError(f"W: shape {W.shape} does not fit H of shape {H.shape}; times and widths must agree.")
        if W.shape[1] <= rows.max():
            raise InputError(f"W: it has {W.shape[1]} rows, but label {rows.max()} occurs; give one row per label.")
        by_label = W[:, rows]
        w, h, z = singular_values(ordered, by_label, attributes, kept)
        found = _losses(ordered, W, rows, attributes, kept) if loss is None else _given(loss, len(H))
        arrays = {"W": (("time", "label", "feature"), by_label)}
    arrays["H"] = (("time", "context", "feature"), ordered)
    unused = 0 if W is None else W.shape[1] - len(rows)
    data = dataset(attributes, kept, times, w, h, z, found, source="observe", unused_labels=unused).assign(arrays)
    return Trajectory(data)


def label_rows(labels: Any, attributes: Attributes) -> tuple[tuple[str, ...] | None, np.ndarray]:
    """The factors that the labels keep, and for each combination of them (formula's order) its row of W."""
    m = int(np.prod(attributes.shape))
    values = np.arange(m) if labels is None else np.asarray(labels)
    if values.shape != (m,) or not np.issubdtype(values.dtype, np.integer) or values.min() < 0:
        raise InputError(f"labels: shape {values.shape} of {values.dtype}; give {m} row numbers of W, one per context.")
    kept = attributes.kept_by(values.tolist())
    ordered = in_formula_order(values, attributes)
    of_context = label_of_context(attributes, attributes.keep(kept))
    rows = np.empty(of_context.max() + 1, dtype=int)
    rows[of_context] = ordered
    return kept, rows


def _losses(H: np.ndarray, W: np.ndarray, rows: np.ndarray, attributes: Attributes, kept: Any) -> np.ndarray:
    """Mean cross-entropy at each time; rows of W that label nothing stay in the softmax."""
    one_hot = np.zeros((W.shape[1], H.shape[1]))
    one_hot[rows[label_of_context(attributes, attributes.keep(kept))], np.arange(H.shape[1])] = 1.0
    return np.array([cross_entropy(W_t @ H_t.T, one_hot).mean() for W_t, H_t in zip(W, H, strict=True)])


def _checked(array: Any, name: str) -> np.ndarray:
    try:
        checked = np.asarray(array, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name}: it is no numeric array; give rows of numbers.") from None
    if checked.ndim not in (2, 3) or 0 in checked.shape:
        raise InputError(f"{name}: shape {checked.shape}; give (rows, features) or (times, rows, features).")
    if not np.all(np.isfinite(checked)):
        where = np.argwhere(~np.isfinite(checked))[0].tolist()
        raise InputError(f"{name}: NaN or infinity at index {where}; give finite numbers (did the run diverge?).")
    return checked if checked.ndim == 3 else checked[None]


def _given(loss: Any, count: int) -> np.ndarray:
    values = np.asarray(loss, dtype=float)
    if values.shape != (count,) or not np.all(np.isfinite(values)):
        raise InputError(
            f"loss: shape {values.shape}, finite: {bool(np.all(np.isfinite(values)))}; give {count} finite losses."
        )
    return values
