"""What verbs print: results on stdout, a progress bar on a terminal's stderr."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer


def show(summary: dict[str, Any] | list, as_json: bool, lines: list[str]) -> None:
    typer.echo(json.dumps(summary, indent=1) if as_json else "\n".join(lines))


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[float, float], None] | None]:
    """A progress bar on stderr when that is a terminal; None otherwise."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0)

        def update(done: float, total: float) -> None:
            bar.update(task, completed=done / total if total else 1.0)

        yield update


def window_of(trajectory: Any) -> dict[str, float] | None:
    from dataclasses import asdict

    found = trajectory.window()
    return None if found is None else asdict(found)


def window_line(window: dict[str, float] | None, run: Any = None) -> str:
    """In steps of a run, or else in time."""
    if window is None:
        return "no semantic window"
    at = {name: window[name] if run is None else run.step_at(window[name]) for name in ("onset", "peak", "end")}
    times = ", ".join(f"{name} {value:.4g}" for name, value in at.items())
    open_end = run is not None and window["end"] >= run.time[-1]
    return (
        f"semantic window ({'t' if run is None else 'step'}): {times}; height {window['height']:.3f}"
        f"{'; still open at the last step, so its end is not seen' if open_end else ''}"
    )
