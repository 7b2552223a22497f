"""Figures: stratum shares, singular values, loss, and Gram matrices sorted by attribute.  Each returns (fig, ax).

Colours are the colour-blind-safe palette of Okabe and Ito 2008, line styles vary with them for greyscale print.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.style
import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .trajectory import Trajectory

STYLE = Path(__file__).parent / "style.mplstyle"
LINES = ("-", "--", "-.", ":")
MARKERS = "osD^vP*"


class Plots:
    """Figures of one trajectory, or of a trajectory (lines) over an observed one (dots)."""

    def __init__(self, trajectory: "Trajectory"):
        self.trajectory = trajectory

    def shares(self, observed: "Trajectory | None" = None, ax: "Axes | None" = None) -> "tuple[Figure, Any]":
        """Shares of the strata in the Gram matrix of H over log time; the semantic window is shaded."""
        with house_style():
            fig, ax = _axes(ax)
            self._strata(ax, "share_H", observed)
            _shade(ax, (observed or self.trajectory).window())
            ax.set(ylabel="share of the Gram of $H$", ylim=(0, 1))
            return fig, ax

    def singular_values(
        self, letter: str = "z", observed: "Trajectory | None" = None, ax: "Axes | None" = None
    ) -> "tuple[Figure, Any]":
        """Singular values of W, H or Z = W H on the strata over log time."""
        with house_style():
            fig, ax = _axes(ax)
            self._strata(ax, letter, observed)
            name = {"w": "W", "h": "H", "z": "Z = WH"}[letter]
            ax.set(ylabel=f"singular value of ${name}$")
            return fig, ax

    def loss(self, observed: "Trajectory | None" = None, ax: "Axes | None" = None) -> "tuple[Figure, Any]":
        """Loss over time, both logarithmic."""
        with house_style():
            fig, ax = _axes(ax)
            data = self.trajectory.data
            ax.plot(data["time"], data["loss"], "-", color=house_color(0), label="forecast" if observed else None)
            if observed is not None:
                ax.plot(
                    observed.data["time"], observed.data["loss"], "o", color=house_color(1), label="observed",
                    mfc="none",
                )
                ax.legend()
            log_time_axis(ax, self.trajectory.time)
            _shade(ax, (observed or self.trajectory).window())
            ax.set(yscale="log", ylabel="loss")
            return fig, ax

    def gram(self, times: Any = None, observed: "Trajectory | None" = None) -> "tuple[Figure, Any]":
        """Centred cosine Gram matrices of H at log-spaced times, sorted by attribute; observed ones below."""
        with house_style():
            rows = [self.trajectory] if observed is None else [self.trajectory, observed]
            chosen = log_spaced(self.trajectory.time, 5) if times is None else np.atleast_1d(times)
            import matplotlib.pyplot as plt

            fig, axes = plt.subplots(
                len(rows), len(chosen), figsize=(1.7 * len(chosen) + 0.7, 1.75 * len(rows) + 0.35), squeeze=False
            )
            for row, trajectory in zip(axes, rows, strict=True):
                for ax, time in zip(row, chosen, strict=True):
                    image = ax.imshow(centred_cosine(trajectory.gram(time)), vmin=-1, vmax=1)
                    _block_lines(ax, trajectory.attributes.shape)
                    ax.set(xticks=[], yticks=[])
            for ax, time in zip(axes[0], chosen, strict=True):
                ax.set_title(f"t = {time:.3g}", fontsize=9)
            for row, name in zip(axes, ("forecast", "observed") if observed is not None else ("",), strict=True):
                row[0].set_ylabel(name)
            bar = fig.colorbar(image, ax=axes, shrink=0.8, pad=0.01, ticks=[-1, 0, 1])
            bar.set_label("centred cosine")
            return fig, axes

    def _strata(self, ax: "Axes", variable: str, observed: "Trajectory | None") -> None:
        data = self.trajectory.data
        for i, A in enumerate(self.trajectory.attributes.names[1:]):
            # The eighth stratum has the first one's colour, so neither its line nor its marker.
            color, line, marker = house_color(i), LINES[(i + 2 * (i // 7)) % 4], MARKERS[(i + i // 7) % 7]
            ax.plot(data["time"], data[variable].sel(stratum=A), line, color=color, label=A)
            if observed is not None:
                ax.plot(
                    observed.data["time"],
                    observed.data[variable].sel(stratum=A),
                    marker,
                    color=color,
                    mfc="none",
                )
        log_time_axis(ax, self.trajectory.time)
        ax.legend(title="line: forecast, dots: observed" if observed is not None else None, title_fontsize=8)


def centred_cosine(gram: np.ndarray) -> np.ndarray:
    """Cosines between the rows of H less their mean, from the Gram matrix (m, m); 0 for a row that is the mean."""
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1, keepdims=True) + gram.mean()
    norms = np.sqrt(np.clip(np.diag(centred), 0.0, None))
    scale = np.outer(norms, norms)
    return np.divide(centred, scale, out=np.zeros_like(centred), where=scale > 1e-300)


def log_spaced(times: np.ndarray, count: int) -> np.ndarray:
    """The recorded times nearest to `count` log-spaced ones, from the first positive to the last."""
    positive = times[times > 0]
    wanted = np.geomspace(positive[0], positive[-1], count)
    return positive[[int(np.argmin(np.abs(np.log(positive / time)))) for time in wanted]]


def house_style() -> Any:
    """The style file, for as long as the context lasts."""
    return matplotlib.style.context(STYLE)


def house_color(i: int) -> str:
    """Colour i of the style's cycle; resolved now, since "C0" would be when the figure is drawn, outside the style."""
    colors = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    return f"#{colors[i % len(colors)]}".replace("##", "#")


def _axes(ax: "Axes | None") -> "tuple[Any, Any]":
    import matplotlib.pyplot as plt

    return plt.subplots() if ax is None else (ax.figure, ax)


def log_time_axis(ax: "Axes", times: np.ndarray) -> None:
    """Log time, with a short linear stretch for t = 0 at the left."""
    positive = times[times > 0]
    if positive.size and times[0] == 0:
        ax.set_xscale("symlog", linthresh=10 ** np.ceil(np.log10(positive[0])), linscale=0.4)
    elif positive.size:
        ax.set_xscale("log")
    ax.set_xlim(times[0], times[-1])
    ax.set_xlabel("time (learning rate × steps)")


def _shade(ax: "Axes", window: Any) -> None:
    if window is not None:
        ax.axvspan(window.onset, window.end, color="0.9", zorder=0)
        ax.axvline(window.peak, color="0.7", lw=0.8, zorder=0)


def _block_lines(ax: "Axes", shape: tuple[int, ...]) -> None:
    """Lines between the values of the first attribute."""
    m = int(np.prod(shape))
    for at in range(m // shape[0], m, m // shape[0]):
        ax.axhline(at - 0.5, color="k", lw=0.5)
        ax.axvline(at - 0.5, color="k", lw=0.5)
