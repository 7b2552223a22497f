"""Discrete steps of optimisers at the level of the kernel: features move by a kernel in place of the network's weights.

With pulls q = -dL/dF (d, m) on the features before the norm and -dL/dW (V, d) on the head, D the depth law's growth of
the kernel (1 without it) and Theta_i the kernels of groups of parameters (`ufmflow.numerics.kernel_parts`), a step of
learning rate lr moves F by lr times

    sgd, momentum    b Theta            b <- momentum b + q            (Nesterov: q + momentum b)
    adamw            sqrt(2/pi) m sum_i Theta_i / sqrt(v_i)            m, v_i: Adam's means of q and of the mean square
    sign             sqrt(2/pi) b sum_i Theta_i / rms_i(b)             of the gradient in group i, with its correction
    muon             sum over matrices of scale polar(b R) R,  R R^T = Theta_matrix;  AdamW's on vectors

and the head, of which every entry is known, exactly as the optimiser does.  sqrt(2/pi) is the part of a sign along a
Gaussian gradient (`ufmflow.theory.signs`), whose other part, beside the gradient, is left out; Adam's steps are signs
while gradients keep their sign.  polar is Muon's own iteration on the singular values.  The step's size is fixed by the
optimiser, not by the gradient, so that learning rate x steps measures the path, and there is no flow in which lr drops
out: these levels are maps.

The pull of a batch B is that of all contexts with the weights m/|B| on B and 0 elsewhere.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from . import strata
from .integrate import IntegrationError, Progress
from .kernel_parts import KernelParts
from .matrices import MatrixFlow
from .start import Start

ALONG = float(np.sqrt(2 / np.pi))
ADAM_EPS = 1e-8  # as torch.optim has it
QUINTIC = (3.4445, -4.7750, 2.0315)  # Muon's iteration s -> a s + b s^3 + c s^5, five times
ITERATIONS = 5
TINY = 1e-30  # under which there is no gradient to take the size of

Growth = Callable[[np.ndarray], np.ndarray]
Pair = tuple[np.ndarray, np.ndarray]


def growth(start: Start) -> Growth:
    """F -> D (m, m) of the depth law, D = sum_A (phi_A/phi_A(0))^(1 - 1/L) P_A: the kernel is D Theta D."""
    m = len(start.kernel)
    names = start.attributes.names
    projectors = np.stack([strata.apply(np.eye(m), {B: float(A == B) for B in names}, start.attributes) for A in names])
    rows = projectors.reshape(len(names), m * m)
    energy = rows @ (start.F.T @ start.F).ravel()
    alive = energy > 0
    power = (1 - 1 / int(start.depth or 1)) / 2

    def D(F: np.ndarray) -> np.ndarray:
        ratio = np.divide(rows @ (F.T @ F).ravel(), energy, out=np.ones_like(energy), where=alive)
        return (ratio**power @ rows).reshape(m, m)

    return D


def kernel_action(start: Start, deep: bool) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """X -> X Theta, or with the depth law X -> X D Theta D; the body's rate included."""
    Theta = start.body_rate * start.kernel
    if not deep:
        return lambda X, F: X @ Theta
    D = growth(start)

    def action(X: np.ndarray, F: np.ndarray) -> np.ndarray:
        grown = D(F)
        return X @ grown @ Theta @ grown

    return action


def pulls(flow: MatrixFlow, W: np.ndarray, F: np.ndarray, weights: np.ndarray | None = None) -> Pair:
    """-dL/dW (V, d) and q = -dL/dF (d, m), without decay; `weights` (m,) of the contexts, 1 if None."""
    normalized, d = flow.model.constraint == "normalized", len(F)
    stretch = np.sqrt(d / np.einsum("cj,cj->j", F, F)) if normalized else 1.0
    H = F * stretch
    G = flow.gradient(W @ H)
    if weights is not None:
        G = G * weights
    up = W.T @ G
    if normalized:
        return -(G @ H.T), (H * (np.einsum("cj,cj->j", H, up) / d) - up) * stretch  # |h_j|^2 = d
    ridge = flow.ridge[1] * F
    return -(G @ H.T), -up - (ridge if weights is None else ridge * weights)


class Rule(Protocol):
    """What a step of learning rate 1 adds to W and to F, from the pulls and the current W and F."""

    def __call__(self, dW: np.ndarray, q: np.ndarray, W: np.ndarray, F: np.ndarray) -> Pair: ...


def rule_of(start: Start, flow: MatrixFlow, deep: bool) -> Rule:
    """The optimiser's step, with the averages that it keeps."""
    if start.optimizer == "sgd":
        return _descent(start, flow)
    return _decayed(_adaptive(start, growth(start) if deep else None), start, flow)


def take_steps(
    flow: MatrixFlow, start: Start, times: np.ndarray, deep: bool = False, progress: Progress | None = None
) -> list[Pair]:
    """W (V, d) and F (d, m) at the steps nearest to the times (T,)."""
    wanted = start.steps_at(times)
    rates, rule = start.step_rates(int(wanted[-1])), rule_of(start, flow, deep)
    W, F = start.W, start.F
    found: list[Pair] = []
    for step in range(int(wanted[-1]) + 1):
        while len(found) < len(wanted) and wanted[len(found)] == step:
            found.append((W, F))
        if step == wanted[-1]:
            break
        move_W, move_F = rule(*pulls(flow, W, F, start.weights(step)), W, F)
        W, F = W + rates[step] * move_W, F + rates[step] * move_F
        if step % 1000 == 0:
            if not np.isfinite(np.vdot(F, F)):  # its lengths enter the next step
                raise IntegrationError(
                    f"the discrete steps diverged before step {step}: the learning rate {rates[0]} is too large"
                )
            if progress is not None:
                progress(step, int(wanted[-1]))
    return found


def _descent(start: Start, flow: MatrixFlow) -> Rule:
    """SGD's: decay is part of the gradient, and of its average."""
    pace_W, pace_F = np.zeros_like(start.W), np.zeros_like(start.F)
    momentum = start.momentum

    def rule(dW: np.ndarray, q: np.ndarray, W: np.ndarray, F: np.ndarray) -> Pair:
        nonlocal pace_W, pace_F
        if start.decay_head:
            dW = dW - start.decay_head * W
        if start.head_rate != 1.0:
            dW = start.head_rate * dW
        dF = flow.kernel(q, F)
        if flow.decay:
            dF = dF - flow.decay * F
        if not momentum:
            return dW, dF
        pace_W, pace_F = momentum * pace_W + dW, momentum * pace_F + dF
        if start.nesterov:
            return dW + momentum * pace_W, dF + momentum * pace_F
        return pace_W, pace_F

    return rule


def _decayed(rule: Rule, start: Start, flow: MatrixFlow) -> Rule:
    """Decoupled decay beside the step."""

    def with_decay(dW: np.ndarray, q: np.ndarray, W: np.ndarray, F: np.ndarray) -> Pair:
        move_W, move_F = rule(dW, q, W, F)
        return start.head_rate * (move_W - start.decay_head * W), start.body_rate * move_F - flow.decay * F

    return with_decay


def _adaptive(start: Start, D: Growth | None) -> Rule:
    parts = start.parts
    assert parts is not None  # `Start.levels` sees to it
    head: Callable[[np.ndarray], np.ndarray]
    body: Callable[[np.ndarray], np.ndarray]
    if start.optimizer == "muon":
        head, body = _Muon(start.momentum, start.nesterov).matrix, _MuonBody(start, parts).step
    elif start.optimizer == "sign":
        head, body = _Signs(start.momentum).entries, _Signs(start.momentum, parts).groups
    else:
        head, body = _Adam(start.betas).entries, _Adam(start.betas, parts).groups

    def rule(dW: np.ndarray, q: np.ndarray, W: np.ndarray, F: np.ndarray) -> Pair:
        if D is None:
            return head(dW), body(q)
        grown = D(F)
        return head(dW), body(q @ grown) @ grown

    return rule


class _Adam:
    """Adam's averages: of entries, or of groups of them."""

    def __init__(self, betas: tuple[float, float], parts: KernelParts | None = None):
        self.betas, self.parts = betas, parts
        self.mean: np.ndarray | float = 0.0
        self.square: np.ndarray | float = 0.0
        self.count = 0

    def _averages(self, pull: np.ndarray, square: np.ndarray) -> Pair:
        first, second = self.betas
        self.count += 1
        self.mean = first * self.mean + (1 - first) * pull
        self.square = second * self.square + (1 - second) * square
        size = np.sqrt(self.square / (1 - second**self.count)) + ADAM_EPS
        return self.mean / (1 - first**self.count), size

    def entries(self, pull: np.ndarray) -> np.ndarray:
        mean, size = self._averages(pull, pull**2)
        return mean / size

    def groups(self, q: np.ndarray) -> np.ndarray:
        assert self.parts is not None
        mean, size = self._averages(q, self.parts.squares(q))
        return ALONG * mean @ self.parts.combined(1 / size)


class _Signs:
    """Signs of the averaged pull: of entries, or of groups of them."""

    def __init__(self, momentum: float, parts: KernelParts | None = None):
        self.momentum, self.parts = momentum, parts
        self.average: np.ndarray | float = 0.0

    def entries(self, pull: np.ndarray) -> np.ndarray:
        self.average = self.momentum * self.average + pull
        return np.sign(self.average)

    def groups(self, q: np.ndarray) -> np.ndarray:
        assert self.parts is not None
        self.average = self.momentum * self.average + q
        size = np.sqrt(self.parts.squares(self.average)) + TINY
        return ALONG * self.average @ self.parts.combined(1 / size)


class _Muon:
    """Muon's average (torch.optim's convention) and orthogonalised step of one matrix."""

    def __init__(self, momentum: float, nesterov: bool):
        self.momentum, self.nesterov = momentum, nesterov
        self.average: np.ndarray | float = 0.0

    def averaged(self, pull: np.ndarray) -> np.ndarray:
        self.average = self.momentum * self.average + (1 - self.momentum) * pull
        return (1 - self.momentum) * pull + self.momentum * self.average if self.nesterov else self.average

    def matrix(self, pull: np.ndarray) -> np.ndarray:
        return shape_scale(pull.shape) * orthogonalised(self.averaged(pull))


class _MuonBody:
    """Muon's step of every matrix of the body, and Adam's of its vectors."""

    def __init__(self, start: Start, parts: KernelParts):
        self.average = _Muon(start.momentum, start.nesterov)
        self.roots = [(shape_scale(shape), symmetric_root(kernel)) for shape, kernel in parts.matrices()]
        vectors = parts.vectors()
        self.vectors = _Adam(start.betas, vectors) if len(vectors.kernels) else None

    def step(self, q: np.ndarray) -> np.ndarray:
        b = self.average.averaged(q)
        moved = np.zeros_like(q) if self.vectors is None else self.vectors.groups(q)
        for scale, R in self.roots:
            moved = moved + scale * orthogonalised(b @ R) @ R
        return moved


def shape_scale(shape: tuple[int, ...]) -> float:
    """By which torch.optim.Muon multiplies the step of a matrix of this shape."""
    return max(1.0, shape[0] / shape[1]) ** 0.5


def orthogonalised(X: np.ndarray) -> np.ndarray:
    """Muon's step: singular values s/|X| taken through its quintic iteration, to between 0.68 and 1.14 unless tiny.

    Examples
    --------
    >>> np.linalg.svd(orthogonalised(np.diag([3.0, 2.0, 1.0])), compute_uv=False).round(1).tolist()
    [1.1, 0.7, 0.7]
    """
    left, s, right = np.linalg.svd(X, full_matrices=False)
    s = s / (np.sqrt((s**2).sum()) + TINY)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        s = s * (a + s**2 * (b + c * s**2))
    return (left * s) @ right


def symmetric_root(kernel: np.ndarray) -> np.ndarray:
    """R with R R = Theta, of a positive semidefinite matrix; rounding below 0 is taken as 0."""
    values, vectors = np.linalg.eigh(kernel)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
