"""Labels that tell only what a is: equal kernels and an equal start, and yet one stratum grows and others shrink."""

import sympy as sp

from ...theory.limits import limit
from ...theory.model import UFM
from ..checker import Counterexample
from ..steps import Cases, Enclosure
from ._instances import PAIR, Instance, alike


def counterexample() -> Counterexample:
    """2 x 2, tau = 1/2 on a and 0 on b and a:b: a table of 3/8, 3/8, 1/8, 1/8."""
    targets = {"a": sp.Rational(1, 2), "b": sp.S(0), "a:b": sp.S(0)}
    x = Instance("a[2] * b[2]", alike(PAIR, sp.Rational(1, 100)), targets=targets)
    pull = {A: x.pull(A) / 100 for A in PAIR} | {"1": sp.S(0)}  # g_A h_A
    entries = x.model.attributes.entries(pull)
    ends = limit(UFM("a[2] * b[2]", loss="mse", targets=targets, ridge=sp.Rational(1, 100)))
    return Counterexample(
        name="soft_labels_pull_one_attribute_alone",
        statement="2 x 2 with targets 1/2 on a and 0 on b and a:b, equal kernels, no ridge, w = h = 1/100: h_a grows, "
        "h_b falls; orthogonalised steps have the signs + and -; signs of the first pull on W are + for labels that "
        "share a.  With ridge 1/100 and squared error a alone survives.",
        theorem="one_hot_equal_kernels_has_no_transient",
        without="one-hot balanced labels",
        also=(
            ("muon_keeps_the_shares_of_the_kernel", "one-hot"),
            ("first_sign_step_moves_every_stratum_alike", "one-hot"),
            ("one_hot_ridge_limit_is_the_etf", "one-hot balanced"),
        ),
        proof=(
            Enclosure("dh_a/dt", x.rates("a")[1], sp.S(0), None),
            Enclosure("dh_b/dt", x.rates("b")[1], None, sp.S(0)),
            Enclosure("pull on labels that share a", entries["a"], sp.S(0), None),
            Cases("with ridge", (("z_a", ends["a"][2], ">", sp.S(0)), ("z_b", ends["b"][2], "==", sp.S(0)))),
        ),
    )
