"""Characters of exchangeable crossed attributes: their generating function, recurrence and orthogonality, for all K."""

from itertools import product

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.exchangeable import Exchangeable
from ..checker import Theorem
from ..steps import Identity, Induction, Step

STATEMENT = r"""On $K$ crossed attributes of $n$ values, of which two contexts differ on $i$, $K_j(i) = \sum_{|A| = j}
m_A \chi_A$ has the generating function $\sum_j K_j(i) x^j = (1 - x)^i (1 + (n-1) x)^{K-i}$. Hence $(j+1) K_{j+1}(i)
= ((n-1)(K-j) + j - n i) K_j(i) - (n-1)(K-j+1) K_{j-1}(i)$ and $\sum_i v_i K_j(i) K_l(i) = n^K m_j \delta_{jl}$ with
$v_i = \binom{K}{i} (n-1)^i$ and $m_j = v_j$, and the characters of the merged strata are $\chi_j = K_j / m_j$."""

n, x, y, K, i = sp.symbols("n x y K i", positive=True)
KNOWN = sp.Symbol("f")


def theorem() -> Theorem:
    return Theorem(
        name="krawtchouk_polynomials_are_the_merged_characters",
        statement=STATEMENT,
        setting=("K crossed attributes of n values each",),
        hypotheses=(),
        scope="all K, n, i, j by generating functions; the package's own characters for K <= 5 and all n",
        claims=(3,),
        rests_on=("the binomial theorem, and comparison of coefficients of power series",),
        uses=("strata_projectors_resolve_the_identity",),
        proof=(*one_attribute(), *powers(), *orthogonality(), *slope(), *(s for k in (2, 3, 4, 5) for s in package(k))),
        mutations={
            "without valencies": orthogonality(weight=sp.S(1)),
            "characters 1/(n-1) where attributes differ": one_attribute(sign=1),
            "slope of another polynomial": slope(shift=1),
            "a recurrence without the last term": package(3, last=0),
        },
        references=("Krawtchouk 1929", "Delsarte 1973"),
    )


def one_attribute(sign: int = -1) -> tuple[Step, ...]:
    """1 + x m chi of a single attribute: its factor of the generating function, by the package's characters."""
    single = Attributes("a[n]")
    m = single.multiplicities["a"]
    here = {symbol: n for symbol in m.free_symbols}
    agree, differ = (1 + x * (m * single.character("a", T)).xreplace(here) for T in ("a", "1"))
    return (
        Identity("an attribute on which contexts agree", agree, 1 + (n - 1) * x),
        Identity("an attribute on which they differ", differ, 1 + sign * x),
    )


def powers() -> tuple[Step, ...]:
    """The generating function of one more attribute is that of the others times its factor."""
    agree, differ = sp.symbols("A D", positive=True)  # 1 + (n - 1) x and 1 - x
    whole = sp.Symbol("K", integer=True, positive=True)
    return tuple(
        Induction(f"attributes on which contexts {how}", whole, 0, sp.S(1), KNOWN, KNOWN * factor, factor**whole)
        for how, factor in (("agree", agree), ("differ", differ))
    )


def orthogonality(weight: sp.Expr = n - 1) -> tuple[Step, ...]:
    """sum_i v_i G_i(x) G_i(y) = bracket^K, and (n (1 + (n - 1) x y))^K has coefficients n^K m_j, on x^j y^j alone."""
    bracket = (1 + (n - 1) * x) * (1 + (n - 1) * y) + weight * (1 - x) * (1 - y)
    return (Identity("the bracket", bracket, n * (1 + (n - 1) * x * y)),)


def slope(shift: int = 0) -> tuple[Step, ...]:
    """G'/G of the generating function; its coefficients at x^j are the recurrence."""
    left = -i / (1 - x) + (n - 1) * (K - i) / (1 + (n - 1) * x)
    right = ((n - 1) * K - n * i - (n - 1) * (K + shift) * x) / (1 + (n - 2) * x - (n - 1) * x**2)
    j, here, before = sp.symbols("j K_j K_b", positive=True)  # K_j(i) and K_{j-1}(i)
    # Coefficient of x^j in (1 + (n-2) x - (n-1) x^2) G' = ((n-1) K - n i - (n-1) K x) G, solved for (j+1) K_{j+1}.
    solved = ((n - 1) * K - n * i) * here - (n - 1) * K * before - (n - 2) * j * here + (n - 1) * (j - 1) * before
    claimed = ((n - 1) * (K - j) + j - n * i) * here - (n - 1) * (K - j + 1) * before
    return Identity("slope", left, right), Identity("the recurrence", solved, claimed)


def package(power: int, last: int = 1) -> tuple[Step, ...]:
    """The package's merged characters obey the recurrence and the orthogonality, for all n."""
    scheme = Exchangeable(f"a[n]^{power}")
    size, m = scheme.size, list(scheme.multiplicities.values())
    v = [T.valency for T in reversed(scheme.relations)]  # by the number of attributes on which contexts differ
    table = [[m[j] * scheme.character(A, T) for T in reversed(scheme.names)] for j, A in enumerate(scheme.names)]
    steps: list[Step] = []
    for j, differ in product(range(power + 1), repeat=2):
        after = table[j + 1][differ] if j < power else sp.S(0)
        before = table[j - 1][differ] if j > 0 else sp.S(0)
        right = ((size - 1) * (power - j) + j - size * differ) * table[j][differ]
        right -= last * (size - 1) * (power - j + 1) * before
        steps.append(Identity(f"K = {power}: recurrence, j = {j}, i = {differ}", (j + 1) * after, right))
        total = sum(weight * a * b for weight, a, b in zip(v, table[j], table[differ], strict=True))
        expected = size**power * m[j] if j == differ else sp.S(0)
        steps.append(Identity(f"K = {power}: <K_{j}, K_{differ}>", total, expected))
    return tuple(steps)
