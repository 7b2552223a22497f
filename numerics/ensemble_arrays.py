"""Array code for the equations of an ensemble: a column of each array is a trajectory.

Definitions come in families over strata and relations.  Those of one form are computed at once, as one operation on
the rows of a block, and families of linear ones (logits to margins, probabilities to pulls) as one matrix product, so
that an evaluation is some tens of NumPy calls whatever the number of modes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp

from .ensemble_equations import linear, text
from .modes import Definitions

ArrayCode = Callable[[np.ndarray, np.ndarray], np.ndarray]


def shift(*margins: Any) -> Any:
    """max(0, -M_1, -M_2, ...) of rows."""
    return np.maximum(0.0, -np.min(margins[0] if len(margins) == 1 else np.stack(margins), axis=0))


FUNCTIONS = {"EXP": np.exp, "SQRT": np.sqrt, "EXPM1": np.expm1, "LOG1P": np.log1p, "SHIFT": shift, "STACK": np.stack}


def array_code(
    definitions: Definitions, results: Sequence[sp.Expr], state: Sequence[sp.Symbol], parameters: Sequence[sp.Symbol]
) -> ArrayCode:
    """A function (y (n, L), p (parameters, L)) -> results (r, L), each column on its own.

    Examples
    --------
    >>> x, y, k = sp.symbols("x y k")
    >>> code = array_code(((sp.Symbol("u"), x + 2 * y),), [k * sp.Symbol("u"), k * x], [x, y], [k])
    >>> code(np.array([[1.0], [3.0]]), np.array([[2.0]])).tolist()
    [[14.0], [2.0]]
    """
    writer = _Writer()
    writer.name(state, "y")
    writer.name(parameters, "p")
    for family in _families(definitions):
        writer.define(family)
    rows = [(sp.Symbol(f"result {i}"), value) for i, value in enumerate(results)]
    position = 0
    for family in _families(rows):
        for run in writer.runs(family):
            writer.store(run, position)
            position += len(run)
    lines = [*writer.lines, "return out"]
    source = f"def code(y, p):\n    out = np.empty(({len(results)}, y.shape[1]))\n    " + "\n    ".join(lines)
    scope: dict[str, Any] = {"np": np, "C": writer.constants, **FUNCTIONS}
    exec(compile(source, "<mode equations>", "exec"), scope)  # noqa: S102 - text of our own equations
    return scope["code"]


Family = list[tuple[sp.Symbol, sp.Expr]]


def _families(steps: Sequence[tuple[sp.Symbol, sp.Expr]]) -> list[Family]:
    """Runs of statements of one form of which none uses another."""
    found: list[Family] = []
    form: Any = None
    inside: set[sp.Symbol] = set()
    for symbol, value in steps:
        form_of_value = _form(value)
        if found and form == form_of_value and not value.free_symbols & inside:
            found[-1].append((symbol, value))
        else:
            found.append([(symbol, value)])
            form, inside = form_of_value, set()
        inside.add(symbol)
    return found


def _form(value: sp.Expr) -> str:
    """The text of an expression without its names and numbers; that of all sums of numbers times symbols is one."""
    if linear(value) is not None:
        return "linear"
    return text(value, lambda symbol: "x", lambda number: "c")


def _operands(value: sp.Expr) -> tuple[list[sp.Symbol], list[sp.Expr]]:
    """Symbols and numbers of an expression in the order of its text."""
    symbols: list[sp.Symbol] = []
    numbers: list[sp.Expr] = []
    text(value, lambda x: symbols.append(x) or "", lambda x: numbers.append(x) or "")  # type: ignore[func-returns-value]
    return symbols, numbers


@dataclass
class _Writer:
    """Lines of code, and where each symbol's row is."""

    lines: list[str] = field(default_factory=list)
    constants: list[np.ndarray] = field(default_factory=list)
    where: dict[sp.Symbol, tuple[str, int]] = field(default_factory=dict)

    def name(self, symbols: Sequence[sp.Symbol], block: str) -> None:
        self.where |= {symbol: (block, i) for i, symbol in enumerate(symbols)}

    def define(self, family: Family) -> None:
        block = f"b{len(self.lines)}"
        self.lines.append(f"{block} = {self.value([value for _, value in family])}")
        self.name([symbol for symbol, _ in family], block)

    def store(self, family: Family, position: int) -> None:
        self.lines.append(f"out[{position}:{position + len(family)}] = {self.value([value for _, value in family])}")

    def runs(self, family: Family) -> list[Family]:
        """A family cut where its symbols jump from one block of rows to another, which would have to be gathered."""
        found: list[Family] = []
        last: list[tuple[str, int]] = []
        jumps: list[int | None] | None = None
        for step in family:
            places = [self.where[symbol] for symbol in _operands(step[1])[0]]
            moved = [
                row - before if block == old else None
                for (block, row), (old, before) in zip(places, last, strict=False)
            ]
            if found and len(places) == len(last) and moved == (jumps or moved) and set(moved) <= {0, 1}:
                found[-1].append(step)
                jumps = moved
            else:
                found.append([step])
                jumps = None
            last = places
        return found

    def value(self, values: list[sp.Expr]) -> str:
        """Code for some expressions of one form, as a block with a row for each."""
        sums = [linear(value) for value in values]
        if sums[0] is not None:
            return self.product([terms for terms in sums if terms is not None])
        if isinstance(values[0], sp.Function) and _form(values[0]).startswith("SHIFT"):
            return f"SHIFT({self.rows(list(values[0].args))})[None]"
        operands = [_operands(value) for value in values]
        symbols = iter([self.rows(list(row)) for row in zip(*(x for x, _ in operands), strict=True)])
        numbers = iter([self.constant(np.array(row, dtype=float)[:, None])
                        for row in zip(*(x for _, x in operands), strict=True)])  # fmt: skip
        return text(values[0], lambda x: next(symbols), lambda x: next(numbers))

    def product(self, sums: list[dict[sp.Symbol, float]]) -> str:
        used = sorted({symbol for terms in sums for symbol in terms}, key=lambda symbol: self.where[symbol])
        if not used:
            return "0.0"
        matrix = np.array([[terms.get(symbol, 0.0) for symbol in used] for terms in sums])
        return f"{self.constant(matrix)} @ {self.rows(used)}"

    def constant(self, array: np.ndarray) -> str:
        if array.size > 1 and np.all(array == array.flat[0]) and array.shape[1] == 1:
            array = array[:1]
        self.constants.append(array)
        return f"C[{len(self.constants) - 1}]"

    def rows(self, symbols: list[sp.Symbol]) -> str:
        """A block with the rows of some symbols; one row where they are the same."""
        places = [self.where[symbol] for symbol in symbols]
        if len(set(places)) == 1:
            block, row = places[0]
            return f"{block}[{row}:{row + 1}]"
        block, first = places[0]
        if places == [(block, first + i) for i in range(len(places))]:
            return f"{block}[{first}:{first + len(places)}]"
        return "STACK((" + ", ".join(f"{block}[{row}]" for block, row in places) + "))"
