"""On the sphere the norm is kept, kH drops out of the fixed points, and the ETF ray is one direction of rest for H."""

import sympy as sp

from ..checker import Theorem
from ..gallery import CHAINS, CROSSED, MIXED, at, flow, model
from ..steps import POSITIVE, SIZE, Identity, Step, SumOfSquares

STATEMENT = r"""Sphere, with $u_A = g_A w_A$, $c = \langle u, h\rangle/\langle h, h\rangle$, $f_A = \kappa^H_A (u_A -
c h_A)$, $a = \langle f, h\rangle/\langle h, h\rangle$ and $\langle x, y\rangle = \sum_A m_A x_A y_A$: $\sum_A m_A
h_A^2$ is constant; if $f = a h$ then $\sum_A m_A \kappa^H_A (u_A - c h_A)^2 = 0$, so $u = c h$: the features rest
exactly where the plain tangent gradient vanishes, for every positive $\kappa^H$. One-hot, with all strata but the
mean alike and the mean at 0, $\dot h = 0$: features in an ETF stay there while $W$ grows, for every $\kappa^H$."""
FORMULAS = (*CROSSED[:2], *CHAINS, *MIXED)


def theorem() -> Theorem:
    return Theorem(
        name="sphere_keeps_norms_and_its_fixed_points_ignore_the_kernel",
        statement=STATEMENT,
        setting=("sphere",),
        hypotheses=("positive kernels", "tangent projection before and after the kernel"),
        scope="cross-entropy; all sizes; one factor, a * b, chains of up to 3, (a * b) / c, (a / b) * c.  That the "
        "ETF attracts every start is not part of it",
        claims=(13,),
        proof=(
            *(step for formula in FORMULAS for step in (*norm(formula), *fixed_points(formula))),
            *(step for formula in FORMULAS[:4] for step in etf(formula)),
        ),
        mutations={
            "the unweighted norm": norm("a[n1] * b[n2]", weighted=False),
            "without the first projection": fixed_points("a[n1] * b[n2]", project=False),
            "the ETF with unequal strata": etf("a[n1] * b[n2]", unequal=True),
            "the ETF with a mean": etf("a[n1]", mean=True),
        },
    )


def norm(formula: str, weighted: bool = True) -> tuple[Step, ...]:
    derived = flow(formula, constraint="sphere")
    m = model(formula, constraint="sphere").attributes.multiplicities
    change = sum((m[A] if weighted else 1) * 2 * h * derived.rates[h] for A, h in derived.h.items())
    definition = {symbol: value for symbol, value in derived.definitions if str(symbol) == "a"}
    return (Identity(f"{formula}: the norm is constant", change.xreplace(definition), sp.S(0)),)


def fixed_points(formula: str, project: bool = True) -> tuple[Step, ...]:
    """With r = u - c h (tangent: <r, h> = 0) the definitions give <r, f> = sum m kH r^2, and <r, a h> = 0."""
    derived, structure = flow(formula, constraint="sphere"), model(formula, constraint="sphere")
    m, kH = structure.attributes.multiplicities, structure.feature_kernel
    named = {str(symbol): (symbol, value) for symbol, value in derived.definitions}
    c, c_value = named["c"]
    f = {A: named[f"f_{A.replace(':', '__')}"][1] for A in derived.h}
    pull = {A: derived.g[A] * derived.w[A] if A in derived.w else sp.S(0) for A in derived.h}
    kept = c if project else sp.S(0)
    r = {A: pull[A] - kept * h for A, h in derived.h.items()}
    tangent = sum(m[A] * r[A] * derived.h[A] for A in r).xreplace({c: c_value})
    domain = dict.fromkeys(structure.attributes.sizes.values(), SIZE) | dict.fromkeys(kH.values(), POSITIVE)
    return (
        Identity(f"{formula}: u - c h is tangent", tangent, sp.S(0)),
        SumOfSquares(
            f"{formula}: <u - c h, f> is a sum of squares",
            sum(m[A] * r[A] * f[A] for A in r),
            tuple((m[A] * kH[A], r[A]) for A in r),
            domain,
        ),
    )


def etf(formula: str, unequal: bool = False, mean: bool = False) -> tuple[Step, ...]:
    derived = flow(formula, constraint="sphere")
    w, h = sp.symbols("w h", positive=True)
    first, *others = derived.h
    point = {derived.w[A]: w for A in others} | {derived.h[A]: h for A in others}
    point |= {derived.w[first]: sp.S(0), derived.h[first]: h if mean else sp.S(0)}
    if unequal:
        point[derived.h[others[0]]] = 2 * h
    return tuple(
        Identity(f"{formula}: dh/dt = 0 on {A}", at(derived, derived.rates[derived.h[A]], point), sp.S(0))
        for A in derived.h
    )
