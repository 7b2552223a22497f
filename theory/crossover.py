"""From structure that labels keep to structure that passes: softness of the targets against the kernel ratio.

Squared error, no constraint, the same kernel on both sides: k1 on the main effects (M dimensions in all), k2 on the rest
(N), targets tau_1 and tau_2, a ridge lam on both factors, and every stratum started at z_0.  With what the ridge leaves,
tau less m lam, and

    kappa = k1 / k2,    theta = tau_1 / tau_2,    alpha = kappa theta,    c_i = tau_i / z_0 - 1,    q = c_1 / c_2,

z_i = tau_i / (1 + c_i e^{-...}) are logistic, r = z_1 / z_2 is the ratio of energies, and the index M (r - 1)/(M r + N)
rises with it.  In E = e^{2 k2 scale tau_2 t} (theta >= 1 throughout):

    limit        r = theta: the kernel drops out, and the labels' co-occurrence alone is kept
    overshoot    iff alpha > 1: then r has one peak, E^alpha = alpha q E + c_1 (alpha - 1), R = theta E^{alpha-1}/(alpha q),
                 and falls to theta from there; for alpha <= 1 it never exceeds theta
    lasting      the index stays above half of its peak for ever iff R <= R*(theta) = (theta (M + 2 N) - N)/(2 M + N - theta M),
                 always where theta >= 2 + N/M; so iff z_0 >= tau_1 / (1 + c), with q = theta (1 + O(z_0)),
                     c = alpha (R* - theta)/(alpha - 1) (alpha R*)^{1/(alpha-1)}
    cause        ln R / ln(1/z_0) -> 1 - 1/alpha as z_0 -> 0, so that kernel and co-occurrence enter the peak through
                 ln alpha = ln kappa + ln theta alone: equal parts at kappa = theta
"""

from typing import Any

import sympy as sp

from .attributes import Attributes
from .errors import InputError
from .exact import exact


def softness_ratio(eps: Any, weight: Any, shrink: Any = 0) -> sp.Expr:
    """theta = (1 - eps + eps w - mu) / (1 - eps - mu): the target of a main effect over that of an interaction.

    Parameters
    ----------
    eps, weight : of `cooccurrence_targets`, w the weight of the attribute
    shrink : mu = m lam, what a ridge lam on both factors takes (mean loss)

    Examples
    --------
    >>> softness_ratio("1/2", "1/2")
    3/2
    """
    e, w, mu = exact(eps, "eps"), exact(weight, "weight"), exact(shrink, "shrink")
    return sp.cancel((1 - e + e * w - mu) / (1 - e - mu))


def softness_of(theta: Any, weight: Any, shrink: Any = 0) -> sp.Expr:
    """eps at which the targets' ratio is theta: (1 - mu)(theta - 1)/(theta - 1 + w).

    Examples
    --------
    >>> softness_of(softness_ratio("1/3", "1/2"), "1/2")
    1/3
    """
    x, w, mu = exact(theta, "theta"), exact(weight, "weight"), exact(shrink, "shrink")
    return sp.cancel((1 - mu) * (x - 1) / (x - 1 + w))


def dimensions(attributes: Attributes) -> tuple[sp.Expr, sp.Expr]:
    """M and N: dimensions of the main effects, and of all other strata but the mean."""
    m = attributes.multiplicities
    main = attributes.semantic_strata()
    if not main:
        raise InputError(f"attributes: {attributes} have no main effects apart from the labels themselves; cross some.")
    M = sp.Add(*(m[A] for A in main))
    return sp.factor(M), sp.factor(sp.expand(attributes.cardinality - 1 - M))


def ratio_index(ratio: Any, attributes: Attributes) -> sp.Expr:
    """The semantic index M (r - 1)/(M r + N) where main effects have r times the energy of the rest.

    Examples
    --------
    >>> ratio_index(1, Attributes("color[4] * shape[6]")), ratio_index(2, Attributes("color[4] * shape[6]"))
    (0, 8/31)
    """
    M, N = dimensions(attributes)
    r = exact(ratio, "ratio")
    return sp.cancel(M * (r - 1) / (M * r + N))


def lasting_peak(theta: Any, attributes: Attributes) -> sp.Expr:
    """R*(theta): the largest peak ratio of whose index half is left at the limit; oo from theta = 2 + N/M on.

    Examples
    --------
    >>> lasting_peak(2, Attributes("color[4] * shape[6]")), lasting_peak(4, Attributes("color[4] * shape[6]"))
    (61/15, oo)
    """
    M, N = dimensions(attributes)
    x = exact(theta, "theta")
    bottom = 2 * M + N - x * M
    return sp.oo if bottom.is_nonpositive else sp.cancel((x * (M + 2 * N) - N) / bottom)


def lasting_softness(attributes: Attributes, weight: Any, shrink: Any = 0) -> sp.Expr:
    """eps from which the window never closes, whatever the start and the kernel: (1 - mu)(V - 1)/(V - 1 + M w).

    Examples
    --------
    >>> lasting_softness(Attributes("color[4] * shape[6]"), "1/2")
    23/27
    """
    M, N = dimensions(attributes)
    return sp.factor(softness_of(2 + N / M, weight, shrink))


def log_lasting_start(theta: Any, kappa: Any, attributes: Attributes) -> sp.Expr:
    """ln c, c = tau_1/z_0 - 1 up to which the window never closes, up to a factor 1 + O(z_0); oo where it never does.

    The logarithm, since c grows without bound towards kappa theta = 1.

    Raises
    ------
    InputError
        For theta < 1.

    Examples
    --------
    >>> log_lasting_start(2, 1, Attributes("color[4] * shape[6]"))
    log(62/15) + log(122/15)
    """
    x, k = exact(theta, "theta"), exact(kappa, "kappa")
    if (x - 1).is_negative:
        raise InputError(f"theta: {theta} is below 1; targets along attributes have main effects at least as strong.")
    alpha, R = x * k, lasting_peak(x, attributes)
    if R == sp.oo or (alpha - 1).is_nonpositive:
        return sp.oo
    if x == 1:
        return -sp.oo  # one-hot labels leave nothing of a peak
    return sp.log(alpha * (R - x) / (alpha - 1)) + sp.log(alpha * R) / (alpha - 1)
