"""Few-shot transfer: an attribute's values told from a single example of each, on combinations left out of them.

x is given the value v of the nearest example y_v, one drawn for each value.  Averaged over all draws, exactly,

    accuracy = mean over x of  mean over y of x's own value of  prod over v != own of  P(|x - y_v| > |x - y|),

where equal distances share the point.  An example of another value is nearer when it shares other attributes with x and
these weigh more: one example tells which attributes the features hold, where a probe fitted to all finds any direction.
"""

from collections.abc import Sequence

import numpy as np

from .probes import TIES


def one_shot(H: np.ndarray, value: np.ndarray, folds: Sequence[np.ndarray]) -> float:
    """Accuracy of telling a value from one example of each, drawn among the contexts outside of the fold.

    Parameters
    ----------
    H : array (m, d), one row per context
    value : array (m,) of numbers from 0
    folds : arrays of row numbers, each tested with examples from the other rows

    Returns
    -------
    accuracy; 1 / number of values is chance

    Examples
    --------
    With a stronger than b, always; at the simplex, where nothing is nearer than anything else, by chance:

    >>> a, b = np.repeat(np.eye(2), 3, axis=0), np.tile(np.eye(3), (2, 1))
    >>> value, folds = np.repeat([0, 1], 3), [np.array([i]) for i in range(6)]
    >>> one_shot(np.hstack([2 * a, b]), value, folds), round(one_shot(np.eye(6), value, folds), 12)
    (1.0, 0.5)
    """
    values = int(value.max()) + 1
    return float(np.concatenate([_accuracies(H, value, D, values) for D in folds]).mean())


def _accuracies(H: np.ndarray, value: np.ndarray, D: np.ndarray, values: int) -> np.ndarray:
    """For each row of the fold: (len(D),)."""
    others = np.setdiff1d(np.arange(len(H)), D)
    X = H - H.mean(axis=0)
    scores = X[D] @ X[others].T - (X[others] ** 2).sum(axis=1) / 2  # |x - y|^2 is least where this is largest
    width = TIES * max(float((X**2).sum(axis=1).max()), 1e-300)
    of_value = [np.sort(scores[:, value[others] == v], axis=1) for v in range(values)]
    # E 1/(1 + T), T the number of ties, is the integral over u in [0, 1] of E u^T: a polynomial of degree values - 1.
    nodes, weights = np.polynomial.legendre.leggauss(values // 2 + 1)
    u, weights = (nodes + 1) / 2, weights / 2
    found = np.empty(len(D))
    for i, own in enumerate(value[D]):
        y = of_value[own][i]
        chances = np.ones((len(y), len(u)))
        for v in range(values):
            if v != own:
                below = np.searchsorted(of_value[v][i], y - width, side="left")
                ties = np.searchsorted(of_value[v][i], y + width, side="right") - below
                chances *= (below[:, None] + ties[:, None] * u) / of_value[v].shape[1]
        found[i] = (chances @ weights).mean()
    return found
