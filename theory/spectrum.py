"""Rates of the linearised flow on the strata: at zero, and at the ridge's fixed point.

Free model.  On a stratum at (w, h) with pull g = g_A and curvature D = -dg/dz along the mode, the flow linearises to

    [ -kW (D h^2 + lam_W)     kW (g - D z)          ]
    [  kH (g - D z)          -kH (D w^2 + lam_H)    ].

Squared error: D = scale on every stratum, which stand alone.  Cross-entropy at zero: D does not enter, g = scale tau.
Cross-entropy at the ETF, with s the probability of each wrong label and pi = 1 - V s: -dg_A/dz_B / scale is
s [A = B] + pi (1 - pi) m_B / V, so strata are coupled through their common part.  With equal kernels the differences
between strata have D = scale s, and their common motion D = scale (s + pi (1 - pi) (V - 1) / V).
"""

from dataclasses import dataclass

import mpmath
import sympy as sp

from .errors import InputError
from .flow import ModeFlow
from .limits import limit
from .model import UFM

PLACES = ("limit", "zero")
DIGITS = 30


@dataclass(frozen=True)
class Rate:
    """An eigenvalue of the Jacobian: perturbations move as exp(value t); t is learning rate x steps.

    Attributes
    ----------
    value : Expr (a Float of 30 digits where strata with different kernels are coupled)
    strata : tuple of str
        The strata that move.
    motion : "alone" (one stratum), "together" (all alike), "against" (their differences) or "coupled"
    multiplicity : int or Expr, how many times the value counts among the modes
    """

    value: sp.Expr
    strata: tuple[str, ...]
    motion: str
    multiplicity: sp.Expr = sp.S.One


def spectrum(model: UFM, flow: ModeFlow, jacobian: sp.MatrixBase, at: str = "limit") -> tuple[Rate, ...]:
    """The eigenvalues of the Jacobian of the mode equations at the ridge's fixed point, or at zero.

    Raises
    ------
    InputError
        For constraints on H, for what has no fixed point, and for coupled strata without numbers.
    """
    if at not in PLACES:
        raise InputError(f"at: {at!r} is unknown; choose one of {', '.join(PLACES)}.")
    if model.constraint != "free":
        raise InputError(f"spectrum: constraint {model.constraint} leaves no isolated fixed point; it needs 'free'.")
    if at == "zero":
        return tuple(rate for A in model.attributes.names for rate in _alone(model, A, _pull_at_zero(model, A)))
    if 0 in model.ridge:
        raise InputError(f"spectrum: ridge {model.ridge} leaves no isolated fixed point; give both factors a ridge.")
    point = limit(model)
    if model.loss == "mse":
        return tuple(
            rate
            for A in model.attributes.names
            for rate in _alone(model, A, model.scale * (model.tau[A] - point[A][2]), point[A], model.scale)
        )
    kept = [A for A in model.targets if A != "1"]
    kernels = {(model.label_kernel[A], model.feature_kernel[A]) for A in kept}
    if set(model.targets.values()) == {sp.S(1)} and len(kernels) == 1 and point[kept[0]][2] != 0:
        return _at_etf(model, point, kept)
    return _in_numbers(model, flow, jacobian, point)


def _pull_at_zero(model: UFM, A: str) -> sp.Expr:
    """scale (tau - pi): softmax of zero logits is uniform, so pi = 0 but on the mean, where it is tau."""
    return sp.S(0) if model.loss == "cross_entropy" and A == "1" else model.scale * model.tau[A]


def _alone(model: UFM, A: str, g: sp.Expr, point: tuple = (0, 0, 0), D: sp.Expr = sp.S.Zero) -> tuple[Rate, ...]:
    lam_H, kH = model.ridge[1], model.feature_kernel[A]
    if A not in model.targets:
        return (Rate(-kH * lam_H, (A,), "alone"),)
    return tuple(Rate(value, (A,), "alone") for value in _pair(model, A, g, point, D))


def _pair(model: UFM, A: str, g: sp.Expr, point: tuple, D: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """The eigenvalues of the block above, the larger first."""
    (lam_W, lam_H), (w, h, z) = model.ridge, point
    kW, kH = model.label_kernel[A], model.feature_kernel[A]
    own = (-kW * (D * h**2 + lam_W), -kH * (D * w**2 + lam_H))
    root = sp.sqrt((own[0] - own[1]) ** 2 + 4 * kW * kH * (g - D * z) ** 2)
    return (own[0] + own[1] + root) / 2, (own[0] + own[1] - root) / 2


def _at_etf(model: UFM, point: dict, kept: list[str]) -> tuple[Rate, ...]:
    V, scale, first = model.label_count, model.scale, kept[0]
    g = sp.sqrt(model.ridge[0] * model.ridge[1])
    pi = 1 - g / (scale * sp.sqrt(model.replication))
    s = (1 - pi) / V
    together = scale * (s + pi * (1 - pi) * (V - 1) / V)
    rates = [Rate(value, tuple(kept), "together") for value in _pair(model, first, g, point[first], together)]
    if len(kept) > 1:
        against = _pair(model, first, g, point[first], scale * s)
        rates += [Rate(value, tuple(kept), "against", sp.Integer(len(kept) - 1)) for value in against]
    others = [A for A in model.attributes.names if A not in kept]
    return (*rates, *(rate for A in others for rate in _alone(model, A, sp.S(0))))


def _in_numbers(model: UFM, flow: ModeFlow, jacobian: sp.MatrixBase, point: dict) -> tuple[Rate, ...]:
    """Eigenvalues of the Jacobian, which are real: it is minus a positive diagonal matrix times a symmetric one."""
    if model.free_symbols:
        raise InputError(
            f"spectrum: strata with different kernels are coupled under cross-entropy, and "
            f"{min(map(str, model.free_symbols))} has no number; give the model numbers."
        )
    state = [*(point[A][0] for A in flow.w), *(point[A][1] for A in flow.h)]
    known = {x: sp.N(value, 2 * DIGITS) for x, value in zip(flow.state, state, strict=True)}
    for symbol, definition in flow.definitions:
        known[symbol] = sp.N(definition.xreplace(known), 2 * DIGITS)
    with mpmath.workdps(2 * DIGITS):
        numbers = [
            [mpmath.mpf(str(sp.N(entry.xreplace(known), 2 * DIGITS))) for entry in row] for row in jacobian.tolist()
        ]
        values = mpmath.eig(mpmath.matrix(numbers), left=False, right=False)
        found = [sp.Float(mpmath.nstr(mpmath.re(value), 2 * DIGITS), DIGITS) for value in values]
    return tuple(Rate(value, model.attributes.names, "coupled") for value in sorted(found, reverse=True))
