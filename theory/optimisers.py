"""Flows of optimisers other than plain gradient descent, on the strata; and the time that momentum makes of steps.

A kernel is a parametrisation: W = Psi U_W and H = U_H Phi with Psi Psi^T = KW, Phi^T Phi = KH, and steps act on U_W (V x d)
and U_H (d x m), on whose strata lie u_A = w_A / sqrt(kW_A) and h_A / sqrt(kH_A).  With the pulls

    pW_A = sqrt(kW_A) (g_A h_A - lam_W w_A),      pH_A = sqrt(kH_A) (g_A w_A - lam_H h_A)                   (free)

and |p|^2 = sum_A m_A p_A^2 for each of the two matrices,

    sgd          du_A/dt = p_A
    normalized   du_A/dt = p_A sqrt(number of entries) / |p|      entries of root mean square 1
    muon         du_A/dt = sign(p_A)                              the orthogonal polar factor of the pull

in units of learning rate x steps (for Muon also x the factor by which an implementation scales the shape of a matrix).
Momentum is `sgd` in the time that `effective_time` gives.  Steps of `normalized` and `muon` take their size after the
momentum's average, so momentum delays them by momentum / (1 - momentum) steps and does not speed them up.

`normalized` is Adam with one second moment for each matrix.  Adam itself has one for each entry: its steps are signs of
the entries while the gradient is constant, however long its memory.  Signs are not closed on the strata:
`ufmflow.theory.signs` has what is known of them, `ufmflow.numerics.optimisers` takes the steps.

Muon's iteration raises small singular values by a factor of at most 3.4445^5 = 485 relative to |p|, so that no step has
an exact sign; here sign(p_A) is p_A / sqrt(p_A^2 + e^2 |p|^2) with e = 1/500, its slope at zero.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp

from .errors import InputError
from .flow import WIDTH, ModeFlow
from .kernels import stratum_symbol
from .model import UFM

OPTIMIZERS = ("sgd", "normalized", "muon")
SMOOTHING = sp.Rational(1, 500)
FLOOR = sp.Rational(1, 10**7)  # of |p|, as Muon's own: where the pull vanishes, so does the step

Definitions = list[tuple[sp.Symbol, sp.Expr]]


def optimizer_flow(model: UFM, flow: ModeFlow, optimizer: str) -> ModeFlow:
    """The flow of an optimiser, from the gradient flow of the same model.

    Parameters
    ----------
    model : UFM
    flow : ModeFlow of the model's gradient flow
    optimizer : "sgd", "normalized" or "muon"

    Raises
    ------
    InputError
        For other optimisers, with what to use instead.

    Examples
    --------
    >>> from ufmflow.theory.flow import derive_flow
    >>> model = UFM("color[4]", loss="mse", feature_kernel=4)
    >>> flow = optimizer_flow(model, derive_flow(model), "muon")
    >>> flow.rates[flow.h["color"]]
    2*pH_color/sqrt(NH**2/250000 + pH_color**2)
    """
    if optimizer == "sgd":
        return flow
    if optimizer not in OPTIMIZERS:
        raise InputError(f"optimizer: {optimizer!r} has no flow on the strata; {_instead(optimizer)}")
    d = WIDTH if model.width is None else model.width
    names = model.attributes.names
    rates, definitions = dict(flow.rates), list(flow.definitions)
    W = {A: (flow.rates[w], model.label_kernel[A]) for A, w in flow.w.items()}
    added, moved = _steps(model, "W", W, _rule(optimizer, model.label_count * d))
    definitions += added
    rates |= {flow.w[A]: rate for A, rate in moved.items()}

    rule = _rule(optimizer, model.contexts * d)
    if model.constraint == "sphere":
        # Between the two tangent projections: f_A is what the kernel made of the first.
        inner = {A: stratum_symbol("f", A) for A in names}
        known = dict(flow.definitions)
        added, moved = _steps(model, "H", {A: (known[inner[A]], model.feature_kernel[A]) for A in names}, rule)
        first = [symbol for symbol, _ in definitions].index(inner[names[0]])
        stepped = [(inner[A], moved[A]) for A in names]
        definitions[first : first + len(names)] = [*added, *stepped]
    else:
        features = flow.state[len(flow.w) :]
        H = {A: (flow.rates[x], model.feature_kernel[A]) for A, x in zip(names, features, strict=True)}
        added, moved = _steps(model, "H", H, rule)
        definitions += added
        rates |= {x: moved[A] for A, x in zip(names, features, strict=True)}
    return replace(flow, definitions=tuple(definitions), rates=rates)


def _instead(optimizer: Any) -> str:
    if optimizer == "momentum":
        return "momentum is 'sgd' in the time that ufmflow.theory.optimisers.effective_time gives."
    if optimizer in ("sign", "adam", "adamw"):
        return "choose 'normalized', or take its steps with ufmflow.numerics.optimisers.descend."
    return f"choose one of {', '.join(OPTIMIZERS)}."


def _rule(optimizer: str, entries: sp.Expr) -> Callable[[sp.Symbol, sp.Symbol], sp.Expr]:
    """The step that a pull p gets when its matrix has the norm N."""
    if optimizer == "muon":
        return lambda p, N: p / sp.sqrt(p**2 + SMOOTHING**2 * N**2)
    return lambda p, N: sp.sqrt(entries) * p / N


def _steps(
    model: UFM, matrix: str, preconditioned: dict[str, tuple[sp.Expr, sp.Expr]], rule: Callable
) -> tuple[Definitions, dict[str, sp.Expr]]:
    """Definitions of the pulls on one parameter matrix and of their norm, and the rates on the strata.

    `preconditioned` has, for each stratum, the rate kappa q under gradient flow, and kappa.
    """
    m = model.attributes.multiplicities
    pulls = {A: (stratum_symbol(f"p{matrix}", A), rate / sp.sqrt(k)) for A, (rate, k) in preconditioned.items() if k}
    N = sp.Symbol(f"N{matrix}", positive=True)
    square = sum((m[A] * p**2 for A, (p, _) in pulls.items()), FLOOR**2)
    rates = {A: sp.sqrt(k) * rule(pulls[A][0], N) if A in pulls else sp.S(0) for A, (_, k) in preconditioned.items()}
    return [*pulls.values(), (N, sp.sqrt(square))], rates


def effective_time(
    steps: Any, lr: float | Sequence[float] | np.ndarray, momentum: float = 0.0, dampening: float = 0.0, nesterov: bool = False
) -> np.ndarray:
    """The time of gradient flow that steps of momentum stand for: learning rate x steps x what momentum makes of it.

        b_1 = G,   b_k = momentum b_{k-1} + (1 - dampening) G,   step_k = lr_k b_k   or  lr_k (G + momentum b_k)

    (PyTorch's convention; the second is Nesterov's).  While the gradient G changes little over the memory
    1 / (1 - momentum), step_k = lr_k c_k G with

        c_k = momentum^(k-1) + (1 - dampening) (1 - momentum^(k-1)) / (1 - momentum)   or  1 + momentum c_k,

    and the time of n steps is the sum of lr_k c_k: exact for a constant gradient, else with an error of the order of lr.

    Parameters
    ----------
    steps : whole numbers >= 0, a number or an array
    lr : the learning rate, or a schedule with one for each step
    momentum : in [0, 1)
    dampening : in [0, 1]; 0 with `nesterov`
    nesterov : bool

    Returns
    -------
    array of the shape of `steps`, units of learning rate x steps

    Raises
    ------
    InputError
        For numbers outside these ranges, and for a schedule that is too short.

    Examples
    --------
    >>> effective_time([0, 1, 2, 1000], lr=0.1, momentum=0.9).round(3).tolist()
    [0.0, 0.1, 0.29, 991.0]
    """
    asked = np.asarray(steps)
    if asked.dtype.kind not in "iu" or np.any(asked < 0):
        raise InputError(f"steps: {steps!r}; give whole numbers of at least 0.")
    beta, damp = _within("momentum", momentum, 1.0, closed=False), _within("dampening", dampening, 1.0, closed=True)
    if nesterov and damp != 0:
        raise InputError(f"dampening: {dampening} with nesterov=True; Nesterov's momentum has none, leave it at 0.")
    last = int(asked.max(initial=0))
    rates = np.asarray(lr, dtype=float)
    if not np.all(np.isfinite(rates)) or np.any(rates < 0):
        raise InputError(f"lr: {lr!r}; give a finite number of at least 0, or one for each step.")
    if rates.ndim > 1 or (rates.ndim == 1 and rates.size < last):
        raise InputError(f"lr: a schedule of shape {rates.shape} for {last} steps; give one number for each step.")
    decay = beta ** np.arange(last)
    gain = decay + (1 - damp) * (1 - decay) / (1 - beta)
    if nesterov:
        gain = 1 + beta * gain
    each = gain * (rates[:last] if rates.ndim else rates)
    return np.concatenate([[0.0], np.cumsum(each)])[asked]


def _within(argument: str, value: Any, high: float, closed: bool) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not (0 <= number < high or (closed and number == high)):
        raise InputError(f"{argument}: {value!r}; give a number in [0, {high:g}{']' if closed else ')'}.")
    return number
