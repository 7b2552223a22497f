"""From a start to given times with whole matrices: precision, method, memory, and what is kept of each time."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .column_chunks import check_memory
from .devices import check_dtype, open_device
from .full_flow import FullFlow, layout_of
from .integrate import SMALLEST_RTOL, Progress, check_tolerances
from .launch_graphs import LAUNCH_BOUND
from .matrices import MatrixFlow, StructuredKernel
from .solve import METHODS, ROUND_OFFS, solve
from .steady_state import steady_state

# Vectors of the state's length that each method has; "auto" has two methods while it changes from one to the other.
VECTORS = {"dp5": 8, "dop853": 14, "rkc": 6, "stabilised": 9, "auto": 17, "steady": 19}
# Steps are held to this fraction of the tolerance, so that the solution's error, which adds up over them, is within it.
SAFETY = 1e-2
# Order 8 costs as much as order 5 at this tolerance of a step and less below it (benchmarks/full_flow.py).
ORDER_8_BELOW = 1e-5
# Evaluations, by the estimate of `chosen_method`, above which steps are called limited by stability; and the tolerance
# of a step down to which the stabilised method, of order 4, is worth it.
STIFF = 2000.0
STABILISED_FROM = 1e-9


@dataclass(frozen=True)
class FullSolution:
    """Whole matrices at each output time.

    Attributes
    ----------
    times : array (T,)
    states : array (T, (V + m) d), W by rows and then F^T by rows
    loss : array (T,), without ridge
    flow : FullFlow
    evaluations : int
    method : str
    """

    times: np.ndarray
    states: np.ndarray = field(repr=False)
    loss: np.ndarray
    flow: FullFlow = field(repr=False)
    evaluations: int
    method: str

    @property
    def W(self) -> np.ndarray:
        """W (T, V, d)."""
        return self.states[:, : self.flow.V * self.flow.d].reshape(-1, self.flow.V, self.flow.d)

    @property
    def F(self) -> np.ndarray:
        """Features by rows, (T, m, d)."""
        return self.states[:, self.flow.V * self.flow.d :].reshape(-1, self.flow.m, self.flow.d)

    @property
    def H(self) -> np.ndarray:
        """What enters the logits, by rows, (T, m, d)."""
        if self.flow.flow.model.constraint != "normalized":
            return self.F
        return self.F * (np.sqrt(self.flow.d) / np.linalg.norm(self.F, axis=2, keepdims=True))


def integrate_full(
    flow: MatrixFlow,
    W0: np.ndarray,
    F0: np.ndarray,
    times: np.ndarray,
    rtol: float,
    atol: float,
    *,
    device: str = "cpu",
    dtype: str = "float64",
    method: str | None = None,
    progress: Progress | None = None,
) -> FullSolution:
    """Integrate the flow from W0 (V, d) and F0 (d, m).

    Parameters
    ----------
    flow : MatrixFlow
    times : array (T,), increasing, from 0 on
    rtol, atol : tolerances on the solution; atol is lowered to rtol times the typical size of the start
    device : "cpu" or "cuda"
    dtype : "float64", "float32", or "tf32" (float32 with products in TF32, on "cuda" alone)
    method : "dp5", "dop853", "stabilised", "auto", None to have one chosen, or "steady" for the state at one late time,
        where the flow has come to rest (`steady_state`)

    Returns
    -------
    FullSolution

    Raises
    ------
    InputError
        For a device that cannot be had, a precision that cannot hold the tolerances, more memory than there is.
    IntegrationError
        When the tolerances cannot be met; says when.
    """
    check_tolerances(rtol, atol)
    check_dtype(dtype, device)
    precision = "float32" if dtype == "tf32" else dtype
    least = max(SMALLEST_RTOL, ROUND_OFFS * float(np.finfo(precision).eps))
    if rtol < least:
        raise InputError(f"rtol: {rtol} is below {least:.2g}, what {precision} can hold; raise it, or use float64.")
    tight = max(rtol * SAFETY, least)
    method = chosen_method(flow, float(times[-1]), tight) if method is None else _known(method, times)
    place = open_device(device)
    d, itemsize = W0.shape[1], np.dtype(precision).itemsize
    needed = layout_of(flow, d, itemsize, place.chunk_bytes).memory(itemsize, VECTORS[method], len(times))
    host = place.free_memory() if device == "cpu" else open_device("cpu").free_memory()
    check_memory(needed, device, place.free_memory(), host, len(times), dtype)

    states = np.empty((len(times), W0.size + F0.size), precision)
    losses = np.empty(len(times))
    typical = min((float(np.sqrt(np.mean(X**2))) for X in (W0, F0) if np.any(X)), default=np.inf)
    lowered = SAFETY * min(atol, rtol * typical)
    with place.running(tf32=dtype == "tf32"):
        full = FullFlow(flow, d, place, precision)
        saved = iter(range(len(times)))

        def save(t: float, y: Any) -> None:
            i = next(saved)
            states[i], losses[i] = place.to_host(y), full.loss(y)

        rhs = place.recorded(full.rhs) if _launch_bound(full) else full.rhs
        keep: dict[str, Any] = {"rtol": tight, "atol": lowered, "progress": progress, "save": save}
        y0 = full.state(W0, F0)
        if method == "steady":
            found = steady_state(rhs, y0, float(times[0]), **keep)
        else:
            found = solve(rhs, y0, times, method=method, **keep)
    return FullSolution(times, states, losses, full, found.evaluations, method)


def chosen_method(flow: MatrixFlow, end: float, rtol: float) -> str:
    """The method that takes fewest evaluations: "auto" where stability will limit explicit steps, else by the tolerance.

    With a ridge the flow settles where its fastest rate is some ten times the ridge, and it is held there by stability
    until the end: explicit steps then cost about 20 kernel ridge t evaluations.  Cross-entropy without a ridge never
    settles, and its fastest rate falls like 1 / t.
    """
    model = flow.model
    kernels = [k for k in (flow.kernel, flow.label_kernel) if isinstance(k, StructuredKernel)]
    fastest = max(max(k.eigenvalues.values()) for k in kernels)
    rate = 10 * max(flow.ridge) + (2 * flow.scale if model.loss == "mse" else 0.0)
    if 2 * fastest * rate * end > STIFF and rtol >= STABILISED_FROM:
        return "auto"
    return "dop853" if rtol < ORDER_8_BELOW else "dp5"


def _known(method: str, times: np.ndarray) -> str:
    if method == "steady":
        if len(times) != 1 or not times[0] > 0:
            raise InputError(f"t: {len(times)} output times with method 'steady'; give one, [end], by which it has settled.")
    elif method not in METHODS:
        names = ", ".join((*METHODS, "steady"))
        raise InputError(f"method: {method!r} is none of {names}; choose one, or None to have one chosen.")
    return method


def _launch_bound(full: FullFlow) -> bool:
    return 6.0 * full.V * full.m * full.d < LAUNCH_BOUND
