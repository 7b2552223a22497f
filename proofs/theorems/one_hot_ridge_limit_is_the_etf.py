"""One-hot labels with equal ridges: the fixed point is the ETF, z = ln(V/(m lam) - V + 1), or 1 - m lam for mse."""

import sympy as sp

from ...theory.limits import limit
from ..checker import Theorem
from ..gallery import CHAINS, CROSSED, at, flow, model
from ..steps import SIZE, Enclosure, Identity, Interval, Positive, Step

STATEMENT = r"""One-hot, $\lambda_W = \lambda_H = \lambda < 1/m$, any positive kernels: all strata but the mean have
the same $z = \ln(V/(m\lambda) - V + 1) > 0$ (cross-entropy, the mean at 0) or $z = 1 - m\lambda > 0$ (squared error)
with $w = h = \sqrt z$ at a fixed point of the derived flow: the simplex ETF."""
FORMULAS = (*CROSSED[:2], *CHAINS)


def theorem() -> Theorem:
    return Theorem(
        name="one_hot_ridge_limit_is_the_etf",
        statement=STATEMENT,
        setting=("free",),
        hypotheses=("one-hot balanced", "equal ridges below 1/m", "positive kernels"),
        open_hypotheses=("positive kernels",),
        scope="both losses; all sizes, one factor, a * b, chains of up to 3; and V = m = 24, m lam = 1/1000 to 4 "
        "digits",
        claims=(9,),
        uses=("ridge_fixed_points_drop_the_kernels", "ridge_fixed_point_is_stable"),
        proof=(*(step for formula in FORMULAS for step in fixed(formula)), *stated(), *exists(), *in_numbers()),
        mutations={
            "ln(V/(m lam) - V)": fixed("a[n1]", one=0),
            "ln(V/(m lam) - 1)": fixed("a[n1] * b[n2]", labels=1),
            "1 - lam for squared error": fixed("a[n1]", contexts=1),
            "ridge up to 2/m": exists(most=2),
        },
        references=("Zhu et al. 2021",),
    )


def fixed(formula: str, one: int = 1, labels: int | None = None, contexts: int | None = None) -> tuple[Step, ...]:
    """All rates vanish at the stated z; X = e^z, and lam is written through it so that no logarithm is needed."""
    r, x, level = sp.symbols("r x y", positive=True)
    steps: list[Step] = []
    for loss in ("cross_entropy", "mse"):
        structure = model(formula, loss=loss)
        V, m = structure.label_count, contexts or structure.contexts
        if loss == "cross_entropy":
            z, lam = x, V / (m * (sp.exp(x) + (labels or V) - one))
            root = sp.sqrt(z)
        else:
            root, lam = r, (1 - r**2) / m
        derived = flow(formula, (lam, lam), loss=loss)
        mean = root if loss == "mse" else sp.S(0)
        point = {s: root for s in derived.state} | {derived.w["1"]: mean, derived.h["1"]: mean}
        for s in derived.state:
            steps.append(Identity(f"{loss}, {formula}: d{s}/dt = 0", at(derived, derived.rates[s], point), sp.S(0)))
    return tuple(steps)


def stated() -> tuple[Step, ...]:
    """What theory/ states as the limit: e^z for cross-entropy on a structure with n labels and n contexts."""
    lam = sp.Symbol("lambda", positive=True)
    structure = model("a[n1]", (lam, lam))
    V = structure.label_count
    w, h, z = limit(structure)["a"]
    return (
        Identity("e^z of theory/", sp.exp(z), V / (V * lam) - V + 1),
        Identity("w of theory/", w**2, z),
        Identity("h of theory/", h**2, z),
    )


def exists(most: int = 1) -> tuple[Step, ...]:
    """e^z - 1 = V (1 - m lam) / (m lam) > 0 for 0 < m lam < 1."""
    V, shrink = sp.symbols("V mu", positive=True)
    domain = {V: SIZE, shrink: Interval(sp.S(0), sp.S(most), open=True)}
    return (Positive("z > 0", V / shrink - V, domain), Positive("1 - m lam > 0", 1 - shrink, domain))


def in_numbers() -> tuple[Step, ...]:
    z = sp.log(sp.Integer(24) * 1000 - 23)
    return (
        Enclosure(
            "z = 10.0849 for V = m = 24, m lam = 1/1000", z, sp.Rational(100848, 10**4), sp.Rational(100850, 10**4)
        ),
    )
