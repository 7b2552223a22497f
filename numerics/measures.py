"""Gram analysis of embeddings: neural-collapse measures, distances to the ETF and to the attribute Gram, effective rank.

References: Papyan, Han, Donoho 2020 (NC1 to NC4); Roy and Vetterli 2007 (effective rank).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from . import strata
from .matrices import label_of_context
from .observe import observe


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
    nc1 : tr(S_W S_B^+) / C, within- and between-class covariances; None with one context per label
    nc2 : mean |cos(mu_i, mu_j) + 1/(C - 1)| over pairs of centred class means (equiangularity)
    nc2_equinorm : standard deviation over mean of the class means' norms
    nc3 : |W/|W| - M/|M||, M the centred class means (self-duality); None without W
    nc4 : share of contexts that W classifies otherwise than the nearest class mean does; None without W
    """

    strata: list[dict[str, Any]]
    semantic_index: float
    etf_distance: float
    attribute_distance: float
    gram_residual: float
    effective_rank: float
    nc1: float | None
    nc2: float
    nc2_equinorm: float
    nc3: float | None
    nc4: float | None


def analyse(H: np.ndarray, attributes: Attributes, labels: Any = None, W: np.ndarray | None = None) -> GramAnalysis:
    """Analyse embeddings H (m, d), one row per context in the order of the attributes' table.

    Parameters
    ----------
    labels : array (m,) of row numbers of W; None: context i has label i
    W : array (V, d), optional

    Raises
    ------
    InputError
        As `observe`, and for embeddings that are all alike, whose Gram has nothing to analyse.

    Examples
    --------
    >>> collapsed = analyse(np.eye(4), Attributes("a[2] * b[2]"))
    >>> abs(collapsed.semantic_index) < 1e-12, abs(collapsed.etf_distance) < 1e-12
    (True, True)
    """
    seen = observe(H, W, labels, attributes)
    structure = seen.attributes
    ordered = seen.data["H"].values[0]
    kept = structure.keep(seen.labels)
    of_context = label_of_context(structure, kept)
    counts = np.bincount(of_context)
    means = np.stack([np.bincount(of_context, column) for column in ordered.T], axis=1) / counts[:, None]
    centred = means - means.mean(axis=0)
    norms = np.linalg.norm(centred, axis=1)
    if not np.all(norms > 0):
        raise InputError(
            f"H: the mean of label {int(np.argmin(norms))} is the mean of all; its direction is undefined."
        )
    unit = centred / norms[:, None]
    head = seen.data["W"].values[0] if W is not None else None
    gram = ordered @ ordered.T
    return GramAnalysis(
        strata=[
            {
                "name": stratum.name,
                "multiplicity": int(stratum.multiplicity),
                "energy": float(seen.data["h"].sel(stratum=stratum.name)[0] ** 2),
                "share": float(seen.data["share_H"].sel(stratum=stratum.name)[0]),
            }
            for stratum in structure.strata
        ],
        semantic_index=float(seen.data["semantic_index"][0]),
        gram_residual=strata.residual(gram, structure),
        effective_rank=_effective_rank(gram),
        nc1=_within_over_between(ordered, means, of_context) if counts.max() > 1 else None,
        nc2=_equiangularity(unit),
        nc2_equinorm=float(norms.std() / norms.mean()),
        nc3=None if head is None else _apart(head, centred),
        nc4=None if head is None else _nearest_mean_disagrees(ordered, head, means),
        **_distances(unit, kept),
    )


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
    return {"etf_distance": _apart(cosine, etf), "attribute_distance": _apart(cosine, attribute)}


def _apart(X: np.ndarray, Y: np.ndarray) -> float:
    return float(np.linalg.norm(X / np.linalg.norm(X) - Y / np.linalg.norm(Y)))


def _effective_rank(gram: np.ndarray) -> float:
    eigenvalues = np.clip(np.linalg.eigvalsh(gram), 0.0, None)
    p = eigenvalues[eigenvalues > 0] / eigenvalues.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def _within_over_between(H: np.ndarray, means: np.ndarray, of_context: np.ndarray) -> float:
    within = H - means[of_context]
    between = means - means.mean(axis=0)
    _, s, directions = np.linalg.svd(between, full_matrices=False)
    # Centred means span at most C - 1 directions; what is found beyond is rounding, and must not be inverted.
    spanned = (np.arange(len(s)) < len(means) - 1) & (s > s[0] * max(between.shape) * np.finfo(float).eps)
    return float(((within @ directions[spanned].T / s[spanned]) ** 2).sum() / len(H))


def _equiangularity(unit: np.ndarray) -> float:
    C = len(unit)
    cosines = (unit @ unit.T)[~np.eye(C, dtype=bool)]
    return float(np.mean(np.abs(cosines + 1.0 / (C - 1))))


def _nearest_mean_disagrees(H: np.ndarray, W: np.ndarray, means: np.ndarray) -> float:
    by_head = np.argmax(H @ W.T, axis=1)
    by_mean = np.argmin(-2 * H @ means.T + (means**2).sum(axis=1), axis=1)
    return float(np.mean(by_head != by_mean))
