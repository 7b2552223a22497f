"""The crossover's field against simulation, and its phases against the closed borders."""

import matplotlib
import numpy as np
import pytest

from ufmflow.numerics.crossover import crossover, lasting_border
from ufmflow.numerics.crossover_plots import crossover_figure
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import cooccurrence_targets
from ufmflow.theory.model import UFM

CROSSED = Attributes("color[3] * shape[4]")


@pytest.mark.parametrize("eps, kappa, ridge", [(0.0, 4.0, 0.0), (0.5, 2.0, 0.0), (0.5, 0.5, 0.0), (0.4, 3.0, 1 / 120)])
def test_the_field_is_what_simulation_finds(eps, kappa, ridge):
    kernel = {A: kappa if A in ("color", "shape") else 1.0 for A in CROSSED.names}
    tau = cooccurrence_targets(CROSSED, eps, {"color": "1/2", "shape": "1/2"})
    model = UFM(CROSSED, loss="mse", targets=tau, feature_kernel=kernel, label_kernel=kernel, ridge=ridge)
    times = np.append(0, np.geomspace(1e-2, 2e3, 3000))
    index = simulate(model, times, init=0.01).data["semantic_index"].values
    found = crossover(CROSSED, [eps], [kappa], init=0.01, shrink=12 * ridge)
    # The peaks of two grids of thousands of times differ in the second order of their spacing, 1e-2 squared.
    assert found["peak_index"].item() == pytest.approx(index.max(), abs=2e-4)
    assert found["limit_index"].item() == pytest.approx(index[-1], abs=1e-6)


@pytest.mark.parametrize("formula, init", [("color[4] * shape[6]", 1e-3), ("a[3] * b[3] * c[3]", 1e-2)])
def test_phases_of_the_field_are_those_of_the_borders(formula, init):
    found = crossover(formula, init=init)
    assert found.attrs["disagreement"] < 0.01  # cells on a border
    assert all((found["phase"].values == phase).mean() > 0.05 for phase in (0, 1, 2))
    # A start ten times as large has another border.
    other = crossover(formula, init=10 * init)
    assert (found["phase"].values != other["border_phase"].values).mean() > found.attrs["disagreement"]


def test_one_hot_labels_keep_nothing_and_soft_ones_keep_what_they_say():
    found = crossover("color[4] * shape[6]")
    assert np.all(found["limit_index"].values[0] == 0) and np.all(np.diff(found["limit_index"].values[:, 0]) > 0)
    border = lasting_border(found)
    # It lies above the curve below which nothing overshoots, and below the one where kernel and labels are equal.
    known = np.isfinite(border)
    assert np.all(border[known] >= found["overshoot_ratio"].values[known] - 1e-9)
    assert np.all(border[known] <= found["cause_ratio"].values[known])


def test_the_figure():
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = crossover_figure(crossover("a[2] * b[2]"))
    assert [len(ax.get_lines()) for ax in axes] == [3, 3, 3]
    plt.close(fig)


@pytest.mark.parametrize(
    "arguments, words",
    [({"attributes": "a[2] / b[2]"}, "crossed"), ({"eps": [0.5, 0.2]}, "increasing"), ({"eps": [1.0]}, "less than 1"),
     ({"ratios": [0.0]}, "from 1e-06"), ({"init": 1.0}, "smallest target"), ({"shrink": -1}, "shrink")],
)  # fmt: skip
def test_bad_input(arguments, words):
    with pytest.raises(InputError, match=words):
        crossover(**({"attributes": "a[2] * b[2]"} | arguments))
