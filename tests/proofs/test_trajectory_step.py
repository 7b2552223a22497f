"""The step on exact solutions: it holds, refutes, and leaves undecided what its enclosures do not settle."""


import sympy as sp

from ufmflow.proofs.checker import decide
from ufmflow.proofs.steps import EnclosedTrajectory
from ufmflow.theory.model import UFM


MODEL = UFM("a[2] * b[3]", feature_kernel={"1": 1, "a": 4, "b": 2, "a:b": "1/2"}, loss="mse", reduction="sum")
TENTH = sp.Rational(1, 10)


def status(low=None, high=None, model=MODEL, init=TENTH, time=2, quantity="z", stratum="a") -> str:
    return decide(EnclosedTrajectory("", model, init, time, quantity, stratum, low, high)).status


# With equal kernels z = 1/(1 + 99 e^(-2 t)) on every stratum.
PLAIN = UFM("a[2] * b[3]", loss="mse", reduction="sum")
LOGISTIC = 1 / (1 + 99 * sp.exp(-4))


def test_bounds_close_by_are_told_apart():
    near = sp.Rational(1, 10**15)
    exact = sp.Rational(str(LOGISTIC.evalf(30)))
    assert status(exact - near, exact + near, PLAIN) == "holds"
    assert status(exact + near, None, PLAIN) == "refuted"
    assert status(None, exact - near, PLAIN) == "refuted"
    faster = UFM(**(PLAIN.config() | {"feature_kernel": dict.fromkeys(PLAIN.attributes.names, sp.S(1) + near * 10**9)}))
    assert status(exact - near, exact + near, faster) == "refuted"


def test_what_is_no_statement_is_undecided():
    assert status(None, None) == "undecided"
    assert status(TENTH, None, quantity="entropy") == "undecided"
    assert status(TENTH, None, stratum="c") == "undecided"
    assert status(TENTH, None, quantity="loss") == "undecided"
    assert status(TENTH, None, time=sp.sqrt(2)) == "undecided"
    assert status(TENTH, None, time=-TENTH) == "undecided"
    assert status(TENTH, None, init=0.1) == "undecided"
    assert status(TENTH, None, init={"a": TENTH}) == "undecided"
    assert status(TENTH, None, model=UFM("a[n1] * b[n2]")) == "undecided"


def test_a_bound_that_is_met_exactly():
    """At the start everything is known: w = 1/10 is not below 1/10 and the enclosure cannot say more."""
    assert status(None, TENTH + sp.Rational(1, 10**20), time=sp.S(0), quantity="w") == "holds"
    assert status(None, TENTH, time=sp.S(0), quantity="w") in ("refuted", "undecided")


def test_each_stratum_may_have_its_own_start():
    init = {"1": 0, "a": (TENTH, sp.S(0)), "b": sp.sqrt(2), "a:b": TENTH}
    assert status(2 - TENTH**20, 2 + TENTH**20, init=init, time=sp.S(0), stratum="b") == "holds"
    assert status(-(TENTH**20), TENTH**20, init=init, time=sp.S(0), stratum="a") == "holds"
