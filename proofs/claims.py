"""The index: every claim of the theory with the theorems that prove it, and what is still open.

`index.toml` beside this module holds the rows; unproved ones stay in it.
"""

import tomllib
from dataclasses import dataclass
from importlib import resources

STATUSES = ("proved", "certified", "corrected", "open")


@dataclass(frozen=True)
class Row:
    """One part of a claim.

    Attributes
    ----------
    number : int, of the claim
    title : str, of the claim
    says : str
    status : "proved", "certified" (on stated instances), "corrected" (false in part as first stated) or "open"
    theorems, counterexamples : tuple of str
    note : str
    """

    number: int
    title: str
    says: str
    status: str
    theorems: tuple[str, ...] = ()
    counterexamples: tuple[str, ...] = ()
    note: str = ""


def index() -> tuple[Row, ...]:
    """The rows of the index, claim by claim.

    Examples
    --------
    >>> [row.says for row in index() if row.number == 4]
    ['all strata alike for all times']
    """
    text = resources.files(__package__).joinpath("index.toml").read_text(encoding="utf-8")
    return tuple(
        Row(
            claim["number"],
            claim["title"],
            part["says"],
            part["status"],
            tuple(part.get("theorems", ())),
            tuple(part.get("counterexamples", ())),
            part.get("note", ""),
        )
        for claim in tomllib.loads(text)["claim"]
        for part in claim["part"]
    )
