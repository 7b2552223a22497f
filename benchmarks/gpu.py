"""How near to its three matrix products does the flow of whole matrices come on a GPU, and beside its peers there?

Run: python benchmarks/gpu.py --out benchmarks/results/gpu.json, or `make bench-gpu`.  Needs a GPU with numpy, scipy,
sympy, xarray and CuPy; peers (diffrax with jax on the GPU, torchdiffeq with torch) are named as missing where they are.
Wall time between synchronisations, the best of three after a solution that warms up; the floor is three products of the
same sizes by cuBLAS.  Predicted for an H200: V = m = 8192, d = 512, float64: 1.1 times the floor, as a pass over the
logits reads and writes 1.6 GB (0.35 ms) beside products of 3.5 ms; V = m = 256, d = 128: bound by launches, of which
graphs leave a fifth; V = m = 131,072, d = 256 in float32: less than 8 GiB.  None of it has been measured yet.
"""

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.gpu.offline import prepare

prepare()

import numpy as np  # noqa: E402

from ufmflow.numerics.devices import open_device  # noqa: E402
from ufmflow.numerics.full_flow import FullFlow  # noqa: E402
from ufmflow.numerics.full_solution import integrate_full  # noqa: E402
from ufmflow.numerics.matrices import MatrixFlow  # noqa: E402
from ufmflow.numerics.solve import solve  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402
from ufmflow.theory.model import UFM  # noqa: E402

CASES = {
    "small": ("a[16] * b[16]", 128, "float64"),
    "medium": ("a[32] * b[32]", 256, "float64"),
    "large": ("a[128] * b[64]", 512, "float64"),
    "large, float32": ("a[128] * b[64]", 512, "float32"),
    "large, TF32": ("a[128] * b[64]", 512, "tf32"),
}
RTOL, ATOL, END, RIDGE = 1e-6, 1e-9, 1e4, 1e-5


def start(formula, d):
    """W (V, d) and H (d, V): independent normal entries of 1e-3."""
    n, random = int(UFM(formula).contexts), np.random.default_rng(0)
    return 1e-3 * random.standard_normal((n, d)), 1e-3 * random.standard_normal((d, n))


def best(call, wait, repeats=3):
    """Seconds of a call until the device has done it, the best of some after one that warms up."""
    call()
    wait()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - begin)
    return min(times)


def ours(case, repeats=20):
    """A rate, plain and recorded, and a solution, beside the floor."""
    formula, d, dtype = CASES[case]
    device = open_device("cuda")
    xp, precision = device.xp, "float32" if dtype == "tf32" else dtype
    wait = lambda: xp.cuda.get_current_stream().synchronize()
    W, H = start(formula, d)
    with device.running(tf32=dtype == "tf32"):
        flow = MatrixFlow.of(UFM(formula, width=d, ridge=RIDGE))
        full = FullFlow(flow, d, device, precision)
        y, out = full.state(W, H), full.state(W, H)
        A, B = full.split(y)
        Z, dA, dB = xp.empty((len(B), len(A)), precision), xp.empty_like(A), xp.empty_like(B)

        def products():
            for _ in range(repeats):
                device.product(B, A.T, Z)
                device.product(Z.T, B, dA)
                device.product(Z, A, dB)

        def rates(rhs):
            return lambda: [rhs(0.0, y, out) for _ in range(repeats)]

        floor = best(products, wait) / repeats
        row = {"case": case, "V": len(A), "d": d, "dtype": dtype, "floor_ms": 1e3 * floor,
               "rate_times_floor": best(rates(full.rhs), wait) / repeats / floor}  # fmt: skip
        recorded = device.recorded(full.rhs)
        row["recorded_rate_times_floor"] = best(rates(recorded), wait) / repeats / floor
        row["replays"] = getattr(recorded, "replays", 0)
        rtol = max(RTOL, 1.2e-6 if precision == "float32" else 0.0)
        found = []
        for name, rhs in (("solution", full.rhs), ("recorded_solution", recorded)):
            run = lambda rhs=rhs: found.append(solve(rhs, y, [END], method="dp5", rtol=rtol, atol=ATOL))
            row[f"{name}_s"] = best(run, wait)
            row["evaluations"] = found[-1].evaluations
            row[f"{name}_times_floor"] = row[f"{name}_s"] / found[-1].evaluations / floor
    return row


def largest():
    """Peak of the device's memory for V = m = 131,072, d = 256 in float32, to a short time."""
    device = open_device("cuda")
    pool = device.xp.get_default_memory_pool()
    pool.free_all_blocks()
    flow = MatrixFlow.of(UFM("a[512] * b[256]", width=256, ridge=RIDGE))
    W, H = start("a[512] * b[256]", 256)
    begin = time.perf_counter()
    found = integrate_full(flow, W, H, np.array([1e3]), 1e-3, 1e-5, device="cuda", dtype="float32", method="dp5")
    seconds = time.perf_counter() - begin
    return {"case": "V = m = 131,072, d = 256, float32", "seconds": seconds, "evaluations": found.evaluations,
            "peak_gib": pool.total_bytes() / 2**30}  # fmt: skip


def diffrax(case):
    """diffrax Tsit5 on the same GPU."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    if jax.default_backend() != "gpu":
        raise ImportError(f"jax has the backend {jax.default_backend()!r} and no GPU")
    formula, d, dtype = CASES[case]
    y0 = tuple(jnp.asarray(x, dtype=dtype) for x in start(formula, d))
    n = y0[0].shape[0]
    labels = jnp.arange(n)

    def rate(t, y, args):
        W, H = y
        G = (jax.nn.softmax(W @ H, axis=0).at[labels, labels].add(-1.0)) / n
        return -(G @ H.T) - RIDGE * W, -(W.T @ G) - RIDGE * H

    @jax.jit
    def integrate(y0):
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(rate), diffrax.Tsit5(), 0.0, END, None, y0, max_steps=100_000,
            stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=ATOL),
        )  # fmt: skip
        return found.ys, found.stats["num_steps"]

    steps = []
    seconds = best(lambda: steps.append(jax.block_until_ready(integrate(y0))[1]), lambda: None)
    return {"case": case, "method": "diffrax Tsit5", "solution_s": seconds, "evaluations": 6 * int(steps[-1]) + 2}


def torchdiffeq(case):
    """torchdiffeq dopri5 on the same GPU."""
    import torch
    from torchdiffeq import odeint

    if not torch.cuda.is_available():
        raise ImportError("torch sees no GPU")
    formula, d, dtype = CASES[case]
    y0 = tuple(torch.from_numpy(x).to("cuda", getattr(torch, dtype)) for x in start(formula, d))
    n, count = len(y0[0]), [0]

    def rate(t, y):
        count[0] += 1
        W, H = y
        G = torch.softmax(W @ H, dim=0)
        G.diagonal().sub_(1.0)
        G /= n
        return -(G @ H.T) - RIDGE * W, -(W.T @ G) - RIDGE * H

    t = torch.tensor([0.0, END], dtype=y0[0].dtype, device="cuda")

    def run():
        count[0] = 0
        with torch.no_grad():
            odeint(rate, y0, t, rtol=RTOL, atol=ATOL, method="dopri5")

    return {"case": case, "method": "torchdiffeq dopri5", "solution_s": best(run, torch.cuda.synchronize),
            "evaluations": count[0]}  # fmt: skip


def main():
    """Every row; written only when all are there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    try:
        cupy = open_device("cuda").xp
    except InputError as error:
        sys.exit(f"not measured: {error}")
    rows = [ours(case) for case in CASES] + [largest()]
    for peer in (diffrax, torchdiffeq):
        for case in ("small", "large"):
            try:
                rows.append(peer(case))
            except ImportError as error:
                rows.append({"case": case, "method": peer.__name__, "missing": str(error)})
    found = {"date": date.today().isoformat(), "gpu": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(),
             "versions": {"cupy": cupy.__version__, "numpy": np.__version__,
                          "cuda": cupy.cuda.runtime.runtimeGetVersion()}, "rows": rows}  # fmt: skip
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
