"""Is the error of a solution no larger than ten times what was asked for?  1,000 random problems tell.

Each problem is drawn from its number: a structure, loss, labels, kernels, ridge, constraint, start, horizon and
tolerance.  `simulate` solves it; the reference solves equations written down here anew, from explicit matrices of the
strata and not from the derivation, by another integrator with a tolerance of 1e-12.  The error is measured as

    max over times and components of   |x - reference| / (atol + rtol |reference|)          on the strata (w and h),
    max over entries of                |X - reference| / (atol + rtol max |reference|)      for whole matrices,

with atol as `simulate` lowers it for tiny starts, and is to be at most 10.
"""

import signal
import time
import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from scipy.integrate import DOP853, Radau

from ufmflow.numerics.integrate import IntegrationError
from ufmflow.numerics.simulate import gaussian, simulate
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM

STRUCTURES = (
    ("a[3]", None), ("a[7]", None), ("a[2] * b[3]", None), ("a[4] * b[3]", None), ("a[2] / b[3]", None),
    ("a[2] * b[2] * c[3]", None), ("(a[2] / b[2]) * c[2]", None), ("a[2] / b[2] / c[2]", None),
    ("a[3] / b[2]", "a"), ("a[2] * b[3]", "a"), ("(a[2] * b[2]) / c[2]", "a * b"),
)  # fmt: skip
ALLOWED = 10.0
REFERENCE = 1e-12
LIMIT = 6.0  # seconds of the processor for one problem
PATIENCE = 0.7  # seconds of the processor for one reference


def explicit_projectors(model: UFM) -> dict[str, np.ndarray]:
    """P_A (m, m) of the contexts by inclusion and exclusion of averagings, not by the tensor products of the theory."""
    attributes = model.attributes
    shape = attributes.shape
    cells = np.array(np.unravel_index(np.arange(int(np.prod(shape))), shape)).T
    names = [factor.name for factor in attributes.factors]

    def averaging(kept: frozenset[str]) -> np.ndarray:
        columns = [i for i, name in enumerate(names) if name in kept]
        same = (cells[:, None, columns] == cells[None, :, columns]).all(axis=2)
        return same / same.sum(axis=1, keepdims=True)

    found: dict[frozenset[str], np.ndarray] = {}
    for A in attributes.ancestral_sets:  # smallest first
        found[A] = averaging(A) - sum((P for B, P in found.items() if B < A), np.zeros((len(cells),) * 2))
    return {attributes.term(A): P for A, P in found.items()}


def draw(number: int) -> dict[str, Any]:
    """A problem: keyword arguments of the model, of `simulate`, and whether it is of whole matrices."""
    random = Random(f"calibration:{number}")
    formula, labels = random.choice(STRUCTURES)
    full = number % 5 == 4
    loss = random.choice(("mse", "cross_entropy"))
    attributes = UFM(formula, labels).attributes
    kept = UFM(formula, labels).label_attributes

    def size(low: float, high: float) -> float:
        return float(f"{10 ** random.uniform(low, high):.6g}")

    kernel = random.choice(("plain", "moderate", "wide"))
    width = {"plain": 0.0, "moderate": 1.0, "wide": 3.0}[kernel]
    constraint = random.choice(("free", "free", "free", "sphere", "normalized"))
    ridge = random.choice(((0, 0), (size(-6, -1),) * 2, (size(-5, -1), size(-5, -1))))
    model = {
        "attributes": formula, "labels": labels, "loss": loss, "constraint": constraint, "ridge": ridge,
        "feature_kernel": {A: size(-width, width) if width else 1 for A in attributes.names},
        "label_kernel": {A: size(-width / 2, width / 2) if width else 1 for A in kept.names},
        "reduction": random.choice(("mean", "mean", "sum")),
        "width": int(attributes.cardinality) if constraint == "normalized" or full else None,
    }  # fmt: skip
    rtol = size(-10, -3) if not full else size(-8, -3)
    init: Any = size(-8, 0)
    if not full and random.random() < 0.5:
        init = {A: size(-6, 0) for A in attributes.names}
    m = float(attributes.cardinality) if model["reduction"] == "mean" else 1.0
    rate = max(float(model["feature_kernel"][A] * model["label_kernel"][A]) ** 0.5 for A in kept.names) / m
    horizon = size(-1, 2.5) / rate
    if full:
        horizon, init = min(horizon, 200 / rate), size(-4, -0.5)
    return {
        "number": number, "full": full, "model": model, "init": init, "rtol": rtol, "atol": size(-12, -6),
        "t": [horizon * f for f in (0.01, 0.1, 0.3, 1.0)],
    }  # fmt: skip


class Equations:
    """dW/dt, dF/dt of a model on explicit matrices, for one column where the symmetry allows it.

    Attributes
    ----------
    P : dict from stratum to P_A (m, m)
    S : (V, m), which context has which label
    """

    def __init__(self, model: UFM):
        self.model = model
        self.P = explicit_projectors(model)
        self.m, self.V = int(model.contexts), int(model.label_count)
        names, shape = [f.name for f in model.attributes.factors], model.attributes.shape
        kept = [i for i, name in enumerate(names) if model.labels is None or name in model.labels]
        cells = np.array(np.unravel_index(np.arange(self.m), shape))[kept]
        of_context = np.ravel_multi_index(tuple(cells), [shape[i] for i in kept])
        self.S = np.zeros((self.V, self.m))
        self.S[of_context, np.arange(self.m)] = 1.0
        self.r = self.m / self.V
        # P_A of the labels: that of the contexts, averaged over the contexts of a label.
        self.Q = {A: self.S @ self.P[A] @ self.S.T / self.r for A in model.targets}
        self.KH = sum(float(k) * self.P[A] for A, k in model.feature_kernel.items())
        self.KW = sum(float(k) * self.Q[A] for A, k in model.label_kernel.items())
        self.T = sum(float(tau) * self.Q[A] for A, tau in model.targets.items()) @ self.S
        self.scale = 1.0 / self.m if model.reduction == "mean" else 1.0
        self.ridge = tuple(map(float, model.ridge))

    def gradient(self, Z: np.ndarray) -> np.ndarray:
        """dL/dZ (V, m)."""
        if self.model.loss == "mse":
            return self.scale * (Z - self.T)
        E = np.exp(Z - Z.max(axis=0))
        return self.scale * (E / E.sum(axis=0) - self.T)

    def rates(self, W: np.ndarray, F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dW/dt (V, d) and dF/dt (d, m) of whole matrices."""
        constraint, (lam_W, lam_H) = self.model.constraint, self.ridge
        norms = np.linalg.norm(F, axis=0)
        H = F if constraint != "normalized" else np.sqrt(float(self.model.width)) * F / norms
        G = self.gradient(W @ H)
        dW = -self.KW @ (G @ H.T + lam_W * W)
        back = W.T @ G
        if constraint == "free":
            return dW, -(back + lam_H * F) @ self.KH

        def tangent(X: np.ndarray) -> np.ndarray:
            return X - F * ((F * X).sum(axis=0) / norms**2)

        if constraint == "sphere":
            return dW, tangent(-tangent(back) @ self.KH)
        return dW, -(tangent(back) * np.sqrt(float(self.model.width)) / norms) @ self.KH

    def on_strata(self, w: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rates of w on the strata of the labels and h (or phi) on those of the contexts: whole matrices made of them,
        one orthonormal frame, moved, and read again."""
        names = list(self.P)
        W = sum(x * self.Q[A] for x, A in zip(w, self.Q, strict=True)) @ self.S / np.sqrt(self.r)
        F = sum(x * self.P[A] for x, A in zip(h, names, strict=True))
        dW, dF = self.rates(W, F)
        back = dW @ self.S.T / np.sqrt(self.r)
        dw = [np.trace(self.Q[A] @ back) / np.trace(self.Q[A]) for A in self.Q]
        return np.array(dw), np.array([np.trace(self.P[A] @ dF) / np.trace(self.P[A]) for A in names])


def reference(rhs: Any, start: np.ndarray, times: list[float], atol: float, stiff: bool) -> np.ndarray | None:
    """The state at the times (n, T), with a tolerance of 1e-12; None when it takes too long."""
    method = Radau if stiff else DOP853
    solver = method(lambda t, y: rhs(y), 0.0, start, times[-1], rtol=REFERENCE, atol=atol)
    out, done, begun = [], 0, time.process_time()
    while solver.status == "running":
        solver.step()
        while done < len(times) and times[done] <= solver.t:
            out.append(solver.dense_output()(times[done]) if times[done] < solver.t else solver.y)
            done += 1
        if time.process_time() - begun > PATIENCE:
            return None
    return np.array(out).T if solver.status == "finished" and done == len(times) else None


def measure(problem: dict[str, Any], tighten: float = 1.0, spoil: float = 0.0) -> dict[str, Any]:
    """The error over the tolerance asked for, and what was done; `spoil` changes a kernel, as a control."""
    told: dict[str, Any] = {"number": problem["number"], "full": problem["full"], "rtol": problem["rtol"]}
    model = UFM(**problem["model"])
    arguments = {"t": problem["t"], "rtol": problem["rtol"], "atol": problem["atol"], "full": problem["full"]}
    arguments["init"] = gaussian(problem["init"]) if problem["full"] else problem["init"]
    begun = time.process_time()
    try:
        found = simulate(model, seed=problem["number"], **arguments)
    except (InputError, IntegrationError) as error:
        return told | {"refused": str(error)[:200]}
    told["seconds"] = time.process_time() - begun
    kernel = {A: k * (1 + spoil) for A, k in model.feature_kernel.items()}
    equations = Equations(UFM(**problem["model"] | {"feature_kernel": kernel}))
    atol = problem["atol"]
    if problem["full"]:
        return told | _full_error(found, equations, problem, atol)
    names_w, names_h = list(equations.Q), list(equations.P)
    given = problem["init"]
    at = (lambda A: given[A]) if isinstance(given, dict) else (lambda A: given)
    start = np.array([float(at(A)) for A in (*names_w, *names_h)])
    atol = min(atol, problem["rtol"] * np.abs(start).min())
    k = len(names_w)

    def rhs(y: np.ndarray) -> np.ndarray:
        return np.concatenate(equations.on_strata(y[:k], y[k:]))

    exact = None
    for stiff in (False, True):
        exact = reference(rhs, start, problem["t"], min(1e-16, atol * 1e-3), stiff) if exact is None else exact
    if exact is None:
        return told | {"unsolved": True}
    w = found.data["w"].sel(stratum=names_w).values.T
    h = found.data["h"].sel(stratum=names_h).values.T
    if model.constraint == "normalized":
        m = np.array([round(np.trace(equations.P[A])) for A in names_h])
        phi = exact[k:]
        size = np.sqrt((m[:, None] * phi**2).sum(axis=0) / equations.m)
        exact = np.concatenate([exact[:k], np.sqrt(float(model.width)) * phi / size])
    error = np.abs(np.concatenate([w, h]) - exact) / (atol + problem["rtol"] * np.abs(exact))
    return told | {"ratio": float(error.max())}


def _full_error(found: Any, equations: Equations, problem: dict[str, Any], atol: float) -> dict[str, Any]:
    model = equations.model
    V, m, d = equations.V, equations.m, int(model.width)
    random = np.random.default_rng(problem["number"])
    W0, F0 = (problem["init"] * random.standard_normal(shape) for shape in ((V, d), (d, m)))

    def rhs(y: np.ndarray) -> np.ndarray:
        return np.concatenate([x.ravel() for x in equations.rates(y[: V * d].reshape(V, d), y[V * d :].reshape(d, m))])

    exact = reference(rhs, np.concatenate([W0.ravel(), F0.ravel()]), problem["t"], 1e-14, False)
    if exact is None:
        return {"unsolved": True}
    W = exact[: V * d].T.reshape(-1, V, d)
    F = exact[V * d :].T.reshape(-1, d, m)
    H = F if model.constraint != "normalized" else np.sqrt(d) * F / np.linalg.norm(F, axis=1, keepdims=True)
    ratios = []
    for name, known in (("W", W), ("H", H.transpose(0, 2, 1))):
        difference = np.abs(found.data[name].values - known).max()
        ratios.append(difference / (atol + problem["rtol"] * np.abs(known).max()))
    return {"ratio": float(max(ratios)), "method": found.data.attrs["method"]}


def within(seconds: float, problem: dict[str, Any]) -> dict[str, Any]:
    """`measure`, given up after so many seconds of the processor."""

    def too_long(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        return measure(problem)
    except TimeoutError:
        return {"number": problem["number"], "full": problem["full"], "unended": True}
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def campaign(problems: int, before: dict[str, Any], log: Callable = lambda *_: None) -> dict[str, Any]:
    """Counts, quantiles of the error over the tolerance asked for, and the misses; goes on from a result."""
    begun, rows, spent = time.time(), list(before.get("rows", [])), before.get("seconds", 0.0)
    warnings.simplefilter("ignore")
    for number in range(len(rows), problems):
        with np.errstate(all="ignore"):
            row = within(LIMIT, draw(number))
        told = ("number", "full", "rtol", "ratio", "refused", "unsolved", "unended")
        rows.append({key: row[key] for key in told if key in row})
        if len(rows) % 10 == 0:
            log(summary(rows, spent + time.time() - begun))
    return summary(rows, spent + time.time() - begun)


def summary(rows: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """See `campaign`."""
    ratios: dict[str, list[float]] = {"strata": [], "matrices": []}
    for row in rows:
        if "ratio" in row:
            ratios["matrices" if row["full"] else "strata"].append(row["ratio"])
    quantiles = {
        kind: {str(q): float(np.quantile(values, q)) for q in (0.5, 0.9, 0.99, 1.0)}
        for kind, values in ratios.items()
        if values
    }
    return {
        "problems": len(rows), "measured": {kind: len(values) for kind, values in ratios.items()},
        "quantiles": quantiles, "missed": [row for row in rows if row.get("ratio", 0) > ALLOWED],
        "refused": [row for row in rows if "refused" in row],
        "unsolved_by_the_reference": [row["number"] for row in rows if row.get("unsolved")],
        "unended": [row["number"] for row in rows if row.get("unended")],
        "seconds": seconds, "rows": rows,
    }  # fmt: skip
