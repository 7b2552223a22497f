"""Numbers from a derived flow: its named quantities are computed in order, from a state, in floats or in mpmath."""

from collections.abc import Callable, Iterable, Sequence

import mpmath
import numpy as np
import sympy as sp

from ufmflow.theory.flow import ModeFlow


def function_of_state(flow: ModeFlow, expressions: Iterable[sp.Expr], module: str = "numpy") -> Callable:
    """f(state) -> list of numbers, for expressions in the state and the flow's named quantities; no symbols left."""
    library = {"numpy": np, "mpmath": mpmath}[module]

    def log_partition(*args):
        n = len(args) // 2
        return library.log(1 + sum(v * library.exp(-M) for M, v in zip(args[:n], args[n:], strict=True)))

    # The flow's own definitions stand where lambdify would put common subexpressions.
    compiled = sp.lambdify(
        flow.state,
        list(expressions),
        [{"LogPartition": log_partition}, module],
        cse=lambda expressions: (list(flow.definitions), expressions),
    )
    return lambda state: compiled(*state)


def rates(flow: ModeFlow, module: str = "numpy") -> Callable[[Sequence], list]:
    """f(state) -> time derivatives of the state."""
    return function_of_state(flow, [flow.rates[x] for x in flow.state], module)
