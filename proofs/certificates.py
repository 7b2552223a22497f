"""`prove`: check theorems by name, and hand back a certificate for each.

The theorems are the modules of `ufmflow.proofs.theorems`, each with a function `theorem()` that makes it.
"""

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from ..theory.errors import InputError, nearest
from . import counterexamples, theorems
from .checker import Counterexample, Theorem, failure, is_rejected

Progress = Callable[["Certificate", int, int], None]


@dataclass(frozen=True)
class CheckedStep:
    """The kind of a step, and what it showed."""

    kind: str
    says: str


@dataclass(frozen=True)
class Certificate:
    """The outcome of checking a theorem.

    Attributes
    ----------
    name, scope : str
    status : "proved" or "failed"
    steps : tuple of CheckedStep, the steps of the proof
    seconds : float
    mutations_rejected : int
        How many of the wrong variants the checker refuted; fewer than `mutations` fails the theorem.
    mutations : int
    reason : str
        Why it failed; empty when proved.
    """

    name: str
    status: str
    scope: str
    steps: tuple[CheckedStep, ...]
    seconds: float
    mutations_rejected: int
    mutations: int
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The certificate as plain data, for JSON."""
        return asdict(self)


def theorem_names() -> tuple[str, ...]:
    """The names of all theorems, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(theorems.__path__) if module.name[0] != "_"))


def counterexample_names() -> tuple[str, ...]:
    """The names of all counterexamples, sorted."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(counterexamples.__path__) if m.name[0] != "_"))


@cache
def theorem(name: str) -> Theorem:
    """The theorem of that name.

    Raises
    ------
    InputError
        For an unknown name.
    """
    _check(name, theorem_names(), "theorem")
    return importlib.import_module(f"{theorems.__name__}.{name}").theorem()


@cache
def counterexample(name: str) -> Counterexample:
    """The counterexample of that name; raises InputError for an unknown one."""
    _check(name, counterexample_names(), "counterexample")
    return importlib.import_module(f"{counterexamples.__name__}.{name}").counterexample()


@cache
def counterexamples_without(name: str) -> dict[str, tuple[str, ...]]:
    """For each hypothesis of a theorem the counterexamples in which its conclusion fails without it.

    Raises
    ------
    InputError
        For an unknown theorem.

    Examples
    --------
    >>> counterexamples_without("w2_over_kW_minus_h2_over_kH_is_conserved")["no ridge"]
    ('ridge_breaks_conservation',)
    """
    found: dict[str, tuple[str, ...]] = {hypothesis: () for hypothesis in theorem(name).hypotheses}
    for other in counterexample_names():
        for broken, hypothesis in counterexample(other).breaks:
            if broken == name:
                found[hypothesis] = (*found.get(hypothesis, ()), other)
    return found


def prove(names: str | Iterable[str] | None = None, progress: Progress | None = None) -> list[Certificate]:
    """Check theorems: every step of the proof holds, and every mutation is refuted.

    Parameters
    ----------
    names : str or iterable of str, optional
        Which theorems; all if None.
    progress : callable, optional
        Called as progress(certificate, done, total) after each theorem.

    Returns
    -------
    list of Certificate, in the order asked for

    Raises
    ------
    InputError
        For a name that no theorem has.

    Examples
    --------
    >>> certificate, = prove("balanced_mse_is_logistic")
    >>> certificate.status, certificate.mutations_rejected == certificate.mutations
    ('proved', True)
    """
    wanted = [names] if isinstance(names, str) else list(theorem_names() if names is None else names)
    for name in wanted:
        _check(name, theorem_names(), "theorem")
    known: dict[str, Certificate] = {}
    certificates = []
    for name in wanted:
        certificates.append(_certify(name, known, ()))
        if progress is not None:
            progress(certificates[-1], len(certificates), len(wanted))
    return certificates


def _certify(name: str, known: dict[str, Certificate], path: tuple[str, ...]) -> Certificate:
    """The certificate of a theorem, made once; a theorem stands only when those that it uses stand."""
    if name in path:
        raise RuntimeError(f"theorems use each other in a circle: {' -> '.join((*path, name))}")
    if name not in known:
        start = time.perf_counter()
        stated = theorem(name)
        used = [_certify(other, known, (*path, name)) for other in stated.uses]
        rejected = [wrong for wrong, steps in stated.mutations.items() if is_rejected(steps)]
        reason = failure(stated.proof) or _other_failure(stated, used, rejected)
        steps = tuple(CheckedStep(step.kind, step.says) for step in stated.proof)
        status = "failed" if reason else "proved"
        seconds = round(time.perf_counter() - start, 3)
        known[name] = Certificate(
            name, status, stated.scope, steps, seconds, len(rejected), len(stated.mutations), reason or ""
        )
    return known[name]


def _other_failure(stated: Theorem, used: list[Certificate], rejected: list[str]) -> str | None:
    for certificate in used:
        if certificate.status != "proved":
            return f"it uses {certificate.name}, which failed"
    for wrong in stated.mutations:
        if wrong not in rejected:
            return f"the mutation {wrong!r} was not refuted"
    return None


def _check(name: str, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        raise InputError(f"{what}: {name!r} is unknown{nearest(name, known)}; the {what}s are {', '.join(known)}.")
