"""The mode equations of an ensemble, made ready for code: one softmax for all that uses it, and its text.

A derivation names Lambda = log(1 + sum_i v_i exp(-M_i)) and writes probabilities exp(-M_i - Lambda).  Code for many
trajectories computes each exponential once:

    s = max(0, -M_1, -M_2, ...),   e_i = exp(-M_i - s),   T = exp(-s) + sum_i v_i e_i,   exp(-M_i - Lambda) = e_i / T,

every argument of exp being at most 0.  The same text of an expression is valid C, CUDA C and Python, with the functions
EXP, SQRT, LOG1P, EXPM1 and SHIFT given by what it is put into.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from ..theory.model import UFM
from ..theory.partition import LogPartition
from ..theory.system import derive
from .modes import Definitions, check_heads, jacobian_entries, needed, parameters_of


class Shift(sp.Function):
    """Shift(M_1, ..., M_n) = max(0, -M_1, ..., -M_n)."""


class Expm1(sp.Function):
    """exp(x) - 1 without cancellation."""


class Log1p(sp.Function):
    """log(1 + x) without cancellation."""


FUNCTIONS = {sp.exp: "EXP", Shift: "SHIFT", Expm1: "EXPM1", Log1p: "LOG1P"}


@dataclass(frozen=True)
class Equations:
    """What code for an ensemble is generated from.

    Attributes
    ----------
    state, parameters : tuples of Symbol
    rates : one expression for each state, over `rate_definitions`
    jacobian : d(rates)/d(state) row by row, over `jacobian_definitions`
    outputs : w, h and z of each stratum of the contexts, then the loss, over `output_definitions`
    """

    state: tuple[sp.Symbol, ...]
    parameters: tuple[sp.Symbol, ...]
    rates: tuple[sp.Expr, ...]
    rate_definitions: Definitions
    jacobian: tuple[sp.Expr, ...]
    jacobian_definitions: Definitions
    outputs: tuple[sp.Expr, ...]
    output_definitions: Definitions


@lru_cache(maxsize=32)
def equations_of(template: UFM, optimizer: str) -> Equations:
    """The equations of a template (`modes.template_of`), whose kernels, ridge and width are symbols."""
    flow = derive(template, optimizer).flow
    names, zero = template.attributes.names, sp.S(0)
    outputs = [*(flow.w.get(A, zero) for A in names), *(flow.h[A] for A in names)]
    outputs += [*(flow.z.get(A, zero) for A in names), flow.loss]
    rates = [flow.rates[x] for x in flow.state]
    ready = [
        _ready(definitions, expressions)
        for definitions, expressions in (
            (flow.definitions, rates),
            reversed(jacobian_entries(flow)),
            (flow.definitions, outputs),
        )
    ]
    return Equations(flow.state, tuple(parameters_of(template)), *(part for pair in ready for part in pair))


def _ready(definitions: Definitions, expressions: list[sp.Expr]) -> tuple[tuple[sp.Expr, ...], Definitions]:
    for expression in [*expressions, *(value for _, value in definitions)]:
        check_heads(expression)
    shared, probabilities = _one_softmax(definitions)

    def rewritten(expression: sp.Expr) -> sp.Expr:
        return expression.xreplace(probabilities)

    found = tuple(rewritten(expression) for expression in expressions)
    steps = tuple((symbol, rewritten(value)) for symbol, value in shared)
    return found, tuple(needed(steps, list(found)))


def _one_softmax(definitions: Definitions) -> tuple[Definitions, dict[sp.Expr, sp.Expr]]:
    """The definitions with each log-partition written out, and what its probabilities become."""
    steps: list[tuple[sp.Symbol, sp.Expr]] = []
    probabilities: dict[sp.Expr, sp.Expr] = {}
    for symbol, value in definitions:
        if not isinstance(value, LogPartition):
            steps.append((symbol, value))
            continue
        n = len(value.args) // 2
        margins, valencies = value.args[:n], value.args[n:]
        shift, at_zero, others, inverse = (sp.Symbol(f"{symbol}_{part}") for part in ("s", "e", "rest", "inv"))
        terms = [sp.Symbol(f"{symbol}_e{i}") for i in range(n)]
        steps.append((shift, Shift(*margins)))
        steps += [(e, sp.exp(-M - shift)) for e, M in zip(terms, margins, strict=True)]
        steps.append((at_zero, sp.exp(-shift)))
        steps.append((others, sum(v * e for v, e in zip(valencies, terms, strict=True))))
        steps.append((inverse, 1 / (at_zero + others)))
        # log(exp(-s) + rest) = log1p(rest + expm1(-s)) keeps losses far below rounding.
        steps.append((symbol, shift + Log1p(others + Expm1(-shift))))
        probabilities |= {sp.exp(-M - symbol): e * inverse for M, e in zip(margins, terms, strict=True)}
    return tuple(steps), probabilities


def text(
    expression: sp.Expr, name: Callable[[sp.Symbol], str], number: Callable[[sp.Expr], str] = lambda x: repr(float(x))
) -> str:
    """An expression as text that C and Python read alike.

    Examples
    --------
    >>> x, y = sp.symbols("x y")
    >>> text(sp.sqrt(x) * (y - 3) / x**2, str), text(-x / 2, str)
    ('(-3.0 + y)/((x*SQRT(x)))', '-0.5*x')
    """

    def put(node: sp.Expr) -> str:
        if isinstance(node, sp.Symbol):
            return name(node)
        if node.is_number:
            return number(node)
        if isinstance(node, sp.Add):
            return "(" + " + ".join(map(put, node.args)) + ")"
        if isinstance(node, sp.Mul):
            factor, rest = _number_of(node)
            above = [number(factor)] * (factor != 1) + [put(x) for x in rest if not _is_below(x)]
            below = [put(1 / x) for x in rest if _is_below(x)]
            return "*".join(above or ["1.0"]) + (f"/({'*'.join(below)})" if below else "")
        if isinstance(node, sp.Pow):
            return _power(put(node.base), node.exp, node)
        if type(node) in FUNCTIONS:
            return f"{FUNCTIONS[type(node)]}({', '.join(map(put, node.args))})"
        raise TypeError(f"no code is known for {type(node).__name__} in {node}")

    return put(expression)


def _is_below(factor: sp.Expr) -> bool:
    return isinstance(factor, sp.Pow) and bool(factor.exp.is_negative)


def _power(base: str, exponent: sp.Expr, node: sp.Expr) -> str:
    if not (exponent.is_Rational and exponent.q in (1, 2)):
        raise TypeError(f"no code is known for the power {exponent} in {node}")
    times, half = divmod(abs(exponent.p), exponent.q) if exponent.q == 2 else (abs(exponent.p), 0)
    factors = [base] * times + [f"SQRT({base})"] * half
    product = "*".join(factors)
    return f"(1.0/({product}))" if exponent.is_negative else f"({product})" if len(factors) > 1 else product


def linear(expression: sp.Expr) -> dict[sp.Symbol, float] | None:
    """The coefficients of a sum of numbers times symbols; None for anything else.

    Examples
    --------
    >>> x, y = sp.symbols("x y")
    >>> linear(x / 4 - y), linear(x * y), linear(sp.S(0))
    ({x: 0.25, y: -1.0}, None, {})
    """
    found: dict[sp.Symbol, float] = {}
    for term in sp.Add.make_args(expression) if expression != 0 else ():
        factor, rest = _number_of(term)
        if len(rest) != 1 or not isinstance(rest[0], sp.Symbol):
            return None
        found[rest[0]] = float(factor)
    return dict(sorted(found.items(), key=lambda pair: str(pair[0])))


def _number_of(product: sp.Expr) -> tuple[sp.Expr, list[sp.Expr]]:
    """The numbers of a product multiplied, and its other factors."""
    factors = sp.Mul.make_args(product)
    return sp.Mul(*(x for x in factors if x.is_number)), [x for x in factors if not x.is_number]


def symbols_in(expressions: Iterable[sp.Expr]) -> set[sp.Symbol]:
    """All symbols of some expressions."""
    return set().union(*(expression.free_symbols for expression in expressions))
