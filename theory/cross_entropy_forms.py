"""Closed forms of cross-entropy where all strata of the labels but the mean move alike: along the ETF ray.

One-hot labels, V of them with r contexts each.  When every stratum but the mean has the same z, all margins are
M = z / sqrt(r), and every stratum feels the same g = scale sqrt(r) V / (e^M + V - 1).  That stays so

- free, no ridge, from a balanced start (w^2/kW = h^2/kH) with the same z on all of them, when kW kH = k^2 is the same
  on all: dz/dt = 2 k g z, hence the implicit form

      2 k scale sqrt(r) V t = Ei(M) - Ei(M0) + (V - 1) ln(M / M0);

- with one factor held at a value u (h on the sphere, h = sqrt(d m / (V - 1)) when `normalized`, either factor when its
  own kernel vanishes) and one kernel K of the factor that moves: dz/dt = K u^2 g, hence the explicit form

      e^M + (V - 1) M = X,   X = e^M0 + (V - 1) M0 + K u^2 scale V t,   M = X/(V-1) - W0(e^(X/(V-1)) / (V-1)).

A structure whose label has one factor is the case of one stratum.  A start off balance leads to the integral of
e^M / sqrt(C^2 + 4 z^2), soft targets on free factors to one of e^M / (M (A - q e^M)), ridge to one more term in the
denominator: none of these has a primitive among the functions used here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp

from .closed_forms import Z0
from .errors import InputError
from .flow import TIME, WIDTH
from .model import UFM
from .ray_times import check_label_count, free_elapsed, free_margin, held_elapsed, held_margin
from .starts import check_balance, check_times, holds, positive_start, start_pair

Z, HELD = sp.symbols("z u0", positive=True)


@dataclass(frozen=True)
class FreeRay:
    """z(t) of each stratum on the ETF ray with both factors free, given implicitly by t(z).

    Attributes
    ----------
    stratum : str
    time : Expr in `z` and `z0`: the time at which z is reached from z0
    rate : Expr, 2 k scale sqrt(r) V
    hypotheses : what the form rests on
    kernels : (kW, kH) of the stratum
    """

    stratum: str
    time: sp.Expr
    rate: sp.Expr
    hypotheses: tuple[str, ...]
    kernels: tuple[sp.Expr, sp.Expr]
    labels: sp.Expr
    root: sp.Expr

    @property
    def expression(self) -> sp.Eq:
        """t = t(z): the relation that gives z(t) implicitly."""
        return sp.Eq(TIME, self.time, evaluate=False)

    def __call__(self, t: Any, init: Any = 1e-3) -> Any:
        """z at times t (array; learning rate x steps), from w(0) = h(0) = init, or init = (w(0), h(0)).

        Raises
        ------
        InputError
            For a start that is not positive or not balanced, times below 0, or free symbols.
        """
        rate, V, root = self._numbers()
        return (root * free_margin(rate, _times(t), self._start(init) / root, V))[()]

    def time_of(self, z: Any, init: Any = 1e-3) -> Any:
        """When z is reached (array; learning rate x steps): negative when the start lies beyond it."""
        rate, V, root = self._numbers()
        if not holds(np.asarray(z) > 0):
            raise InputError(f"z: {z} is not positive; z grows from above 0, so ask for a positive level.")
        return (free_elapsed(z, self._start(init), root, V) / rate)[()]

    def _numbers(self) -> tuple[float, float, float]:
        rate, V, root = numbers(self.rate, self.labels, self.root)
        return rate, check_label_count(V), root

    def _start(self, init: Any) -> Any:
        w0, h0 = positive_start(init)
        kW, kH = numbers(*self.kernels)
        check_balance(w0, h0, kW, kH, "the closed form of cross-entropy")
        return np.asarray(w0 * h0)


@dataclass(frozen=True)
class HeldRay:
    """z(t) of each stratum on the ETF ray with one factor held, explicit by Lambert's W.

    Attributes
    ----------
    stratum : str
    expression : Expr in `t`, `z0` and the held factor `u0` (or its value, when `normalized`)
    time : Expr in `z` and the same: its inverse
    rate : Expr, K u^2 scale V
    hypotheses : what the form rests on
    moving : "w" or "h", the factor that moves
    """

    stratum: str
    expression: sp.Expr
    time: sp.Expr
    rate: sp.Expr
    hypotheses: tuple[str, ...]
    moving: str
    held: sp.Expr
    labels: sp.Expr
    root: sp.Expr

    def __call__(self, t: Any, init: Any = 1e-3) -> Any:
        """z at times t (array; learning rate x steps), from w(0) = h(0) = init, or init = (w(0), h(0)).

        Where `normalized`, h is given by the width, and the second number has no effect.

        Raises
        ------
        InputError
            For a held factor that is not positive, a moving one below 0, times below 0, or free symbols.
        """
        rate, z0, V, root = self._numbers(init)
        return (root * held_margin(rate, _times(t), z0 / root, V))[()]

    def time_of(self, z: Any, init: Any = 1e-3) -> Any:
        """When z is reached (array; learning rate x steps): negative when the start lies beyond it."""
        rate, z0, V, root = self._numbers(init)
        if not holds(np.asarray(z) >= 0):
            raise InputError(f"z: {z} is below 0, where z does not go; ask for a level of at least 0.")
        return (held_elapsed(z, z0, root, V) / rate)[()]

    def _numbers(self, init: Any) -> tuple[Any, Any, float, float]:
        pair = start_pair(init)
        moving, held = pair if self.moving == "w" else pair[::-1]
        speed, fixed, V, root = numbers(self.rate.subs(HELD, 1), self.held.subs(HELD, 1), self.labels, self.root)
        held = held if self.held == HELD else fixed
        if not (holds(held > 0) and holds(moving >= 0) and holds(moving * held < np.inf)):
            raise InputError(
                f"init: {init} is no start; give the pair (w(0), h(0)) with {self.moving}(0) >= 0 and the other, "
                "which is held, above 0."
            )
        speed = speed * held**2 if self.held == HELD else speed
        return speed, np.asarray(moving * held), check_label_count(V), root


def cross_entropy_closed_form(model: UFM, stratum: str) -> FreeRay | HeldRay:
    """The solution of one stratum of the labels under cross-entropy, where all of them move alike.

    Raises
    ------
    InputError
        Where no closed form is known, saying which hypothesis fails.
    """
    if stratum == "1":
        raise InputError("closed_form: cross-entropy does not act on the mean; choose another stratum.")
    obstacle = _obstacle(model)
    if obstacle:
        raise InputError(f"closed_form: none is known for cross-entropy when {obstacle}.")
    held = _held(model)
    kW, kH = model.label_kernel[stratum], model.feature_kernel[stratum]
    V, root = model.label_count, sp.sqrt(model.replication)
    base = ("cross-entropy", "one-hot", "no ridge on a factor that moves", "the same z(0) on all label strata")
    if held is None:
        k = sp.sqrt(kW * kH)
        rate = 2 * k * model.scale * root * V
        time = (sp.Ei(Z / root) - sp.Ei(Z0 / root) + (V - 1) * sp.log(Z / Z0)) / rate
        free = ("free", "kW kH the same on all label strata", "balanced positive start: w^2/kW = h^2/kH")
        return FreeRay(stratum, time, rate, (*base, *free), (kW, kH), V, root)
    moving, value, why = held
    rate = (kW if moving == "w" else kH) * value**2 * model.scale * V
    X = ray_level(Z0 / root, V) + rate * TIME
    time = (ray_level(Z / root, V) - ray_level(Z0 / root, V)) / rate
    hypotheses = (*base, why, f"the kernel of {moving}, {moving}(0) and the held factor the same on all label strata")
    return HeldRay(stratum, root * lambert_margin(X, V), time, rate, hypotheses, moving, value, V, root)


def ray_level(M: sp.Expr, V: sp.Expr) -> sp.Expr:
    """e^M + (V - 1) M, which grows at a constant rate when one factor is held."""
    return sp.exp(M) + (V - 1) * M


def lambert_margin(X: sp.Expr, V: sp.Expr) -> sp.Expr:
    """The root M of e^M + (V - 1) M = X."""
    return X / (V - 1) - sp.LambertW(sp.exp(X / (V - 1)) / (V - 1))


def moves_on_a_ray(model: UFM, stratum: str) -> bool:
    """Whether `cross_entropy_closed_form` has a form of the stratum."""
    return model.loss == "cross_entropy" and stratum in model.targets and stratum != "1" and not _obstacle(model)


@lru_cache(maxsize=16)  # asked for stratum by stratum
def _obstacle(model: UFM) -> str | None:
    """The first hypothesis that fails, in words; None when all hold."""
    strata = [A for A in model.targets if A != "1"]
    kW, kH = ([kernel[A] for A in strata] for kernel in (model.label_kernel, model.feature_kernel))
    held = _held(model)
    moving = {"w": (0,), "h": (1,)}[held[0]] if held else (0, 1)
    if not _alike([sp.S(1), *(model.targets[A] for A in strata)]):
        return "targets are not one-hot"
    if any(model.ridge[i] != 0 for i in moving):
        return f"the ridge {model.ridge} acts on a factor that moves"
    if held:
        name, kernel = ("label_kernel", kW) if held[0] == "w" else ("feature_kernel", kH)
        if not _alike(kernel):
            return f"{name} differs between the strata of the labels, which then do not move alike"
        return "the kernel of the only factor that moves vanishes" if kernel[0] == 0 else None
    products = [a * b for a, b in zip(kW, kH, strict=True)]
    if not _alike(products):
        return "kW kH differs between the strata of the labels, which then do not move alike"
    return "a kernel vanishes on some strata alone" if products[0] == 0 else None


def _held(model: UFM) -> tuple[str, sp.Expr, str] | None:
    """(the factor that moves, the value of the held one, the hypothesis that holds it), or None when both move."""
    strata = [A for A in model.targets if A != "1"]
    aside = "the mean and the strata that the label drops have h(0) = 0"
    if model.constraint == "sphere":
        return "w", HELD, f"sphere; {aside}"
    if model.constraint == "normalized":
        d = WIDTH if model.width is None else model.width
        return "w", sp.sqrt(d * model.contexts / (model.label_count - 1)), f"normalized; {aside}"
    if all(model.feature_kernel[A] == 0 for A in strata):
        return "w", HELD, "free; kH vanishes, so that h is held"
    if all(model.label_kernel[A] == 0 for A in strata):
        return "h", HELD, "free; kW vanishes, so that w is held"
    return None


def _alike(values: Iterable[sp.Expr]) -> bool:
    first, *others = values
    return all(sp.expand(value - first) == 0 for value in others)


def numbers(*expressions: sp.Expr) -> tuple[float, ...]:
    """Floats of expressions without symbols."""
    free = set().union(*(expression.free_symbols for expression in expressions))
    if free:
        raise InputError(f"closed_form: {min(map(str, free))} has no number; give the model numbers.")
    return tuple(float(expression) for expression in expressions)


def _times(t: Any) -> np.ndarray:
    times = np.asarray(check_times(t), dtype=float)
    if not np.isfinite(times).all():
        raise InputError(f"t: {t} is not finite; z grows without bound, so give finite times.")
    return times
