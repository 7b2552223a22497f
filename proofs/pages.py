"""The index as a page: every claim with its parts, their status, and the statements of the theorems that decide them.

`docs/theorems.md` is this page; `ufmflow prove --index docs/theorems.md` writes it again.
"""

from collections.abc import Iterable

from .certificates import counterexample, counterexamples_without, theorem
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
    names = [_link(name) for name in (*row.theorems, *row.counterexamples)]
    return f"| {row.says} | {row.status} | {'<br>'.join(names) or '-'} |"


def _theorem(stated: Theorem) -> list[str]:
    source = f"../proofs/theorems/{stated.name}.py"
    lines = [f"### {stated.name}", "", _sentence(stated.statement), ""]
    if stated.setting:
        lines += [f"- Setting: {'; '.join(stated.setting)}."]
    if stated.hypotheses:
        lines += ["- Hypotheses, each with what fails without it:"]
        lines += [f"  - {hypothesis}: {found}" for hypothesis, found in _needed(stated)]
    lines += [f"- Scope: {stated.scope}."]
    if stated.rests_on:
        lines += [f"- Rests on: {'; '.join(stated.rests_on)}."]
    if stated.uses:
        lines += [f"- Uses: {', '.join(_link(name) for name in stated.uses)}."]
    if stated.references:
        lines += [f"- References: {'; '.join(stated.references)}."]
    wrong = "; ".join(stated.mutations)
    return [*lines, f"- [Proof]({source}) in {len(stated.proof)} steps; refuted variants: {wrong}.", ""]


def _needed(stated: Theorem) -> list[tuple[str, str]]:
    """Each hypothesis with its counterexamples, or that it is not known to be needed."""
    kept = counterexamples_without(stated.name)
    return [
        (hypothesis, ", ".join(_link(name) for name in kept[hypothesis]) or "not known to be needed")
        for hypothesis in stated.hypotheses
    ]


def _counterexample(stated: Counterexample) -> list[str]:
    fails = [f"{_link(broken)} without the hypothesis *{hypothesis}*" for broken, hypothesis in stated.breaks]
    if stated.against:
        fails = [f"{_link(stated.theorem)} as *{stated.against}*", *fails]
    return [
        f"### {stated.name}",
        "",
        f"Counterexample to {'; to '.join(fails)}. {_sentence(stated.statement)}",
        "",
    ]


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _sentence(text: str) -> str:
    """A statement on one line, so that its formulas are not broken over two."""
    return " ".join(text.split())


def _without_double_blanks(lines: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return kept
