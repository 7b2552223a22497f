"""The mode equations in ball arithmetic: programs for FLINT's `arb` and `arb_series`, from the SymPy derivation.

A ball is a midpoint with a radius; every operation encloses all that it can give on members of its balls, rounding
included.  The same program runs on balls and on power series of balls.  Its constants stay exact expressions and are
enclosed anew at each precision.  F. Johansson, Arb, IEEE Trans. Comput. 2017.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import flint
import sympy as sp

from ..theory.errors import InputError
from ..theory.exact import rational
from ..theory.flow import ModeFlow
from ..theory.partition import LogPartition

# Ball, series of balls, or small integer: python-flint has no common type for them.
Ball = Any


@contextmanager
def precision(bits: int, length: int = 1) -> Iterator[None]:
    """Work at `bits` bits with power series of `length` terms; what was set before comes back after."""
    context = flint.ctx
    before = context.prec, context.cap
    context.prec, context.cap = bits, length
    try:
        yield
    finally:
        context.prec, context.cap = before


def exact_number(value: Any, argument: str) -> sp.Expr:
    """The number that a value is: a float is its binary fraction, text is the decimal that it writes.

    Examples
    --------
    >>> exact_number(0.25, "init"), exact_number("0.1", "init"), exact_number(sp.sqrt(2), "init")
    (1/4, 1/10, sqrt(2))
    >>> exact_number(0.1, "init") == sp.Rational(1, 10)
    False
    """
    try:
        if isinstance(value, sp.Expr):
            number = value
        elif isinstance(value, str):
            number = rational(value)
        elif isinstance(value, (int, Fraction)):
            number = sp.Rational(value)
        else:
            # By way of Fraction, which refuses NaN and infinity; SymPy makes zeros of them.
            number = sp.Rational(Fraction(float(value)))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise InputError(f"{argument}: {value!r} is no finite number; give for example 1e-3 or '1/1000'.") from None
    if not (number.is_number and number.is_finite and number.is_real):
        raise InputError(f"{argument}: {value!r} is no finite real number; give for example 1e-3 or '1/1000'.")
    return sp.Rational(number) if number.is_Float else number


class Program:
    """Straight-line code for expressions of a flow's state, run on balls or on series of balls.

    Parameters
    ----------
    state : symbols, in the order in which their values are given to the program
    outputs : expressions in the state and the definitions
    definitions : named quantities, as in `ModeFlow.definitions`

    Examples
    --------
    >>> x, y = sp.symbols("x y")
    >>> with precision(64):
    ...     third, = Program([x], [y - x], [(y, 4 * x / 3)])(flint.arb(1))
    ...     third.contains(flint.fmpq(1, 3)), third.contains(flint.fmpq(33, 100))
    (True, False)
    """

    def __init__(
        self,
        state: Sequence[sp.Symbol],
        outputs: Sequence[sp.Expr],
        definitions: Sequence[tuple[sp.Symbol, sp.Expr]] = (),
    ) -> None:
        self._meaning = dict(definitions)
        self._places: dict[sp.Expr, int] = {x: i for i, x in enumerate(state)}
        self._lines: list[tuple[int, Callable[..., Ball], tuple[int, ...]]] = []
        self._constants: dict[int, sp.Expr] = {}
        self._enclosed: tuple[int, dict[int, Ball]] = (0, {})
        self._size = len(self._places)
        self._outputs = [self._place(sp.sympify(expression)) for expression in outputs]

    def __call__(self, *state: Ball) -> list[Ball]:
        """Enclosures of the outputs."""
        values: list[Ball] = [*state, *([None] * (self._size - len(state)))]
        for place, constant in self._constants_now().items():
            values[place] = constant
        for place, operation, arguments in self._lines:
            values[place] = operation(*[values[i] for i in arguments])
        return [values[place] for place in self._outputs]

    def _constants_now(self) -> dict[int, Ball]:
        bits = flint.ctx.prec
        if self._enclosed[0] != bits:
            self._enclosed = bits, {place: constant(x) for place, x in self._constants.items()}
        return self._enclosed[1]

    def _place(self, x: sp.Expr) -> int:
        """Where the value of an expression is kept; its code is written on first sight."""
        if x not in self._places:
            if x in self._meaning:
                self._places[x] = self._place(self._meaning[x])
            elif x.is_number:
                self._constants[self._size] = x
                self._places[x] = self._next()
            else:
                operation, parts = _operation(x)
                arguments = tuple(self._place(part) for part in parts)
                self._places[x] = self._next()
                self._lines.append((self._places[x], operation, arguments))
        return self._places[x]

    def _next(self) -> int:
        self._size += 1
        return self._size - 1


def rates_program(flow: ModeFlow) -> Program:
    """The time derivatives of the state."""
    return Program(flow.state, [flow.rates[x] for x in flow.state], flow.definitions)


def constant(x: sp.Expr) -> Ball:
    """An enclosure of an exact number at the precision now set.

    Examples
    --------
    >>> with precision(64):
    ...     constant(sp.sqrt(2) / 3).contains(flint.fmpq(4714, 10000))
    False
    """
    if x.is_Rational:
        return flint.arb(flint.fmpq(int(x.p), int(x.q)))
    if x is sp.S.Exp1:
        return flint.arb(1).exp()
    if x is sp.S.Pi:
        return flint.arb.pi()
    operation, parts = _operation(x)
    return operation(*(constant(part) for part in parts))


def _operation(x: sp.Expr) -> tuple[Callable[..., Ball], tuple[sp.Expr, ...]]:
    """What computes the head of an expression, and its arguments."""
    if x.is_Add:
        return _sum, x.args
    if x.is_Mul:
        return _product, x.args
    if x.is_Pow and (2 * x.exp).is_Integer:
        twice = int(2 * x.exp)
        return (lambda base: _half_power(base, twice)), (x.base,)
    if isinstance(x, sp.exp):
        return (lambda y: y.exp()), x.args
    if isinstance(x, sp.log):
        return (lambda y: y.log()), x.args
    if isinstance(x, LogPartition):
        return _log_partition, x.args
    raise InputError(f"certify: no ball arithmetic is known for {type(x).__name__} in {x}; give rational numbers.")


def _sum(*parts: Ball) -> Ball:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _product(*parts: Ball) -> Ball:
    return math.prod(parts[1:], start=parts[0])


def _half_power(base: Ball, twice: int) -> Ball:
    """base^(twice / 2)."""
    root = base.sqrt() if twice % 2 else base
    count = abs(twice) if twice % 2 else abs(twice) // 2
    power = math.prod([root] * (count - 1), start=root)
    return power if twice > 0 else 1 / power


def _log_partition(*arguments: Ball) -> Ball:
    """log(1 + sum_i v_i exp(-M_i)); margins of either sign, since a ball's exponent has no bound."""
    n = len(arguments) // 2
    return _sum(*(v * (-M).exp() for M, v in zip(arguments[:n], arguments[n:], strict=True)), 1).log()


def as_fraction(ball: Ball) -> sp.Rational:
    """The exact value of a ball without radius."""
    mantissa, exponent = ball.man_exp()
    return sp.Integer(int(mantissa)) * sp.Integer(2) ** int(exponent)


def outward(ball: Ball) -> tuple[float, float]:
    """The nearest floats that enclose a ball.

    Examples
    --------
    >>> with precision(100):
    ...     low, high = outward(constant(sp.Rational(1, 3)))
    >>> sp.Rational(low) < sp.Rational(1, 3) < sp.Rational(high), high - low < 6e-17
    (True, True)
    """
    arb = flint.arb
    below, above = ball.lower(), ball.upper()
    low, high = float(below), float(above)
    if not arb(low) <= below:
        low = math.nextafter(low, -math.inf)
    if not arb(high) >= above:
        high = math.nextafter(high, math.inf)
    return low, high
