"""Ctrl-C: exit code 130, and one sentence that says what is kept and how to go on."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.core import TyperGroup

EXIT_CODE = 130  # 128 + SIGINT, as shells have it


class Interrupted(Exception):
    """The user stopped a verb; the message says what is kept."""


class Verbs(TyperGroup):
    """All verbs: an interrupt that a verb says nothing about keeps nothing."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted.") from None


@contextmanager
def resumable(kept: str | None) -> Iterator[None]:
    """Around work that can be taken up again: what an interrupt leaves (None: nothing), and how to go on with it."""
    try:
        yield
    except KeyboardInterrupt:
        if kept is None:
            raise
        command = shlex.join(["ufmflow", *sys.argv[1:]])
        raise Interrupted(f"interrupted; {kept}. The same command goes on from there:\n  {command}") from None
