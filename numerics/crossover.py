"""The crossover diagram: softness of the labels against the kernel ratio, at the window's peak and at the limit.

The field is the exact solution, logistic on every stratum; the borders of its phases are the closed forms of
`ufmflow.theory.crossover`, and where field and border disagree is counted.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy as sp
import xarray as xr
from scipy.optimize import brentq

from ..theory.attributes import Attributes
from ..theory.crossover import dimensions, lasting_peak, lasting_softness, log_lasting_start, softness_of
from ..theory.errors import InputError
from ..theory.soft_labels import soft_index
from .options import number

PHASES = ("no overshoot", "lasting", "transient")
TIMES = 2000  # log-spaced, over which the peak is taken: its index is then right to some 1e-5
LATEST = 45.0  # e^-45 is less than rounding: the slowest stratum is at its limit


def crossover(
    attributes: Attributes | str, eps: Any = None, ratios: Any = None, init: float = 1e-3, shrink: float = 0.0
) -> xr.Dataset:
    """Semantic index at the window's peak and at the limit, over the targets' softness and the kernel ratio.

    Squared error; equal co-occurrence along all K attributes (`cooccurrence_targets` with weights 1/K); on both sides
    the kernel is k1 on main effects and k2 on the rest; every stratum starts at w = h = `init`.

    Parameters
    ----------
    attributes : crossed attributes, two at least
    eps : array in [0, 1), increasing; 41 from 0 to 0.98 if None
    ratios : array of k1/k2 > 0, increasing; 41 log-spaced from 1/4 to 16 if None
    init : > 0, its square less than the smallest target
    shrink : m lam of a ridge lam on both factors, >= 0 and less than 1 - eps

    Returns
    -------
    xarray.Dataset over (eps, ratio)
        `peak_index`, `limit_index`; `phase`, a number of `PHASES` read off the field: 0 the index never exceeds its
        limit, 1 it does and keeps half of its peak for ever, 2 it does not; `border_phase`, the same from the closed
        forms; over eps the borders: `overshoot_ratio` = 1/theta, `cause_ratio` = theta.  attrs `disagreement` is the
        share of the grid where phase and border_phase differ, `lasting_softness` the eps from which no window closes,
        `cross_entropy_index` the index at which soft labels end under that loss (`ufmflow.theory.soft_labels`).

    Raises
    ------
    InputError
        For attributes that are nested or fewer than two, and numbers out of range.

    Examples
    --------
    >>> found = crossover("color[4] * shape[6]", eps=[0.0, 0.5, 0.9], ratios=[0.5, 4.0])
    >>> found["phase"].values.tolist(), found.attrs["disagreement"]
    ([[0, 2], [0, 2], [1, 1]], 0.0)
    """
    structure = Attributes(attributes) if isinstance(attributes, str) else attributes
    if len(structure.sizes) < 2 or any(structure.ancestors.values()):
        raise InputError(f"attributes: {structure}; the diagram is of crossed attributes, two at least.")
    mu = number("shrink", shrink, zero=True)
    soft = _grid("eps", np.linspace(0, 0.98, 41) if eps is None else eps, 0.0, 1.0 - mu)
    kappa = _grid("ratios", np.geomspace(0.25, 16, 41) if ratios is None else ratios, 1e-6, np.inf)
    z0 = number("init", init) ** 2
    M, N = (float(x) for x in dimensions(structure))
    weight = 1.0 / len(structure.sizes)
    tau2 = 1 - soft - mu
    tau1 = tau2 + soft * weight
    if z0 >= tau2.min():
        raise InputError(f"init: {init}; its square must be less than the smallest target, {tau2.min():.3g}.")
    theta = tau1 / tau2
    limit = _index(theta, M, N)
    peak = np.stack([[_peak(t1, t2, k, z0, M, N) for k in kappa] for t1, t2 in zip(tau1, tau2, strict=True)])
    phase = np.where(peak <= limit[:, None] * (1 + 1e-9) + 1e-12, 0, np.where(limit[:, None] >= peak / 2, 1, 2))
    border = _borders(theta, tau1 / z0 - 1, kappa, structure)
    two = ("eps", "ratio")
    return xr.Dataset(
        {
            "peak_index": (two, peak),
            "limit_index": (two, np.repeat(limit[:, None], len(kappa), axis=1)),
            "phase": (two, phase),
            "border_phase": (two, border),
            "overshoot_ratio": ("eps", 1 / theta),
            "cause_ratio": ("eps", theta),
        },
        {"eps": soft, "ratio": kappa},
        {
            "formula": str(structure),
            "init": float(init),
            "shrink": mu,
            "disagreement": float((phase != border).mean()),
            "lasting_softness": float(lasting_softness(structure, sp.Rational(1, len(structure.sizes)), mu)),
            "cross_entropy_index": float(soft_index(structure)),
        },
    )


def look_up(attributes: Attributes | str, eps: float, ratio: float, init: float = 1e-3, shrink: float = 0.0) -> dict:
    """One place of the diagram: eps, ratio, peak_index, limit_index and the name of its phase.

    Examples
    --------
    >>> look_up("color[4] * shape[6]", 0.5, 4.0)["phase"]
    'transient'
    """
    here = crossover(attributes, [eps], [ratio], init, shrink)
    numbers = {name: float(here[name].item()) for name in ("eps", "ratio", "peak_index", "limit_index")}
    return {**numbers, "phase": PHASES[int(here["phase"].item())]}


def borders(found: xr.Dataset) -> list[dict[str, float | None]]:
    """For each softness the index that is left, and the kernel ratios at which phases change; None where none does.

    Examples
    --------
    >>> borders(crossover("color[4] * shape[6]", eps=[0.5]))[0]["cause_ratio"]
    1.5
    """
    columns = zip(
        found["eps"].values, found["limit_index"].values[:, 0], found["overshoot_ratio"].values, lasting_border(found),
        found["cause_ratio"].values, strict=True,
    )  # fmt: skip
    return [
        {"eps": float(eps), "limit_index": float(left), "overshoot_ratio": float(low),
         "lasting_ratio": float(high) if np.isfinite(high) else None, "cause_ratio": float(equal)}
        for eps, left, low, high, equal in columns
    ]  # fmt: skip


def place(
    targets: Mapping[str, float],
    feature_kernel: Mapping[str, float],
    attributes: Attributes,
    label_kernel: Mapping[str, float] | None = None,
) -> tuple[float, float]:
    """Where targets and kernels lie on the diagram: (eps, kappa), by the means over main effects and over the rest.

    theta is the ratio of the means of tau, weighted by the strata's dimensions, and eps the softness of equal weights
    that has it; kappa is the ratio of the means of sqrt(kW kH), which is what sets the rates.

    Parameters
    ----------
    targets, feature_kernel, label_kernel : dict from stratum to number; label_kernel None is 1 on all
    attributes : crossed attributes, two at least

    Raises
    ------
    InputError
        For targets or a kernel that are 0 on all strata but the main effects, and targets that are smaller on the main
        effects than on the rest.

    Examples
    --------
    >>> structure = Attributes("color[4] * shape[6]")
    >>> tau = {"1": 1, "color": 0.75, "shape": 0.75, "color:shape": 0.5}
    >>> place(tau, {"1": 9, "color": 4, "shape": 4, "color:shape": 1}, structure)
    (0.5, 2.0)
    """
    main = attributes.semantic_strata()
    rest = [A for A in attributes.names[1:] if A not in main]
    m = {A: float(attributes.multiplicities[A]) for A in attributes.names}

    def ratio(argument: str, values: Mapping[str, float]) -> float:
        top, bottom = (sum(m[A] * values[A] for A in names) / sum(m[A] for A in names) for names in (main, rest))
        if not (np.isfinite(top) and bottom > 0):
            raise InputError(
                f"{argument}: its mean over {', '.join(rest)} is {bottom:g}; the diagram needs a positive one."
            )
        return top / bottom

    theta = ratio("targets", targets)
    if theta < 1:
        raise InputError(
            f"targets: on main effects they are {theta:.3g} of the rest; the diagram begins at 1, one-hot."
        )
    rates = {A: float(np.sqrt(feature_kernel[A] * (1.0 if label_kernel is None else label_kernel[A]))) for A in m}
    weight = sp.Rational(1, len(attributes.sizes))
    return float(softness_of(theta, weight)), ratio("feature_kernel", rates)


def _index(ratio: Any, M: float, N: float) -> Any:
    return M * (ratio - 1) / (M * ratio + N)


def _peak(tau1: float, tau2: float, kappa: float, z0: float, M: float, N: float) -> float:
    """The largest index along the exact solution, the limit included."""
    slow = min(kappa * tau1, tau2)
    s = np.geomspace(1e-3, LATEST / slow, TIMES)  # 2 k2 scale t
    log_z = [np.log(tau) - np.logaddexp(0.0, np.log(tau / z0 - 1) - rate * s)
             for tau, rate in ((tau1, kappa * tau1), (tau2, tau2))]  # fmt: skip
    return float(_index(max(np.exp(log_z[0] - log_z[1]).max(), tau1 / tau2), M, N))


def _borders(theta: np.ndarray, c: np.ndarray, kappa: np.ndarray, structure: Attributes) -> np.ndarray:
    """The phases (eps, ratio) by the closed forms, from theta and c = tau_1/z_0 - 1 (eps,)."""
    x, k = sp.symbols("theta kappa", positive=True)
    largest = sp.lambdify((x, k), log_lasting_start(x, k, structure), "numpy")
    ever = np.array([lasting_peak(float(value), structure) == sp.oo for value in theta])
    with np.errstate(all="ignore"):  # where the window never closes, or the index never overshoots, it is not asked
        lasting = ever[:, None] | (np.log(c)[:, None] <= largest(theta[:, None], kappa[None, :]))
    return np.where(theta[:, None] * kappa <= 1, 0, np.where(lasting, 1, 2))


def _grid(argument: str, values: Any, low: float, below: float) -> np.ndarray:
    found = np.atleast_1d(np.asarray(values, dtype=float))
    if found.ndim != 1 or not np.all((found >= low) & (found < below)) or np.any(np.diff(found) <= 0):
        raise InputError(f"{argument}: {values!r}; give increasing numbers from {low:g} to less than {below:g}.")
    return found


def lasting_border(found: xr.Dataset) -> np.ndarray:
    """For each softness the kernel ratio at which the window begins to close for good; NaN where there is none.

    Examples
    --------
    >>> lasting_border(crossover("color[4] * shape[6]", eps=[0.5, 0.8, 0.9])).round(3).tolist()
    [0.718, 0.436, nan]
    """
    structure = Attributes(found.attrs["formula"])
    theta = found["cause_ratio"].values
    tau1 = theta * (1 - found["eps"].values - found.attrs["shrink"])
    x, k = sp.symbols("theta kappa", positive=True)
    largest = sp.lambdify((x, k), log_lasting_start(x, k, structure), "math")
    border = np.full(len(theta), np.nan)
    for i, (value, start) in enumerate(zip(theta, tau1 / found.attrs["init"] ** 2 - 1, strict=True)):
        if value == 1:
            border[i] = 1.0  # one-hot labels keep nothing: what overshoots closes
        if value == 1 or lasting_peak(float(value), structure) == sp.oo:
            continue

        def excess(log_alpha: float, value: float = value, start: float = start) -> float:
            return largest(value, np.exp(log_alpha) / value) - np.log(start)

        low, high = 1e-4, 20.0
        if excess(low) > 0 > excess(high):
            border[i] = np.exp(brentq(excess, low, high)) / value
    return border
