"""Slopes of the window in closed form: the energy against the window's own closed form, slopes against differences."""

import numpy as np
import pytest
import sympy as sp
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.kernels import cooccurrence_targets, embedding_kernel
from ufmflow.theory.model import UFM
from ufmflow.theory.window import window
from ufmflow.theory.window_slopes import ARGUMENTS, energy_expression, window_slopes

CROSSED = Attributes("color[2] * shape[3]")
KERNEL = embedding_kernel(CROSSED, {"color": 1, "shape": 1}, residual=1)


def model(factor=None, **changes):
    """The model with kH, kW, or the eps of its targets changed by a factor."""
    kernel = {A: k * sp.nsimplify(changes.get(A, 1)) * sp.nsimplify(changes.get("body", 1)) for A, k in KERNEL.items()}
    targets = cooccurrence_targets(CROSSED, changes.get("eps", 0), {"color": "1/2", "shape": "1/2"})
    return UFM(CROSSED, loss="mse", feature_kernel=kernel, label_kernel=changes.get("head", 1), targets=targets)


def test_the_energy_is_that_of_the_flow():
    """d(h^2)/dt = 2 kH g h w with w^2/kW - h^2/kH kept, at random numbers; a wrong rate is not."""
    energy = energy_expression()
    numbers = dict(zip(ARGUMENTS, (0.7, 1.3, 0.6, 0.2, 0.5, 1.1, 0.4), strict=True))
    t, kW, kH, w0, h0, tau, scale = ARGUMENTS
    h2 = energy
    w2 = kW * (w0**2 / kW - h0**2 / kH + h2 / kH)
    z = sp.sqrt(w2 * h2)
    residual = sp.diff(energy, t) - 2 * kH * scale * (tau - z) * z
    assert abs(float(residual.subs(numbers))) < 1e-12
    assert abs(float((residual - kH * scale * z / 50).subs(numbers))) > 1e-4
    assert float(h2.subs(t, 0).subs(numbers)) == pytest.approx(0.25)


def test_slopes_are_limits_of_differences():
    init = (0.005, 0.03)
    found = window_slopes(model(), init)
    e = sp.Rational(1, 10**5)
    w0, h0 = init

    def at(**changes):
        scale = changes.pop("feature", 1)
        shown = window(model(**changes), (w0, float(h0 * scale)))
        values = {name: getattr(shown, name)[0] for name in ("onset", "peak", "end")}
        return {name: np.log(x) for name, x in values.items()} | {"height": shown.height[0]}

    cases = {"head rate": "head", "kernel of color:shape": "color:shape", "feature scale": "feature"}
    for name, change in cases.items():
        above, below = at(**{change: 1 + e}), at(**{change: 1 - e})
        for quantity in above:
            difference = (above[quantity] - below[quantity]) / float(2 * e)
            assert found.slopes[quantity][name] == pytest.approx(difference, abs=2e-6), (name, quantity)
    before, after = at(), at(eps=e)
    one_sided = {q: (after[q] - before[q]) / float(e) for q in ("peak", "end")}
    assert one_sided == pytest.approx({q: found.slopes[q]["smoothing"] for q in one_sided}, abs=1e-4)


def test_slopes_add_up():
    """Time is rate x steps: both rates at once move every time alike; all strata at once are the body's rate."""
    found = window_slopes(model(), 0.01)
    for name in ("onset", "peak", "end", "width"):
        slope = found.slopes[name]
        assert slope["head rate"] + slope["body rate"] == pytest.approx(-1, abs=1e-12)
        assert sum(slope[f"kernel of {A}"] for A in KERNEL if A != "1") == pytest.approx(slope["body rate"], abs=1e-12)
        assert slope["kernel of color"] + slope["kernel of shape"] == pytest.approx(slope["kernel ratio"], abs=1e-12)
    assert found.slopes["height"]["head rate"] + found.slopes["height"]["body rate"] == pytest.approx(0, abs=1e-12)


def test_what_has_no_closed_form_and_no_window():
    with pytest.raises(InputError, match="squared error without constraint"):
        window_slopes(UFM(CROSSED, feature_kernel=KERNEL), 0.01)
    with pytest.raises(InputError, match="squared error without constraint"):
        window_slopes(UFM(CROSSED, loss="mse", ridge=1e-3, feature_kernel=KERNEL), 0.01)
    assert window_slopes(UFM(CROSSED, loss="mse"), 0.01) is None
