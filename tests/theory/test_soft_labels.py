"""The limit of soft labels under cross-entropy against explicit matrices, symbolic sizes and a full simulation."""

from math import prod

import numpy as np
import pytest
import sympy as sp

from ufmflow.numerics.simulate import gaussian, simulate
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.crossover import ratio_index
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import cooccurrence_targets
from ufmflow.theory.model import UFM
from ufmflow.theory.soft_labels import soft_direction, soft_index, soft_logits


def soft(structure: Attributes, eps: str = "1/2") -> dict[str, sp.Expr]:
    return cooccurrence_targets(structure, eps, {k: sp.Rational(1, len(structure.sizes)) for k in structure.sizes})


@pytest.mark.parametrize("formula", ["a[2] * b[3]", "a[4] * b[6]", "a[2] * b[3] * c[4]", "a[2] * b[2] * c[2] * d[3]"])
def test_the_direction_is_the_indicator_of_sharing_something_and_shares_are_equal(formula):
    structure = Attributes(formula)
    apart = sp.eye(1)
    for n in structure.shape:
        apart = sp.kronecker_product(apart, sp.ones(n, n) - sp.eye(n))
    m = structure.multiplicities
    for A, z in soft_direction(structure).items():
        if A != "1":
            assert z == -(structure.projector(A) * apart).trace() / m[A]
            assert m[A] * abs(z) == prod(n - 1 for n in structure.shape)


def test_the_index_of_equal_shares():
    assert soft_index(Attributes("a[4] * b[6]")) == sp.Rational(22, 45)
    for formula in ("a[3] * b[4]", "a[2] * b[3] * c[4]"):
        structure = Attributes(formula)
        K, m = len(structure.sizes), structure.multiplicities
        M = sum(m[A] for A in structure.semantic_strata())
        N = structure.cardinality - 1 - M
        # Mean energy of main effects over that of the rest.
        ratio = (sp.Rational(K) / M) / (sp.Rational(2**K - 1 - K) / N)
        assert soft_index(structure) == ratio_index(ratio, structure)


@pytest.mark.parametrize("eps", ["1/100", "1/2", "9/10"])
def test_logits_tend_to_the_direction_for_every_softness(eps):
    structure = Attributes("a[3] * b[4] * c[2]")
    direction = soft_direction(structure)
    z = soft_logits(structure, soft(structure, eps), sp.Integer(10) ** 6)
    assert all(abs(float(z[A] / 10**6 - d)) < 1e-4 for A, d in direction.items() if A != "1")


def test_softmax_of_the_logits_is_the_soft_label_but_for_what_lies_below_the_gap():
    structure = Attributes("a[3] * b[4]")
    tau = soft(structure)
    logits = structure.entries(soft_logits(structure, tau, 30))
    T = structure.entries(tau)
    weights = {R: float(sp.exp(logits[R] - logits["a:b"])) for R in structure.names}
    counts = {relation.name: int(relation.valency) for relation in structure.relations}
    mass = sum(counts[R] * w for R, w in weights.items())
    assert all(weights[R] / mass == pytest.approx(float(T[R]), abs=1e-11) for R in structure.names)


def test_a_simulation_from_random_entries_follows_the_logits_to_their_limit():
    """Each stratum's z is that of the gap; the interaction has changed sign; kernels matter to nothing but the speed."""
    structure = Attributes("a[2] * b[3]")
    tau = soft(structure)
    kernel = {"1": 1.0, "a": 2.0, "b": 2.0, "a:b": 1.0}
    model = UFM(structure, targets=tau, width=8, feature_kernel=kernel, label_kernel=kernel)
    found = simulate(model, [0, 20, 100, 2000], init=gaussian(0.3), full=True, seed=1, rtol=1e-6, atol=1e-8).data
    z = {A: found["z"].sel(stratum=A).values[-1] for A in structure.names}
    assert z["a:b"] < -1
    # z of the interaction falls by as much as the gap grows: read the gap off it, and the rest is told.
    gap = float(soft_logits(structure, tau, 0)["a:b"]) - z["a:b"]
    expected = {A: float(value) for A, value in soft_logits(structure, tau, gap).items()}
    missing = np.exp(-gap)  # softmax off the soft label
    assert missing < 0.02
    for A in ("a", "b"):
        assert z[A] == pytest.approx(expected[A], rel=0.05)
        # One-hot labels would have all strata alike.
        assert abs(z[A] - abs(z["a:b"])) > 1
    index = found["semantic_index"].values
    assert index[:-1].max() > index[-1] > float(soft_index(structure))


def test_bad_input():
    for formula in ("a[3]", "a[2] / b[3]"):
        with pytest.raises(InputError, match="crossed attributes, two at least"):
            soft_direction(Attributes(formula))
    structure = Attributes("a[2] * b[3]")
    with pytest.raises(InputError, match="with weight on every attribute"):
        soft_logits(structure, cooccurrence_targets(structure, "1/2", {"a": 1}), 1)
