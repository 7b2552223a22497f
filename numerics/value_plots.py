"""The figure of downstream value beside the semantic index."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .downstream import LONG_NAMES, series
from .plots import LINES, MARKERS, house_color, house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def value_figure(value: xr.Dataset) -> tuple[Any, Any]:
    """Each measure of value and the semantic index against steps (time, where steps are unknown).

    Parameters
    ----------
    value : what `ufmflow.numerics.downstream.downstream` returned, of several times

    Returns
    -------
    fig, ax
    """
    import matplotlib.pyplot as plt

    with house_style():
        fig, ax = plt.subplots(figsize=(5.6, 3.6))
        known = "step" in value.coords
        at = (value["step"] if known else value["time"]).values.astype(float)
        index = value["semantic_index"].values
        ax.plot(at, index, "-", color="0.75", lw=5, label="semantic index", solid_capstyle="butt")
        curves = series(value)
        for i, (name, curve) in enumerate(curves.items()):
            ax.plot(
                at, curve, LINES[i % 4], color=house_color(i), marker=MARKERS[i], markevery=(2 * i, 8), mfc="white",
                label=LONG_NAMES[name],
            )  # fmt: skip
        _log_axis(ax, at, "step" if known else "time (learning rate × steps)")
        lowest = min(0.0, *(float(np.nanmin(curve)) for curve in (index, *curves.values())))
        ax.axhline(0, color="0.5", lw=0.6)
        ax.set(ylabel="0: chance    1: best there is", ylim=(max(-1.0, lowest - 0.03), 1.04), title=_title(value))
        fig.legend(loc="outside lower center", ncols=2)
        return fig, ax


def _title(value: xr.Dataset) -> str:
    held = value.attrs["held_out"]
    return f"{value.attrs['name']}: {value.attrs['formula']}" + (f", {held} labels held out" if held else "")


def _log_axis(ax: "Axes", at: np.ndarray, label: str) -> None:
    """Logarithmic, with a short linear stretch for 0 at the left."""
    positive = at[at > 0]
    if positive.size:
        ax.set_xscale("symlog", linthresh=positive[0], linscale=0.2) if at[0] == 0 else ax.set_xscale("log")
    ax.set(xlabel=label, xlim=(at[0], at[-1]))
