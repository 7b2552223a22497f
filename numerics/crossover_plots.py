"""The figure of the crossover from structure that labels keep to structure that passes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from .crossover import lasting_border
from .plots import house_style

LABELS = (
    ("cause_ratio", "-", "equal causes: $\\kappa = \\theta$"),
    ("overshoot_ratio", ":", "limit exceeds all before below $\\kappa\\theta = 1$"),
)


def crossover_figure(found: xr.Dataset, places: Sequence[tuple[float, float]] = ()) -> tuple[Any, Any]:
    """The index at the window's peak, at the limit, and what lasts, over softness and kernel ratio, with the borders.

    Parameters
    ----------
    found : what `ufmflow.numerics.crossover.crossover` returned
    places : (eps, kappa) to mark, as `ufmflow.numerics.crossover.place` finds them for data

    Returns
    -------
    fig, axes (3,)
    """
    import matplotlib.pyplot as plt
    from matplotlib import patheffects

    with house_style():
        border = _closing_border(found)
        # Black on a white rim shows on every shade.
        seen = {"color": "black", "lw": 1.4, "path_effects": [patheffects.withStroke(linewidth=3.2, foreground="white")]}
        fig, axes = plt.subplots(1, 3, figsize=(8.2, 3.5), sharey=True)
        eps, ratio = found["eps"].values, found["ratio"].values
        peak, limit = found["peak_index"].values, found["limit_index"].values
        lasts = np.divide(limit, peak, out=np.zeros_like(peak), where=peak > 1e-9)
        panels = (("at the window's peak", peak), ("at the limit", limit), ("limit / peak", lasts))
        for ax, (title, field) in zip(axes, panels, strict=True):
            image = ax.pcolormesh(
                eps, ratio, field.T, vmin=0, vmax=1, cmap="viridis", shading="nearest", rasterized=True
            )
            ax.set(yscale="log", title=title, xlabel="softness of the labels $\\epsilon$",
                   xlim=(eps[0], eps[-1]), ylim=(ratio[0], ratio[-1]))  # fmt: skip
            for name, line, label in LABELS:
                ax.plot(eps, found[name], line, label=label, **seen)
            ax.plot(*border, "--", label="half of the peak lasts right of it", **seen)
            for x, y in places:
                ax.plot(x, y, "*", ms=13, mfc="white", mec="black", clip_on=False, zorder=5)
        axes[0].set_ylabel("kernel ratio $\\kappa$ = main effects / rest")
        _words(axes[2], eps, ratio)
        bar = fig.colorbar(image, ax=axes, shrink=0.85, pad=0.01, ticks=[0, 0.5, 1])
        bar.set_label("semantic index; ratio")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=2.6)
        return fig, axes


def _closing_border(found: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The border of `lasting_border`, continued by the softness from which no kernel closes the window."""
    eps, ratio = found["eps"].values, lasting_border(found)
    known = np.isfinite(ratio)
    last = ratio[known][-1:] if known.any() else found["ratio"].values[:1]
    end = found.attrs["lasting_softness"]
    return np.concatenate([eps[known], [end, end]]), np.concatenate([ratio[known], last, found["ratio"].values[-1:]])


def _words(ax: Any, eps: np.ndarray, ratio: np.ndarray) -> None:
    """Names of the phases, where the axes reach them."""
    words = (
        (0.3, 6.0, "transient:\nthe kernel's", "white", 0),
        (0.925, 1.3, "lasting: the labels'", "white", 90),
        (0.3, 0.42, "no overshoot", "black", 0),
    )
    for x, y, text, color, rotation in words:
        if eps[0] <= x <= eps[-1] and ratio[0] <= y <= ratio[-1]:
            ax.text(x, y, text, rotation=rotation, color=color, fontsize=8, ha="center", va="center")
