"""How near to its three matrix products does the flow of whole matrices come, and in how many evaluations?

Run: python benchmarks/full_flow.py [--cases S,L,ridge] > benchmarks/results/full_flow.json
Peers (pip install diffrax jax torchdiffeq torch) that are missing are named in the rows.  Each row is a process of its
own on one core, one thread; CPU time, the best of some solutions (compiled before where compiled at all); the floor,
three products of the same sizes by NumPy's BLAS, as often as the solution has evaluations, is taken between them, the
best of as many, so that neighbours on a shared machine disturb both alike.  Memory: the peak of the
process less what it had before its first solution, so that JAX's holds its compiler.

Cross-entropy, one-hot, identity kernels, independent starts of 1e-3.  S: V = m = 256, d = 128; L: V = m = 1024,
d = 256; both ridge 1e-5, t <= 1e4, tolerances 1e-6 and 1e-9.  ridge: S with ridge 1e-3 to t = 1e6, where stability
limits explicit steps.  The error is the largest beside the largest entry, against SciPy's DOP853 at 1e-11 and 1e-13.
Tolerances are those of a step.  Our step control aims at a smaller error than SciPy's at the same tolerance, so that
rows of ours at 1e-5 stand beside the others' at 1e-6.

Predicted, from the times of the parts on a shared machine: S 1.35 times the floor (1.2 of them the rate), L 1.15; at
equal error as many evaluations as SciPy's RK45, whose pair it is; memory 8 states and the logits (8 and 46 MB).
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")} | {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1", "JAX_PLATFORMS": "cpu",
}  # fmt: skip
CASES = {
    "S": {"n": 256, "d": 128, "ridge": 1e-5, "end": 1e4, "formula": "a[16] * b[16]"},
    "L": {"n": 1024, "d": 256, "ridge": 1e-5, "end": 1e4, "formula": "a[32] * b[32]"},
    "ridge": {"n": 256, "d": 128, "ridge": 1e-3, "end": 1e6, "formula": "a[16] * b[16]"},
}
REPEATS = {"S": 2, "L": 2, "ridge": 1}
METHODS = {
    "S": ["ours dp5 1e-6", "ours dp5 1e-5", "ours dop853 1e-4", "scipy RK45", "scipy DOP853", "diffrax Tsit5",
          "diffrax Dopri8", "torchdiffeq dopri5"],
    "L": ["ours dp5 1e-6", "ours dp5 1e-5", "ours dop853 1e-4", "scipy RK45", "scipy DOP853", "diffrax Tsit5",
          "torchdiffeq dopri5"],
    "ridge": ["ours auto 1e-6", "ours stabilised 1e-6", "ours simulate", "scipy DOP853"],
}  # fmt: skip


def start(case):
    """W (n, d) and H (d, n)."""
    import numpy as np

    random = np.random.default_rng(0)
    return 1e-3 * random.standard_normal((case["n"], case["d"])), 1e-3 * random.standard_normal((case["d"], case["n"]))


def plain_rate(case):
    """The rate in NumPy with its own buffers, as a careful user writes it for SciPy: y = (W, H) -> dy/dt."""
    import numpy as np

    n, d, ridge = case["n"], case["d"], case["ridge"]
    Z, diagonal = np.empty((n, n)), np.arange(n)

    def rate(t, y):
        W, H = y[: n * d].reshape(n, d), y[n * d :].reshape(d, n)
        np.matmul(W, H, out=Z)
        np.subtract(Z, Z.max(axis=0), out=Z)
        np.exp(Z, out=Z)
        np.multiply(Z, 1 / (n * Z.sum(axis=0)), out=Z)
        Z[diagonal, diagonal] -= 1 / n
        out = np.multiply(y, -ridge)
        dW, dH = out[: n * d].reshape(n, d), out[n * d :].reshape(d, n)
        dW -= Z @ H.T
        dH -= W.T @ Z
        return out

    return rate


def ours(case, words):
    """Our rate and integrator."""
    import numpy as np

    from ufmflow.numerics.full_flow import FullFlow
    from ufmflow.numerics.full_solution import integrate_full
    from ufmflow.numerics.matrices import MatrixFlow
    from ufmflow.numerics.solve import solve
    from ufmflow.theory.model import UFM

    flow = MatrixFlow.of(UFM(case["formula"], width=case["d"], ridge=case["ridge"]))
    W, H = start(case)
    if words == ["simulate"]:  # the tolerance is the solution's, the method is chosen

        def run():
            found = integrate_full(flow, W, H, np.array([case["end"]]), 1e-6, 1e-9)
            return found.W[0], found.F[0].T, found.evaluations

        return run
    method, rtol = words[0], float(words[1])
    full = FullFlow(flow, case["d"])

    def run():
        found = solve(full.rhs, full.state(W, H), [case["end"]], method=method, rtol=rtol, atol=1e-3 * rtol)
        W1, F1 = full.split(found.states[0])
        return W1, F1.T, found.evaluations

    return run


def scipy(case, words, rtol=1e-6, atol=1e-9):
    """solve_ivp on the plain rate."""
    import numpy as np
    from scipy.integrate import solve_ivp

    W, H = start(case)
    rate, y0 = plain_rate(case), np.concatenate([W.ravel(), H.ravel()])

    def run():
        found = solve_ivp(rate, (0.0, case["end"]), y0, words[0], [case["end"]], rtol=rtol, atol=atol)
        y = found.y[:, -1]
        return y[: W.size].reshape(W.shape), y[W.size :].reshape(H.shape), found.nfev

    return run


def diffrax(case, words):
    """diffrax, compiled, on a pair of matrices."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    n, ridge = case["n"], case["ridge"]

    def rate(t, y, args):
        W, H = y
        G = (jax.nn.softmax(W @ H, axis=0) - jnp.eye(n)) / n
        return -(G @ H.T) - ridge * W, -(W.T @ G) - ridge * H

    solver = getattr(diffrax, words[0])()
    control = diffrax.PIDController(rtol=1e-6, atol=1e-9)

    @jax.jit
    def integrate(y0):
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(rate), solver, 0.0, case["end"], None, y0, stepsize_controller=control, max_steps=100_000
        )
        return found.ys, found.stats["num_steps"]

    y0 = tuple(map(jnp.asarray, start(case)))
    stages = {"Tsit5": 6, "Dopri8": 13}[words[0]]

    def run():
        (W, H), steps = jax.block_until_ready(integrate(y0))
        return W[0], H[0], stages * int(steps) + 2

    return run


def torchdiffeq(case, words):
    """torchdiffeq on a pair of matrices."""
    import torch
    from torchdiffeq import odeint

    torch.set_num_threads(1)
    n, ridge, count = case["n"], case["ridge"], [0]
    eye = torch.eye(n, dtype=torch.float64)

    def rate(t, y):
        count[0] += 1
        W, H = y
        G = (torch.softmax(W @ H, dim=0) - eye) / n
        return -(G @ H.T) - ridge * W, -(W.T @ G) - ridge * H

    y0 = tuple(torch.from_numpy(x) for x in start(case))
    t = torch.tensor([0.0, case["end"]], dtype=torch.float64)

    def run():
        count[0] = 0
        with torch.no_grad():
            W, H = odeint(rate, y0, t, rtol=1e-6, atol=1e-9, method=words[0])
        return W[-1].numpy(), H[-1].numpy(), count[0]

    return run


def floor_of(case, evaluations):
    """A call that makes the three products of a rate as often as a solution does."""
    import numpy as np

    W, H = start(case)
    Z, dW, dH = np.empty((case["n"],) * 2), np.empty_like(W), np.empty_like(H)

    def products():
        for _ in range(evaluations):
            np.matmul(W, H, out=Z)
            np.matmul(Z, H.T, out=dW)
            np.matmul(W.T, Z, out=dH)

    return products


def seconds(call):
    """CPU seconds of a call."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def measure(case_name, method, reference):
    """One row."""
    import numpy as np

    case, (kind, *words) = CASES[case_name], method.split()
    try:
        run = {"ours": ours, "scipy": scipy, "diffrax": diffrax, "torchdiffeq": torchdiffeq}[kind](case, words)
    except ImportError as error:
        return {"case": case_name, "method": method, "missing": str(error)}
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    W, H, evaluations = run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    found = np.concatenate([np.ravel(W), np.ravel(H)])
    floor, times, floors = floor_of(case, evaluations), [], []
    for _ in range(REPEATS[case_name]):
        times.append(seconds(run))
        floors.append(seconds(floor))
    expected = np.load(reference)
    return {
        "case": case_name, "method": method, "evaluations": int(evaluations), "cpu_s": round(min(times), 3),
        "floor_ms": round(1e3 * min(floors) / evaluations, 3), "times_floor": round(min(times) / min(floors), 3),
        "peak_mb": round(peak / 1e6, 1), "error": float(f"{np.abs(found - expected).max() / np.abs(expected).max():.1e}"),
    }  # fmt: skip


def parts(case_name):
    """Where an evaluation's time goes, in units of its three products: the rate, and the vectors of a dp5 step."""
    import numpy as np

    from ufmflow.numerics.explicit_pairs import PairSteps
    from ufmflow.numerics.full_flow import FullFlow
    from ufmflow.numerics.matrices import MatrixFlow
    from ufmflow.numerics.tableaux import DORMAND_PRINCE_5
    from ufmflow.numerics.vectors import NumpyVectors
    from ufmflow.theory.model import UFM

    case = CASES[case_name]
    full = FullFlow(MatrixFlow.of(UFM(case["formula"], width=case["d"], ridge=case["ridge"])), case["d"])
    y = full.state(*start(case))
    ops, rate, stages = NumpyVectors(full.size, np.dtype("float64")), np.empty_like(y), 6
    steps = PairSteps(DORMAND_PRINCE_5, lambda t, y, out: None, ops, 1e-6, 1e-9)
    steps.begin(0.0, y, full.rhs(0.0, y, rate) or rate)
    steps.h = 1e-3
    for i in range(1, stages + 1):
        steps._stage(i)[:] = rate  # rates of a usual size in every stage
    again = 40
    calls = {
        "rate": (lambda: [full.rhs(0.0, y, rate) for _ in range(stages)]),
        "stages": (lambda: [steps._argument(i) for i in range(1, stages + 1)]),
        "error": (lambda: steps._error()),
        "floor": floor_of(case, stages),
    }
    best = {name: min(seconds(call) for _ in range(again)) for name, call in calls.items()}
    return {"case": case_name, **{name: round(best[name] / best["floor"], 3) for name in ("rate", "stages", "error")}}


def make_reference(case_name, path):
    """Save the state at the end by SciPy at tight tolerances; where it settles, from stopping sooner."""
    import numpy as np

    case = CASES[case_name]
    if case_name == "ridge":
        # By t = 1e5 what remains of the way is e^-100 (rates are at least the ridge): the end is the same.
        case = case | {"end": 1e5}
    W, H, _ = scipy(case, ["DOP853"], 1e-11, 1e-13)()
    np.save(path, np.concatenate([W.ravel(), H.ravel()]))


def main():
    """Run every row in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", default="S,L,ridge")
    parser.add_argument("--row", nargs=3, metavar=("CASE", "METHOD", "REFERENCE"))
    parser.add_argument("--reference", nargs=2, metavar=("CASE", "FILE"))
    parser.add_argument("--parts", metavar="CASE")
    arguments = parser.parse_args()
    if arguments.reference:
        make_reference(*arguments.reference)
        return
    if arguments.parts:
        print(json.dumps(parts(arguments.parts)))
        return
    if arguments.row:
        print(json.dumps(measure(*arguments.row)))
        return
    from ufmflow.numerics.trajectory import versions

    core = max(os.sched_getaffinity(0))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in arguments.cases.split(","):
            reference = os.path.join(folder, f"{case}.npy")
            child(core, "--reference", case, reference)
            for method in METHODS[case]:
                rows.append(json.loads(child(core, "--row", case, method, reference)))
                print(rows[-1], file=sys.stderr)
    found = {"date": date.today().isoformat(), "machine": platform.processor() or platform.machine(),
             "cores": os.cpu_count(), "load": os.getloadavg()[0], "versions": versions() | peers(), "rows": rows,
             "parts": [json.loads(child(core, "--parts", case)) for case in arguments.cases.split(",") if case != "ridge"],
             }  # fmt: skip
    print(json.dumps(found, indent=1))


def child(core, *arguments):
    """Run this script on one core, with one thread."""
    command = [sys.executable, os.path.abspath(__file__), *arguments]
    pin = lambda: os.sched_setaffinity(0, {core})
    return subprocess.run(command, env=os.environ | ONE_THREAD, preexec_fn=pin, check=True, stdout=subprocess.PIPE).stdout


def peers():
    """Versions of the peers that are there."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("diffrax", "jax", "torchdiffeq", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
