"""Theorems as data, and the checker that decides them.

A theorem says its conclusion in its name, states it in prose with LaTeX, lists its hypotheses and what it covers, and
proves it by steps of declared kinds (`ufmflow.proofs.steps`).  Its mutations are wrong variants of the statement (a
sign, a constant, an exponent, a dropped hypothesis) with the steps that would prove them; the checker must *refute*
each, so that a checker which accepts too much is caught.  A step that cannot be decided fails the theorem.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import sympy as sp

from .steps import Step, Undecided, Verdict


@dataclass(frozen=True)
class Theorem:
    """A statement with its proof.

    Attributes
    ----------
    name : str
        The conclusion, as an identifier; the module's name.
    statement : str
        The statement in prose with LaTeX.
    hypotheses : tuple of str
        What the statement assumes and could do without, in meaning though not in truth.
    scope : str
        What the steps cover, stated exactly ("all sizes, K <= 3").
    claims : tuple of int
        Numbers of the claims of the theory that it belongs to.
    proof : tuple of Step
    mutations : mapping from the name of a wrong variant to its steps
    rests_on : tuple of str
        Standard facts that lead from the steps to the statement and are not checked here.
    uses : tuple of str
        Other theorems that the proof rests on.
    references : tuple of str
    setting : tuple of str
        Which object the statement is about: the member of the family, and what its quantities need to be defined.
    open_hypotheses : tuple of str
        The hypotheses that are not known to be needed: no counterexample without them is kept.
    """

    name: str
    statement: str
    hypotheses: tuple[str, ...]
    scope: str
    claims: tuple[int, ...]
    proof: tuple[Step, ...]
    mutations: Mapping[str, tuple[Step, ...]]
    rests_on: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    setting: tuple[str, ...] = ()
    open_hypotheses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counterexample:
    """An exact instance in which the conclusion of a theorem fails without one of its hypotheses.

    Attributes
    ----------
    name : str
        The failure, as an identifier; the module's name.
    statement : str
    theorem : str
        The theorem whose conclusion fails.
    proof : tuple of Step
    without : str
        The hypothesis of the theorem that the instance breaks; empty when it refutes a stronger statement.
    against : str
        The stronger statement that it refutes; empty when it breaks a hypothesis.
    also : tuple of (theorem, hypothesis)
        Other theorems whose conclusions fail in the same instance, each with the hypothesis that it breaks.
    """

    name: str
    statement: str
    theorem: str
    proof: tuple[Step, ...]
    without: str = ""
    against: str = ""
    also: tuple[tuple[str, str], ...] = ()

    @property
    def breaks(self) -> tuple[tuple[str, str], ...]:
        """Each (theorem, hypothesis) that the instance shows to be needed."""
        return (((self.theorem, self.without),) if self.without else ()) + self.also


def decide(step: Step) -> Verdict:
    """The verdict of a step; what its procedure cannot decide is `undecided`, never true.

    Floats are refused before anything is computed: they may cancel, and what is left would look exact.
    """
    if (found := next(iter(_floats(step)), None)) is not None:
        return Verdict("undecided", f"{found} is a float, not an exact number")
    try:
        return step.decide()
    except Undecided as reason:
        return Verdict("undecided", str(reason))


def _floats(value: Any) -> Iterable[Any]:
    """The floats within a step's data."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _floats(key)
            yield from _floats(entry)
    elif isinstance(value, (tuple, list, frozenset)):
        for entry in value:
            yield from _floats(entry)
    elif isinstance(value, (sp.Basic, sp.MatrixBase)):
        yield from value.atoms(sp.Float)
    elif is_dataclass(value):
        for entry in fields(value):
            yield from _floats(getattr(value, entry.name))


def failure(steps: Iterable[Step]) -> str | None:
    """Why steps prove nothing: the first that does not hold, or that there are none; None when all hold."""
    steps = tuple(steps)
    if not steps:
        return "the proof has no steps"
    for step in steps:
        verdict = decide(step)
        if verdict.status != "holds":
            return f"{step.kind} {step.says!r} is {verdict.status}: {verdict.reason}"
    return None


def is_rejected(steps: Iterable[Step]) -> bool:
    """Whether a mutation's steps are refuted: at least one is decided to be false."""
    return any(decide(step).status == "refuted" for step in steps)
