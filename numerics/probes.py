"""Linear probes for attributes, tested on combinations of attributes that they have not seen, in closed form.

A ridge probe with intercept fits Y (one-hot values of an attribute) to features H; its fit to all contexts is S Y,

    S = J/m + G (G + lam I)^{-1},       G = Gram matrix of H less its mean,

and what the probe fitted without the contexts D predicts for D is, exactly and without another fit,

    Y_D - (I - S_DD)^{-1} (Y - S Y)_D.

Each fold D has every value of the attribute equally often, in another combination with the rest: a probe that knows
nothing then has no reason to prefer a value (leaving out one context alone makes its own value the rarer one, and at
the ETF a probe would be wrong always), and it cannot know a combination by heart.
"""

from collections.abc import Sequence

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .matrices import label_of_context

RIDGE = 0.1  # of a probe, over the mean energy of the features: shrinks what has less than a tenth of it
TIES = 1e-9  # scores this close, relative to the largest, are equal: at the ETF they differ by rounding alone


def smoother(H: np.ndarray, ridge: float = RIDGE) -> np.ndarray:
    """S (m, m) of a ridge probe with intercept; lam is `ridge` times the mean energy tr G / (m - 1).

    Parameters
    ----------
    H : array (m, d), one row per context
    ridge : > 0

    Examples
    --------
    >>> S = smoother(np.array([[1.0], [2.0], [3.0]]), ridge=0.5)
    >>> S.sum(axis=0).round(12).tolist()
    [1.0, 1.0, 1.0]
    """
    m = len(H)
    X = H - H.mean(axis=0)
    values, vectors = np.linalg.eigh(X @ X.T)
    values = np.clip(values, 0.0, None)
    energy = values.sum() / max(1, m - 1)
    shrink = values / (values + ridge * energy) if energy > 0 else np.zeros(m)
    return (vectors * shrink) @ vectors.T + 1.0 / m


def left_out(S: np.ndarray, Y: np.ndarray, folds: Sequence[np.ndarray]) -> np.ndarray:
    """What a linear smoother fitted without each fold predicts for it; rows of no fold are NaN.

    Parameters
    ----------
    S : array (m, m), of a least-squares fit with a fixed quadratic penalty or none
    Y : array (m, q)
    folds : arrays of row numbers, disjoint

    Returns
    -------
    array (m, q)

    Raises
    ------
    InputError
        When the rows that remain do not determine the fit.
    """
    found = np.full(Y.shape, np.nan)
    residual = Y - S @ Y
    for D in folds:
        inner = np.eye(len(D)) - S[np.ix_(D, D)]
        if np.linalg.eigvalsh((inner + inner.T) / 2)[0] < 1e-10:  # S is a contraction: 0 where D decides the fit alone
            raise InputError(f"folds: without rows {D.tolist()} the fit is not determined; leave out fewer at a time.")
        found[D] = Y[D] - np.linalg.solve(inner, residual[D])
    return found


def values_of(attributes: Attributes, factor: str) -> np.ndarray:
    """The value of a factor (with all that it is nested in) of each context, in the formula's order: (m,) numbers."""
    return label_of_context(attributes, attributes.keep(attributes.named(attributes.closure(factor))))


def decodable(attributes: Attributes, labels: tuple[str, ...] | None) -> tuple[str, ...]:
    """Attributes whose values each occur in several combinations with those of the label.

    Examples
    --------
    >>> decodable(Attributes("kingdom[3] / genus[3] / species[4]"), None)
    ('kingdom', 'genus')
    """
    kept = frozenset(attributes.keep(labels).sizes)
    return tuple(k for k in attributes.sizes if not kept <= attributes.closure(k))


def transversals(attributes: Attributes, labels: tuple[str, ...] | None, factor: str) -> list[np.ndarray]:
    """Folds that each hold every value of a factor once, in different combinations with the label's attributes.

    Fold f has, of the R combinations that hold value v, number (f + v) mod R, with all its contexts.

    Raises
    ------
    InputError
        For a factor whose values determine the combination.

    Examples
    --------
    >>> [fold.tolist() for fold in transversals(Attributes("a[2] * b[3]"), None, "a")]
    [[0, 4], [1, 5], [2, 3]]
    """
    if factor not in decodable(attributes, labels):
        raise InputError(
            f"factor: {factor!r} has no values that occur in several combinations; "
            f"choose one of {', '.join(decodable(attributes, labels)) or 'none'}."
        )
    value = values_of(attributes, factor)
    together = attributes.closure(factor) | frozenset(attributes.keep(labels).sizes)
    cell = label_of_context(attributes, attributes.keep(attributes.named(together)))
    by_value = [np.unique(cell[value == v]) for v in range(value.max() + 1)]
    R = len(by_value[0])
    chosen = [[cells[(f + v) % R] for v, cells in enumerate(by_value)] for f in range(R)]
    return [np.flatnonzero(np.isin(cell, cells)) for cells in chosen]


def decode(S: np.ndarray, value: np.ndarray, folds: Sequence[np.ndarray]) -> tuple[float, float]:
    """How well a probe tells the value of contexts that it was not fitted to.

    Parameters
    ----------
    S : array (m, m), `smoother(H)`
    value : array (m,) of numbers from 0
    folds : arrays of row numbers, disjoint

    Returns
    -------
    accuracy : share of the contexts whose true value has the largest score; values that tie share the point
    margin : mean over contexts of the true value's score less the mean score of the others; 1 is perfect, 0 none

    Examples
    --------
    >>> structure = Attributes("a[3] * b[4]")
    >>> a, b = (np.eye(n)[values_of(structure, k)] for k, n in (("a", 3), ("b", 4)))
    >>> decode(smoother(np.hstack([a, b])), values_of(structure, "a"), transversals(structure, None, "a"))[0]
    1.0
    """
    Y = np.eye(int(value.max()) + 1)[value]
    scores = left_out(S, Y, folds)
    rows = np.concatenate(list(folds))
    scores, truth = scores[rows], value[rows]
    own = scores[np.arange(len(rows)), truth]
    others = (scores.sum(axis=1) - own) / (scores.shape[1] - 1)
    return float(won(scores, truth).mean()), float((own - others).mean())


def won(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 where the true column has the largest score of its row, a fair part of it where columns tie: (rows,)."""
    top = scores.max(axis=1, keepdims=True)
    scale = np.abs(np.where(np.isfinite(scores), scores, 0.0)).max(initial=1e-300)
    tied = scores >= top - TIES * scale
    return tied[np.arange(len(truth)), truth] / tied.sum(axis=1)
