"""Recorded runs: equal seeds, consistent arrays, one step predicted exactly from the start, and refusals."""

import csv
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ufmflow.numerics.forecast import Start, forecast  # noqa: E402
from ufmflow.numerics.networks import MLPBody, Network  # noqa: E402
from ufmflow.numerics.plan import OPTIMIZERS  # noqa: E402
from ufmflow.numerics.recording import recorded_steps  # noqa: E402
from ufmflow.numerics.runs import load_run  # noqa: E402
from ufmflow.numerics.settings import code  # noqa: E402
from ufmflow.numerics.train import train  # noqa: E402
from ufmflow.theory.attributes import Attributes  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402

SMALL = {"formula": "a[2] * b[3]", "width": 16, "features": 8, "steps": 30, "snapshots": 6, "lr": 0.05}


def run(folder, setting="objects", name="run", **options):
    path = train(setting, folder / name, **SMALL | options)
    with np.load(path) as arrays:
        return dict(arrays)


def softmax_error(arrays, t):
    """G = dL/dZ of the mean cross-entropy, V x m, from the recorded H and W."""
    H, W, label = arrays["H"][t].astype(float), arrays["W"][t].astype(float), arrays["label"]
    p = np.exp(W @ H.T)
    p /= p.sum(axis=0)
    p[label, np.arange(len(label))] -= 1
    return p / len(label)


@pytest.mark.parametrize("arch", ["mlp", "transformer"])
def test_equal_seeds_give_equal_runs_bit_for_bit(tmp_path, arch):
    state = torch.random.get_rng_state()
    first = run(tmp_path, name="first", arch=arch)
    torch.manual_seed(123)  # the caller's generator has no say, and is left alone
    torch.set_rng_state(state)
    second = run(tmp_path, name="second", arch=arch)
    other = run(tmp_path, name="other", arch=arch, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert not np.allclose(first["W"], other["W"])


def test_a_run_leaves_torch_as_it_was(tmp_path):
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    run(tmp_path)
    with pytest.raises(InputError):
        run(tmp_path, lr=1e30)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


@pytest.mark.parametrize("arch", ["mlp", "transformer"])
@pytest.mark.parametrize("setting", ["objects", "taxonomy", "frames", "collocations"])
def test_arrays_agree_with_each_other(tmp_path, setting, arch):
    options = {"formula": None, "arch": arch, "layers": 1, "steps": 12}
    arrays = run(tmp_path, setting, **options)
    T, m, d = arrays["H"].shape
    V = arrays["W"].shape[1]
    assert {key: (value.dtype.str[1:], value.shape) for key, value in arrays.items()} == {
        "step": ("i8", (T,)), "H": ("f4", (T, m, d)), "W": ("f4", (T, V, d)), "loss": ("f8", (T,)),
        "label": ("i8", (m,)), "feature_norm": ("f4", (T, m)), "kernel_init": ("f8", (m, m)), "time": ("f8", (T,)),
    }
    np.testing.assert_allclose(np.linalg.norm(arrays["H"], axis=2), np.sqrt(d), rtol=1e-6)
    np.testing.assert_allclose(arrays["H"].mean(axis=2), 0, atol=1e-5)
    Z = np.einsum("tvd,tmd->tvm", arrays["W"].astype(float), arrays["H"].astype(float))
    losses = np.log(np.exp(Z).sum(axis=1)) - Z[:, arrays["label"], np.arange(m)]
    np.testing.assert_allclose(arrays["loss"], losses.mean(axis=1), rtol=1e-12)
    assert abs(arrays["loss"][0] - losses.sum(axis=1)[0]) > 1  # control: the mean, not the sum
    assert arrays["loss"][-1] < arrays["loss"][0]
    assert np.linalg.eigvalsh(arrays["kernel_init"]).min() > -1e-6 * np.trace(arrays["kernel_init"])


def test_attribute_table_and_record_describe_the_run(tmp_path):
    arrays = run(tmp_path, "frames", formula=None)
    with open(tmp_path / "run.attributes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    meta = json.loads((tmp_path / "run.json").read_text())
    attributes = Attributes.from_table(tmp_path / "run.attributes.csv")
    assert [int(row["label"]) for row in rows] == arrays["label"].tolist()
    assert attributes == Attributes(meta["formula"])
    assert attributes.kept_by(arrays["label"].tolist()) == ("size", "rigidity")
    assert meta["labels"] == "size * rigidity"
    assert (meta["lr"], meta["steps"], meta["d"], meta["seed"], meta["body_depth"]) == (0.05, 30, 8, 0, 3)
    assert meta["final_loss"] == arrays["loss"][-1]


def test_a_run_is_read_back_with_time_in_learning_rate_x_steps(tmp_path):
    arrays = run(tmp_path, "taxonomy", formula=None)
    loaded = load_run(tmp_path / "run")
    assert str(loaded.attributes) == "kingdom[3] / genus[3] / species[4]"
    np.testing.assert_allclose(loaded.data["time"], 0.05 * arrays["step"])
    np.testing.assert_array_equal(loaded.data["H"], arrays["H"])
    assert loaded.body_depth == 3


@pytest.mark.parametrize("arch, depth, layers", [("mlp", 2, 2), ("transformer", None, 2)])
def test_depth_is_recorded_where_the_depth_law_has_one(tmp_path, arch, depth, layers):
    run(tmp_path, arch=arch, layers=layers)
    assert json.loads((tmp_path / "run.json").read_text())["body_depth"] == depth


def test_a_formula_of_ones_own_comes_with_its_own_labels(tmp_path):
    arrays = run(tmp_path, "frames", formula="(a[2] / b[2]) * c[2]", labels="a * c")
    assert arrays["H"].shape[1] == 8 and arrays["W"].shape[1] == 4
    assert run(tmp_path, "frames", formula="(a[2] / b[2]) * c[2]")["W"].shape[1] == 8


@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
@pytest.mark.parametrize("t", [0, 1])
def test_steps_of_a_linear_body_are_predicted_from_the_initial_kernel(tmp_path, t, norm):
    """With a linear body f is linear in the parameters and its kernel is (x_i . x_j + 1) C, C = I - J/d, so

        F(t+1) = F(t) + lr K q C,  q_j = -(R/|f_j|) (I - u_j u_j^T) (W^T G)_j,  W(t+1) = W(t) - lr G H^T

    hold exactly, with K = Theta d/(d-1): learning rate x step is the flow's time, in the units of kernel_init.  RMSNorm
    does not centre: C = I, K = Theta, and q is the same.
    """
    lr = 0.5
    arrays = run(tmp_path, layers=1, lr=lr, steps=2, snapshots=3, norm=norm)
    assert arrays["step"].tolist() == [0, 1, 2]
    H, W, length = arrays["H"].astype(float), arrays["W"].astype(float), arrays["feature_norm"].astype(float)
    d = H.shape[2]
    R = np.sqrt(d)
    F = H * length[:, :, None] / R  # (T, m, d)
    G, u = softmax_error(arrays, t), H[t] / R
    pull = -(W[t].T @ G).T * R / length[t][:, None]  # (m, d)
    q = pull - u * (u * pull).sum(axis=1, keepdims=True)
    if norm == "layernorm":
        K, C = arrays["kernel_init"] * d / (d - 1), np.eye(d) - 1 / d
    else:
        K, C = arrays["kernel_init"], np.eye(d)
    moved, predicted, untangent = F[t + 1] - F[t], lr * K @ q @ C, lr * K @ pull @ C
    tolerance = 1e-4 * np.abs(moved).max()
    np.testing.assert_allclose(moved, predicted, atol=tolerance)
    np.testing.assert_allclose(W[t + 1] - W[t], -lr * G @ H[t], atol=1e-6)
    assert np.abs(moved - untangent).max() > 10 * tolerance  # control: the projection is needed


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss_in_its_own_way(tmp_path, optimizer):
    if optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("torch.optim has no Muon")
    sgd, other = (run(tmp_path, optimizer=name, lr=0.01) for name in ("sgd", optimizer))
    assert other["loss"][-1] < other["loss"][0]
    assert np.array_equal(sgd["W"][0], other["W"][0])
    assert np.array_equal(sgd["W"][-1], other["W"][-1]) == (optimizer == "sgd")


def test_recorded_steps_are_rounded_terms_of_a_geometric_progression():
    steps = recorded_steps(40_000, 40)
    assert steps[:9].tolist() == [0, 1, 2, 3, 4, 5, 7, 9, 12] and steps[-1] == 40_000 and len(steps) == 39
    assert recorded_steps(1, 2).tolist() == [0, 1]


@pytest.mark.parametrize("arch", ["mlp", "transformer"])
@pytest.mark.parametrize("norm, parts", [("layernorm", ("gain", "bias")), ("rmsnorm", ("gain",))])
def test_an_affine_final_norm_is_within_H_and_recorded_beside_it(tmp_path, norm, parts, arch):
    arrays = run(tmp_path, norm=norm, final_affine=True, arch=arch)
    plain = run(tmp_path, "objects", "plain", norm=norm, arch=arch)
    assert {name for name in arrays if name.startswith("final")} == {f"final_{part}" for part in parts}
    assert np.array_equal(arrays["H"][0], plain["H"][0])  # gain 1, bias 0
    u = (arrays["H"] - arrays.get("final_bias", np.zeros((1, 8)))[:, None]) / arrays["final_gain"][:, None]
    # float32, and gains move by less than a half.
    np.testing.assert_allclose(np.linalg.norm(u, axis=2), np.sqrt(8), rtol=1e-5)
    assert np.abs(np.linalg.norm(arrays["H"][-1], axis=1) / np.sqrt(8) - 1).max() > 1e-3  # control
    meta = json.loads((tmp_path / "run.json").read_text())
    name = "LayerNorm" if norm == "layernorm" else "RMSNorm"
    assert (meta["final_norm"], meta["norm"], meta["final_affine"]) == (f"{name} with affine part", norm, True)
    loaded = load_run(tmp_path / "run").data
    np.testing.assert_array_equal(loaded["final_gain"], arrays["final_gain"])
    assert loaded["final_gain"].dims == ("time", "feature") and ("final_bias" in loaded) == ("bias" in parts)


def test_kernels_are_measured_at_recorded_steps_and_do_not_disturb_the_run(tmp_path):
    arrays, plain = run(tmp_path, kernels=3), run(tmp_path, name="plain")
    recorded = arrays["step"]
    assert arrays["kernel_step"].tolist() == [recorded[0], recorded[3], recorded[-1]]
    assert all(np.array_equal(arrays[name], plain[name]) for name in plain)
    assert np.array_equal(arrays["kernel"][0], arrays["kernel_init"])
    moved = [np.abs(kernel - arrays["kernel_init"]).max() for kernel in arrays["kernel"]]
    assert moved[0] < moved[1] < moved[2]  # features are learned: the kernel does not stay
    loaded = load_run(tmp_path / "run").data
    assert loaded["kernel"].dims == ("kernel_step", "context", "other_context")
    np.testing.assert_array_equal(loaded["kernel"].sel(kernel_step=recorded[-1]), arrays["kernel"][-1])


def test_a_kernel_on_the_way_predicts_the_steps_that_follow_it(tmp_path):
    """A linear body's kernel never moves, so the kernel of any later step is the first one: float32 gradients."""
    arrays = run(tmp_path, layers=1, kernels=4)
    scale = np.abs(arrays["kernel_init"]).max()
    np.testing.assert_allclose(arrays["kernel"], np.broadcast_to(arrays["kernel_init"], (4, 6, 6)), atol=1e-5 * scale)


def test_time_is_the_sum_of_the_learning_rates(tmp_path):
    options = {"schedule": "cosine", "warmup": 5, "steps": 20, "snapshots": 200, "lr": 0.5}
    arrays = run(tmp_path, **options)
    rates = [0.5 * (s + 1) / 6 if s < 5 else 0.25 * (1 + np.cos(np.pi * (s - 5) / 15)) for s in range(20)]
    assert arrays["step"].tolist() == list(range(21))
    np.testing.assert_allclose(arrays["time"], np.append(0, np.cumsum(rates)), rtol=1e-12)
    for s, rate in enumerate(rates):  # the head moves by the rate of its step: float32
        moved, H = arrays["W"][s + 1].astype(float) - arrays["W"][s], arrays["H"][s].astype(float)
        np.testing.assert_allclose(moved, -rate * softmax_error(arrays, s) @ H, atol=1e-6)
    np.testing.assert_array_equal(load_run(tmp_path / "run").time, arrays["time"])
    meta = json.loads((tmp_path / "run.json").read_text())
    assert meta["schedule"] == {"name": "cosine", "warmup": 5, "final_lr": 0.0}
    assert not np.allclose(arrays["time"], 0.5 * arrays["step"])  # control
    np.testing.assert_array_equal(run(tmp_path)["time"], 0.05 * run(tmp_path)["step"])


def test_latent_classes_show_through_shared_words_alone(tmp_path):
    """Words of a class share contexts; no token and no label tells the class, yet its share in W rises, then falls."""
    run(tmp_path, "collocations", formula=None, width=64, features=48, lr=0.05, steps=1500, snapshots=10)
    found = load_run(tmp_path / "run")
    share = found.data["share_W"].sel(stratum="class").values
    # A random start has 2/35 of its energy in the class's 2 of 35 dimensions.
    assert share[0] < 0.08 and share.max() > 1.5 * share[0] and share[-1] < 0.8 * share.max()
    whole = found.data["share_W"].sel(stratum="class:verb:noun").values
    assert whole[share.argmax()] < 0.5 * whole[0]  # control: what sets contexts apart does not rise with it


def test_progress_is_told_the_way_and_the_end(tmp_path):
    seen = []
    run(tmp_path, progress=lambda step, steps: seen.append((step, steps)))
    assert seen[0] == (0, 30) and seen[-1] == (30, 30) and seen == sorted(set(seen))


def test_npz_may_be_named_and_folders_are_made(tmp_path):
    path = train("objects", tmp_path / "new" / "run.npz", **SMALL)
    assert path == tmp_path / "new" / "run.npz"
    assert sorted(file.name for file in path.parent.iterdir()) == ["run.attributes.csv", "run.json", "run.npz"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"setting": "animals"}, "setting: 'animals' is unknown; use objects, taxonomy, frames"),
        ({"arch": "rnn"}, "arch: 'rnn' is unknown; use mlp, transformer"),
        ({"optimizer": "lbfgs"}, "optimizer: 'lbfgs'"),
        ({"lr": 0.0}, "lr: 0.0; give a finite number > 0"),
        ({"lr": float("nan")}, "lr: nan"),
        ({"lr": "fast"}, "lr: 'fast'"),
        ({"steps": 0}, "steps: 0; give a whole number from 1"),
        ({"steps": 2.5}, "steps: 2.5"),
        ({"snapshots": 1}, "snapshots: 1; give a whole number from 2"),
        ({"layers": 0}, "layers: 0; give a whole number from 1 to 16"),
        ({"layers": 5, "arch": "transformer"}, "layers: 5; give a whole number from 1 to 4"),
        ({"features": 6, "arch": "transformer"}, "features: 6 does not split into 4 heads"),
        ({"features": 1}, "features: 1"),
        ({"width": 0}, "width: 0"),
        ({"weight_decay": -1.0}, "weight_decay: -1.0; give a finite number >= 0"),
        ({"seed": -1}, "seed: -1"),
        ({"formula": "a[2] *"}, "formula"),
        ({"labels": "colour"}, "labels: 'colour'"),
        ({"norm": "batchnorm"}, "norm: 'batchnorm' is unknown; use layernorm, rmsnorm"),
        ({"final_affine": 1}, "final_affine: 1; give True or False"),
        ({"batch": 7}, "batch: 7; give a whole number from 1 to 6"),
        ({"kernels": 1}, "kernels: 1; give a whole number from 2 to 6"),
        ({"momentum": 0.5}, "momentum: 0.5, but the optimizer sgd has no momentum"),
        ({"momentum": 1.0, "optimizer": "momentum"}, "momentum: 1.0; give a finite number >= 0 and < 1"),
        ({"nesterov": True}, "nesterov: True, but the optimizer sgd"),
        ({"nesterov": True, "momentum": 0.0, "optimizer": "momentum"}, "nesterov: True looks ahead"),
        ({"nesterov": "yes", "optimizer": "momentum"}, "nesterov: 'yes'; give True or False"),
        ({"betas": (0.9, 0.99)}, "betas: .* the optimizer sgd has no betas"),
        ({"betas": (0.9,), "optimizer": "adamw"}, "betas: .*; give two numbers"),
        ({"betas": 0.9, "optimizer": "adamw"}, "betas: 0.9; give two numbers"),
        ({"betas": (0.9, 1.0), "optimizer": "adamw"}, "betas: 1.0; give a finite number >= 0 and < 1"),
        ({"weight_decay_head": -1.0}, "weight_decay_head: -1.0"),
        ({"weight_decay_body": "much"}, "weight_decay_body: 'much'"),
        ({"schedule": "sine"}, "schedule: 'sine' is unknown, perhaps 'cosine' is meant; use constant"),
        ({"lr": 1e30}, "lr: 1e[+]30 is too large"),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_written(tmp_path, options, words):
    setting = options.pop("setting", "objects")
    with pytest.raises(InputError, match=words):
        train(setting, tmp_path / "run", **SMALL | options)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="out: cannot make the folder"):
        train("objects", tmp_path / "file" / "run", **SMALL | {"steps": 10**8})
    with pytest.raises(InputError, match="out: .*runs/objects"):
        train("objects", tmp_path / "run.zarr", **SMALL)


def test_a_network_is_forecast_from_its_own_start(tmp_path):
    """Measured on the network itself, the start is the recorded run's: float32 features, so 1e-5 relative."""
    run = load_run(train("objects", tmp_path / "run", width=48, features=32, steps=2, snapshots=2))
    contexts = code(run.attributes, None, "all")
    torch.manual_seed(0)
    body = MLPBody(vocabulary=contexts.vocabulary, layers=3, width=48, features=32)
    network = Network(body, features=32, labels=24)
    tokens = torch.from_numpy(contexts.tokens)
    measured = Start.of_network(network, tokens, run.attributes, lr=run.lr, depth=3)
    recorded = Start.of(run)
    np.testing.assert_allclose(measured.kernel, recorded.kernel, rtol=1e-5, atol=1e-6 * abs(recorded.kernel).max())
    np.testing.assert_allclose(measured.F, recorded.F, rtol=1e-4, atol=1e-6)
    trajectory = forecast(network, run.attributes, [0.0, 1.0], inputs=tokens, level="flow")
    assert np.abs(trajectory.shares()[0] - run.shares()[0]).max() < 1e-5
    assert np.abs(measured.kernel.T[::-1] - recorded.kernel).max() > 1e-2 * abs(recorded.kernel).max()
    with pytest.raises(InputError, match="features_before_norm"):
        forecast(torch.nn.Linear(2, 2), run.attributes, [0.0, 1.0], inputs=tokens)


TINY = {"width": 8, "features": 8, "steps": 20, "snapshots": 5}


@pytest.mark.parametrize(
    ("options", "words"),
    [({"weight_decay_body": 0.1, "arch": "transformer"}, "weight decay 0.1"), ({"final_affine": True}, "affine")],
)  # fmt: skip
def test_a_run_that_the_kernel_does_not_cover_is_not_forecast_from_it(tmp_path, options, words):
    run = load_run(train("objects", tmp_path / "run", **TINY, **options))
    with pytest.raises(InputError, match=words):
        forecast(run, level="flow")
    assert forecast(run).data.attrs["source"].startswith("forecast gated")


def test_a_scheduled_run_is_forecast_in_the_time_of_its_learning_rates(tmp_path):
    wide = TINY | {"width": 96, "features": 32}
    scheduled = load_run(train("objects", tmp_path / "run", schedule="linear", **wide))
    moved = np.abs(scheduled.data["loss"][0] - scheduled.data["loss"][-1])
    for level in ("flow", "map"):
        found = forecast(scheduled, level=level)
        np.testing.assert_array_equal(found.time, scheduled.time)
        # Twenty small steps: the forecast is the run but for the kernel's motion and, of the flow, the steps' size.
        assert np.abs(found.data["loss"] - scheduled.data["loss"]).max() < 0.05 * moved
