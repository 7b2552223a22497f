"""The one pass over the logits: from each context's logits to minus the gradient of its cross-entropy, in place.

For logits z (V,) and label y, with any shift s, e_i = exp(z_i - s) and the sum over the others o = sum_{i != y} e_i,

    scale (1_y - softmax(z)):   -scale e_i / (e_y + o)  for i != y,   scale o / (e_y + o)  for y.

Only positive numbers are added, so that it is accurate where the softmax rounds to its label, whatever the largest
entry is.  Soft labels have no y: -scale softmax(z), and their targets enter elsewhere.
"""

import numpy as np

# Entries that a block of rows may have: 512 KiB of float64 stay in a level-2 cache.
BLOCK = 65_536
# Sums of exponentials without a shift must stay within these, far enough from under- and overflow for products of d;
# by type characters (float64 and float32).
RANGE = {"d": (1e-100, 1e100), "f": (1e-10, 1e10)}


def residuals(Z: np.ndarray, at_label: np.ndarray | None, scale: float, loss: np.ndarray | None = None) -> bool:
    """Turn logits into residuals without a shift, which saves two passes.

    Parameters
    ----------
    Z : array (n, V), C-contiguous, one row a context; minus the gradient when done
    at_label : int array (n,), n-th row's label as a position in Z.ravel(); None for soft labels
    scale : float
    loss : array (n,), written: cross-entropy of each row; with soft labels only log sum exp(z)

    Returns
    -------
    bool : False where a sum left `RANGE`; then the logits must be computed again, for `shifted_residuals`
    """
    n, V = Z.shape
    low, high = RANGE[Z.dtype.char]
    step = max(1, BLOCK // V)
    with np.errstate(over="ignore", under="ignore"):
        for i in range(0, n, step):
            rows = Z[i : i + step]
            here = None if at_label is None else at_label[i : i + step] - i * V
            logit = rows.reshape(-1)[here] if here is not None and loss is not None else 0.0
            np.exp(rows, out=rows)
            total = _finish(rows, here, scale, logit, None if loss is None else loss[i : i + step])
            if not (total.min() > low and total.max() < high):  # as NaN too
                return False
    return True


def shifted_residuals(Z: np.ndarray, at_label: np.ndarray | None, scale: float, loss: np.ndarray | None = None) -> None:
    """The same for logits of any size, shifted by the largest of each row; NaN where a logit is not finite."""
    top = Z.max(axis=1)
    with np.errstate(all="ignore"):
        Z -= top[:, None]
        logit = Z.reshape(-1)[at_label] if at_label is not None else 0.0
        np.exp(Z, out=Z)
        _finish(Z, at_label, scale, logit, loss)
        if loss is not None and at_label is None:
            loss += top


def _finish(
    rows: np.ndarray, at_label: np.ndarray | None, scale: float, logit: np.ndarray | float, loss: np.ndarray | None
) -> np.ndarray:
    """From exponentials to residuals and losses; returns the sums of the exponentials."""
    flat = rows.reshape(-1)
    if at_label is None:
        total = others = rows.sum(axis=1)
    else:
        chosen = flat[at_label]
        flat[at_label] = 0.0
        others = rows.sum(axis=1)
        total = chosen + others
        flat[at_label] = -others
    with np.errstate(divide="ignore", invalid="ignore"):
        rows *= (-scale / total)[:, None]
        if loss is not None:
            np.log(total, out=loss)
            loss -= logit
    if loss is not None and at_label is not None:
        # Where the label leads, log(total) - logit would lose what is small; elsewhere the loss is at least log 2.
        leads = others < chosen
        loss[leads] = np.log1p(others[leads] / chosen[leads])
    return total
