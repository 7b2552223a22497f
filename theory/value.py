"""What the measures of downstream value are in terms of the strata, exactly.

Shares s_A of the Gram matrix of the V class means, main effects of M dimensions in all, semantic index I:

    adjusted R^2 of features regressed on attributes alone                            = I
    additive prediction of a class left out, R^2 = 1 - (1 - I) (V - 1)/(V - 1 - M)
    mean |x(a,b) - x(a',b) - x(a,b') + x(a',b')|^2 over the ETF's                     = sum_A c_A s_A (V - 1) / sum_A c_A m_A

with c_A how many pairs of attributes A holds that can change independently of each other: 1 - I for two crossed ones.

A ridge probe (penalty lam) for an attribute k that is left out on n_k contexts, one of each of its values and no two
alike in anything, decodes them from features with stratum energies e_A by the margin

    (s_k - omega) / (1 - omega),     omega = sum_A omega_A s_A,     omega_A = m_A (1 - chi_A(1)) / V,     s_A = e_A / (e_A + lam),

positive exactly when k's shrinkage exceeds the mean one: an order of energies, not their size.  The omega_A sum to 1.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import sympy as sp

from .attributes import Attributes
from .errors import InputError
from .exact import exact


def independent_pairs(attributes: Attributes) -> tuple[tuple[str, str], ...]:
    """Pairs of attributes of which neither is nested in the other: those that analogies can change.

    Examples
    --------
    >>> independent_pairs(Attributes("(kingdom[2] / genus[3]) * size[2]"))
    (('kingdom', 'size'), ('genus', 'size'))
    """
    above = attributes.ancestors
    return tuple((j, k) for j, k in combinations(attributes.sizes, 2) if j not in above[k] and k not in above[j])


def parallelogram_strata(attributes: Attributes, j: str, k: str) -> tuple[str, ...]:
    """Strata that x(a,b) - x(a',b) - x(a,b') + x(a',b') sees: those with j and k, and nothing nested in either.

    a and a' are values of j in one place of what j is nested in; x is the mean over what is nested in j or k, and all
    other attributes are equal.

    Raises
    ------
    InputError
        For attributes that cannot change independently.

    Examples
    --------
    >>> parallelogram_strata(Attributes("a[2] * b[3] * c[2]"), "a", "b")
    ('a:b', 'a:b:c')
    """
    if (j, k) not in independent_pairs(attributes):
        known = ", ".join(f"{a} and {b}" for a, b in independent_pairs(attributes)) or "none"
        raise InputError(f"pair: {j} and {k} do not change independently in {attributes}; those that do: {known}.")
    below = {i for i in attributes.sizes if {j, k} & attributes.ancestors[i]}
    return tuple(
        name
        for A, name in zip(attributes.ancestral_sets, attributes.names, strict=True)
        if {j, k} <= A and not A & below
    )


def parallelogram_weights(attributes: Attributes, pair: tuple[str, str] | None = None) -> dict[str, sp.Expr]:
    """The parallelogram error sum_A weight_A share_A: 1 at the ETF, 0 for an additive geometry.

    For one pair, mean |x(a,b) - x(a',b) - x(a,b') + x(a',b')|^2 over all changes of j and k, over what it is when all
    strata but the mean have the energy sum_A m_A e_A / (V - 1).  For None, the pairs' means weighted by the dimensions
    that they see.

    Parameters
    ----------
    attributes : structure of the classes
    pair : attributes (j, k), in the formula's order; all independent pairs if None

    Returns
    -------
    dict from stratum to weight (exact); empty where no pair is independent

    Examples
    --------
    For two crossed attributes the error is 1 less the semantic index:

    >>> parallelogram_weights(Attributes("color[4] * shape[6]"))["color:shape"], index_weight(Attributes("color[4] * shape[6]"))
    (23/15, 23/15)
    """
    pairs = independent_pairs(attributes) if pair is None else (pair,)
    counted = dict.fromkeys(attributes.names, 0)
    for j, k in pairs:
        for A in parallelogram_strata(attributes, j, k):
            counted[A] += 1
    m = attributes.multiplicities
    seen = sp.Add(*(count * m[A] for A, count in counted.items()))
    return {A: sp.factor(count * (attributes.cardinality - 1) / seen) for A, count in counted.items() if count}


def index_weight(attributes: Attributes) -> sp.Expr:
    """1 - I over the share of all strata that are no main effects: (V - 1)/(V - 1 - M).

    It is also the factor of adjusted R^2, so that the semantic index is the adjusted R^2 of features regressed on the
    attributes alone.
    """
    m, V = attributes.multiplicities, attributes.cardinality
    M = sp.Add(*(m[A] for A in attributes.semantic_strata()))
    return sp.factor((V - 1) / (V - 1 - M))


def additive_transfer(attributes: Attributes, index: Any) -> sp.Expr:
    """R^2 of the additive prediction of each class from all others, for a semantic index: 1 - (1 - I)(V-1)/(V-1-M).

    The prediction is the least-squares sum of a mean and of effects of the attributes; R^2 is against the mean of the
    others.  It holds for any features, symmetric or not, one vector per class.

    Examples
    --------
    >>> additive_transfer(Attributes("color[4] * shape[6]"), 1), additive_transfer(Attributes("color[4] * shape[6]"), 0)
    (1, -8/15)
    """
    return 1 - (1 - exact(index, "index")) * index_weight(attributes)


def decoding_weights(attributes: Attributes, relation: str = "1") -> dict[str, sp.Expr]:
    """omega_A = m_A (1 - chi_A(T)) / V, for contexts left out that stand to each other in the relation T.

    They are at least 0 and sum to 1, the mean's being 0.

    Examples
    --------
    >>> decoding_weights(Attributes("color[4] * shape[6]"))
    {'1': 0, 'color': 1/6, 'shape': 1/4, 'color:shape': 7/12}
    """
    m, V = attributes.multiplicities, attributes.cardinality
    return {A: sp.cancel(m[A] * (1 - attributes.character(A, relation)) / V) for A in attributes.names}


def decoding_margin(attributes: Attributes, factor: str, energies: Mapping[str, Any], lam: Any) -> sp.Expr:
    """By how much a ridge probe's score of the true value of a factor exceeds that of any other value, left out.

    Parameters
    ----------
    attributes : structure of the contexts, one for each class
    factor : nested in no other; the contexts left out have each of its values once and share nothing else
    energies : e_A of each stratum but the mean; the Gram matrix is sum_A e_A P_A
    lam : penalty of the probe, > 0, in the units of e_A

    Returns
    -------
    (s_k - omega)/(1 - omega), at most 1; decoded when positive, and 0 at the ETF

    Raises
    ------
    InputError
        For a factor that is nested in another, or unknown.

    Examples
    --------
    >>> structure = Attributes("color[4] * shape[6]")
    >>> decoding_margin(structure, "color", {"color": 1, "shape": 1, "color:shape": 0}, "1/10")
    35/41
    >>> decoding_margin(structure, "color", {"color": 1, "shape": 1, "color:shape": 1}, "1/10")
    0
    """
    if factor not in attributes.sizes or attributes.ancestors[factor]:
        top = [k for k in attributes.sizes if not attributes.ancestors[k]]
        raise InputError(f"factor: {factor!r}; give one that is nested in no other: {', '.join(top)}.")
    penalty = exact(lam, "lam")
    values = {A: exact(e, f"energies[{A}]") for A, e in energies.items() if A != "1"}
    s = {A: e / (e + penalty) for A, e in values.items()}
    omega = sp.Add(*(weight * s[A] for A, weight in decoding_weights(attributes).items() if A != "1"))
    return sp.cancel((s[factor] - omega) / (1 - omega))
