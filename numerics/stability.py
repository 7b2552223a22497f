"""Where discrete steps leave the flow: the learning rate times the largest curvature, against 2.

A step of gradient descent multiplies a deviation along an eigenvector of the (preconditioned) Hessian, of eigenvalue c,
by 1 - lr c: it decays for lr c < 1, swings for 1 < lr c < 2, and grows beyond 2, the edge of stability.  With momentum
beta the edge lies at 2 (1 + beta).  The curvature grows while W does, so the forecast flow is followed to its largest.

Reference: Cohen, Kaur, Li, Kolter and Talwalkar, Gradient descent on neural networks typically occurs at the edge of
stability, 2021.
"""

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from ..theory.errors import InputError
from .matrices import MatrixFlow
from .simulate import integrate_matrices
from .start import Start

EDGE = 2.0
MOMENTS = 12  # times at which the curvature along a flow is looked at
RTOL, ATOL = 1e-4, 1e-6  # of that flow: its curvature to a part in a thousand
STEP = 1e-5  # of the central differences, relative to the state: errors of 1e-10 in the curvature


def step_curvature(start: Start, W: np.ndarray | None = None, F: np.ndarray | None = None) -> float:
    """lr x largest eigenvalue of -d(dW/dt, dF/dt)/d(W, F), the edge of stability lying at 2 (1 + momentum).

    Parameters
    ----------
    start : Start with a learning rate
    W, F : arrays (V, d) and (d, m) to take the curvature at; the start's own if None

    Returns
    -------
    float, without units

    Raises
    ------
    InputError
        Without a learning rate.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> small, large = (example_run(f"crossed_4x6_mlp_{name}") for name in ("flow", "large_step"))
    >>> step_curvature(Start.of(small)) < step_curvature(Start.of(large))
    True
    """
    if start.lr is None:
        raise InputError("lr: without one constant learning rate the curvature of a step is not known; give lr.")
    W, F = (start.W if W is None else W), (start.F if F is None else F)
    flow = MatrixFlow.of(start.model, lambda X, _: X @ start.kernel)
    split, sizes = W.size, np.concatenate([np.full(W.size, _scale(W)), np.full(F.size, _scale(F))])
    state = np.concatenate([W.ravel(), F.ravel()])

    def rates(y: np.ndarray) -> np.ndarray:
        dW, dF = flow.rates(y[:split].reshape(W.shape), y[split:].reshape(F.shape))
        return np.concatenate([dW.ravel(), dF.ravel()])

    def action(v: np.ndarray) -> np.ndarray:
        v = v.ravel()
        length = STEP * np.linalg.norm(sizes) / np.linalg.norm(v)
        return -(rates(state + length * v) - rates(state - length * v)) / (2 * length)

    operator = LinearOperator((state.size, state.size), matvec=action, dtype=float)
    first = np.random.default_rng(0).standard_normal(state.size)
    try:
        found = eigs(operator, k=1, which="LR", v0=first, tol=1e-4, maxiter=2000, return_eigenvectors=False)
    except ArpackNoConvergence as error:
        found = error.eigenvalues
        if not len(found):
            raise InputError("kernel: the largest curvature at the start was not found; look for NaN in it.") from None
    return float(start.lr * found.real.max())


def largest_step_curvature(start: Start, times: np.ndarray) -> float:
    """The largest lr x curvature along the forecast flow; beyond 2 (1 + momentum) the flow is not what steps follow.

    Parameters
    ----------
    start : Start with a learning rate
    times : increasing times (T,), learning rate x steps; a dozen of them, log-spaced, are looked at

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> run = example_run("crossed_4x6_mlp_large_step")
    >>> largest_step_curvature(Start.of(run), run.time) > EDGE
    True
    """
    chosen = times[np.unique(np.linspace(0, len(times) - 1, MOMENTS).round().astype(int))]
    flow = MatrixFlow.of(start.model, lambda X, _: X @ start.kernel)
    pairs = integrate_matrices(flow, start.W, start.F, start.flow_time(chosen), RTOL, ATOL)
    return max(step_curvature(start, W, F) for W, F in pairs)


def _scale(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(array**2))) or 1.0
