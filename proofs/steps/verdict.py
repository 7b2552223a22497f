"""What deciding a step of a proof can give, and the shape that every kind of step has."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol


class Undecided(Exception):
    """A step met something that its decision procedure does not cover; it then fails, with this reason."""


@dataclass(frozen=True)
class Verdict:
    """`holds`, `refuted` (decided to be false), or `undecided` (outside the procedure); with the reason."""

    status: Literal["holds", "refuted", "undecided"]
    reason: str


class Step(Protocol):
    """One step of a proof: what it `says`, its `kind`, and a decision procedure in exact arithmetic."""

    kind: ClassVar[str]

    @property
    def says(self) -> str:
        """What the step shows, in a sentence."""

    def decide(self) -> Verdict:
        """The verdict; raises Undecided where the procedure does not reach."""


def holds(reason: str) -> Verdict:
    """The verdict of a step that is true."""
    return Verdict("holds", reason)


def refuted(reason: str) -> Verdict:
    """The verdict of a step that is false."""
    return Verdict("refuted", reason)
