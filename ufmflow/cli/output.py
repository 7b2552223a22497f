"""What verbs print: results on stdout, as text or JSON; notes and a progress bar on stderr."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer


@dataclass(frozen=True)
class Screen:
    """Where a verb's words go.

    Attributes
    ----------
    as_json : results are one JSON document, and nothing else is on stdout
    quiet : no text, note or progress bar; files and the exit code tell, and JSON where it was asked for
    """

    as_json: bool
    quiet: bool

    def show(self, summary: Any, lines: list[str]) -> None:
        """The result: `summary` for machines, `lines` for people."""
        if self.as_json:
            typer.echo(json.dumps(_finite(summary), indent=1, allow_nan=False))
        elif not self.quiet:
            typer.echo("\n".join(lines))

    def note(self, lines: list[str]) -> None:
        """What is worth saying before there is a result."""
        if not self.quiet:
            typer.echo("\n".join(lines), err=True)

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[float, float], None] | None]:
        """A progress bar where stderr is a terminal; None otherwise."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=1.0)

            def update(done: float, total: float) -> None:
                bar.update(task, completed=done / total if total else 1.0)

            yield update


def _finite(value: Any) -> Any:
    """The same with null for NaN and infinity, which JSON has not."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def window_of(trajectory: Any) -> dict[str, float] | None:
    """A trajectory's semantic window as plain data."""
    from dataclasses import asdict

    found = trajectory.window()
    return None if found is None else asdict(found)


def window_line(window: dict[str, float] | None, run: Any = None) -> str:
    """A window in steps of a run, or else in time."""
    if window is None:
        return "no semantic window"
    at = {name: window[name] if run is None else run.step_at(window[name]) for name in ("onset", "peak", "end")}
    times = ", ".join(f"{name} {value:.4g}" for name, value in at.items())
    open_end = run is not None and window["end"] >= run.time[-1]
    return (
        f"semantic window ({'t' if run is None else 'step'}): {times}; height {window['height']:.3f}"
        f"{'; still open at the last step, so its end is not seen' if open_end else ''}"
    )
