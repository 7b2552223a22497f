"""Starts and times that a closed form is evaluated at: checked before any number is made of them."""

from typing import Any

import numpy as np

from .errors import InputError

SMALLEST = 2.2250738585072014e-308  # below, floating-point numbers lose digits


def start_pair(init: Any) -> tuple[Any, Any]:
    """(w(0), h(0)) from a pair, or from one number for both."""
    if not isinstance(init, (tuple, list)):
        return init, init
    if len(init) != 2:
        raise InputError(f"init: {len(init)} numbers; give one for w(0) = h(0), or the pair (w(0), h(0)).")
    return init[0], init[1]


def positive_start(init: Any) -> tuple[Any, Any]:
    """`start_pair`, of positive numbers whose product w(0) h(0) a float can hold."""
    w0, h0 = start_pair(init)
    if not (holds(w0 > 0) and holds(h0 > 0)):
        raise InputError(f"init: {init} is not positive; give w(0) = h(0) > 0, or a pair of positive numbers.")
    z0 = w0 * h0
    if not (holds(z0 >= SMALLEST) and holds(z0 < float("inf"))):
        raise InputError(f"init: w(0) h(0) = {z0} is no normal floating-point number; start between 1e-153 and 1e153.")
    return w0, h0


def check_balance(w0: Any, h0: Any, kW: float, kH: float, reason: str) -> None:
    """Refuse a start whose w^2/kW and h^2/kH differ by more than rounding."""
    x, y = w0 / kW**0.5, h0 / kH**0.5
    if not holds(abs(x - y) <= 1e-9 * (x + y)):
        raise InputError(
            f"init: w(0)/sqrt(kW) = {x} but h(0)/sqrt(kH) = {y}; {reason} needs a balanced start, where they are equal."
        )


def check_times(t: Any) -> Any:
    """The times, each of them at least 0; arrays and numbers as they came."""
    t = np.asarray(t, dtype=float) if isinstance(t, (list, tuple)) else t
    if not holds(t >= 0):
        raise InputError(f"t: {t} holds a time below 0 or no number; closed forms start at time 0.")
    return t


def holds(condition: Any) -> bool:
    """Whether a condition on a number, or on every entry of an array, is true; false for NaN."""
    return bool(condition.all()) if hasattr(condition, "all") else bool(condition)
