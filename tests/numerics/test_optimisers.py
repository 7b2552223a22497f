"""Discrete steps of optimisers against their flows on the strata, the law of signs in random frames, and what survives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ufmflow.numerics import strata
from ufmflow.numerics.optimisers import descend, embedding_features
from ufmflow.numerics.simulate import gaussian, simulate
from ufmflow.proofs.strategies import models, structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import embedding_kernel
from ufmflow.theory.model import UFM
from ufmflow.theory.optimisers import effective_time
from ufmflow.theory.signs import sign_step

from .explicit import element, normal

STRUCTURE = Attributes("color[3] * shape[4]")
WEIGHTS = {"color": 1, "shape": 1}
KERNEL = embedding_kernel(STRUCTURE, WEIGHTS, residual=1)
MODEL = UFM(STRUCTURE, feature_kernel=KERNEL, width=12)


def alike(model: UFM, u: float) -> dict[str, tuple[float, float]]:
    """A start with one singular value u of the parameters on all strata."""
    kW, kH = model.label_kernel, model.feature_kernel
    return {A: (u * float(kW.get(A, 0)) ** 0.5, u * float(k) ** 0.5) for A, k in kH.items()}


def gap(run, flow) -> float:
    """The largest difference in w and h, time by time, relative to the largest values."""
    pairs = [(np.abs(run.data[v].values), np.abs(flow.data[v].values)) for v in "wh"]
    return max(np.abs(a - b).max() / b.max() for a, b in pairs)


# Times at which z is of the order of 1.  Features with their norm held are followed until they are level: from there on
# steps of one size alternate about the flow, and their error, still of the order of lr, is no smooth function of it.
LASTING = {
    "free": {"sgd": 25.0, "normalized": 0.6, "muon": 1.0},
    "normalized": {"sgd": 5.0, "normalized": 0.02, "muon": 0.1},
}


@pytest.mark.parametrize("constraint", ["free", "normalized"])
@pytest.mark.parametrize("optimizer", ["sgd", "normalized", "muon"])
def test_small_steps_follow_the_flow_with_an_error_of_their_size(optimizer, constraint):
    model = UFM(**(MODEL.config() | {"constraint": constraint}))
    end = LASTING[constraint][optimizer]
    flow = simulate(model, np.linspace(0, end, 5), init=alike(model, 0.3), optimizer=optimizer)
    coarse, fine = (gap(descend(model, optimizer, end / n, n, init=0.3, snapshots=4, seed=1), flow) for n in (200, 400))
    assert fine < 0.02 and 1.6 < coarse / fine < 2.4  # Euler's error is of first order
    other = "muon" if optimizer == "sgd" else "sgd"
    wrong = simulate(model, np.linspace(0, LASTING[constraint][other], 5), init=alike(model, 0.3), optimizer=other)
    assert gap(descend(model, optimizer, end / 400, 400, init=0.3, snapshots=4, seed=1), wrong) > 5 * fine


@settings(max_examples=6)
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_small_steps_follow_the_flow_of_any_model(data, seed):
    model = data.draw(models(constraints=("free",), max_factors=2, positive_kernels=True))
    model = UFM(**(model.config() | {"width": int(model.contexts), "loss": "cross_entropy", "targets": None}))
    optimizer = data.draw(st.sampled_from(["normalized", "muon"]))
    flow = simulate(model, [0.0, 0.2], init=alike(model, 0.5), optimizer=optimizer)
    # 200 steps of 0.001; a second derivative of up to 1e3 (a ridge's pull turning within the smoothing) leaves 0.05.
    assert gap(descend(model, optimizer, 0.001, 200, init=0.5, snapshots=1, seed=seed), flow) < 0.05


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_momentum_is_gradient_flow_in_its_effective_time(momentum):
    n = 2000
    lr = 20.0 * (1 - momentum) / n
    run = descend(MODEL, "sgd", lr, n, init=0.3, momentum=momentum, snapshots=4)
    steps = np.round(run.time / lr).astype(int)
    flow = simulate(MODEL, effective_time(steps, lr, momentum), init=alike(MODEL, 0.3))
    late = simulate(MODEL, steps * lr, init=alike(MODEL, 0.3))
    # lr (1 + momentum) / (2 (1 - momentum)^2) = 0.1 at most, times rates of 1/12 x 11 x ln of the growth: a percent.
    assert gap(run, flow) < 0.03 < 0.2 < gap(run, late)


@settings(max_examples=10)
@given(k=st.lists(st.integers(1, 8), min_size=3, max_size=3), u=st.integers(1, 10).map(lambda n: n / 10))
def test_muon_grows_linearly_and_keeps_the_shares_of_the_kernel(k, u):
    kernel = dict(zip(("color", "shape", "color:shape"), k, strict=True))
    model = UFM(STRUCTURE, feature_kernel=kernel, label_kernel=kernel)
    t = np.linspace(0, 0.5, 4)
    run = simulate(model, t, init=alike(model, u), optimizer="muon")
    z = np.array([kernel[A] * (u + t) ** 2 for A in kernel]).T
    found = run.data["z"].values[:, 1:]
    m = np.array([float(STRUCTURE.multiplicities[A]) for A in kernel])
    # A step is short of 1 by e^2 |p|^2 / (2 p_A^2); the pulls p_A = k_A g_A u at the end bound their ratios.
    from_z = sigma(run.data["z"].values[-1])
    pulls = np.array(k) * from_z
    short = ((m * pulls**2).sum() / pulls**2).max() / 500**2
    assert np.abs(found / z - 1).max() < 2 * short + 1e-6
    shares = m * np.array(k) / (m * np.array(k)).sum()
    assert np.abs(run.shares() - shares).max() < 4 * short + 1e-6
    if len(set(k)) > 1:
        other = simulate(model, t * 12, init=alike(model, u))
        assert np.abs(other.shares()[-1] - shares).max() > 1e-3  # control: gradient flow leaves them


def sigma(z: np.ndarray) -> np.ndarray:
    """1 - pi_A on the strata but the mean, from explicit matrices."""
    Z = element(dict(zip(STRUCTURE.names, z, strict=True)), STRUCTURE)
    softmax = np.exp(Z - Z.max(axis=0))
    found = strata.matrix_eigenvalues(softmax / softmax.sum(axis=0), STRUCTURE)
    return 1 - np.array(list(found.values()))[1:]


def along_gradient_flow(run, kernel: dict) -> np.ndarray:
    """log(tau/z - 1) / s, which runs at one speed on all strata under gradient flow: differences are constant."""
    z = run.data["z"].values[:, 1:]
    s = np.array([float(kernel[A]) ** 0.5 for A in STRUCTURE.names[1:]])
    path = np.log(1 / z - 1) / s
    return path[:, 1:] - path[:, :1]


@settings(max_examples=8)
@given(k=st.lists(st.integers(1, 6), min_size=3, max_size=3))
def test_normalised_steps_keep_the_path_of_a_balanced_gradient_flow(k):
    kernel = dict(zip(("color", "shape", "color:shape"), k, strict=True))
    model = UFM(STRUCTURE, loss="mse", feature_kernel=kernel, width=12)
    # Singular values u of the parameters that differ between strata: 0.1, 0.12, 0.14.
    balanced = {A: (u, u * float(kernel[A]) ** 0.5) for A, u in zip(kernel, (0.1, 0.12, 0.14), strict=True)}
    path = along_gradient_flow(simulate(model, np.linspace(0, 0.05, 5), init=balanced, optimizer="normalized"), kernel)
    assert np.abs(path - path[0]).max() < 1e-4  # the flow's tolerance of 1e-8 over z of 0.01 and 1 - z
    if len(set(k)) > 1:
        wrong = along_gradient_flow(simulate(model, np.linspace(0, 0.2, 5), init=balanced, optimizer="muon"), kernel)
        assert np.abs(wrong - wrong[0]).max() > 0.01


@settings(max_examples=15)
@given(rho=st.integers(1, 9).map(lambda n: n / 10), u=st.integers(1, 5).map(lambda n: n / 10))
def test_sgd_is_behind_muon_on_interactions_until_main_effects_are_well_learned(rho, u):
    kernel = {"color": 1, "shape": 1, "color:shape": rho**2}  # s = sqrt(kW kH) with kW = 1
    model = UFM(STRUCTURE, loss="mse", feature_kernel=kernel)
    run = simulate(model, np.concatenate([[0], np.geomspace(0.1, 5000, 300)]), init=alike(model, u))
    main, other = run.data["z"].values[:, 1], run.data["z"].values[:, 3]
    early = (main <= 1 / (1 + rho)) & (run.time > 0)
    assert np.all(other[early] < rho * main[early])
    assert other[-1] > rho * main[-1]  # and ahead of it at the end
    muon = simulate(model, np.linspace(0, 1 - u, 5), init=alike(model, u), optimizer="muon").data["z"].values
    # |p|^2 / p_A^2 at z <= 0.97 on 11 modes: at most 11 / (rho (1 - z))^2 for the main effects' own slackening.
    below = muon[:, 1] < 0.9
    assert np.allclose(muon[below, 3], rho * muon[below, 1], rtol=0.02)


def share_at(run, loss: float) -> float:
    """Interaction share of H when the loss first passes a level."""
    first = int(np.argmax(run.data["loss"].values < loss))
    assert run.data["loss"].values[first] < loss
    return float(run.data["share_H"].values[first, 3])


@settings(max_examples=10)
@given(color=st.integers(2, 8), shape=st.integers(2, 8))
def test_gradient_flow_keeps_more_structure_than_muon_at_equal_loss(color, shape):
    model = UFM(STRUCTURE, feature_kernel={"color": color, "shape": shape, "color:shape": 1})
    sgd = simulate(model, 400.0, init=alike(model, 0.01))
    muon = simulate(model, 4.0, init=alike(model, 0.01), optimizer="muon")
    for loss in (2.3, 2.0, 1.5):  # of log 12 = 2.48
        assert share_at(sgd, loss) < share_at(muon, loss)


def test_muon_keeps_what_gradient_flow_slowly_forgets():
    kernel = {"color": "5/4", "shape": "5/4", "color:shape": 1}  # on both sides: collapses under gradient flow
    model = UFM(STRUCTURE, feature_kernel=kernel, label_kernel=kernel)
    sgd = simulate(model, [1e3, 1e5, 1e8], init=alike(model, 1.0)).data["z"].sel(stratum=["color", "color:shape"])
    muon = (
        simulate(model, [1.0, 2.0, 3.0], init=alike(model, 1.0), optimizer="muon")
        .data["z"]
        .sel(stratum=["color", "color:shape"])
    )
    falling, constant = (z.values[:, 0] / z.values[:, 1] for z in (sgd, muon))
    assert np.all(np.diff(falling) < -0.05)  # to 1, at log-log speed
    assert constant == pytest.approx(1.25, abs=0.01)


def test_muon_levels_norm_held_features_by_its_bound():
    model = UFM(STRUCTURE, feature_kernel=KERNEL, width=12, constraint="normalized")
    phi = {A: (1e-4, 0.0 if A == "1" else 0.2 * float(k) ** 0.5) for A, k in KERNEL.items()}
    values = [h for A, (_, h) in phi.items() if A != "1"]
    bound = (max(values) - min(values)) / (2 * min(float(k) for A, k in KERNEL.items() if A != "1") ** 0.5)
    muon = simulate(model, [0.0, bound / 20, bound], init=phi, optimizer="muon")
    etf = np.array([2, 3, 6]) / 11
    # The smoothed sign stops within e = 1/500 of the pulls' norm; logits of up to w phi-scale 1 tilt g by a little.
    assert np.abs(muon.shares()[2] - etf).max() < 0.03 < np.abs(muon.shares()[1] - etf).max()
    sgd = simulate(model, 40.0, init=phi)
    level = float(muon.data["loss"].values[2])
    at = int(np.argmax(sgd.data["loss"].values < level))
    assert sgd.data["loss"].values[at] < level and np.abs(sgd.shares()[at] - etf).max() > 0.1


def energies_with_error(rows: np.ndarray, attributes: Attributes) -> tuple[np.ndarray, np.ndarray]:
    """Mean energy per row on each stratum, and its standard error; rows (d, m)."""
    each = strata.energies(rows[:, :, None], attributes)
    return each.mean(axis=0), each.std(axis=0) / np.sqrt(len(rows))


def signs_obey(attributes: Attributes, e: dict, seed: int, function=np.sign) -> bool:
    root = element({A: float(x) ** 0.5 for A, x in e.items()}, attributes)
    mean, error = energies_with_error(function(normal(seed, 6000, root.shape[0]) @ root), attributes)
    law = np.array([float(x) for x in sign_step(attributes, e).energies.values()])
    return bool(np.all(np.abs(mean - law) <= 5 * error + 1e-9))


@settings(max_examples=10)
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_signs_in_a_gaussian_frame_have_the_energies_of_the_law(data, seed):
    attributes = data.draw(structures(max_cardinality=12, max_factors=3))
    e = data.draw(
        st.fixed_dictionaries({A: st.integers(0, 4) for A in attributes.names}).filter(lambda e: any(e.values()))
    )
    # A vanishing variance of single contexts cannot occur: the diagonal of an element is constant.
    assert signs_obey(attributes, e, seed)


def test_another_law_of_signs_is_noticed():
    e = {"1": 0, "color": 1, "shape": 1, "color:shape": 0}
    assert signs_obey(STRUCTURE, e, 0)
    assert not signs_obey(STRUCTURE, e, 0, lambda x: x / np.sqrt((x**2).mean()))  # the normalised step: no interaction
    assert not signs_obey(STRUCTURE, e, 0, np.tanh)


@pytest.mark.parametrize("steps", [1, 5])
def test_the_first_sign_steps_of_features_obey_the_law(steps):
    d = 4000
    start = (normal(0, 12, d), np.zeros((d, 12)))
    lr = 1e-6  # H stays so small that the gradient keeps its value: Z below 1e-6 * 5 * 4000 / sqrt(4000)
    signs, adam = (
        descend(UFM(**(MODEL.config() | {"width": d})), o, lr, steps, init=start, snapshots=1) for o in ("sign", "adam")
    )
    # One-hot labels near Z = 0: energies g^2 alike on all strata but the mean, times KH in the parameters.
    law = sign_step(STRUCTURE, {A: 0 if A == "1" else k for A, k in KERNEL.items()}).energies
    expected = np.array([float(KERNEL[A] * law[A]) for A in STRUCTURE.names])
    for run in (signs, adam):
        H = run.data["H"].values[-1].T / (lr * steps)
        mean, error = energies_with_error(H, STRUCTURE)
        assert np.all(np.abs(mean - expected) <= 5 * error + 1e-9)
    normalised = np.array([0 if A == "1" else float(k) ** 2 for A, k in KERNEL.items()])
    variance = float(STRUCTURE.entries({A: 0 if A == "1" else k for A, k in KERNEL.items()})["color:shape"])
    assert np.any(np.abs(mean - normalised / variance) > 20 * error)


def test_two_binary_attributes_send_no_sign_to_their_interaction():
    square = Attributes("a[2] * b[2]")
    rows = normal(1, 500, 4) @ element({"1": 0, "a": 1, "b": 2, "a:b": 0}, square)
    assert np.all(strata.energies(np.sign(rows)[:, :, None], square)[:, 3] == 0)
    wide = Attributes("a[3] * b[2]")
    rows = normal(1, 500, 6) @ element({"1": 0, "a": 1, "b": 2, "a:b": 0}, wide)
    assert strata.energies(np.sign(rows)[:, :, None], wide)[:, 3].mean() > 0.01


def test_the_order_of_optimisers_on_tables_of_embeddings():
    model = UFM(**(MODEL.config() | {"width": 96}))
    Phi = embedding_features(STRUCTURE, WEIGHTS, residual=1)
    lengths = {
        "sgd": (0.5, 700),
        "normalized": (5e-4, 600),
        "sign": (5e-4, 600),
        "adam": (5e-4, 600),
        "muon": (5e-3, 600),
    }
    shares = {}
    for optimizer, (lr, steps) in lengths.items():
        run = descend(model, optimizer, lr, steps, init=gaussian(0.01), features=Phi, seed=2)
        shares[optimizer] = [share_at(run, loss) for loss in (1.5, 0.8)]
    for other in ("sign", "adam"):
        for i in range(2):
            assert shares["sgd"][i] + 0.02 < shares[other][i] < shares["muon"][i] - 0.02
            assert abs(shares["normalized"][i] - shares["sgd"][i]) < shares[other][i] - shares["sgd"][i]


@given(data=st.data())
def test_features_of_tables_have_the_embedding_kernel(data):
    attributes = data.draw(structures(max_cardinality=12, max_factors=3))
    weights = data.draw(st.fixed_dictionaries({}, optional={k: st.integers(0, 3) for k in attributes.sizes}))
    residual = data.draw(st.integers(0, 2) if weights else st.just(1))
    Phi = embedding_features(attributes, weights, residual)
    K = element(embedding_kernel(attributes, weights, residual), attributes)
    assert np.abs(Phi.T @ Phi - K).max() < 1e-12 * 40


@pytest.mark.parametrize("wrong, match", [
    ({"optimizer": "lion"}, "'lion' is unknown"), ({"lr": 0.0}, "lr: 0.0"), ({"steps": 0}, "steps: 0"),
    ({"momentum": 1.0}, "momentum: 1.0"), ({"memory": -0.1}, "memory: -0.1"), ({"snapshots": 1.5}, "snapshots: 1.5"),
    ({"features": np.eye(12)}, "not the model's feature_kernel"), ({"features": np.eye(3)}, r"shape \(3, 3\)"),
    ({"init": (np.ones((2, 2)), np.ones((2, 2)))}, r"init: shapes"), ({"init": "x"}, "'x' is no number"),
    ({"model": UFM("a[2]", constraint="sphere", width=3)}, "model: give a UFM"),
    ({"model": UFM("a[2]")}, "a width"), ({"model": UFM(**(MODEL.config() | {"width": 5}))}, "a width of at least"),
])  # fmt: skip
def test_bad_input_is_refused(wrong, match):
    with pytest.raises(InputError, match=match):
        descend(**({"model": MODEL, "optimizer": "muon", "lr": 0.1, "steps": 2} | wrong))


def test_simulate_refuses_what_has_no_flow():
    with pytest.raises(InputError, match="descend"):
        simulate(MODEL, 1.0, optimizer="sign")
    with pytest.raises(InputError, match="full=True"):
        simulate(MODEL, 1.0, optimizer="muon", full=True)
    with pytest.raises(InputError, match="width"):
        simulate(UFM("a[2]"), 1.0, optimizer="normalized")
