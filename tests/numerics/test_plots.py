"""Figures draw the data they are named for, on log time, and leave matplotlib as it was."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from ufmflow.numerics.plots import centred_cosine, log_spaced
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.model import UFM

from .explicit import normal

KERNEL = {"1": 12, "color": 5, "shape": 4, "color:shape": 1}


@pytest.fixture(scope="module")
def trajectories():
    """A forecast, and another in the part of what was observed."""
    times = np.array([0.0, *np.geomspace(0.1, 1e4, 20)])
    models = (UFM("color[3] * shape[4]", feature_kernel=KERNEL, ridge=ridge) for ridge in ("1/1200", "1/800"))
    return tuple(simulate(model, times) for model in models)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def lines(ax) -> list:
    """Curves of the data; the window's peak is a vertical line of two points."""
    return [line for line in ax.get_lines() if len(line.get_xdata()) > 2]


def draws(found, trajectory, variable) -> bool:
    pairs = zip(found, trajectory.attributes.names[1:], strict=True)
    curves = [(line, trajectory.data[variable].sel(stratum=A)) for line, A in pairs]
    return all(np.array_equal(line.get_xydata(), np.stack([y["time"], y], axis=1)) for line, y in curves)


@pytest.mark.parametrize("variable", ["share_H", "w", "h", "z"])
def test_strata_are_drawn_over_time(trajectories, variable):
    trajectory, observed = trajectories

    def plot(observed=None):
        plots = trajectory.plot
        return plots.shares(observed) if variable == "share_H" else plots.singular_values(variable, observed)

    fig, ax = plot()
    assert isinstance(fig, plt.Figure) and ax.figure is fig
    assert draws(lines(ax), trajectory, variable) and not draws(lines(ax), observed, variable)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["color", "shape", "color:shape"]
    assert ax.get_xscale() == "symlog" and ax.get_xlabel().startswith("time (learning rate") and ax.get_ylabel()

    drawn = lines(plot(observed)[1])
    assert draws(drawn[::2], trajectory, variable) and draws(drawn[1::2], observed, variable)
    assert all(line.get_linestyle() != "None" for line in drawn[::2])
    assert all(dots.get_linestyle() == "None" and dots.get_color() == line.get_color()
               for line, dots in zip(drawn[::2], drawn[1::2], strict=True))  # fmt: skip


def test_the_loss_is_drawn_on_two_logarithmic_axes(trajectories):
    trajectory, observed = trajectories
    fig, ax = trajectory.plot.loss(observed)
    first, second = lines(ax)
    np.testing.assert_array_equal(first.get_ydata(), trajectory.data["loss"])
    np.testing.assert_array_equal(second.get_ydata(), observed.data["loss"])
    assert ax.get_yscale() == "log" and ax.figure is fig
    assert len(lines(trajectory.plot.loss()[1])) == 1


def test_the_window_is_shaded(trajectories):
    trajectory, _ = trajectories
    window = trajectory.window()
    _, ax = trajectory.plot.shares()
    spans = [patch for patch in ax.patches if patch.get_width() > 0]
    assert len(spans) == 1
    assert spans[0].get_x() == window.onset and spans[0].get_x() + spans[0].get_width() == pytest.approx(window.end)
    flat = simulate(UFM("color[3] * shape[4]"), 10.0)
    assert flat.window() is None and not flat.plot.shares()[1].patches


def test_an_axis_may_be_given(trajectories):
    fig, axes = plt.subplots(1, 2)
    found = trajectories[0].plot.shares(ax=axes[1])
    assert found == (fig, axes[1]) and lines(axes[1]) and not lines(axes[0])


def test_gram_matrices_are_drawn_at_their_times(trajectories):
    trajectory, observed = trajectories
    fig, axes = trajectory.plot.gram(observed=observed)
    assert axes.shape == (2, 5) and axes[0, 0].figure is fig
    times = log_spaced(trajectory.time, 5)
    for row, source in zip(axes, trajectories, strict=True):
        for ax, time in zip(row, times, strict=True):
            image = ax.get_images()[0]
            np.testing.assert_array_equal(image.get_array(), centred_cosine(source.gram(time)))
            assert image.get_clim() == (-1, 1) and len(ax.get_lines()) == 2 * 2  # between three values of color
    assert not np.allclose(axes[0, 1].get_images()[0].get_array(), axes[0, 4].get_images()[0].get_array())
    assert trajectory.plot.gram(times=[1.0, 10.0])[1].shape == (1, 2)


def test_the_centred_cosine_is_that_of_the_rows():
    H = normal(0, 6, 3)
    centred = H - H.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(centred_cosine(H @ H.T), unit @ unit.T, atol=1e-13)  # sums of six products
    np.testing.assert_allclose(centred_cosine(np.eye(4)), np.eye(4) * 4 / 3 - 1 / 3, atol=1e-15)
    assert not centred_cosine(np.ones((3, 3))).any()  # rows that are the mean have no direction


def test_log_spaced_times_are_recorded_ones():
    assert log_spaced(np.array([0.0, 1, 2, 9, 12, 95, 100]), 3).tolist() == [1, 9, 100]
    assert log_spaced(np.array([0.0, 3.0]), 2).tolist() == [3, 3]


def test_the_style_stays_within_the_figure(trajectories):
    before = matplotlib.rcParams.copy()
    trajectories[0].plot.shares()
    trajectories[0].plot.gram()
    assert matplotlib.rcParams == before
