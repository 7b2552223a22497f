"""Where a curve in time first and last is at half of its maximum: by a scan, then bisection in 30 digits.

The scan takes the times between which the curve has no more than one turn; the caller chooses them by the rates of the
strata.  A curve that is known between two others gives brackets, from what holds for every curve between the two.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mpmath

DIGITS = 30
HALVINGS = 100  # of a bracket: past the digits of a float
GOLDEN = (mpmath.sqrt(5) - 1) / 2
LEAST = 0.01  # an index that never exceeds this has no window, as for a simulated trajectory

Curve = Callable[[Any], Any]
Bracket = tuple[float, float]


def half_maximum(curve: Curve, times: Sequence[float], limit: Any) -> tuple[Bracket, Bracket, Bracket, Bracket] | None:
    """Onset, peak, end and height of a curve on [0, oo) that tends to `limit`; None when it never exceeds 0.01.

    Examples
    --------
    >>> onset, peak, end, height = half_maximum(lambda t: t * mpmath.exp(1 - t), [0, 0.5, 1.5, 3, 50], 0)
    >>> [round(x[0], 8) for x in (onset, peak, end, height)]
    [0.23196095, 1.0, 2.67834699, 1.0]
    """
    with mpmath.workdps(DIGITS):
        values = [curve(mpmath.mpf(t)) for t in times]
        top = max(range(len(times)), key=values.__getitem__)
        if max(values[top], limit) <= LEAST:
            return None
        peak: tuple[Any, Any] = (mpmath.inf, mpmath.inf)
        height = limit
        if values[top] > limit:
            peak = _summit(curve, times[max(top - 1, 0)], times[min(top + 1, len(times) - 1)])
            height = max(curve(peak[0]), values[top])
        onset = crossing(lambda t: curve(t) - height / 2, times, values, height / 2)
        later: tuple[Any, Any] = (mpmath.inf, mpmath.inf)
        if limit < height / 2:
            later = crossing(lambda t: height / 2 - curve(t), times, values, height / 2, last=True)
        return _floats(onset), _floats(peak), _floats(later), _floats((height, height))


def between(low: Curve, high: Curve, times: Sequence[float]) -> tuple[Bracket, Bracket, Bracket, Bracket] | None:
    """Brackets for every curve that lies above `low`, below `high` and below 1; None when `low` never exceeds 0.01.

    Its maximum is at least that of `low`, and at most 1: it has no half of it before `high` reaches half the maximum of
    `low`, no peak before `high` reaches that maximum, and both are behind once `low` is at 1/2.
    """
    with mpmath.workdps(DIGITS):
        lower, upper = ([curve(mpmath.mpf(t)) for t in times] for curve in (low, high))
        most = max(lower)
        if most <= LEAST:
            return None
        half, one_half = most / 2, mpmath.mpf(1) / 2
        first = crossing(lambda t: high(t) - half, times, upper, half)[0]
        peak = crossing(lambda t: high(t) - most, times, upper, most)[0]
        onset_by, end_after = mpmath.inf, peak
        if most > one_half:
            onset_by = crossing(lambda t: low(t) - one_half, times, lower, one_half)[1]
            end_after = max(peak, crossing(lambda t: one_half - low(t), times, lower, one_half, last=True)[0])
        return (
            _floats((first, onset_by)),
            _floats((peak, mpmath.inf)),
            _floats((end_after, mpmath.inf)),
            _floats((most, 1)),
        )


def crossing(
    above: Curve, times: Sequence[float], values: Sequence[Any], level: Any, last: bool = False
) -> tuple[Any, Any]:
    """The first (last) change of `values` past `level` on the scan, closed in by bisection of the sign of `above`."""
    past = [i for i, value in enumerate(values) if value >= level]
    i = past[-1] + 1 if last else past[0]
    if i == 0 or i == len(times):
        at = mpmath.mpf(times[min(i, len(times) - 1)])
        return at, at
    left, right = mpmath.mpf(times[i - 1]), mpmath.mpf(times[i])
    for _ in range(HALVINGS):
        middle = (left + right) / 2
        left, right = (left, middle) if above(middle) >= 0 else (middle, right)
    return left, right


def _summit(curve: Curve, left: Any, right: Any) -> tuple[Any, Any]:
    """The maximum between two times by golden section: to half of the digits, since a maximum is flat."""
    left, right = mpmath.mpf(left), mpmath.mpf(right)
    for _ in range(HALVINGS):
        inner, outer = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
        left, right = (left, outer) if curve(inner) >= curve(outer) else (inner, right)
    return left, right


def _floats(pair: tuple[Any, Any]) -> Bracket:
    return float(pair[0]), float(pair[1])
