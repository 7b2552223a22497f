"""Reduced cross-entropy flows in logarithmic time, for limits that are reached at log-log speed.

    u = ln(1 + t),      dy/du = (1 + t) dy/dt,      (1 + t) S_T = exp(u - M_T - Lambda)

Without ridge every rate is linear in the probabilities S_T = exp(-M_T - Lambda) of wrong labels (M_T the margin over a
label in relation T, Lambda the log-partition), which fall like 1 / t while the margins grow like ln t: the directions of
W and H move with ln ln t.  In u the exponents stay near 0, so that nothing under- or overflows at t = e^(10^6), and steps
grow in proportion to u.  The equations are those of `modes`, with Lambda - u in the place of Lambda.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
from scipy.integrate import LSODA

from ..theory.errors import InputError
from ..theory.flow import ModeFlow
from ..theory.model import UFM
from ..theory.partition import LogPartition
from ..theory.system import derive
from .integrate import Progress, check_tolerances, integrate, output_times
from .modes import check_numbers, generated, stacked, template_of, values_of
from .simulate import check_capacity, start_on_strata
from .trajectory import semantic_index, shares

U = sp.Symbol("u", real=True)


@dataclass(frozen=True)
class LateCourse:
    """The modes at each logarithmic time.

    Attributes
    ----------
    log_time : array (T,), ln(1 + t)
    strata : names of the contexts' strata
    w, h, z, share_H : arrays (T, strata)
    log_loss : array (T,), the loss's logarithm
    semantic_index : array (T,)
    """

    log_time: np.ndarray
    strata: tuple[str, ...]
    w: np.ndarray
    h: np.ndarray
    z: np.ndarray
    share_H: np.ndarray
    log_loss: np.ndarray
    semantic_index: np.ndarray


def in_log_time(
    model: UFM,
    log_times: float | Iterable[float],
    init: Any = 1e-3,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    progress: Progress | None = None,
) -> LateCourse:
    """The reduced flow from the start that `simulate` makes of `init`, at given values of ln(1 + t).

    Parameters
    ----------
    model : UFM with cross-entropy, one-hot targets and no ridge, and numbers for its symbols
    log_times : increasing values of ln(1 + t) of at least 0, or the last one
    init : what every stratum's w and h start from, or a dict stratum -> value, as for `simulate`

    Raises
    ------
    InputError
        For a model with another loss, soft targets, a ridge, or symbols without numbers.
    IntegrationError
        When the tolerances cannot be met; says where.

    Examples
    --------
    Main effects have twice the kernel of the interaction: at t = e^10 nearly all of H is theirs, at t = e^100000 all
    strata have equal z.

    >>> from ufmflow.theory.model import UFM
    >>> model = UFM("a[2] * b[3]", feature_kernel={"1": 1.0, "a": 2.0, "b": 2.0, "a:b": 1.0})
    >>> late = in_log_time(model, [10.0, 1e5])
    >>> late.share_H[:, 3].round(3).tolist(), late.z[1, 1:].round(-2).tolist()
    ([0.018, 0.32], [100000.0, 100000.0, 100000.0])
    """
    check_numbers(model)
    check_tolerances(rtol, atol)
    _check_model(model)
    times = output_times(log_times)
    flow, rates, outputs = _compiled(template_of(model))
    values = values_of(model)
    w0, h0 = start_on_strata(model, init)
    check_capacity(model, h0)
    start = np.array([0.0, *(w0[A] for A in flow.w), *(h0[A] for A in flow.h)])

    def rhs(y: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # the integrator shortens a trial step that leaves every bound
            return stacked([1.0, *rates(*y, *values)], y.shape[1:])

    y = integrate(LSODA, rhs, start, times, rtol, min(atol, rtol * float(np.abs(start[1:]).max())), progress=progress)
    names = model.attributes.names
    found = stacked(outputs(*y, *values), y.shape[1:])
    w, h, z = (found[i * len(names) : (i + 1) * len(names)].T for i in range(3))
    multiplicities = np.array([float(model.attributes.multiplicities[A]) for A in names])
    share = shares(h, multiplicities)
    whole = np.log(float(model.contexts)) if model.reduction == "sum" else 0.0
    index = semantic_index(share, model.attributes, model.labels)
    return LateCourse(times, names, w, h, z, share, found[-1] + whole, index)


def log_log_partition(*arguments: Any) -> Any:
    """log(log(1 + sum_i v_i exp(-M_i))) for the arguments of LogPartition, of margins of any size."""
    n = len(arguments) // 2
    exponents = np.stack(
        np.broadcast_arrays(*(np.log(v) - M for M, v in zip(arguments[:n], arguments[n:], strict=True)))
    )
    total = np.logaddexp.reduce(exponents)
    # log(log1p(x)) = log x - x / 2 + ... for small x, which x itself may be too small to be a number for.
    return np.where(total < -20.0, total, np.log(np.maximum(np.logaddexp(0.0, total), 1e-300)))


def _check_model(model: UFM) -> None:
    if model.loss != "cross_entropy":
        raise InputError(f"loss: {model.loss!r} settles exponentially, not at log-log speed; use simulate.")
    if set(model.targets.values()) != {1}:
        raise InputError(
            "targets: soft ones settle exponentially, not at log-log speed; use simulate, or one-hot targets."
        )
    if any(model.ridge):
        raise InputError(
            f"ridge: {tuple(map(float, model.ridge))} makes the flow settle exponentially, not at log-log speed; use "
            "simulate, or no ridge."
        )


@lru_cache(maxsize=32)
def _compiled(template: UFM) -> tuple[ModeFlow, Any, Any]:
    """The flow with its rates times 1 + t, and (w, h, z, log loss), as functions of (u, state, parameters)."""
    flow = derive(template).flow
    shifted = tuple((x, value - U if isinstance(value, LogPartition) else value) for x, value in flow.definitions)
    (partition,) = (value for _, value in flow.definitions if isinstance(value, LogPartition))
    names, zero = template.attributes.names, sp.S(0)
    rates = generated(template, replace(flow, definitions=shifted), [flow.rates[x] for x in flow.state], first=(U,))
    modes = [part.get(A, zero) for part in (flow.w, flow.h, flow.z) for A in names]
    outputs = generated(template, flow, [*modes, partition], first=(U,), log_partition=log_log_partition)
    return flow, rates, outputs
