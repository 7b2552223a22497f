"""With ridge and cross-entropy, structure collapses slower than at lam (kW + kH) (a corrected claim)."""

import sympy as sp

from ...theory.model import UFM
from ...theory.partition import LogPartition
from ...theory.system import derive
from ..checker import Counterexample
from ..gallery import at
from ..steps import Enclosure


def counterexample() -> Counterexample:
    """2 x 2 labels, kernels 1, m lam = 1/2, so z = ln 5: how w_a - w_b and h_a - h_b decay about the ETF.

    Exchanging the attributes leaves the ETF, so the Jacobian acts on the differences by a block J; the rates are the
    roots of det(J + rate).  It is positive at 0 and negative at lam: a rate lies between, below lam (kW + kH) = 2 lam.
    """
    lam = sp.Rational(1, 8)
    system = derive(UFM("a[2] * b[2]", ridge=lam))
    flow, state = system.flow, system.flow.state
    size = sp.sqrt(sp.log(5))
    point = {x: sp.S(0) if x in (flow.w["1"], flow.h["1"]) else size for x in state}
    jacobian = system.jacobian()
    rows = [state.index(x["a"]) for x in (flow.w, flow.h)]
    columns = [(state.index(x["a"]), state.index(x["b"])) for x in (flow.w, flow.h)]
    block = sp.Matrix([[at(flow, jacobian[i, a] - jacobian[i, b], point) for a, b in columns] for i in rows])
    block = block.replace(LogPartition, lambda *margins: LogPartition(*margins).rewrite(sp.log))
    return Counterexample(
        name="cross_entropy_collapses_slower_than_the_sum_of_kernels",
        statement="Cross-entropy, 2 x 2 labels, kernels 1, m lam = 1/2: one of the rates at which the difference of "
        "the two attributes decays about the ETF lies below lam, while lam (kW + kH) = 2 lam.",
        theorem="ridge_collapse_rates_depend_on_one_number_rho",
        against="collapse at lam (kW + kH), whatever rho",
        proof=(
            Enclosure("at rate 0", block.det(), sp.S(0), None),
            Enclosure("at rate lam", (block + lam * sp.eye(2)).det(), None, sp.S(0)),
        ),
    )
