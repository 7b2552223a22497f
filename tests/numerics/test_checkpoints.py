"""A folder of checkpoints: in the order of the steps whatever the names sort to, or refused in one sentence."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ufmflow.numerics.checkpoints import checkpoint_files, load_checkpoints, step_of  # noqa: E402
from ufmflow.numerics.runs import load_run  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402

M, D = 6, 4
TABLE = {"a": list("xxxyyy"), "b": list("pqrpqr")}
X = torch.eye(M)


def state(step):
    generator = torch.Generator().manual_seed(step)
    return {"body": torch.randn(M, D, generator=generator), "head": torch.randn(M, D, generator=generator)}


def read(folder, **options):
    given = {"features": lambda state, x: x @ state["body"], "head": "head", "inputs": X, "attributes": TABLE}
    return load_checkpoints(folder, **(given | {"lr": 0.1} | options))


def folder_of(folder, names, wrap=lambda state: state):
    folder.mkdir(exist_ok=True)
    for name, step in names.items():
        (folder / name).parent.mkdir(exist_ok=True)
        torch.save(wrap(state(step)), folder / name)
    return folder


@pytest.mark.parametrize(
    ("names", "wrap"),
    [
        ({"step9.pt": 9, "step10.pt": 10, "step0.pth": 0}, lambda state: state),
        ({"epoch=0-step=9.ckpt": 9, "epoch=1-step=10.ckpt": 10, "epoch=0-step=0.ckpt": 0}, lambda s: {"state_dict": s}),
        ({f"checkpoint-{s}/pytorch_model.bin": s for s in (0, 9, 10)}, lambda s: {"model": s, "epoch": 1}),
    ],
)
def test_checkpoints_are_read_in_the_order_of_their_steps(tmp_path, names, wrap):
    folder = folder_of(tmp_path / "runs", names, wrap)
    (folder / "notes.txt").write_text("1")
    torch.save({}, folder / "checkpoint-9" / "optimizer.pt") if (folder / "checkpoint-9").exists() else None
    run = read(folder, out=tmp_path / "mine")
    assert run.data["step"].values.tolist() == [0, 9, 10]
    for i, step in enumerate((0, 9, 10)):
        np.testing.assert_array_equal(run.data["H"].values[i], state(step)["body"].numpy())
        logits = state(step)["body"].double() @ state(step)["head"].double().T
        loss = torch.nn.functional.cross_entropy(logits, torch.arange(M)).item()
        assert float(run.data["loss"][i]) == pytest.approx(loss, rel=1e-12)
    again = load_run(tmp_path / "mine")
    np.testing.assert_array_equal(again.data["H"], run.data["H"])
    assert not np.allclose(run.data["H"].values[1], state(10)["body"].numpy())  # control


def test_safetensors_and_a_callable_head(tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    (tmp_path / "checkpoint-3").mkdir()
    save_file(state(3), tmp_path / "checkpoint-3" / "model.safetensors")
    run = read(tmp_path, head=lambda state: 2 * state["head"])
    np.testing.assert_array_equal(run.data["W"].values[0], 2 * state(3)["head"].numpy())


def outside(folder):
    folder_of(folder.parent / "elsewhere", {"step1.pt": 1})
    folder.mkdir()
    (folder / "step1.pt").symlink_to(folder.parent / "elsewhere" / "step1.pt")


def a_module(folder):
    folder.mkdir()
    torch.save(torch.nn.Linear(2, 2), folder / "step1.pt")


def cut_short(folder):
    folder_of(folder, {"step1.pt": 1})
    content = (folder / "step1.pt").read_bytes()
    (folder / "step1.pt").write_bytes(content[: len(content) // 2])


def made(names, wrap=lambda state: state):
    return lambda folder: folder_of(folder, names, wrap)


def diverged(state):
    return state | {"body": state["body"] * float("nan")}


BAD = {
    "no folder": (lambda folder: None, {}, "^folder: no folder"),
    "empty": (lambda folder: folder.mkdir(), {}, "^folder: .* holds no"),
    "no number": (made({"last.pt": 1}), {}, "^folder: the name 'last' has no number"),
    "two numbers": (made({"run2-400.pt": 1}), {}, "^folder: the name 'run2-400' has the numbers 2, 400"),
    "one step twice": (made({"step1.pt": 1, "step01.pt": 1}), {}, "^folder: step1.pt and step01.pt are both of step 1"),
    "outside": (outside, {}, "^folder: step1.pt leads outside"),
    "a pickled module": (a_module, {}, "^folder: step1.pt cannot be read as weights"),
    "cut short": (cut_short, {}, "^folder: step1.pt cannot be read as weights"),
    "no head": (made({"step1.pt": 1}), {"head": "top"}, "^head: step1.pt has no 'top'; it has body, head"),
    "NaN": (made({"step1.pt": 1}, diverged), {}, "^features: NaN or infinity in step1.pt"),
    "few rows": (made({"step1.pt": 1}), {"features": lambda s, x: s["body"][:5]}, "^features: shape"),
    "width": (made({"step1.pt": 1}), {"head": lambda s: s["head"][:, :3]}, "^head: shape"),
    "few labels": (made({"step1.pt": 1}), {"head": lambda s: s["head"][:5]}, "^head: shape"),
    "rate": (made({"step1.pt": 1}), {"lr": -1}, "^lr: -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folders_are_named_in_one_sentence(tmp_path, case):
    make, options, message = BAD[case]
    make(tmp_path / "runs")
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "runs", **options)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_names_tell_steps():
    assert [step_of(n) for n in ("step400", "model_step-0400", "gpt2-step_7", "12")] == [400, 400, 7, 12]


def test_folders_keep_the_order(tmp_path):
    folder = folder_of(tmp_path / "runs", {f"step{s}.pt": s for s in (100, 20, 3)})
    assert list(checkpoint_files(folder)) == [3, 20, 100]
