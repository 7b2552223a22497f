"""The crossover's closed forms against the two logistic solutions that they are derived from, at 50 digits."""

import mpmath
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.theory.attributes import Attributes
from ufmflow.theory.crossover import (
    dimensions, lasting_peak, lasting_softness, log_lasting_start, ratio_index, softness_of, softness_ratio,
)  # fmt: skip
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import cooccurrence_targets

CROSSED = Attributes("color[4] * shape[6]")


TAU2 = mpmath.mpf("0.5")


def peak_ratio(theta, kappa, z0):
    """The largest z_1/z_2 along two logistics, found by bisection of its slope; tau_2 = TAU2."""
    tau1, tau2 = theta * TAU2, TAU2
    c1, c2 = tau1 / z0 - 1, tau2 / z0 - 1

    def slope(s):  # d ln r / d s, s = 2 k2 scale t
        return kappa * tau1 * c1 / (mpmath.exp(kappa * tau1 * s) + c1) - tau2 * c2 / (mpmath.exp(tau2 * s) + c2)

    low, high = mpmath.mpf("1e-20"), mpmath.mpf(1)
    while slope(high) > 0:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return theta * (1 + c2 * mpmath.exp(-tau2 * low)) / (1 + c1 * mpmath.exp(-kappa * tau1 * low))


@given(st.floats(1.05, 3.5), st.floats(1.02, 6.0))
def test_half_of_the_peak_is_left_at_the_largest_lasting_start(theta, kappa):
    """q = theta (1 + O(z_0)), so that the index left is half of the peak's to a few z_0 / tau."""
    with mpmath.workdps(50):
        x, k = mpmath.mpf(theta), mpmath.mpf(kappa)
        c = mpmath.exp(mpmath.mpf(str(sp.N(log_lasting_start(sp.Float(theta, 40), sp.Float(kappa, 40), CROSSED), 40))))
        z0 = x * TAU2 / (1 + c)
        R = peak_ratio(x, k, z0)
        M, N = (mpmath.mpf(int(n)) for n in dimensions(CROSSED))

        def index(r):
            return M * (r - 1) / (M * r + N)

        assert abs(index(x) / index(R) - 0.5) < 5 * z0 / TAU2
        # A smaller start has a higher peak, of which less than half is left: the window closes.
        assert index(x) / index(peak_ratio(x, k, z0 / 100)) < 0.5


@given(st.integers(2, 5), st.integers(2, 5), st.fractions(0, sp.Rational(9, 10)))
def test_the_ratio_is_that_of_the_targets(n1, n2, eps):
    structure = Attributes(f"a[{n1}] * b[{n2}]")
    e = sp.Rational(eps.numerator, eps.denominator)
    tau = cooccurrence_targets(structure, e, {"a": "1/2", "b": "1/2"})
    theta = softness_ratio(e, "1/2")
    assert theta == tau["a"] / tau["a:b"] == tau["b"] / tau["a:b"]
    assert softness_of(theta, "1/2") == e and softness_of(softness_ratio(e / 2, "1/3", "1/20"), "1/3", "1/20") == e / 2


def test_the_border_without_end_is_where_half_of_1_is_left():
    symbolic = Attributes("a[n1] * b[n2]")
    theta = softness_ratio(lasting_softness(symbolic, "1/2"), "1/2")
    assert sp.simplify(ratio_index(theta, symbolic) - sp.Rational(1, 2)) == 0
    assert lasting_peak(softness_ratio(lasting_softness(CROSSED, "1/2"), "1/2"), CROSSED) == sp.oo
    assert lasting_peak(softness_ratio(lasting_softness(CROSSED, "1/2") - sp.Rational(1, 100), "1/2"), CROSSED) != sp.oo


def test_half_the_index_is_left_at_the_stated_peak():
    for theta in (sp.Rational(3, 2), 2, 3):
        assert ratio_index(theta, CROSSED) == ratio_index(lasting_peak(theta, CROSSED), CROSSED) / 2


def test_bad_input():
    with pytest.raises(InputError, match="below 1"):
        log_lasting_start("1/2", 1, CROSSED)
    with pytest.raises(InputError, match="no main effects"):
        dimensions(Attributes("a[3]"))
    assert log_lasting_start(2, "1/2", CROSSED) == sp.oo  # the index never exceeds its limit
    assert log_lasting_start(1, 2, CROSSED) == -sp.oo
