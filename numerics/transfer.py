"""Transfer to combinations of attributes left out: their features against the sum of effects learned from the others.

The additive prediction is the least-squares fit  h_c ~ mean + effect of each attribute's value  to the class means seen;
with P the projector onto the mean and the main effects, what it predicts without the classes D is

    h_D - (I - P_DD)^{-1} (H - P H)_D,

the same closed form as a probe's (`ufmflow.numerics.probes`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from . import strata
from .matrices import label_of_context
from .options import whole
from .probes import left_out, transversals, won

MOST_CLASSES = 4096  # the projector is dense


@dataclass(frozen=True)
class Transfer:
    """How well classes are predicted from the attributes of others.

    Attributes
    ----------
    r2 : 1 - sum |h - additive prediction|^2 / sum |h - mean of the seen|^2 over the classes left out
    accuracy : share of the classes left out to whose features their own additive prediction is the nearest, among
        the additive predictions of all combinations; ties share the point.  Classes that share all attributes (species
        of one genus) have one prediction
    """

    r2: float
    accuracy: float


def additive_projector(kept: Attributes) -> np.ndarray:
    """P (V, V), the projector onto the mean and the main effects of the classes.

    Examples
    --------
    >>> int(np.trace(additive_projector(Attributes("color[4] * shape[6]"))).round())
    9
    """
    V = int(kept.cardinality)
    if V > MOST_CLASSES:
        raise InputError(f"attributes: {kept} has {V} classes; transfer takes at most {MOST_CLASSES}.")
    main = {"1", *kept.semantic_strata()}
    return strata.apply(np.eye(V), {A: float(A in main) for A in kept.names}, kept)


def transfer(means: np.ndarray, kept: Attributes, folds: Sequence[np.ndarray]) -> Transfer:
    """Predict classes left out from the attributes of the rest.

    Parameters
    ----------
    means : array (V, d), a row for each class, in the formula's order
    kept : structure of the classes
    folds : arrays of row numbers, each left out at a time

    Raises
    ------
    InputError
        When the classes that remain do not determine the effects: a value of an attribute occurs in none of them.

    Examples
    --------
    >>> H = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> found = transfer(H, Attributes("a[2] * b[2]"), [np.array([i]) for i in range(4)])
    >>> round(found.r2, 12), found.accuracy
    (1.0, 1.0)
    """
    P = additive_projector(kept)
    predicted = left_out(P, means, folds)
    wrong = total = 0.0
    hits: list[np.ndarray] = []
    fit = P @ means
    alike = label_of_context(kept, kept.keep(kept.named(frozenset().union(*map(kept.closure, semantic(kept))))))
    first = np.unique(alike, return_index=True)[1]
    for D in folds:
        seen = np.setdiff1d(np.arange(len(means)), D)
        wrong += float(((means[D] - predicted[D]) ** 2).sum())
        total += float(((means[D] - means[seen].mean(axis=0)) ** 2).sum())
        # The fit without D to all classes: as if D's rows were what is predicted for them.
        prototypes = (fit - P[:, D] @ (means[D] - predicted[D]))[first]
        scores = means[D] @ prototypes.T - (prototypes**2).sum(axis=1) / 2
        hits.append(won(scores, alike[D]))
    return Transfer(1 - wrong / total if total > 0 else float("nan"), float(np.concatenate(hits).mean()))


def semantic(kept: Attributes) -> list[str]:
    """Attributes that several classes share.

    Examples
    --------
    >>> semantic(Attributes("kingdom[3] / genus[3] / species[4]"))
    ['kingdom', 'genus']
    """
    return [k for k in kept.sizes if kept.closure(k) != frozenset(kept.sizes)]


def class_folds(kept: Attributes) -> list[np.ndarray]:
    """Folds of classes for a run that saw them all: each holds every value of the attribute with the fewest once."""
    count = {k: int(kept.keep(kept.named(kept.closure(k))).cardinality) for k in semantic(kept)}
    return transversals(kept, None, min(count, key=count.__getitem__)) if count else []


def held_out_labels(kept: Attributes, hold_out: int | Iterable[int], seed: int = 0) -> tuple[int, ...]:
    """Labels to leave out of training: numbers in the formula's order.

    Parameters
    ----------
    kept : structure of the labels
    hold_out : the labels' numbers, or how many; then each value of each attribute loses about equally many, and ties
        are drawn at random
    seed : of the draw

    Raises
    ------
    InputError
        For labels that are unknown or twice, and where those that remain do not determine the attributes' effects.

    Examples
    --------
    >>> held_out_labels(Attributes("color[4] * shape[6]"), [3, 0])
    (0, 3)
    >>> len(held_out_labels(Attributes("color[4] * shape[6]"), 6))
    6
    """
    V = int(kept.cardinality)
    if isinstance(hold_out, (int, np.integer)) and not isinstance(hold_out, bool):
        chosen = _spread(kept, whole("hold_out", hold_out, 1, V - 1), seed)
    else:
        chosen = _numbers(hold_out, V)
    P = additive_projector(kept)
    D = np.array(chosen)
    if np.linalg.eigvalsh(np.eye(len(D)) - P[np.ix_(D, D)])[0] < 1e-10:
        raise InputError(
            f"hold_out: without the labels {', '.join(map(str, chosen))} the others do not determine the effect of "
            f"every value of {', '.join(kept.sizes)}; leave out fewer, or others."
        )
    return chosen


def _numbers(hold_out: Any, V: int) -> tuple[int, ...]:
    numbers = list(hold_out) if isinstance(hold_out, Iterable) and not isinstance(hold_out, str) else []
    if not numbers or len(set(numbers)) < len(numbers):
        raise InputError(f"hold_out: {hold_out!r}; give how many labels, or their numbers, each once.")
    return tuple(sorted(whole("hold_out", number, 0, V - 1) for number in numbers))


def _spread(kept: Attributes, count: int, seed: int) -> tuple[int, ...]:
    """One after another, the label whose values have lost the fewest so far."""
    cells = np.stack(np.unravel_index(np.arange(int(kept.cardinality)), kept.shape), axis=1)
    lost = [np.zeros(n, dtype=int) for n in kept.shape]
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for _ in range(count):
        price = np.sum([n * lost[i][cells[:, i]].astype(float) for i, n in enumerate(kept.shape)], axis=0)
        price[chosen] = np.inf
        best = np.flatnonzero(price == price.min())
        chosen.append(int(rng.choice(best)))
        for i, value in enumerate(cells[chosen[-1]]):
            lost[i][value] += 1
    return tuple(sorted(chosen))
