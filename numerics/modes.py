"""Array code for the mode equations, generated from the SymPy derivation.

A model's numbers that may vary in a sweep (kernels, ridge, width) are left as parameters, so that one compilation serves
every model of the same structure, targets, loss and constraint.  Only the function heads listed here may occur in what
is compiled; anything else is refused, because SymPy's printers would let it through wrongly or unstably.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp

from ..theory.errors import InputError
from ..theory.flow import WIDTH, ModeFlow
from ..theory.kernels import symbols_for
from ..theory.model import UFM
from ..theory.partition import LogPartition
from ..theory.slopes import jacobian_rows
from ..theory.system import derive

KNOWN_HEADS = (sp.Add, sp.Mul, sp.Pow, sp.exp, LogPartition)
MANY = 24  # strata; beyond, integrators take differences of the rates, as fast as code for the Jacobian would be

Definitions = tuple[tuple[sp.Symbol, sp.Expr], ...]


def log_partition(*arguments: Any) -> Any:
    """log(1 + sum_i v_i exp(-M_i)) for LogPartition(M_1..M_n, v_1..v_n), stable for margins of either sign and any size."""
    n = len(arguments) // 2
    margins, valencies = arguments[:n], arguments[n:]
    shift = 0.0
    for M in margins:
        shift = np.maximum(shift, -M)
    total = sum(v * np.exp(-M - shift) for M, v in zip(margins, valencies, strict=True))
    # log(exp(-shift) + total) = log1p(total + expm1(-shift)) keeps losses far below rounding.
    return shift + np.log1p(total + np.expm1(-shift))


@dataclass(frozen=True)
class Modes:
    """Compiled mode equations of a model.

    Attributes
    ----------
    flow : ModeFlow
        The derivation that the code was generated from, with kernels and ridge as symbols.
    rhs : callable (y,) -> dy/dt, state (n,) or (n, T)
    jacobian : callable (y,) -> (n, n); None with many strata, where its code, of n^3 terms, takes minutes to generate
    read : callable (y,) -> (w, h, z, loss), the first three with a row for each stratum of the contexts
    """

    flow: ModeFlow
    rhs: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray], np.ndarray] | None
    read: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


def check_numbers(model: UFM) -> None:
    """Refuse a model whose flow still has symbols."""
    if model.free_symbols:
        raise InputError(
            f"model: {sorted(map(str, model.free_symbols))[0]} has no number; numbers are needed to simulate."
        )
    if model.constraint == "normalized" and model.width is None:
        raise InputError("width: a normalized model needs it to simulate, since |h_j|^2 = width; give width=d.")


def compile_modes(model: UFM, optimizer: str = "sgd") -> Modes:
    """Generate array code for a model with numeric sizes and parameters.

    Raises
    ------
    InputError
        When a symbol has no number, or when the `normalized` constraint or optimiser has no width.
    """
    check_numbers(model)
    if optimizer == "normalized" and model.width is None:
        raise InputError("width: steps of root mean square 1 need the number of entries; give the model width=d.")
    template = template_of(model)
    flow, rates, jacobian, outputs = compiled(template, optimizer)
    values = values_of(model)
    n, strata = len(flow.state), len(model.attributes.names)

    def evaluate(function: Callable, y: np.ndarray) -> list:
        return function(*y, *values)

    def rhs(y: np.ndarray) -> np.ndarray:
        return stacked(evaluate(rates, y), y.shape[1:])

    def jac(y: np.ndarray) -> np.ndarray:
        assert jacobian is not None
        return stacked(evaluate(jacobian, y), y.shape[1:]).reshape(n, n)

    def read(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        found = stacked(evaluate(outputs, y), y.shape[1:])
        return found[:strata], found[strata : 2 * strata], found[2 * strata : 3 * strata], found[-1]

    return Modes(flow, rhs, jac if jacobian else None, read)


def stacked(rows: list, shape: tuple[int, ...]) -> np.ndarray:
    """Rows of numbers or arrays, each spread to the shape, as one array."""
    out = np.empty((len(rows), *shape))
    for i, row in enumerate(rows):
        out[i] = row
    return out


def template_of(model: UFM) -> UFM:
    """The model with symbols for what may vary; targets stay exact, since a one-hot's zeros must stay zeros."""
    return UFM(
        model.attributes,
        labels=model.labels,
        loss=model.loss,
        targets=model.targets,
        feature_kernel=symbols_for(model.attributes, "kappaH"),
        label_kernel=symbols_for(model.label_attributes, "kappaW"),
        ridge=sp.symbols("lambda_W lambda_H", positive=True),
        constraint=model.constraint,
        width=WIDTH,
        reduction=model.reduction,
    )


def parameters_of(template: UFM) -> list[sp.Expr]:
    """The symbols that may vary, in the order of `values_of`."""
    return [*template.feature_kernel.values(), *template.label_kernel.values(), *template.ridge, WIDTH]


def values_of(model: UFM) -> list[float]:
    """The numbers that a model has for the symbols of its template."""
    width = 1.0 if model.width is None else float(model.width)
    return [
        *map(float, model.feature_kernel.values()),
        *map(float, model.label_kernel.values()),
        *map(float, model.ridge),
        width,
    ]


@lru_cache(maxsize=32)
def compiled(template: UFM, optimizer: str) -> tuple[ModeFlow, Callable, Callable | None, Callable]:
    """The derived flow, and functions of state and parameters: rates, Jacobian (None if there is none), outputs."""
    flow = derive(template, optimizer).flow

    def generate(expressions: list[sp.Expr], definitions: Definitions = flow.definitions) -> Callable:
        return generated(template, replace(flow, definitions=definitions), expressions)

    zero = sp.S(0)
    names = template.attributes.names
    outputs = [flow.w.get(A, zero) for A in names] + [flow.h[A] for A in names] + [flow.z.get(A, zero) for A in names]
    rates = generate([flow.rates[x] for x in flow.state])
    jacobian = generate(*jacobian_entries(flow)) if len(names) <= MANY else None
    return flow, rates, jacobian, generate([*outputs, flow.loss])


def generated(
    template: UFM,
    flow: ModeFlow,
    expressions: list[sp.Expr],
    first: tuple[sp.Symbol, ...] = (),
    log_partition: Callable = log_partition,
) -> Callable:
    """Array code for expressions in a flow's definitions, state and parameters.

    Parameters
    ----------
    template : UFM, whose parameters come after the state
    first : symbols that come before the state
    log_partition : what to evaluate LogPartition by

    Returns
    -------
    callable (*first, *state, *parameters) -> list of arrays
    """
    for expression in [*expressions, *(value for _, value in flow.definitions)]:
        check_heads(expression)
    wanted = needed(flow.definitions, expressions)
    arguments = [*first, *flow.state, *parameters_of(template)]
    return sp.lambdify(
        arguments, expressions, [{"LogPartition": log_partition}, "numpy"], cse=lambda exprs: (wanted, exprs)
    )


def jacobian_entries(flow: ModeFlow) -> tuple[list[sp.Expr], Definitions]:
    """d(rates)/d(state) row by row, and definitions with each slope of a named quantity named in turn."""
    slopes: list[tuple[sp.Symbol, sp.Expr]] = []

    def name(label: str, slope: sp.Expr) -> sp.Expr:
        if slope.is_Atom:
            return slope
        slopes.append((sp.Symbol(f"d_{label}", real=True), slope))
        return slopes[-1][0]

    rows = jacobian_rows(flow, name)
    return [row.get(x, sp.S(0)) for row in rows for x in flow.state], (*flow.definitions, *slopes)


def needed(definitions: Definitions, expressions: list[sp.Expr]) -> list[tuple[sp.Symbol, sp.Expr]]:
    """The definitions that the expressions rest on, in order."""
    wanted = set().union(*(expression.free_symbols for expression in expressions))
    kept = []
    for symbol, value in reversed(definitions):
        if symbol in wanted:
            wanted |= value.free_symbols
            kept.append((symbol, value))
    return kept[::-1]


def check_heads(expression: sp.Expr) -> None:
    """Refuse an expression with a function that no array code is known for."""
    for node in sp.preorder_traversal(expression):
        if not (node.is_Atom or isinstance(node, KNOWN_HEADS)):
            raise TypeError(f"no array code is known for {type(node).__name__} in {node}")
