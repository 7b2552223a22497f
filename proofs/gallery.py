"""Attribute structures with symbolic sizes on which theorems are checked one by one.

Every theorem whose scope says "the gallery" covers exactly these, for all sizes n1, n2, n3 >= 2: crossings and
chains of up to three factors, and two mixtures of crossing and nesting on three.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import sympy as sp

from ..theory.attributes import Attributes
from ..theory.flow import ModeFlow, derive_flow
from ..theory.kernels import symbols_for
from ..theory.model import UFM
from .steps import SIZE, Interval

CROSSED = ("a[n1]", "a[n1] * b[n2]", "a[n1] * b[n2] * c[n3]")
CHAINS = ("a[n1] / b[n2]", "a[n1] / b[n2] / c[n3]")
MIXED = ("(a[n1] * b[n2]) / c[n3]", "(a[n1] / b[n2]) * c[n3]")
GALLERY = (*CROSSED, *CHAINS, *MIXED)
SCOPE = "all sizes n_k >= 2, for crossings and chains of up to 3 factors, (a * b) / c and (a / b) * c"

LAM_W, LAM_H = sp.symbols("lambda_W lambda_H", positive=True)


@cache
def model(formula: str, ridge: tuple[sp.Expr, sp.Expr] = (sp.S(0), sp.S(0)), **options: Any) -> UFM:
    """The model on a structure with a symbol for the kernels on each stratum, kW_A and kH_A."""
    attributes = Attributes(formula)
    labels = attributes.keep(options.get("labels"))
    return UFM(
        attributes,
        feature_kernel=symbols_for(attributes, "kH"),
        label_kernel=symbols_for(labels, "kW"),
        ridge=ridge,
        **options
    )


@cache
def flow(formula: str, ridge: tuple[sp.Expr, sp.Expr] = (sp.S(0), sp.S(0)), **options: Any) -> ModeFlow:
    """The derived flow of `model`."""
    return derive_flow(model(formula, ridge, **options))


def sizes(attributes: Attributes) -> dict[sp.Symbol, Interval]:
    """The domain of the symbolic sizes: each at least 2."""
    return {size: SIZE for size in attributes.sizes.values() if size.is_Symbol}


def at(flow: ModeFlow, expression: sp.Expr, values: Mapping[sp.Symbol, sp.Expr] | None = None) -> sp.Expr:
    """An expression of a flow with `values` for state and parameters put in, and all definitions written out."""
    known = {symbol: sp.sympify(value) for symbol, value in (values or {}).items()}
    for symbol, definition in flow.definitions:
        known[symbol] = definition.xreplace(known)
    return expression.xreplace(known)
