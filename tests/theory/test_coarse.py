"""Merged strata: the Hamming scheme, models that merge, and the families with symbols for the number of modes."""

from math import comb

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.numerics.simulate import simulate
from ufmflow.proofs.strategies import rationals
from ufmflow.theory import coarse
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.coarse import chain_flow, hamming_flow, merged
from ufmflow.theory.errors import InputError
from ufmflow.theory.exchangeable import Exchangeable, structure
from ufmflow.theory.flow import derive_flow
from ufmflow.theory.formula import stratum_count
from ufmflow.theory.kernels import cooccurrence_targets, embedding_kernel
from ufmflow.theory.limits import limit
from ufmflow.theory.model import CONSTRAINTS, LOSSES, UFM
from ufmflow.theory.system import derive

from .evaluate import rates

FACTORS = "abcde"


def crossing(power: int, size: int | str) -> Attributes:
    return Attributes(" * ".join(f"{name}[{size}]" for name in FACTORS[:power]))


def merges(scheme: Exchangeable, attributes: Attributes) -> bool:
    """Sums over the strata of an order of m_A chi_A(T), and over the relations of an order of v_T, are the scheme's."""
    j = {s.name: len(s.factors) for s in attributes.strata}
    for relation in attributes.relations:
        T = scheme.names[j[relation.name]]
        for k, order in enumerate(scheme.names):
            total = sum(attributes.multiplicities[A] * attributes.character(A, relation.name) for A in j if j[A] == k)
            if sp.cancel(total - scheme.multiplicities[order] * scheme.character(order, T)) != 0:
                return False
    valencies = [sum(T.valency for T in attributes.relations if len(T.factors) == a) for a in range(scheme.power + 1)]
    return all(sp.cancel(a - T.valency) == 0 for a, T in zip(valencies, scheme.relations, strict=True))


@pytest.mark.parametrize("power", [2, 3, 4])
@pytest.mark.parametrize("size", [2, 3, "n"])
def test_characters_and_valencies_are_sums_over_an_order(power, size):
    assert merges(Exchangeable(f"a[{size}]^{power}"), crossing(power, size))
    other = Exchangeable(f"a[{5 if size == 3 else 3}]^{power}")
    assert not merges(other, crossing(power, size))


@given(power=st.integers(2, 7), size=st.integers(2, 6), data=st.data())
def test_the_scheme_transforms_and_counts(power, size, data):
    scheme = Exchangeable(f"a[{size}]^{power}")
    values = {A: data.draw(rationals()) for A in scheme.names}
    assert scheme.eigenvalues(scheme.entries(values)) == values
    assert sum(scheme.multiplicities.values()) == sum(T.valency for T in scheme.relations) == size**power
    entries = scheme.entries(values)
    same = scheme.names[-1]
    assert scheme.eigenvalues(entries | {same: entries[same] + 1}) == {A: value + 1 for A, value in values.items()}
    assert stratum_count(crossing(min(power, 5), size).tree) == 2 ** min(power, 5)


def test_the_scheme_is_read_from_its_text():
    scheme = Exchangeable(" color[3] ^ 4 ")
    assert str(scheme) == "color[3]^4" and structure(str(scheme)) == scheme and hash(structure(str(scheme)))
    assert scheme != Exchangeable("color[3]^5") and scheme != Attributes("color[3]")
    model = UFM("color[3]^4", feature_kernel={f"order{j}": j for j in range(1, 5)}, ridge=0.1)
    assert UFM(**model.config()) == model and isinstance(model.attributes, Exchangeable)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Exchangeable("a[3]^1"), "the power is 1; it must lie between 2 and 200"),
        (lambda: Exchangeable("a[3]^201"), "the power is 201"),
        (lambda: Exchangeable("a[3]^k"), "a power joins copies of one attribute"),
        (lambda: Exchangeable("(a[3] * b[3])^2"), "a power joins copies"),
        (lambda: structure("a[2]^3 * b[2]"), "a power joins copies"),
        (lambda: structure("a[1]^3"), "too small"),
        (lambda: Exchangeable("a[3]^4").projector("order1"), "merged by order"),
        (lambda: Exchangeable("a[3]^4").projector("a"), "'a' is unknown"),
        (lambda: Exchangeable("a[3]^4").shape, "merged by order"),
        (lambda: Exchangeable("a[3]^4").character("order5", "1"), "'order5' is unknown"),
        (lambda: Exchangeable("a[3]^4").sharing("b", "1"), "'b' is unknown"),
        (lambda: UFM("a[3]^4", labels="b"), "no attribute of"),
        (lambda: simulate(UFM("a[2]^2"), 1.0, full=True), "merged by order"),
        (lambda: hamming_flow("hinge"), "^loss: 'hinge' is unknown"),
    ],
)
def test_what_needs_the_attributes_one_by_one_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_kernels_and_targets_merge_as_they_do_one_by_one():
    attributes, scheme = crossing(3, 4), Exchangeable("a[4]^3")
    alike = dict.fromkeys(attributes.sizes, 2)
    for make, unit in ((embedding_kernel, {"a": 2}), (cooccurrence_targets, {"a": 1})):
        one_by_one = (
            make(attributes, alike, "1/10") if make is embedding_kernel
            else make(attributes, "1/10", dict.fromkeys(attributes.sizes, "1/3"))
        )  # fmt: skip
        together = make(scheme, unit, "1/10") if make is embedding_kernel else make(scheme, "1/10", unit)
        by_order = {scheme.names[len(s.factors)]: one_by_one[s.name] for s in attributes.strata}
        assert by_order == together
        assert together["order1"] != together["order2"]


@st.composite
def exchangeable_models(draw, loss: str, constraint: str) -> UFM:
    """Crossings whose kernels and targets depend on the order alone."""
    power, size = draw(st.sampled_from([(2, 2), (2, 3), (3, 2), (3, 3), (4, 2)]))
    attributes = crossing(power, size)

    def by_order(low: int, high: int) -> dict:
        values = [draw(rationals(low, high)) for _ in range(power + 1)]
        return {s.name: values[len(s.factors)] for s in attributes.strata}

    targets = None
    if loss == "mse" and draw(st.booleans()):
        targets = by_order(0, 2) | {"1": 1}
    return UFM(
        attributes, loss=loss, targets=targets, feature_kernel=by_order(0, 4), label_kernel=by_order(0, 4),
        ridge=(draw(rationals(0, 1)), draw(rationals(0, 1))), constraint=constraint, width=size**power + 1,
        reduction=draw(st.sampled_from(["mean", "sum"])),
    )  # fmt: skip


def spread(model: UFM, by_order: list) -> list:
    return [by_order[len(s.factors)] for s in model.attributes.strata]


def flows_alike(model: UFM, small: UFM, w: list, h: list) -> bool:
    """Rates of the crossing at a state equal by order are the merged rates; sums of 16 strata at most, of order one."""
    n = len(model.attributes.strata)
    one_by_one = rates(derive_flow(model))(spread(model, w) + spread(model, h))
    together = rates(derive_flow(small))(w + h)
    k = len(w)
    expected = spread(model, together[:k]) + spread(model, together[k:])
    return len(one_by_one) == 2 * n and np.allclose(one_by_one, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
@given(data=st.data())
def test_the_merged_flow_is_the_flow_of_the_crossing(loss, constraint, data):
    model = data.draw(exchangeable_models(loss, constraint))
    small = merged(model)
    assert len(small.attributes.strata) == len(model.attributes.factors) + 1
    number = st.integers(1, 12).map(lambda x: x / 6)
    w, h = ([data.draw(number) for _ in small.attributes.names] for _ in "wh")
    assert flows_alike(model, small, w, h)


def test_another_merged_flow_is_noticed():
    model = UFM(crossing(3, 3), feature_kernel={s.name: 5 - len(s.factors) for s in crossing(3, 3).strata}, ridge=0.1)
    w, h = [0.5, 1.0, 1.5, 0.7], [0.2, 0.9, 0.4, 1.1]
    assert flows_alike(model, merged(model), w, h)
    config = merged(model).config()
    for wrong in ({"attributes": "attribute[4]^3"}, {"ridge": (0.1, 0.2)}, {"feature_kernel": 3}):
        assert not flows_alike(model, UFM(**(config | wrong)), w, h)


def test_merged_trajectories_are_those_of_the_crossing():
    kernel = embedding_kernel(crossing(4, 3), dict.fromkeys("abcd", 1), residual=1)
    model = UFM(crossing(4, 3), feature_kernel=kernel, ridge=1e-4)
    system = derive(model, coarse=True)
    t = [0, 1.0, 10.0, 100.0, 1e4]
    together, one_by_one = simulate(system.model, t, init=0.01), simulate(model, t, init=0.01)
    for variable in "whz":
        for stratum in model.attributes.strata:
            order = system.model.attributes.names[len(stratum.factors)]
            first = one_by_one.data[variable].sel(stratum=stratum.name).values
            # Both are integrated to 1e-8 of the largest value.
            assert np.abs(first - together.data[variable].sel(stratum=order).values).max() <= 1e-7 * first.max() + 1e-9
    assert np.allclose(one_by_one.data["loss"], together.data["loss"], rtol=1e-7, atol=1e-9)
    assert np.allclose(one_by_one.data["semantic_index"], together.data["semantic_index"], atol=1e-7)
    assert together.data["semantic_index"].max() > 0.2 and together.window() is not None


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (UFM("a[2] * b[3]"), "^attributes: .* is no crossing of attributes of one size"),
        (UFM("(a[2] * b[2]) / c[2]"), "^attributes: .* is no crossing"),
        (UFM("a[2] * b[2]", labels="a"), "^labels: they keep a"),
        (UFM("a[2] * b[2]", feature_kernel={"a": 2, "b": 1, "a:b": 1}), "^feature_kernel: stratum 'a' has 2 but 'b'"),
        (UFM("a[2] * b[2]", label_kernel={"a": 1, "b": 3, "a:b": 1}), "^label_kernel: stratum 'a' has 1 but 'b' has 3"),
        (UFM("a[2] * b[2]", loss="mse", targets={"a": 1, "b": 0, "a:b": 1}), "^targets: stratum 'a' has 1"),
    ],
)
def test_what_does_not_merge_is_refused(model, message):
    with pytest.raises(InputError, match=message):
        derive(model, coarse=True)


def test_what_is_merged_already_stays():
    for model in (UFM("a[2] / b[3] / c[2]"), UFM("a[5]"), UFM("a[2]^5")):
        assert merged(model) == model


def margins(attributes: Attributes, z: np.ndarray) -> np.ndarray:
    """Z(same) - Z(T) for each relation T: what the loss sees of z."""
    V = attributes.cardinality
    weights = [
        [float(s.multiplicity * (1 - attributes.character(s.name, T)) / V) for s in attributes.strata]
        for T in attributes.names[:-1]
    ]
    return np.array(weights) @ z


def test_forty_attributes_have_forty_one_modes():
    """3^40 labels: valencies reach 1e18, and dimensions too; the margins reach those of the ridge's limit all the same.

    A stratum enters the margins by m_j / V, 1e-17 for the main effects, so these have nothing left to pull them on.
    """
    scheme = Exchangeable("attribute[3]^40")
    assert scheme.multiplicities["order20"] == comb(40, 20) * 2**20
    model = UFM(scheme, feature_kernel={f"order{j}": 3 if j == 1 else 1 for j in range(1, 41)}, reduction="sum",
                ridge="1/100")  # fmt: skip
    found = simulate(model, [0, 1e5], init=1e-2)
    expected = np.array([float(z) for _, _, z in limit(model).values()])
    assert expected[1] == pytest.approx(np.log(99 * 3.0**40), rel=1e-12)  # one-hot: ln(V/lam - V + 1)
    z = found.data["z"].values[-1]
    assert np.allclose(margins(scheme, z), margins(scheme, expected), rtol=1e-7)
    assert not np.allclose(margins(scheme, z), margins(scheme, expected * 1.001), rtol=1e-7)
    first, last = found.data["loss"].values / 3.0**40
    # Of each context: ln V less Z(same) = 1e-4 at first, -ln(1 - lam) at last.
    assert first == pytest.approx(np.log(3.0**40) - 1e-4, rel=1e-9) and last == pytest.approx(-np.log(0.99), rel=1e-6)


def values_at(expressions: list, parameters: dict) -> np.ndarray:
    return np.array([float(sp.N(expression.xreplace(parameters), 20)) for expression in expressions])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("family", "depth"), [("hamming", 2), ("hamming", 3), ("chain", 2), ("chain", 3)])
def test_the_family_is_the_derived_flow_when_its_depth_is_a_number(family, depth, loss):
    """Numbers for every symbol, after the sums are written out; derive() on the structure itself is the other side."""
    sizes = [2, 3, 4][:depth]
    if family == "hamming":
        flow, attributes = hamming_flow(loss), Exchangeable(f"a[3]^{depth}")
        parameters = {coarse.SIZE: 3}
    else:
        flow, attributes = chain_flow(loss), Attributes(" / ".join(f"{FACTORS[k]}[{n}]" for k, n in enumerate(sizes)))
        parameters = {coarse.SIZES[k + 1]: n for k, n in enumerate(sizes)}
    names = attributes.names
    kernels = [{A: sp.Rational(shift + j, j + 1) for j, A in enumerate(names)} for shift in (2, 3)]
    tau = {A: sp.Rational(9 - j, 9) for j, A in enumerate(names)}
    ridge = (sp.Rational(1, 10), sp.Rational(1, 5))
    model = UFM(attributes, loss=loss, targets=tau, label_kernel=kernels[0], feature_kernel=kernels[1], ridge=ridge)
    w = [sp.Rational(j + 2, 3) for j in range(depth + 1)]
    h = [sp.Rational(2 * j + 1, 4) for j in range(depth + 1)]
    for j, A in enumerate(names):
        parameters |= {coarse.KW[j]: kernels[0][A], coarse.KH[j]: kernels[1][A], coarse.TAU[j]: tau[A]}
        parameters |= {coarse.W[j]: w[j], coarse.H[j]: h[j]}
    parameters |= {coarse.LAM_W: ridge[0], coarse.LAM_H: ridge[1]}
    explicit = flow.explicit(depth)
    ordered = [explicit[coarse.W[j]] for j in range(depth + 1)] + [explicit[coarse.H[j]] for j in range(depth + 1)]
    found = values_at(ordered, parameters)
    expected = rates(derive_flow(model))([float(x) for x in (*w, *h)])
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-14)  # a few dozen terms of order one
    altered = parameters | {coarse.TAU[1]: tau[names[1]] + sp.Rational(1, 100)}
    assert not np.allclose(values_at(ordered, altered), expected, rtol=1e-12, atol=1e-14)


def test_the_families_keep_their_sums():
    for flow in (hamming_flow(), chain_flow()):
        text = flow.latex()
        assert text.count(r"\sum") >= 3 and "K" in text and r"\begin{align*}" in text
    assert sp.expand(coarse.krawtchouk(2, coarse.OTHER, 5, 3) - coarse.krawtchouk(2, coarse.OTHER, 5, 3)) == 0
    assert [coarse.krawtchouk(sp.S(1), sp.S(i), sp.S(4), sp.S(3)) for i in range(5)] == [8 - 3 * i for i in range(5)]


def test_chains_of_depth_twenty():
    formula = " / ".join(f"level{k}[2]" for k in range(20))
    attributes = Attributes(formula)
    assert len(attributes.strata) == 21 and attributes.cardinality == 2**20
    kernel = embedding_kernel(attributes, {"level0": 1, "level9": 1, "level19": 1}, residual=1)
    model = UFM(attributes, feature_kernel=kernel, reduction="sum", ridge="1/100")
    system = derive(model)
    assert len(system.equations) == 21 and system.jacobian().shape == (42, 42)
    # The limit is where the derived rates vanish: differences of terms up to kH lam h = 2e4, here good to 1e-10.
    ends = system.limit()
    state = [float(ends[A][0]) for A in system.flow.w] + [float(ends[A][1]) for A in system.flow.h]
    assert np.abs(rates(system.flow)(state)).max() <= 1e-9
    state[1] *= 1.001
    assert np.abs(rates(system.flow)(state)).max() > 1e-8
    found = simulate(model, [0, 100.0, 1000.0], init=0.01)
    assert found.data["loss"][-1] < 1e-3 * found.data["loss"][0]
    assert np.all(np.diff(found.data["z"].values[-1, 1:]) < 1e-6 * found.data["z"].values.max())  # coarse before fine


def test_a_crossing_of_too_many_strata_is_refused():
    wide = " * ".join(f"f{k}[2]" for k in range(12))
    assert stratum_count(Attributes(wide).tree) == 4096
    assert stratum_count(Attributes("a[2] / (b[2] * c[2])").tree) == len(Attributes("a[2] / (b[2] * c[2])").strata) == 5
    with pytest.raises(InputError, match="more than 4096 strata"):
        Attributes(f"({wide}) / last[2]")
    with pytest.raises(InputError, match="at most 64"):
        Attributes(" / ".join(f"f{k}[2]" for k in range(65)))


@pytest.mark.parametrize("ridge", [0, "1/500"])
@pytest.mark.parametrize("loss", LOSSES)
def test_what_follows_from_the_equations_is_the_same_when_merged(loss, ridge):
    attributes = crossing(3, 3)
    kernel = embedding_kernel(attributes, dict.fromkeys("abc", 1), residual=1)
    model = UFM(attributes, feature_kernel=kernel, label_kernel=kernel, loss=loss, ridge=ridge)
    system, coarser = derive(model), derive(model, coarse=True)
    order = {s.name: coarser.model.attributes.names[len(s.factors)] for s in attributes.strata}
    pairs = (system, order), (coarser, order.values())
    times = [[float(x.emergence_time(A, 1e-3)) for A in names] for x, names in pairs]
    assert times[0] == times[1] and len(set(times[0])) >= 3
    if loss == "cross_entropy" and ridge == 0:
        one_by_one, together = system.persistence(), coarser.persistence()
        assert one_by_one.phase == together.phase == "attributes only"
        assert all(value == together.direction[order[A]] for A, value in one_by_one.direction.items())
    else:
        limit_of = coarser.limit()
        differences = [x - y for A, z in system.limit().items() for x, y in zip(z, limit_of[order[A]], strict=True)]
        assert all(sp.simplify(x) == 0 for x in differences)
    first, second = (x.window(1e-3) for x in (system, coarser))
    assert np.allclose(first.onset + first.end[:1], second.onset + second.end[:1], rtol=1e-9)
    assert not np.allclose(first.onset, first.end[:1], rtol=1e-9)
