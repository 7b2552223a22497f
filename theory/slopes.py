"""The Jacobian of a flow by the chain rule, in an order that keeps it small for many strata.

Forward, every quantity is differentiated in the few that everything passes through (the state, z, and scalars such as
the log-partition); backward, these are eliminated from each rate.  Multiplied out in the state alone, a Jacobian of n
strata would have of the order of n^4 terms.
"""

from collections.abc import Callable

import sympy as sp

from .flow import ModeFlow

Row = dict[sp.Symbol, sp.Expr]
Name = Callable[[str, sp.Expr], sp.Expr]


def jacobian_rows(flow: ModeFlow, name: Name = lambda label, slope: slope) -> list[Row]:
    """For each state symbol, its rate's slope in each state symbol on which it depends.

    Parameters
    ----------
    name : callable (label, slope) -> expression that stands for the slope, so that code can compute it once
    """
    # Quantities that are no family over strata or relations are scalars: their symbols carry no index.
    cut = {*flow.z.values(), *(symbol for symbol, _ in flow.definitions if "_" not in symbol.name)}
    rows: dict[sp.Symbol, Row] = {x: {x: sp.S(1)} for x in flow.state}
    inner: dict[sp.Symbol, Row] = {}
    for symbol, definition in flow.definitions:
        row = {x: name(f"{symbol}_d_{x}", slope) for x, slope in _gradient(definition, symbol, rows).items()}
        if symbol in cut:
            inner[symbol], row = row, {symbol: sp.S(1)}
        rows[symbol] = row
    found = []
    for state in flow.state:
        terms = {x: [slope] for x, slope in _gradient(flow.rates[state], None, rows).items()}
        for symbol in reversed(inner):
            outer = name(f"rate_{state}_d_{symbol}", sp.Add(*terms.pop(symbol, ())))
            for x, slope in inner[symbol].items() if outer != 0 else ():
                terms.setdefault(x, []).append(outer * slope)
        found.append({x: sp.Add(*parts) for x, parts in terms.items()})
    return found


def _gradient(expression: sp.Expr, symbol: sp.Symbol | None, rows: dict[sp.Symbol, Row]) -> Row:
    """Slopes of an expression, which `symbol` names, by way of the quantities in it: term by term, added up once."""
    named = {} if symbol is None else {expression: symbol}  # a slope of exp or LogPartition holds the function itself
    total: dict[sp.Symbol, list[sp.Expr]] = {}
    for term in sp.Add.make_args(expression):
        for quantity in sorted(term.free_symbols & rows.keys(), key=str):
            slope = sp.diff(term, quantity).xreplace(named)
            for x, further in rows[quantity].items():
                total.setdefault(x, []).append(slope * further)
    return {x: sp.Add(*terms) for x, terms in total.items()}
