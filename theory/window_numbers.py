"""The semantic window of a model with numbers: from the closed form of squared error, or between two curves.

The index of the shares of H is known as a function of time (squared error), or lies between two that are
(cross-entropy); `brackets` finds where it is largest and where it has half of that.
"""

from typing import Any

import mpmath
import sympy as sp

from .brackets import DIGITS, Curve, between, half_maximum
from .closed_forms import X0, Y0, Z0, logistic, mse_closed_form
from .errors import InputError
from .exact import rounded_constants
from .flow import TIME
from .model import UFM

SCAN = 120  # times looked at within the transition of each stratum
E_FOLDS = 45  # after which what is left of a transition is beyond a float
Start = tuple[sp.Expr, sp.Expr]


def is_balanced(model: UFM, start: Start) -> bool:
    """Whether w(0)^2/kW = h(0)^2/kH on every stratum of the labels but the mean, which no share sees."""
    kW, kH = model.label_kernel, model.feature_kernel
    return all(start[0] ** 2 * kH[A] == start[1] ** 2 * kW[A] for A in model.targets if A != "1")


def index(model: UFM, main: tuple[str, ...], energy: dict[str, Any]) -> Any:
    """The semantic index from h_A^2 on all strata but the mean."""
    m, kept = model.attributes.multiplicities, model.label_attributes
    etf = sum(kept.multiplicities[A] for A in main) / (kept.cardinality - 1)
    held = sum(m[A] * energy[A] for A in main)
    return (held / sum(m[A] * x for A, x in energy.items()) - etf) / (1 - etf)


def mse_numbers(model: UFM, main: tuple[str, ...], start: Start) -> tuple[Any, tuple[str, ...]]:
    """Onset, peak, end and height (None: no window) of squared error, to the digits of a float; with hypotheses."""
    if set(model.ridge) != {sp.S(0)} and not is_balanced(model, start):
        raise InputError(
            "window: with ridge the squared error's window is known from a balanced start, w(0)^2/kW = h(0)^2/kH on "
            f"all strata, and {_text(start)} is none; simulate(model, t).window() has it."
        )
    energy, limits, ends = {}, {}, set()
    for A in model.attributes.names[1:]:
        energy[A], limits[A], rate, factor = _energy(model, A, start)
        if rate != 0:
            ends.add(float((sp.log(1 + abs(factor)) + E_FOLDS) / rate))
    if all(x == 0 for x in limits.values()):
        raise InputError(f"window: with ridge {model.ridge} every stratum dies out; lower the ridge.")
    with mpmath.workdps(DIGITS):
        limit = mpmath.mpf(sp.N(index(model, main, limits), DIGITS))
    found = half_maximum(_curve(index(model, main, energy)), _scan(ends), limit)
    return found, ("squared error", "free", "closed form of every stratum")


def _energy(model: UFM, A: str, start: Start) -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """h_A^2 along time, its limit, its rate of approach, and the factor by which z grows."""
    (w0, h0), kH = start, model.feature_kernel[A]
    if A not in model.targets:
        decay = 2 * kH * model.ridge[1]
        return h0**2 * sp.exp(-decay * TIME), h0**2 if decay == 0 else sp.S(0), decay, sp.S(0)
    form = mse_closed_form(model, A)
    kW = form.kernels[0]
    x0, y0 = w0 / sp.sqrt(kW), h0 / sp.sqrt(kH)
    k, gap = sp.sqrt(kW * kH), w0**2 / kW - h0**2 / kH
    plateau = model.tau[A] - sp.sqrt(model.ridge[0] * model.ridge[1]) / model.scale
    if plateau == 0:
        raise InputError(f"window: {A!r} dies out without a rate, its plateau being 0; change the ridge a little.")
    begin = {Z0: w0 * h0, X0: x0, Y0: y0}
    end = sp.Max(plateau, 0)
    if gap == 0:
        z = logistic(k * model.scale, plateau).subs(Z0, w0 * h0)
        return z * h0 / w0, end * h0 / w0, 2 * k * model.scale * abs(plateau), plateau / (w0 * h0)

    def square(z: sp.Expr) -> sp.Expr:
        """h^2 = kH y^2 from z = k x y and the conserved x^2 - y^2."""
        return kH * (sp.sqrt(gap**2 + 4 * z**2 / k**2) - gap) / 2

    z, rate = (part.subs(begin, simultaneous=True) for part in (form.expression, form.rate))
    return square(z), square(end), rate, 4 * plateau / (k * (x0 + y0) ** 2)


def cross_entropy_numbers(model: UFM, main: tuple[str, ...], start: Start) -> tuple[Any, tuple[str, ...]]:
    """Brackets of onset, peak, end and height (None: no window is certain); with what they rest on.

    With u_A the integral of kappa_A (g_A - lam), h_A rises with u_A, and

        kappa_A/kappa (sigma/s) (E1(Y0) - E1(Y)) / 2 - kappa_A lam t <= u_A <= kappa_A s t,    Y = Y0 e^{2 kappa s t},

    s = sigma - lam, kappa the largest of the kappa_A and Y0 the largest k (x0 + y0)^2 / 4, so that every z <= Y.
    """
    _check_cross_entropy(model, main, start)
    kW, kH, lam_H = model.label_kernel, model.feature_kernel, model.ridge[1]
    strata = [A for A in model.targets if A != "1"]
    kappa = {A: sp.sqrt(kW[A] * kH[A]) for A in strata}
    lam, sigma = sp.sqrt(model.ridge[0] * lam_H), model.scale * sp.sqrt(model.replication)
    s, fastest = sigma - lam, max(kappa.values())
    parts = {A: (start[0] / sp.sqrt(kW[A]), start[1] / sp.sqrt(kH[A])) for A in strata}
    first = max(kappa[A] * (x + y) ** 2 / 4 for A, (x, y) in parts.items())
    gain = sigma / s * (sp.expint(1, first) - sp.expint(1, first * sp.exp(2 * fastest * s * TIME))) / 2

    def energy(slow: bool) -> dict[str, sp.Expr]:
        """h_A^2 with main effects slow and the rest fast, or the reverse."""
        found = {}
        for A in model.attributes.names[1:]:
            if A not in parts:
                found[A] = start[1] ** 2 * sp.exp(-2 * kH[A] * lam_H * TIME)
                continue
            u = kappa[A] * (gain / fastest - lam * TIME) if (A in main) == slow else kappa[A] * s * TIME
            x, y = parts[A]
            found[A] = kH[A] * ((x + y) * sp.exp(u) + (y - x) * sp.exp(-u)) ** 2 / 4
        return found

    low, high = (_curve(index(model, main, energy(slow))) for slow in (True, False))
    ends = {float((sp.log(1 + 1 / first) + E_FOLDS / 2) / (2 * k * s)) for k in kappa.values()}
    hypotheses = ("cross-entropy, one-hot", "free", "kW kH larger on main effects than elsewhere")
    found = between(low, high, _scan(ends))
    if found is None or not is_balanced(model, start):
        return found, hypotheses
    # Balanced: the index rises as long as the slowest main effect gains on the fastest of the rest.
    slowest, rest = min(kappa[A] for A in main), max(k for A, k in kappa.items() if A not in main)
    summit = -sp.log((rest * s / slowest + lam) / sigma)
    rises = float(sp.log(summit / first) / (2 * fastest * s)) if summit > first else 0.0
    onset, peak, end, height = found
    return (onset, (max(rises, peak[0]), peak[1]), (max(rises, end[0]), end[1]), height), hypotheses


def _check_cross_entropy(model: UFM, main: tuple[str, ...], start: Start) -> None:
    kW, kH = model.label_kernel, model.feature_kernel
    lam_W, lam_H = model.ridge
    strata = [A for A in model.targets if A != "1"]
    if any(model.targets[A] != 1 for A in strata):
        raise InputError("window: with cross-entropy the brackets need one-hot targets; simulate(model, t).window().")
    if not all(kW[A] * kH[A] > kW[B] * kH[B] > 0 for A in main for B in strata if B not in main):
        raise InputError(
            "window: with cross-entropy the brackets need kW kH larger on main effects than elsewhere, and positive."
        )
    if lam_W * lam_H >= model.scale**2 * model.replication:
        raise InputError(f"window: ridge {model.ridge} leaves nothing to grow; lower it.")
    shifted = (lam_W, lam_H) != (0, 0)
    if shifted and (not is_balanced(model, start) or any(kW[A] * lam_W != kH[A] * lam_H for A in strata)):
        raise InputError(
            "window: with cross-entropy and ridge the brackets need kW lam_W = kH lam_H and a balanced start "
            f"w(0)^2/kW = h(0)^2/kH on all strata, and {_text(start)} is none; simulate(model, t).window() has it."
        )


def _curve(expression: sp.Expr) -> Curve:
    return sp.lambdify([TIME], rounded_constants(expression), "mpmath", cse=True)


def _scan(ends: set[float]) -> list[float]:
    return sorted({end * i / SCAN for end in ends for i in range(SCAN + 1)})


def _text(start: Start) -> str:
    return f"w(0) = {float(start[0]):g}, h(0) = {float(start[1]):g}"
