"""What theory says of the end of a training: whether its structure collapses, or stays for good, and why.

- Features that never move keep their geometry.
- One-hot labels under a final norm: the features' end is the ETF whatever their kernel (`ufmflow.theory.limits`); with
  a ridge on W as well, since at rest g_A^2 is the same on every stratum that survives.
- Soft targets without ridge: the pull on the features ends where softmax meets the targets, at finite logits, so that
  what structure is there then stays.
- No final norm: the max-margin programme decides (`ufmflow.theory.persistence`); a ridge on both factors: the ETF.
"""

from dataclasses import dataclass

import sympy as sp

from ..theory.model import UFM
from ..theory.persistence import persistence
from .start import Start

DIGITS = 4  # of a kernel's square root, so that the programme is exact and small


@dataclass(frozen=True)
class Outlook:
    """The end of a training in theory.

    Attributes
    ----------
    phase : "permanent", "collapses" or "unknown"
    why : in a sentence
    """

    phase: str
    why: str


def outlook(start: Start) -> Outlook:
    """What becomes of the features' geometry as training goes on for ever.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> outlook(Start.of(example_run())).phase
    'collapses'
    """
    model = start.model
    soft = start.targets is not None
    if start.body_rate == 0:
        return Outlook("permanent", "the features never move")
    if soft and not start.decay_head and not start.ridge_features:
        return Outlook("permanent", "the pull on the features ends where softmax meets the soft targets")
    if start.head_rate == 0:
        return Outlook("collapses", "a fixed random head draws every label's features apart, whatever they share")
    if soft:
        return Outlook("unknown", "soft targets with a ridge have no known limit here; the index is the forecast's")
    if start.F.shape[0] - 1 < int(model.label_count) - 1:
        return Outlook(
            "unknown", "a width below labels - 1 has no ETF to collapse to, and cross-entropy may move on late"
        )
    if start.normalized:
        ridge = " and the ridge on W leaves every stratum the same pull" if start.decay_head else ""
        return Outlook("collapses", f"under a final norm one-hot labels end at the ETF, whatever the kernel{ridge}")
    if start.ridge_features and start.decay_head:
        return Outlook("collapses", "a ridge on both factors ends one-hot labels at the ETF")
    if start.ridge_features or start.decay_head or start.decay_body:
        return Outlook("unknown", "a ridge on one factor alone has no known limit for cross-entropy")
    phase = persistence(_rounded(model)).phase
    if phase == "collapsed":
        return Outlook(
            "collapses", "the kernel's ratio of main effects to the rest is too small for the structure to persist"
        )
    return Outlook("permanent", f"without a final norm the max-margin geometry at this kernel is {phase}")


def _rounded(model: UFM) -> UFM:
    """The model with rational square roots of its kernel, to a few digits."""

    def square(value: sp.Expr) -> sp.Expr:
        return sp.Rational(f"{float(sp.sqrt(value)):.{DIGITS}g}") ** 2

    return UFM(
        model.attributes, labels=model.labels, feature_kernel={A: square(k) for A, k in model.feature_kernel.items()},
        label_kernel=1, constraint="free",
    )  # fmt: skip
