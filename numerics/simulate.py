"""`simulate(model, t)`: the reduced modes, or the whole matrices, from a start to given times."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.integrate import LSODA

from ..theory.errors import InputError
from ..theory.model import UFM
from . import strata
from .devices import DEVICES, check_dtype, open_device
from .full_solution import integrate_full
from .integrate import SAFETY, SMALLEST_ATOL, Progress, check_tolerances, integrate, output_times
from .matrices import MatrixFlow, label_of_context, symmetric_start
from .modes import check_numbers, compile_modes
from .trajectory import Trajectory, dataset, new_path

READ_AT_ONCE = 2**23  # numbers of W and H


@dataclass(frozen=True)
class Gaussian:
    """A start with independent normal entries of the given standard deviation in W and in the features."""

    scale: float


def gaussian(scale: float) -> Gaussian:
    """A random start for `simulate(..., full=True)`: independent normal entries of standard deviation `scale`.

    Examples
    --------
    >>> gaussian(0.01)
    Gaussian(scale=0.01)
    """
    number = _start_value(scale, "scale")
    if number <= 0:
        raise InputError(f"scale: {scale} is no standard deviation; give a positive number.")
    return Gaussian(number)


def simulate(
    model: UFM,
    t: float | Iterable[float],
    init: Any = 1e-3,
    full: bool = False,
    device: str = "cpu",
    rtol: float = 1e-8,
    atol: float = 1e-10,
    seed: int = 0,
    out: Any = None,
    progress: Progress | None = None,
    optimizer: str = "sgd",
    certify: bool = False,
    dtype: str = "float64",
    method: str | None = None,
) -> Trajectory:
    """Integrate the flow of a model.

    Parameters
    ----------
    model : UFM with numbers
    t : increasing output times (T,), or one end time (then 0 and 200 log-spaced times); learning rate x steps
    init : number, mapping, pair, or `gaussian(scale)`
        A number x starts every stratum at w = h = x (phi = x for `normalized`); a mapping gives each stratum its own
        number, or its own pair (w, h).
        With `full=True` also a pair of arrays W0 (V, d) and H0 (d, m), or `gaussian(scale)`.
    full : bool
        False: the exact reduction to singular values on the strata, at a cost that does not depend on V.
        True: the matrices W (V, d) and H (d, m); the result also has `W` and `H` at each time.
    device : "cpu" or "cuda"
        Where whole matrices (`full=True`) are integrated; "cuda" needs a GPU and CuPy (extra `gpu`).
    rtol, atol : tolerances on the solution; atol is lowered to rtol times the smallest part of the start, so that
        tiny starts keep their time of emergence.  Below an rtol of 1e-11 rounding sets the error
    seed : of the random frame or start of `full`
    out : path, optional
        Where to save the trajectory as zarr.
    optimizer : "sgd", "normalized" or "muon"
        See `ufmflow.theory.optimisers`; whole matrices (`full=True`) have gradient flow alone, and
        `ufmflow.numerics.optimisers.descend` takes the others' discrete steps.
    certify : bool
        Enclose the exact solution in ball arithmetic (extra `certify`; reduced gradient flow alone): each variable
        also has its proven bounds NAME_low and NAME_high.  Starts may then be exact (`"1/1000"`, SymPy numbers); a
        float is the binary fraction that it is.  rtol and atol have no part in it.  See `Trajectory.certify`.
    dtype : "float64", "float32" or "tf32"
        Precision of whole matrices; rtol must be at least 1.2e-6 in float32.  "tf32" is float32 with products in TF32,
        which keep about three digits, on "cuda" alone.
    method : "dp5", "dop853", "stabilised", "auto" or "steady", optional
        Integrator of whole matrices, see `ufmflow.numerics.solve.solve`; chosen by tolerance and stiffness if None.
        "steady" is for t=[end] alone: the state where the flow has come to rest, for fewer evaluations.

    Returns
    -------
    Trajectory

    Raises
    ------
    InputError
        For models with symbols, bad times, starts, tolerances or devices.
    IntegrationError
        When the tolerances cannot be met, or no narrow enclosure is found; says when.

    Examples
    --------
    >>> trajectory = simulate(UFM("color[4] * shape[6]", ridge=1e-3), t=[0, 10, 1e5])
    >>> trajectory.data["z"].sel(stratum="color").values.round(4).tolist()
    [0.0, 0.0, 6.8845]
    """
    if not isinstance(model, UFM):
        raise InputError(f"model: {type(model).__name__} is no UFM; make one with ufmflow.UFM(attributes, ...).")
    check_tolerances(rtol, atol)
    if not isinstance(full, (bool, np.bool_)):
        raise InputError(f"full: {full!r} is neither True nor False.")
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed: {seed!r} is no whole number of at least 0.")
    if out is not None:
        new_path(out)  # refused now rather than after the integration
    times = output_times(t)
    _check_place(full, device, dtype, method)
    if full and optimizer != "sgd":
        raise InputError(
            f"optimizer: {optimizer!r} with full=True; whole matrices take its steps with "
            "ufmflow.numerics.optimisers.descend, or leave full=False for the flow on the strata."
        )
    if not isinstance(certify, (bool, np.bool_)):
        raise InputError(f"certify: {certify!r} is neither True nor False.")
    how: dict[str, Any] = {}
    if certify:
        if full or optimizer != "sgd":
            raise InputError("certify: only the reduced gradient flow has enclosures; leave full and optimizer out.")
        variables, kept, how["method"] = _certified(model, times, init, progress)
        how["certified"] = True
    elif full:
        place = {"device": device, "dtype": dtype, "method": method}
        variables, kept, how = _full(model, times, init, rtol, atol, seed, progress, place)
    else:
        variables, kept = _reduced(model, times, init, rtol, atol, progress, optimizer), {}
    data = dataset(
        model.attributes,
        model.labels,
        times,
        *variables,
        model=json.dumps(model.config()),
        source="simulate full" if full else "simulate",
        device=device,
        seed=seed,
        rtol=rtol,
        atol=atol,
        optimizer=optimizer,
        **how,
    ).assign(kept)
    trajectory = Trajectory(data)
    if out is not None:
        trajectory.save(out)
    return trajectory


def _reduced(
    model: UFM, times: np.ndarray, init: Any, rtol: float, atol: float, progress: Progress | None, optimizer: str
) -> tuple[np.ndarray, ...]:
    modes = compile_modes(model, optimizer)
    w, h = start_on_strata(model, init)
    check_capacity(model, h)
    start = np.array([*(w[A] for A in modes.flow.w), *(h[A] for A in modes.flow.h)])
    y = integrate(LSODA, modes.rhs, start, times, rtol, _lowered(atol, rtol, start), modes.jacobian, progress)
    found = modes.read(y)
    return found[0].T, found[1].T, found[2].T, found[3]


def _certified(
    model: UFM, times: np.ndarray, init: Any, progress: Progress | None
) -> tuple[tuple[np.ndarray, ...], dict, str]:
    from .balls import exact_number
    from .certified import certify, variables

    check_numbers(model)
    w, h = start_on_strata(model, init, exact_number)
    check_capacity(model, h)
    enclosed = certify(model, [Fraction(float(t)) for t in times], w, h, progress)
    found = variables(enclosed)
    method = f"Taylor polynomials, logarithmic norms, balls of {enclosed.bits} bits"
    return tuple(found[name][1] for name in ("w", "h", "z", "loss")), found, method


def _check_place(full: bool, device: str, dtype: str, method: str | None) -> None:
    """Refuse devices, precisions and methods that are unknown, or not for the reduced modes."""
    if full:
        check_dtype(dtype, device)
        open_device(device)
        return
    if device not in DEVICES:
        open_device(device)
    for name, value, usual in (("device", device, "cpu"), ("dtype", dtype, "float64"), ("method", method, None)):
        if value != usual:
            raise InputError(f"{name}: {value!r} is for whole matrices; add full=True, or leave it out.")


def _full(
    model: UFM,
    times: np.ndarray,
    init: Any,
    rtol: float,
    atol: float,
    seed: int,
    progress: Progress | None,
    place: dict[str, Any],
) -> tuple[tuple[np.ndarray, ...], dict, dict[str, Any]]:
    if model.free_symbols:
        raise InputError(
            f"model: {sorted(map(str, model.free_symbols))[0]} has no number; numbers are needed to simulate."
        )
    W0, F0 = _full_start(model, init, seed)
    found = integrate_full(MatrixFlow.of(model), W0, F0, times, rtol, atol, progress=progress, **place)
    how = {"dtype": place["dtype"], "method": found.method, "evaluations": found.evaluations}
    return *read_arrays(model, found.W, found.H, found.loss), how


def integrate_matrices(
    flow: MatrixFlow,
    W0: np.ndarray,
    F0: np.ndarray,
    times: np.ndarray,
    rtol: float,
    atol: float,
    progress: Progress | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """W (V, d) and features F (d, m) at each time."""
    found = integrate_full(flow, W0, F0, times, rtol, atol, progress=progress)
    return [(W, F.T) for W, F in zip(found.W, found.F, strict=True)]


def read_matrices(flow: MatrixFlow, pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[tuple[np.ndarray, ...], dict]:
    """(w, h, z, loss) and the arrays `W`, `H` of the data set, from W and features at each time."""
    W = np.stack([W for W, _ in pairs])
    H = np.stack([flow.embed(F).T for _, F in pairs])
    loss = np.array([flow.loss(*pair) for pair in pairs])
    return read_arrays(flow.model, W, H, loss)


def read_arrays(model: UFM, W: np.ndarray, H: np.ndarray, loss: np.ndarray) -> tuple[tuple[np.ndarray, ...], dict]:
    """(w, h, z, loss) and the arrays of the data set, from W (T, V, d), H (T, m, d) and the loss (T,)."""
    kept = {"W": (("time", "label", "feature"), W), "H": (("time", "context", "feature"), H)}
    # As many times at once as stay small: the strata's parts of W and H are some times their size.
    step = max(1, READ_AT_ONCE // (W[0].size + H[0].size))
    parts = [
        singular_values(H[i : i + step], W[i : i + step], model.attributes, model.labels)
        for i in range(0, len(W), step)
    ]
    return (*(np.concatenate(part) for part in zip(*parts, strict=True)), loss), kept


def singular_values(
    H: np.ndarray, W: np.ndarray, attributes: Any, labels: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """w, h, z (T, strata) of arrays H (T, m, d) and W (T, V, d), contexts and labels in the formula's order.

    w_A^2 and h_A^2 are the stratum energies of the Gram matrices; z_A = tr(P_A U^T W H) / m_A with U the normalised
    incidence of labels and contexts, which is w_A h_A for aligned matrices.
    """
    kept = attributes.keep(labels)
    replication = float(attributes.cardinality / kept.cardinality)
    by_context = W[:, label_of_context(attributes, kept)] / np.sqrt(replication)
    on_labels = np.array([A in kept.names for A in attributes.names])
    w = np.sqrt(strata.energies(by_context, attributes)) * on_labels
    h = np.sqrt(strata.energies(H, attributes))
    z = strata.inner_products(by_context, H, attributes) * on_labels
    return w, h, z


def _lowered(atol: float, rtol: float, start: np.ndarray) -> float:
    sizes = np.abs(start[start != 0])
    if not sizes.size:
        return atol
    smallest = float(sizes.min())
    if rtol * smallest * SAFETY[LSODA] < SMALLEST_ATOL:
        least = SMALLEST_ATOL / SAFETY[LSODA] / rtol
        raise InputError(
            f"init: {smallest:g} is too small for rtol = {rtol:g}, which floats do not hold beside it; start at "
            f"{least:.0e} or above, at 0, or with a larger rtol."
        )
    return min(atol, rtol * smallest)


def start_on_strata(
    model: UFM, init: Any, number: Callable[[Any, str], Any] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """w on the strata of the labels and h (or phi) on those of the contexts: floats, or what `number` makes of each."""
    read = number or _start_value
    names = model.attributes.names
    if isinstance(init, Mapping):
        unknown = [name for name in init if name not in names]
        missing = [name for name in names if name not in init and name != "1"]
        if unknown or missing:
            what = f"stratum {unknown[0]!r} is unknown" if unknown else f"stratum {missing[0]!r} has no value"
            raise InputError(f"init: {what}; give one number for each of {', '.join(names)}.")
        pairs = {
            name: value if isinstance(value := init.get(name, 0.0), (tuple, list)) else (value, value) for name in names
        }
    elif isinstance(init, (tuple, list, Gaussian)):
        raise InputError("init: arrays and gaussian(scale) start whole matrices; add full=True, or give a number.")
    else:
        pairs = dict.fromkeys(names, (init, init))
    for name, pair in pairs.items():
        if len(pair) != 2:
            raise InputError(f"init[{name}]: {len(pair)} numbers; give one for w = h, or the pair (w, h).")
    h = {A: read(pair[1], f"init[{A}]") for A, pair in pairs.items()}
    return {A: read(pairs[A][0], f"init[{A}]") for A in model.targets}, h


def _start_value(value: Any, argument: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{argument}: {value!r} is no number; give a finite one, for example 1e-3.") from None
    if not np.isfinite(number):
        raise InputError(f"{argument}: {number} is not finite; give a finite number, for example 1e-3.")
    return number


def check_capacity(model: UFM, h: dict[str, Any]) -> None:
    """A symmetric start needs a direction of its own for every context that moves."""
    needed = sum(int(s.multiplicity) for s in model.attributes.strata if h[s.name] != 0)
    if model.width is not None and int(model.width) < needed:
        raise InputError(
            f"width: {model.width} is too small for a start on the strata, which needs {needed} directions; "
            "raise it, start fewer strata, or use full=True with init=gaussian(scale)."
        )


def _full_start(model: UFM, init: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
    V, m = int(model.label_count), int(model.contexts)
    width = m if model.width is None else int(model.width)
    if isinstance(init, Gaussian):
        random = np.random.default_rng(seed)
        return init.scale * random.standard_normal((V, width)), init.scale * random.standard_normal((width, m))
    if isinstance(init, (tuple, list)):
        if len(init) != 2:
            raise InputError(f"init: {len(init)} arrays; give the pair (W0, H0).")
        try:
            W0, H0 = (np.array(part, dtype=float) for part in init)
        except (TypeError, ValueError):
            raise InputError("init: W0 or H0 is no array of numbers; give the pair (W0, H0).") from None
        if W0.ndim != 2 or W0.shape[0] != V or (model.width is not None and W0.shape[1] != width):
            raise InputError(
                f"init: W0 has shape {W0.shape}; it must be (labels, width) = ({V}, {model.width or 'd'})."
            )
        if H0.shape != (W0.shape[1], m):
            raise InputError(
                f"init: H0 has shape {H0.shape}; it must be (width, contexts) = ({W0.shape[1]}, {m})"
                + ("; give its transpose." if H0.shape == (m, W0.shape[1]) else ".")
            )
        if not (np.all(np.isfinite(W0)) and np.all(np.isfinite(H0))):
            raise InputError("init: W0 or H0 holds NaN or infinity; give finite numbers.")
        return W0, H0
    w, h = start_on_strata(model, init)
    check_capacity(model, h)
    if width < m:
        raise InputError(
            f"width: {width} is below the {m} contexts; a symmetric full start needs a direction for each."
        )
    W0, H0 = symmetric_start(model, w, h, width, seed)
    return W0, H0
