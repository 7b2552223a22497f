"""Options of training runs: each against what its definition says a step does, and against the map where that is exact.

The features of a linear body under RMSNorm are linear in the parameters, with the kernel times the identity as their
whole kernel: there the map from the kernel is gradient descent itself, whatever rates, momentum, decay, ridge, targets
and scale, and a run in float32 is forecast to a few roundings.
"""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from ufmflow.numerics.forecast import forecast  # noqa: E402
from ufmflow.numerics.plan import OPTIMIZERS, Plan  # noqa: E402
from ufmflow.numerics.recording import Recording  # noqa: E402
from ufmflow.numerics.runs import load_run  # noqa: E402
from ufmflow.numerics.sign_descent import SignDescent  # noqa: E402
from ufmflow.numerics.start import Start  # noqa: E402
from ufmflow.numerics.train import train  # noqa: E402
from ufmflow.numerics.training_steps import Training  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402

from .explicit import projectors, seeds  # noqa: E402

FORMULA = "a[2] * b[3]"
SMALL = {"formula": FORMULA, "width": 16, "features": 8, "steps": 30, "snapshots": 200, "lr": 0.05}
AVAILABLE = [name for name in OPTIMIZERS if name != "muon" or hasattr(torch.optim, "Muon")]
rates = st.sampled_from([0.25, 0.5, 2.0, 3.0])


def training(**options):
    torch.manual_seed(0)
    return Training(Plan("objects", **SMALL | options))


def weights(made):
    return {name: p.detach().double().numpy().copy() for name, p in made.network.named_parameters()}


def recorded(**options):
    """The arrays of a whole run that is not written."""
    made = training(**options)
    recording = Recording(made.plan)
    while True:
        recording.take(made)
        if made.step == made.plan.steps:
            return recording.arrays()
        made.advance()


def softmax(Z):
    P = np.exp(Z - Z.max(axis=1, keepdims=True))
    return P / P.sum(axis=1, keepdims=True)


@given(momentum=st.sampled_from([0.0, 0.5, 0.9]), decay=st.sampled_from([0.0, 0.1]), seed=seeds)
def test_sign_descent_moves_every_entry_by_the_learning_rate_along_its_average(momentum, decay, seed):
    pulls = np.random.default_rng(seed).standard_normal((4, 3, 2))
    pulls[:, 0, 0] = 0  # an entry without a gradient stays, but for its decay
    theta = torch.nn.Parameter(torch.ones(3, 2, dtype=torch.float64))
    optimizer = SignDescent([theta], lr=0.1, momentum=momentum, weight_decay=decay)
    expected, average = np.ones((3, 2)), np.zeros((3, 2))
    for pull in pulls:
        theta.grad = torch.from_numpy(pull.copy())
        optimizer.step()
        average = momentum * average + pull
        expected = (1 - 0.1 * decay) * expected - 0.1 * np.sign(average)
        np.testing.assert_allclose(theta.detach().numpy(), expected, atol=1e-14)
        assert np.array_equal(theta.grad.numpy(), pull)  # the gradient is not written over
    assert np.abs(theta.detach().numpy() - (1 - 0.1 * pulls.sum(axis=0))).max() > 1e-3  # control: no gradient descent


def test_sign_descent_is_adam_without_memory():
    """Adam with betas 0 moves by lr g / (|g| + 1e-8)."""
    sign, adam = training(optimizer="sign"), training(optimizer="adamw", betas=(0.0, 0.0))
    sign.advance(), adam.advance()
    there = weights(adam)
    for name, p in sign.network.named_parameters():
        gradient = p.grad.abs().double().numpy()
        large = gradient > 1e-4
        np.testing.assert_allclose(weights(sign)[name][large], there[name][large], atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(optimizer=st.sampled_from(AVAILABLE), head=rates | st.just(0.0), body=rates)
def test_rates_multiply_the_steps_of_head_and_body(optimizer, head, body):
    plain, made = training(optimizer=optimizer), training(optimizer=optimizer, head_rate=head, body_rate=body)
    start = weights(plain)
    plain.advance(), made.advance()
    after, moved = weights(plain), weights(made)
    for name in start:
        rate = head if name.startswith("head") else body
        np.testing.assert_allclose(moved[name] - start[name], rate * (after[name] - start[name]), atol=1e-6)
    assert np.abs(after["head.weight"] - start["head.weight"]).max() > 1e-4  # control: there was a step to multiply
    assert made.time == plain.time  # flow time is that of lr


def test_rates_follow_the_schedule():
    options = {"schedule": "linear", "steps": 4}
    arrays = recorded(**options, head_rate=2.0, body_rate=0.0)
    moved = np.diff(arrays["W"].astype(float), axis=0)
    for s, lr in enumerate(0.05 * np.array([1.0, 0.75, 0.5, 0.25])):
        H, W = arrays["H"][s].astype(float), arrays["W"][s].astype(float)
        pull = (softmax(H @ W.T) - np.eye(6)).T @ H / 6
        np.testing.assert_allclose(moved[s], -2 * lr * pull, atol=1e-6)
        assert s == 0 or np.abs(moved[s] + 2 * 0.05 * pull).max() > 1e-3  # control: the rate of the first step
    assert np.array_equal(arrays["H"][0], arrays["H"][-1])  # a body at rate 0 is frozen


linear_bodies = st.fixed_dictionaries(
    {"lr": st.sampled_from([0.02, 0.05]), "seed": st.integers(0, 100)},
    optional={
        "head_rate": rates, "body_rate": rates, "embedding_scale": st.sampled_from([0.5, 2.0]), "head_scale": st.sampled_from([0.1, 3.0]),
        "weight_decay_head": st.sampled_from([0.05, 0.2]), "weight_decay_body": st.sampled_from([0.05, 0.2]),
        "smoothing": st.sampled_from([0.1, 0.4]),
        "optimizer": st.just("momentum"), "final_norm": st.just(False),
    },
)  # fmt: skip
READ_OFF = {"head_rate": 1.1, "body_rate": 1.1, "decay_head": 2.0, "decay_body": 2.0, "momentum": 0.95,
            "ridge_features": 2.0}  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(options=linear_bodies, nesterov=st.booleans(), ridge=st.sampled_from([0.0, 0.02]), data=st.data())
def test_the_map_is_the_run_where_the_body_is_linear(tmp_path_factory, options, nesterov, ridge, data):
    options = SMALL | options | {"snapshots": 6, "layers": 1, "norm": "rmsnorm"}
    if "optimizer" in options:
        options["nesterov"] = nesterov
    if "final_norm" in options:
        options["ridge_features"] = ridge
    run = load_run(train("objects", tmp_path_factory.mktemp("run") / "run", **options))
    start = Start.of(run)

    def error(start):
        found = forecast(start, t=run.time, level="map_deep" if start.decay_body else "map").data
        return max(float(np.abs(found[name].values - run.data[name].values).max()) for name in ("W", "H", "loss"))

    # Float32 rounds entries of order 1 to 1e-7; thirty steps add up, and short features turn faster.
    assert error(start) < 5e-5
    wrong = data.draw(st.sampled_from([name for name in READ_OFF if getattr(start, name)]))
    assert error(dataclasses.replace(start, **{wrong: READ_OFF[wrong] * getattr(start, wrong)})) > 5e-4
    if start.targets is not None:
        assert error(dataclasses.replace(start, targets=None)) > 5e-4


@pytest.mark.parametrize("weighted", [None, {"a": "1/4", "b": "3/4"}])
def test_smoothed_targets_are_mixtures_with_averages_over_labels_that_share_attributes(weighted):
    eps, share = 0.3, weighted or {"a": "1/2", "b": "1/2"}
    made = training(smoothing=eps, smoothing_weights=weighted)
    start = weights(made)["head.weight"]
    H = made.network.embeddings(made.tokens).detach().double().numpy()
    a, b = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)
    T = (1 - eps) * np.eye(6)
    for name, values in (("a", a), ("b", b)):
        same = (values[:, None] == values).astype(float)
        top, bottom = map(int, share[name].split("/"))
        T += eps * top / bottom * same / same.sum(axis=1, keepdims=True)
    made.advance()
    moved = weights(made)["head.weight"] - start
    P = softmax(H @ start.T)
    np.testing.assert_allclose(moved, -0.05 * (P - T).T @ H / 6, atol=1e-6)
    assert np.abs(moved + 0.05 * (P - np.eye(6)).T @ H / 6).max() > 1e-4  # control: one-hot targets


def test_recorded_losses_are_those_of_the_labels_themselves():
    arrays = recorded(smoothing=0.3, steps=5)
    Z = np.einsum("tmd,tvd->tmv", arrays["H"].astype(float), arrays["W"].astype(float))
    logs = np.stack([np.log(softmax(z)) for z in Z])
    plain = -logs[:, np.arange(6), np.arange(6)].mean(axis=1)
    np.testing.assert_allclose(arrays["loss"], plain, rtol=1e-6)


@pytest.mark.parametrize("first", [0, 4])
def test_the_mean_of_checkpoints_is_recorded_from_its_first_step_on(first):
    plain, averaged = recorded(steps=12), recorded(steps=12, average_from=first)
    for s in range(13):
        W = plain["W"][first : s + 1].astype(float).mean(axis=0) if s >= first else plain["W"][s]
        np.testing.assert_allclose(averaged["W"][s], W, atol=1e-6)
    assert np.abs(averaged["W"][-1] - plain["W"][-1]).max() > 1e-3  # control
    # H is what the averaged network makes of the inputs, not the average of H: here by the mean of all parameters.
    made, total = training(average_from=first, steps=12), None
    for s in range(13):
        if s >= first:
            now = weights(made)
            total = now if total is None else {name: total[name] + p for name, p in now.items()}
        if s < 12:
            made.advance()
    with torch.no_grad():
        for name, p in made.network.named_parameters():
            p.copy_(torch.from_numpy(total[name] / (13 - first)))
    H = made.network.embeddings(made.tokens).detach().numpy()
    np.testing.assert_allclose(averaged["H"][-1], H, atol=1e-4)


@pytest.mark.parametrize("arch", ["mlp", "transformer"])
def test_the_scale_multiplies_the_tokens_embeddings(arch):
    plain, scaled = training(arch=arch), training(arch=arch, embedding_scale=3.0)
    with torch.no_grad():
        tokens = plain.network.body.net[0].weight if arch == "mlp" else plain.network.body.token.weight
        before = plain.network.embeddings(plain.tokens)
        tokens *= 3.0
        after = plain.network.embeddings(plain.tokens)
    torch.testing.assert_close(scaled.network.embeddings(scaled.tokens), after, atol=1e-4, rtol=1e-4)
    assert (after - before).abs().max() > 1e-2  # control


def test_the_head_s_scale_multiplies_its_start_and_nothing_else():
    plain, scaled = training(), training(head_scale=0.1)
    torch.testing.assert_close(scaled.network.head.weight, 0.1 * plain.network.head.weight)
    assert torch.equal(scaled.network.embeddings(plain.tokens), plain.network.embeddings(plain.tokens))


@settings(max_examples=10, deadline=None)
@given(hold_out=st.sampled_from([1, 2, (0,), (1, 5)]), batch=st.none() | st.just(3), seed=st.integers(0, 50))
def test_held_out_labels_are_seen_by_no_step(hold_out, batch, seed):
    made = training(hold_out=hold_out, batch=batch, seed=seed)
    out = made.plan.hold_out
    assert out == (tuple(hold_out) if isinstance(hold_out, tuple) else out)
    assert len(out) == (hold_out if isinstance(hold_out, int) else len(hold_out))
    kept = np.setdiff1d(np.arange(6), out)
    assert made.plan.trained.tolist() == kept.tolist()
    seen: set[int] = set()
    for _ in range(4):
        start, H = weights(made)["head.weight"], made.network.embeddings(made.tokens).detach().double().numpy()
        order = np.arange(len(kept)) if batch is None else made.batches.state()["order"].numpy()
        made.advance()
        if batch is not None:
            left = made.batches.state()["order"].numpy()
            if not len(order):
                continue  # an epoch was drawn within the step
            order = order[: len(order) - len(left)]
        rows = kept[order]
        seen |= set(rows.tolist())
        pull = (softmax(H @ start.T) - np.eye(6))[rows].T @ H[rows] / len(rows)
        np.testing.assert_allclose(weights(made)["head.weight"] - start, -0.05 * pull, atol=1e-6)
        everything = (softmax(H @ start.T) - np.eye(6)).T @ H / 6
        assert np.abs(pull - everything).max() > 1e-4  # control
    assert seen.isdisjoint(out)


def test_recorded_losses_are_those_of_the_contexts_that_are_trained_on():
    arrays = recorded(hold_out=(1, 5), steps=20, lr=0.5)
    Z = np.einsum("tmd,tvd->tmv", arrays["H"].astype(float), arrays["W"].astype(float))
    each = np.stack([-np.log(softmax(z))[np.arange(6), np.arange(6)] for z in Z])
    np.testing.assert_allclose(arrays["loss"], each[:, [0, 2, 3, 4]].mean(axis=1), rtol=1e-5)
    assert np.abs(arrays["loss"] - each.mean(axis=1)).max() > 0.1  # control


def test_without_a_final_norm_embeddings_are_the_bodys_output():
    made = training(final_norm=False)
    with torch.no_grad():
        f = made.network.body(made.tokens)
        assert torch.equal(made.network.embeddings(made.tokens), f)
        assert not torch.allclose(f.norm(dim=1), f.new_full((6,), 8.0).sqrt())  # control: no norm holds their length


@settings(max_examples=20, deadline=None)
@given(options=st.fixed_dictionaries({}, optional={
    "optimizer": st.sampled_from(AVAILABLE), "head_rate": rates, "body_rate": rates, "embedding_scale": rates, "head_scale": rates,
    "smoothing": st.sampled_from([0.1, 0.4]), "average_from": st.integers(0, 30), "hold_out": st.integers(1, 2),
    "batch": st.integers(1, 4), "kernels": st.integers(2, 5),
}), final=st.sampled_from([{}, {"final_norm": False}, {"final_norm": False, "ridge_features": 0.1}]))  # fmt: skip
def test_a_plan_is_read_back_from_its_record(options, final):
    plan = Plan("objects", **SMALL | options | final)
    again = Plan.of_record(json.loads(json.dumps(plan.describe())))
    assert again == plan and again.describe() == plan.describe()
    assert Plan.of_record(plan.describe() | {"body_rate": 0.125}) != plan  # control


def test_a_record_tells_no_option_that_is_not_used():
    """Records from before there were these options stay what a run of the same settings would write."""
    assert not {"head_rate", "smoothing", "hold_out", "average_from", "ridge_features"} & set(
        Plan("objects").describe()
    )
    assert Plan("objects", head_rate=2.0).describe()["head_rate"] == 2.0


@pytest.mark.parametrize("options", [
    {"average_from": 2}, {"optimizer": "sign", "momentum": 0.9}, {"head_rate": 2.0, "schedule": "cosine"},
    {"hold_out": 2, "batch": 3},
])  # fmt: skip
def test_training_goes_on_from_its_state_bit_for_bit(options):
    whole, first = training(**options), training(**options)
    for _ in range(5):
        whole.advance(), first.advance()
    second = training(**options)
    second.restore(first.state())
    for _ in range(5):
        whole.advance(), second.advance()
    for a, b in zip(whole.shown.parameters(), second.shown.parameters(), strict=True):
        assert torch.equal(a, b)
    third = training(**options)  # control: a start without the state
    for _ in range(5):
        third.advance()
    assert not torch.equal(third.shown.head.weight, whole.shown.head.weight)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"head_rate": -1.0}, "head_rate: -1.0; give a finite number >= 0"),
        ({"body_rate": float("inf")}, "body_rate: inf"),
        ({"head_rate": 0, "body_rate": 0}, "head_rate, body_rate: both are 0"),
        ({"embedding_scale": 0.0}, "embedding_scale: 0.0; give a finite number > 0"),
        ({"head_scale": -1.0}, "head_scale: -1.0; give a finite number > 0"),
        ({"smoothing": 1.0}, "smoothing: 1.0; give a finite number >= 0 and < 1"),
        ({"smoothing": 0.1, "smoothing_weights": {"c": 1}}, "c"),
        ({"smoothing": 0.1, "smoothing_weights": {"a": "1/2"}}, "1"),
        ({"smoothing_weights": {"a": 1}}, "smoothing_weights: .*, but smoothing is 0"),
        ({"smoothing": 0.1, "formula": "a[6]"}, "smoothing: labels .* share no attribute"),
        ({"average_from": 31}, "average_from: 31; give a whole number from 0 to 30"),
        ({"average_from": 1.5}, "average_from: 1.5"),
        ({"hold_out": 6}, "hold_out: 6"),
        ({"hold_out": (0, 0)}, "hold_out: .*each once"),
        ({"hold_out": (0, 1, 2)}, "hold_out: without the labels 0, 1, 2"),
        ({"hold_out": 2, "batch": 5}, "batch: 5; give a whole number from 1 to 4"),
        ({"ridge_features": 0.1}, "ridge_features: 0.1, but the final norm holds"),
        ({"ridge_features": -0.1, "final_norm": False}, "ridge_features: -0.1"),
        ({"final_norm": False, "final_affine": True}, "final_affine: True, but final_norm is False"),
        ({"final_norm": 0}, "final_norm: 0; give True or False"),
        ({"optimizer": "sign", "nesterov": True}, "nesterov: True, but the optimizer sign"),
        ({"optimizer": "sign", "betas": (0.9, 0.9)}, "betas: .*sign"),
    ],
)  # fmt: skip
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Plan("objects", **SMALL | options)


def test_the_projectors_agree_with_smoothing_eigenvalues():
    """tau_A = 1 - eps + eps w_k on main effects, 1 - eps on the interaction, as explicit matrices have them."""
    plan = Plan("objects", **SMALL, smoothing=0.2, smoothing_weights={"a": "1/4", "b": "3/4"})
    T = plan.smoothing.targets(np.arange(6)).astype(float)
    expected = {"1": 1.0, "a": 0.85, "b": 0.95, "a:b": 0.8}
    for A, P in projectors(plan.smoothing.labels).items():
        np.testing.assert_allclose(T @ P, expected[A] * P, atol=1e-6)
