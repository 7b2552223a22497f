"""The schema: shares, semantic index, window and Gram matrices; stores that are whole or not there at all."""

import json
import os
import shutil

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.numerics.simulate import simulate
from ufmflow.numerics.trajectory import Trajectory, dataset, in_formula_order, semantic_index, shares
from ufmflow.proofs.strategies import structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM

from .explicit import EPS, element, normal, projectors, seeds

CROSSED = Attributes("color[3] * shape[4]")
KERNEL = {"1": 12, "color": 5, "shape": 4, "color:shape": 1}


def made(index, time=None, attributes=CROSSED) -> Trajectory:
    """A trajectory with a given semantic index; nothing else of it matters."""
    time = np.arange(len(index), dtype=float) if time is None else np.asarray(time, dtype=float)
    flat = np.ones((len(index), len(attributes.names)))
    data = dataset(attributes, None, time, flat, flat, flat, np.ones(len(index)))
    return Trajectory(data.assign(semantic_index=("time", np.asarray(index, dtype=float))))


@pytest.fixture(scope="module")
def simulated() -> Trajectory:
    return simulate(UFM(CROSSED, feature_kernel=KERNEL, ridge="1/1200"), np.geomspace(0.1, 1e4, 40), seed=5)


@given(attributes=structures(), seed=seeds)
def test_shares_are_those_of_the_gram_matrix(attributes, seed):
    h = normal(seed, 2, len(attributes.names))
    m = np.array([float(x) for x in attributes.multiplicities.values()])
    found = shares(h, m)
    for row, singular in zip(found, h, strict=True):
        gram = element(dict(zip(attributes.names, singular**2, strict=True)), attributes)
        centred = gram - gram.mean()
        expected = [np.trace(P @ gram) / np.trace(centred) for P in projectors(attributes).values()]
        # Ratios of traces of at most 24 x 24 products; small shares are what cancels between them.
        np.testing.assert_allclose(row[1:], expected[1:], rtol=1e-12, atol=1e-13)
        assert row[0] == 0 and row.sum() == pytest.approx(1, abs=32 * EPS)
    assert shares(np.zeros((1, 3)), np.ones(3)).tolist() == [[0, 0, 0]]


@given(attributes=structures(), data=st.data())
def test_the_index_is_one_for_attributes_alone_and_zero_for_the_etf(attributes, data):
    kept = data.draw(st.sampled_from(attributes.ancestral_sets[1:]))
    labels = attributes.named(kept)
    semantic = attributes.semantic_strata(labels)
    m = np.array([float(x) for x in attributes.multiplicities.values()])
    names = attributes.keep(labels).names
    etf = shares(np.array([float(A in names) for A in attributes.names]), m)
    assert semantic_index(etf, attributes, labels) == pytest.approx(0, abs=64 * EPS)
    alone = shares(np.array([float(A in semantic) for A in attributes.names]), m)
    assert semantic_index(alone, attributes, labels) == pytest.approx(1 if semantic else 0, abs=64 * EPS)


def test_the_window_of_a_known_index():
    window = made([0.0, 0.2, 0.8, 0.6, 0.2, 0.0]).window()
    assert (window.peak, window.height) == (2.0, 0.8)
    assert window.onset == pytest.approx(4 / 3) and window.end == pytest.approx(3.5)  # straight lines through 0.4
    wrong = made([0.0, 0.3, 0.8, 0.6, 0.2, 0.0]).window()
    assert wrong.onset != pytest.approx(4 / 3) and wrong.end == window.end


def test_windows_that_are_open_or_missing():
    rising, falling = made([0.0, 0.1, 0.9]).window(), made([0.9, 0.1, 0.0]).window()
    assert rising.end == rising.peak == 2.0 and falling.onset == falling.peak == 0.0
    assert made([0.009, 0.0]).window() is None and made([0.02, 0.0]).window() is not None
    assert made([np.nan, np.nan]).window() is None
    assert made([-0.5, -0.2]).window() is None


def test_a_window_with_a_dip_ends_at_its_last_half():
    window = made([0.0, 1.0, 0.1, 0.9, 0.0], time=[0, 1, 2, 3, 5]).window()
    assert window.onset == 0.5 and window.end == pytest.approx(3 + 2 * 0.4 / 0.9)


def test_the_gram_of_modes_and_of_matrices_agree():
    model = UFM(CROSSED, feature_kernel=KERNEL, ridge="1/1200")
    t = [0.0, 3.0, 30.0]
    reduced, full = simulate(model, t, init=0.1), simulate(model, t, init=0.1, full=True)
    for time in (0.0, 4.0, 1e9):  # the nearest recorded time
        gram = reduced.gram(time)
        assert np.abs(gram - full.gram(time)).max() <= 2e-8 * np.abs(gram).max()  # twice the tolerance of h
    assert np.abs(reduced.gram(3.0) - reduced.gram(30.0)).max() > 1e-3
    for time in (np.nan, np.inf):
        with pytest.raises(InputError, match="^time: "):
            reduced.gram(time)


def test_rows_of_a_table_are_put_into_the_formulas_order():
    table = {"k": list("xyxy"), "g": list("prqs")}
    attributes = Attributes.from_table(table)
    rows = np.array([[ord(g)] for g in table["g"]])
    # k's values, then g's within each, in the order in which they first appear.
    assert in_formula_order(rows, attributes).ravel().tolist() == [ord(g) for g in "pqrs"]
    assert in_formula_order(rows.T, attributes, axis=1).ravel().tolist() == [ord(g) for g in "pqrs"]
    assert in_formula_order(rows, Attributes("k[2] / g[2]")) is rows


def test_a_store_keeps_everything(simulated, tmp_path):
    simulated.save(tmp_path / "run.zarr")
    again = Trajectory.load(tmp_path / "run.zarr")
    xr.testing.assert_identical(again.data, simulated.data.assign_attrs(kind="trajectory"))
    assert again.attributes == CROSSED and again.window() == simulated.window()
    assert again.data.attrs["seed"] == 5 and json.loads(again.data.attrs["versions"])["ufmflow"]
    assert UFM(**json.loads(again.data.attrs["model"])) == UFM(CROSSED, feature_kernel=KERNEL, ridge="1/1200")
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


def test_simulate_writes_what_it_returns(tmp_path):
    found = simulate(UFM(CROSSED), [0, 1.0], out=tmp_path / "run.zarr")
    xr.testing.assert_equal(Trajectory.load(tmp_path / "run.zarr").data, found.data)


def test_an_existing_path_is_refused_and_untouched(simulated, tmp_path):
    for name in ("file", "folder"):
        path = tmp_path / name
        path.write_text("mine") if name == "file" else path.mkdir()
        with pytest.raises(InputError, match="^path: .* exists; remove it"):
            simulated.save(path)
    assert (tmp_path / "file").read_text() == "mine" and not list((tmp_path / "folder").iterdir())
    with pytest.raises(InputError, match="^path: the folder .* does not exist"):
        simulated.save(tmp_path / "no" / "run.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_an_interrupted_save_leaves_nothing(simulated, tmp_path, monkeypatch):
    def interrupted(self, path, **options):
        os.makedirs(path)
        (tmp_path / path / "half").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.Dataset, "to_zarr", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulated.save(tmp_path / "run.zarr")
    assert not list(tmp_path.iterdir())


def emptied(store):
    for path in store.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")



def another_kind(store):
    xr.Dataset({"h": 1.0}).to_zarr(store, mode="w", zarr_format=2)


def metadata(edit):
    """Damage in the metadata, of which zarr keeps two copies."""

    def damage(store):
        for path in (store / ".zmetadata", store / ".zattrs"):
            path.write_text(edit(path.read_text()))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        emptied,
        shutil.rmtree,
        another_kind,
        metadata(lambda text: text[: len(text) // 2]),
        metadata(lambda text: text.replace('"formula": "color', '"formula": "shape[5] * color')),
        metadata(lambda text: text.replace('"formula": "color', '"formula": "1color')),
        metadata(lambda text: text.replace('"kind": "trajectory"', '"kind": "poem"')),
        metadata(lambda text: text.replace('"formula"', '"formulae"')),
        metadata(lambda text: text.replace("semantic_index", "semantic_indices")),
        lambda store: [path.write_bytes(b"x") for path in (store / "h").iterdir() if not path.name.startswith(".")],
    ],
)
def test_damaged_stores_are_named(simulated, tmp_path, damage):
    path = tmp_path / "run.zarr"
    simulated.save(path)
    damage(path)
    with pytest.raises(InputError, match="^(path: |formula )") as caught:
        Trajectory.load(path)
    assert "\n" not in str(caught.value)


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "run.zarr").write_text("text")
    with pytest.raises(InputError, match="^path: .* is no zarr store"):
        Trajectory.load(tmp_path / "run.zarr")


def test_a_tables_order_does_not_disturb_a_full_trajectory():
    """The arrays of a trajectory are in the formula's order, so the Gram of a full run is the reduced one's."""
    table = {"a": list("yxyxyx"), "b": list("prqprq")}
    attributes = Attributes.from_table(table)
    model = UFM(attributes, feature_kernel={"a": 3, "b": 1, "a:b": 0.2}, ridge=0.01)
    full, reduced = (simulate(model, [0.0, 30.0], init=0.1, full=full) for full in (True, False))
    H = full.data["H"].values[-1]
    np.testing.assert_array_equal(full.gram(30.0), H @ H.T)
    np.testing.assert_allclose(full.gram(30.0), reduced.gram(30.0), atol=1e-7)  # 1e-8 in h, entries of a few units
    moved = in_formula_order(H, attributes)
    assert np.abs(moved @ moved.T - reduced.gram(30.0)).max() > 1e-2
