"""Where discrete steps leave the flow: the learning rate times the largest curvature, against 2.

A step of gradient descent multiplies a deviation along an eigenvector of the (preconditioned) Hessian, of eigenvalue c,
by 1 - lr c: it decays for lr c < 1, swings for 1 < lr c < 2, and grows beyond 2, the edge of stability (`edge` has it
for momentum).  The curvature grows while W does, so the forecast flow is followed to its largest.

Steps with a size of their own (AdamW, sign, Muon) do not shrink with the gradient, so that no curvature is small enough
for them for ever.  What a step of any optimiser loses to curvature is its ratio

    rho = 2 (1 - (loss before - loss after) / (pull . step)),      = step . Hessian step / (pull . step) to second order,

lr c for a plain step along an eigenvector, and beyond 2 when the loss rises.

References: Cohen, Kaur, Li, Kolter and Talwalkar, Gradient descent on neural networks typically occurs at the edge of
stability, 2021; Cohen et al., Adaptive gradient methods at the edge of stability, 2022.
"""

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from ..theory.errors import InputError
from .kernel_steps import kernel_action, pulls, take_steps
from .matrices import MatrixFlow
from .simulate import integrate_matrices
from .start import Start

EDGE = 2.0
MOMENTS = 12  # times at which the curvature along a flow is looked at
RTOL, ATOL = 1e-4, 1e-6  # of that flow: its curvature to a part in a thousand
STEP = 1e-5  # of the central differences, relative to the state: errors of 1e-10 in the curvature


def edge(momentum: float = 0.0, nesterov: bool = False, averaged: bool = False) -> float:
    """Where lr x curvature makes steps unstable: a root of the recursion of a deviation reaches -1.

        theta_{k+1} = (1 + b - s) theta_k - b theta_{k-1}            2 (1 + b)              s = lr x curvature
        theta_{k+1} = (1 - s) ((1 + b) theta_k - b theta_{k-1})      2 (1 + b)/(1 + 2 b)    Nesterov's
        the first with (1 - b) s for s                               2 (1 + b)/(1 - b)      averaged, as Adam does

    Parameters
    ----------
    momentum : b in [0, 1)
    nesterov : PyTorch's, which looks ahead along the momentum
    averaged : the momentum is a mean of gradients; the curvature is then that preconditioned by Adam's sizes, held still

    Examples
    --------
    >>> edge(), edge(0.9), round(edge(0.9, nesterov=True), 2), round(edge(0.9, averaged=True), 1)
    (2.0, 3.8, 1.36, 38.0)
    """
    limit = EDGE * (1 + momentum)
    if nesterov:
        return limit / (1 + 2 * momentum)
    return limit / (1 - momentum) if averaged else limit


def largest_step_ratio(start: Start, times: np.ndarray) -> float:
    """The largest ratio rho of the forecast's own steps; beyond 2 some of them raise the loss.

    Parameters
    ----------
    start : Start whose steps are known, of any optimiser
    times : increasing times (T,), learning rate x steps; a dozen of them are looked at

    Raises
    ------
    InputError
        Without a learning rate.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> run = example_run("crossed_4x6_mlp_flow")
    >>> 0 < largest_step_ratio(Start.of(run), run.time[:20]) < EDGE
    True
    """
    if not start.stepwise:
        raise InputError("lr: without a learning rate the steps are not known; give lr.")
    flow = MatrixFlow.of(start.model, kernel_action(start, deep=False))
    chosen = np.unique(start.steps_at(times)[np.linspace(0, len(times) - 1, MOMENTS).round().astype(int)])
    if start.rates is not None:
        chosen = chosen[chosen < len(start.rates)]
    passed = np.concatenate([[0.0], np.cumsum(start.step_rates(int(chosen[-1]) + 1))])
    wanted = np.unique(np.concatenate([chosen, chosen + 1]))
    pairs = dict(zip(wanted.tolist(), take_steps(flow, start, passed[wanted]), strict=True))
    found = []
    for step in chosen.tolist():
        (W, F), (W_next, F_next) = pairs[step], pairs[step + 1]
        dW, q = pulls(flow, W, F)
        before = flow.loss(W, F)
        expected = float((dW * (W_next - W)).sum() + (q * (F_next - F)).sum())
        # Below, the loss no longer tells the step; a step against the pull has no ratio.
        if expected > RTOL * ATOL * before:
            found.append(2 * (1 - (before - flow.loss(W_next, F_next)) / expected))
    return max(found, default=0.0)


def step_curvature(start: Start, W: np.ndarray | None = None, F: np.ndarray | None = None) -> float:
    """lr x largest eigenvalue of -d(dW/dt, dF/dt)/d(W, F), to be held against `edge`.

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
        Without a learning rate, and for optimisers whose steps no flow has.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> small, large = (example_run(f"crossed_4x6_mlp_{name}") for name in ("flow", "large_step"))
    >>> step_curvature(Start.of(small)) < step_curvature(Start.of(large))
    True
    """
    if start.lr is None:
        raise InputError("lr: without one constant learning rate the curvature of a step is not known; give lr.")
    if start.optimizer != "sgd":
        raise InputError(f"optimizer: {start.optimizer} steps along no flow whose curvature counts; see step ratios.")
    W, F = (start.W if W is None else W), (start.F if F is None else F)
    flow = MatrixFlow.of(start.model, kernel_action(start, deep=False))
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
    """The largest lr x curvature along the forecast flow; beyond `edge` the flow is not what steps follow.

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
    flow = MatrixFlow.of(start.model, kernel_action(start, deep=False))
    pairs = integrate_matrices(flow, start.W, start.F, start.flow_time(chosen), RTOL, ATOL)
    return max(step_curvature(start, W, F) for W, F in pairs)


def _scale(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(array**2))) or 1.0
