"""Figures written to files that papers and pages take."""

from pathlib import Path
from typing import Any

from ..theory.errors import InputError

KINDS = (".png", ".pdf", ".svg")


def write_figure(fig: Any, out: str | Path) -> Path:
    """Write a matplotlib figure and close it.

    Raises
    ------
    InputError
        For another ending than .png, .pdf or .svg, and where the folder is missing or not writable.
    """
    import matplotlib.pyplot as plt

    target = Path(out)
    if target.suffix not in KINDS:
        raise InputError(f"out: {str(out)!r} is no figure; end it in {', '.join(KINDS)}.")
    try:
        fig.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
    except OSError as error:
        raise InputError(f"out: cannot write {str(out)!r}: {error.strerror}.") from None
    finally:
        plt.close(fig)
    return target
