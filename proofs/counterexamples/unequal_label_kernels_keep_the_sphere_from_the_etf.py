"""Sphere: with unequal label kernels positive starts end at attribute geometry, or at features that are no ETF."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Counterexample
from ..margins import basic_solution, margin_programme
from ..steps import Cases, LinearProgramme


def counterexample() -> Counterexample:
    """2 x 2: kW = 9, 9, 1 costs 1/3, 1/3, 1; kW = 9/4, 9/4, 1 costs 2/3, 2/3, 1."""
    attributes = Attributes("a[2] * b[2]")

    def programme(cost: sp.Rational, support: tuple[int, ...], active: tuple[int, ...]) -> LinearProgramme:
        data = margin_programme(attributes, {"a": cost, "b": cost, "a:b": sp.S(1)})
        primal, dual = basic_solution(data, support, active)
        says = f"cost {cost} of a and b"
        return LinearProgramme(says, data.cost, data.rows, data.bounds, primal, dual, unique=True)

    persistent = programme(sp.Rational(1, 3), (0, 1), (1, 2))
    collapsed = programme(sp.Rational(2, 3), (0, 1, 2), (0, 1, 2))
    energy = {A: z * cost for A, z, cost in zip(("a", "b", "a:b"), collapsed.primal, collapsed.cost, strict=True)}
    return Counterexample(
        name="unequal_label_kernels_keep_the_sphere_from_the_etf",
        statement="2 x 2 one-hot on the sphere. Label kernel 9 on a and b, 1 on a:b: the programme's only solution is "
        "z = 2, 2, 0, so every positive start ends with attributes alone. Label kernel 9/4, 9/4, 1: the logits "
        "collapse, z = 1, 1, 1, but the features' energies h^2 end in the ratio 2 : 2 : 3, which is no ETF.",
        theorem="positive_starts_on_the_sphere_reach_the_largest_margin",
        against="on the sphere the ETF is the end state of every positive start",
        also=(("the_etf_attracts_on_the_sphere_at_powers_of_the_logarithm", "equal kernels"),),
        proof=(
            persistent,
            collapsed,
            Cases(
                "where they end",
                (
                    ("attributes alone", tuple(persistent.primal), "==", (sp.S(2), sp.S(2), sp.S(0))),
                    ("collapsed logits", tuple(collapsed.primal), "==", (sp.S(1), sp.S(1), sp.S(1))),
                    ("h^2 = z* / sqrt(kW), up to a factor", energy["a"], "==", sp.Rational(2, 3) * energy["a:b"]),
                ),
            ),
        ),
    )
