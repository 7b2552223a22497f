"""The border from floats to exact symbols: a number becomes the rational that its decimal digits write."""

import math
import re
import sys
from collections.abc import Mapping
from typing import Any

import sympy as sp

from .errors import InputError

MOST_DIGITS = 1000
SMALLEST, LARGEST = (sp.Rational(x) for x in (sys.float_info.min, sys.float_info.max))


def exact(value: Any, argument: str) -> sp.Expr:
    """A SymPy number or expression for `value`: 0.1 becomes 1/10, never the nearest binary fraction.

    Raises
    ------
    InputError
        Naming `argument`, for NaN, infinity, and what is no real number or SymPy expression.

    Examples
    --------
    >>> exact(0.1, "ridge"), exact("2/3", "ridge")
    (1/10, 2/3)
    """
    if isinstance(value, str):
        try:
            number = rational(value)
        except (TypeError, ValueError, ZeroDivisionError):
            shown = value if len(value) <= 40 else value[:37] + "..."
            raise InputError(f"{argument}: {shown!r} is no number; write for example 0.1 or 1/10.") from None
        return _in_range(number, value, argument)
    if isinstance(value, sp.Expr):
        if value.has(sp.nan, sp.zoo, sp.oo) or value.is_real is False:
            raise InputError(f"{argument}: {value} is not a finite real number.")
        return sp.Rational(str(value)) if value.is_Float else value
    if isinstance(value, int):
        return _in_range(sp.Integer(value), value, argument)
    try:
        binary = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{argument}: {value!r} is no real number or SymPy expression.") from None
    if not math.isfinite(binary):
        raise InputError(f"{argument}: {binary} is not finite; give a finite number.")
    return sp.Rational(repr(binary))


def rational(text: str) -> sp.Rational:
    """The rational that a text writes, as `1/3` or `1e-3`.

    Raises
    ------
    ValueError, TypeError, ZeroDivisionError
        For other texts, and for exponents and lengths that would take minutes and gigabytes to write out.
    """
    if len(text) > MOST_DIGITS or any(len(power) > 3 for power in re.findall(r"[eE][+-]?0*([\d_]+)", text)):
        raise ValueError("it has more digits than any number of a model")
    return sp.Rational(text)


def _in_range(number: sp.Rational, value: Any, argument: str) -> sp.Rational:
    """What floating-point numbers can hold, since all that is computed with a model's numbers becomes one."""
    if number != 0 and not SMALLEST <= abs(number) <= LARGEST:
        shown = value if len(str(value)) <= 40 else f"{str(value)[:37]}..."
        raise InputError(f"{argument}: {shown} is beyond what floating-point numbers hold; give one in [1e-307, 1e308].")
    return number


def nonnegative(value: Any, argument: str) -> sp.Expr:
    """`exact`, refusing what is known to be negative."""
    number = exact(value, argument)
    if number.is_negative:
        raise InputError(f"{argument}: {value} is negative; it must be at least 0.")
    return number


def rounded_constants(expression: sp.Expr) -> sp.Expr:
    """The expression with its irrational constants as 30-digit floats, before code is generated from it.

    NumPy knows no root or logarithm of an integer beyond 64 bits, and differences of constants keep digits to spare.

    Examples
    --------
    >>> rounded_constants(sp.Symbol("x") ** 2 * sp.sqrt(10**40 + 1) / 3)
    33333333333333333333.3333333333*x**2
    """

    def irrational(part: sp.Expr) -> bool:
        return part.is_number and (part.is_Pow or part.is_Function)

    return expression.replace(irrational, lambda part: part.evalf(30))


def per_name(values: Any, names: tuple[str, ...], argument: str, mean: Any) -> dict[str, sp.Expr]:
    """One exact number for each stratum from a mapping, or the same from one number; the mean may be left out."""
    if not isinstance(values, Mapping):
        return {name: exact(values, argument) for name in names}
    unknown = [name for name in values if name not in names]
    if unknown:
        raise InputError(f"{argument}: stratum {unknown[0]!r} is unknown; the strata are {', '.join(names)}.")
    missing = [name for name in names if name not in values and name != "1"]
    if missing:
        raise InputError(f"{argument}: stratum {missing[0]!r} has no value; give one number for each stratum.")
    return {name: exact(values.get(name, mean), f"{argument}[{name}]") for name in names}
