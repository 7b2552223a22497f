"""Gram analysis within a memory bound: `measures.analyse` for embeddings whose Gram matrix does not fit.

Strata need no Gram matrix: m_A e_A = |P_A H|^2, by averages over axes in blocks of columns.  With U the unit vectors of
the centred class means M, less their mean, the other measures follow from d x d matrices that grow by blocks of labels,

    |U U^T| = |U^T U|,    <U U^T, E> = |U|^2,    <U U^T, P_A> = |P_A U|^2,    |W M^T|^2 = <W^T W, M^T M>,
    |H H^T - sum_A e_A P_A|^2 = |H^T H|^2 - sum_A m_A e_A^2,

and what looks at pairs (nc1_cdnv, nc2, nc4) from tiles of labels x labels.  A distance is the root of a difference of
numbers of order 1, so one that is 0 reads as up to some 1e-7; the explicit analysis has no such floor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from . import strata
from .measures import GramAnalysis, check_directions, effective_rank, spanned, stratum_rows
from .observe import label_rows
from .tiles import DOUBLE, Tiles
from .trajectory import semantic_index, shares

SQUARES = 5  # d x d matrices that are held at once
ROUNDING = 1e-14  # of a sum of squares: class means that are closer coincide


def analyse(H: np.ndarray, attributes: Attributes, labels: Any, W: np.ndarray | None, memory: int) -> GramAnalysis:
    """As `measures.analyse`, reading H (m, d) by blocks of columns twice and by blocks of labels."""
    names, rows = label_rows(labels, attributes)
    tiles = Tiles(H, attributes, attributes.keep(names), memory)
    d = H.shape[1]
    if SQUARES * DOUBLE * d * d > memory * 0.9:
        raise InputError(
            f"memory: {memory / 2**30:.3g} GiB; the Gram matrix of {d} features takes "
            f"{SQUARES * DOUBLE * d * d / 2**30 / 0.9:.3g} GiB, so give at least that."
        )
    head = None if W is None else _head(W, rows, d)
    energies, centre, norms = _strata(tiles)
    check_directions(norms)
    unit_energies, unit_centre = _unit_strata(tiles, centre, norms)
    squares = _squares(tiles, centre, norms, unit_centre, head)
    replicated = tiles.by_label.shape[1] > 1
    multiplicities = np.array([int(s.multiplicity) for s in attributes.strata], dtype=float)
    share = shares(np.sqrt(energies), multiplicities)
    norm = np.linalg.norm(squares.H)
    outside = max(0.0, 1 - (multiplicities * (energies / norm) ** 2).sum()) if norm > 0 else 0.0
    angles, cdnv = _pairs(tiles, centre, norms, squares.variance if replicated else None)
    return GramAnalysis(
        strata=stratum_rows(attributes, energies, share),
        semantic_index=float(semantic_index(share, attributes, names)),
        gram_residual=float(np.sqrt(outside)),
        effective_rank=effective_rank(squares.H),
        nc1=_within_over_between(tiles, squares.factor) if replicated else None,
        nc1_ratio=float(squares.variance.sum() / (norms**2).sum()) if replicated else None,
        nc1_cdnv=cdnv,
        nc2=angles,
        nc2_equinorm=float(norms.std() / norms.mean()),
        nc2_etf_error=_from_cosine((norms**2).sum() / (np.linalg.norm(squares.M) * np.sqrt(len(norms) - 1))),
        nc3=None if head is None else float(np.sqrt(squares.duality)),
        nc3_etf_error=None if head is None else _cross_etf_error(squares, head),
        nc4=None if head is None else _disagreement(tiles, head),
        **_distances(tiles.kept, unit_energies, float(np.linalg.norm(squares.U))),
    )


@dataclass
class _Squares:
    """H^T H, M^T M, U^T U (d, d); the triangular factor of M; v_c of each class; <W, M> and |W/|W| - M/|M||^2."""

    H: np.ndarray
    M: np.ndarray
    U: np.ndarray
    factor: np.ndarray
    variance: np.ndarray
    product: float = 0.0
    duality: float = 0.0


def _head(W: np.ndarray, rows: np.ndarray, d: int) -> np.ndarray:
    W = np.asarray(W, dtype=float)
    if W.ndim != 2 or W.shape[1] != d:
        raise InputError(f"W: shape {W.shape} does not fit H of {d} features; the widths must agree.")
    if len(W) <= rows.max():
        raise InputError(f"W: it has {len(W)} rows, but label {rows.max()} occurs; give one row per label.")
    if not np.all(np.isfinite(W)):
        where = np.argwhere(~np.isfinite(W))[0].tolist()
        raise InputError(f"W: NaN or infinity at index {where}; give finite numbers (did the run diverge?).")
    return W[rows]


def _strata(tiles: Tiles) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies of H (strata,), the mean row (d,), and the norms of centred class means (C,)."""
    energies = np.zeros(len(tiles.attributes.strata))
    centre = np.zeros(tiles.H.shape[1])
    squared = np.zeros(len(tiles.by_label))
    for columns, block in tiles.columns():
        energies += strata.energies(block, tiles.attributes)
        centre[columns] = block.mean(axis=0)
        squared += ((_class_means(block, tiles) - centre[columns]) ** 2).sum(axis=1)
    return energies, centre, np.sqrt(squared)


def _unit_strata(tiles: Tiles, centre: np.ndarray, norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|P_A U|^2 for each stratum of the labels, and the mean of the unit vectors (d,)."""
    kept = tiles.kept
    found, unit_centre = np.zeros(len(kept.strata)), np.zeros(len(centre))
    multiplicities = np.array([int(s.multiplicity) for s in kept.strata], dtype=float)
    for columns, block in tiles.columns():
        unit = (_class_means(block, tiles) - centre[columns]) / norms[:, None]
        unit_centre[columns] = unit.mean(axis=0)
        found += multiplicities * strata.energies(unit, kept)
    return found, unit_centre


def _class_means(block: np.ndarray, tiles: Tiles) -> np.ndarray:
    return block if len(tiles.by_label) == len(block) else block[tiles.by_label].mean(axis=1)


def _squares(
    tiles: Tiles, centre: np.ndarray, norms: np.ndarray, unit_centre: np.ndarray, head: np.ndarray | None
) -> _Squares:
    d, (C, r) = len(centre), tiles.by_label.shape
    total = _Squares(np.zeros((d, d)), np.zeros((d, d)), np.zeros((d, d)), np.zeros((0, d)), np.zeros(C))
    head_norm, means_norm = 0.0 if head is None else np.linalg.norm(head), np.linalg.norm(norms)
    for chosen, block in tiles.labels(tiles.side(copies=6, reserved=SQUARES * DOUBLE * d * d)):
        means = block.mean(axis=1) - centre
        if r == 1:
            total.M += means.T @ means
        else:
            rows = block.reshape(-1, d)
            total.H += rows.T @ rows
            total.variance[chosen] = ((block - centre - means[:, None]) ** 2).sum(axis=(1, 2)) / r
            total.factor = np.asarray(np.linalg.qr(np.concatenate([total.factor, means]), mode="r"))
        if head is not None:
            total.product += float((head[chosen] * means).sum())
            total.duality += float(((head[chosen] / head_norm - means / means_norm) ** 2).sum())
        means /= norms[chosen, None]
        means -= unit_centre
        total.U += means.T @ means
    if r == 1:  # H is M and the mean
        total.H = total.M + C * np.outer(centre, centre)
    else:
        total.M = total.factor.T @ total.factor
    return total


def _from_cosine(cosine: float) -> float:
    """|X/|X| - Y/|Y|| of matrices with the cosine <X, Y>/(|X||Y|)."""
    return float(np.sqrt(max(0.0, 2 - 2 * cosine)))


def _distances(kept: Attributes, unit_energies: np.ndarray, norm: float) -> dict[str, float]:
    semantic = kept.semantic_strata()
    chosen = [A in semantic for A in kept.names] if semantic else [A != "1" for A in kept.names]
    dimension = sum(int(s.multiplicity) for s, wanted in zip(kept.strata, chosen, strict=True) if wanted)
    everything = int(kept.cardinality) - 1
    return {
        "etf_distance": _from_cosine(unit_energies[1:].sum() / (norm * np.sqrt(everything))),
        "attribute_distance": _from_cosine(unit_energies[chosen].sum() / (norm * np.sqrt(dimension))),
    }


def _cross_etf_error(squares: _Squares, head: np.ndarray) -> float:
    """Of W M^T, whose part within E is <W, M> since the rows of M add up to 0."""
    norm = np.sqrt(((head.T @ head) * squares.M).sum())
    return _from_cosine(squares.product / (norm * np.sqrt(len(head) - 1)))


def _within_over_between(tiles: Tiles, factor: np.ndarray) -> float:
    d, (C, r) = tiles.H.shape[1], tiles.by_label.shape
    _, s, directions = np.linalg.svd(factor, full_matrices=False)
    kept = spanned(s, (C, d))
    inverse = directions[kept].T / s[kept]
    found = 0.0
    for _, block in tiles.labels(tiles.side(copies=5, reserved=SQUARES * DOUBLE * d * d)):
        block -= block.mean(axis=1, keepdims=True)
        found += float(((block.reshape(-1, d) @ inverse) ** 2).sum())
    return found / (C * r)


def _pairs(
    tiles: Tiles, centre: np.ndarray, norms: np.ndarray, variance: np.ndarray | None
) -> tuple[float, float | None]:
    """nc2 and nc1_cdnv from the inner products of centred class means, tile by tile of the upper triangle."""
    C, side = len(norms), tiles.pair_side()
    angles, spread, apart = 0.0, 0.0, True
    for first, left in _centred_means(tiles, centre, side):
        for second, right in _centred_means(tiles, centre, side, first.start):
            products = left @ right.T
            once = np.arange(first.start, first.stop)[:, None] < np.arange(second.start, second.stop)
            if variance is not None:
                total = norms[first, None] ** 2 + norms[second] ** 2
                distinct = total - 2 * products > ROUNDING * total
                apart = apart and bool(np.all(distinct[once]))
                ratio = (variance[first, None] + variance[second]) / 2 / np.where(distinct, total - 2 * products, 1.0)
                spread += float(ratio.sum(where=once))
            products /= norms[first, None]
            products /= norms[second]
            products += 1.0 / (C - 1)
            angles += float(np.abs(products, out=products).sum(where=once))
    count = C * (C - 1) / 2
    return angles / count, spread / count if variance is not None and apart else None


def _centred_means(tiles: Tiles, centre: np.ndarray, side: int, start: int = 0) -> Iterator[tuple[slice, np.ndarray]]:
    for chosen, block in tiles.labels(side, start):
        yield chosen, block.mean(axis=1) - centre


def _disagreement(tiles: Tiles, head: np.ndarray) -> float:
    """Share of contexts whose largest logit is not the nearest class mean's, tile by tile of contexts and labels."""
    C, r = tiles.by_label.shape
    side = tiles.pair_side()
    by_head, by_mean = (np.full((C, r), -1), np.full((C, r), np.inf)), (np.full((C, r), -1), np.full((C, r), np.inf))
    for labels, others in tiles.labels(side):
        means = others.mean(axis=1)
        half = (means**2).sum(axis=1) / 2
        for chosen, block in tiles.labels(side):
            _improve(by_head, chosen, labels, -(block @ head[labels].T))
            _improve(by_mean, chosen, labels, half - block @ means.T)
    return float(np.mean(by_head[0] != by_mean[0]))


def _improve(best: tuple[np.ndarray, np.ndarray], chosen: slice, labels: slice, scores: np.ndarray) -> None:
    """Keep the smallest score of each context so far and its label; the first of equals."""
    found = scores.min(axis=-1)
    better = found < best[1][chosen]
    best[0][chosen][better] = labels.start + scores.argmin(axis=-1)[better]
    best[1][chosen][better] = found[better]
