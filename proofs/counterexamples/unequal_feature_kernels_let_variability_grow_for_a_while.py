"""Sphere: a dropped stratum with a small kernel grows while one with a large kernel falls and hands it its norm."""

import sympy as sp

from ...theory.flow import derive_flow
from ...theory.model import UFM
from ...theory.partition import LogPartition
from ..checker import Counterexample
from ..gallery import at
from ..steps import Enclosure


def counterexample() -> Counterexample:
    """2 x 2, labels a, cross-entropy, kernel 10 on b, 1/10 on a:b, 1 on a, from w_a = 1, h = 1 on all but the mean."""
    kernel = {"1": 1, "a": 1, "b": 10, "a:b": sp.Rational(1, 10)}
    flow = derive_flow(UFM("a[2] * b[2]", labels="a", feature_kernel=kernel, constraint="sphere"))
    point = {x: sp.S(0) for x in flow.state} | {flow.w["a"]: sp.S(1)} | {flow.h[A]: sp.S(1) for A in ("a", "b", "a:b")}

    def rate(A: str) -> sp.Expr:
        value = at(flow, flow.rates[flow.h[A]], point)
        return value.replace(LogPartition, lambda *args: LogPartition(*args).rewrite(sp.log))

    return Counterexample(
        name="unequal_feature_kernels_let_variability_grow_for_a_while",
        statement="2 x 2 with labels a on the sphere, feature kernel 10 on b and 1/10 on a:b, both dropped by the "
        "label, w_a = 1 and all h = 1: h on a:b grows at a rate above 1/10 (a < 0 outweighs kH c), though "
        "h / sqrt(Q) falls.",
        theorem="dropped_strata_shrink_as_W_grows_on_the_sphere",
        against="on the sphere every stratum that the label drops falls at all times",
        proof=(
            Enclosure("h on a:b grows", rate("a:b"), sp.Rational(1, 10), None),
            Enclosure("h on b falls", rate("b"), None, sp.S(0)),
        ),
    )
