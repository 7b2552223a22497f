"""Steps that say where an exact solution of the mode equations is at a time, by validated integration."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar

import sympy as sp

from ...numerics.balls import as_fraction, precision
from ...numerics.certified import BY_STRATUM, QUANTITIES, Enclosed, certify
from ...numerics.integrate import IntegrationError
from ...numerics.simulate import start_on_strata
from ...theory.errors import InputError
from ...theory.model import UFM
from .verdict import Undecided, Verdict, holds, refuted


@dataclass(frozen=True)
class EnclosedTrajectory:
    """`low < quantity(time) < high` (None: no bound) on the solution of a model's reduced flow.

    The flow is the one that `derive` gives, `init` the exact start as `simulate` takes it, with rationals or text for
    numbers; time is learning rate x steps.

    Examples
    --------
    >>> model, init = UFM("a[2]", loss="mse", reduction="sum"), sp.Rational(1, 10)
    >>> low, high = sp.Rational(35, 100), sp.Rational(36, 100)  # z = 1/(1 + 99 e^(-4)) = 0.3555
    >>> EnclosedTrajectory("logistic", model, init, sp.S(2), "z", "a", low, high).decide().status
    'holds'
    >>> EnclosedTrajectory("too high", model, init, sp.S(2), "z", "a", high, None).decide().status
    'refuted'
    """

    says: str
    model: UFM
    init: Any
    time: sp.Rational
    quantity: str
    stratum: str | None
    low: sp.Rational | None
    high: sp.Rational | None
    kind: ClassVar[str] = "enclosed trajectory"

    def decide(self) -> Verdict:
        column = self._column()
        enclosed = _enclosed(self.model, _frozen(self.init), _fraction(self.time, "time"))
        with precision(enclosed.bits):
            ball = enclosed.balls[self.quantity][0][column]
            least, most = as_fraction(ball.lower()), as_fraction(ball.upper())
        shown = f"it lies within {float(most - least):.1g} of {float((least + most) / 2):.6g}"
        low, high = (None if x is None else sp.Rational(x) for x in (self.low, self.high))
        if (low is not None and most <= low) or (high is not None and least >= high):
            return refuted(shown)
        if (low is None or least > low) and (high is None or most < high):
            return holds(f"{shown}, by balls of {enclosed.bits} bits")
        raise Undecided(f"{shown}, which does not decide the bounds")

    def _column(self) -> int:
        names = self.model.attributes.names
        if self.quantity not in QUANTITIES or (self.low is None and self.high is None):
            raise Undecided(f"{self.quantity} between {self.low} and {self.high} is no statement that is decided here")
        if self.quantity not in BY_STRATUM and self.stratum is None:
            return 0
        if self.quantity not in BY_STRATUM or self.stratum not in names:
            raise Undecided(f"{self.quantity} has no value on {self.stratum}")
        return names.index(self.stratum)


@lru_cache(maxsize=64)
def _enclosed(model: UFM, init: Any, time: Fraction) -> Enclosed:
    start = {A: pair for A, *pair in init} if isinstance(init, tuple) else init
    try:
        return certify(model, [time], *start_on_strata(model, start, _exact))
    except (InputError, IntegrationError) as error:
        raise Undecided(str(error)) from None


def _frozen(init: Any) -> Any:
    """The start as something that can be a key: (stratum, w, h) for each stratum of a mapping."""
    if not isinstance(init, Mapping):
        return init
    pairs = ((A, value if isinstance(value, (tuple, list)) else (value, value)) for A, value in init.items())
    return tuple((A, *pair) for A, pair in pairs)


def _exact(value: Any, argument: str) -> sp.Expr:
    number = sp.sympify(value, rational=True)
    if not (isinstance(number, sp.Expr) and number.is_number and number.is_real and number.is_finite):
        raise Undecided(f"{argument} = {value} is no exact real number")
    return number


def _fraction(value: Any, argument: str) -> Fraction:
    number = _exact(value, argument)
    if not number.is_Rational or number < 0:
        raise Undecided(f"{argument} = {value} is no rational number of at least 0")
    return Fraction(int(number.p), int(number.q))
