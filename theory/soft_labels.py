"""What soft labels leave under cross-entropy: the same geometry for every softness and every kernel.

Crossed attributes k = 1..K of sizes n_k, targets (1 - eps) I + eps sum_k w_k (averaging over labels that share k) with
all w_k > 0 and 0 < eps < 1.  Their matrix T is positive wherever two combinations share an attribute, and 0 where they
share none.  Cross-entropy less the entropy of T is a divergence of softmax(Z) from T; where it tends to 0,

    Z(R) - Z(same) -> ln T(R)/T(same)  on relations R that share something,     gap = Z(same) - Z(nothing) -> oo,

so that Z over its norm tends to minus the indicator of sharing nothing, centred, whatever eps, weights, kernels and start:

    z_A  ~  gap (-1)^{|A|+1} prod_{k not in A} (n_k - 1),          m_A |z_A| = gap prod_k (n_k - 1)  for every A.

Balanced factors with equal kernels have m_A h_A^2 = m_A |z_A|, hence *equal shares*: 1/(2^K - 1) for each stratum.
Strata of an even number of attributes change sign on the way: the first to vanish raises the index close to 1 before
it settles (for K = 2 at gap = ln T(same)^2 / (T(1) T(2)), T(k) where k alone is shared).  Such a stratum starts aligned,
w_A h_A > 0, and the flow of w_A = h_A keeps the sign: that symmetric solution ends with attributes alone, but is unstable.

Squared error is another matter (`ufmflow.theory.crossover`): there the limit is T itself.
"""

from collections.abc import Mapping
from typing import Any

import sympy as sp

from .attributes import Attributes
from .errors import InputError
from .exact import exact


def soft_direction(attributes: Attributes) -> dict[str, sp.Expr]:
    """z_A / gap in the limit: (-1)^{|A|+1} prod_{k not in A} (n_k - 1), 0 on the mean.

    Raises
    ------
    InputError
        For attributes that are nested or fewer than two.

    Examples
    --------
    >>> soft_direction(Attributes("color[4] * shape[6]"))
    {'1': 0, 'color': 5, 'shape': 3, 'color:shape': -1}
    """
    _check(attributes)
    sets = zip(attributes.names, attributes.ancestral_sets, strict=True)
    return {
        name: (-1) ** (len(A) + 1) * sp.Mul(*(n - 1 for k, n in attributes.sizes.items() if k not in A))
        if A
        else sp.S(0)
        for name, A in sets
    }


def soft_index(attributes: Attributes) -> sp.Expr:
    """The semantic index in the limit: of equal shares, K of 2^K - 1 being main effects.

    Examples
    --------
    >>> soft_index(Attributes("color[4] * shape[6]"))
    22/45
    """
    _check(attributes)
    K, m = len(attributes.sizes), attributes.multiplicities
    etf = sp.Add(*(m[A] for A in attributes.semantic_strata())) / (attributes.cardinality - 1)
    return sp.factor((sp.Rational(K, 2**K - 1) - etf) / (1 - etf))


def soft_logits(attributes: Attributes, targets: Mapping[str, Any], gap: Any) -> dict[str, sp.Expr]:
    """z_A of the logits that fit the soft labels where anything is shared, and lie `gap` below the own label elsewhere.

    Parameters
    ----------
    attributes : crossed attributes, two at least
    targets : tau_A of `cooccurrence_targets` with all weights > 0 and 0 < eps < 1
    gap : Z(same) - Z(nothing shared)

    Raises
    ------
    InputError
        For nested attributes, and targets that are 0 where attributes are shared.

    Examples
    --------
    At the gap ln T(same)^2/(T(color) T(shape)) no interaction is left:

    >>> from ufmflow.theory.kernels import cooccurrence_targets
    >>> structure = Attributes("color[4] * shape[6]")
    >>> tau = cooccurrence_targets(structure, "1/2", {"color": "1/2", "shape": "1/2"})
    >>> sp.simplify(soft_logits(structure, tau, sp.log(29**2 / sp.S(2 * 3)))["color:shape"])
    0
    """
    _check(attributes)
    entry = attributes.entries({A: exact(targets[A], f"targets[{A}]") for A in attributes.names})
    shared = attributes.names[1:]
    for R in shared:
        if not entry[R].is_positive:
            raise InputError(
                f"targets: {entry[R]} where {R} is shared; give soft ones, with weight on every attribute."
            )
    logits = {R: sp.log(entry[R] / entry[shared[-1]]) for R in shared}
    return attributes.eigenvalues({"1": -exact(gap, "gap"), **logits})


def _check(attributes: Attributes) -> None:
    if len(attributes.sizes) < 2 or any(attributes.ancestors.values()):
        raise InputError(f"attributes: {attributes}; soft labels are of crossed attributes, two at least.")
