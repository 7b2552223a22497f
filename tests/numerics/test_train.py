"""Recorded runs: equal seeds, consistent arrays, one step predicted exactly from the start, and refusals."""

import csv
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ufmflow.numerics.forecast import Start, forecast  # noqa: E402
from ufmflow.numerics.networks import MLPBody, Network  # noqa: E402
from ufmflow.numerics.runs import load_run  # noqa: E402
from ufmflow.numerics.settings import code  # noqa: E402
from ufmflow.numerics.train import OPTIMIZERS, recorded_steps, train  # noqa: E402
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
@pytest.mark.parametrize("setting", ["objects", "taxonomy", "frames"])
def test_arrays_agree_with_each_other(tmp_path, setting, arch):
    options = {"formula": None, "arch": arch, "layers": 1, "steps": 12}
    arrays = run(tmp_path, setting, **options)
    T, m, d = arrays["H"].shape
    V = arrays["W"].shape[1]
    assert {key: (value.dtype.str[1:], value.shape) for key, value in arrays.items()} == {
        "step": ("i8", (T,)), "H": ("f4", (T, m, d)), "W": ("f4", (T, V, d)), "loss": ("f8", (T,)),
        "label": ("i8", (m,)), "feature_norm": ("f4", (T, m)), "kernel_init": ("f8", (m, m)),
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


@pytest.mark.parametrize("t", [0, 1])
def test_steps_of_a_linear_body_are_predicted_from_the_initial_kernel(tmp_path, t):
    """With a linear body f is linear in the parameters and its kernel is (x_i . x_j + 1) C, C = I - J/d, so

        F(t+1) = F(t) + lr K q C,  q_j = -(R/|f_j|) (I - u_j u_j^T) (W^T G)_j,  W(t+1) = W(t) - lr G H^T

    hold exactly, with K = Theta d/(d-1): learning rate x step is the flow's time, in the units of kernel_init.
    """
    lr = 0.5
    arrays = run(tmp_path, layers=1, lr=lr, steps=2, snapshots=3)
    assert arrays["step"].tolist() == [0, 1, 2]
    H, W, norm = arrays["H"].astype(float), arrays["W"].astype(float), arrays["feature_norm"].astype(float)
    d = H.shape[2]
    R = np.sqrt(d)
    F = H * norm[:, :, None] / R  # (T, m, d)
    G, u = softmax_error(arrays, t), H[t] / R
    pull = -(W[t].T @ G).T * R / norm[t][:, None]  # (m, d)
    q = pull - u * (u * pull).sum(axis=1, keepdims=True)
    K = arrays["kernel_init"] * d / (d - 1)
    moved, predicted, untangent = F[t + 1] - F[t], lr * K @ centred(q), lr * K @ centred(pull)
    tolerance = 1e-4 * np.abs(moved).max()
    np.testing.assert_allclose(moved, predicted, atol=tolerance)
    np.testing.assert_allclose(W[t + 1] - W[t], -lr * G @ H[t], atol=1e-6)
    assert np.abs(moved - untangent).max() > 10 * tolerance  # control: the projection is needed


def centred(rows):
    return rows - rows.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss_in_its_own_way(tmp_path, optimizer):
    if optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("torch.optim has no Muon")
    sgd, other = (run(tmp_path, optimizer=name, lr=0.01) for name in ("sgd", optimizer))
    assert other["loss"][-1] < other["loss"][0]
    assert np.array_equal(sgd["W"][0], other["W"][0])
    assert np.array_equal(sgd["W"][-1], other["W"][-1]) == (optimizer == "sgd")


def test_weight_decay_shrinks_the_head(tmp_path):
    plain, decayed = run(tmp_path), run(tmp_path, weight_decay=0.5)
    assert np.linalg.norm(decayed["W"][-1]) < np.linalg.norm(plain["W"][-1])


def test_recorded_steps_are_rounded_terms_of_a_geometric_progression():
    steps = recorded_steps(40_000, 40)
    assert steps[:9].tolist() == [0, 1, 2, 3, 4, 5, 7, 9, 12] and steps[-1] == 40_000 and len(steps) == 39
    assert recorded_steps(1, 2).tolist() == [0, 1]


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
    run = load_run(train("objects", tmp_path / "run", features=32, steps=2, snapshots=2))
    contexts = code(run.attributes, None, "all")
    torch.manual_seed(0)
    body = MLPBody(vocabulary=contexts.vocabulary, layers=3, width=256, features=32)
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


def test_a_run_of_another_optimizer_is_not_forecast_silently(tmp_path):
    run = load_run(train("objects", tmp_path / "run", optimizer="adamw", width=8, features=8, steps=2, snapshots=2))
    with pytest.raises(InputError, match="adamw"):
        forecast(run)
