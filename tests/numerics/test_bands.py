"""Forecasts held to several seeds: bands, verdicts, and their pages; and to the rest of a run from its checkpoints."""

import dataclasses
import json

import numpy as np
import pytest

from ufmflow.numerics.bands import Band, crosscheck_many, gather, window_ratios
from ufmflow.numerics.bands_report import plot_bands, write_bands, write_horizon
from ufmflow.numerics.crosscheck import compare, crosscheck
from ufmflow.numerics.horizon import horizon
from ufmflow.numerics.observe import observe
from ufmflow.numerics.runs import Run, example_run, load_run
from ufmflow.numerics.trajectory import Trajectory
from ufmflow.theory.errors import InputError

from .test_report import Elements, outside_references

# Wide enough that the kernel lies in the algebra (residual 0.1), small enough for half a second a run.
SMALL = {"formula": "color[2] * shape[3]", "width": 64, "features": 16, "steps": 1500, "lr": 0.05, "snapshots": 24}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    train = pytest.importorskip("ufmflow.numerics.train", exc_type=InputError)
    folder = tmp_path_factory.mktemp("runs")
    return [load_run(path) for path in train.train_seeds("objects", folder / "tiny", [0, 1, 2], kernels=5, **SMALL)]


@pytest.fixture(scope="module")
def bands(runs):
    seen = []
    found = crosscheck_many(runs, progress=lambda done, total: seen.append(done / total), gates=False)
    assert seen == sorted(seen) and seen[-1] == 1
    return found


@pytest.fixture(scope="module")
def aged(runs):
    return horizon(runs[0], gates=False)


def permuted(run):
    """The same training with the attributes of its contexts shuffled: observed strata are no longer the forecast's."""
    order = np.random.default_rng(0).permutation(run.data.sizes["context"])
    H, W = run.data["H"].values[:, order], run.data["W"].values
    return changed(run, share_H=observe(H, W, np.arange(len(order)), run.attributes, run.time).data["share_H"].values)


def renamed(run, name, **meta):
    return Run(run.data.assign_attrs(name=name, meta=json.dumps(run.meta | meta)))


def changed(run, **variables):
    other = run.data.copy()
    for name, values in variables.items():
        other[name] = (run.data[name].dims, values)
    return Run(other)


def test_bands_are_mean_least_and_largest(bands, runs):
    assert crosscheck(runs[2], gates=False).to_dict() == bands.checks[2].to_dict()
    for level in (None, "map", "modes"):
        alone = [check.forecasts[level or check.designated].summary() for check in bands.checks]
        for name in alone[0]:
            band, values = bands.bands(level)[name], [row[name] for row in alone]
            # The mean of three numbers, summed in another order: a few units in the last place.
            assert band.mean == pytest.approx(sum(values) / 3, rel=1e-14)
            assert (band.min, band.max, band.seeds) == (min(values), max(values), 3)
    assert Band.of([None, None]) is None


def test_seeds_are_confirmed_in_the_mean(bands):
    assert bands.confirmed and bands.verdict.startswith("confirmed: in the mean over 3 runs")
    shares, loss, baseline = bands.mean_errors
    just = dataclasses.replace(bands, share_tolerance=shares, loss_tolerance=loss)
    assert just.confirmed and shares < baseline
    assert not dataclasses.replace(just, share_tolerance=0.999 * shares).confirmed
    assert not dataclasses.replace(just, loss_tolerance=0.999 * loss).confirmed
    # One seed beyond its tolerance neither decides nor hides.
    largest = bands.bands()["share_rmse_mean"].max
    assert shares < largest and "3 of 3 are confirmed by themselves" in bands.verdict


def test_permuted_strata_are_not_confirmed(bands):
    wrong = []
    for check in bands.checks:
        held = compare(permuted(check.run), check.trajectories[check.designated])
        wrong.append(dataclasses.replace(check, forecasts={check.designated: held}))
    assert not gather(wrong).confirmed and gather(wrong).verdict.startswith("not confirmed")
    assert gather(bands.checks).confirmed


def test_a_run_that_cannot_be_forecast_is_a_failure_and_stays_visible(runs, tmp_path):
    kernel = runs[1].data["kernel_init"].values
    one_pair = np.array([1.0, -1, 0, 0, 0, 0])  # sqrt(3)/2 of its square's norm lies outside the algebra
    shuffled = changed(runs[1], kernel_init=kernel + 100 * np.outer(one_pair, one_pair))
    found = crosscheck_many([runs[0], shuffled], gates=False)
    assert len(found.checks) == 1 and "outside the algebra" in found.failures[0].reason
    assert not found.confirmed and "1 could not be forecast: tiny-seed1" in found.verdict
    page = write_bands(found, tmp_path).read_text()
    assert "outside the algebra" in page and "not forecast" in page
    with pytest.raises(InputError, match="^kernel: "):  # none can be forecast
        crosscheck_many([shuffled], gates=False)


def test_window_ratios_are_of_borders_inside_the_record(runs, bands):
    run = runs[0]
    stretched = Run(run.data.assign_coords(time=2 * run.time))
    assert window_ratios(stretched, run) == {"onset_ratio": None, "peak_ratio": 2.0, "end_ratio": 2.0}
    cut = Run(run.data.isel(time=slice(None, 12)))
    assert cut.window().end == cut.time[-1] and window_ratios(cut, run)["end_ratio"] is None
    assert {row["onset_ratio"] for row in bands.measures()} == {None}  # semantic from the first step on


def test_plain_data_survives_json(bands):
    written = json.loads(json.dumps(bands.to_dict(), allow_nan=False))
    assert [run["run"] for run in written["runs"]] == ["tiny-seed0", "tiny-seed1", "tiny-seed2"]
    assert set(written["levels"]) == set(bands.levels) == {"modes", "flow", "map", "flow_deep", "map_deep"}
    map_ = written["levels"]["map"]
    assert map_["share_rmse_mean"]["max"] == max(row["share_rmse_mean"] for row in map_["by_run"])
    assert written["verdict"] == bands.verdict and written["differences"] == [] and written["failures"] == []
    assert written["designated"]["levels"] == [check.designated for check in bands.checks]


def test_shares_of_other_times_are_interpolated(bands):
    time, observed, forecast = bands.shares()
    assert np.array_equal(observed[1], bands.checks[1].run.shares()) and observed.shape == forecast.shape
    check = bands.checks[1]
    sparse = Run(check.run.data.isel(time=slice(None, None, 2)))
    mixed = gather([bands.checks[0], crosscheck(sparse, Trajectory(sparse.data))])
    time, observed, _ = mixed.shares()
    assert time[-1] <= sparse.time[-1]
    shared = np.isin(time, sparse.time)
    assert shared.sum() > 5
    assert np.allclose(observed[1][shared], check.run.shares()[np.isin(check.run.time, time[shared])], atol=1e-12)


def test_runs_of_other_settings_are_told(bands):
    first, second = bands.checks[:2]
    other = dataclasses.replace(second, run=renamed(second.run, "other", lr=0.1, seed=7))
    assert gather([first, other]).differences == ("lr",)


def test_runs_that_have_no_common_band_are_refused(runs):
    with pytest.raises(InputError, match="^runs: there is none"):
        crosscheck_many([])
    with pytest.raises(
        InputError, match=r"^runs: tiny-seed0 has color\[2\] \* shape\[3\], but crossed_4x6_mlp_flow has"
    ):
        crosscheck_many([runs[0], example_run()])
    with pytest.raises(InputError, match="^runs: tiny-seed0 and copy are the same run"):
        crosscheck_many([runs[0], renamed(runs[0], "copy")])


def test_bad_records_are_named(runs):
    run = runs[0]
    loss = run.data["loss"].values.copy()
    loss[3] = np.nan
    bad = {
        "^run: tiny-seed0 has a single recorded time": Run(run.data.isel(time=[0])),
        "^run: the recorded steps of tiny-seed0 are not increasing": Run(run.data.isel(time=[0, 2, 1])),
        f"^loss: NaN, infinity or a negative number at step {run.data['step'].values[3]}": changed(run, loss=loss),
        "^feature_norm: the run tiny-seed0 has none; forecasts cover networks that end in a norm": Run(
            run.data.drop_vars("feature_norm")
        ),
    }
    for sentence, broken in bad.items():
        with pytest.raises(InputError, match=sentence):
            crosscheck(broken)
    with pytest.raises(InputError, match="^trajectory: its loss hold NaN"):
        crosscheck(run, changed(run, loss=loss))


def test_a_run_too_short_for_its_window_says_so(runs, bands):
    assert bands.checks[0].too_short is None and "recorded step" not in bands.checks[0].verdict
    run = runs[0]
    peak = int(np.argmax(run.data["semantic_index"].values))
    cut = Run(run.data.isel(time=slice(None, peak + 2)))
    still_open = crosscheck(cut, Trajectory(cut.data))
    assert "window is still open at the last recorded step" in still_open.verdict
    cut = Run(run.data.isel(time=slice(None, peak + 1)))
    rising = crosscheck(cut, Trajectory(cut.data))
    assert "still rises at the last recorded step" in rising.verdict
    assert "too short to show the whole semantic window: tiny-seed0" in gather([still_open]).verdict


def test_the_pages_are_whole(bands, aged, tmp_path):
    pages = [write_bands(bands, tmp_path / "bands"), write_horizon(aged, tmp_path / "horizon")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        elements = Elements(text)
        assert elements.open == [] and "{{" not in text and "None" not in elements.text
        assert [x for x in outside_references(text) if not x.endswith("/index.html")] == []
    for name in ("tiny-seed0", "tiny-seed1", "tiny-seed2"):
        assert (tmp_path / "bands" / name / "index.html").exists()
        assert f'href="{name}/index.html"' in pages[0].read_text()
    assert f"{bands.bands()['share_rmse_mean'].mean:.4f}" in pages[0].read_text()


def test_the_figure_spans_the_runs(bands):
    import matplotlib.pyplot as plt

    fig, axes = plot_bands(bands)
    observed = bands.shares()[1]
    for i, (ax, name) in enumerate(zip(axes.flat, ("color", "shape", "color:shape"), strict=True)):
        assert ax.get_title() == name
        corners = ax.collections[0].get_paths()[0].vertices
        assert corners[:, 1].max() == pytest.approx(observed[:, :, i].max())
        assert corners[:, 1].min() == pytest.approx(observed[:, :, i].min())
    plt.close(fig)


def test_a_run_from_a_checkpoint_starts_there(runs):
    run = runs[0]
    step = run.checkpoints()[2]
    rest = run.since(step)
    first = run.data["step"].values.tolist().index(step)
    assert rest.time[0] == 0 and np.allclose(rest.time, run.time[first:] - run.time[first])
    assert rest.data["step"].values[0] == rest.meta["from_step"] == step
    assert np.array_equal(rest.data["kernel_init"].values, run.data["kernel"].sel(kernel_step=step).values)
    assert not np.array_equal(rest.data["kernel_init"].values, run.data["kernel_init"].values)
    assert np.array_equal(rest.since(run.checkpoints()[3]).time, run.since(run.checkpoints()[3]).time)
    assert "from_step" not in run.meta and crosscheck(rest, gates=False).to_dict()["from_step"] == step


def test_steps_without_a_kernel_are_named(runs):
    known = ", ".join(map(str, runs[0].checkpoints()))
    for step in (3, -1, int(runs[0].data["step"].values[-1])):
        with pytest.raises(InputError, match=f"no kernel at step {step} .* choose one of {known}"):
            runs[0].since(step)
    with pytest.raises(
        InputError, match="^step: .* has no kernel at step 1 with more recorded after it; choose one of 0"
    ):
        example_run().since(1)
    # A run that was recorded from a later step on has its first kernel nowhere in the record.
    late = Run(example_run().data.isel(time=slice(3, None)))
    assert late.checkpoints() == ()
    with pytest.raises(InputError, match="train with --kernels"):
        late.since(0)


def test_a_fresh_kernel_forecasts_better_than_an_aged_one(runs, aged):
    """The kernel's motion is what the forecast misses: started anew, it is right where the old kernel is not."""
    rows = aged.rows()
    assert [row["from_step"] for row in rows] == list(runs[0].checkpoints())
    assert rows[-1]["share_rmse_mean"] < 0.1 * rows[0]["share_rmse_mean"]
    rest = runs[0].since(rows[-2]["from_step"])
    stale = Run(rest.data.assign(kernel_init=runs[0].data["kernel_init"]))
    old = crosscheck(stale, gates=False)
    assert (
        old.forecasts["flow"].share_rmse_mean
        > 1.5 * aged.checks[rows[-2]["from_step"]].forecasts["flow"].share_rmse_mean
    )
    with pytest.raises(InputError, match="has its kernel at 1 of its steps"):
        horizon(example_run())


def test_steps_follow_a_schedule(tmp_path):
    train = pytest.importorskip("ufmflow.numerics.train", exc_type=InputError)
    options = {**SMALL, "steps": 600, "schedule": "cosine", "warmup": 50}
    run = load_run(train.train("objects", tmp_path / "cosine", **options))
    check = crosscheck(run, gates=False)
    found, steps = check.to_dict()["window"]["observed"], run.data["step"].values
    at = int(np.argmin(np.abs(run.time - found["peak"])))
    assert found["peak_step"] == steps[at]  # a peak lies at a recorded time
    assert abs(found["peak"] / run.lr - steps[at]) > 1  # what one rate would give is another step
    assert steps[0] <= found["end_step"] <= steps[-1]
