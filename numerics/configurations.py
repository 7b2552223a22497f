"""Contexts as points of a plane along time: scaling of their distances, and frames that turn no more than they must.

From the centred cosine Gram matrix C (m, m) distances are delta_ij = sqrt(2 - 2 C_ij).  Two planes show them:

    mds   minimises the stress sum_{i<j} (|x_i - x_j| - delta_ij)^2 by majorisation (de Leeuw 1977), each frame from
          the one before; every distance counts, so a simplex (neural collapse) spreads evenly
    pca   principal axes of all frames pooled; one plane for all times, in which equal distances need not look equal

A Gram matrix tells points up to rotation and reflection, which Procrustes' rotation removes: Q = U V^T with
X^T Y = U S V^T minimises |X Q - Y| (Schoenemann 1966).
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

from ..theory.errors import InputError

METHODS = ("mds", "pca")
SWEEPS = 300  # of the majorisation for a frame; from the frame before, some tens do
SETTLED = 1e-5  # relative fall of the stress at which a frame stands


def procrustes(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Points (m, k) turned and mirrored about the origin so that they come as near as they can to others (m, k).

    Examples
    --------
    >>> square = np.array([[1.0, 1], [1, -1], [-1, -1], [-1, 1]])
    >>> turned = square @ np.array([[0.6, 0.8], [-0.8, 0.6]])
    >>> bool(np.allclose(procrustes(turned, square), square))
    True
    """
    left, _, right = np.linalg.svd(points.T @ onto)
    return points @ left @ right


def frames(
    cosines: Sequence[np.ndarray], method: str = "mds", guide: np.ndarray | None = None, aligned: bool = True
) -> np.ndarray:
    """Points of each frame in the plane.

    Parameters
    ----------
    cosines : T centred cosine Gram matrices (m, m)
    method : "mds" or "pca"
    guide : array (T, m, 2), frames of another trajectory at the same times, which these are turned onto
    aligned : whether frames are turned onto the one before; without it they may jump

    Returns
    -------
    array (T, m, 2)

    Raises
    ------
    InputError
        For an unknown method.

    Examples
    --------
    >>> two_pairs = np.kron(np.array([[1.0, -1], [-1, 1]]), np.ones((2, 2)))
    >>> frames([two_pairs], "pca")[0, :, 0].round(6).tolist()
    [1.0, 1.0, -1.0, -1.0]
    """
    if method not in METHODS:
        raise InputError(f"method: {method!r} is unknown; choose mds (every distance counts) or pca (one plane).")
    made: list[np.ndarray] = []
    if method == "pca":
        made = _on_shared_plane(cosines, aligned)
    else:
        for t, cosine in enumerate(cosines):
            start = guide[t] if guide is not None else made[-1] if made and aligned else _classical(cosine, 2)
            made.append(metric_scaling(np.sqrt(np.clip(2 - 2 * cosine, 0.0, None)), start))
    if not aligned:
        return np.stack(made)
    for t in range(len(made)):
        if guide is not None:
            made[t] = procrustes(made[t], guide[t])
        elif t > 0:
            made[t] = procrustes(made[t], made[t - 1])
    return np.stack(made)


def metric_scaling(distances: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Points (m, k) whose distances come near the given ones (m, m): the stress falls to a minimum near the start.

    A small fixed perturbation parts points that coincide at the start, which the majorisation never would.
    """
    m = len(distances)
    points = start + 1e-3 * np.random.default_rng(0).standard_normal(start.shape)
    stress = np.inf
    for _ in range(SWEEPS):
        apart = cdist(points, points)
        before, stress = stress, float(np.sum((apart - distances) ** 2))
        if before - stress <= SETTLED * stress:
            break
        ratio = np.divide(distances, apart, out=np.zeros_like(apart), where=apart > 0)
        points = (ratio.sum(axis=1)[:, None] * points - ratio @ points) / m
    return points - points.mean(axis=0)


def _classical(cosine: np.ndarray, dimensions: int) -> np.ndarray:
    """Classical scaling: principal axes times the roots of their eigenvalues, (m, dimensions)."""
    values, vectors = np.linalg.eigh((cosine + cosine.T) / 2)
    values, vectors = values[::-1][:dimensions], vectors[:, ::-1][:, :dimensions]
    return vectors * np.sqrt(np.clip(values, 0.0, None)) * _signs(vectors)


def _on_shared_plane(cosines: Sequence[np.ndarray], aligned: bool) -> list[np.ndarray]:
    """Frames in all dimensions, each turned onto the one before, seen along the principal axes of all of them."""
    m = len(cosines[0])
    whole = [_classical(cosine, m) for cosine in cosines]
    if not aligned:
        return [points[:, :2] for points in whole]
    for t in range(1, len(whole)):
        whole[t] = procrustes(whole[t], whole[t - 1])
    _, vectors = np.linalg.eigh(sum(points.T @ points for points in whole))
    plane = vectors[:, ::-1][:, :2]
    seen = [points @ plane for points in whole]
    signs = _signs(seen[0])
    return [points * signs for points in seen]


def _signs(vectors: np.ndarray) -> np.ndarray:
    """Signs that make the largest entry of each column positive, of equal ones the first: axes have none of their own."""
    size = np.abs(vectors)
    first = np.argmax(size >= (1 - 1e-6) * size.max(axis=0), axis=0)
    return np.where(vectors[first, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
