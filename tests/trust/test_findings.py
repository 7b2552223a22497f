"""What fuzzing found, each with the smallest input that shows it."""

import io
import json
import pickle
import zipfile

import h5py
import numpy as np
import pytest

from ufmflow.numerics.balls import exact_number
from ufmflow.numerics.config import read_config
from ufmflow.numerics.counts import read_counts
from ufmflow.numerics.embeddings import read_embeddings, read_table
from ufmflow.numerics.runs import load_run
from ufmflow.numerics.trajectory import Trajectory
from ufmflow.numerics.unfolding import check_inside
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.exact import exact

TABLE = "label,a,b\n0,x,p\n1,x,q\n2,y,p\n3,y,q\n"


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.fixture
def run(tmp_path):
    """The stem of a run whose table and description are there; its arrays."""
    (tmp_path / "run.attributes.csv").write_text(TABLE)
    (tmp_path / "run.json").write_text(json.dumps({"formula": "a[2] * b[2]", "lr": 0.1}))
    rng = np.random.default_rng(0)
    arrays = {
        "step": np.array([0, 5]),
        "H": rng.standard_normal((2, 4, 3)),
        "W": rng.standard_normal((2, 4, 3)),
        "loss": np.array([1.4, 1.2]),
        "label": np.arange(4),
    }
    return tmp_path / "run", arrays


@pytest.mark.parametrize("text", ["x = " + "[" * 5000, "x = " + "9" * 5000], ids=["deep", "digits"])
def test_toml_too_deep_or_with_thousands_of_digits(tmp_path, text):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(InputError, match="config: "):
        read_config(tmp_path / "c.toml")


@pytest.mark.parametrize("read", [exact, exact_number])
@pytest.mark.parametrize("text", ["1/0", "1e99999999", "1e-99999999", "1e1_00000000"])
def test_texts_that_are_no_number_or_one_of_millions_of_digits(read, text):
    with pytest.raises(InputError, match="x: "):
        read(text, "x")


@pytest.mark.parametrize("value", ["1e400", "1e-400", 10**400])
def test_numbers_that_no_float_holds(value):
    with pytest.raises(InputError, match="x: .* beyond what floating-point numbers hold"):
        exact(value, "x")
    assert exact("1e300", "x") == 10**300


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "too deep"),
        (json.dumps({"formula": "a[2] * b[2]", "lr": 10**400}), "lr: "),
        (json.dumps({"formula": "a[2] * b[2]", "lr": True}), "lr: "),
        (json.dumps({"formula": "a " * 10_000, "lr": 0.1}), "20000 characters"),
    ],
    ids=["deep", "digits", "flag", "long"],
)
def test_descriptions_of_a_run(run, text, reason):
    stem, arrays = run
    np.savez(stem.with_suffix(".npz"), **arrays)
    assert load_run(stem).lr == 0.1
    stem.with_suffix(".json").write_text(text)
    with pytest.raises(InputError, match=reason):
        load_run(stem)


def test_formulas_too_long():
    with pytest.raises(InputError, match="20000 characters"):
        Attributes(" " * 20_000)


def test_tables_with_more_columns_than_attributes_are_allowed(tmp_path):
    (tmp_path / "t.csv").write_text("\n".join(",".join(f"c{i}x{r}" for i in range(3000)) for r in "ab"))
    with pytest.raises(InputError, match="3000 attribute columns"):
        read_table(tmp_path / "t.csv")


def test_labels_of_thousands_of_digits_are_words(tmp_path):
    (tmp_path / "t.csv").write_text("label,a\n" + "9" * 5000 + ",x\n1,y\n")
    assert read_table(tmp_path / "t.csv")[1].tolist() == [0, 1]


def test_counts_of_a_context_named_twice(tmp_path):
    (tmp_path / "counts.csv").write_text("context,token,count\nx,t,1\n")
    with pytest.raises(InputError, match="contexts: a name in column context is there twice"):
        read_counts(tmp_path / "counts.csv", {"context": ["x", "x"]}, None)


def test_sparse_counts_whose_indices_point_outside_are_not_made_dense(tmp_path):
    """SciPy would write beside its memory."""
    arrays = {"format": b"csr", "shape": [2, 2], "data": [1.0, 2.0], "indices": [0, 1], "indptr": [0, 1, 2]}
    np.savez(tmp_path / "counts.npz", **arrays)
    assert read_counts(tmp_path / "counts.npz", {}, None)[0].tolist() == [[1.0, 0.0], [0.0, 2.0]]
    np.savez(tmp_path / "counts.npz", **arrays | {"indices": [0, 10**8]})
    with pytest.raises(InputError, match="counts: .* no sparse matrix"):
        read_counts(tmp_path / "counts.npz", {}, None)


def bomb(name: str, header: bytes, zeros: int) -> bytes:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        file.write(header)
        for _ in range(zeros // 2**20):
            file.write(bytes(2**20))
    return packed.getvalue()


def npy_header(shape: tuple) -> bytes:
    packed = io.BytesIO()
    np.lib.format.write_array_header_1_0(packed, {"descr": "|i1", "fortran_order": False, "shape": shape})
    return packed.getvalue()


def test_zip_bombs_are_refused(run):
    stem, _ = run
    stem.with_suffix(".npz").write_bytes(bomb("H.npy", npy_header((2, 4, 2**26)), 2**29))
    for read, file in ((load_run, stem), (read_embeddings, stem.with_suffix(".npz"))):
        with pytest.raises(InputError, match="would take .* bytes of memory"):
            read(file)
    with pytest.raises(InputError, match="would take .* bytes of memory"):
        read_counts(stem.with_suffix(".npz"), {}, None)


@pytest.mark.parametrize(
    "member",
    [b"\x93NUMPY\x01\x00\x10\x00{'descr': (\x00\n     ", npy_header((10**20,)), npy_header((2**62, 2)), b"plain"],
    ids=["no Python", "beyond 64 bits", "beyond memory", "no .npy"],
)
def test_headers_of_arrays_that_numpy_stumbles_over(run, member):
    stem, arrays = run
    np.savez(stem.with_suffix(".npz"), **{name: a for name, a in arrays.items() if name != "H"})
    with zipfile.ZipFile(stem.with_suffix(".npz"), "a") as archive:
        archive.writestr("H.npy", member)
    for read, file in ((load_run, stem), (read_embeddings, stem.with_suffix(".npz"))):
        with pytest.raises(InputError):
            read(file)


def test_names_that_lead_out_of_an_archive_are_only_names(run):
    stem, arrays = run
    np.savez(stem.with_suffix(".npz"), **arrays, **{"../escape": np.ones(3), "/escape": np.ones(3)})
    before = sorted(stem.parent.parent.rglob("*"))
    assert load_run(stem).data["H"].shape == (2, 4, 3)
    assert sorted(stem.parent.parent.rglob("*")) == before


def test_a_tensor_that_repeats_one_number_without_end(run):
    torch = pytest.importorskip("torch")
    stem, arrays = run
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save(tensors | {"H": torch.zeros(1).expand(2, 4, 3)}, stem.with_suffix(".pt"))
    assert load_run(stem).data["H"].shape == (2, 4, 3)
    torch.save(tensors | {"H": torch.zeros(1).expand(2, 4, 10**9)}, stem.with_suffix(".pt"))
    with pytest.raises(InputError, match="H would take"):
        load_run(stem)


def test_a_hdf5_array_of_chunks_that_were_never_written(run):
    stem, arrays = run
    with h5py.File(stem.with_suffix(".h5"), "w") as file:
        for name, array in arrays.items():
            if name == "H":
                file.create_dataset("H", shape=(2, 4, 10**9), dtype="f8", chunks=(1, 1, 100))
            else:
                file[name] = array
    with pytest.raises(InputError, match="H would take"):
        load_run(stem)


def zarr_run(stem, arrays):
    import zarr

    group = zarr.open_group(str(stem) + ".zarr", mode="w", zarr_format=2)
    for name, array in arrays.items():
        group.create_array(name, data=array)
    return stem.with_suffix(".zarr")


def test_a_zarr_array_with_nothing_in_it(run):
    path = zarr_run(*run)
    assert load_run(path).data["H"].shape == (2, 4, 3)
    described = json.loads((path / "H" / ".zarray").read_text())
    for change in ({"shape": [2, 4, 10**9]}, {"chunks": [2, 4, 10**9]}):
        (path / "H" / ".zarray").write_text(json.dumps(described | change))
        with pytest.raises(InputError, match="would take"):
            load_run(path)


def test_links_that_lead_out_of_a_store(run, tmp_path_factory):
    path = zarr_run(*run)
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_bytes(bytes(8 * 24))
    chunk = path / "H" / "0.0.0"
    chunk.unlink()
    chunk.symlink_to(secret)
    with pytest.raises(InputError, match="H/0.0.0 is a link that leads out of it"):
        load_run(path)
    chunk.unlink()
    chunk.symlink_to("../H/.zarray")
    check_inside(path)


@pytest.mark.parametrize("consolidated", [False, True])
def test_a_stored_trajectory_with_a_pickle_runs_nothing(tmp_path, consolidated):
    from ufmflow.numerics.simulate import simulate
    from ufmflow.theory.model import UFM

    path = tmp_path / "t.zarr"
    simulate(UFM("a[2] * b[2]"), [0, 1.0], out=path)
    assert Trajectory.load(path).time.tolist() == [0, 1.0]
    described = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": None,
        "order": "C", "filters": [{"id": "pickle", "protocol": 5}],
    }  # fmt: skip
    (path / "extra").mkdir()
    (path / "extra" / ".zarray").write_text(json.dumps(described))
    (path / "extra" / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["other"]}')
    (path / "extra" / "0").write_bytes(pickle.dumps(np.array([Payload(tmp_path / "ran")], dtype=object)))
    known = json.loads((path / ".zmetadata").read_text())
    known["metadata"] |= {"extra/.zarray": described, "extra/.zattrs": {"_ARRAY_DIMENSIONS": ["other"]}}
    if consolidated:
        (path / "extra" / ".zarray").write_text(json.dumps(described | {"filters": None, "dtype": "<f8"}))
        (path / ".zmetadata").write_text(json.dumps(known))
    else:
        (path / ".zmetadata").unlink()
    with pytest.raises(InputError, match="is pickled"):
        Trajectory.load(path)
    assert not (tmp_path / "ran").exists()


def test_a_stored_trajectory_that_lost_a_chunk_or_an_end_of_one_is_refused(tmp_path):
    """Zarr reads what is gone as fill values, and now and then beyond the end of what is cut."""
    from ufmflow.numerics.simulate import simulate
    from ufmflow.theory.model import UFM

    path = tmp_path / "t.zarr"
    kept = simulate(UFM("a[2] * b[2]"), 5.0, out=path).data
    assert Trajectory.load(path).data.equals(kept)
    for chunk in (path / "h" / "0.0", path / "multiplicity" / "0"):
        content = chunk.read_bytes()
        for cut in (len(content) - 1, len(content) // 2, None):
            if cut is None:
                chunk.unlink()
            else:
                chunk.write_bytes(content[:cut])
            with pytest.raises(InputError, match="damaged|cannot be read"):
                Trajectory.load(path)
        chunk.write_bytes(content)
    assert Trajectory.load(path).data.equals(kept)


def test_a_finished_chunk_of_a_sweep_that_is_cut_is_noticed(tmp_path):
    from ufmflow.numerics.sweep import fill_store
    from ufmflow.numerics.sweep_load import load_sweep

    config = {"model": {"attributes": "a[2]"}, "simulate": {"t": 5.0}, "sweep": {"grid": {"init": [1e-3, 1e-2]}}}
    fill_store(config, tmp_path / "s.zarr")
    assert load_sweep(tmp_path / "s.zarr")["status"].values.tolist() == [1, 1]
    chunk = tmp_path / "s.zarr" / "final_loss" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(InputError, match="chunk 0 of final_loss is missing or cut"):
        load_sweep(tmp_path / "s.zarr")


def test_a_recording_that_was_killed_while_it_wrote_is_finished(tmp_path):
    from ufmflow.numerics.recording_folder import RecordingFolder

    folder = RecordingFolder(tmp_path / "mine", [0], {})
    folder.write(0, {"H": np.ones(2)})
    (folder.path / ".ufmflow-half").write_bytes(b"PK")
    assert folder.recorded() == [0]
    folder.remove()
    assert not folder.path.exists()


def test_a_full_disk_is_one_sentence_on_the_command_line(tmp_path, monkeypatch, capsys):
    import errno

    from ufmflow import cli

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "run.npz")

    monkeypatch.setattr(cli, "app", full)
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    told = capsys.readouterr().err
    assert told.startswith("ufmflow: ") and "'run.npz' failed: No space left on device" in told


def test_no_absolute_tolerance_and_a_start_at_the_edge_of_floats():
    """LSODA would divide by 0, and say so in its own words."""
    from ufmflow.numerics.simulate import simulate
    from ufmflow.theory.model import UFM
    from ufmflow.theory.system import derive

    model = UFM("a[3]", loss="mse")
    exact = derive(model).closed_form("a")(2000.0, 1e-100)
    found = simulate(model, [2000.0], init=1e-100, rtol=1e-8, atol=0.0).data["z"].sel(stratum="a").values[-1]
    assert found == pytest.approx(exact, rel=1e-7) and exact > 0.5
    with pytest.raises(InputError, match="init: 1e-300 is too small for rtol = 1e-08"):
        simulate(model, [1.0], init=1e-300, rtol=1e-8)
    assert simulate(model, [1.0], init=0.0, atol=0.0).data["z"].sel(stratum="a").values[-1] == 0.0


def test_a_recorded_step_that_is_cut_is_named_with_what_to_do(tmp_path):
    from ufmflow.numerics.recording_folder import RecordingFolder

    folder = RecordingFolder(tmp_path / "mine", [0, 3], {})
    folder.write(3, {"H": np.ones(2)})
    assert folder.read(3)["H"].tolist() == [1.0, 1.0]
    file = folder.path / "step-000000000003.npz"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(InputError, match="step-000000000003.npz.*delete it and go on from an earlier checkpoint"):
        folder.read(3)


def test_features_whose_squares_overflow_are_not_forecast():
    """They gave shares of 0, and no word."""
    from ufmflow.numerics.forecast import forecast
    from ufmflow.numerics.runs import Run, example_run

    run = example_run()
    assert forecast(run, level="modes").shares()[-1].sum() == pytest.approx(1.0)
    data = run.data.copy()
    data["kernel_init"], data["feature_norm"] = data["kernel_init"] * 1e300, data["feature_norm"] * 1e150
    with pytest.raises(InputError, match="kernel_init: .* is beyond what floats hold squared"):
        forecast(Run(data), level="modes")


def test_a_sweep_whose_metadata_call_a_coordinate_a_variable(tmp_path):
    from ufmflow.numerics.sweep import fill_store
    from ufmflow.numerics.sweep_load import load_sweep

    config = {"model": {"attributes": "a[2]"}, "simulate": {"t": 5.0}, "sweep": {"grid": {"init": [1e-3, 1e-2]}}}
    path = fill_store(config, tmp_path / "s.zarr").path
    assert dict(load_sweep(path).sizes)["init"] == 2
    told = json.loads((path / ".zattrs").read_text())
    assert told.pop("coordinates") == "init"
    (path / ".zattrs").write_text(json.dumps(told))
    with pytest.raises(InputError, match="is damaged .*'init'"):
        load_sweep(path)
