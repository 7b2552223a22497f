"""Figures draw the data they are named for, on log time, and leave matplotlib as it was."""

import matplotlib
import matplotlib.collections
import matplotlib.pyplot as plt
import numpy as np
import pytest

from ufmflow.numerics.figure_files import write_figure
from ufmflow.numerics.gram_plots import SIMILARITY, block_borders, block_means, sorted_contexts
from ufmflow.numerics.pages import svg_of
from ufmflow.numerics.plots import centred_cosine, log_spaced, recorded_times
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
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


@pytest.mark.parametrize(
    "formula, by, names",
    [
        ("color[3] * shape[4]", None, ["color", "shape"]),
        ("color[3] * shape[4]", "shape", ["shape", "color"]),
        ("kingdom[2] / genus[3] / species[2]", "genus", ["kingdom", "genus", "species"]),
        ("(a[2] / b[3]) * c[2]", ["c", "b"], ["c", "a", "b"]),
    ],
)
def test_contexts_are_sorted_into_blocks_with_lines_at_their_borders(formula, by, names):
    attributes = Attributes(formula)
    order, found = sorted_contexts(attributes, by)
    assert found == names and sorted(order) == list(range(len(order)))
    # Values of each attribute along the sorted contexts, by an independent count.
    sizes = attributes.shape
    values = {f.name: (np.arange(len(order)) // int(np.prod(sizes[i + 1 :]))) % sizes[i]
              for i, f in enumerate(attributes.factors)}  # fmt: skip
    changes = np.zeros(len(order), dtype=bool)
    for name, places in zip(names, block_borders(attributes, names), strict=False):
        along = values[name][order]
        new = np.flatnonzero(np.diff(along) != 0) + 1
        assert set(places) == {at for at in new if not changes[at]}
        changes[new] = True
    if by == "shape":
        assert block_borders(attributes, names)[0].tolist() == [3, 6, 9]  # not 4, 8, as between colours
    assert np.array_equal(order, np.arange(len(order))) == (names == [factor.name for factor in attributes.factors])


def test_a_gram_sorted_by_an_attribute_has_its_blocks(trajectories):
    trajectory, _ = trajectories
    peak = trajectory.window().peak
    _, axes = trajectory.plot.gram(times=[peak], by="shape")
    shown = axes[0, 0].get_images()[0].get_array()
    cosine = centred_cosine(trajectory.gram(peak))
    for i in range(12):
        for j in range(12):  # place i holds shape i // 3 of colour i % 3
            assert shown[i, j] == cosine[4 * (i % 3) + i // 3, 4 * (j % 3) + j // 3]
    lines = sorted(line.get_xdata()[0] for line in axes[0, 0].get_lines() if line.get_xdata()[0] == line.get_xdata()[1])
    assert lines == [2.5, 5.5, 8.5]
    with pytest.raises(InputError, match="by: 'size' is no attribute of .*; choose among color, shape"):
        trajectory.plot.gram(by="size")


def test_large_matrices_are_means_of_blocks():
    matrix = normal(1, 10, 10)
    small = block_means(matrix, 4)
    assert small.shape == (4, 4) and block_means(matrix, 10) is matrix
    assert small[0, 3] == pytest.approx(matrix[:2, 8:].mean())
    trajectory = simulate(UFM("a[20] * b[20]"), [1.0])
    _, axes = trajectory.plot.gram()
    assert axes[0, 0].get_images()[0].get_array().shape == (256, 256)
    lines = axes[0, 0].get_lines()
    assert len(lines) == 2 * 19 and max(line.get_ydata()[0] for line in lines) == pytest.approx(256 * 19 / 20 - 0.5)
    with pytest.raises(InputError, match="10000 contexts; a Gram matrix is drawn for at most 4096"):
        simulate(UFM("a[100] * b[100]"), [1.0]).plot.gram()


def lightness(color) -> float:
    """L* of an RGB colour, what greyscale print keeps."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    Y = float(np.dot([0.2126, 0.7152, 0.0722], linear))
    return 116 * np.cbrt(Y) - 16 if Y > 0.008856 else 903.3 * Y


def falls(cmap) -> bool:
    """Whether lightness falls all the way, by steps that the eye can tell."""
    shades = np.array([lightness(cmap(x)) for x in np.linspace(0, 1, 21)])
    return bool(np.all(np.diff(shades) < -0.5))


def test_signs_of_a_gram_survive_greyscale_print():
    assert falls(SIMILARITY)
    assert not falls(matplotlib.colormaps["RdBu_r"])  # both its ends are dark
    assert lightness(SIMILARITY(0.0)) > 93 and lightness(SIMILARITY(1.0)) < 20


def test_several_observed_runs_are_a_band_with_their_mean(trajectories):
    trajectory, observed = trajectories
    _, ax = trajectory.plot.shares([trajectory, observed])
    bands = [patch for patch in ax.collections if isinstance(patch, matplotlib.collections.PolyCollection)]
    assert len(bands) == 3
    time = trajectory.time
    for i, (A, band) in enumerate(zip(("color", "shape", "color:shape"), bands, strict=True)):
        both = np.stack([one.data["share_H"].sel(stratum=A).values for one in trajectories])
        corners = band.get_paths()[0].vertices
        for at, low, high in zip(time, both.min(axis=0), both.max(axis=0), strict=True):
            here = corners[np.isclose(corners[:, 0], at), 1]
            assert here.min() == pytest.approx(low) and here.max() == pytest.approx(high)
        np.testing.assert_allclose(lines(ax)[2 * i + 1].get_ydata(), both.mean(axis=0))
    assert "dots: mean of 2 observed" in ax.get_legend().get_title().get_text()
    assert not trajectory.plot.shares([observed])[1].collections  # one run has no band
    short = simulate(UFM("color[3] * shape[4]", feature_kernel=KERNEL), [1.0, 5.0, 50.0])
    _, ax = trajectory.plot.loss([observed, short])  # as far as both go
    assert lines(ax)[1].get_xdata().max() <= 50
    with pytest.raises(InputError, match="give runs of one structure"):
        trajectory.plot.shares(simulate(UFM("color[3]"), [1.0]))


def test_the_window_is_marked_on_its_index(trajectories):
    trajectory, _ = trajectories
    window = trajectory.window()
    _, ax = trajectory.plot.window()
    marks = {line.get_marker(): line.get_xydata()[0].tolist() for line in ax.get_lines() if len(line.get_xdata()) == 1}
    assert marks == {
        ">": [window.onset, window.height / 2], "^": [window.peak, window.height], "<": [window.end, window.height / 2],
    }  # fmt: skip
    assert [text.get_text() for text in ax.texts] == ["onset", "peak", "end"]
    np.testing.assert_array_equal(lines(ax)[0].get_ydata(), trajectory.data["semantic_index"])
    assert not simulate(UFM("color[3] * shape[4]"), 10.0).plot.window()[1].texts


def test_panels_show_four_quantities_over_one_time(trajectories):
    trajectory, observed = trajectories
    fig, axes = trajectory.plot.panels(observed)
    assert axes.shape == (2, 2) and [ax.get_ylabel().split()[0] for ax in axes.flat] == [
        "share", "semantic", "singular", "loss",
    ]  # fmt: skip
    assert len({ax.get_xlim() for ax in axes.flat}) == 1
    with pytest.raises(InputError, match="letter: 'q' has no singular values; choose w, h or z"):
        trajectory.plot.singular_values("q")


def test_equal_figures_are_equal_files(trajectories, tmp_path):
    trajectory, observed = trajectories

    def written(name, source):
        return write_figure(source.plot.window()[0], tmp_path / name).read_bytes()

    assert written("a.svg", trajectory) == written("b.svg", trajectory) != written("c.svg", observed)
    assert svg_of(trajectory.plot.gram()[0]) == svg_of(trajectory.plot.gram()[0]) != svg_of(observed.plot.gram()[0])


def test_times_are_recorded_ones_each_once():
    recorded = np.array([0.0, 1, 3, 10])
    assert recorded_times(recorded, None, 5).tolist() == [0, 1, 3, 10]
    assert recorded_times(recorded, None, 3).tolist() == [1, 3, 10]
    assert recorded_times(recorded, [9, 11, 2.9, 0], 5).tolist() == [0, 3, 10]
    assert recorded_times(np.array([0.0]), None, 5).tolist() == [0]
    with pytest.raises(InputError, match="no finite times"):
        recorded_times(recorded, [np.inf], 5)


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
