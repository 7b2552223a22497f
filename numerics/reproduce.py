"""`reproduce`: from an attribute formula to a verdict on a trained network, in one report."""

from pathlib import Path

from .crosscheck import Check, crosscheck
from .integrate import Progress
from .report import write_report
from .runs import example_run, load_run


def reproduce(out: str | Path, quick: bool = False, progress: Progress | None = None) -> tuple[Path, Check]:
    """Hold the forecast of a network to its training, and write the report.

    Parameters
    ----------
    out : folder of the report
    quick : bool
        True: the recorded run that ships with ufmflow; no torch needed.  False: train the `objects` setting first
        (extra `train`; about half a minute), record it under `out`, and forecast it from its own initialisation.

    Returns
    -------
    Path of index.html, and the Check
    """
    if quick:
        run = example_run()
    else:
        from .train import train

        run = load_run(train("objects", Path(out) / "objects", progress=progress))
    check = crosscheck(run, progress=progress)
    return write_report(check, out), check
