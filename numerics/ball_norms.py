"""Rigorous bounds in linear algebra on balls: Euclidean norms, and the largest eigenvalue of a symmetric part."""

import math
from collections.abc import Sequence

import flint
import numpy as np

from .balls import Ball


def symmetric_bound(matrix: Sequence[Sequence[Ball]]) -> float:
    """An upper bound of the largest eigenvalue of (A + A^T)/2 for every A in a matrix of balls.

    The eigenvalue of the symmetric midpoint is found in floats and proved by a Cholesky factorisation in balls; what
    members lie off it adds at most the Frobenius norm of the radii (Weyl).

    Examples
    --------
    >>> import flint
    >>> ball = flint.arb
    >>> 1.0 <= symmetric_bound([[ball(0), ball(2)], [ball(0), ball(0)]]) < 1.00001
    True
    """
    arb, n = flint.arb, len(matrix)
    if n == 0:
        return 0.0
    balls = [[(arb(matrix[i][j]) + matrix[j][i]) / 2 for j in range(n)] for i in range(n)]
    centre = np.array([[middle(x) for x in row] for row in balls])
    if not np.all(np.isfinite(centre)):
        return math.inf
    off = euclidean([balls[i][j] - arb(float(centre[i, j])) for i in range(n) for j in range(n)])
    largest = float(np.linalg.eigvalsh(centre)[-1])
    margin = 2.0**-36 * float(np.abs(centre).max()) + 1e-300
    while not _positive_definite(centre, largest + margin):
        margin *= 4
        if not math.isfinite(margin):
            return math.inf
    return _float_above(arb(largest + margin) + off)


def _positive_definite(matrix: np.ndarray, shift: float) -> bool:
    """Whether shift I - matrix is proved positive definite, for a symmetric matrix of floats."""
    arb, n = flint.arb, len(matrix)
    A = [[arb(shift if i == j else 0.0) - arb(float(matrix[i, j])) for j in range(i + 1)] for i in range(n)]
    for k in range(n):
        if not A[k][k] > 0:
            return False
        for i in range(k + 1, n):
            factor = A[i][k] / A[k][k]
            for j in range(k + 1, i + 1):
                A[i][j] = A[i][j] - factor * A[j][k]
    return True


def euclidean(x: Sequence[Ball]) -> Ball:
    """An upper bound of the Euclidean norm."""
    return sum((y.abs_upper() ** 2 for y in x), flint.arb(0)).upper().sqrt().upper()


def middle(x: Ball) -> float:
    """A float near the midpoint, for choices that need not be rigorous."""
    return float(x.mid())


def _float_above(x: Ball) -> float:
    above = x.upper()
    return math.nextafter(float(above), math.inf) if above.is_finite() else math.inf
