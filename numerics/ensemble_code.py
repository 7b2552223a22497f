"""One source for the trajectories of an ensemble, as C and as CUDA C++, generated from the mode equations.

`ensemble_lanes.cuh` says what a lane is, then come the equations and the method's coefficients, then `ensemble.cuh`, the
work itself.  Coefficients are those of `tableaux` and `rosenbrock`, equations those of `ensemble_equations`.
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

import sympy as sp

from .ensemble_equations import Equations, Shift, text
from .ensemble_problem import Index
from .modes import Definitions
from .rosenbrock import RODAS4
from .tableaux import DORMAND_PRINCE_5


def source(equations: Equations, index: Index | None, implicit: bool, ring: int) -> str:
    """The whole source, for `nvcc`, NVRTC or a C compiler with GNU vectors.

    Parameters
    ----------
    equations : Equations
    index : Index that may be watched; None: nothing is
    implicit : bool, whether `run_implicit` is wanted beside `run_explicit`
    ring : int, rises of the index that each lane keeps
    """
    names = {x: f"y[{i}]" for i, x in enumerate(equations.state)}
    names |= {x: f"p[{i}]" for i, x in enumerate(equations.parameters)}
    features = len(equations.state) // 2 if index is None else int(min(i for i, m in enumerate(index.all) if m))
    parts = [
        _file("ensemble_lanes.cuh"),
        f"#define N {len(equations.state)}\n#define P {len(equations.parameters)}\n#define RING {ring}",
        f"#define FEATURES {features}\n#define ETF {0.0 if index is None else index.etf!r}",
        _function("rates", "f", equations.rate_definitions, equations.rates, names),
        _index(index),
        _pair(),
    ]
    if implicit:
        parts += ["#define IMPLICIT", _rosenbrock(),
                  _function("jacobian", "J", equations.jacobian_definitions, equations.jacobian, names)]  # fmt: skip
    return "\n\n".join([*parts, _file("ensemble.cuh")])


@lru_cache(maxsize=2)
def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _function(
    name: str, out: str, definitions: Definitions, results: Sequence[sp.Expr], names: dict[sp.Symbol, str]
) -> str:
    """`name(y, p, out)`, with each definition a local value."""
    known = dict(names)
    lines = []
    for i, (symbol, value) in enumerate(definitions):
        lines.append(f"const real v{i} = {_code(value, known)}; /* {symbol} */")
        known[symbol] = f"v{i}"
    lines += [f"{out}[{i}] = {_code(value, known)};" for i, value in enumerate(results)]
    body = "\n    ".join(lines)
    return f"INLINE void {name}(const real* y, const real* p, real* {out}) {{\n    {body}\n}}"


def _code(value: sp.Expr, names: dict[sp.Symbol, str]) -> str:
    if isinstance(value, Shift):
        found = "ZERO"
        for margin in value.args:
            found = f"largest({found}, -{text(margin, names.__getitem__)})"
        return found
    code = text(value, names.__getitem__)
    return code if value.free_symbols else f"ZERO + {code}"


def _index(index: Index | None) -> str:
    """`index_sums(x, y, main, all)`: the weighted sums of x_i y_i."""
    lines = []
    for name in ("main", "all"):
        weights = [] if index is None else [(i, m) for i, m in enumerate(getattr(index, name)) if m]
        terms = " + ".join(f"{float(m)!r} * x[{i}] * y[{i}]" for i, m in weights)
        lines.append(f"*{name} = {terms or 'ZERO'};")
    return "INLINE void index_sums(const real* x, const real* y, real* main, real* all) {\n    " + "\n    ".join(
        [*lines, "}"]
    )


def _sum(weights: Sequence, name: str, last: str = "[i]") -> str:
    return " + ".join(f"{float(w)!r} * {name}[{j}]{last}" for j, w in enumerate(weights) if w)


def _pair() -> str:
    """The pair of order 5: its stages, error, middle and dense output."""
    pair = DORMAND_PRINCE_5
    lines = ["INLINE void stages(real (*K)[N], const real* y, real h, const real* p, real* before, real* end) {"]
    lines += ["    real state[N];"]
    for i in range(1, 7):
        state = {5: "before", 6: "end"}.get(i, "state")
        lines.append(f"    for (int i = 0; i < N; ++i) {state}[i] = y[i] + h * ({_sum(pair.rows[i], 'K')});")
        lines.append(f"    rates({state}, p, K[{i}]);")
    lines += ["}", f"#define ERROR(K, i) ({_sum(pair.errors[0], '(K)')})"]
    lines += [f"#define MIDDLE(K, i) ({_sum(pair.dense_weights(0.5), '(K)')})"]
    lines += ["INLINE void dense_weights(double x, double* b) {"]
    for i, polynomial in enumerate(pair.dense):
        nested = "0.0"
        for c in reversed(polynomial):
            nested = f"({nested} + {float(c)!r}) * x"
        lines.append(f"    b[{i}] = {nested};")
    return "\n".join([*lines, "}"])


def _rosenbrock() -> str:
    def table(name: str, rows: Sequence[Sequence[float]]) -> str:
        padded = ["{" + ", ".join(repr(float(x)) for x in [*row, *[0.0] * (6 - len(row))]) + "}" for row in rows]
        return f"CONSTANT double {name}[{len(rows)}][6] = {{{', '.join(padded)}}};"

    tables = [table("ROS_A", RODAS4.a), table("ROS_C", RODAS4.c), table("ROS_D", RODAS4.dense)]
    return "\n".join([f"#define GAMMA {RODAS4.gamma!r}", *tables])
