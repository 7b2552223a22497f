"""Borders of the phases in closed form: seen or never, how long a ridge lets structure live, what a bottleneck keeps.

Structure counts as seen where the semantic index reaches 1/2, half way from the collapsed geometry to attributes alone:
main effects then have r = 2 + N/M times the energy of the rest, M and N being the dimensions of the two.

Seen or never (squared error, balanced, free, no ridge, one-hot).  The window's peak is E^alpha = alpha E + c (alpha - 1) with
R = E^{alpha-1} / alpha, alpha = k1/k2, c = tau/z_0 - 1 (`window`).  Eliminating E,

    c = alpha (R - 1) / (alpha - 1) (alpha R)^{1/(alpha-1)},       which rises with R,

so structure is seen iff z_0 <= tau / (1 + c) at R = 2 + N/M.

Survival under a ridge (cross-entropy, balanced, free, two crossed attributes of n values).  While interactions are small,
the main effects' margin x = n z_1 / V obeys dx/dt = 2 k1 x (sigma (1 - pi) - lam), pi(x) = (e^x - 1)/(e^x + n - 1), and an
interaction's pull is sigma (1 - pi^2), since softmax is a product.  With 1 - pi^2 = (1 - pi)(1 + pi) time drops out but for
the ridge's part:

    ln(z_2/z_0) = (k2/k1) ( ln(x/x_0) + integral of pi dx/x ) + 2 k2 lam (integral of pi dt).

Main effects settle at pi* = 1 - lam/sigma, x* = ln((n - (n - 1) lam/sigma) sigma/lam); from there z_2 grows at the rate
rho = 2 k2 lam pi*, and the index has fallen to 1/2 when z_2 = z_1 / (2 + N/M), at

    t = ( (1 - pi* k2/k1) ln(x*/x_0) - (k2/k1) integral_{x_0}^{x*} pi dx/x - ln(2 + N/M) ) / rho,

to first order in the interactions.  Before the main effects saturate r = e^{2 (k1 - k2)(sigma - lam) t}, which is the onset.

Bottleneck (squared error, equal targets, small start): the d directions are filled by the largest kernels, and no other
stratum can grow then: main effects alone for d <= M, beyond it all of them with d - M directions of the rest.
"""

from typing import Any

import mpmath
import sympy as sp

from .attributes import Attributes
from .crossover import dimensions
from .errors import InputError
from .exact import exact
from .formula import Crossing
from .model import UFM
from .starts import start_pair
from .window import two_rates
from .window_numbers import is_balanced

DIGITS = 30


def semantic_ratio(attributes: Attributes) -> sp.Expr:
    """r = 2 + N/M, at which the semantic index is 1/2.

    Examples
    --------
    >>> semantic_ratio(Attributes("color[4] * shape[6]"))
    31/8
    """
    M, N = dimensions(attributes)
    return sp.cancel(2 + N / M)


def log_semantic_start(kappa: Any, attributes: Attributes) -> sp.Expr:
    """ln c, c = tau/z_0 - 1 from which on attributes are seen before they saturate; oo where none is small enough.

    Parameters
    ----------
    kappa : k1/k2 = sqrt(kW kH) of the main effects over that of the rest

    Examples
    --------
    >>> log_semantic_start(2, Attributes("a[3] * b[3]"))
    log(4) + log(6)
    >>> log_semantic_start(1, Attributes("a[3] * b[3]"))
    oo
    """
    alpha, R = exact(kappa, "kappa"), semantic_ratio(attributes)
    if (alpha - 1).is_nonpositive:
        return sp.oo
    return sp.log(alpha * (R - 1) / (alpha - 1)) + sp.log(alpha * R) / (alpha - 1)


def bottleneck_index(width: Any, attributes: Attributes) -> sp.Expr:
    """The semantic index that d directions hold when the largest kernels are the main effects'.

    Parameters
    ----------
    width : d >= 1, directions beside the mean; any real number, so that borders between phases can be solved for

    Examples
    --------
    >>> [bottleneck_index(d, Attributes("a[4] * b[4]")) for d in (3, 6, 10, 15, 20)]
    [1, 1, 1/3, 0, 0]
    """
    d = exact(width, "width")
    M, N = dimensions(attributes)
    if (d - 1).is_negative:
        raise InputError(f"width: {width} is no number of directions; give at least 1.")
    return sp.cancel((M / sp.Min(sp.Max(d, M), M + N) - M / (M + N)) / (1 - M / (M + N)))


def bottleneck_width(index: Any, attributes: Attributes) -> sp.Expr:
    """d at which a bottleneck holds that index, 0 <= index < 1: M (M + N) / (M + N index).

    Examples
    --------
    >>> bottleneck_width("1/3", Attributes("a[4] * b[4]"))
    10
    """
    x = exact(index, "index")
    M, N = dimensions(attributes)
    return sp.cancel(M * (M + N) / (M + N * x))


def survival(model: UFM, init: Any) -> tuple[float, float]:
    """When the index of a model with ridge rises to 1/2 and falls to it again; see the module's text.

    Parameters
    ----------
    model : cross-entropy, free, one-hot, two crossed attributes of one size; all main effects share one kernel, the
        interaction has a smaller one; kW lam_W = kH lam_H > 0
    init : number for w(0) = h(0) on every stratum, or the pair; balanced, w(0)^2/kW = h(0)^2/kH

    Returns
    -------
    (onset, end) : learning rate x steps

    Raises
    ------
    InputError
        For other models, and starts that are not balanced, or no small positive number.

    Examples
    --------
    >>> kernel = {"1": 1, "a": 4, "b": 4, "a:b": 1}
    >>> model = UFM("a[4] * b[4]", feature_kernel=kernel, label_kernel=kernel, ridge=1e-4)
    >>> [round(t, 2) for t in survival(model, 1e-3)]
    [3.35, 56344.2]
    """
    labels, rates = model.label_attributes, two_rates(model)
    sizes = set(labels.sizes.values())
    crossed = isinstance(labels.tree, Crossing) and len(labels.sizes) == 2 and len(sizes) == 1
    one_hot = set(model.targets.values()) == {sp.S(1)}
    if model.loss != "cross_entropy" or rates is None or not crossed or not one_hot or model.free_symbols:
        raise InputError(
            "survival: it is known for cross-entropy in numbers with two crossed attributes of one size, one kernel for "
            "main effects and one for the interaction, and kW lam_W = kH lam_H; simulate instead."
        )
    w0, h0 = (exact(x, "init") for x in start_pair(init))
    if not is_balanced(model, (w0, h0)):
        raise InputError(f"init: {init} is not balanced; give w(0), h(0) with w(0)^2/kW = h(0)^2/kH on every stratum.")
    with mpmath.workdps(DIGITS):
        k1, k2, sigma, lam, M, N = (
            mpmath.mpf(str(sp.N(x, DIGITS))) for x in (rates.k1, rates.k2, rates.pull, rates.shrink, rates.M, rates.N)
        )
        if not (k1 > k2 > 0 and 0 < lam < sigma):
            raise InputError(
                f"survival: ridge {model.ridge} and kernels {k1}, {k2}; it needs main effects with the larger kernel and "
                f"a ridge between 0 and {sigma}."
            )
        n = mpmath.mpf(int(sizes.pop()))
        start = mpmath.mpf(str(sp.N(w0 * h0, DIGITS))) / n  # margin of n z / V, V = n^2
        share = 1 - lam / sigma
        settled = mpmath.log((n - (n - 1) * lam / sigma) * sigma / lam)
        if not 0 < start < settled:
            raise InputError(f"init: {init}; give a positive start below the main effects' end.")

        def per_fold(x: mpmath.mpf) -> mpmath.mpf:
            return mpmath.expm1(x) / (x * (mpmath.expm1(x) + n))

        turns = sorted({start, settled, *(x for x in (mpmath.mpf(1), mpmath.log(n) + 2) if start < x < settled)})
        ratio = 2 + N / M
        folds = (1 - share * k2 / k1) * mpmath.log(settled / start) - k2 / k1 * mpmath.quad(per_fold, turns)
        onset = mpmath.log(ratio) / (2 * (k1 - k2) * (sigma - lam))
        return float(onset), float((folds - mpmath.log(ratio)) / (2 * k2 * lam * share))
