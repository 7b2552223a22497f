"""The one pass over the logits: exponentials in place, and what makes minus the gradient of them.

For a context with logits z (V,) and label y, with any shift s, e_i = exp(z_i - s) and the sum over the others
o = sum_{i != y} e_i, minus the gradient scale (1_y - softmax(z)) of the cross-entropy is

    factor E,   E_i = e_i (i != y),   E_y = -o,   factor = -scale / (e_y + o).

Only positive numbers are added, so that it is accurate where the softmax rounds to its label, whatever the largest
entry is.  The factor is left to multiply a row of d numbers rather than one of V.  Soft labels have no y: E = e, and
their targets enter elsewhere.
"""

import numpy as np

# Entries that a block of rows may have: 512 KiB of float64 stay in a level-2 cache.
BLOCK = 65_536
# Sums of exponentials without a shift must stay within these, far enough from under- and overflow for products of d.
RANGE = {"float64": (1e-100, 1e100), "float32": (1e-10, 1e10)}


def exponentials(
    Z: np.ndarray, at_label: np.ndarray | None, scale: float, factor: np.ndarray, loss: np.ndarray | None = None
) -> bool:
    """Turn logits into E and its factors without a shift, which saves two passes.

    Parameters
    ----------
    Z : array (n, V), C-contiguous, one row a context; E when done
    at_label : int array (n,), n-th row's label as a position in Z.ravel(); None for soft labels
    scale : float
    factor : array (n,), written
    loss : array (n,), written: cross-entropy of each row; with soft labels only log sum exp(z)

    Returns
    -------
    bool : False where a sum left `RANGE`; then the logits must be computed again, for `shifted_exponentials`
    """
    flat, n, V = Z.reshape(-1), *Z.shape
    low, high = RANGE[Z.dtype.name]
    step = max(1, BLOCK // V)
    others = factor
    chosen = np.zeros(n, Z.dtype)
    logit = flat.take(at_label) if at_label is not None and loss is not None else 0.0
    with np.errstate(over="ignore", under="ignore"):
        for i in range(0, n, step):
            rows = Z[i : i + step]
            np.exp(rows, out=rows)
            if at_label is not None:
                here = at_label[i : i + step]
                flat.take(here, out=chosen[i : i + step])
                flat[here] = 0.0
            np.add.reduce(rows, axis=1, out=others[i : i + step])
        total = chosen + others
        if not (total.min() > low and total.max() < high):  # as NaN too
            return False
    _finish(flat, at_label, scale, factor, chosen, total, logit, loss)
    return True


def shifted_exponentials(
    Z: np.ndarray, at_label: np.ndarray | None, scale: float, factor: np.ndarray, loss: np.ndarray | None = None
) -> None:
    """The same for logits of any size, shifted by the largest of each row; NaN where a logit is not finite."""
    flat = Z.reshape(-1)
    top = Z.max(axis=1)
    with np.errstate(all="ignore"):
        Z -= top[:, None]
        logit = flat.take(at_label) if at_label is not None else 0.0
        np.exp(Z, out=Z)
        chosen = np.zeros(len(Z), Z.dtype)
        if at_label is not None:
            flat.take(at_label, out=chosen)
            flat[at_label] = 0.0
        np.add.reduce(Z, axis=1, out=factor)
        _finish(flat, at_label, scale, factor, chosen, chosen + factor, logit, loss)
        if loss is not None and at_label is None:
            loss += top


def _finish(
    flat: np.ndarray,
    at_label: np.ndarray | None,
    scale: float,
    factor: np.ndarray,
    chosen: np.ndarray,
    total: np.ndarray,
    logit: np.ndarray | float,
    loss: np.ndarray | None,
) -> None:
    """Write the labels' entries, the losses and the factors; `factor` holds the sums over the others."""
    others = factor
    if at_label is not None:
        flat[at_label] = -others
    if loss is not None:
        np.log(total, out=loss)
        loss -= logit
        # Where the label leads, log(total) - logit would lose what is small; elsewhere the loss is at least log 2.
        leads = others < chosen
        loss[leads] = np.log1p(others[leads] / chosen[leads])
    np.divide(-scale, total, out=factor)
