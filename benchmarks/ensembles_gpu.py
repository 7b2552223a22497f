"""How many reduced trajectories does a GPU integrate in a second, beside diffrax's vmap on the same GPU?

Run on a machine with a GPU: python benchmarks/ensembles_gpu.py > benchmarks/results/ensembles_gpu.json, or `make
bench-gpu`; it needs numpy, scipy, sympy, xarray, CuPy and a C compiler.
The problem is that of ensembles.py with 10^6 members; wall time with transfers, best of three, compilation apart.  Without
diffrax its row is left out.

Predicted for an H200: 60 steps of 6 evaluations of 250 multiply-adds make 10^5 operations a member; at a tenth of 60
TFLOP/s in float64 (255 registers leave 8 warps to a multiprocessor) 5 10^7 members a second in the kernel, and 10^7 with
the transfer of 500 bytes a member.  Not measured yet.
"""

import json
import os
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.gpu.offline import prepare

prepare()

from ensembles import ATOL, END, problem_of, row, scalar_source  # noqa: E402

from ufmflow.numerics import ensemble_cuda, ensemble_native  # noqa: E402
from ufmflow.numerics.trajectory import versions  # noqa: E402

MEMBERS = 10**6


def timed_wall(call):
    """The result, and the least wall seconds of three calls after a first one."""
    found, best = call(), np.inf
    for _ in range(3):
        start = time.perf_counter()
        found = call()
        best = min(best, time.perf_counter() - start)
    return found, best


def diffrax_row(problem, exact):
    """diffrax's vmap on the same equations and device."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    scope = {"EXP": jnp.exp, "MAX": jnp.maximum, "jnp": jnp}
    exec(scalar_source(problem.equations, "jnp.stack([{}])"), scope)
    term = diffrax.ODETerm(lambda t, y, p: scope["rates"](y, p))
    control = diffrax.PIDController(rtol=problem.rtol, atol=ATOL)

    @jax.jit
    @jax.vmap
    def integrate(y, p):
        return diffrax.diffeqsolve(term, diffrax.Tsit5(), 0.0, END, None, y, p, stepsize_controller=control,
                                   saveat=diffrax.SaveAt(t1=True), max_steps=None).ys[0]  # fmt: skip

    def call():
        return np.asarray(integrate(jnp.array(problem.start.T), jnp.array(problem.parameters.T)))

    states, seconds = timed_wall(call)
    return row("diffrax vmap Tsit5", problem, states.T, seconds, exact)


if __name__ == "__main__":
    import cupy

    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    exact = ensemble_native.run(problem_of(members=MEMBERS, rtol=1e-10)).state
    rows = []
    for watched in (False, True):
        problem = problem_of(members=MEMBERS, watched=watched)
        found, seconds = timed_wall(lambda problem=problem: ensemble_cuda.run(problem))
        rows.append(row("ufmflow cuda", problem, found.state, seconds, exact, window=watched,
                        members_a_second=MEMBERS / seconds))  # fmt: skip
    try:
        rows.append(diffrax_row(problem_of(members=MEMBERS), exact))
    except ImportError as error:
        print(f"left out: {error}", file=sys.stderr)
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(json.dumps({"date": str(date.today()), "machine": name, "versions": versions(), "members": rows}, indent=1))
