"""The parts of a start of W and H that squared error moves apart, each with W^T W - H H^T a multiple of the identity.

W^T W - H H^T is constant without ridge.  Its eigenspaces cut the width into parts, which evolve on their own when their
components along the singular vectors of the targets T are orthogonal within every group of equal singular values.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..theory.errors import InputError

ROUNDING = 1e-10  # of the hypothesis, relative to the size of the start


@dataclass(frozen=True)
class Part:
    """Components of W (V, p) and H^T (m, p) along the singular vectors of T, in directions `axes` (d, p) of the width.

    There W^T W - H H^T is `balance` times I.
    """

    left: np.ndarray
    right: np.ndarray
    axes: np.ndarray
    balance: float


def parts_of(
    W: np.ndarray, H: np.ndarray, U: np.ndarray, s: np.ndarray, Vh: np.ndarray, with_ridge: bool
) -> list[Part]:
    """The eigenspaces of W^T W - H H^T, checked to evolve apart.

    Directions in which both W and H vanish never move and are left out.
    """
    size = np.sum(W**2) + np.sum(H**2)
    values, axes = np.linalg.eigh(W.T @ W - H @ H.T)
    left, right = U.T @ W, Vh @ H.T
    parts = []
    for group in _groups(values, ROUNDING * size):
        Q = axes[:, group]
        part = Part(left @ Q, right @ Q, Q, float(np.mean(values[group])))
        if np.sum(part.left**2) + np.sum(part.right**2) > ROUNDING**2 * size:
            parts.append(part)
    meeting = _separate(parts, s) / size if len(parts) > 1 else 0.0
    if meeting > ROUNDING:
        spread = (values[-1] - values[0]) / size
        raise InputError(
            f"W0, H0: the eigenvalues of W^T W - H H^T (rescaled by the kernels) spread by {spread:.3g} of |W|^2 + "
            f"|H|^2, and the parts of the start in its eigenspaces meet by {meeting:.3g} of it; the closed form needs "
            "a multiple of the identity. Rebalance the start, or use simulate(..., init=(W0, H0), full=True)."
        )
    if with_ridge and (worst := max((abs(part.balance) for part in parts), default=0.0)) > ROUNDING * size:
        raise InputError(
            f"ridge: W^T W - H H^T has the eigenvalue {worst:.3g}, and with ridge the closed form needs W^T W = H H^T; "
            "rebalance the start, or drop the ridge."
        )
    return parts


def _separate(parts: list[Part], s: np.ndarray) -> float:
    """Take from each part, in place, what rounding put into the others' directions; the largest overlap before that.

    e^(F t) mixes a part's left and right components along the same singular vectors, and within a group of equal
    singular values no direction is singled out.  Where T vanishes left and right stay apart.
    """
    rank = int(np.sum(s > ROUNDING * s[0]))
    groups = [[part.left[rank:] for part in parts], [part.right[rank:] for part in parts]]
    worst = max(_overlap(blocks) for blocks in groups)
    for blocks in groups:
        _keep_own(blocks, blocks)
    for group in _groups(s[:rank], ROUNDING * s[0]):
        run = slice(group[0], group[-1] + 1)
        left, right = [part.left[run] for part in parts], [part.right[run] for part in parts]
        both = [np.hstack(pair) for pair in zip(left, right, strict=True)]
        worst = max(worst, _overlap(both))
        _keep_own(both, left, right)
    return worst


def _keep_own(claims: list[np.ndarray], *blocks: list[np.ndarray]) -> None:
    """Project the blocks (views, one for each part) on directions of their own: of two claims the larger counts.

    Left in, what rounding put there would grow as the others' parts do.
    """
    factored = [np.linalg.svd(claim, full_matrices=False)[:2] for claim in claims]
    ranked = sorted(
        ((size, i, u) for i, (axes, sizes) in enumerate(factored) for size, u in zip(sizes, axes.T, strict=True)),
        key=lambda claim: -claim[0],
    )
    own: list[list[np.ndarray]] = [[] for _ in claims]
    for size, i, u in ranked:
        others = [v for j, found in enumerate(own) if j != i for v in found]
        rest = u - sum((v * (v @ u) for v in others), np.zeros_like(u))
        if size > 0 and np.linalg.norm(rest) > 0.5:  # else the direction is another's, but for rounding
            rest = rest - sum((v * (v @ rest) for v in own[i]), np.zeros_like(u))
            own[i].append(rest / np.linalg.norm(rest))
    for of_parts in blocks:
        for block, found in zip(of_parts, own, strict=True):
            basis = np.array(found).reshape(len(found), len(block))
            block[:] = basis.T @ (basis @ block)


def _overlap(blocks: list[np.ndarray]) -> float:
    pairs = (np.abs(A.T @ B).max(initial=0.0) for i, A in enumerate(blocks) for B in blocks[:i])
    return max(pairs, default=0.0)


def _groups(values: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    """Indices of a monotone sequence in runs whose neighbours differ by no more than `tolerance`."""
    breaks = np.flatnonzero(np.abs(np.diff(values)) > tolerance) + 1
    yield from (run for run in np.split(np.arange(values.size), breaks) if run.size)
