"""How many evaluations does each integrator take for a given error, on the DETEST problems and on our flows?

Run: python benchmarks/work_precision.py [figure.svg] > benchmarks/results/work_precision.json
One thread.  Peers: SciPy's RK45, DOP853 and LSODA.  Evaluations do not depend on the machine; times are not taken.

Predictions before measuring: our pairs take what SciPy's take, within 10%, for they have the same coefficients and a
smoother control; where a ridge limits explicit steps by stability, "auto" takes a tenth; the row of 256 labels settles
within 1,500 evaluations.

Errors.  DETEST: at t = 20, in units of the largest entry there or at the start, geometric mean over the problems.  Flows: the
largest, over output times, of |y - y_ref| / |y_ref|.  The row of 256 labels: of the steady state, by what a rotation of
the d coordinates leaves as it is (the Gram matrix of W and H, the loss), and of the path.  References are by order 8
at tolerances of 1e-13, 1e-12, 1e-10 and, for 256 labels, 1e-6.
"""

import json
import platform
import sys
from datetime import date

import numpy as np
from detest import END, PROBLEMS
from scipy.integrate import solve_ivp
from ufmflow.numerics.full_flow import FullFlow
from ufmflow.numerics.matrices import MatrixFlow
from ufmflow.numerics.solve import solve
from ufmflow.numerics.steady_state import steady_state
from ufmflow.numerics.trajectory import versions
from ufmflow.theory.model import UFM

PEERS = {"scipy RK45": "RK45", "scipy DOP853": "DOP853", "scipy LSODA": "LSODA"}


def in_place(rhs):
    """rhs(t, y, out) of rhs(t, y)."""

    def write(t, y, out):
        out[:] = rhs(t, y)

    return write


def ours(rhs, start, times, method, rtol, atol):
    """Evaluations and states (T, n) by `solve`."""
    found = solve(rhs, start, times, method=method, rtol=rtol, atol=atol)
    return found.evaluations, np.stack(found.states)


def peer(rhs, start, times, method, rtol, atol):
    """Evaluations and states (T, n) by SciPy."""
    found = solve_ivp(rhs, (0.0, times[-1]), start, method=PEERS[method], t_eval=times, rtol=rtol, atol=atol)
    return found.nfev, found.y.T


def detest():
    """For each method and tolerance: evaluations in all, and the geometric mean of errors."""
    references = {}
    for name, (rhs, start) in PROBLEMS.items():
        y = ours(in_place(rhs), np.array(start), [END], "dop853", 1e-13, 1e-14)[1][-1]
        check = peer(rhs, start, [END], "scipy DOP853", 1e-12, 1e-14)[1][-1]
        size = max(np.abs(y).max(), np.abs(start).max())
        assert np.abs(y - check).max() < 1e-8 * size, name
        references[name] = y, size
    rows = []
    for method in ("dp5", "dop853", *PEERS):
        for rtol in (1e-3, 1e-5, 1e-7, 1e-9):
            evaluations, logs = 0, []
            for name, (rhs, start) in PROBLEMS.items():
                run, f = (peer, rhs) if method in PEERS else (ours, in_place(rhs))
                count, y = run(f, np.array(start), [END], method, rtol, rtol)
                reference, size = references[name]
                evaluations += count
                logs.append(np.log(max(np.abs(y[-1] - reference).max() / size, 1e-15)))
            rows.append(row(method, rtol, evaluations, np.exp(np.mean(logs))))
    return rows


def row(method, rtol, evaluations, error, **more):
    """One point of a curve."""
    return {"method": method, "rtol": rtol, "evaluations": int(evaluations), "error": float(f"{error:.3g}"), **more}


def random_flow(sizes, width, ridge):
    """The flow of one-hot cross-entropy with identity kernels, and a random start of size 1e-3."""
    full = FullFlow(MatrixFlow.of(UFM(f"a[{sizes}] * b[{sizes}]", ridge=ridge)), width=width)
    return full, 1e-3 * np.random.default_rng(0).standard_normal(full.size)


def flow(sizes, width, ridge, end, methods, reference):
    """Points of each method on one flow."""
    full, start = random_flow(sizes, width, ridge)
    times = np.geomspace(1e-3 * end, end, 16)

    def rates(t, y):
        out = np.empty_like(y)
        full.rhs(t, y, out)
        return out

    exact = ours(full.rhs, start, times, *reference)[1]
    rows = []
    for method in methods:
        for rtol in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
            run, f = (peer, rates) if method in PEERS else (ours, full.rhs)
            count, y = run(f, start, times, method, rtol, 1e-3 * rtol)
            rows.append(
                row(method, rtol, count, (np.linalg.norm(y - exact, axis=1) / np.linalg.norm(exact, axis=1)).max())
            )
    return rows


def target():
    """256 labels and contexts in 128 dimensions, ridge 1e-3, until t = 1e6: evaluations and errors of the steady state."""
    full, start = random_flow(16, 128, 1e-3)
    times = np.geomspace(10.0, 1e6, 11)

    def gram(y):
        rows = y.reshape(-1, full.d)
        return rows @ rows.T

    peer_count, exact = ours(full.rhs, start, times, "dop853", 1e-6, 1e-9)
    expected, loss = gram(exact[-1]), full.loss(exact[-1])
    rows = [{"method": "dop853", "rtol": 1e-6, "evaluations": peer_count, "reference": True}]
    for method, rtol in (("auto", 3e-3), ("auto", 2e-3), ("auto", 1e-3), ("auto", 1e-4)):
        count, y = ours(full.rhs, start, times, method, rtol, 1e-3 * rtol)
        apart = np.linalg.norm(gram(y[-1]) - expected) / np.linalg.norm(expected)
        path = (np.linalg.norm(y - exact, axis=1) / np.linalg.norm(exact, axis=1)).max()
        rows.append(
            row(method, rtol, count, apart, loss_error=abs(full.loss(y[-1]) / loss - 1), path_error=float(path))
        )
    found = steady_state(full.rhs, start, times[-1], rtol=1e-6, atol=1e-9)
    apart = np.linalg.norm(gram(found.states[0]) - expected) / np.linalg.norm(expected)
    loss_error = abs(full.loss(found.states[0]) / loss - 1)
    rows.append(row("steady", 1e-6, found.evaluations, apart, loss_error=loss_error))
    return rows


def draw(results, out):
    """Work-precision curves of the three sets."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    titles = {
        "detest": "DETEST, 24 problems",
        "flow": "flow, ridge 1e-5, t ≤ 1e4",
        "stiff_flow": "flow, ridge 1e-2, t ≤ 1e5",
    }
    titles = {name: title for name, title in titles.items() if name in results}
    fig, axes = plt.subplots(1, len(titles), figsize=(4 * len(titles), 4), layout="constrained")
    methods = list(dict.fromkeys(point["method"] for name in titles for point in results[name]))
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for i, method in enumerate(methods):
            points = [p for p in results[name] if p["method"] == method]
            style = {"linestyle": "--", "marker": "x"} if method in PEERS else {"marker": "o", "markersize": 4}
            if points:
                x, y = ([p[key] for p in points] for key in ("error", "evaluations"))
                ax.loglog(x, y, color=f"C{i}", label=method, **style)
        ax.set(title=title, xlabel="error", ylabel="evaluations")
        ax.invert_xaxis()
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small")
    fig.savefig(out)


if __name__ == "__main__":
    pairs = ("dp5", "dop853", "scipy RK45", "scipy DOP853")
    results = {
        "detest": detest(),
        "flow": flow(6, 24, 1e-5, 1e4, (*pairs, "auto"), ("dop853", 1e-12, 1e-15)),
        "stiff_flow": flow(6, 24, 1e-2, 1e5, (*pairs, "rkc", "stabilised", "auto"), ("dop853", 1e-10, 1e-13)),
        "256_labels": target(),
    }
    if len(sys.argv) > 1:
        draw(results, sys.argv[1])
    about = {"date": date.today().isoformat(), "machine": platform.machine(), "versions": versions()}
    print(json.dumps({**about, **results}, indent=1))
