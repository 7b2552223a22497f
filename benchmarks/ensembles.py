"""What does one of many reduced trajectories cost, beside diffrax, heyoka, numba and SciPy on the same equations?

Run: taskset -c 0 python benchmarks/ensembles.py > benchmarks/results/ensembles.json
Peers that are not installed are left out: pip install diffrax heyoka numba.  CPU time of one core, best of some runs,
compilation apart.  Problem: a[3] * b[4] * c[5], 8 modes (16 numbers) with softmax, every kernel and the ridge random,
start 1e-3, atol 1e-9, t <= 1e4.  Error: the largest over members of |y - exact| / |largest mode|, at the end.

Predicted, from 25 cycles for each evaluation of a lane (98 products, 8 exponentials in vectors of 8) and 60 steps of 6
evaluations: native 4 us; numpy 50 us, of the order of its 30 ns for each evaluation.  Lanes that are refilled: more than
0.95 of them at work.  The flow's cost does not know V: ratio of a step's time over V = 10^2 ... 10^9 at most 1.05.
"""

import json
import os
import platform
import sys
import time
from dataclasses import replace
from datetime import date
from importlib.metadata import PackageNotFoundError, version

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", XLA_FLAGS="--xla_cpu_multi_thread_eigen=false")

import numpy as np
from scipy.integrate import solve_ivp

import ufmflow as uf
from ufmflow.numerics import ensemble_native, ensemble_numpy
from ufmflow.numerics.ensemble import _index
from ufmflow.numerics.ensemble_equations import Shift, equations_of, text
from ufmflow.numerics.ensemble_members import Members
from ufmflow.numerics.ensemble_problem import Problem
from ufmflow.numerics.modes import compile_modes, template_of
from ufmflow.numerics.tableaux import DORMAND_PRINCE_5
from ufmflow.numerics.trajectory import versions

MEMBERS, END, ATOL = 10**4, 1e4, 1e-9
FORMULA = "a[3] * b[4] * c[5]"


def problem_of(formula=FORMULA, members=MEMBERS, rtol=1e-6, end=END, watched=False, method="explicit", ridge=1e-5):
    model = uf.UFM(formula, ridge=ridge)
    random = np.random.default_rng(0)
    varied = {f"feature_kernel.{A}": np.exp(random.uniform(0, 1.5, members)) for A in model.attributes.names[1:]}
    varied["ridge"] = ridge * 10 ** random.uniform(-1, 0.5, members)
    found = Members.of(model, varied, 1e-3, False)
    index = _index(model, found.start) if watched else None
    equations = equations_of(template_of(model), "sgd")
    atol = np.full(members, ATOL * rtol / 1e-6)
    return Problem(equations, found.start, found.parameters, end, np.empty(0), rtol, atol, index, method)


def part(problem, members):
    return replace(
        problem, start=problem.start[:, :members], parameters=problem.parameters[:, :members],
        atol=problem.atol[:members],
    )  # fmt: skip


def timed(call, repeats=5):
    """The result, and the least CPU seconds of some calls after a first one."""
    found, best = call(), np.inf
    for _ in range(repeats):
        start = time.process_time()
        found = call()
        best = min(best, time.process_time() - start)
    return found, best


def row(name, problem, states, seconds, exact, **more):
    members = problem.members
    wrong = np.abs(states - exact[:, :members]).max(axis=0) / np.abs(exact[:, :members]).max(axis=0)
    result = {"engine": name, "rtol": problem.rtol, "members": members, "microseconds": seconds / members * 1e6,
              "error_max": float(wrong.max()), "error_median": float(np.median(wrong))}  # fmt: skip
    print(result | more, file=sys.stderr, flush=True)
    return result | more


def ours(exact):
    for rtol in (1e-6, 3e-7, 1e-8, 3e-9):
        for watched in (False, True):
            problem = problem_of(rtol=rtol, watched=watched)
            found, seconds = timed(lambda problem=problem: ensemble_native.run(problem))
            lanes = 8 * found.attempts
            yield row("ufmflow native", problem, found.state, seconds, exact, window=watched,
                      steps=float(found.steps.mean()), lanes_at_work=float((found.steps.sum() + MEMBERS) / lanes))  # fmt: skip
    problem = problem_of(method="rosenbrock")
    problem = part(problem, 2000)
    found, seconds = timed(lambda: ensemble_native.run(problem), 3)
    yield row("ufmflow native, rosenbrock", problem, found.state, seconds, exact, steps=float(found.steps.mean()))
    problem = part(problem_of(), 4096)
    found, seconds = timed(lambda: ensemble_numpy.run(problem), 3)
    yield row("ufmflow numpy", problem, found.state, seconds, exact, steps=float(found.steps.mean()))


def scipy_rows(exact):
    problem, model = part(problem_of(), 4), uf.UFM(FORMULA)
    modes = compile_modes(model)
    rates = [compile_modes_of(problem, i) for i in range(problem.members)]
    assert modes.rhs(problem.start[:, 0]).shape == (16,)
    for method in ("RK45", "LSODA"):

        def call(method=method):
            return np.stack([
                solve_ivp(lambda t, y, f=f: f(y), (0, END), problem.start[:, i], method, rtol=1e-6, atol=ATOL).y[:, -1]
                for i, f in enumerate(rates)
            ], axis=1)  # fmt: skip

        states, seconds = timed(call, 2)
        yield row(f"scipy {method}", problem, states, seconds, exact)


def compile_modes_of(problem, i):
    """The rates of one member, as `simulate` has them."""
    names = uf.Attributes(FORMULA).names
    p = problem.parameters[:, i]
    model = uf.UFM(FORMULA, feature_kernel=dict(zip(names, p[:8].tolist(), strict=True)), ridge=float(p[16]))
    return compile_modes(model).rhs


def scalar_source(equations, stack):
    """The rates as lines of Python on numbers: `rates(y, p)`, its results put through `stack`."""
    names = {x: f"y[{i}]" for i, x in enumerate(equations.state)}
    names |= {x: f"p[{i}]" for i, x in enumerate(equations.parameters)}
    lines = ["def rates(y, p):"]
    for i, (symbol, value) in enumerate(equations.rate_definitions):
        code = text(value, names.__getitem__)
        if isinstance(value, Shift):
            code = "0.0"
            for margin in value.args:
                code = f"MAX({code}, -{names[margin]})"
        lines.append(f"    v{i} = {code}")
        names[symbol] = f"v{i}"
    results = ", ".join(text(value, names.__getitem__) for value in equations.rates)
    return "\n".join([*lines, f"    return {stack.format(results)}"])


def diffrax_row(exact, solver):
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    problem = part(problem_of(), 500)
    scope = {"EXP": jnp.exp, "MAX": jnp.maximum, "jnp": jnp}
    exec(scalar_source(problem.equations, "jnp.stack([{}])"), scope)
    term = diffrax.ODETerm(lambda t, y, p: scope["rates"](y, p))
    control = diffrax.PIDController(rtol=1e-6, atol=ATOL)

    @jax.jit
    @jax.vmap
    def integrate(y, p):
        return diffrax.diffeqsolve(term, getattr(diffrax, solver)(), 0.0, END, None, y, p, stepsize_controller=control,
                                   saveat=diffrax.SaveAt(t1=True), max_steps=None).ys[0]  # fmt: skip

    y, p = jnp.array(problem.start.T), jnp.array(problem.parameters.T)
    states, seconds = timed(lambda: np.asarray(integrate(y, p).block_until_ready()), 3)
    return row(f"diffrax vmap {solver}", problem, states.T, seconds, exact)


def heyoka_row(exact, rtol):
    import heyoka as hy

    problem, lanes = part(problem_of(rtol=rtol), 2000), 8
    e = problem.equations
    variables = hy.make_vars(*(f"x{i}" for i in range(len(e.state))))
    scope = {"EXP": hy.exp, "y": variables, "p": [hy.par[i] for i in range(len(e.parameters))]}
    names = {x: scope["y"][i] for i, x in enumerate(e.state)} | {x: scope["p"][i] for i, x in enumerate(e.parameters)}
    # No maximum has a Taylor series; from this start margins stay positive, so that the shift is 0.
    for symbol, value in e.rate_definitions:
        names[symbol] = hy.expression(0.0) if isinstance(value, Shift) else _heyoka(value, names, hy)
    rates = [_heyoka(value, names, hy) for value in e.rates]
    system = [(x, rate) for x, rate in zip(variables, rates, strict=True)]
    start, used = problem.start[:, :lanes], problem.parameters[:-1]  # the width is in none of these equations
    begun = time.process_time()
    integrator = hy.taylor_adaptive_batch(system, start, pars=used[:, :lanes], tol=rtol)
    compiled = time.process_time() - begun

    def call():
        states = np.empty_like(problem.start)
        for i in range(0, problem.members, lanes):
            integrator.set_time(0.0)
            integrator.state[:] = problem.start[:, i : i + lanes]
            integrator.pars[:] = used[:, i : i + lanes]
            integrator.propagate_until(END)
            states[:, i : i + lanes] = integrator.state
        return states

    states, seconds = timed(call, 3)
    return row("heyoka batch 8", problem, states, seconds, exact, compile_seconds=compiled)


def _heyoka(value, names, hy):
    scope = {"EXP": hy.exp, "SQRT": hy.sqrt, "N": list(names.values())}
    places = {x: f"N[{i}]" for i, x in enumerate(names)}
    found = eval(text(value, places.__getitem__), scope)
    return found if isinstance(found, hy.expression) else hy.expression(float(found))


def numba_row(exact):
    """The pair of order 5, member by member, compiled by numba."""
    import math

    import numba

    problem = part(problem_of(), 2000)
    scope = {"EXP": math.exp, "MAX": max, "np": np}
    exec(scalar_source(problem.equations, "np.array([{}])"), scope)
    rates = numba.njit(scope["rates"])
    pair = DORMAND_PRINCE_5
    A = np.array([[*map(float, r), *[0.0] * (7 - len(r))] for r in pair.rows])
    E = np.array(pair.errors[0], dtype=float)

    @numba.njit
    def integrate(start, parameters, end, rtol, atol):
        n, N = start.shape
        out = np.empty((n, N))
        for m in range(N):
            y, p = start[:, m].copy(), parameters[:, m].copy()
            K = np.empty((7, n))
            K[0] = rates(y, p)
            t, h, before = 0.0, 0.01 * np.linalg.norm(y) / np.linalg.norm(K[0]), 1e-4
            while t < end:
                h = min(h, end - t)
                for i in range(1, 7):
                    new = y.copy()
                    for j in range(i):
                        if A[i, j] != 0:
                            for k in range(n):
                                new[k] += h * A[i, j] * K[j, k]
                    K[i] = rates(new, p)
                total = 0.0
                for k in range(n):
                    e = 0.0
                    for j in range(7):
                        e += E[j] * K[j, k]
                    total += (h * e / (atol + rtol * max(abs(y[k]), abs(new[k])))) ** 2
                error = max(math.sqrt(total / n), 1e-10)
                if error <= 1:
                    t, y = t + h, new
                    K[0] = K[6]
                    h *= min(10.0, max(0.2, 0.9 * error**-0.17 * before**0.04))
                    before = max(error, 1e-4)
                else:
                    h *= max(0.2, 0.9 * error**-0.17)
            out[:, m] = y
        return out

    states, seconds = timed(lambda: integrate(problem.start, problem.parameters, END, 1e-6, ATOL), 3)
    return row("numba, scalar pair", problem, states, seconds, exact)


def labels():
    """V = n^3 labels, all combinations of three attributes of n values, over times of the order of emergence."""
    rows, problems = [], {}
    for n in (5, 10, 100, 1000):
        problems[n] = problem_of(f"a[{n}] * b[{n}] * c[{n}]", 4000, end=20.0 * n**3, ridge=1e-3 / n**3)
        ensemble_native.run(problems[n])
    best, steps = dict.fromkeys(problems, np.inf), {}
    for _ in range(12):  # in turn, so that all see the same machine
        for n, problem in problems.items():
            start = time.process_time()
            found = ensemble_native.run(problem)
            best[n] = min(best[n], time.process_time() - start)
            steps[n] = float(found.steps.mean())
    for n in problems:
        rows.append({"V": n**3, "microseconds": best[n] / 4000 * 1e6, "steps": steps[n],
                     "nanoseconds_a_step": best[n] / 4000 / steps[n] * 1e9})  # fmt: skip
        print(rows[-1], file=sys.stderr, flush=True)
    each = [r["nanoseconds_a_step"] for r in rows]
    return {"rows": rows, "ratio_of_a_step": max(each) / min(each)}


def peers(exact):
    for make in (
        numba_row,
        lambda x: heyoka_row(x, 1e-6),
        lambda x: heyoka_row(x, 1e-9),
        lambda x: diffrax_row(x, "Tsit5"),
    ):
        try:
            yield make(exact)
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    exact = ensemble_native.run(problem_of(rtol=1e-12)).state
    rows = [*ours(exact), *peers(exact), *scipy_rows(exact)]
    by_labels = labels()
    installed = versions()
    for name in ("numba", "heyoka", "diffrax", "jax"):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = None
    with open("/proc/cpuinfo", encoding="ascii") as lines:
        processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    print(json.dumps({"date": str(date.today()), "machine": f"{platform.machine()}, {processor}, 1 core",
                      "load": os.getloadavg()[0], "versions": installed, "members": rows,
                      "labels": by_labels}, indent=1))  # fmt: skip
