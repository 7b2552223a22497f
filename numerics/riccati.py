"""Squared error from a start of whole matrices, in closed form where the flow is a matrix Riccati equation.

With kernels that are numbers, kW and kH, and no ridge (or kW lam_W = kH lam_H = mu), rescale W by (kH/kW)^(1/4), H by
its inverse, and time by k scale, k = sqrt(kW kH).  When W^T W - H H^T = lambda I, R = (W; H^T), (V + m) x d, obeys

    dR/dt = F R - R R^T R / 2,   F = [[lambda/2, T], [T^T, -lambda/2]] - mu / (k scale),

and S = R R^T, which holds W W^T, W H and H^T H, is (Fukumizu 1998; Braun et al. 2022; Domine et al. 2025)

    S(t) = e^(F t) R0 [I + R0^T F^-1 (e^(2 F t) - I) R0 / 2]^-1 R0^T e^(F t).

A difference W^T W - H H^T with several eigenvalues is within reach when the parts of W and H in its eigenspaces never
meet: their components along the singular vectors of T are orthogonal.  Each part then has its own equation, and lambda.
Symmetric starts are of this kind, with a part for each value of w^2 - h^2 on the strata.

The exponentials are not formed: in the eigenvectors of F, with eigenvalues f and phi = (e^(2ft) - 1) / (2f), S = D P D
with D = e^(ft) / sqrt(phi), which is bounded, and P = Y (I + Y^T Y)^-1 Y^T, Y = sqrt(phi) R0, which depends on the span
of the columns of (Y; I) alone.  Elimination with complete pivoting, on logarithms of the rows' sizes, gives a basis of
it that floats hold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .riccati_parts import ROUNDING, Part, parts_of

REDUCTIONS = ("mean", "sum")
EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class RiccatiSolution:
    """W and H at each time, up to one rotation of the width at each time.

    Attributes
    ----------
    t : array (T,)
    W : array (T, V, d)
    H : array (T, d, m)
        The flow has W Q and Q^T H with an orthogonal Q(t), Q(0) = I, which is I for width 1 and symmetric starts.  No
        closed form of Q is known; W W^T, W H, H^T H, and the loss do not depend on it.
    balance : tuple of float
        The eigenvalues lambda of W^T W - H H^T (rescaled by the kernels), one for each part.
    """

    t: np.ndarray
    W: np.ndarray
    H: np.ndarray
    balance: tuple[float, ...]

    @property
    def Z(self) -> np.ndarray:
        """The logits W H (T, V, m)."""
        return self.W @ self.H

    @property
    def gram_W(self) -> np.ndarray:
        """W W^T (T, V, V)."""
        return self.W @ np.swapaxes(self.W, 1, 2)

    @property
    def gram_H(self) -> np.ndarray:
        """H^T H (T, m, m)."""
        return np.swapaxes(self.H, 1, 2) @ self.H


def riccati_solution(
    W0: Any, H0: Any, targets: Any, t: Any, kernel: Any = 1.0, ridge: Any = 0.0, reduction: str = "mean"
) -> RiccatiSolution:
    """Solve dW/dt = -kW (G H^T + lam_W W), dH/dt = -kH (W^T G + lam_H H), G = scale (W H - targets), exactly.

    Parameters
    ----------
    W0 : array (V, d)
    H0 : array (d, m)
    targets : array (V, m), of any rank
    t : times (T,) >= 0, or one time; learning rate x steps
    kernel : k for both, or (kW, kH), positive numbers
    ridge : lam for both, or (lam_W, lam_H), with kW lam_W = kH lam_H
    reduction : "mean" (scale = 1/m) or "sum" (scale = 1)

    Returns
    -------
    RiccatiSolution

    Raises
    ------
    InputError
        For a start outside the hypothesis, with its residual: W^T W - H H^T (rescaled by the kernels) must be a
        multiple of the identity, 0 with ridge, or parts that never meet must each have that; and for shapes that do
        not fit.

    Notes
    -----
    A start of width 1 always fits.  Independent random entries do not; H0 = W0^T Q with Q Q^T = I (V x m, V <= m)
    makes a start with lambda = 0 of any W0.

    References
    ----------
    Fukumizu, Effect of batch learning in multilayer neural networks, 1998.
    Braun, Domine, Fitzgerald, Saxe, Exact learning dynamics of deep linear networks with prior knowledge, 2022.
    Domine et al., From lazy to rich: exact learning dynamics in deep linear networks, 2025.

    Examples
    --------
    >>> solution = riccati_solution([[0.1], [0.0]], [[0.1, 0.0]], np.eye(2), [0.0, 10.0, 1e9])
    >>> solution.Z[:, 0, 0].round(4).tolist()
    [0.01, 0.9955, 1.0]
    """
    W, H, T, times = _arrays(W0, H0, targets, t)
    (kW, kH), (lam_W, lam_H) = _pair(kernel, "kernel", above=True), _pair(ridge, "ridge", above=False)
    if reduction not in REDUCTIONS:
        raise InputError(f"reduction: {reduction!r} is unknown; choose one of {', '.join(REDUCTIONS)}.")
    if abs(kW * lam_W - kH * lam_H) > ROUNDING * (kW * lam_W + kH * lam_H):
        raise InputError(
            f"ridge: kW lam_W = {kW * lam_W:g} differs from kH lam_H = {kH * lam_H:g}; the closed form needs them "
            "equal."
        )
    turn = (kH / kW) ** 0.25
    W, H = W * turn, H / turn
    speed = np.sqrt(kW * kH) * (1.0 / T.shape[1] if reduction == "mean" else 1.0)
    # Full bases: the vectors that T maps to 0 have rows of their own.
    U, s, Vh = np.linalg.svd(T, full_matrices=True)
    s = _merged(s)
    parts = parts_of(W, H, U, s, Vh, with_ridge=lam_W > 0)
    found = np.zeros((times.size, sum(T.shape), W.shape[1]))
    for part in parts:
        found += _evolve(part, U, s, Vh, kW * lam_W / speed, speed * times)
    V = T.shape[0]
    balance = tuple(float(part.balance) for part in parts)
    return RiccatiSolution(times, found[:, :V] / turn, np.swapaxes(found[:, V:], 1, 2) * turn, balance)


def _merged(s: np.ndarray) -> np.ndarray:
    """Singular values, largest first, with those that differ by rounding made equal.

    Their vectors are any basis of a space, in which a start is spread at will; rates that differ by rounding would turn
    it, the further the longer the time.
    """
    groups = np.split(s, 1 + np.flatnonzero(-np.diff(s) > s.size * EPSILON * s[0]))
    return np.concatenate([np.full(group.size, group.mean()) for group in groups])


def _evolve(part: Part, U: np.ndarray, s: np.ndarray, Vh: np.ndarray, decay: float, times: np.ndarray) -> np.ndarray:
    """R (T, V + m, d) of one part at rescaled times."""
    left, right = part.left, part.right
    omega = np.hypot(s, part.balance / 2)
    # Eigenvectors (cos, sin) and (-sin, cos) of [[lambda/2, s], [s, -lambda/2]].
    angle = np.arctan2(s, part.balance / 2) / 2
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    n = s.size
    rows = np.vstack([cos * left[:n] + sin * right[:n], cos * right[:n] - sin * left[:n], left[n:], right[n:]])
    alone = (np.full(len(left) - n, part.balance / 2), np.full(len(right) - n, -part.balance / 2))
    f = np.concatenate([omega, -omega, *alone]) - decay
    found = np.empty((times.size, len(left) + len(right), part.axes.shape[0]))
    for i, t in enumerate(times):
        R = rows if t == 0 else _at(rows, f, t)
        up, down, rest = R[:n], R[n : 2 * n], R[2 * n :]
        split = len(left) - n
        W = U @ np.vstack([cos * up - sin * down, rest[:split]])
        Ht = Vh.T @ np.vstack([sin * up + cos * down, rest[split:]])
        found[i] = np.vstack([W, Ht]) @ part.axes.T
    return found


def _at(rows: np.ndarray, f: np.ndarray, t: float) -> np.ndarray:
    """e^(f t) R0 [I + R0^T phi R0]^(-1/2) for rows R0 (n, p) in the eigenvectors of F, without overflow."""
    n, p = rows.shape
    x = 2 * f * t
    with np.errstate(over="ignore"):
        # D^2 = e^x / phi = (x / t) / (1 - e^-x), which is 1/t where f vanishes.
        D = np.sqrt(np.divide(x, -np.expm1(-x), out=np.ones(n), where=x != 0) / t)
    # ln phi = x - 2 ln D; for falling exponentials, where D may underflow, from phi = t (e^x - 1) / x itself.
    falls = x < -1
    fall = np.where(falls, x, -1.0)
    log_phi = np.where(
        falls,
        np.log(t) + np.log(np.expm1(fall) / fall),
        x - 2 * np.log(D, out=np.zeros(n), where=~falls),
    )
    half_log_phi = log_phi / 2
    basis = _span(np.vstack([rows, np.eye(p)]), np.concatenate([half_log_phi, np.zeros(p)]))
    # Row by row from the triangular factor, which keeps the digits of rows that are small.
    triangle = np.asarray(np.linalg.qr(basis, mode="r"))
    Q = np.linalg.solve(triangle.T, basis.T).T
    # B^(-1/2) is the symmetric root of Q2 Q2^T = B^-1: the polar factor of Q2 turns Q1 to it.
    left, _, right = np.linalg.svd(Q[n:])
    return D[:, None] * (Q[:n] @ (left @ right).T)


def _span(X: np.ndarray, log_scale: np.ndarray) -> np.ndarray:
    """A well-conditioned basis of the columns' span of diag(exp(log_scale)) X, by elimination with complete pivoting.

    Operations on columns commute with the scaling of rows, so X is eliminated unscaled, with pivots chosen by scaled
    size; each column is then divided by its scaled pivot, beside which no entry is larger.
    """
    X, log_scale = X.copy(), log_scale.copy()
    p = X.shape[1]
    basis = np.empty_like(X)
    columns = list(range(p))
    for step in range(p):
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(X[:, columns]))
        sizes = log_scale[:, None] + logs
        row, column = np.unravel_index(np.argmax(sizes), sizes.shape)
        chosen = columns.pop(column)
        pivot = X[row, chosen]
        # Scales grow with time, so they are compared by themselves: equal ones leave the entries' digits alone.
        below = (log_scale - log_scale[row]) + (logs[:, column] - logs[row, column])
        basis[:, step] = np.sign(X[:, chosen] * pivot) * np.exp(np.minimum(below, 0.0))
        if columns:
            X[:, columns] -= np.outer(X[:, chosen], X[row, columns] / pivot)
            X[row, columns] = 0.0
    return basis


def _arrays(W0: Any, H0: Any, targets: Any, t: Any) -> tuple[np.ndarray, ...]:
    arrays = []
    for name, value in (("W0", W0), ("H0", H0), ("targets", targets), ("t", t)):
        try:
            array = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"{name}: {type(value).__name__} is no array of numbers; give one.") from None
        if not np.isfinite(array).all():
            raise InputError(f"{name}: it holds NaN or infinity; give finite numbers.")
        arrays.append(array)
    W, H, T, times = arrays
    for name, array in (("W0", W), ("H0", H), ("targets", T)):
        if array.ndim != 2 or 0 in array.shape:
            raise InputError(f"{name}: shape {array.shape}; give a matrix with at least one row and column.")
    if W.shape[1] != H.shape[0] or T.shape != (W.shape[0], H.shape[1]):
        raise InputError(
            f"W0, H0, targets: shapes {W.shape}, {H.shape}, {T.shape} do not fit; they must be (V, d), (d, m), (V, m)."
        )
    times = np.atleast_1d(times)
    if times.ndim != 1 or (times < 0).any():
        raise InputError("t: give times of at least 0 in one dimension.")
    return W, H, T, times


def _pair(value: Any, argument: str, above: bool) -> tuple[float, float]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    try:
        first, second = map(float, pair)
    except (TypeError, ValueError):
        raise InputError(f"{argument}: {value!r} is neither a number nor a pair of numbers; give one.") from None
    low = min(first, second)
    if not (np.isfinite([first, second]).all() and (low > 0 if above else low >= 0)):
        raise InputError(f"{argument}: {value!r} must be finite and {'positive' if above else 'at least 0'}.")
    return first, second
