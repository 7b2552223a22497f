"""Pages over several cross-checks: the seeds of one setting with bands of their errors, and error against horizon."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .bands import Bands
from .horizon import Horizon
from .pages import folder_for, image, render, svg_of
from .plots import LINES, MARKERS, house_color, house_style, log_time_axis
from .report import DIAGNOSES, LEVELS, write_report
from .runs import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLUMNS = 3  # panels of the figure in a row


def write_bands(bands: Bands, out: str | Path) -> Path:
    """Write `index.html`, `bands.json` and the figure into a folder, and each run's report into a folder in it.

    Parameters
    ----------
    bands : of `crosscheck_many`
    out : folder, made if it does not exist

    Returns
    -------
    Path of index.html

    Raises
    ------
    InputError
        When the folder cannot be made or is a file.

    Examples
    --------
    >>> import tempfile
    >>> from ufmflow.numerics.bands import gather
    >>> from ufmflow.numerics.crosscheck import crosscheck
    >>> from ufmflow.numerics.forecast import forecast
    >>> from ufmflow.numerics.runs import example_run
    >>> check = crosscheck(example_run(), forecast(example_run(), level="modes"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bands(gather([check]), folder).name
    'index.html'
    """
    folder = folder_for(out)
    names = _folders(bands)
    for check, name in zip(bands.checks, names, strict=True):
        write_report(check, folder / name)
    figure = svg_of(plot_bands(bands)[0])
    rows = [
        {"check": check, "page": f"{name}/index.html", "held": check.forecasts[check.designated], **measures}
        for check, name, measures in zip(bands.checks, names, bands.measures(), strict=True)
        if measures is not None
    ]
    page = render(
        "bands.html",
        bands=bands,
        rows=rows,
        held=bands.bands(),
        levels=[(level, LEVELS.get(level, ""), _count(bands, level), bands.bands(level)) for level in bands.levels],
        diagnoses=[(*DIAGNOSES[name], found) for name, found in bands.diagnoses.items()],
        figure=image(figure),
        factor=_factor,
    )
    write_whole(folder / "bands.svg", figure)
    write_whole(folder / "bands.json", (json.dumps(bands.to_dict(), indent=1) + "\n").encode())
    write_whole(folder / "index.html", page.encode())
    return folder / "index.html"


def write_horizon(found: Horizon, out: str | Path) -> Path:
    """Write `index.html`, `horizon.json` and the figure into a folder.

    Raises
    ------
    InputError
        When the folder cannot be made or is a file.
    """
    folder = folder_for(out)
    figure = svg_of(plot_horizon(found)[0])
    page = render("horizon.html", found=found, run=found.run, rows=found.rows(), figure=image(figure), exp=np.exp)
    write_whole(folder / "horizon.svg", figure)
    write_whole(folder / "horizon.json", (json.dumps(found.to_dict(), indent=1) + "\n").encode())
    write_whole(folder / "index.html", page.encode())
    return folder / "index.html"


def plot_bands(bands: Bands) -> "tuple[Figure, Any]":
    """Observed and forecast shares over log time, one panel a stratum: mean over the runs, from least to largest.

    Parameters
    ----------
    bands : of `crosscheck_many`

    Returns
    -------
    fig, axes (rows, columns), three columns at most

    Examples
    --------
    >>> from ufmflow.numerics.bands import gather
    >>> from ufmflow.numerics.crosscheck import crosscheck
    >>> from ufmflow.numerics.forecast import forecast
    >>> from ufmflow.numerics.runs import example_run
    >>> run = example_run()
    >>> fig, axes = plot_bands(gather([crosscheck(run, forecast(run, level="modes"))]))
    >>> [ax.get_title() for ax in axes[0]]
    ['a0', 'a1', 'a0:a1']
    """
    import matplotlib.pyplot as plt

    time, observed, forecast = bands.shares()
    names = bands.attributes.names[1:]
    columns = min(MOST_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    with house_style():
        fig, axes = plt.subplots(rows, columns, figsize=(3.0 * columns + 0.4, 2.5 * rows + 0.3), squeeze=False)
        for i, ax in enumerate(axes.flat):
            if i >= len(names):
                ax.axis("off")
                continue
            for shares, what, color, line in ((observed, "observed", 1, ""), (forecast, "forecast", 0, "-")):
                values = shares[:, :, i]
                shade = house_color(color)
                ax.fill_between(time, values.min(axis=0), values.max(axis=0), color=shade, alpha=0.25, lw=0)
                ax.plot(time, values.mean(axis=0), line, marker=None if line else "o", color=shade, mfc="none",
                        label=what)  # fmt: skip
            log_time_axis(ax, time)
            ax.set(title=names[i], ylim=(0, None))
            ax.set_xlabel("time" if i + columns >= len(names) else "")
        # Above the panels: within them it would lie on a band.
        handles, labels = axes[0, 0].get_legend_handles_labels()
        title = "mean, shaded: least to largest"
        fig.legend(handles, labels, title=title, title_fontsize=8, loc="outside upper left", ncols=2)
        for row in axes:
            row[0].set_ylabel("share of the Gram of $H$")
    return fig, axes


def plot_horizon(found: Horizon) -> "tuple[Figure, Any]":
    """Mean share error of the rest of the run against the step and the loss it starts from.

    Parameters
    ----------
    found : of `horizon`

    Returns
    -------
    fig, axes (2,)
    """
    import matplotlib.pyplot as plt

    rows = found.rows()
    tolerance = next(iter(found.checks.values())).share_tolerance
    lines = (
        ("share_rmse_mean", "designated forecast"),
        ("baseline_frozen_share_rmse_mean", "geometry frozen at the start"),
        ("baseline_etf_share_rmse_mean", "always the ETF"),
    )
    with house_style():
        fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), sharey=True)
        for ax, where in zip(axes, ("from_step", "loss"), strict=True):
            for i, (name, label) in enumerate(lines):
                x, y = [row[where] for row in rows], [row[name] for row in rows]
                ax.plot(x, y, LINES[i], marker=MARKERS[i], color=house_color(i), mfc="none", label=label, clip_on=False)
            ax.axhline(tolerance, color="0.6", lw=0.8, zorder=0, label="tolerance")
        log_time_axis(axes[0], np.array([row["from_step"] for row in rows], dtype=float))
        axes[0].set_xlim(right=1.5 * rows[-1]["from_step"])
        axes[0].set(yscale="log", xlabel="step at the start of the forecast", ylabel="share RMSE of the rest")
        axes[1].set(xscale="log", xlabel="loss at the start of the forecast")
        axes[1].invert_xaxis()
        axes[0].legend()
    return fig, axes


def _folders(bands: Bands) -> list[str]:
    """A folder for each run's report: its name, numbered where two runs share one."""
    names = [check.run.name for check in bands.checks]
    return [name if names.count(name) == 1 else f"{name}-{i + 1}" for i, name in enumerate(names)]


def _count(bands: Bands, level: str) -> int:
    return sum(level in check.forecasts for check in bands.checks)


def _factor(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.3f}"
