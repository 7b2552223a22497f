"""Closed-form solutions of the mode equations.

Squared error, free: each stratum flows alone.  With x = w / sqrt(kW), y = h / sqrt(kH), k = sqrt(kW kH), s = k scale,

    dx/dt = s (tau - z) y,      dy/dt = s (tau - z) x,      z = k x y,      x^2 - y^2 constant,

so that dz/dt = s (tau - z) sqrt(C^2 + 4 z^2) with C = k |x^2 - y^2| (Saxe et al. 2014 for equal kernels).  The ratio
q = min(x, y) / max(x, y) obeys the Riccati equation q' = s tau (1 - q^2) - s C q, solved by

    q(t) = (q0 (omega - b T/2) + a T) / (omega + (b/2 + a q0) T),    T = tanh(omega t),
    a = s tau,   b = s C,   omega = sqrt(a^2 + b^2/4),

and z = C q / (1 - q^2), in which C is cancelled below so that nothing is lost when it vanishes (a balanced start, where
the solution is the logistic).  With ridge and kW lam_W = kH lam_H = mu a balanced start stays balanced, and
dz/dt = 2 s z (tau - mu/s - z) is a logistic with a shifted rate and plateau.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from .errors import InputError
from .exact import rounded_constants
from .flow import TIME
from .model import UFM

Z0, X0, Y0 = sp.symbols("z0 x0 y0", positive=True)
DECAY = sp.Symbol("E", positive=True)  # exp(-2 omega t), which lies in (0, 1] and cannot overflow


@dataclass(frozen=True)
class ClosedForm:
    """z_A(t) of a stratum in closed form.

    Attributes
    ----------
    stratum : str
    expression : Expr in `t` and the start: `z0` for a balanced start, else `x0`, `y0`, which are w(0) / sqrt(kW) and
        h(0) / sqrt(kH)
    rate : Expr, 2 omega in the decaying exponential of the solution
    hypotheses : what the form rests on
    """

    stratum: str
    expression: sp.Expr
    rate: sp.Expr
    hypotheses: tuple[str, ...]
    kernels: tuple[sp.Expr, sp.Expr]

    def __call__(self, t: Any, init: Any = 1e-3) -> Any:
        """z_A at times t (array; learning rate x steps), from w_A(0) = h_A(0) = init, or init = (w_A(0), h_A(0)).

        Raises
        ------
        InputError
            For a start that is not positive, one that breaks the balance which the form needs, or free symbols.
        """
        w0, h0 = init if isinstance(init, (tuple, list)) else (init, init)
        if not (_positive(w0) and _positive(h0)):
            raise InputError(f"init: {init} is not positive; give w(0) = h(0) > 0, or a pair of positive numbers.")
        kW, kH = self.kernels
        if self.expression.has(Z0) and not _positive(_close(w0**2 * float(kH), h0**2 * float(kW))):
            raise InputError(
                f"init: w(0)^2/kW = {w0**2 / float(kW):.6g} but h(0)^2/kH = {h0**2 / float(kH):.6g}; "
                "with ridge the closed form needs a balanced start, where they are equal."
            )
        return self._function(t, w0, h0)

    @cached_property
    def _function(self) -> Callable:
        free = self.expression.free_symbols - {TIME, Z0, X0, Y0}
        if free:
            raise InputError(f"closed_form: {', '.join(sorted(map(str, free)))} has no number; give the model numbers.")
        w0, h0 = sp.symbols("w0 h0", positive=True)
        kW, kH = self.kernels
        start = {Z0: w0 * h0, X0: w0 / sp.sqrt(kW), Y0: h0 / sp.sqrt(kH)}
        expression = self.expression.subs(start, simultaneous=True)
        return sp.lambdify([TIME, w0, h0], rounded_constants(expression), "numpy", cse=True)


def mse_closed_form(model: UFM, stratum: str) -> ClosedForm:
    """The solution of one stratum of the free model with squared error.

    Raises
    ------
    InputError
        Where no closed form is known: another loss or constraint, a kernel that vanishes, a ridge with
        kW lam_W != kH lam_H, or without ridge a target that is not positive.
    """
    if model.loss != "mse" or model.constraint != "free":
        raise InputError(
            f"closed_form: none is known for loss {model.loss} with constraint {model.constraint}; "
            "squared error without constraint has one."
        )
    kW, kH, tau = model.label_kernel[stratum], model.feature_kernel[stratum], model.tau[stratum]
    if kW.is_zero or kH.is_zero:
        raise InputError(f"closed_form: a kernel vanishes on {stratum!r}, which then does not grow by both factors.")
    k = sp.sqrt(kW * kH)
    s = k * model.scale
    lam_W, lam_H = model.ridge
    base = ("loss 1/2 |Z - T|^2", "no constraint on H", "positive start")
    if lam_W == 0 and lam_H == 0:
        if tau.is_nonpositive:
            raise InputError(f"closed_form: the target of {stratum!r} is {tau}; the closed form needs a positive one.")
        expression, rate = _unbalanced(k, s, tau)
        return ClosedForm(stratum, expression, rate, (*base, "no ridge", "positive target"), (kW, kH))
    mu = kW * lam_W
    if sp.expand(mu - kH * lam_H) != 0:
        raise InputError(
            f"closed_form: with ridge {model.ridge} none is known on {stratum!r}, where kW lam_W = {mu} differs from "
            f"kH lam_H = {kH * lam_H}; make them equal, or drop the ridge."
        )
    plateau = tau - mu / s
    hypotheses = (*base, "kW lam_W = kH lam_H", "balanced start: w^2/kW = h^2/kH")
    return ClosedForm(stratum, logistic(s, plateau), 2 * s * plateau, hypotheses, (kW, kH))


def logistic(s: sp.Expr, plateau: sp.Expr) -> sp.Expr:
    """The solution of dz/dt = 2 s z (plateau - z) from z0: plateau / (1 + (plateau/z0 - 1) exp(-2 s plateau t)).

    Examples
    --------
    >>> logistic(sp.Symbol("s"), sp.Integer(1))
    1/((-1 + 1/z0)*exp(-2*s*t) + 1)
    """
    if plateau == 0:
        return Z0 / (1 + 2 * s * Z0 * TIME)
    grow = plateau / (1 + (plateau / Z0 - 1) * sp.exp(-2 * s * plateau * TIME))
    if not plateau.is_number or plateau > 0:
        return grow
    # A negative plateau: the exponential would overflow, so its inverse stands in its place.
    decay = sp.exp(2 * s * plateau * TIME)
    return plateau * decay / (decay + plateau / Z0 - 1)


def _unbalanced(k: sp.Expr, s: sp.Expr, tau: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """z(t) from any positive start; see the module's text.  T = (1 - E)/(1 + E) with E = exp(-2 omega t)."""
    big, small = sp.Max(X0, Y0), sp.Min(X0, Y0)
    q0, z0 = small / big, k * big * small
    C = k * (big - small) * (big + small)
    a, b = s * tau, s * C
    omega = sp.sqrt(a**2 + b**2 / 4)
    T = (1 - DECAY) / (1 + DECAY)
    numerator = q0 * (omega - b * T / 2) + a * T
    denominator = omega + (b / 2 + a * q0) * T
    # omega - a T without cancellation: (omega - a) + a (1 - T).
    gap = b**2 / 4 / (omega + a) + 2 * a * DECAY / (1 + DECAY)
    one_less_q_over_C = q0 / (z0 * (1 + q0)) * gap + s * (1 + q0) / 2 * T
    z = numerator * denominator / (one_less_q_over_C * (denominator + numerator))
    return z.subs(DECAY, sp.exp(-2 * omega * TIME)), 2 * omega


def _positive(value: Any) -> bool:
    return bool(value > 0) if not hasattr(value, "all") else bool((value > 0).all())


def _close(left: Any, right: Any) -> Any:
    """Positive where two numbers agree to rounding."""
    return 1e-9 * (abs(left) + abs(right)) - abs(left - right)
