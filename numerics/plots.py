"""Figures of trajectories: stratum shares, singular values, loss, semantic window, Gram matrices, embeddings.

Colours are the colour-blind-safe palette of Okabe and Ito 2008; line styles and markers vary with them, so that
greyscale print tells them apart, too.  Every figure takes its look from `style.mplstyle`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.style
import numpy as np

from ..theory.errors import InputError
from .gram_plots import centred_cosine, gram_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .trajectory import Trajectory, Window

__all__ = ["Plots", "centred_cosine", "house_color", "house_style", "log_spaced", "log_time_axis", "mark_window",
           "recorded_times"]  # fmt: skip

STYLE = Path(__file__).parent / "style.mplstyle"
LINES = ("-", "--", "-.", ":")
MARKERS = "osD^vP*"
NAMES = {"w": "W", "h": "H", "z": "Z = WH"}


class Plots:
    """Figures of one trajectory (lines), over an observed one (dots) or over several, such as seeds (dots and bands).

    Each method returns (fig, ax), or (fig, axes) where it draws several panels.  `observed` is a trajectory, or a list
    of them: dots are then their mean, bands reach from the least to the largest.  `ax` draws into axes that exist.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> from ufmflow.numerics.forecast import forecast
    >>> run = example_run()
    >>> fig, ax = forecast(run, level="modes").plot.shares(observed=run)
    >>> ax.get_ylabel()
    'share of the Gram of $H$'
    """

    def __init__(self, trajectory: "Trajectory"):
        self.trajectory = trajectory

    def shares(
        self, observed: "Trajectory | Sequence[Trajectory] | None" = None, ax: "Axes | None" = None
    ) -> "tuple[Figure, Any]":
        """Shares of the strata in the Gram matrix of H over log time; the semantic window is shaded."""
        with house_style():
            fig, ax = _axes(ax)
            self._strata(ax, "share_H", self._seen(observed))
            mark_window(ax, (self._seen(observed) or [self.trajectory])[0].window())
            ax.set(ylabel="share of the Gram of $H$", ylim=(0, 1))
            return fig, ax

    def singular_values(
        self,
        letter: str = "z",
        observed: "Trajectory | Sequence[Trajectory] | None" = None,
        ax: "Axes | None" = None,
    ) -> "tuple[Figure, Any]":
        """Singular values of W, H or Z = W H (`letter` w, h or z) on the strata over log time."""
        if letter not in NAMES:
            raise InputError(f"letter: {letter!r} has no singular values; choose w, h or z.")
        with house_style():
            fig, ax = _axes(ax)
            self._strata(ax, letter, self._seen(observed))
            ax.set(ylabel=f"singular value of ${NAMES[letter]}$")
            return fig, ax

    def loss(
        self, observed: "Trajectory | Sequence[Trajectory] | None" = None, ax: "Axes | None" = None
    ) -> "tuple[Figure, Any]":
        """Loss over time, both logarithmic."""
        with house_style():
            fig, ax = _axes(ax)
            self._curve(ax, "loss", self._seen(observed))
            mark_window(ax, (self._seen(observed) or [self.trajectory])[0].window())
            ax.set(yscale="log", ylabel="loss")
            return fig, ax

    def window(
        self, observed: "Trajectory | Sequence[Trajectory] | None" = None, ax: "Axes | None" = None
    ) -> "tuple[Figure, Any]":
        """The semantic index over log time, with the window's onset, peak and end marked on it.

        1: attributes only, 0: collapsed.  The window is where the index has half its maximum or more.
        """
        with house_style():
            fig, ax = _axes(ax)
            seen = self._seen(observed)
            self._curve(ax, "semantic_index", seen)
            found = (seen or [self.trajectory])[0].window()
            mark_window(ax, found)
            ax.axhline(0, color="0.6", lw=0.6, zorder=0)
            ax.set(ylabel="semantic index")
            if found is not None:
                ax.axhline(found.height / 2, color="0.6", lw=0.8, ls=(0, (4, 3)), zorder=0)
                _label_window(ax, found)
            return fig, ax

    def panels(self, observed: "Trajectory | Sequence[Trajectory] | None" = None) -> "tuple[Figure, Any]":
        """Shares, semantic window, singular values of the logits, and loss, side by side."""
        import matplotlib.pyplot as plt

        with house_style():
            fig, axes = plt.subplots(2, 2, figsize=(8.6, 5.6))
            self.shares(observed, axes[0, 0])
            self.window(observed, axes[0, 1])
            self.singular_values("z", observed, axes[1, 0])
            self.loss(observed, axes[1, 1])
            for letter, ax in zip("abcd", axes.flat, strict=True):
                ax.set_title(letter, loc="left", fontweight="bold", fontsize=9)
            for ax in axes[0]:
                ax.set_xlabel("")
            for ax in axes.flat:
                if (legend := ax.get_legend()) is not None:
                    legend.remove()
            place = {"loc": "outside lower center", "bbox_to_anchor": None}
            style = _strata_legend(self.trajectory.attributes.names[1:], self._seen(observed)) | place
            fig.legend(*axes[0, 0].get_legend_handles_labels(), **style)
            return fig, axes

    def gram(
        self, times: Any = None, observed: "Trajectory | None" = None, by: "str | Sequence[str] | None" = None
    ) -> "tuple[Figure, Any]":
        """Centred cosine Gram matrices of H, sorted by attribute; observed ones below.

        Parameters
        ----------
        times : the recorded times nearest to these; five log-spaced ones if None
        observed : trajectory for a second row
        by : attributes to sort by, outermost first; the formula's order if None

        Raises
        ------
        InputError
            For unknown attributes, and for more contexts than a figure can show.
        """
        chosen = recorded_times(self.trajectory.time, times, 5)
        rows = {"": self.trajectory} if observed is None else {"forecast": self.trajectory, "observed": observed}
        with house_style():
            return gram_figure(rows, chosen, by)

    def embedding(
        self, times: Any = None, observed: "Trajectory | None" = None, method: str = "mds"
    ) -> "tuple[Figure, Any]":
        """The contexts as points of a plane, by their centred cosines; observed ones below, turned onto the first row.

        Parameters
        ----------
        times : the recorded times nearest to these; five log-spaced ones if None
        observed : trajectory for a second row
        method : "mds" (every distance counts) or "pca" (one plane for all times), see `numerics.configurations`

        Raises
        ------
        InputError
            For an unknown method, and for more contexts than a figure can show.
        """
        from .embedding_plots import embedding_figure

        chosen = recorded_times(self.trajectory.time, times, 5)
        rows = {"": self.trajectory} if observed is None else {"forecast": self.trajectory, "observed": observed}
        with house_style():
            return embedding_figure(rows, chosen, method)

    def _seen(self, observed: "Trajectory | Sequence[Trajectory] | None") -> "list[Trajectory]":
        """The observed trajectories, each of the structure that is drawn."""
        found = [] if observed is None else list(observed) if isinstance(observed, Sequence) else [observed]
        for one in found:
            if one.attributes != self.trajectory.attributes:
                raise InputError(
                    f"observed: it has {one.attributes}, but the lines are of {self.trajectory.attributes}; give runs "
                    "of one structure."
                )
        return found

    def _strata(self, ax: "Axes", variable: str, seen: "list[Trajectory]") -> None:
        data = self.trajectory.data
        for i, A in enumerate(self.trajectory.attributes.names[1:]):
            # The eighth stratum has the first one's colour, so neither its line nor its marker.
            color, line, marker = house_color(i), LINES[(i + 2 * (i // 7)) % 4], MARKERS[(i + i // 7) % 7]
            ax.plot(data["time"], data[variable].sel(stratum=A), line, color=color, label=A)
            _dots(ax, [(one.time, one.data[variable].sel(stratum=A).values) for one in seen], marker, color)
        log_time_axis(ax, self.trajectory.time)
        # Beside the data: no corner stays free for all times of all runs.
        ax.legend(**_strata_legend(self.trajectory.attributes.names[1:], seen))

    def _curve(self, ax: "Axes", variable: str, seen: "list[Trajectory]") -> None:
        data = self.trajectory.data
        ax.plot(data["time"], data[variable], "-", color=house_color(0), label="forecast" if seen else None)
        label = "observed" if len(seen) == 1 else f"{len(seen)} observed"
        _dots(ax, [(one.time, one.data[variable].values) for one in seen], "o", house_color(1), label)
        log_time_axis(ax, self.trajectory.time)
        if seen:
            ax.legend()


def _dots(
    ax: "Axes", series: list[tuple[np.ndarray, np.ndarray]], marker: str, color: str, label: str | None = None
) -> None:
    """Observed values; of several series their mean, with a band from the least to the largest.

    Series are read at the first one's times as far as all go.
    """
    if not series:
        return
    time, values = series[0]
    if len(series) > 1:
        time = time[time <= min(at[-1] for at, _ in series)]
        stack = np.stack([np.interp(time, at, one) for at, one in series])
        ax.fill_between(time, stack.min(axis=0), stack.max(axis=0), color=color, alpha=0.25, lw=0)
        values = stack.mean(axis=0)
    ax.plot(time, values, marker, color=color, mfc="none", label=label)


def _dots_are(seen: "list[Trajectory]") -> str:
    return "dots: observed" if len(seen) == 1 else f"dots: mean of {len(seen)} observed, band: least to largest"


def _strata_legend(names: Sequence[str], seen: "list[Trajectory]") -> dict[str, Any]:
    """Above the axes in as many columns as fit, or at their right where there are many strata."""
    title = {"title": f"line: forecast, {_dots_are(seen)}"} if seen else {}
    columns = max(1, min(4, 84 // (max(map(len, names)) + 9)))  # a figure is some 84 letters wide, a line's sample 9
    above = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": columns, "alignment": "left"}
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    return {"title_fontsize": 8, **title, **(above if len(names) <= 8 else beside)}


def log_spaced(times: np.ndarray, count: int) -> np.ndarray:
    """The recorded times nearest to `count` log-spaced ones, from the first positive to the last."""
    positive = times[times > 0]
    wanted = np.geomspace(positive[0], positive[-1], count)
    return positive[[int(np.argmin(np.abs(np.log(positive / time)))) for time in wanted]]


def recorded_times(recorded: np.ndarray, times: Any, count: int) -> np.ndarray:
    """The recorded times nearest to the given ones, each once and in order; if None, `count` log-spaced ones or all.

    Raises
    ------
    InputError
        When a time is not finite, or none is given.
    """
    if times is None:
        return recorded if len(recorded) <= count else np.unique(log_spaced(recorded, count))
    wanted = np.atleast_1d(np.asarray(times, dtype=float))
    if wanted.size == 0 or not np.all(np.isfinite(wanted)):
        raise InputError(f"times: {times!r} holds no finite times; give some between {recorded[0]} and {recorded[-1]}.")
    return np.unique(recorded[np.argmin(np.abs(recorded[:, None] - wanted.ravel()), axis=0)])


@contextmanager
def house_style() -> Iterator[None]:
    """The style file, for as long as the context lasts."""
    with matplotlib.style.context(STYLE):
        yield
        interactive = matplotlib.is_interactive()
    matplotlib.interactive(interactive)  # a notebook turns it on with its first figure, and shows no other without it


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


def mark_window(ax: "Axes", window: "Window | None") -> None:
    """Shade a semantic window behind a plot over time, with a line at its peak."""
    if window is not None:
        ax.axvspan(window.onset, window.end, color="0.9", zorder=0)
        ax.axvline(window.peak, color="0.7", lw=0.8, zorder=0)


def _label_window(ax: "Axes", window: "Window") -> None:
    """Onset, peak and end by name, on the curve where the index has half its height, or all of it."""
    places = (("onset", ">", window.height / 2), ("peak", "^", window.height), ("end", "<", window.height / 2))
    right = ax.get_xlim()[1]
    for name, marker, height in places:
        at = getattr(window, name)
        ax.plot(at, height, marker, color="black", ms=6, clip_on=False, zorder=4)
        side = "right" if at >= right else "left"
        ax.annotate(name, (at, height), xytext=(-6 if side == "right" else 6, 6), textcoords="offset points", ha=side,
                    fontsize=8)  # fmt: skip
