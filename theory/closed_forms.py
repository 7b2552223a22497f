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
from sympy.codegen.cfunctions import expm1

from .errors import InputError
from .exact import rounded_constants
from .flow import TIME
from .model import UFM
from .starts import check_balance, check_times, positive_start

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
            For a start that is not positive or that floats cannot hold, one that breaks the balance which the form
            needs, times below 0, or free symbols.
        """
        function = self._function
        w0, h0 = positive_start(init)
        kW, kH = map(float, self.kernels)
        if self.expression.has(Z0):
            check_balance(w0, h0, kW, kH, "with ridge the closed form")
        return function(check_times(t), w0 / kW**0.5, h0 / kH**0.5, w0 * h0)

    @cached_property
    def _function(self) -> Callable:
        free = self.expression.free_symbols - {TIME, Z0, X0, Y0}
        if free:
            raise InputError(f"closed_form: {', '.join(sorted(map(str, free)))} has no number; give the model numbers.")
        # exp(x) - 1 becomes expm1(x): early times and low plateaus keep their digits.
        rounded = rounded_constants(self.expression)
        accurate = {sign * (power - 1): sign * expm1(power.exp) for power in rounded.atoms(sp.exp) for sign in (1, -1)}
        return sp.lambdify([TIME, X0, Y0, Z0], rounded.xreplace(accurate), "numpy", cse=True)


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

    Written as z0 / (E + z0 (1 - E) / plateau), in which nothing cancels when the plateau is far below z0.

    Examples
    --------
    >>> logistic(sp.Symbol("s"), sp.Integer(1))
    z0/(z0*(1 - exp(-2*s*t)) + exp(-2*s*t))
    """
    if plateau == 0:
        return Z0 / (1 + 2 * s * Z0 * TIME)
    if not plateau.is_number or plateau > 0:
        decay = sp.exp(-2 * s * plateau * TIME)
        return Z0 / (decay + Z0 * (1 - decay) / plateau)
    # A negative plateau: the exponential would overflow, so its inverse stands in its place.
    decay = sp.exp(2 * s * plateau * TIME)
    return Z0 * decay / (1 + Z0 * (decay - 1) / plateau)


def _unbalanced(k: sp.Expr, s: sp.Expr, tau: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """z(t) from any positive start; see the module's text.  T = (1 - E)/(1 + E) with E = exp(-2 omega t)."""
    big, small = sp.Max(X0, Y0), sp.Min(X0, Y0)
    q0, z0 = small / big, k * big * small
    C = k * (big - small) * (big + small)
    a, b = s * tau, s * C
    omega = sp.sqrt(a**2 + b**2 / 4)
    T = (1 - DECAY) / (1 + DECAY)
    # omega - b T / 2 without cancellation: (omega - b/2) + (b/2) (1 - T).
    numerator = q0 * (a**2 / (omega + b / 2) + b * DECAY / (1 + DECAY)) + a * T
    denominator = omega + (b / 2 + a * q0) * T
    # omega - a T without cancellation: (omega - a) + a (1 - T).
    gap = b**2 / 4 / (omega + a) + 2 * a * DECAY / (1 + DECAY)
    one_less_q_over_C = q0 / (z0 * (1 + q0)) * gap + s * (1 + q0) / 2 * T
    z = numerator * denominator / (one_less_q_over_C * (denominator + numerator))
    return z.subs(DECAY, sp.exp(-2 * omega * TIME)), 2 * omega
