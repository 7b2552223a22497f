"""A recorder on loops of others: what it keeps is what the loop had, killed or not, and it leaves the loop alone."""

import os
import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ufmflow.numerics import recording_folder  # noqa: E402
from ufmflow.numerics.crosscheck import crosscheck  # noqa: E402
from ufmflow.numerics.kernel import empirical_kernel  # noqa: E402
from ufmflow.numerics.recorder import StrataRecorder  # noqa: E402
from ufmflow.numerics.runs import load_run  # noqa: E402
from ufmflow.theory.attributes import Attributes  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402

M, D = 6, 8


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks this small gain nothing from more, and lose where other tests run beside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


TABLE = {"label": list(range(M)), "a": list("xxxyyy"), "b": list("pqrpqr")}
STEPS = [0, 1, 2, 5, 10, 20]


class Net(torch.nn.Module):
    def __init__(self, affine=False, dropout=0.0, norm=True):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Linear(M, 8), torch.nn.ReLU(), torch.nn.Dropout(dropout), torch.nn.Linear(8, D)
        )
        self.norm = torch.nn.LayerNorm(D, elementwise_affine=affine) if norm else torch.nn.Identity()
        self.head = torch.nn.Linear(D, M, bias=False)

    def forward(self, x):
        return self.head(self.norm(self.body(x)))


class Loop:
    """A user's training, which can be stopped, saved and taken up again."""

    def __init__(self, path, seed=0, schedule=False, **options):
        torch.manual_seed(seed)
        given = {name: options.pop(name) for name in ("affine", "dropout", "norm") if name in options}
        self.net = Net(**given)
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=0.1)
        self.rate = torch.optim.lr_scheduler.StepLR(self.sgd, 4, 0.5) if schedule else None
        self.step, self.seen = 0, {}
        features = {"features": (self.net, "norm"), "head": self.net.head, "inputs": torch.eye(M), "attributes": TABLE}
        self.recorder = path and StrataRecorder(path, **({"steps": STEPS, "optimizer": self.sgd} | features | options))

    def update(self):
        loss = torch.nn.functional.cross_entropy(self.net(torch.eye(M)), torch.arange(M))
        self.sgd.zero_grad()
        loss.backward()
        self.sgd.step()
        if self.rate:
            self.rate.step()
        self.step += 1

    def look(self):
        with torch.no_grad():
            f = self.net.body(torch.eye(M))
            self.seen[self.step] = (self.net.norm(f).numpy(), self.net.head.weight.numpy().copy())

    def until(self, last):
        if self.step == 0:
            self.look()
            self.recorder and self.recorder(0)
        while self.step < last:
            self.update()
            self.look()
            self.recorder and self.recorder(self.step)
        return self


def test_the_run_holds_what_the_loop_had(tmp_path):
    loop = Loop(tmp_path / "mine", meta={"seed": 3, "body_depth": 2})
    theta = empirical_kernel(
        lambda x: loop.net.body(x) - loop.net.body(x).mean(dim=1, keepdim=True),
        loop.net.body.parameters(),
        torch.eye(M),
    )
    loop.until(20).recorder.finish()
    assert sorted(os.listdir(tmp_path)) == ["mine.attributes.csv", "mine.json", "mine.npz"]
    run = load_run(tmp_path / "mine")
    assert run.data["step"].values.tolist() == STEPS and run.attributes == Attributes("a[2] * b[3]")
    for i, step in enumerate(STEPS):
        H, W = loop.seen[step]
        np.testing.assert_allclose(run.data["H"].values[i], H, atol=1e-6)  # float32, other order of the same sums
        np.testing.assert_array_equal(run.data["W"].values[i], W)
        logits = H.astype(float) @ W.astype(float).T
        loss = np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diag(logits))
        assert float(run.data["loss"][i]) == pytest.approx(loss, rel=1e-5)
    assert not np.allclose(run.data["H"].values[0], loop.seen[20][0], atol=1e-3)  # control
    np.testing.assert_allclose(run.data["kernel_init"], theta, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run.time, 0.1 * np.array(STEPS), rtol=1e-12)
    assert (run.meta["optimizer"], run.meta["seed"], run.body_depth, run.lr) == ("sgd", 3, 2, 0.1)


def test_a_recorded_run_can_be_forecast_and_checked(tmp_path):
    loop = Loop(tmp_path / "mine", steps=200, snapshots=10)
    loop.until(200).recorder.finish()
    check = crosscheck(load_run(tmp_path / "mine"), gates=False)
    # Eight hidden units are no wide network, so the bound only says that the forecast reads the right run.
    assert check.forecasts["map"].share_rmse_mean < 0.15 < check.baseline_etf


def test_a_schedules_rates_add_up_to_the_time(tmp_path):
    loop = Loop(tmp_path / "mine", schedule=True)
    loop.until(20).recorder.finish()
    run = load_run(tmp_path / "mine")
    rates = 0.1 * 0.5 ** (np.arange(20) // 4)
    np.testing.assert_allclose(run.time, [rates[:step].sum() for step in STEPS], rtol=1e-12)
    assert run.meta["schedule"] == {"name": "recorded"} and not np.allclose(run.time, 0.1 * np.array(STEPS))


def resumed(folder, killed_at, goes_on_at, **options):
    """A run killed at one step that goes on from a checkpoint at another."""
    first = Loop(folder / "mine", **options)
    first.until(goes_on_at)
    kept = {"net": first.net.state_dict(), "sgd": first.sgd.state_dict()}
    kept = {name: {k: v.clone() if hasattr(v, "clone") else v for k, v in part.items()} for name, part in kept.items()}
    first.until(killed_at)
    second = Loop(folder / "mine", seed=1, **options)
    second.net.load_state_dict(kept["net"])
    second.sgd.load_state_dict(kept["sgd"])
    second.step = goes_on_at
    second.recorder(goes_on_at)
    second.until(20).recorder.finish()
    return load_run(folder / "mine")


@pytest.mark.parametrize(("killed_at", "goes_on_at"), [(7, 5), (7, 7), (12, 4), (20, 20), (3, 0)])
def test_a_killed_recording_goes_on_without_loss(tmp_path, killed_at, goes_on_at):
    whole = Loop(tmp_path / "whole").until(20).recorder.finish()
    run = resumed(tmp_path, killed_at, goes_on_at)
    whole = load_run(whole)
    if goes_on_at:
        for name in ("step", "H", "W", "loss", "kernel_init", "feature_norm"):
            np.testing.assert_array_equal(run.data[name], whole.data[name])
    np.testing.assert_allclose(run.time, whole.time, rtol=1e-12)
    assert not (tmp_path / "mine.recording").exists()


def test_recording_leaves_the_loop_as_it_was(tmp_path):
    with_it = Loop(tmp_path / "mine", dropout=0.5, seed=2).until(20)
    without = Loop(None, dropout=0.5, seed=2).until(20)
    other = Loop(None, dropout=0.5, seed=3).until(20)
    last = [loop.net.head.weight.detach().numpy() for loop in (with_it, without, other)]
    np.testing.assert_array_equal(last[0], last[1])
    assert not np.array_equal(last[0], last[2])
    assert with_it.net.training and with_it.net.body.training


def test_steps_between_recorded_ones_touch_neither_network_nor_disk(tmp_path, monkeypatch):
    recorder = Loop(tmp_path / "mine", steps=[10**6]).recorder
    recorder(0)
    monkeypatch.setattr(recorder, "probe", None)
    monkeypatch.setattr(recorder, "folder", None)
    for step in range(1, 1000):
        recorder(step, loss=object())  # not even looked at
    with pytest.raises(AttributeError):
        recorder(10**6)


def test_a_write_that_fails_leaves_the_steps_before(tmp_path, monkeypatch):
    loop = Loop(tmp_path / "mine").until(5)
    monkeypatch.setattr(recording_folder.np, "savez", lambda *args, **kwargs: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        loop.until(10)
    monkeypatch.undo()
    assert loop.recorder.folder.recorded() == [0, 1, 2, 5]
    assert len(list((tmp_path / "mine.recording").iterdir())) == 5


def test_an_error_in_the_loop_writes_no_run(tmp_path):
    with pytest.raises(ZeroDivisionError), Loop(tmp_path / "mine").recorder as recorder:
        recorder(0)
        raise ZeroDivisionError
    assert not (tmp_path / "mine.npz").exists() and (tmp_path / "mine.recording").exists()


def test_affine_norms_and_networks_without_norm(tmp_path):
    Loop(tmp_path / "affine", affine=True).until(20).recorder.finish()
    run = load_run(tmp_path / "affine")
    assert run.data["final_gain"].shape == (6, D) and "final_bias" in run.data and run.meta["final_affine"]
    Loop(tmp_path / "plain", norm=False).until(20).recorder.finish()
    assert "feature_norm" not in load_run(tmp_path / "plain").data


def test_callables_and_given_losses(tmp_path):
    net = Net()
    given = {
        "head": lambda: net.head.weight,
        "inputs": np.eye(M, dtype=np.float32),
        "attributes": Attributes("a[2]*b[3]"),
    }
    given |= {"steps": 1, "lr": 0.1, "kernel": False}
    with StrataRecorder(tmp_path / "mine", features=lambda x: net.norm(net.body(x)), **given) as recorder:
        recorder(0, loss=torch.tensor(7.0))
        recorder(1, 6.0)
    run = load_run(tmp_path / "mine")
    assert run.data["loss"].values.tolist() == [7.0, 6.0] and "kernel_init" not in run.data
    own = StrataRecorder(tmp_path / "own", features=net.body, **(given | {"kernel": True}))
    own(0)
    with pytest.raises(InputError, match="^parameters: the body's are not known"):
        StrataRecorder(tmp_path / "other", features=lambda x: net.body(x), **(given | {"kernel": True}))(0)


def stand_in(monkeypatch, module, name):
    """A library that is not installed: its callback class with the hooks that its loop calls."""
    made = types.ModuleType(module)
    setattr(made, name, type(name, (), {}))
    for i in range(1, module.count(".") + 1):
        parent = ".".join(module.split(".")[:i])
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    monkeypatch.setitem(sys.modules, module, made)
    return getattr(made, name)


@pytest.mark.parametrize("module", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning(tmp_path, monkeypatch, module):
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    base = stand_in(monkeypatch, module, "Callback")
    loop = Loop(tmp_path / "mine", optimizer="sgd", schedule=True)
    callback = loop.recorder.lightning()
    assert isinstance(callback, base)
    # Lightning 2.x: hooks take (trainer, pl_module), the batch's end also outputs, batch and batch_idx; with two
    # batches accumulated into a step, global_step stands still at every other batch.
    trainer = types.SimpleNamespace(global_step=0, is_global_zero=True, optimizers=[loop.sgd])
    callback.on_train_start(trainer, loop.net)
    for batch in range(40):
        if batch % 2:
            loop.update()
            trainer.global_step += 1
        callback.on_train_batch_end(trainer, loop.net, None, None, batch)
    callback.on_train_end(trainer, loop.net)
    rates = 0.1 * 0.5 ** (np.arange(20) // 4)
    np.testing.assert_allclose(load_run(tmp_path / "mine").time, [rates[:step].sum() for step in STEPS], rtol=1e-12)


@pytest.mark.parametrize("is_zero", [True, False])
def test_huggingface(tmp_path, monkeypatch, is_zero):
    base = stand_in(monkeypatch, "transformers", "TrainerCallback")
    loop = Loop(tmp_path / "mine", optimizer="adamw")
    callback = loop.recorder.huggingface()
    assert isinstance(callback, base)
    # transformers 4.x and 5.x: hooks take (args, state, control), the rest by name.
    state = types.SimpleNamespace(global_step=0, is_world_process_zero=is_zero)
    more = {"model": loop.net, "optimizer": loop.sgd, "lr_scheduler": None, "train_dataloader": None}
    callback.on_train_begin(None, state, None, **more)
    for _ in range(20):
        loop.update()
        state.global_step += 1
        callback.on_step_end(None, state, None, **more)
    callback.on_train_end(None, state, None, **more)
    assert (tmp_path / "mine.npz").exists() == is_zero
    if is_zero:
        assert load_run(tmp_path / "mine").data["step"].values.tolist() == STEPS


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    recorder = Loop(tmp_path / "mine").recorder
    with pytest.raises(InputError, match="^lightning: it is not installed"):
        recorder.lightning()
    with pytest.raises(InputError, match="^transformers: it is not installed"):
        recorder.huggingface()


def nan_head(loop):
    loop.net.head.weight.data[0, 0] = np.nan


CALLS = {
    "late start": (lambda r, loop: r(3), "^step: the first call is at 3, but step 0 is not recorded"),
    "backwards": (lambda r, loop: [r(0), r(5), r(2)], "^step: 2, but the recording is at step 5"),
    "fraction": (lambda r, loop: r(0.5), "^step: 0.5; give"),
    "NaN loss": (lambda r, loop: [r(0), r(1, float("nan"))], "^loss: NaN or infinity at step 1.*the 1 steps recorded"),
    "NaN weights": (lambda r, loop: [r(0), nan_head(loop), r(1)], "^W: NaN or infinity at step 1"),
    "nothing": (lambda r, loop: r.finish(), "^steps: nothing is recorded"),
    "after the end": (lambda r, loop: [r(0), r.finish(), r(1)], "^step: 1, but the recording is finished"),
}


@pytest.mark.parametrize("case", CALLS)
def test_bad_calls_are_named_in_one_sentence(tmp_path, case):
    call, message = CALLS[case]
    loop = Loop(tmp_path / "mine")
    with pytest.raises(InputError, match=message) as caught:
        call(loop.recorder, loop)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


TWICE = torch.eye(M)
TWICE[4] = TWICE[1]
OPTIONS = {
    "inputs twice": ({"inputs": TWICE}, "^inputs: rows 2 and 5 are the same context"),
    "few inputs": ({"inputs": torch.eye(M)[:5]}, "^inputs: 5 rows, but a.* has 6 contexts"),
    "rows twice": ({"attributes": {"a": list("xxyyyy"), "b": list("pqpqqq")}}, "^table: rows 4 and 5 have the same"),
    "a row too few": ({"attributes": {"a": list("xxxyy"), "b": list("pqrpq")}}, "^table: .*incomplete.*observe_unb"),
    "no value": (
        {"attributes": {"a": list("xxxyy") + [""], "b": list("pqrpqr")}},
        "^table: column 'a' has no value in",
    ),
    "another formula": ({"formula": "a * c"}, "^formula: attribute"),
    "label noise": ({"label": [0, 0, 0, 1, 1, 0]}, "keep a, and row 6 has the label 0 where its like have 1"),
    "label past the head": ({"label": range(1, M + 1)}, "^label: label 6 occurs, but the head has 6 rows"),
    "labels no numbers": ({"label": list("abcdef")}, "^label: shape"),
    "other labels": ({"labels": "a"}, "^labels: 'a' is stated"),
    "no layer": ({"features": (Net(), "nom")}, "^features: the module has no layer 'nom'; it has body, body.0"),
    "no features": ({"features": 3}, "^features: int; give"),
    "a bias": ({"head": torch.nn.Linear(D, M)}, "^head: the linear layer has a bias"),
    "another width": ({"head": torch.ones(M, D + 1)}, "^features: shape"),
    "no rate": ({"optimizer": "sgd"}, "^lr: it is not known"),
    "rate of zero": ({"lr": 0}, "^lr: 0"),
    "steps": ({"steps": "many"}, "^steps: 'm'; give a whole number"),
    "no steps": ({"steps": 0}, "^steps: 0"),
    "meta": ({"meta": {"seed": {1}}}, "^meta: it is no JSON"),
    "path": ({"path": "run.zarr"}, "^path: 'run.zarr'"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_options_are_named_in_one_sentence(tmp_path, case):
    options, message = OPTIONS[case]
    options = {"path": tmp_path / "mine"} | options
    with pytest.raises(InputError, match=message) as caught:
        Loop(**options).recorder(0)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_another_recording_or_run_is_not_overwritten(tmp_path):
    Loop(tmp_path / "mine").until(5)
    with pytest.raises(InputError, match="^path: mine.recording was begun with another steps"):
        Loop(tmp_path / "mine", steps=7)
    (tmp_path / "mine.recording" / "settings.json").write_text("{")
    with pytest.raises(InputError, match="^path: mine.recording is no recording that can be read"):
        Loop(tmp_path / "mine")
    Loop(tmp_path / "other").until(20).recorder.finish()
    with pytest.raises(InputError, match="^path: other.npz is there already"):
        Loop(tmp_path / "other")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="^path: cannot write"):
        Loop(tmp_path / "file" / "run")
