"""The kinds of step that a proof may use, each a decision procedure in exact arithmetic."""

from .cases import Cases
from .enclosure import Enclosure
from .identity import DifferentialIdentity, Identity
from .induction import Induction
from .matrix_identity import MatrixIdentity, Rule, derivative
from .positivity import NONNEGATIVE, POSITIVE, SIZE, Interval, Positive, SumOfSquares
from .programme import LinearProgramme
from .trajectory import EnclosedTrajectory
from .verdict import Step, Undecided, Verdict

__all__ = [
    "NONNEGATIVE",
    "POSITIVE",
    "SIZE",
    "Cases",
    "DifferentialIdentity",
    "EnclosedTrajectory",
    "Enclosure",
    "Identity",
    "Induction",
    "Interval",
    "LinearProgramme",
    "MatrixIdentity",
    "Positive",
    "Rule",
    "Step",
    "SumOfSquares",
    "Undecided",
    "Verdict",
    "derivative",
]
