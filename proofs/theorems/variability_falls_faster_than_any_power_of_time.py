"""On the sphere the norm of W grows at least like a logarithm, so dropped strata fall like exp(-c ln(t)^2).

With S = sum_T v_T exp(-M_T), x = -ln S and R = |W|: half of d(R^2)/dt is S/(1 + S) times the mean margin, which is at
least x because each M_T >= x; and x is at most the plain mean of the margins, at most C R by Cauchy-Schwarz. The
function x / (1 + e^x) falls beyond ln 4, so R' >= C / (1 + exp(C R)), and exp(C R) >= C^2 (t - t1) / 2.
"""

import sympy as sp

from ..checker import Theorem
from ..gallery import flow, model
from ..steps import POSITIVE, Enclosure, Identity, Positive, Step, SumOfSquares

STATEMENT = r"""One-hot cross-entropy on the sphere, no ridge, loss at most $\ln\frac54$ at time $t_1$. With $|W|^2 =
\sum_A m_A w_A^2/\kappa^W_A$, $N = \sum_A m_A h_A^2$ and $C = \sqrt{\max\kappa^W N / r}/(V - 1)$, $r$ the contexts of
each label: $e^{C |W(t)|} \ge \frac{C^2}{2} (t - t_1)$ for $t > t_1$. So a stratum $B$ that the label drops has
$h_B(t) \le h_B(t_1)\, \sqrt{\max\kappa^H/\min\kappa^H}\, e^{\kappa^H_B |W(t_1)|^2/2N} \exp\left(-\frac{\kappa^H_B}{2
N C^2} \ln_+^2\frac{C^2 (t - t_1)}{2}\right)$: faster than any power of $t$."""
FORMULAS = (
    ("a[n1] * b[n2]", "a"),
    ("a[n1] / b[n2]", "a"),
    ("(a[n1] * b[n2]) / c[n3]", "a * b"),
    ("(a[n1] / b[n2]) * c[n3]", "a * c"),
)


def theorem() -> Theorem:
    return Theorem(
        name="variability_falls_faster_than_any_power_of_time",
        statement=STATEMENT,
        setting=("cross-entropy", "sphere", "positive kernels, as |W| divides by them"),
        hypotheses=("one-hot", "no ridge on W", "loss at most ln(5/4) once"),
        scope=f"all sizes; {', '.join(f'{f} with labels {kept}' for f, kept in FORMULAS)}; Cauchy-Schwarz for up to 8 "
        "strata of the labels.  An upper bound: that the fall is no faster is not part of it",
        claims=(12,),
        rests_on=(
            "comparison of scalar differential inequalities",
            "the loss does not rise, so S <= 1/4 stays",
        ),
        uses=("dropped_strata_shrink_as_W_grows_on_the_sphere",),
        proof=(
            *(step for formula, kept in FORMULAS for step in mean_margin(formula, kept)),
            *(step for count in (1, 2, 3, 5, 8) for step in cauchy(count)),
            *falling(),
            *comparison(),
        ),
        mutations={
            "margins without valencies": mean_margin("(a[n1] * b[n2]) / c[n3]", "a * b", valency=False),
            "squares without the cross terms": cauchy(2, cross=False),
            "falling from x = 1 on": falling(start=sp.E),
            "exp(C R) grows at C^2": comparison(half=sp.S(1)),
        },
        references=("Soudry et al. 2018 (norms grow like ln t)",),
    )


def mean_margin(formula: str, kept: str, valency: bool = True) -> tuple[Step, ...]:
    """sum_T v_T M_T = sum_A m_A z_A / sqrt(r) over the labels' strata but the mean; V - 1 times the plain mean."""
    derived = flow(formula, constraint="sphere", labels=kept)
    structure = model(formula, constraint="sphere", labels=kept)
    m, labels = structure.attributes.multiplicities, structure.label_attributes
    defined = {str(symbol): value for symbol, value in derived.definitions}
    left = sum((T.valency if valency else 1) * defined[f"M_{T.name.replace(':', '__')}"] for T in labels.relations[:-1])
    right = sum(m[A] * z for A, z in derived.z.items() if A != "1") / sp.sqrt(structure.replication)
    return (Identity(f"{formula}, labels {kept}: the sum of margins", left, right),)


def cauchy(count: int, cross: bool = True) -> tuple[Step, ...]:
    """(sum m w h)^2 <= (sum m w^2 / k) (k N): with k the largest kW; equality in every kernel gives the most."""
    m, w, h = (sp.symbols(f"{letter}1:{count + 1}", positive=True) for letter in "mwh")
    form = sum(a * x**2 for a, x in zip(m, w)) * sum(a * y**2 for a, y in zip(m, h))
    form -= sum(a * x * y for a, x, y in zip(m, w, h)) ** 2
    squares = [(m[i] * m[j], w[i] * h[j] - w[j] * h[i]) for i in range(count) for j in range(i) if cross] or [
        (sp.S(0), w[0])
    ]
    return (SumOfSquares(f"Cauchy-Schwarz, {count} strata", form, tuple(squares), dict.fromkeys(m, POSITIVE)),)


def falling(start: sp.Expr = sp.S(4)) -> tuple[Step, ...]:
    """The derivative of x / (1 + e^x) is -(e^x (x - 1) - 1) / (1 + e^x)^2; e^x (x - 1) grows, and passes 1 at ln 4."""
    x = sp.Symbol("x", positive=True)
    inner = sp.exp(x) * (x - 1)
    slope = sp.diff(x / (1 + sp.exp(x)), x)
    return (
        Identity("the slope", slope, -(inner - 1) / (1 + sp.exp(x)) ** 2),
        Identity("the inner function grows", sp.diff(inner, x), x * sp.exp(x)),
        Enclosure("it has passed 1", inner.xreplace({x: sp.log(start)}), sp.S(1), None),
    )


def comparison(half: sp.Expr = sp.Rational(1, 2)) -> tuple[Step, ...]:
    """E = exp(C R) with E' = C E R' >= C^2 E / (1 + E) >= C^2 / 2 because E >= 1."""
    C, E = sp.symbols("C E", positive=True)
    excess = sp.Symbol("excess", positive=True)  # E = 1 + excess
    rate = C * E * C / (1 + E)
    return (
        Positive(
            "E' - C^2 / 2",
            (rate - half * C**2).subs(E, 1 + excess),
            dict.fromkeys((C, excess), POSITIVE),
        ),
    )
