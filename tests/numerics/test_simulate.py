"""Reduced modes against whole matrices, conservation, relabelling, limits, closed forms, transients, and bad input."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ufmflow.numerics.matrices import label_of_context
from ufmflow.numerics.simulate import gaussian, simulate
from ufmflow.proofs.strategies import models, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import embedding_kernel
from ufmflow.theory.model import CONSTRAINTS, LOSSES, UFM
from ufmflow.theory.system import derive

from .explicit import element, normal, seeds

PLAIN = UFM("color[3] * shape[4]", ridge="1/1200")
KERNEL = {"1": 12, "color": 5, "shape": 4, "color:shape": 1}


def wide(model: UFM) -> UFM:
    """A width with room for every context, as a symmetric start of whole matrices needs."""
    return UFM(**(model.config() | {"width": int(model.contexts) + 1}))


def times_for(model: UFM) -> list[float]:
    """From the start to a few times the slowest stratum's growth: rates are scale times kernels of order 1."""
    return [0.0, *(x / float(model.scale) for x in (0.03, 0.3, 1.0, 3.0))]


@st.composite
def starts(draw, model: UFM) -> dict[str, tuple[float, float]]:
    value = st.integers(1, 12).map(lambda n: n / 10)
    return {A: (draw(value), draw(value)) for A in model.attributes.names}


def equal(first, second, tolerance: float) -> bool:
    """w, h, z and loss equal to a tolerance relative to the largest value of each.

    Up to the sign of w and h: the modes carry it where one crosses zero, and a matrix's singular values cannot.
    """
    pairs = [(abs(first.data[v]), abs(second.data[v])) for v in "wh"]
    pairs += [(first.data[v], second.data[v]) for v in ("z", "loss")]
    return all(np.abs(a - b).max() <= tolerance * max(np.abs(a).max(), 1e-300) for a, b in pairs)


# The tolerance that is asked for by default, and that `integrate` holds its steps well within.
AGREE = 1e-8


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
@settings(max_examples=12)
@given(data=st.data())
def test_the_reduced_flow_is_the_full_flow(loss, constraint, data):
    model = wide(data.draw(models(losses=(loss,), constraints=(constraint,))))
    init, t = data.draw(starts(model)), times_for(model)
    reduced = simulate(model, t, init=init)
    assert equal(reduced, simulate(model, t, init=init, full=True, seed=data.draw(seeds)), AGREE)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_another_flow_is_noticed(constraint):
    model = UFM(PLAIN.attributes, feature_kernel=KERNEL, ridge=(0.01, 0.02), constraint=constraint, width=13)
    t = times_for(model)
    full = simulate(model, t, init=0.3, full=True)
    assert equal(simulate(model, t, init=0.3), full, AGREE)
    swapped = KERNEL | {"color": KERNEL["shape"], "shape": KERNEL["color"]}
    for wrong in ({"feature_kernel": swapped}, {"ridge": (0.02, 0.02)}, {"loss": "mse"}):
        assert not equal(simulate(UFM(**(model.config() | wrong)), t, init=0.3), full, AGREE)
    assert not equal(simulate(model, t, init=0.3001), full, AGREE)


def drift(model: UFM, trajectory) -> float:
    """The largest change of a conserved quantity, relative to the terms that it is made of."""
    flow = derive(model).flow
    w, h = (trajectory.data[v].values for v in "wh")
    names = model.attributes.names
    values = {flow.w[A]: w[:, names.index(A)] for A in flow.w} | {flow.h[A]: h[:, i] for i, A in enumerate(names)}
    largest = 0.0
    for expression in derive(model).conserved.values():
        symbols = sorted(expression.free_symbols, key=str)
        terms = [sp.lambdify(symbols, term)(*(values[s] for s in symbols)) for term in sp.Add.make_args(expression)]
        largest = max(largest, np.abs(sum(terms) - sum(terms)[0]).max() / max(np.abs(term).max() for term in terms))
    return largest


@pytest.mark.parametrize("constraint", ["free", "sphere"])
@pytest.mark.parametrize("full", [False, True])
@settings(max_examples=10)
@given(data=st.data())
def test_conserved_quantities_stay(constraint, full, data):
    model = wide(data.draw(models(constraints=(constraint,), ridge=False, positive_kernels=constraint == "free")))
    trajectory = simulate(model, times_for(model), init=data.draw(starts(model)), full=full)
    assert derive(model).conserved
    # The tolerance that w and h are integrated to, twice for their squares.
    assert drift(model, trajectory) <= 2e-8


def test_a_ridge_breaks_the_conservation():
    model = UFM(PLAIN.attributes, feature_kernel=KERNEL)
    with_ridge = simulate(UFM(PLAIN.attributes, feature_kernel=KERNEL, ridge=(0.01, 0.02)), 10.0, init=0.3)
    assert drift(model, with_ridge) > 1e-3 and drift(model, simulate(model, 10.0, init=0.3)) <= 1e-8


@settings(max_examples=8)
@given(data=st.data(), seed=seeds)
def test_the_matrix_invariant_stays_from_any_start(data, seed):
    """W^T KW^-1 W - H KH^-1 H^T."""
    model = data.draw(models(constraints=("free",), ridge=False, positive_kernels=True))
    V, m = int(model.label_count), int(model.contexts)
    KW = element({A: 1 / k for A, k in model.label_kernel.items()}, model.label_attributes)
    KH = element({A: 1 / k for A, k in model.feature_kernel.items()}, model.attributes)
    found = simulate(model, times_for(model), init=(normal(seed, V, 5), normal(seed + 1, 5, m)) if model.width is None
                     else gaussian(1.0), full=True, seed=seed)  # fmt: skip
    pairs = zip(found.data["W"].values, found.data["H"].values, strict=True)
    first, *later = (W.T @ KW @ W - H.T @ KH @ H for W, H in pairs)
    assert all(np.abs(X - first).max() <= 1e-8 * np.abs(first).max() for X in later)
    moved = found.data["W"].values[-1]
    assert np.abs(moved - found.data["W"].values[0]).max() > 1e-4  # control: something flowed


def relabelled(attributes: Attributes, factor: int, permutation: np.ndarray) -> np.ndarray:
    """Row i of the relabelled contexts is row [i] of the old ones: the values of one factor permuted."""
    rows = np.arange(int(attributes.cardinality)).reshape(attributes.shape)
    return np.take(rows, permutation, axis=factor).ravel()


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@settings(max_examples=8)
@given(data=st.data(), seed=seeds)
def test_relabelling_the_values_of_an_attribute_changes_nothing(constraint, data, seed):
    model = UFM(**(data.draw(models(constraints=(constraint,))).config() | {"width": 5}))
    attributes, labels = model.attributes, model.label_attributes
    name = data.draw(st.sampled_from(list(attributes.sizes)))
    permutation = np.array(data.draw(st.permutations(range(int(attributes.sizes[name])))))
    contexts = relabelled(attributes, list(attributes.sizes).index(name), permutation)
    label = label_of_context(attributes, labels)
    of_label = np.empty(int(model.label_count), dtype=int)
    of_label[label] = label[contexts]
    W0, H0 = normal(seed, len(of_label), 5), normal(seed + 1, 5, len(contexts))
    t = times_for(model)
    first = simulate(model, t, init=(W0, H0), full=True)
    second = simulate(model, t, init=(W0[of_label], H0[:, contexts]), full=True)
    # The same sums in another order: steps are equal up to rounding, which the flow magnifies far less than AGREE.
    assert equal(first, second, AGREE)
    moved = first.data["H"].values[:, contexts]
    assert np.abs(moved - second.data["H"].values).max() <= AGREE * np.abs(moved).max()


def test_contexts_swapped_across_an_attribute_do_change_the_strata():
    W0, H0 = normal(0, 12, 5), normal(1, 5, 12)
    swapped = np.arange(12)
    swapped[[0, 5]] = [5, 0]  # no relabelling of values does this
    t = times_for(PLAIN)
    model = UFM(PLAIN.attributes, feature_kernel=KERNEL)
    first = simulate(model, t, init=(W0, H0), full=True)
    assert not equal(first, simulate(model, t, init=(W0[swapped], H0[:, swapped]), full=True), AGREE)


LIMITS = {
    "one-hot": {},
    "kernels": {"feature_kernel": KERNEL, "label_kernel": {"1": 3, "color": 2, "shape": 1, "color:shape": "1/2"}},
    "two ridges": {"feature_kernel": KERNEL, "ridge": ("1/600", "1/2400")},
    "soft targets": {"feature_kernel": KERNEL, "targets": {"color": "4/5", "shape": "3/4", "color:shape": "3/5"}},
    "several contexts": {"attributes": "(color[2] * shape[3]) / word[2]", "labels": "color * shape"},
    "nested": {"attributes": "kingdom[2] / genus[3]", "reduction": "sum", "ridge": "1/100"},
}


def reaches_its_limit(trajectory, limit: dict) -> bool:
    last = trajectory.data.isel(time=-1)
    largest = max(float(value) for point in limit.values() for value in point)
    return all(
        abs(float(last[v].sel(stratum=A)) - float(x)) <= 1e-7 * largest
        for A, point in limit.items()
        for v, x in zip("whz", point, strict=True)
    )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", LIMITS)
def test_the_limit_under_a_ridge_is_reached(case, loss):
    """Ridge rates of at least 1e-4 leave e^-100 of the start by t = 1e6; what is left is the integrator's tolerance."""
    model = UFM(**({"attributes": PLAIN.attributes, "ridge": "1/1200", "loss": loss} | LIMITS[case]))
    limit = derive(model).limit()
    # A balanced start on the mean, which no force holds, decays with the rest.
    assert reaches_its_limit(simulate(model, [0, 1e6], init=0.1), limit)
    assert not reaches_its_limit(simulate(model, [0, 5.0], init=0.1), limit)
    other = UFM(**(model.config() | {"ridge": ["1/1199", "1/1199"]}))
    assert not reaches_its_limit(simulate(other, [0, 1e6], init=0.1), limit)


def follows_the_closed_form(model: UFM, t: np.ndarray, init, found) -> bool:
    """Relative to the target: growth over ln(tau/z0) e-foldings, at most 470, magnifies the 1e-11 of a step."""
    forms = {A: derive(model).closed_form(A)(t, init) for A in model.targets}
    z = {A: found.data["z"].sel(stratum=A).values for A in forms}
    return all(np.abs(z[A] - form).max() <= 1e-7 * float(model.tau[A]) for A, form in forms.items())


# Whole matrices resolve no stratum below eps of the largest one, so they cannot follow starts of 1e-100.
@pytest.mark.parametrize(
    ("init", "full"),
    [(1e-3, False), (1e-100, False), ((0.5, 1e-4), False), ((1e-100, 1e-90), False), (1e-3, True), ((0.5, 1e-4), True)],
)
def test_the_closed_form_is_matched(init, full):
    kernel = {"1": 4, "color": 3, "shape": 2, "color:shape": "1/2"}
    model = UFM("color[2] * shape[3]", loss="mse", feature_kernel=kernel,
                targets={"color": "3/4", "shape": "1/2", "color:shape": "1/3"})  # fmt: skip
    # Past the emergence of the last stratum, whose rate is the smallest.
    end = 1.2 * max(float(derive(model).emergence_time(A, init)) for A in model.targets) + 50
    t = np.linspace(0, end, 40)
    start = init if not isinstance(init, tuple) else dict.fromkeys(model.attributes.names, init)
    found = simulate(model, t, init=start, full=full)
    assert follows_the_closed_form(model, t, init, found)
    assert found.data["z"].values[-1, 1] == pytest.approx(0.75, abs=0.05)  # it did emerge
    assert not follows_the_closed_form(model, t * 1.001, init, found)


def test_the_closed_form_with_ridge_is_matched():
    model = UFM("color[2] * shape[3]", loss="mse", ridge=0.01)
    t = np.linspace(0, 200, 40)
    found = simulate(model, t, init=1e-3)
    assert follows_the_closed_form(model, t, 1e-3, found)
    assert not follows_the_closed_form(UFM("color[2] * shape[3]", loss="mse", ridge=0.0101), t, 1e-3, found)


@settings(max_examples=10)
@given(attributes=structures(max_cardinality=12, max_factors=3), loss=st.sampled_from(LOSSES))
def test_the_plain_model_has_no_transient(attributes, loss):
    for constraint in CONSTRAINTS:
        model = wide(UFM(attributes, loss=loss, constraint=constraint))
        found = simulate(model, times_for(model), init=0.01)
        # From equal values the strata stay equal up to the tolerance 1e-8, and the index is a ratio of their squares.
        assert np.abs(found.data["semantic_index"]).max() <= 1e-7
        assert found.window() is None


def test_the_embedding_kernel_has_one():
    attributes = Attributes("color[3] * shape[4]")
    kernel = embedding_kernel(attributes, {"color": 1, "shape": 1}, residual=0.1)
    found = simulate(UFM(attributes, feature_kernel=kernel, ridge="1/1200"), 1e5)
    window = found.window()
    assert 0 < window.onset < window.peak < window.end < 1e5 and window.height > 0.5
    assert abs(float(found.data["semantic_index"][-1])) < 1e-3  # collapsed again


def test_a_random_start_is_fixed_by_its_seed():
    runs = [simulate(PLAIN, 10.0, init=gaussian(0.1), full=True, seed=seed) for seed in (3, 3, 4)]
    for v in ("w", "h", "z", "loss", "W", "H"):
        assert np.array_equal(runs[0].data[v], runs[1].data[v]) and not np.array_equal(runs[0].data[v], runs[2].data[v])
    W0 = runs[0].data["W"].values[0]
    assert W0.std() == pytest.approx(0.1, rel=0.3)  # 144 entries: a standard error of 6 percent
    assert runs[0].data.attrs["seed"] == 3 and runs[0].data["loss"][-1] < runs[0].data["loss"][0]


def test_a_random_start_that_is_narrow_runs_too():
    narrow = UFM(PLAIN.attributes, width=3)
    found = simulate(narrow, 10.0, init=gaussian(0.1), full=True)
    assert found.data["W"].shape == (201, 12, 3) and np.all(np.isfinite(found.data["loss"]))


STRATA = dict.fromkeys(("1", "color", "shape", "color:shape"), 0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "color[3]"}, "^model: str is no UFM"),
        ({"model": UFM("a[n] * b[2]")}, "^model: n has no number"),
        ({"model": UFM("a[n] * b[2]"), "full": True}, "^model: n has no number"),
        ({"model": UFM("a[2] * b[2]", constraint="normalized")}, "^width: a normalized model needs it"),
        ({"model": UFM("a[2] * b[2]", width=3)}, "^width: 3 is too small"),
        ({"model": UFM("a[2] * b[2]", width=3), "full": True}, "^width: 3 is too small"),
        ({"t": -1}, "^t: -1.0 is no end time"),
        ({"t": [0, 0]}, "^t: the times must be increasing"),
        ({"t": "soon"}, "^t: "),
        ({"init": np.nan}, r"^init\[1\]: nan is not finite"),
        ({"init": "small"}, r"^init\[1\]: 'small' is no number"),
        ({"init": None}, r"^init\[1\]: None is no number"),
        ({"init": STRATA | {"size": 1}}, "^init: stratum 'size' is unknown"),
        ({"init": {"color": 0.1}}, "^init: stratum 'shape' has no value"),
        ({"init": STRATA | {"color": (1, 2, 3)}}, r"^init\[color\]: 3 numbers"),
        ({"init": STRATA | {"color": np.inf}}, r"^init\[color\]: inf is not finite"),
        ({"init": gaussian(0.1)}, "^init: arrays and gaussian"),
        ({"init": (np.ones((12, 3)), np.ones((3, 12)))}, "^init: arrays and gaussian"),
        ({"init": (np.ones((11, 3)), np.ones((3, 12))), "full": True}, r"^init: W0 has shape \(11, 3\)"),
        ({"init": (np.ones((12, 3)), np.ones((12, 3))), "full": True}, "^init: H0 has shape .* give its transpose"),
        ({"init": (np.ones((12, 3)), np.full((3, 12), np.nan)), "full": True}, "^init: W0 or H0 holds NaN"),
        ({"init": (np.ones((12, 3)),), "full": True}, "^init: 1 arrays"),
        ({"init": ("a", "b"), "full": True}, "^init: "),
        ({"device": "tpu"}, "^device: 'tpu' is not available"),
        ({"rtol": 0}, "^rtol: 0 is outside"),
        ({"atol": -1}, "^atol: -1 must be"),
        ({"seed": -1, "full": True}, "^seed: -1"),
        ({"seed": 1.5, "full": True}, "^seed: 1.5"),
        ({"out": "/no/such/folder/run.zarr"}, "^path: the folder"),
    ],
)
def test_each_bad_argument_is_named_in_one_sentence(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        simulate(**({"model": PLAIN, "t": 1.0} | arguments))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf])
def test_a_bad_scale_is_named(scale):
    with pytest.raises(InputError, match="^scale: "):
        gaussian(scale)


def test_a_path_that_exists_is_refused_before_the_integration(tmp_path):
    (tmp_path / "run.zarr").write_text("mine")
    seen = []
    with pytest.raises(InputError, match="^path: .* exists"):
        simulate(PLAIN, 1.0, out=tmp_path / "run.zarr", progress=lambda *state: seen.append(state))
    assert not seen and (tmp_path / "run.zarr").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1
