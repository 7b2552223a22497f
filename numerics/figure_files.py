"""Figures written to files that papers and pages take."""

from pathlib import Path
from typing import Any

from ..theory.errors import InputError
from .plots import house_style

KINDS = (".png", ".pdf", ".svg")


def check_figure(out: str | Path) -> Path:
    """The path of a figure, refused before it is drawn when it has another ending than .png, .pdf or .svg, or no folder."""
    target = Path(out)
    if target.suffix not in KINDS:
        raise InputError(f"out: {str(out)!r} is no figure; end it in {', '.join(KINDS)}.")
    if not target.absolute().parent.is_dir():
        raise InputError(f"out: the folder of {str(out)!r} does not exist; make it first.")
    return target


def write_figure(fig: Any, out: str | Path) -> Path:
    """Write a matplotlib figure and close it.

    Parameters
    ----------
    fig : matplotlib figure
    out : path that ends in .png, .pdf or .svg

    Returns
    -------
    Path of the file

    Raises
    ------
    InputError
        For another ending than .png, .pdf or .svg, and where the folder is missing or not writable.

    Examples
    --------
    >>> import tempfile
    >>> from ufmflow.numerics.runs import example_run
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_figure(example_run().plot.shares()[0], f"{folder}/shares.pdf").name
    'shares.pdf'
    """
    import matplotlib.pyplot as plt

    try:
        target = check_figure(out)
        with house_style():  # resolution, and names inside an SVG that do not change from run to run
            fig.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
    except OSError as error:
        raise InputError(f"out: cannot write {str(out)!r}: {error.strerror}.") from None
    finally:
        plt.close(fig)
    return target
