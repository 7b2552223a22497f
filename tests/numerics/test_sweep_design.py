"""Which runs a sweep has: grids, random designs, parts of tables, and designs that are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ufmflow.numerics.sweep_axes import grid_axis, random_axis
from ufmflow.numerics.sweep_design import Design
from ufmflow.theory.errors import InputError

MODEL = {"attributes": "color[4] * shape[6]", "kernel": {"color": 1, "shape": 1, "residual": 0.1}, "ridge": 1e-3}


def design(grid=None, random=None, model=MODEL, simulate=None, **sweep):
    tables = {name: table for name, table in (("grid", grid), ("random", random)) if table is not None}
    return Design.of({"model": model, "simulate": simulate or {"t": 10.0}, "sweep": {**tables, **sweep}})


def random_table(values, method="latin_hypercube", count=64, seed=0):
    return {"method": method, "count": count, "seed": seed, "values": values}


def test_a_grid_is_every_combination_once_the_last_dimension_fastest():
    found = design({"ridge": [0, 1e-3], "init": {"from": 1e-4, "to": 1e-2, "count": 3, "scale": "log"}})
    pairs = [tuple(found.values(run).values()) for run in range(found.runs)]
    assert pairs == [(r, x) for r in (0, 1e-3) for x in (1e-4, 1e-3, 1e-2)]


def test_what_changes_the_equations_varies_slowest():
    found = design({"ridge": [0, 1e-3], "loss": ["mse", "cross_entropy"]})
    assert list(found.shape) == ["loss", "ridge"]


@given(st.integers(1, 400), st.integers(1, 50))
def test_chunks_are_a_partition_of_the_runs(runs, chunk):
    found = design({"seed": list(range(runs))}, chunk=chunk)
    assert [run for index in range(found.chunks) for run in found.of_chunk(index)] == list(range(runs))


@pytest.mark.parametrize("method", ["latin_hypercube", "sobol", "uniform"])
def test_random_points_fill_their_ranges_and_only_them(method):
    values = {"ridge": {"from": 1e-4, "to": 1e-2, "scale": "log"}, "width": {"from": 3, "to": 6}, "loss": ["mse", "x"]}
    columns = random_axis(random_table(values, method, count=128)).columns
    u = np.log(np.array(columns["ridge"]) / 1e-4) / np.log(100)
    assert 0 <= u.min() < 0.1 < 0.9 < u.max() <= 1
    assert set(columns["width"]) == {3, 4, 5, 6} and set(columns["loss"]) == {"mse", "x"}
    # A latin hypercube and Sobol points have as many points in each half; independent points do not.
    assert (int((u < 0.5).sum()) == 64) == (method != "uniform")


def test_random_designs_are_their_seed_s():
    values = {"ridge": {"from": 0, "to": 1}}
    first, again, other = (design(random=random_table(values, seed=seed)) for seed in (1, 1, 2))
    assert first.axes == again.axes and first.digest == again.digest
    assert first.axes != other.axes and first.digest != other.digest


def test_random_points_are_crossed_with_the_grid():
    found = design({"ridge": [0, 1]}, random_table({"init": {"from": 1, "to": 2}}, count=5))
    assert found.shape == {"ridge": 2, "sample": 5}
    assert [found.values(run)["init"] for run in range(5)] == [found.values(run)["init"] for run in range(5, 10)]


def test_several_parameters_take_one_value_and_parts_of_tables_are_reached():
    found = design({"kernel.color, kernel.shape": [2.0, 3.0], "ridge.W": [0.5], "init.color": [7.0]})
    model, arguments = found.member(found.values(1))
    # The embedding kernel's eigenvalue on a main effect is residual + weight V / n.
    assert [float(model.feature_kernel[A]) for A in ("color", "shape")] == pytest.approx([0.1 + 3 * 6, 0.1 + 3 * 4])
    assert [float(x) for x in model.ridge] == [0.5, 1e-3]
    assert arguments["init"] == {"1": 1e-3, "color": 7.0, "shape": 1e-3, "color:shape": 1e-3}


def test_the_resolved_configuration_is_the_same_design():
    found = design(
        {"width": [30, 40], "ridge": {"from": 1e-3, "to": 1, "count": 2}},
        random_table({"init": {"from": 1e-4, "to": 1e-2, "scale": "log"}}, "sobol", 8),
        keep=[1.0, 10.0],
    )
    again = Design.of(found.config())
    assert again == found and again.digest == found.digest


def test_every_setting_is_in_the_hash():
    grid = {"ridge": [0, 1]}
    base = design(grid).digest
    others = [
        design({"ridge": [1, 0]}), design({"ridge": [0, 2]}), design(grid, simulate={"t": 11.0}),
        design(grid, model={**MODEL, "loss": "mse"}), design(grid, chunk=3), design(grid, keep=[1.0]),
    ]  # fmt: skip
    assert len({base, *(other.digest for other in others)}) == 7


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"grid": {"rigde": [1]}}, "no parameter 'rigde'"),
        ({"grid": {"ridge.X": [1]}}, "its parts are ridge.W and ridge.H"),
        ({"grid": {"ridge": []}}, "no list of values and no range"),
        ({"grid": {"ridge": [1, 1]}}, "twice"),
        ({"grid": {"ridge": [1], "ridge.W": [1], "init": [1], "init ": [2]}}, "varies 'init' twice"),
        ({"grid": {"ridge": {"from": 1, "to": 2}}}, "count None"),
        ({"grid": {"ridge": {"from": 2, "to": 1, "count": 3}}}, "from 2 to 1 is no range"),
        ({"grid": {"ridge": {"from": 0, "to": 1, "count": 3, "scale": "log"}}}, "both above 0"),
        ({"grid": {"ridge": {"from": 1, "to": 2, "steps": 3}}}, "no key 'steps'"),
        ({"grid": {"ridge": [float("inf")]}}, "not finite"),
        ({"grid": {"width": [2.5]}}, "no whole number"),
        ({"grid": {"seed": [-1]}}, "no whole number"),
        ({"random": {"count": 3}}, "must be a table"),
        ({"random": random_table({})}, "is empty"),
        ({"random": random_table({"ridge": {"from": 1, "to": 2}}, method="halton")}, "'halton' is unknown"),
        ({"random": random_table({"ridge": {"from": 1, "to": 2}}, seed=-1)}, "seed -1"),
        ({"random": random_table({"ridge": {"from": 1, "to": 2}}, count=0)}, "count 0"),
        ({}, "neither grid nor random"),
        ({"grid": {"ridge": [1]}, "keep": [11.0]}, "after the end"),
        ({"grid": {"ridge": [1]}, "chunk": 0}, "chunk: 0"),
        ({"grid": {"seed": {"from": 1, "to": 9, "count": 10**8}}}, "no whole number from 1 to 10000000"),
        ({"grids": {}}, "no key 'grids'"),
    ],
)
def test_bad_designs_are_refused_by_name(tables, message):
    with pytest.raises(InputError, match=message):
        Design.of({"model": MODEL, "simulate": {"t": 10.0}, "sweep": tables})


def test_certified_runs_have_no_sweep():
    with pytest.raises(InputError, match="certify has no sweep"):
        design({"ridge": [0, 1]}, simulate={"t": 1.0, "certify": True})


def test_ranges_hold_their_ends():
    assert grid_axis("ridge", {"from": 1e-3, "to": 1e3, "count": 7, "scale": "log"}).columns["ridge"] == pytest.approx(
        (1e-3, 1e-2, 1e-1, 1, 10, 100, 1e3)
    )
    assert grid_axis("width", {"from": 2, "to": 4, "count": 3}).columns["width"] == (2, 3, 4)
