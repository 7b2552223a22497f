"""Runs in every format are the same run; what would run code or lead to another file is refused, in one sentence."""

import json
import pickle

import numpy as np
import pytest
import zarr
from ufmflow.numerics.loaders import read_arrays
from ufmflow.numerics.runs import load_run, save_run
from ufmflow.theory.errors import InputError

from .explicit import normal

M, D, T = 6, 4, 3


def parts():
    arrays = {"step": np.array([0, 5, 20]), "H": normal(0, T, M, D), "W": normal(1, T, M, D)}
    arrays |= {"loss": np.array([1.8, 1.0, 0.2]), "label": np.arange(M)}
    rows = {"label": range(M), "a": list("xxxyyy"), "b": list("pqrpqr")}
    return arrays, rows, {"formula": "a[2] * b[3]", "labels": None, "lr": 0.1}


def beside(folder, **meta):
    """The CSV and JSON of a run whose arrays are still to come."""
    arrays, rows, known = parts()
    save_run(folder / "run", arrays, rows, known | meta).unlink()
    return arrays


def as_npz(file, arrays):
    np.savez(file.with_suffix(".npz"), **arrays)


def as_zarr(file, arrays):
    group = zarr.open_group(str(file.with_suffix(".zarr")), mode="w")
    for name, array in arrays.items():
        group[name] = array


def as_safetensors(file, arrays):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, file.with_suffix(".safetensors"))


def as_torch(file, arrays):
    torch = pytest.importorskip("torch")
    torch.save({name: torch.tensor(array) for name, array in arrays.items()}, file.with_suffix(".pt"))


def as_hdf5(file, arrays):
    h5py = pytest.importorskip("h5py")
    with h5py.File(file.with_suffix(".h5"), "w") as archive:
        for name, array in arrays.items():
            archive[name] = array


FORMATS = [as_npz, as_zarr, as_safetensors, as_torch, as_hdf5]


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_holds_the_same_run(tmp_path, write):
    arrays = beside(tmp_path)
    write(tmp_path / "run", arrays | {"unread": np.ones(2)})
    run = load_run(tmp_path / "run")
    for name in ("H", "W", "loss", "step"):
        np.testing.assert_array_equal(run.data[name].values, arrays[name])
    write(tmp_path / "run", arrays | {"loss": np.array([1.8, np.nan, 0.2])})
    with pytest.raises(InputError, match=r"^loss: NaN or infinity at index \[1\]"):
        load_run(tmp_path / "run")
    write(tmp_path / "run", arrays | {"step": np.array([0, 20, 5])})
    with pytest.raises(InputError, match="^step: the steps in .* must be increasing"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("turned", [False, True])
def test_lists_are_read_whichever_way_H_lies(tmp_path, write, turned):
    arrays = beside(tmp_path, record_every=5)
    H = arrays["H"].transpose(0, 2, 1) if turned else arrays["H"]
    write(tmp_path / "run", {"W_list": arrays["W"], "H_list": H, "losses": arrays["loss"]})
    run = load_run(tmp_path / "run")
    np.testing.assert_array_equal(run.data["H"].values, arrays["H"])
    assert run.data["step"].values.tolist() == [0, 5, 10]


def test_a_list_of_tensors_is_stacked(tmp_path):
    torch = pytest.importorskip("torch")
    arrays = beside(tmp_path)
    lists = {"W_list": [torch.tensor(W) for W in arrays["W"]], "H_list": [torch.tensor(H) for H in arrays["H"]]}
    torch.save(lists | {"losses": arrays["loss"].tolist(), "step": [0, 5, 20]}, tmp_path / "run.pt")
    np.testing.assert_array_equal(load_run(tmp_path / "run").data["W"].values, arrays["W"])


def test_half_precision_tensors_become_numbers(tmp_path):
    torch = pytest.importorskip("torch")
    arrays = beside(tmp_path)
    halved = {name: torch.tensor(array) for name, array in arrays.items()}
    torch.save(halved | {"H": halved["H"].bfloat16()}, tmp_path / "run.pt")
    # bfloat16 keeps 8 bits: half a unit in the last place is 2^-9 relative.
    np.testing.assert_allclose(load_run(tmp_path / "run").data["H"], arrays["H"], rtol=2**-8)


def test_what_lists_leave_open_is_asked_for(tmp_path):
    arrays = beside(tmp_path)
    lists = {"W_list": arrays["W"], "H_list": arrays["H"], "losses": arrays["loss"]}
    as_npz(tmp_path / "run", lists)
    with pytest.raises(InputError, match="^step: run.npz has lists without an array step"):
        load_run(tmp_path / "run")
    beside(tmp_path, record_every=True)
    as_npz(tmp_path / "run", lists)
    with pytest.raises(InputError, match="^step: "):
        load_run(tmp_path / "run")
    beside(tmp_path, record_every=1)
    as_npz(tmp_path / "run", lists | {"W_list": normal(2, T, M, M), "H_list": normal(3, T, M, M)})
    with pytest.raises(InputError, match="^H_list: .* either axis may be either"):
        load_run(tmp_path / "run")
    as_npz(tmp_path / "run", lists)
    load_run(tmp_path / "run")
    table = (tmp_path / "run.attributes.csv").read_text().splitlines()
    (tmp_path / "run.attributes.csv").write_text("\n".join(line.split(",", 1)[1] for line in table))
    with pytest.raises(InputError, match="^label: neither run.npz nor its table"):
        load_run(tmp_path / "run")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def armed_torch(file):
    pytest.importorskip("torch").save({"H": Bomb(file.parent / "exploded")}, file.with_suffix(".pt"))


def armed_pickle(file):
    file.with_suffix(".pt").write_bytes(pickle.dumps({"H": Bomb(file.parent / "exploded")}))


def armed_zarr(file):
    """A chunk that the pickle codec of numcodecs would unpickle, before 0.16.6 without being asked."""
    folder = file.with_suffix(".zarr")
    (folder / "H").mkdir(parents=True)
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    described = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": 0, "order": "C"}
    described |= {"compressor": None, "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}]}
    (folder / "H" / ".zarray").write_text(json.dumps(described))
    (folder / "H" / "0").write_bytes(pickle.dumps(Bomb(file.parent / "exploded")))


def linked_hdf5(file):
    h5py = pytest.importorskip("h5py")
    with h5py.File(file.parent / "secret.hdf5", "w") as other:
        other["H"] = normal(0, T, M, D)
    with h5py.File(file.with_suffix(".h5"), "w") as archive:
        archive["H"] = h5py.ExternalLink(str(file.parent / "secret.hdf5"), "H")


def raw_hdf5(file):
    """An array whose bytes lie in another file."""
    h5py = pytest.importorskip("h5py")
    (file.parent / "secret.bin").write_bytes(bytes(80))
    with h5py.File(file.with_suffix(".h5"), "w") as archive:
        archive.create_dataset("H", (10,), "f8", external=[(str(file.parent / "secret.bin"), 0, 80)])


def virtual_hdf5(file):
    h5py = pytest.importorskip("h5py")
    layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(file.parent / "secret.hdf5"), "H", shape=(4,))
    with h5py.File(file.with_suffix(".h5"), "w") as archive:
        archive.create_virtual_dataset("H", layout)


def damaged(ending):
    def make(file):
        file.with_suffix(ending).write_bytes(b"not an archive")

    return make


def tensor_alone(file):
    torch = pytest.importorskip("torch")
    torch.save(torch.ones(3), file.with_suffix(".pt"))


@pytest.mark.parametrize(
    "make",
    [armed_torch, armed_pickle, armed_zarr, linked_hdf5, raw_hdf5, virtual_hdf5, tensor_alone]
    + [damaged(ending) for ending in (".npz", ".zarr", ".safetensors", ".pt", ".h5")],
)
def test_what_would_run_code_or_lead_elsewhere_is_refused(tmp_path, make):
    make(tmp_path / "run")
    file = next(path for path in tmp_path.iterdir() if path.stem == "run")
    pytest.importorskip({".h5": "h5py", ".safetensors": "safetensors", ".pt": "torch"}.get(file.suffix, "zarr"))
    with pytest.raises(InputError, match="^path: .* cannot be read as a recorded run") as caught:
        read_arrays(file, ["H"])
    assert "\n" not in str(caught.value) and str(caught.value).endswith(").")
    assert not (tmp_path / "exploded").exists()


def test_the_bomb_would_explode(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "exploded"))).close()
    assert (tmp_path / "exploded").exists()
