"""Analogies between contexts: x(a,b) is to x(a',b) as x(a,b') is to x(a',b').

The parallelogram error is the mean of |x(a,b) - x(a',b) - x(a,b') + x(a',b')|^2 over all changes of two attributes,
normalised so that the ETF has 1 and a geometry of attributes alone 0; it is a weighted sum of stratum shares (see
`ufmflow.theory.value`), and so needs no list of analogies.  An analogy is solved when, of all contexts but the three
given, x(a',b') is nearest to x(a',b) + x(a,b') - x(a,b): that depends on the order of distances, not on their size.
x is the mean over contexts of one label, and over what is nested in the attributes that change.
"""

from itertools import product

import numpy as np

from ..theory.attributes import Attributes
from ..theory.value import independent_pairs, parallelogram_weights
from . import strata
from .matrices import label_of_context
from .probes import won
from .trajectory import shares

MOST_QUESTIONS = 2000  # of one pair of attributes; beyond, a random part of them


def class_means(H: np.ndarray, attributes: Attributes, labels: tuple[str, ...] | None) -> np.ndarray:
    """Mean over the contexts of each label: (..., m, d) -> (..., V, d), both in the formula's order.

    Examples
    --------
    >>> class_means(np.array([[1.0], [3.0], [5.0], [7.0]]), Attributes("a[2] / b[2]"), ("a",)).tolist()
    [[2.0], [6.0]]
    """
    kept = attributes.keep(labels)
    if len(kept.sizes) == len(attributes.sizes):
        return H
    of_context = label_of_context(attributes, kept)
    means = np.zeros((*H.shape[:-2], int(kept.cardinality), H.shape[-1]))
    for c in range(means.shape[-2]):
        means[..., c, :] = H[..., of_context == c, :].mean(axis=-2)
    return means


def parallelogram_errors(H: np.ndarray, attributes: Attributes, labels: tuple[str, ...] | None = None) -> dict:
    """Parallelogram error of each pair of attributes, and over all of them.

    Parameters
    ----------
    H : array (..., m, d), one row per context, in the formula's order
    attributes : structure of the contexts
    labels : factors that the label keeps; None for all

    Returns
    -------
    dict from "j, k" to array (...), and from "all" to the mean weighted by the dimensions that the pairs see; empty
    where no two attributes of the label can change independently.  NaN where all class means are alike.

    Examples
    --------
    >>> H = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> {pair: float(error) for pair, error in parallelogram_errors(H, Attributes("a[2] * b[2]")).items()}
    {'a, b': 0.0, 'all': 0.0}
    >>> {pair: round(float(e), 12) for pair, e in parallelogram_errors(np.eye(4), Attributes("a[2] * b[2]")).items()}
    {'a, b': 1.0, 'all': 1.0}
    """
    kept = attributes.keep(labels)
    m = np.array([float(stratum.multiplicity) for stratum in kept.strata])
    share = shares(np.sqrt(strata.energies(class_means(H, attributes, labels), kept)), m)
    alike = share.sum(axis=-1) == 0
    found = {}
    for pair in (*independent_pairs(kept), None):
        weights = parallelogram_weights(kept, pair)
        if weights:
            columns = [kept.names.index(A) for A in weights]
            error = share[..., columns] @ np.array([float(weight) for weight in weights.values()])
            found["all" if pair is None else ", ".join(pair)] = np.where(alike, np.nan, error)
    return found


def analogies_solved(
    H: np.ndarray, attributes: Attributes, labels: tuple[str, ...] | None = None, seed: int = 0
) -> float | None:
    """Share of the analogies whose answer is the nearest context; mean over pairs of attributes.

    Parameters
    ----------
    H : array (m, d), one row per context, in the formula's order
    attributes, labels : as for `parallelogram_errors`
    seed : of the questions that are drawn where a pair has more than 2000

    Returns
    -------
    float, or None where no two attributes of the label can change independently

    Examples
    --------
    >>> H = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> analogies_solved(H, Attributes("a[2] * b[2]"))
    1.0
    """
    kept = attributes.keep(labels)
    means = class_means(H, attributes, labels)
    rng = np.random.default_rng(seed)
    solved = [_solved(means, kept, j, k, rng) for j, k in independent_pairs(kept)]
    return float(np.mean(solved)) if solved else None


def _solved(means: np.ndarray, kept: Attributes, j: str, k: str, rng: np.random.Generator) -> float:
    names = list(kept.sizes)
    below = tuple(i for i, name in enumerate(names) if {j, k} & kept.ancestors[name])
    cells = means.reshape(*kept.shape, means.shape[-1]).mean(axis=below)
    names = [name for i, name in enumerate(names) if i not in below]
    sizes = cells.shape[:-1]
    X = cells.reshape(-1, cells.shape[-1])
    origin, first, second, target = _questions(sizes, names.index(j), names.index(k), rng)
    G = X @ X.T
    scores = G[first] + G[second] - G[origin] - np.diag(G) / 2  # |u - x|^2 is least where this is largest
    asked = np.arange(len(origin))
    for given in (origin, first, second):
        scores[asked, given] = -np.inf
    return float(won(scores, target).mean())


def _questions(sizes: tuple[int, ...], j: int, k: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Row numbers of x(a,b), x(a',b), x(a,b'), x(a',b') for every change of factors j and k, or a random part."""
    changes = np.array([
        (a, a_, b, b_)
        for a, a_, b, b_ in product(range(sizes[j]), range(sizes[j]), range(sizes[k]), range(sizes[k]))
        if a != a_ and b != b_
    ])  # fmt: skip
    rest = [n for i, n in enumerate(sizes) if i not in (j, k)]
    total = len(changes) * int(np.prod(rest, dtype=int))
    number = np.arange(total) if total <= MOST_QUESTIONS else np.sort(rng.choice(total, MOST_QUESTIONS, replace=False))
    change = changes[number % len(changes)]
    others = iter(np.unravel_index(number // len(changes), rest) if rest else ())
    index = [np.zeros(len(number), dtype=int) if i in (j, k) else next(others) for i in range(len(sizes))]

    def at(value_j: np.ndarray, value_k: np.ndarray) -> np.ndarray:
        cell = list(index)
        cell[j], cell[k] = value_j, value_k
        return np.ravel_multi_index(tuple(cell), sizes)

    a, a_, b, b_ = change.T
    return at(a, b), at(a_, b), at(a, b_), at(a_, b_)
