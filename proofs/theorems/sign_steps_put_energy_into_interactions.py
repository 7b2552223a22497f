"""Signs of the entries of a gradient of main effects alone, in a Gaussian frame, have energy on their interaction."""

import sympy as sp

from ...theory.attributes import Attributes
from ..checker import Theorem
from ..steps import NONNEGATIVE, POSITIVE, SIZE, Identity, Interval, Positive, Step

STATEMENT = r"""Rows of a gradient that are independent Gaussian vectors with a covariance in the algebra, entries $q(T)$ and
correlations $\rho(T)$: signs of its entries have the expected Gram $\frac{2}{\pi} \arcsin\rho(T)$ for each row, in the
algebra again, and their regression on the gradient is $\sqrt{2/\pi}$ over its root mean square. The rest has the Gram
$\frac{2}{\pi}(\arcsin\rho - \rho)$, a series in $\rho^3, \rho^5, \dots$ with positive coefficients. For crossed attributes
with energies $x, y > 0$ on the main effects alone, the eigenvalue of the cube on the interaction is $3xy((n_1-2)x +
(n_2-2)y)/(n_1n_2)^2 > 0$ unless both have two values; of three attributes with two values each the threefold interaction
receives energy. What depends on one attribute alone still does: a single main effect makes no interaction, and coarse
strata make no fine ones."""
X, Y, Z = sp.symbols("x y z", positive=True)
THREE = Interval(sp.S(3))


def theorem() -> Theorem:
    return Theorem(
        name="sign_steps_put_energy_into_interactions",
        statement=STATEMENT,
        setting=("sign steps",),
        hypotheses=("Gaussian rows with a covariance in the algebra", "an attribute with at least three values"),
        scope="expectations for one step, and n steps along one direction; the cube for a * b (all sizes) and for three "
        "attributes with two values; every entrywise function for a gradient that depends on one attribute",
        claims=(14,),
        rests_on=(
            "E[sign x sign y] = (2/pi) arcsin rho, E[sign(x) y] = sqrt(2/pi) rho sigma_y (Sheppard 1899; Price 1958)",
            "an entrywise product of positive semidefinite matrices is one (Schur 1911), so that no term of the series "
            "takes energy away",
        ),
        uses=("entrywise_functions_stay_in_the_algebra",),
        proof=(*series(), *cube(), *threefold(), *one_attribute("a[n1] * b[n2]"), *one_attribute("a[n1] / b[n2]")),
        mutations={
            "attributes with two values": cube(least=SIZE),
            "without the factor of the cube": cube(factor=1),
            "functions of both attributes": one_attribute("a[n1] * b[n2]", both=True),
            "a series that alternates": series(sign=-1),
        },
        references=("Sheppard 1899", "Price 1958", "Schur 1911", "Balles, Pedregosa, Le Roux 2020"),
    )


def series(sign: int = 1) -> tuple[Step, ...]:
    """arcsin' = f = sum d_j x^(2j) solves (1 - x^2) f' = x f: 2 (j+1) d_(j+1) = (2j + 1) d_j."""
    x = sp.Symbol("x")
    j = sp.Symbol("j", nonnegative=True)
    f = 1 / sp.sqrt(1 - x**2)
    ratio = sign * (2 * j + 1) / (2 * j + 2)
    return (
        Identity("the equation of arcsin'", (1 - x**2) * sp.diff(f, x), x * f),
        Identity("its coefficients", 2 * (j + 1) * ratio - 2 * j, sp.S(1)),
        Positive("each is positive with the one before", ratio, {j: NONNEGATIVE}),
    )


def cube(least: Interval = THREE, factor: int = 3) -> tuple[Step, ...]:
    attributes = Attributes("a[n1] * b[n2]")
    n1, n2 = attributes.sizes.values()
    found = _cube(attributes, {"a": X, "b": Y})["a:b"]
    closed = factor * X * Y * ((n1 - 2) * X + (n2 - 2) * Y) / (n1 * n2) ** 2
    domain = {n1: least, n2: SIZE, X: POSITIVE, Y: POSITIVE}
    return (
        Identity("eigenvalue of the cube on a:b", found, closed),
        Positive("it is positive", closed, domain),
    )


def threefold() -> tuple[Step, ...]:
    attributes = Attributes("a[2] * b[2] * c[2]")
    found = _cube(attributes, {"a": X, "b": Y, "c": Z})
    positive = {X: POSITIVE, Y: POSITIVE, Z: POSITIVE}
    return (
        Positive("two values each: the threefold interaction", found["a:b:c"], positive),
        Identity("and none on a:b", found["a:b"], sp.S(0)),
    )


def one_attribute(formula: str, both: bool = False) -> tuple[Step, ...]:
    """Any entries that tell only whether a is shared."""
    attributes = Attributes(formula)
    shared, apart, own = sp.symbols("p q r")
    entries = {T.name: shared if "a" in T.factors else apart for T in attributes.relations}
    if both:
        entries["a:b"] = own
    found = attributes.eigenvalues(entries)
    return tuple(Identity(f"{formula}: eigenvalue on {A}", found[A], sp.S(0)) for A in found if "b" in A)


def _cube(attributes: Attributes, energies: dict[str, sp.Expr]) -> dict[str, sp.Expr]:
    q = attributes.entries(dict.fromkeys(attributes.names, sp.S(0)) | energies)
    return attributes.eigenvalues({T: entry**3 for T, entry in q.items()})
