"""Sign steps in a random frame: what they keep of a gradient whose strata are known, and what they add.

Let the d rows of a gradient X (d x m) be independent centred Gaussian vectors with a covariance in the algebra, energies
e_A on the strata: entries q(T), the same q on the diagonal, correlations rho(T) = q(T) / q.  Then

    E[sign(x_i) x_j] = sqrt(2/pi) q(T) / sqrt(q),            E[sign(x_i) sign(x_j)] = (2/pi) arcsin rho(T)

(Sheppard 1899; Price 1958).  The regression of the sign step on the gradient is sqrt(2/pi) X / (root mean square of X):
along the gradient, a sign step is the `normalized` step of `ufmflow.theory.optimisers`.  What is left is uncorrelated
with X and has the Gram d (2/pi) (arcsin rho - rho).  An entrywise function stays in the algebra, so its energies are

    (2/pi) sum_T v_T (arcsin rho(T) - rho(T)) chi_A(T)  >= 0,

since the Taylor coefficients of arcsin are positive and entrywise powers of a covariance are covariances: a sign step
puts energy into strata on which the gradient has none, interactions above all.  arcsin is odd, so between attributes
with two values each only products of an odd number of main effects receive any.

The law is exact in expectation for each step from such rows, and for the sum of n steps while the gradient keeps its
direction (n^2 times as much).  Beyond that, the rows' law is no longer Gaussian, and there is no closed flow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from .attributes import Attributes
from .errors import InputError
from .exact import nonnegative, per_name


@dataclass(frozen=True)
class SignStep:
    """Energies on the strata of a sign step, for each of its d rows.

    Attributes
    ----------
    along : dict from stratum to (2/pi) e_A / q, the part along the gradient
    beside : dict from stratum to the part that is uncorrelated with the gradient
    """

    along: dict[str, sp.Expr]
    beside: dict[str, sp.Expr]

    @property
    def energies(self) -> dict[str, sp.Expr]:
        """The sum of both parts; its entries are 1 on the diagonal."""
        return {A: self.along[A] + self.beside[A] for A in self.along}


def sign_step(attributes: Attributes, energies: Mapping[str, Any] | Any) -> SignStep:
    """What a sign step makes of a gradient with Gaussian rows.

    Where H = U Phi and the step acts on U, give the energies of the gradient in U, kH_A e_A when Phi is the root of KH
    in the basis of contexts, and multiply the result by kH_A: unlike gradient flow, it depends on Phi, not on KH alone.

    Parameters
    ----------
    attributes : Attributes
    energies : one number e_A >= 0 for each stratum, not all 0; the mean's is 0 when left out

    Raises
    ------
    InputError
        For negative energies, unknown strata, or no energy at all.

    Examples
    --------
    >>> step = sign_step(Attributes("color[4] * shape[6]"), {"color": 1, "shape": 1, "color:shape": 0})
    >>> [round(float(step.along[A]), 3) for A in ("color", "shape", "color:shape")]
    [1.91, 1.91, 0.0]
    >>> [round(float(step.beside[A]), 3) for A in ("color", "shape", "color:shape")]
    [0.365, 0.412, 0.345]
    """
    given = per_name(energies, attributes.names, "energies", mean=0)
    e = {A: nonnegative(value, f"energies[{A}]") for A, value in given.items()}
    q = attributes.entries(e)
    variance = q[attributes.names[-1]]
    if variance == 0:
        raise InputError("energies: all are 0; a sign step needs a gradient, give one positive energy at least.")
    rho = {T: sp.cancel(entry / variance) for T, entry in q.items()}
    v = {T.name: T.valency for T in attributes.relations}
    return SignStep(
        along={A: 2 * e[A] / (sp.pi * variance) for A in e},
        beside={A: 2 / sp.pi * sum(v[T] * (sp.asin(rho[T]) - rho[T]) * attributes.character(A, T) for T in v)
                for A in e},
    )  # fmt: skip
