"""Numbers at the edges of what floats hold: the answer is right, or refused in a sentence.

References are computed here with mpmath at 60 digits and more, by other routes than the package's: the Riccati equation
of squared error by the exponential of a 2 x 2 matrix, cross-entropy on the ETF ray by evaluating its implicit law on
both sides of the answer, limits by their fixed-point equations, forecasts by an exact symmetry of the model.
"""

import itertools
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache

import mpmath
import numpy as np
import sympy as sp

from ufmflow.numerics.integrate import IntegrationError
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM
from ufmflow.theory.system import derive

Case = tuple[str, dict, Callable[[], float | bool], float]  # what, numbers, the error of the answer, what it may be
LIMIT = 4.0  # seconds of the processor for one case
SEEN = 5e-12  # rtol below this is not seen beside what rounding adds up to, most after hundreds of e-foldings
LEAST = 1e-307  # numbers below are as good as 0
SIZES = (2, 3, 24, 10**3, 10**6, 10**9)
KERNELS = (1e-12, 1e-6, 1.0, 1e6, 1e12)
STARTS = (1e-300, 1e-160, 1e-100, 1e-12, 1e-3, 1.0, 1e3)
TIMES = (1e-12, 1e-6, 1e-3, 1.0, 1e3, 1e6, 1e9, 1e12)
CLOSED = 1e-11  # relative error that a closed form may have
DIGITS = 80


def working(*sizes: float) -> int:
    """Digits enough that nothing cancels beside numbers of such sizes."""
    return DIGITS + 2 * sum(int(abs(mpmath.log10(abs(x)))) for x in sizes if x)


def mse(V: int, kW: float, kH: float, w0: float, h0: float, t: float) -> mpmath.mpf:
    """z(t) of one stratum of a[V], one-hot, squared error, no ridge.

    x = w / sqrt(kW), y = h / sqrt(kH): q = min/max obeys q' = s (1 - q^2) - s C q, the quotient of the two components
    of a linear flow; z = C q / (1 - q^2).
    """
    with mpmath.workdps(working(kW, kH, w0, h0, t)):
        kW, kH, w0, h0, t = map(mpmath.mpf, (kW, kH, w0, h0, t))
        k = mpmath.sqrt(kW * kH)
        s = k / V
        x, y = w0 / mpmath.sqrt(kW), h0 / mpmath.sqrt(kH)
        big, small = max(x, y), min(x, y)
        z0, C = w0 * h0, k * (big**2 - small**2)
        if C == 0 or C < z0 * mpmath.mpf(10) ** -40:  # balanced: the logistic
            decay = mpmath.exp(-2 * s * t)
            return z0 / (decay + z0 * (1 - decay))
        # (u, v)' = [[-sC/2, s], [s, sC/2]] (u, v), q = u / v; eigenvalues +- r.
        half, r = s * C / 2, s * mpmath.sqrt(1 + C**2 / 4)
        E = mpmath.exp(-2 * r * t)
        cosh, sinh = 1 + E, (1 - E) / r  # both times e^(-r t) / 2
        u = small * (cosh - half * sinh) + big * s * sinh
        v = big * (cosh + half * sinh) + small * s * sinh
        return C * u * v / (v**2 - u**2)


def on_ray(V: int, kW: float, kH: float, x: float, t: float) -> Callable[[float], bool]:
    """Whether a number is z(t) of cross-entropy on a[V] from w = sqrt(kW) x, h = sqrt(kH) x, to so many digits."""

    def is_right(z: float, tolerance: float) -> bool:
        with mpmath.workdps(working(kW, kH, x, t, z)):
            k = mpmath.sqrt(mpmath.mpf(kW) * mpmath.mpf(kH))
            w0, h0 = mpmath.mpf(float(np.sqrt(kW) * x)), mpmath.mpf(float(np.sqrt(kH) * x))
            z0 = w0 * h0

            def law(value: mpmath.mpf) -> mpmath.mpf:
                return mpmath.ei(value) - mpmath.ei(z0) + (V - 1) * mpmath.log(value / z0)

            elapsed, z = 2 * k * mpmath.mpf(t), mpmath.mpf(z)
            if z < LEAST:
                return bool(law(mpmath.mpf(LEAST)) >= elapsed)
            return bool(law(z * (1 - tolerance)) <= elapsed <= law(z * (1 + tolerance)))

    return is_right


def error_of(found: float, exact: mpmath.mpf) -> float:
    """Relative error; numbers below the smallest float are as good as 0."""
    if abs(exact) < LEAST:
        return 0.0 if abs(found) <= LEAST else float("inf")
    if not np.isfinite(found):
        return float("inf")
    return float(abs(mpmath.mpf(float(found)) - exact) / abs(exact))


def over_tolerance(z: float, V: int, kW: float, kH: float, start: tuple, t: float, rtol: float) -> float:
    """The error in units of rtol, or of what a change of one part of the start by rtol makes of the exact answer.

    From a start far above where it ends a flow loses decades, and with them what it knew of w^2/kW - h^2/kH.
    """
    exact, small = mse(V, kW, kH, *start, t), max(rtol, SEEN)
    changed = error_of(float(mse(V, kW, kH, start[0] * (1 + small), start[1], t)), exact)
    return error_of(z, exact) / max(small, changed)


class Slow(Exception):
    """A case took longer than it may."""


def tried(what: str, case: dict, judge: Callable[[], float | bool], allowed: float) -> dict:
    """One case: right, refused, wrong, or slow."""

    def too_long(*_: object) -> None:
        raise Slow

    row: dict = {"what": what, "case": case}
    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    begun = time.process_time()
    try:
        with np.errstate(all="ignore"):
            error = judge()
    except (InputError, IntegrationError) as refusal:
        return row | {"result": "refused", "told": f"{type(refusal).__name__}: {refusal}"[:200]}
    except Slow:
        return row | {"result": "slow"}
    except Exception as other:
        return row | {"result": "wrong", "told": f"{type(other).__name__}: {other}"[:200]}
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    if isinstance(error, bool):
        return row | {"result": "right" if error else "wrong"}
    seconds = round(time.process_time() - begun, 2)
    return row | {"result": "right" if error <= allowed else "wrong", "error": error, "seconds": seconds}


@lru_cache(maxsize=4)
def form_of(V: int, kW: float, kH: float, loss: str) -> Callable:
    """The package's closed form of the one stratum."""
    return derive(UFM(f"a[{V}]", loss=loss, label_kernel=kW, feature_kernel=kH)).closed_form("a")


def closed_forms() -> Iterator[Case]:
    """z(t) in closed form, squared error and cross-entropy."""
    for V, kW, kH in itertools.product(SIZES, KERNELS, KERNELS):
        for w0, h0, t in itertools.product(STARTS, STARTS, TIMES):
            if hash((V, kW, kH, w0, h0, t)) % 29:  # 1 of 29; hashes of numbers are the same in every process
                continue
            case = {"V": V, "kW": kW, "kH": kH, "w": w0, "h": h0, "t": t}

            def judge(case: dict = case) -> float:
                form = form_of(case["V"], case["kW"], case["kH"], "mse")
                exact = mse(case["V"], case["kW"], case["kH"], case["w"], case["h"], case["t"])
                return error_of(float(form(case["t"], (case["w"], case["h"]))), exact)

            yield ("closed form, squared error", case, judge, CLOSED)
    for V, kW, kH in itertools.product(SIZES, KERNELS, KERNELS):
        for x, t in itertools.product(STARTS, TIMES):
            if hash((V, kW, kH, x, t)) % 5:
                continue
            case = {"V": V, "kW": kW, "kH": kH, "x": x, "t": t}

            def ray(case: dict = case) -> bool:
                form = form_of(case["V"], case["kW"], case["kH"], "cross_entropy")
                start = (float(np.sqrt(case["kW"]) * case["x"]), float(np.sqrt(case["kH"]) * case["x"]))
                z = float(form(case["t"], start))
                return on_ray(**case)(z, CLOSED)

            yield ("closed form, cross-entropy", case, ray, CLOSED)


def flows() -> Iterator[Case]:
    """`simulate` on the strata: sizes, kernels, starts, times and tolerances together, one out of many combinations."""
    tolerances = (3e-14, 1e-13, 1e-10, 1e-8, 1e-3)
    cases = itertools.product(SIZES, KERNELS, KERNELS, STARTS, TIMES, tolerances)
    for V, kW, kH, x, t, rtol in cases:
        if hash((V, kW, kH, x, t, rtol)) % 79:
            continue
        w0, h0 = float(np.sqrt(kW) * x), float(np.sqrt(kH) * x)
        for loss in ("mse", "cross_entropy"):
            case = {"V": V, "kW": kW, "kH": kH, "x": x, "t": t, "rtol": rtol}

            def judge(case: dict = case, loss: str = loss, start: tuple = (w0, h0)) -> float | bool:
                V, kW, kH, t, rtol = (case[key] for key in ("V", "kW", "kH", "t", "rtol"))
                model = UFM(f"a[{V}]", loss=loss, label_kernel=kW, feature_kernel=kH)
                found = simulate(model, [t], init={"a": start}, rtol=rtol, atol=0.0)
                z = float(found.data["z"].sel(stratum="a").values[-1])
                if loss == "mse":
                    return over_tolerance(z, V, kW, kH, start, t, rtol)
                return on_ray(V, kW, kH, case["x"], t)(z, 20 * max(rtol, SEEN))

            yield (f"simulate, {'squared error' if loss == 'mse' else 'cross-entropy'}", case, judge, 20.0)


def matrices() -> Iterator[Case]:
    """`simulate(full=True)` from a symmetric start, whose strata are those of the closed form."""
    for kW, kH, x, t, rtol in itertools.product(KERNELS, KERNELS, STARTS, TIMES, (1e-12, 1e-8, 1e-3)):
        if hash((kW, kH, x, t, rtol)) % 41:
            continue
        start = (float(np.sqrt(kW) * x), float(np.sqrt(kH) * x))
        case = {"V": 5, "kW": kW, "kH": kH, "x": x, "t": t, "rtol": rtol}

        def judge(case: dict = case, start: tuple = start) -> float:
            model = UFM("a[5]", loss="mse", label_kernel=case["kW"], feature_kernel=case["kH"])
            found = simulate(model, [case["t"]], init={"a": start}, rtol=case["rtol"], atol=0.0, full=True)
            z = float(found.data["z"].sel(stratum="a").values[-1])
            return over_tolerance(z, 5, case["kW"], case["kH"], start, case["t"], case["rtol"])

        yield ("simulate, whole matrices", case, judge, 20.0)


def limits() -> Iterator[Case]:
    """Where a flow with ridge ends, and that it goes there."""
    for V, lam, ratio in itertools.product(SIZES, (1e-300, 1e-30, 1e-12, 1e-6, 1e-3, 1.0, 1e12), (1e-12, 1.0, 1e12)):
        for loss in ("mse", "cross_entropy"):
            case = {"V": V, "mu": lam, "ratio": ratio, "loss": loss}

            def judge(case: dict = case) -> float:
                ridge = (sp.Rational(repr(case["mu"])) * sp.Rational(case["ratio"]), sp.Rational(repr(case["mu"])))
                model = UFM(f"a[{case['V']}]", loss=case["loss"], ridge=ridge)
                w, h, z = (sp.N(x, 30) for x in derive(model).limit()["a"])
                with mpmath.workdps(400):
                    mu = mpmath.sqrt(mpmath.mpf(ridge[0].p) / ridge[0].q * mpmath.mpf(ridge[1].p) / ridge[1].q)
                    V, m = case["V"], case["V"]
                    if case["loss"] == "mse":
                        exact = max(mpmath.mpf(0), 1 - m * mu)
                    else:
                        exact = mpmath.log(V / (m * mu) - V + 1) if m * mu < 1 else mpmath.mpf(0)
                    if not exact:
                        return float(z)
                    wrong = abs(mpmath.mpf(str(z)) / exact - 1)
                    # w^2 / h^2 = lam_H / lam_W
                    balance = abs(mpmath.mpf(str(w)) ** 2 / mpmath.mpf(str(h)) ** 2 * mpmath.mpf(case["ratio"]) - 1)
                    return float(max(wrong, balance))

            yield ("limit with ridge", case, judge, 1e-20)
    for V, lam, kH in itertools.product((2, 24, 10**6), (1e-9, 1e-3, 0.3, 1e3, 1e9), (1e-6, 1.0, 1e6)):
        case = {"V": V, "mu": lam / V, "kH": kH}

        def goes(case: dict = case) -> float:
            V, mu = case["V"], case["mu"]
            model = UFM(f"a[{V}]", ridge=mu, feature_kernel=case["kH"])
            # 40 of the slower e-folding time of the free decay.
            t = 40 / (mu * min(1.0, case["kH"]))
            found = simulate(model, [t], init={"a": (1e-3, 1e-3)}, rtol=1e-10, atol=1e-14)
            z = float(found.data["z"].sel(stratum="a").values[-1])
            exact = mpmath.log(1 / mpmath.mpf(mu) - V + 1) if V * mu < 1 else mpmath.mpf(0)
            return abs(z - float(exact)) / max(1e-8, 1e-7 * float(exact))

        yield ("simulate to the limit with ridge", case, goes, 1.0)


def forecasts() -> Iterator[Case]:
    """Features s times as long, with a kernel s^2 times as large, leave the forecast as it is."""
    from ufmflow.numerics.forecast import forecast
    from ufmflow.numerics.runs import Run, example_run

    run = example_run()

    @lru_cache(maxsize=3)
    def scaled(level: str, s: float) -> np.ndarray:
        data = run.data.copy()
        data["kernel_init"] = data["kernel_init"] * s**2
        data["feature_norm"] = data["feature_norm"] * s
        found = forecast(Run(data), level=level)
        return np.concatenate([found.shares().ravel(), np.log(found.data["loss"].values)])

    for level in ("modes", "flow", "map"):
        for s in (1e-150, 1e-100, 1e-12, 1e-6, 1e-3, 1e3, 1e6, 1e12, 1e100, 1e150):

            def judge(s: float = s, level: str = level) -> float:
                values = scaled(level, s)
                difference = float(np.abs(values - scaled(level, 1.0)).max())
                return difference if np.isfinite(difference) else float("inf")

            yield (f"forecast, {level}", {"s": s}, judge, 1e-6)


PARTS = (closed_forms, flows, matrices, limits, forecasts)


def campaign(every: int = 1, parts: tuple = PARTS, log: Callable = lambda *_: None) -> dict:
    """All cases, or each so manyth: counts, the largest error, and what was wrong, refused or slow."""
    begun, rows = time.time(), []
    warnings.simplefilter("ignore")
    for part in parts:
        for case in itertools.islice(part(), 0, None, every):
            rows.append(tried(*case))
            if len(rows) % 50 == 0:
                log(summary(rows, every, time.time() - begun))
    return summary(rows, every, time.time() - begun)


def summary(rows: list[dict], every: int, seconds: float) -> dict:
    """See `campaign`."""
    table: dict = {}
    for row in rows:
        cell = table.setdefault(row["what"], {"tried": 0, "results": Counter(), "reasons": Counter(), "largest": 0.0})
        cell["tried"] += 1
        cell["results"][row["result"]] += 1
        if row["result"] == "refused":
            cell["reasons"][row["told"].split(":")[1].strip()[:40]] += 1
        elif row["result"] == "right":
            cell["largest"] = max(cell["largest"], row.get("error", 0.0))
    refused = {row["told"][:60]: row for row in rows if row["result"] == "refused"}
    return {
        "table": table, "wrong": [row for row in rows if row["result"] == "wrong"],
        "slow": [row for row in rows if row["result"] == "slow"],
        "examples_of_refusals": list(refused.values())[:20], "cases": len(rows), "each": every, "seconds": seconds,
    }  # fmt: skip
