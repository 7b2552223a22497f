"""Statements on a certified trajectory, decided from its bounds: proved, disproved, or refused as undecided."""

from fractions import Fraction
from typing import Any

import xarray as xr

from ..theory.errors import InputError
from ..theory.exact import exact


def decide(data: xr.Dataset, quantity: str, at: float, stratum: str | None, above: Any, below: Any) -> bool:
    """Whether `above < quantity < below` holds for the exact solution; see `Trajectory.certify`."""
    if not data.attrs.get("certified"):
        raise InputError("certify: this trajectory has no proven bounds; simulate with certify=True.")
    names = [name.removesuffix("_low") for name in map(str, data.data_vars) if name.endswith("_low")]
    if quantity not in names:
        raise InputError(f"quantity: {quantity!r} has no bounds; choose one of {', '.join(names)}.")
    if above is None and below is None:
        raise InputError("above, below: both are missing; give one of them, or both.")
    bounds = [_value(data[quantity + suffix], quantity, at, stratum) for suffix in ("_low", "_high")]
    low, high = (Fraction(bound) for bound in bounds)
    over = None if above is None else _fraction(above, "above")
    under = None if below is None else _fraction(below, "below")
    if (over is not None and high <= over) or (under is not None and low >= under):
        return False
    if (over is None or low > over) and (under is None or high < under):
        return True
    raise InputError(f"{quantity}: it lies in [{bounds[0]!r}, {bounds[1]!r}], which decides nothing; ask more loosely.")


def _value(bounds: xr.DataArray, quantity: str, at: float, stratum: str | None) -> float:
    if ("stratum" in bounds.dims) != (stratum is not None):
        needed = "has one value a stratum; name one" if stratum is None else "belongs to no stratum; leave it out"
        raise InputError(f"stratum: {quantity} {needed}.")
    if at not in bounds["time"].values:
        raise InputError(f"at: {at} is no recorded time; simulate with it among the output times.")
    if stratum is None:
        return float(bounds.sel(time=at))
    if stratum not in bounds["stratum"].values:
        known = ", ".join(map(str, bounds["stratum"].values))
        raise InputError(f"stratum: {stratum!r} is unknown; the strata are {known}.")
    return float(bounds.sel(time=at, stratum=stratum))


def _fraction(value: Any, argument: str) -> Fraction:
    number = exact(value, argument)
    if not number.is_Rational:
        raise InputError(f"{argument}: {value} is not rational; give a decimal or a fraction.")
    return Fraction(int(number.p), int(number.q))
