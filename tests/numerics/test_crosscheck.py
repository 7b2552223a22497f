"""The shipped runs of trained networks, held to forecasts from their initialisation: the numbers that must be met."""

import dataclasses
import json

import numpy as np
import pytest

from ufmflow.numerics.crosscheck import compare, crosscheck
from ufmflow.numerics.simulate import simulate
from ufmflow.numerics.trajectory import Trajectory
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM

# Largest share_rmse_mean and loss_log_ratio_median of each forecast that is held to the run: ten to fifty percent above
# what was found.
FLOW_LIMITS = {"modes": (0.022, 0.03), "flow": (0.012, 0.02), "flow_deep": (0.006, 0.012)}


@pytest.mark.parametrize("level", FLOW_LIMITS)
def test_small_steps_are_forecast_by_the_flow(flow_check, level):
    found = flow_check.forecasts[level]
    assert found.share_rmse_mean <= FLOW_LIMITS[level][0]
    assert found.loss_log_ratio_median <= FLOW_LIMITS[level][1]


def test_large_steps_are_forecast_by_the_map(large_step_check):
    found = large_step_check.forecasts["map"]
    assert found.share_rmse_mean <= 0.015 and found.loss_log_ratio_median <= 0.03
    for level in ("flow", "flow_deep"):  # control: the flow does not know of the steps
        assert large_step_check.forecasts[level].share_rmse_mean > 0.04


def test_the_designated_forecasts_are_confirmed(flow_check, large_step_check):
    assert (flow_check.designated, large_step_check.designated) == ("flow_deep", "map")
    for check in (flow_check, large_step_check):
        assert check.confirmed and check.verdict.startswith("confirmed: the forecast " + check.designated)
        assert set(check.forecasts) == {"modes", "flow", "map", "flow_deep", "map_deep"}


def test_baselines_are_far_off(flow_check):
    assert flow_check.baseline_etf == pytest.approx(0.227, abs=0.001)
    assert flow_check.baseline_frozen == pytest.approx(0.142, abs=0.001)
    assert flow_check.best_baseline == flow_check.baseline_frozen


def test_baselines_are_what_they_say(flow_check):
    run = flow_check.run
    etf = np.array([3.0, 5.0, 15.0]) / 23
    for baseline, shares in ((flow_check.baseline_etf, etf), (flow_check.baseline_frozen, run.shares()[0])):
        by_time = [np.sqrt(sum((o - s) ** 2 for o, s in zip(row, shares, strict=True)) / 3) for row in run.shares()]
        assert baseline == pytest.approx(sum(by_time) / len(by_time), rel=1e-12)


def test_errors_are_what_they_say(flow_check):
    run, held = flow_check.run, flow_check.trajectories["flow"]
    found = flow_check.forecasts["flow"]
    differences = [
        [float(held.data["share_H"][t, A]) - float(run.data["share_H"][t, A]) for A in (1, 2, 3)]
        for t in range(len(run.time))
    ]
    rmse = [np.sqrt(sum(x**2 for x in row) / 3) for row in differences]
    assert found.share_rmse_mean == pytest.approx(np.mean(rmse), rel=1e-12)
    assert found.share_rmse_max == pytest.approx(max(rmse), rel=1e-12)
    ratios = sorted(abs(np.log(float(a) / float(b))) for a, b in zip(held.data["loss"], run.data["loss"], strict=True))
    middle = len(ratios) // 2
    assert found.loss_log_ratio_median == pytest.approx(np.mean([ratios[middle], ratios[-1 - middle]]), rel=1e-9)
    assert found.loss_ratio == pytest.approx(np.exp(found.loss_log_ratio_median))


def test_a_perfect_forecast_has_no_error_and_a_poor_one_is_not_confirmed(flow_check):
    run = flow_check.run
    perfect = crosscheck(run, Trajectory(run.data))
    assert perfect.confirmed and perfect.designated == "given" and perfect.departs_at is None
    assert perfect.forecasts["given"].share_rmse_max == perfect.forecasts["given"].loss_log_ratio_median == 0

    plain = crosscheck(run, simulate(UFM(run.attributes, constraint="normalized", width=64), run.time))
    assert not plain.confirmed and plain.verdict.startswith("not confirmed") and plain.departs_at == run.time[0]
    assert plain.forecasts["given"].share_rmse_mean == pytest.approx(plain.baseline_etf, rel=1e-6)  # always the ETF


def test_the_verdict_follows_the_tolerances(flow_check):
    held = flow_check.forecasts["flow_deep"]
    shares, loss = held.share_rmse_mean, held.loss_log_ratio_median
    just = dataclasses.replace(flow_check, share_tolerance=shares, loss_tolerance=loss)
    assert just.confirmed
    assert not dataclasses.replace(just, share_tolerance=0.999 * shares).confirmed
    assert not dataclasses.replace(just, loss_tolerance=0.999 * loss).confirmed
    # A tolerance that a baseline meets confirms nothing.
    assert not dataclasses.replace(flow_check, share_tolerance=1.0, baseline_frozen=0.9 * shares).confirmed


def test_departure_is_the_first_time_beyond_the_tolerance(large_step_check):
    errors = large_step_check.forecasts["map"].share_rmse
    beyond = [t for t, error in zip(large_step_check.run.time, errors, strict=True) if error > 0.02]
    assert large_step_check.share_tolerance == 0.02 and large_step_check.departs_at == beyond[0]


def test_windows_agree(flow_check):
    observed, forecast = flow_check.windows["observed"], flow_check.windows["forecast"]
    assert observed == flow_check.run.window() and forecast.peak == observed.peak
    assert forecast.end == pytest.approx(observed.end, rel=0.1)
    assert forecast.height == pytest.approx(observed.height, abs=0.02)


def test_plain_data_survives_json(flow_check):
    written = json.loads(json.dumps(flow_check.to_dict(), allow_nan=False))
    for level in ("modes", "flow", "map", "flow_deep", "map_deep"):
        assert written["forecasts"][level] == flow_check.forecasts[level].summary()
    held = written["forecasts"]["flow_deep"]
    assert {name: written[name] for name in held} == held
    assert written["designated"] == "flow_deep" and written["verdict"] == flow_check.verdict
    assert written["baseline_etf_share_rmse_mean"] == flow_check.baseline_etf and written["confirmed"] is True
    assert written["kernel_residual"] == pytest.approx(0.095, abs=0.001)
    assert set(written["residuals"]) == {"a0", "a1", "a0:a1"}
    assert written["window"]["observed"]["peak_step"] == pytest.approx(flow_check.run.window().peak / 0.005)


@pytest.mark.parametrize("name", ["share_tolerance", "loss_tolerance"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_bad_tolerances_are_named(flow_check, name, value):
    with pytest.raises(InputError, match=f"^{name}: "):
        crosscheck(flow_check.run, Trajectory(flow_check.run.data), **{name: value})


def test_trajectories_of_other_times_or_strata_are_named(flow_check):
    run = flow_check.run
    for t in (run.time[:-1], run.time * 1.01):
        with pytest.raises(InputError, match="^trajectory: its times are not the run's"):
            compare(run, simulate(UFM(run.attributes), t))
    with pytest.raises(InputError, match=r"^trajectory: it has a0\[4\] / a1\[6\], but the run has"):
        compare(run, simulate(UFM("a0[4] / a1[6]"), run.time))


def test_the_edge_of_stability_is_told(flow_check, large_step_check):
    """The shipped run with the tenfold step passes it; the other stays well below."""
    assert flow_check.edge is None and flow_check.step_curvature < 1
    assert "beyond the edge of stability at 2" in large_step_check.edge and large_step_check.edge in large_step_check.verdict
    assert large_step_check.to_dict()["step_curvature"] == large_step_check.step_curvature > 2
