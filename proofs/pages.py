"""The index as a page: every claim with its parts, their status, and the statements of the theorems that decide them.

`docs/theorems.md` is this page; `ufmflow prove --index docs/theorems.md` writes it again.
"""

from collections.abc import Iterable

from .certificates import counterexample, theorem
from .checker import Counterexample, Theorem
from .claims import STATUSES, Row, index

MEANING = {
    "proved": "by exact steps, within the scope that stands with each theorem",
    "certified": "on stated instances, by exact or enclosing arithmetic",
    "corrected": "false in part as first stated; the true version is proved and a counterexample kept",
    "open": "not proved",
}


def index_page() -> str:
    """The index in Markdown, with formulas in LaTeX.

    Examples
    --------
    >>> print(index_page().splitlines()[0])
    # Theorem index
    """
    rows = index()
    counts = {status: sum(row.status == status for row in rows) for status in STATUSES}
    lines = [
        "# Theorem index",
        "",
        "Every claim of the theory, what decides each part of it, and how far that reaches. `ufmflow prove` checks all",
        "steps in exact arithmetic, and that wrong variants of each statement are refuted; `ufmflow prove NAME` checks",
        "one. This page is written by `ufmflow prove --index docs/theorems.md`.",
        "",
        *(f"- **{status}** ({counts[status]}): {MEANING[status]}" for status in STATUSES if counts[status]),
        "",
    ]
    for number, title in dict.fromkeys((row.number, row.title) for row in rows):
        lines += [f"## {number}. {title}", "", "| | status | decided by |", "|---|---|---|"]
        lines += [_row(row) for row in rows if row.number == number]
        lines += ["", *(f"- {row.says}: {row.note}" for row in rows if row.number == number and row.note), ""]
        names = dict.fromkeys(name for row in rows if row.number == number for name in row.theorems)
        for name in names:
            lines += _theorem(theorem(name))
        for name in dict.fromkeys(name for row in rows if row.number == number for name in row.counterexamples):
            lines += _counterexample(counterexample(name))
    return "\n".join(_without_double_blanks(lines)) + "\n"


def _row(row: Row) -> str:
    names = [f"[{name}](#{name.lower()})" for name in (*row.theorems, *row.counterexamples)]
    return f"| {row.says} | {row.status} | {'<br>'.join(names) or '-'} |"


def _theorem(stated: Theorem) -> list[str]:
    source = f"../proofs/theorems/{stated.name}.py"
    lines = [f"### {stated.name}", "", _sentence(stated.statement), ""]
    lines += [f"- Hypotheses: {'; '.join(stated.hypotheses)}.", f"- Scope: {stated.scope}."]
    if stated.rests_on:
        lines += [f"- Rests on: {'; '.join(stated.rests_on)}."]
    if stated.uses:
        lines += [f"- Uses: {', '.join(f'[{name}](#{name.lower()})' for name in stated.uses)}."]
    if stated.references:
        lines += [f"- References: {'; '.join(stated.references)}."]
    wrong = "; ".join(stated.mutations)
    return [*lines, f"- [Proof]({source}) in {len(stated.proof)} steps; refuted variants: {wrong}.", ""]


def _counterexample(stated: Counterexample) -> list[str]:
    fails = f"without the hypothesis *{stated.without}*" if stated.without else f"as *{stated.against}*"
    return [
        f"### {stated.name}",
        "",
        f"Counterexample to [{stated.theorem}](#{stated.theorem.lower()}) {fails}. {_sentence(stated.statement)}",
        "",
    ]


def _sentence(text: str) -> str:
    """A statement on one line, so that its formulas are not broken over two."""
    return " ".join(text.split())


def _without_double_blanks(lines: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return kept
