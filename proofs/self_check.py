"""A check of this installation in a few seconds: answers that are known are found again, digit by digit.

The numbers below are no results of ours kept for comparison.  Those of cross-entropy are the digits that certified
enclosures share (`simulate(..., certify=True)`, balls of more than 53 bits); the logistics are evaluated in 40 decimal
digits from their formula; the theorem is proved anew, its wrong variants included.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """Something that is known.

    Attributes
    ----------
    name : what is computed
    find : computes it on this machine
    known : the answer
    within : relative error that is allowed; 0 for answers that must be equal
    """

    name: str
    find: Callable[[], Any]
    known: Any
    within: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What came of looking for an answer; `problem` is empty where it was found."""

    name: str
    found: Any
    known: Any
    within: float
    seconds: float
    problem: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"holds": not self.problem}


def logistic() -> float:
    """z(100) from z(0) = 1e-6, balanced, under squared error with s = 1/16: 1/(1 + (1/z0 - 1) e^(-2st))."""
    from ..theory.model import UFM
    from ..theory.system import derive

    return float(derive(UFM("a[4] * b[4]", loss="mse")).closed_form("a")(100.0, 1e-3))


def riccati() -> float:
    """Z_00(10) of the matrix solution from W0 = (0.1, 0)^T, H0 = (0.1, 0), targets I: the logistic from 0.01."""
    from ..numerics.riccati import riccati_solution

    return float(riccati_solution([[0.1], [0.0]], [[0.1, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [10.0]).Z[0, 0, 0])


def modes() -> float:
    """z_color(1000) under cross-entropy with ridge 1/1000 from w = h = 1/1000, of 4 colours x 6 shapes."""
    return _color(1000.0)


def matrices() -> float:
    """z_color(100) of the same model, integrated as whole matrices: what BLAS has a part in."""
    return _color(100.0, full=True)


def _color(t: float, **options: Any) -> float:
    from ..numerics.simulate import simulate
    from ..theory.model import UFM

    found = simulate(UFM("color[4] * shape[6]", ridge="1/1000"), [0.0, t], 1e-3, **options)
    return float(found.data["z"].sel(stratum="color").values[-1])


def theorem() -> str:
    """Status of one theorem, proved in exact arithmetic with its wrong variants refuted."""
    from .certificates import prove

    return prove("balanced_factors_cost_z_over_sqrt_kW_kH")[0].status


ANSWERS = (
    Answer("logistic of squared error in closed form", logistic, 0.21156635615696242, 1e-12),
    Answer("matrix Riccati solution", riccati, 0.9955255179295146, 1e-12),
    Answer("cross-entropy on the strata, certified digits", modes, 6.884460020357698, 1e-8),
    Answer("cross-entropy of whole matrices, certified digits", matrices, 0.0034056389819702222, 1e-6),
    Answer("theorem balanced_factors_cost_z_over_sqrt_kW_kH", theorem, "proved"),
)


def self_check(answers: Sequence[Answer] = ANSWERS) -> list[Outcome]:
    """Look for each answer.

    Examples
    --------
    >>> [outcome.problem for outcome in self_check([Answer("one and one", lambda: 1 + 1, 3)])]
    ['2, but 3 is known']
    """
    return [_outcome(answer) for answer in answers]


def _outcome(answer: Answer) -> Outcome:
    begun = time.perf_counter()
    found, problem = None, ""
    try:
        found = answer.find()
    except Exception as error:  # whatever a broken installation does is its outcome
        problem = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    else:
        if not _equal(found, answer.known, answer.within):
            problem = f"{found!r}, but {answer.known!r} is known"
    return Outcome(answer.name, found, answer.known, answer.within, time.perf_counter() - begun, problem)


def _equal(found: Any, known: Any, within: float) -> bool:
    return abs(found - known) <= within * abs(known) if within else found == known
