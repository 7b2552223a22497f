"""Options of a training run, each checked by itself: the value as it will be used, or one sentence that mends it."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from ..theory.errors import InputError, nearest


def one_of(argument: str, value: Any, allowed: Collection[str]) -> str:
    """A name from a list."""
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{argument}: {value!r} is unknown{nearest(value, allowed)}; use {', '.join(allowed)}.")
    return value


def whole(argument: str, value: Any, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        raise InputError(f"{argument}: {value!r}; give a whole number from {least} to {most}.")
    return int(value)


def number(argument: str, value: Any, zero: bool = False, below: float = math.inf) -> float:
    """A finite number above 0, or at least 0, and below a bound."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.number))
        or not (math.isfinite(value) and (value > 0 or zero and value == 0) and value < below)
    ):
        bound = "" if below == math.inf else f" and < {below:g}"
        raise InputError(f"{argument}: {value!r}; give a finite number {'>=' if zero else '>'} 0{bound}.")
    return float(value)


def flag(argument: str, value: Any) -> bool:
    """True or False, not what merely counts as one."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{argument}: {value!r}; give True or False.")
    return bool(value)


def unused(argument: str, value: Any, owner: str, instead: str) -> None:
    """Refuse an option that would have no effect."""
    if value is not None:
        raise InputError(f"{argument}: {value!r}, but {owner} has no {argument}; leave it out, or use {instead}.")
