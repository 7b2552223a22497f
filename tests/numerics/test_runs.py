"""Recorded runs: written and read back in every format and row order; each way to be damaged is named."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
import zarr

from ufmflow.numerics import runs
from ufmflow.numerics.runs import Run, example_run, load_run, save_run
from ufmflow.numerics.strata import matrix_eigenvalues
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

from .explicit import normal

M, D, T = 6, 4, 3


def parts(order=range(M)) -> tuple[dict, dict, dict]:
    """Arrays, table and meta of a small run, contexts in a given order."""
    order = np.asarray(order)
    kernel = normal(9, M, M)
    arrays = {
        "step": np.array([0, 5, 20]),
        "H": normal(0, T, M, D)[:, order],
        "W": normal(1, T, M, D),
        "loss": np.array([1.8, 1.0, 0.2]),
        "label": order,
        "feature_norm": 1 + normal(2, T, M)[:, order] ** 2,
        "kernel_init": (kernel @ kernel.T)[np.ix_(order, order)],
    }
    rows = {"label": order.tolist(), "a": [f"a{i // 3}" for i in order], "b": [f"b{i % 3}" for i in order]}
    return arrays, rows, {"formula": "a[2] * b[3]", "labels": None, "lr": 0.1, "seed": 7, "body_depth": 3}


def saved(folder, arrays=None, rows=None, meta=None, drop=()):
    made = parts()
    chosen = {name: array for name, array in (made[0] | (arrays or {})).items() if name not in drop}
    return save_run(folder / "run", chosen, rows or made[1], made[2] | (meta or {}))


def test_a_run_is_read_as_it_was_written(tmp_path):
    arrays, _, meta = parts()
    path = saved(tmp_path)
    assert path == tmp_path / "run.npz"
    assert sorted(os.listdir(tmp_path)) == ["run.attributes.csv", "run.json", "run.npz"]
    run = load_run(path)
    for name in ("H", "W", "loss", "feature_norm", "kernel_init", "step"):
        np.testing.assert_array_equal(run.data[name].values, arrays[name])
    np.testing.assert_allclose(run.time, [0, 0.5, 2.0], rtol=1e-15)
    assert run.attributes == Attributes("a[2] * b[3]") and run.labels is None and run.meta == meta
    assert (run.name, run.lr, run.body_depth) == ("run", 0.1, 3)


def as_zarr(path):
    group = zarr.open_group(str(path.with_suffix(".zarr")), mode="w")
    for name, array in np.load(path).items():
        group[name] = array


def as_safetensors(path):
    from_numpy = pytest.importorskip("safetensors.numpy")
    from_numpy.save_file(
        {k: np.ascontiguousarray(v) for k, v in np.load(path).items()}, path.with_suffix(".safetensors")
    )


@pytest.mark.parametrize("convert", [as_zarr, as_safetensors])
def test_other_formats_hold_the_same_run(tmp_path, convert):
    path = saved(tmp_path)
    first = load_run(path)
    convert(path)
    path.unlink()
    assert first.data.identical(load_run(tmp_path / "run").data)
    with pytest.raises(InputError, match="^path: no recorded run"):
        load_run(path)


def test_rows_may_come_in_any_order(tmp_path):
    order = [4, 2, 5, 0, 3, 1]
    first, second = load_run(saved(tmp_path)), load_run(save_run(tmp_path / "other", *parts(order)))
    # Values are numbered in the order in which they first appear, so rows differ, but no quantity of the strata does.
    assert not np.array_equal(second.data["H"].values, first.data["H"].values)
    np.testing.assert_allclose(second.data["h"], first.data["h"], rtol=1e-12)  # sums of 24 squares in another order
    np.testing.assert_allclose(second.data["z"], first.data["z"], atol=1e-12)
    kernels = [matrix_eigenvalues(run.data["kernel_init"].values, run.attributes) for run in (first, second)]
    assert kernels[0] == pytest.approx(kernels[1], rel=1e-12)
    swapped = parts(order)
    swapped[0]["H"] = swapped[0]["H"][:, [1, 0, 2, 3, 4, 5]]
    third = load_run(save_run(tmp_path / "third", *swapped))
    assert not np.allclose(third.data["h"], first.data["h"], rtol=1e-3)


def test_time_and_later_kernels_are_read_in_the_formulas_order(tmp_path):
    order, kernel = np.array([4, 2, 5, 0, 3, 1]), normal(3, 2, M, M)
    kernel = kernel @ kernel.transpose(0, 2, 1)
    arrays, *rest = parts(order)
    arrays |= {"time": np.array([0, 0.1, 0.3]), "kernel": kernel, "kernel_step": np.array([0, 20])}
    run = load_run(save_run(tmp_path / "run", arrays | {"final_gain": normal(4, T, D)}, *rest))
    assert run.time.tolist() == [0, 0.1, 0.3] != (0.1 * run.data["step"]).values.tolist()
    at_20 = run.data["kernel"].sel(kernel_step=20).values
    known = load_run(save_run(tmp_path / "other", arrays | {"kernel_init": kernel[1]}, *rest)).data["kernel_init"]
    np.testing.assert_array_equal(at_20, known)
    assert not np.array_equal(at_20, kernel[1])  # control: it is another order
    np.testing.assert_array_equal(run.data["final_gain"], normal(4, T, D))


def test_labels_that_drop_an_attribute_are_read(tmp_path):
    label = np.arange(M) // 3
    run = load_run(saved(tmp_path, {"label": label, "W": normal(1, T, 2, D)}, meta={"labels": "a"}))
    assert run.labels == ("a",)
    with pytest.raises(InputError, match="^labels: run.json states .* but the recorded labels keep"):
        load_run(saved(tmp_path, {"label": label, "W": normal(1, T, 2, D)}, meta={"labels": "b"}))


def test_a_saved_run_is_a_trajectory_that_can_be_stored(tmp_path):
    run = load_run(saved(tmp_path))
    run.save(tmp_path / "stored.zarr")
    again = Run.load(tmp_path / "stored.zarr")
    assert again.lr == 0.1 and np.array_equal(again.data["H"], run.data["H"])


def changed(name, edit):
    """A run with one array edited."""

    def make(folder):
        array = edit(np.array(parts()[0][name], dtype=float if name in ("H", "W", "loss") else None))
        saved(folder, {name: array})

    return make


def added(**arrays):
    """A run with arrays that most runs lack."""

    def make(folder):
        saved(folder, {name: np.asarray(array) for name, array in arrays.items()})

    return make


def set_to(index, value):
    def edit(array):
        array = array.astype(float)
        array[index] = value
        return array

    return edit


def rows_without_the_last(folder):
    rows = {name: values[:-1] for name, values in parts()[1].items()}
    saved(folder, rows=rows, meta={"formula": None})


def unbalanced(folder):
    saved(folder, rows={"label": range(M), "a": list("xxxxyy"), "b": list("pqrstu")}, meta={"formula": None})


def edited(name, content):
    def make(folder):
        saved(folder)
        (folder / name).write_bytes(content)

    return make


def missing(name):
    def make(folder):
        saved(folder)
        (folder / name).unlink()

    return make


def truncated(folder):
    path = saved(folder)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flipped(folder):
    """Bytes in the middle of an array changed: the archive's checksum no longer fits."""
    path = saved(folder)
    content = bytearray(path.read_bytes())
    at = content.index(b"H.npy") + 400
    content[at : at + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))


def pickled(folder):
    saved(folder, {"H": np.array([[{"a": 1}]], dtype=object)})


class Bomb:
    """Unpickling it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def armed(folder):
    saved(folder, {"loss": np.array([Bomb(folder / "exploded")] * T, dtype=object)})


BAD = {
    "NaN in H": (changed("H", set_to((1, 2, 3), np.nan)), r"^H: NaN or infinity at index \[1, 2, 3\]"),
    "infinity in W": (changed("W", set_to((0, 0, 0), np.inf)), "^W: NaN or infinity"),
    "NaN in loss": (changed("loss", set_to(2, np.nan)), r"^loss: NaN or infinity at index \[2\]"),
    "NaN in the kernel": (changed("kernel_init", set_to((0, 1), np.nan)), "^kernel_init: NaN or infinity"),
    "infinite norm": (changed("feature_norm", set_to((0, 1), np.inf)), "^feature_norm: NaN or infinity"),
    "label beyond W": (changed("W", lambda W: W[:, :5]), "^W: it has 5 rows, but label 5 occurs"),
    "label twice": (changed("label", lambda x: x // 2), "^labels: the 3 distinct labels do not correspond"),
    "negative label": (changed("label", lambda x: x - 1), "^labels: "),
    "labels no numbers": (changed("label", lambda x: x.astype(str)), "^label: type <U"),
    "fractional labels": (changed("label", lambda x: x + 0.5), "^labels: .* of float64"),
    "few labels": (changed("label", lambda x: x[:5]), r"^label: shape \(5,\)"),
    "H without time": (changed("H", lambda H: H[0]), r"^H: shape \(6, 4\)"),
    "H with few times": (changed("H", lambda H: H[:2]), r"^H: shape \(2, 6, 4\)"),
    "H of other contexts": (changed("H", lambda H: H[:, :5]), r"^H: shape \(3, 5, 4\)"),
    "W of another width": (changed("W", lambda W: W[..., :3]), "^W: shape .* does not fit H"),
    "loss of other times": (changed("loss", lambda x: x[:2]), r"^loss: shape \(2,\)"),
    "kernel not square": (changed("kernel_init", lambda K: K[:5]), r"^kernel_init: shape \(5, 6\)"),
    "norms of other times": (changed("feature_norm", lambda x: x[:1]), r"^feature_norm: shape \(1, 6\)"),
    "no snapshots": (changed("step", lambda x: x[:0]), "^step: shape"),
    "steps that fall": (changed("step", lambda x: x[::-1]), "^step: the steps in run.npz must be increasing"),
    "negative steps": (changed("step", lambda x: x - 1), "^step: the steps"),
    "times that stand still": (added(time=[0, 1, 1]), "^time: the times in run.npz must be increasing"),
    "times of other steps": (added(time=[0, 1]), r"^time: shape \(2,\)"),
    "kernels of no steps": (added(kernel=np.ones((2, M, M))), "^kernel: run.npz has only one of kernel and kernel_s"),
    "kernels of other steps": (
        added(kernel=np.ones((2, M, M)), kernel_step=[0, 6]),
        "^kernel_step: the steps in run.npz must be increasing, and recorded ones",
    ),
    "fewer kernels than steps": (
        added(kernel=np.ones((1, M, M)), kernel_step=[0, 5]),
        r"^kernel: shape \(1, 6, 6\) in run.npz; it must be \(2,",
    ),
    "gains of another width": (added(final_gain=np.ones((T, D + 1))), r"^final_gain: shape \(3, 5\)"),
    "complex numbers": (changed("loss", lambda x: x + 1j), "^loss: type complex128"),
    **{
        f"no {name}": (lambda folder, name=name: bare(folder, name), f"^{name}: run.npz has no such array")
        for name in runs.REQUIRED
    },
    "no json": (missing("run.json"), "^path: cannot read .*run.json"),
    "no csv": (missing("run.attributes.csv"), "^table: cannot read"),
    "no arrays": (missing("run.npz"), "^path: no recorded run"),
    "json cut short": (edited("run.json", b'{"formula": '), "^path: .* is no JSON"),
    "json a list": (edited("run.json", b"[1]"), "^path: .* holds list"),
    "json not text": (edited("run.json", b"\xff\xfe"), "^path: .* is no JSON"),
    "no learning rate": (edited("run.json", b"{}"), "^lr: None in run.json"),
    "lr of zero": (edited("run.json", b'{"lr": 0}'), "^lr: 0 in run.json"),
    "lr of NaN": (edited("run.json", b'{"lr": NaN}'), "^lr: nan in run.json"),
    "lr as text": (edited("run.json", b'{"lr": "0.1"}'), "^lr: '0.1' in run.json"),
    "another formula": (edited("run.json", b'{"lr": 0.1, "formula": "a[3] * b[2]"}'), "^formula: a has size 3"),
    "labels unknown": (edited("run.json", b'{"lr": 0.1, "labels": "c"}'), "^labels: 'c' is no attribute"),
    "table empty": (edited("run.attributes.csv", b""), "^table: .* no rows below its header"),
    "table incomplete": (rows_without_the_last, "^table: incomplete: 5 of 6"),
    "table unbalanced": (unbalanced, "^table: unbalanced"),
    "npz cut short": (truncated, "^path: .* cannot be read as a recorded run"),
    "npz altered": (flipped, "^path: .* cannot be read as a recorded run"),
    "npz empty": (edited("run.npz", b""), "^path: .* cannot be read as a recorded run"),
    "npz some text": (edited("run.npz", b"not an archive"), "^path: .* cannot be read as a recorded run"),
    "pickled objects": (pickled, "^path: .* cannot be read as a recorded run"),
    "an armed pickle": (armed, "^path: .* cannot be read as a recorded run"),
}


def bare(folder, absent):
    """A run whose archive lacks an array, which save_run would refuse to write."""
    path = saved(folder)
    packed = io.BytesIO()
    np.savez(packed, **{name: array for name, array in parts()[0].items() if name != absent})
    path.write_bytes(packed.getvalue())


@pytest.mark.parametrize("case", BAD)
def test_each_damage_is_named_in_one_sentence(tmp_path, case):
    make, message = BAD[case]
    make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load_run(tmp_path / "run")
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def test_a_damaged_zarr_is_named(tmp_path):
    path = saved(tmp_path)
    as_zarr(path)
    path.unlink()
    for file in (tmp_path / "run.zarr").rglob("*"):
        if file.is_file():
            file.write_bytes(b"{")
    with pytest.raises(InputError, match="^path: .* cannot be read as a recorded run"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize("name", runs.REQUIRED)
def test_an_incomplete_run_is_not_written(tmp_path, name):
    with pytest.raises(InputError, match=f"^arrays: {name!r} is missing"):
        saved(tmp_path, drop=(name,))
    assert not os.listdir(tmp_path)


def test_an_interrupted_write_leaves_the_old_run(tmp_path, monkeypatch):
    saved(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupted(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        saved(tmp_path, {"loss": np.ones(T)})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="^path: the folder .* cannot be made"):
        save_run(tmp_path / "file" / "run", *parts())
    assert (tmp_path / "file").read_text() == "mine"


def test_shipped_runs_are_read_and_others_named():
    run = example_run("crossed_4x6_mlp_large_step")
    assert run.lr == 0.05 and run.body_depth == 3 and run.data["H"].shape[1:] == (24, 64)
    with pytest.raises(InputError, match="^name: 'x' is no shipped run; choose one of crossed_4x6_mlp_flow, "):
        example_run("x")


def test_the_archive_holds_plain_arrays(tmp_path):
    with zipfile.ZipFile(saved(tmp_path)) as archive:
        assert sorted(archive.namelist()) == sorted(f"{name}.npy" for name in parts()[0])
    assert json.loads((tmp_path / "run.json").read_text())["seed"] == 7
