"""The figure of downstream value beside the semantic index."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .downstream import ORDER, SIZES, series
from .plots import LINES, MARKERS, house_color, house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def value_figure(value: xr.Dataset) -> tuple[Any, Any]:
    """Measures of value and the semantic index against steps (time, where steps are unknown).

    The left panel has those that measure the size of the structure, the right one those that its order alone decides.

    Parameters
    ----------
    value : what `ufmflow.numerics.downstream.downstream` returned, of several times

    Returns
    -------
    fig, axes (2,)
    """
    import matplotlib.pyplot as plt

    with house_style():
        fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.6), sharey=True)
        known = "step" in value.coords
        at = (value["step"] if known else value["time"]).values.astype(float)
        index, curves = value["semantic_index"].values, series(value)
        for ax, (title, names) in zip(
            axes, (("size of the structure", SIZES), ("its order alone", ORDER)), strict=True
        ):
            ax.plot(at, index, "-", color="0.75", lw=5, label="semantic index", solid_capstyle="butt")
            for i, name in enumerate(name for name in names if name in curves):
                ax.plot(
                    at, curves[name], LINES[i % 4], color=house_color(i), marker=MARKERS[i], markevery=(2 * i, 8),
                    mfc="white", label=names[name],
                )  # fmt: skip
            _log_axis(ax, at, "step" if known else "time (learning rate × steps)")
            ax.axhline(0, color="0.5", lw=0.6)
            ax.set_title(title)
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
        lowest = min(0.0, *(float(np.nanmin(curve)) for curve in (index, *curves.values())))
        axes[0].set(ylabel="0: chance    1: best there is", ylim=(max(-1.0, lowest - 0.03), 1.04))
        fig.suptitle(_title(value))
        return fig, axes


def _title(value: xr.Dataset) -> str:
    held = value.attrs["held_out"]
    labels = f", {held} label{'s' if held > 1 else ''} held out" if held else ""
    return f"{value.attrs['name']}: {value.attrs['formula']}{labels}"


def _log_axis(ax: "Axes", at: np.ndarray, label: str) -> None:
    """Logarithmic, with a short linear stretch for 0 at the left."""
    positive = at[at > 0]
    if positive.size:
        ax.set_xscale("symlog", linthresh=positive[0], linscale=0.6) if at[0] == 0 else ax.set_xscale("log")
    ax.set(xlabel=label, xlim=(at[0], at[-1]))
