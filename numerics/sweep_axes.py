"""The dimensions of a sweep: lists and ranges of a grid, and the points of a random design.

Random designs are drawn in the unit cube, u in [0, 1), by SciPy's generators, and mapped to each parameter's range

    linear   from + u (to - from)               log   from (to / from)^u
    whole    the same with `to` + 1, rounded down, so that each whole number of the range has its part of the cube
    list     the value at place floor(u n)
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from ..theory.errors import InputError, nearest

WHOLE = ("width", "seed")
METHODS = ("latin_hypercube", "sobol", "uniform")
MOST = 10**7  # values of one dimension
RANGE_KEYS = ("from", "to", "count", "scale")
RANDOM_KEYS = ("method", "count", "seed", "values")
EXAMPLE = 'for example { from = 1e-4, to = 1e-2, count = 9, scale = "log" }'


@dataclass(frozen=True)
class Axis:
    """One dimension.

    Attributes
    ----------
    name : of the dimension: the key that varies along it, or `sample`
    columns : key -> its values along the dimension; one key for a grid's dimension, any number for `sample`
    """

    name: str
    columns: dict[str, tuple]

    @cached_property
    def length(self) -> int:
        """How many values it has."""
        return len(next(iter(self.columns.values())))


def grid_axis(key: str, spec: Any) -> Axis:
    """The dimension that a key of [sweep.grid] describes: a list, or a range with a count.

    Examples
    --------
    >>> grid_axis("width", {"from": 4, "to": 64, "count": 3, "scale": "log"})
    Axis(name='width', columns={'width': (4, 16, 64)})
    """
    if isinstance(spec, Mapping):
        low, high, log = _range(key, spec, RANGE_KEYS)
        count = _count(spec.get("count"), f"{key}: count")
        points = np.geomspace(low, high, count) if log else np.linspace(low, high, count)
        values = [round(x) for x in points.tolist()] if _whole(key) else points.tolist()
    elif isinstance(spec, list) and spec:
        values = [_value(key, value) for value in spec]
    else:
        raise InputError(f"{key}: {spec!r} is no list of values and no range; write {EXAMPLE}.")
    if len({repr(value) for value in values}) < len(values):
        raise InputError(f"{key}: a value is there twice; give each once.")
    if len(values) > MOST:
        raise InputError(f"{key}: {len(values)} values; a dimension has at most {MOST}.")
    return Axis(key, {key: tuple(values)})


def random_axis(table: Mapping[str, Any]) -> Axis:
    """The dimension `sample` of a [sweep.random] table.

    Examples
    --------
    >>> table = {"method": "sobol", "count": 4, "seed": 1, "values": {"width": {"from": 1, "to": 4}}}
    >>> sorted(random_axis(table).columns["width"])
    [1, 2, 3, 4]
    """
    unknown = [key for key in table if key not in RANDOM_KEYS]
    if unknown:
        raise InputError(f"config: [sweep.random] has no key {unknown[0]!r}{nearest(unknown[0], RANDOM_KEYS)}; its keys are {', '.join(RANDOM_KEYS)}.")
    values = table["values"]
    if not values:
        raise InputError("config: [sweep.random.values] is empty; name what varies, and over which range.")
    count = _count(table.get("count"), "random: count")
    seed = table.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"random: seed {seed!r} is no whole number of at least 0.")
    cube = _points(table.get("method", METHODS[0]), len(values), count, seed)
    return Axis("sample", {key: _column(key, spec, u) for (key, spec), u in zip(values.items(), cube.T, strict=True)})


def _points(method: Any, dimension: int, count: int, seed: int) -> np.ndarray:
    """Points (count, dimension) of the unit cube; the same for the same arguments."""
    from scipy.stats import qmc

    random = np.random.default_rng(seed)
    if method == "uniform":
        return random.random((count, dimension))
    if method == "latin_hypercube":
        return qmc.LatinHypercube(dimension, seed=random).random(count)
    if method == "sobol":
        if dimension > qmc.Sobol.MAXDIM:
            raise InputError(f"random: Sobol points have at most {qmc.Sobol.MAXDIM} dimensions, not {dimension}.")
        with warnings.catch_warnings():
            # SciPy warns of counts that are no power of two, where points are a little less even.
            warnings.simplefilter("ignore", UserWarning)
            return qmc.Sobol(dimension, seed=random).random(count)
    raise InputError(f"random: method {method!r} is unknown{nearest(method, METHODS)}; choose one of {', '.join(METHODS)}.")


def _column(key: str, spec: Any, u: np.ndarray) -> tuple:
    if isinstance(spec, Mapping):
        low, high, log = _range(key, spec, ("from", "to", "scale"))
        end = high + 1 if _whole(key) else high
        points = low * (end / low) ** u if log else low + u * (end - low)
        if _whole(key):
            return tuple(min(math.floor(x), int(high)) for x in points.tolist())
        return tuple(points.tolist())
    if isinstance(spec, list) and spec:
        choices = [_value(key, value) for value in spec]
        return tuple(choices[min(int(x * len(choices)), len(choices) - 1)] for x in u)
    raise InputError(
        f'{key}: {spec!r} is no range and no list; write for example {{ from = 1e-4, to = 1e-2, scale = "log" }}.'
    )


def _range(key: str, spec: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[float, float, bool]:
    unknown = [name for name in spec if name not in keys]
    if unknown or "from" not in spec or "to" not in spec:
        what = f"has no key {unknown[0]!r}" if unknown else "needs from and to"
        raise InputError(f"{key}: the range {what}; its keys are {', '.join(keys)}.")
    ends = [spec["from"], spec["to"]]
    for end in ends:
        if isinstance(end, bool) or not isinstance(end, (int, float)) or not math.isfinite(end):
            raise InputError(f"{key}: {end!r} is no finite number; write {EXAMPLE}.")
        if _whole(key) and end != int(end):
            raise InputError(f"{key}: {end!r} is no whole number; give whole ends.")
    if (scale := spec.get("scale", "linear")) not in ("linear", "log"):
        raise InputError(f"{key}: scale {scale!r} is unknown; choose linear or log.")
    if not ends[0] < ends[1] or (scale == "log" and ends[0] <= 0):
        least = ", both above 0" if scale == "log" else ""
        raise InputError(f"{key}: from {ends[0]} to {ends[1]} is no range; from must be below to{least}.")
    return float(ends[0]), float(ends[1]), scale == "log"


def _count(count: Any, what: str) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise InputError(f"{what} {count!r} is no whole number from 1 to {MOST}.")
    return count


def _whole(key: str) -> bool:
    return any(name.strip() in WHOLE for name in key.split(","))


def _value(key: str, value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{key}: {value} is not finite; give finite numbers.")
    if _whole(key) and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63):
        raise InputError(f"{key}: {value!r} is no whole number from 0 to 2^63 - 1.")
    return value


def plain(value: Any) -> Any:
    """A value as JSON has it: tables, lists, text, numbers; exact numbers as text.

    Examples
    --------
    >>> plain({"ridge": (sp.Rational(1, 3), np.float64(0.5)), "seed": np.arange(2)})
    {'ridge': ['1/3', 0.5], 'seed': [0, 1]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, range)):
        return [plain(part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, sp.Basic):
        return str(value)
    raise InputError(f"config: {value!r} is no number, text, list or table; give one of them.")
