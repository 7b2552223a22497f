"""Gram analysis of embeddings: neural-collapse measures, distances to the ETF and attribute Gram, effective rank.

With class means mu_c, M their rows less the mean of all, C classes, Sigma_W and Sigma_B = M^T M / C the covariances
within and between classes, E = I - J/C, and |.| the Frobenius norm:

    nc1  tr(Sigma_W Sigma_B^+) / C         nc2  mean over i != j of |cos(M_i, M_j) + 1/(C - 1)|
    nc3  |W/|W| - M/|M||                   nc4  share of contexts where argmax W h is not the nearest class mean

as in Papyan, Han and Donoho 2020, and beside them what the package `neural-collapse` (rhubarbwu) measures in their
place.  That package divides M^T M by d where the covariance has C, and so reports (d/C) nc1 (d nc1 by its truncated
SVD) and (d/C) nc1_ratio; its nc4 is the agreement 1 - nc4.  Sigma_B^+ inverts the directions that the class means span,
at most C - 1, and never one that is rounding; a pseudo-inverse with a cut-off for the whole matrix may.

References: Papyan, Han, Donoho 2020 (NC1 to NC4); Galanti, Gyorgy, Hutter 2022 (CDNV); Tirer, Huang, Niles-Weed 2023
(ratio of traces); Kothapalli 2023 (ETF errors); Roy and Vetterli 2007 (effective rank).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from . import strata
from .matrices import label_of_context
from .observe import observe
from .tiles import DOUBLE, MEMORY, check_rows


@dataclass(frozen=True)
class GramAnalysis:
    """Strata and collapse of one set of embeddings.

    Attributes
    ----------
    strata : list of dict with name, multiplicity, energy e_A = tr(P_A G)/m_A, share
    semantic_index : 1 = attributes only, 0 = collapsed
    etf_distance, attribute_distance : |G/|G| - R/|R|| in Frobenius norm, G the centred cosine Gram of the class means,
        R the centred identity (the ETF), or the projector onto the main effects
    gram_residual : part of the Gram's norm outside the algebra
    effective_rank : exp of the entropy of the Gram's normalised eigenvalues
    nc1 : tr(Sigma_W Sigma_B^+) / C; None with one context per label, as the next two
    nc1_ratio : tr Sigma_W / tr Sigma_B
    nc1_cdnv : mean over i != j of (v_i + v_j) / (2 |mu_i - mu_j|^2), v_c the mean squared distance of class c's
        contexts from mu_c; also None where two class means coincide
    nc2 : mean |cos(M_i, M_j) + 1/(C - 1)| over pairs of centred class means (equiangularity)
    nc2_equinorm : standard deviation over mean of the class means' norms
    nc2_etf_error : |M M^T/|M M^T| - E/|E||, without the cosines' normalisation
    nc3 : |W/|W| - M/|M|| (self-duality); None without W, as the next two
    nc3_etf_error : |W M^T/|W M^T| - E/|E||
    nc4 : share of contexts that W classifies otherwise than the nearest class mean does
    """

    strata: list[dict[str, Any]]
    semantic_index: float
    etf_distance: float
    attribute_distance: float
    gram_residual: float
    effective_rank: float
    nc1: float | None
    nc1_ratio: float | None
    nc1_cdnv: float | None
    nc2: float
    nc2_equinorm: float
    nc2_etf_error: float
    nc3: float | None
    nc3_etf_error: float | None
    nc4: float | None


def analyse(
    H: np.ndarray, attributes: Attributes, labels: Any = None, W: np.ndarray | None = None, memory: int = MEMORY
) -> GramAnalysis:
    """Analyse embeddings H (m, d), one row per context in the order of the attributes' table.

    Where m x m matrices do not fit into `memory` the Gram is never formed: `streamed.analyse` reads H, which may be
    mapped from a file, by blocks.

    Parameters
    ----------
    labels : array (m,) of row numbers of W; None: context i has label i
    W : array (V, d), optional
    memory : bytes to work in, beside the arguments

    Raises
    ------
    InputError
        As `observe`; for embeddings that are all alike, whose Gram has nothing to analyse; and where `memory` is less
        than the smaller Gram matrix takes.

    Examples
    --------
    >>> collapsed = analyse(np.eye(4), Attributes("a[2] * b[2]"))
    >>> abs(collapsed.semantic_index) < 1e-12, abs(collapsed.etf_distance) < 1e-12
    (True, True)
    """
    if isinstance(H, np.ndarray) and H.ndim == 2 and DOUBLE * len(H) * (6 * len(H) + 8 * H.shape[1]) > memory:
        from .streamed import analyse as by_blocks

        check_rows(H, attributes)
        return by_blocks(H, attributes, labels, W, memory)
    seen = observe(H, W, labels, attributes)
    structure = seen.attributes
    ordered = seen.data["H"].values[0]
    kept = structure.keep(seen.labels)
    of_context = label_of_context(structure, kept)
    counts = np.bincount(of_context)
    means = np.stack([np.bincount(of_context, column) for column in ordered.T], axis=1) / counts[:, None]
    centred = means - means.mean(axis=0)
    norms = np.linalg.norm(centred, axis=1)
    check_directions(norms)
    unit = centred / norms[:, None]
    head = seen.data["W"].values[0] if W is not None else None
    gram = ordered @ ordered.T
    etf = np.eye(len(means)) - 1.0 / len(means)
    nc1, nc1_ratio, nc1_cdnv = _variability(ordered, means, of_context)
    return GramAnalysis(
        strata=stratum_rows(structure, seen.data["h"].values[0] ** 2, seen.data["share_H"].values[0]),
        semantic_index=float(seen.data["semantic_index"][0]),
        gram_residual=strata.residual(gram, structure),
        effective_rank=effective_rank(gram),
        nc1=nc1,
        nc1_ratio=nc1_ratio,
        nc1_cdnv=nc1_cdnv,
        nc2=_equiangularity(unit),
        nc2_equinorm=float(norms.std() / norms.mean()),
        nc2_etf_error=apart(centred @ centred.T, etf),
        nc3=None if head is None else apart(head, centred),
        nc3_etf_error=None if head is None else apart(head @ centred.T, etf),
        nc4=None if head is None else _nearest_mean_disagrees(ordered, head, means),
        **_distances(unit, kept),
    )


def stratum_rows(structure: Attributes, energies: np.ndarray, shares: np.ndarray) -> list[dict[str, Any]]:
    """Name, multiplicity, energy and share of each stratum, from arrays (strata,)."""
    return [
        {"name": s.name, "multiplicity": int(s.multiplicity), "energy": float(energy), "share": float(share)}
        for s, energy, share in zip(structure.strata, energies, shares, strict=True)
    ]


def check_directions(norms: np.ndarray) -> None:
    """Refuse a class mean that is the mean of all, from the norms (C,) of centred class means."""
    if not np.all(norms > 0):
        raise InputError(
            f"H: the mean of label {int(np.argmin(norms))} is the mean of all; its direction is undefined."
        )


def apart(X: np.ndarray, Y: np.ndarray) -> float:
    """|X/|X| - Y/|Y|| in Frobenius norm."""
    return float(np.linalg.norm(X / np.linalg.norm(X) - Y / np.linalg.norm(Y)))


def effective_rank(gram: np.ndarray) -> float:
    """exp of the entropy of a positive semidefinite matrix's normalised eigenvalues."""
    eigenvalues = np.clip(np.linalg.eigvalsh(gram), 0.0, None)
    p = eigenvalues[eigenvalues > 0] / eigenvalues.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def spanned(singular_values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Which directions centred means (C, d) span, from their singular values, largest first.

    They are at most C - 1; what is found beyond is rounding, and must not be inverted.
    """
    s, (C, _) = singular_values, shape
    return (np.arange(len(s)) < C - 1) & (s > s[0] * max(shape) * np.finfo(float).eps)


def _distances(unit: np.ndarray, kept: Attributes) -> dict[str, float]:
    """Of the centred cosine Gram to the ETF's and to the Gram of main effects alone."""
    V = len(unit)
    cosine = unit @ unit.T
    cosine -= cosine.mean(axis=0)
    cosine -= cosine.mean(axis=1, keepdims=True)
    etf = np.eye(V) - 1.0 / V
    semantic = kept.semantic_strata()
    wanted = {A: float(A in semantic) for A in kept.names}
    attribute = strata.apply(np.eye(V), wanted, kept) if semantic else etf
    return {"etf_distance": apart(cosine, etf), "attribute_distance": apart(cosine, attribute)}


def _variability(H: np.ndarray, means: np.ndarray, of_context: np.ndarray) -> tuple[float | None, ...]:
    """nc1, nc1_ratio, nc1_cdnv: spread within classes against spread between them."""
    C = len(means)
    if C == len(H):
        return None, None, None
    within = H - means[of_context]
    between = means - means.mean(axis=0)
    _, s, directions = np.linalg.svd(between, full_matrices=False)
    kept = spanned(s, between.shape)
    variance = np.bincount(of_context, (within**2).sum(axis=1)) * (C / len(H))
    first, second = np.triu_indices(C, 1)
    squared = pdist(between, "sqeuclidean")
    return (
        float(((within @ directions[kept].T / s[kept]) ** 2).sum() / len(H)),
        float(variance.sum() / (between**2).sum()),
        float(np.mean((variance[first] + variance[second]) / 2 / squared)) if np.all(squared > 0) else None,
    )


def _equiangularity(unit: np.ndarray) -> float:
    C = len(unit)
    cosines = (unit @ unit.T)[~np.eye(C, dtype=bool)]
    return float(np.mean(np.abs(cosines + 1.0 / (C - 1))))


def _nearest_mean_disagrees(H: np.ndarray, W: np.ndarray, means: np.ndarray) -> float:
    by_head = np.argmax(H @ W.T, axis=1)
    by_mean = np.argmin(-2 * H @ means.T + (means**2).sum(axis=1), axis=1)
    return float(np.mean(by_head != by_mean))
