"""How sure are the strata of embeddings?  A bootstrap over feature coordinates, and permutations of attribute labels.

Coordinate c of the features gives one vector h_c in R^m, and the energies are sums over coordinates,

    m_A e_A = sum_c x_Ac,    x_Ac = |P_A h_c|^2,

so energies, shares and the semantic index are smooth functions of the mean of the vectors x_c.  Where coordinates are
independent draws from one distribution (units of a wide random layer, Gaussian embeddings), resampling them is valid,
and the interval is for the value at infinite width.  Coordinates of a trained layer that repeat each other make it too
narrow: then it describes the coordinates at hand only.  NC1 to NC4, the distances and the effective rank are left out:
they look at products of coordinates and at ranks, which a resample with repeated coordinates changes.

Contexts are not resampled, replicates within the cells of a label neither: a cell that draws a replicate twice keeps
less of the spread within it and moves 1 - 1/r of that energy into the strata of the cells' means, so that resampled
energies lie around another value than the energy itself.

Permutations test each stratum against the hypothesis that the attributes say nothing about the embeddings, which makes
the contexts exchangeable: p = (1 + number of permutations whose energy is at least the observed) / (1 + permutations),
exact at any size.  The sum of all strata but the mean is the same for every permutation, so energy and share give one
p.  It is no test of one stratum in the presence of another: a strong main effect, permuted, raises every other stratum
and hides it.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from . import strata
from .observe import label_rows
from .tiles import MEMORY, Tiles, check_rows
from .trajectory import semantic_index

CONFIDENCE = 0.9
TIES = 1e-12  # relative; energies that only rounding tells apart count as equal


def coordinate_energies(H: np.ndarray, attributes: Attributes, memory: int = MEMORY) -> np.ndarray:
    """x_Ac = |P_A h_c|^2 (strata, d) of embeddings (m, d) in the table's order, read by blocks of columns.

    Examples
    --------
    >>> coordinate_energies(np.array([[1.0, 1.0], [-1.0, 1.0]]), Attributes("a[2]")).tolist()
    [[0.0, 2.0], [2.0, 0.0]]
    """
    check_rows(H, attributes)
    multiplicities = _multiplicities(attributes)
    found = np.empty((len(multiplicities), H.shape[1]))
    for columns, block in Tiles(H, attributes, attributes, memory).columns():
        by_coordinate = np.moveaxis(block, 1, 0)[..., None]
        found[:, columns] = multiplicities[:, None] * strata.energies(by_coordinate, attributes).T
    return found


def bootstrap(
    H: np.ndarray,
    attributes: Attributes,
    labels: Any = None,
    resamples: int = 1000,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    memory: int = MEMORY,
) -> dict[str, dict[str, np.ndarray]]:
    """Standard errors and intervals of energies, shares and semantic index, over feature coordinates.

    Intervals are bias-corrected and accelerated (Efron 1987), as SciPy computes them, and percentiles where that is
    undefined (a stratum without energy, coordinates that are all alike).  See the module's text for when they are
    valid; they need some tens of coordinates: with 64 Gaussian ones a 90% interval covers 87 to 91%.

    Parameters
    ----------
    H : array (m, d), one row per context in the order of the attributes' table
    labels : array (m,), as `observe`
    resamples : how often coordinates are drawn, at least 2

    Returns
    -------
    dict
        For `energy`, `share` (arrays over strata) and `semantic_index`: a dict of `standard_error`, `low` and `high`.

    Raises
    ------
    InputError
        As `observe`, and for a single feature or fewer than 2 resamples.

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((4, 100))
    >>> found = bootstrap(rows, Attributes("a[2] * b[2]"), resamples=200)["energy"]
    >>> bool(np.all((found["low"] < 100) & (100 < found["high"])))
    True
    """
    if resamples < 2:
        raise InputError(f"bootstrap: {resamples} resamples; give at least 2, better 1000.")
    if not 0 < confidence < 1:
        raise InputError(f"confidence: {confidence} is no probability; give a number between 0 and 1.")
    names, _ = label_rows(labels, attributes)
    x = coordinate_energies(H, attributes, memory)
    count, d = x.shape
    if d < 2:
        raise InputError("bootstrap: H has one feature; give at least 2, better some tens.")

    def statistic(*parts: np.ndarray, axis: int = -1) -> np.ndarray:
        return _quantities(np.stack([part.sum(axis=axis) for part in parts]), attributes, names)

    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # then percentiles, see below
        found = stats.bootstrap(
            tuple(x), statistic, paired=True, vectorized=True, n_resamples=resamples, confidence_level=confidence,
            method="BCa", rng=np.random.default_rng(seed), batch=max(1, memory // (32 * count * d)),
        )  # fmt: skip
    ends = found.confidence_interval
    percentiles = np.quantile(found.bootstrap_distribution, [(1 - confidence) / 2, (1 + confidence) / 2], axis=-1)
    low, high = (np.where(np.isfinite(e), e, p) for e, p in zip((ends.low, ends.high), percentiles, strict=True))
    parts = {"energy": slice(0, count), "share": slice(count, 2 * count), "semantic_index": 2 * count}
    return {
        name: {"standard_error": found.standard_error[part], "low": low[part], "high": high[part]}
        for name, part in parts.items()
    }


def permutation_p_values(
    H: np.ndarray, attributes: Attributes, permutations: int = 999, seed: int = 0, memory: int = MEMORY
) -> dict[str, float]:
    """p of each stratum but the mean, under permutations of the attributes' rows among contexts.

    A file of many features costs one pass over it for each permutation; embeddings with d > m are first reduced to
    m coordinates, which keep the Gram matrix.

    Returns
    -------
    dict from stratum name to p, a multiple of 1 / (1 + permutations)

    Raises
    ------
    InputError
        As `observe`, and for fewer than 1 permutation.

    Examples
    --------
    >>> rows = np.repeat(np.eye(3), 4, axis=0)
    >>> found = permutation_p_values(rows, Attributes("a[3] * b[4]"), permutations=99)
    >>> found["a"], found["b"]
    (0.01, 1.0)
    """
    if permutations < 1:
        raise InputError(f"permutations: {permutations}; give at least 1, better 999.")
    energies = _energies_of(H, attributes, memory)
    observed = energies(None)
    random = np.random.default_rng(seed)
    reached = np.zeros(len(observed), dtype=int)
    for _ in range(permutations):
        reached += energies(random.permutation(len(H))) >= observed * (1 - TIES) - TIES * observed[1:].sum()
    p = (1 + reached) / (1 + permutations)
    return dict(zip(attributes.names[1:], p[1:].tolist(), strict=True))


def annotate(
    result: dict[str, Any],
    H: np.ndarray,
    attributes: Attributes,
    labels: Any = None,
    resamples: int = 0,
    permutations: int = 0,
    seed: int = 0,
    memory: int = MEMORY,
) -> dict[str, Any]:
    """A Gram analysis (as a dict) with standard errors, 90% intervals and p beside its numbers; 0 leaves one out.

    Examples
    --------
    >>> row = {"name": "a", "energy": 1.0, "share": 1.0}
    >>> found = annotate({"strata": [{"name": "1"}, row]}, np.eye(2), Attributes("a[2]"), permutations=9)
    >>> found["strata"][1]["p_value"], found["uncertainty"]["seed"]
    (1.0, 0)
    """
    rows = [dict(row) for row in result["strata"]]
    found = {**result, "strata": rows}
    if resamples:
        spread = bootstrap(H, attributes, labels, resamples, CONFIDENCE, seed, memory)
        for i, row in enumerate(rows):
            for name in ("energy", "share"):
                row |= _beside(name, {key: value[i] for key, value in spread[name].items()})
        found |= _beside("semantic_index", spread["semantic_index"])
    if permutations:
        p = permutation_p_values(H, attributes, permutations, seed, memory)
        for row in rows[1:]:
            row["p_value"] = p[row["name"]]
    settings = {"bootstrap": resamples, "confidence": CONFIDENCE, "permutations": permutations, "seed": seed}
    return found | {"uncertainty": settings}


def _beside(name: str, spread: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{name}_standard_error": float(spread["standard_error"]),
        f"{name}_interval": [float(spread["low"]), float(spread["high"])],
    }


def _energies_of(H: np.ndarray, attributes: Attributes, memory: int) -> Callable[[np.ndarray | None], np.ndarray]:
    """The function from a permutation of the contexts (None: none) to the energies (strata,)."""
    check_rows(H, attributes)
    m, d = H.shape
    if 16 * m * d > memory:
        multiplicities = _multiplicities(attributes)
        return lambda order: _permuted(H, attributes, memory, order) / multiplicities
    whole = np.concatenate([block for _, block in Tiles(H, attributes, attributes, memory).columns()], axis=1)
    whole = whole - whole.mean(axis=0)
    if d > m:
        whole = np.asarray(np.linalg.qr(whole.T, mode="r")).T
    return lambda order: strata.energies(whole if order is None else whole[order], attributes)


def _permuted(H: np.ndarray, attributes: Attributes, memory: int, order: np.ndarray | None) -> np.ndarray:
    total = np.zeros(len(attributes.strata))
    for _, block in Tiles(H, attributes, attributes, memory).columns():
        total += _multiplicities(attributes) * strata.energies(block if order is None else block[order], attributes)
    return total


def _quantities(total: np.ndarray, attributes: Attributes, names: tuple[str, ...] | None) -> np.ndarray:
    """Energies, shares and semantic index (2 strata + 1, ...) from m_A e_A (strata, ...)."""
    share = total.copy()
    share[0] = 0.0
    share = np.divide(share, share.sum(axis=0), out=np.zeros_like(share), where=share.sum(axis=0) > 0)
    index = semantic_index(np.moveaxis(share, 0, -1), attributes, names)
    multiplicities = _multiplicities(attributes).reshape(-1, *(1,) * (total.ndim - 1))
    return np.concatenate([total / multiplicities, share, index[None]])


def _multiplicities(attributes: Attributes) -> np.ndarray:
    return np.array([float(stratum.multiplicity) for stratum in attributes.strata])
