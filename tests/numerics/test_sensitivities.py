"""Sensitivities: variational equations against differences of plain flows, closed forms, and exact sums."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import DOP853, LSODA
from ufmflow.numerics import strata
from ufmflow.numerics.advice_goal import Goal
from ufmflow.numerics.integrate import integrate
from ufmflow.numerics.interventions import scaled_main_effects
from ufmflow.numerics.matrix_variations import MatrixVariation
from ufmflow.numerics.sensitivities import network_sensitivities, sensitivities
from ufmflow.numerics.smoothing import Smoothing
from ufmflow.numerics.start import Start
from ufmflow.numerics.variations import Variation
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import cooccurrence_targets, embedding_kernel
from ufmflow.theory.model import UFM

CROSSED = Attributes("color[2] * shape[3]")
KERNEL = embedding_kernel(CROSSED, {"color": 1, "shape": 1}, residual=1)
INIT = {A: (0.02, float(k) ** 0.5) for A, k in KERNEL.items()}


def built(loss, constraint, ridge, changes):
    """The model with its parameters changed by logarithms, ridge and smoothing by themselves."""
    main = ("color", "shape")
    kernel = {A: float(k) * np.exp(changes.get("body rate", 0) + changes.get(f"kernel of {A}", 0)
              + (changes.get("kernel ratio", 0) if A in main else 0)) for A, k in KERNEL.items()}  # fmt: skip
    ridges = (ridge[0] + changes.get("ridge on W", 0), ridge[1] + changes.get("ridge on H", 0))
    targets = cooccurrence_targets(CROSSED, 0.1 + changes.get("smoothing", 0), {"color": "1/2", "shape": "1/2"})
    return UFM(CROSSED, loss=loss, constraint=constraint, ridge=ridges, targets=targets, width=8, feature_kernel=kernel,
               label_kernel=np.exp(changes.get("head rate", 0)))  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "constraint", "ridge"),
    [("cross_entropy", "free", (0.01, 0.02)), ("cross_entropy", "normalized", (0.01, 0)), ("mse", "free", (0.01, 0.02)),
     ("cross_entropy", "sphere", (0.01, 0))],
)  # fmt: skip
def test_variations_of_the_modes_are_limits_of_differences(loss, constraint, ridge):
    t, e = np.array([0.0, 3.0]), 1e-5
    variation = Variation.of(built(loss, constraint, ridge, {}), INIT)
    state = integrate(LSODA, variation.rates, variation.start, t, 1e-9, 1e-12, variation.jacobian)[:, -1]
    _, S = variation.split(state)
    assert ("ridge on H" in variation.names) == (constraint == "free")

    def at(name, change):
        start = INIT
        if name == "feature scale":
            start, name = {A: (w, h * np.exp(change)) for A, (w, h) in INIT.items()}, "none"
        moved = Variation.of(built(loss, constraint, ridge, {name: change}), start)
        y = moved.split(moved.start)[0]
        return integrate(LSODA, moved.modes.rhs, y, t, 1e-10, 1e-13, moved.modes.jacobian)[:, -1]

    for i, name in enumerate(variation.names):
        difference = (at(name, e) - at(name, -e)) / (2 * e)
        assert S[:, i] == pytest.approx(difference, abs=1e-5 * max(1, np.abs(difference).max())), name
        assert np.abs(S[:, i]).max() > 1e-4, name


def test_the_gradient_of_the_loss_is_that_of_the_flow():
    variation = Variation.of(built("cross_entropy", "normalized", (0.01, 0), {}), INIT)
    y = variation.split(variation.start)[0] + 0.3
    gradient = variation.loss(y)[1]
    for i in range(len(y)):
        step = 1e-6 * np.eye(len(y))[i]
        assert gradient[i] == pytest.approx(
            (variation.loss(y + step)[0] - variation.loss(y - step)[0]) / 2e-6, abs=1e-7
        )


@pytest.mark.parametrize("init", [0.01, (0.02, 0.01)])
def test_the_two_routes_agree_where_the_closed_form_is_known(init):
    model = UFM(CROSSED, loss="mse", feature_kernel=KERNEL, label_kernel=1)
    closed = sensitivities(model, init, 400.0)
    modes = sensitivities(model, dict.fromkeys(CROSSED.names, init), 3e3)
    assert (closed.method, modes.method) == ("closed form", "modes")
    assert modes.values == pytest.approx(closed.values, rel=5e-5)
    for quantity, slope in closed.slopes.items():
        assert {name: modes.slopes[quantity][name] for name in slope} == pytest.approx(slope, abs=2e-4), quantity
        assert modes.slopes[quantity] != pytest.approx(
            {name: -x for name, x in modes.slopes[quantity].items()}, abs=1e-3
        )


def small_start(normalized=True):
    random = np.random.default_rng(3)
    kernel = strata.apply(np.eye(6), {A: float(k) for A, k in KERNEL.items()}, CROSSED)
    noise = 0.2 * random.standard_normal((6, 6))
    return Start(CROSSED, None, kernel + noise @ noise.T, 0.2 * random.standard_normal((6, 8)),
                 strata.apply(random.standard_normal((8, 6)), {A: float(k) ** 0.5 for A, k in KERNEL.items()}, CROSSED, axis=1),
                 lr=0.01, normalized=normalized, decay_head=0.01, ridge_features=0.0 if normalized else 0.02,
                 targets=Smoothing.of(CROSSED, 0.1, None).eigenvalues())  # fmt: skip


def changed(start, name, e):
    """A start with one parameter changed."""
    if name in ("head rate", "body rate"):
        field = name.replace(" ", "_")
        return replace(start, **{field: getattr(start, field) * np.exp(e)})
    if name == "kernel ratio":
        return replace(start, kernel=scaled_main_effects(start, np.exp(e)))
    if name.startswith("kernel of"):
        root = {A: np.exp(e / 2) if A == name[10:] else 1.0 for A in CROSSED.names}
        half = strata.apply(start.kernel, root, CROSSED, axis=0)
        return replace(start, kernel=strata.apply(half, root, CROSSED, axis=1))
    if name == "smoothing":
        return replace(start, targets=Smoothing.of(CROSSED, 0.1 + e, None).eigenvalues())
    fields = {"ridge on W": "decay_head", "ridge on H": "ridge_features"}
    if name in fields:
        return replace(start, **{fields[name]: getattr(start, fields[name]) + e})
    return replace(
        start, **{part: getattr(start, part) * np.exp(e) for part in {"head scale": "W", "feature scale": "F"}[name]}
    )


@pytest.mark.parametrize("normalized", [True, False])
def test_variations_of_the_matrices_are_limits_of_differences(normalized):
    start, t, e = small_start(normalized), np.array([0.0, 2.0]), 1e-5
    variation = MatrixVariation.of(start)
    state = integrate(DOP853, variation.rates, variation.initial, t, 1e-9, 1e-11)[:, -1]
    _, dW, _, dF = variation.split(state)
    energies, moved, loss, loss_p = variation.observed(state)

    def at(name, change):
        other = MatrixVariation.of(changed(start, name, change))
        W0, F0 = other.start

        def rates(y):
            found = other.flow.rates(y[: W0.size].reshape(W0.shape), y[W0.size :].reshape(F0.shape))
            return np.concatenate([part.ravel() for part in found])

        y = integrate(DOP853, rates, np.concatenate([W0.ravel(), F0.ravel()]), t, 1e-10, 1e-12)[:, -1]
        zeros = np.zeros((len(variation.names), 1, 1))
        whole = variation.joined(
            y[: W0.size].reshape(W0.shape), zeros + 0 * dW, y[W0.size :].reshape(F0.shape), zeros + 0 * dF
        )
        found = variation.observed(whole)
        return y, found[0], found[2]

    assert at("head rate", 0.0)[1] == pytest.approx(energies, rel=1e-7) and at("head rate", 0.0)[2] == pytest.approx(
        loss
    )
    for i, name in enumerate(variation.names):
        above, below = at(name, e), at(name, -e)
        y, energy, value = ((a - b) / (2 * e) for a, b in zip(above, below, strict=True))
        mine = np.concatenate([dW[i].ravel(), dF[i].ravel()])
        assert mine == pytest.approx(y, abs=2e-5 * max(1, np.abs(y).max())), name
        assert moved[i] == pytest.approx(energy, abs=2e-5 * max(1, np.abs(energy).max())), name
        assert loss_p[i] == pytest.approx(value, abs=2e-5), name
        assert np.abs(mine).max() > 1e-4, name


def test_a_networks_slopes_add_up_and_follow_differences():
    start = changed(replace(small_start(), targets=None, decay_head=0.0), "feature scale", np.log(0.2))
    goal = Goal.parse("semantic index >= 0.2 at loss <= 0.2")
    found = network_sensitivities(start, 60.0, goal)
    assert found.method == "matrices" and {"end", "stop", "index at stop"} <= found.values.keys()
    for name, slope in found.slopes.items():
        total = 0.0 if name in ("height", "index at stop") else -1.0
        assert slope["head rate"] + slope["body rate"] == pytest.approx(total, abs=1e-3), name
        assert sum(slope[f"kernel of {A}"] for A in ("color", "shape")) == pytest.approx(
            slope["kernel ratio"], abs=1e-6
        )
    for name in ("body rate", "head scale"):
        above, below = (network_sensitivities(changed(start, name, e), 60.0, goal).values for e in (0.02, -0.02))
        for quantity in ("end", "stop"):
            difference = np.log(above[quantity] / below[quantity]) / 0.04
            assert found.slopes[quantity][name] == pytest.approx(difference, abs=0.01), (name, quantity)
        difference = (above["index at stop"] - below["index at stop"]) / 0.04
        assert found.slopes["index at stop"][name] == pytest.approx(difference, abs=0.005)


def test_what_has_no_sensitivities():
    with pytest.raises(InputError, match="weight_decay_body: sensitivities are of the gradient flow"):
        MatrixVariation.of(replace(small_start(), decay_body=0.1))
    with pytest.raises(InputError, match="share no attribute"):
        sensitivities(UFM("color[3]"), 0.01, 10.0)
    assert sensitivities(UFM(CROSSED), 0.01, 10.0) is None  # equal kernels: on the ETF's ray throughout
