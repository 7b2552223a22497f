"""A kernel with a negative eigenvalue is no preconditioner: the flow climbs along it."""

import sympy as sp

from ..checker import Counterexample
from ..gallery import at, flow
from ..steps import Cases


def counterexample() -> Counterexample:
    """One attribute, squared error, kW = 1, kH = -1, w = 2, h = 1/4: the kernels' symbols are given these values."""
    modes = flow("a[n1]", loss="mse")
    w, h = modes.w["a"], modes.h["a"]
    n, kW, kH = (next(x for x in _symbols(modes) if str(x) == name) for name in ("n1", "kW_a", "kH_a"))
    point = {x: sp.S(1) for x in modes.state} | {
        w: sp.S(2),
        h: sp.Rational(1, 4),
        n: sp.S(2),
        kW: sp.S(1),
        kH: -sp.S(1),
    }
    loss = modes.expand(modes.loss)
    change = sum(at(modes, sp.diff(loss, x) * modes.rates[x], point) for x in (w, h))
    return Counterexample(
        name="an_indefinite_kernel_lets_the_loss_rise",
        statement="a[2], squared error, kW = 1 and kH = -1, w = 2, h = 1/4 on a: the loss rises, as h^2 < w^2.",
        theorem="loss_never_rises_along_the_flow",
        without="positive kernels",
        proof=(Cases("dL/dt", (("value", change, ">", sp.S(0)),)),),
    )


def _symbols(modes) -> list[sp.Symbol]:
    return sorted(set().union(*(modes.expand(rate).free_symbols for rate in modes.rates.values())), key=str)
