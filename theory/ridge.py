"""Where cross-entropy with ridge on both factors ends: a convex programme in the logits' singular values.

With mu = sqrt(lam_W lam_H), on the strata A of the labels but the mean, and pi_A(z) the eigenvalues of softmax,

    min over z >= 0 of    loss(z) + mu sum_A m_A z_A,        so that    scale (tau_A - pi_A) = mu  where z_A > 0,
                                                                        scale (tau_A - pi_A) <= mu where z_A = 0.

The loss is strictly convex in z, so one point obeys these conditions, whatever finds it.  It has a closed form where
the surviving strata are all those of independent groups of attributes: softmax is then the product of the groups'
own, and each is fixed entry by entry.  Elsewhere Newton's method finds it, and interval arithmetic (Krawczyk's
operator) proves that it is there to 30 digits and which strata survive.

Reference: Krawczyk 1969; log-linear models of independent groups have such closed forms (Haberman 1974).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import mpmath
import sympy as sp
from mpmath.ctx_iv import MPIntervalContext

from .attributes import Attributes
from .errors import InputError
from .formula import Crossing, factors_of

DIGITS = 30  # of a point that has no closed form
WORKING = 60  # digits that Newton's method and the intervals carry
STOP = mpmath.mpf(10) ** -50
RADIUS = mpmath.mpf(10) ** -35  # of the box in which Krawczyk's operator finds the point


def shrunken_logits(labels: Attributes, goal: Mapping[str, sp.Expr]) -> dict[str, sp.Expr]:
    """The eigenvalues z >= 0 of the labels' logits with pi_A = goal_A where z_A > 0, pi_A >= goal_A where z_A = 0.

    Parameters
    ----------
    labels : structure with numbers
    goal : exact number for each stratum but the mean, target_A less the ridge's share

    Returns
    -------
    dict from stratum (the mean at 0) to z_A, exact where there is a closed form, else Floats of 30 digits

    Raises
    ------
    InputError
        When a stratum without closed form lies on the border between surviving and not.

    Examples
    --------
    >>> labels = Attributes("a[2] * b[2]")
    >>> shrunken_logits(labels, {"a": sp.Rational(1, 2), "b": sp.Rational(-1, 5), "a:b": sp.Rational(-1, 10)})
    {'1': 0, 'a': 2*log(3), 'b': 0, 'a:b': 0}
    """
    programme = _Programme.of(labels)
    numbers = {A: mpmath.mpf(0) for A in labels.names[1:]}
    with mpmath.workdps(WORKING):
        exact = {A: mpmath.mpf(str(sp.N(goal[A], WORKING))) for A in numbers}
        found = programme.minimise([exact[A] for A in numbers])
    survivors = [A for A, z in zip(numbers, found, strict=True) if z > 0]
    closed = _closed_form(labels, goal, survivors)
    if closed is not None:
        return {"1": sp.S(0)} | closed
    programme.certify([goal[A] for A in numbers], found)
    values = [sp.Float(mpmath.nstr(z, WORKING), DIGITS) if z else sp.S(0) for z in found]
    return {"1": sp.S(0)} | dict(zip(numbers, values, strict=True))


def _closed_form(labels: Attributes, goal: Mapping[str, sp.Expr], survivors: list[str]) -> dict[str, sp.Expr] | None:
    """The point when the survivors are all strata of independent groups of attributes and it obeys the conditions."""
    groups = _independent_groups(labels, survivors)
    if groups is None:
        return None
    V = labels.cardinality
    z = dict.fromkeys(labels.names[1:], sp.S(0))
    for group in groups:
        entries = group.entries({A: goal[A] if A != "1" else sp.S(1) for A in group.names})
        # Differences of entries decide; the mean stratum carries no loss and the ridge takes it to 0.
        log_ratio = {T: sp.log(sp.cancel(S / entries[group.names[-1]])) for T, S in entries.items()}
        own = group.eigenvalues(log_ratio)
        z |= {A: V / group.cardinality * own[A] for A in group.names[1:]}
    alive = all(sp.N(z[A], DIGITS) > 0 for A in survivors)
    dead = all(sp.expand(_product_of_groups(A, groups, goal) - goal[A]) >= 0 for A in z if A not in survivors)
    return z if alive and dead else None


def _product_of_groups(stratum: str, groups: list[Attributes], goal: Mapping[str, sp.Expr]) -> sp.Expr:
    """pi_A of a product of the groups' softmax: the product of its parts' pi, 0 when A reaches beyond the groups."""
    parts = set(stratum.split(":"))
    if not parts <= {k for group in groups for k in group.sizes}:
        return sp.S(0)
    return sp.Mul(*(goal[group.term(parts & set(group.sizes))] for group in groups if parts & set(group.sizes)))


def _independent_groups(labels: Attributes, survivors: list[str]) -> list[Attributes] | None:
    """Groups of attributes, in different parts of a crossing, whose strata are exactly the survivors; None if none."""
    if len(survivors) == len(labels.names) - 1:
        return [labels]
    parts = labels.tree.parts if isinstance(labels.tree, Crossing) else (labels.tree,)
    blocks = [{factor.name for factor in factors_of(part)} for part in parts]
    for A in survivors:  # a surviving interaction joins the parts that it touches
        touched = [block for block in blocks if block & set(A.split(":"))]
        blocks = [block for block in blocks if block not in touched] + [set().union(*touched)]
    used = [block & {k for A in survivors for k in A.split(":")} for block in blocks]
    groups = [labels.keep(labels.named(block)) for block in used if block]
    strata = [A for group in groups for A in group.names[1:]]
    return groups if sorted(strata) == sorted(survivors) else None


@dataclass(frozen=True)
class _Programme:
    """Valencies v_T, characters chi_A(T), and weights m_A / V, with which z_A enters the logits."""

    valency: tuple[int, ...]
    characters: tuple[tuple[sp.Rational, ...], ...]
    weight: tuple[sp.Rational, ...]

    @classmethod
    def of(cls, labels: Attributes) -> "_Programme":
        strata, V = labels.strata[1:], labels.cardinality
        characters = tuple(tuple(labels.character(A.name, T) for T in labels.names) for A in strata)
        return cls(
            tuple(int(T.valency) for T in labels.relations), characters, tuple(A.multiplicity / V for A in strata)
        )

    def softmax(self, z: list, number, exp) -> tuple[list, list[list]]:
        """pi_A(z), and d pi_A / d z_B = (m_B / V) (E[chi_A chi_B] - pi_A pi_B), in mpmath's numbers or intervals."""
        chi = [[number(x.p) / x.q for x in row] for row in self.characters]
        weight = [number(x.p) / x.q for x in self.weight]
        logits = [sum((w * c[T] * x for w, c, x in zip(weight, chi, z, strict=True)), number(0)) for T in self._range]
        P = [v * exp(x - logits[-1]) for v, x in zip(self.valency, logits, strict=True)]
        total = sum(P, number(0))
        P = [p / total for p in P]
        pi = [sum((p * x for p, x in zip(P, row, strict=True)), number(0)) for row in chi]
        slope = [
            [
                weight[j] * (sum((p * x * y for p, x, y in zip(P, a, b, strict=True)), number(0)) - pi[i] * pi[j])
                for j, b in enumerate(chi)
            ]
            for i, a in enumerate(chi)
        ]
        return pi, slope

    @property
    def _range(self) -> range:
        return range(len(self.valency))

    def minimise(self, goal: list) -> list:
        """Newton steps among the strata in use, cut where one reaches 0; a stratum enters where pi_A < goal_A."""
        z = [mpmath.mpf(0)] * len(goal)
        used: set[int] = set()
        while True:
            z, used = self._settled(z, used, goal)
            pi, _ = self.softmax(z, mpmath.mpf, mpmath.exp)
            gap, entering = (
                max((goal[A] - pi[A], -A) for A in range(len(z)) if A not in used)
                if (len(used) < len(z))
                else (mpmath.mpf(0), 0)
            )
            if gap <= STOP:
                return z
            used = used | {-entering}

    def _settled(self, z: list, used: set[int], goal: list) -> tuple[list, set[int]]:
        """The minimum over the strata in use, or over those of them that stay above 0 on the way."""
        while used:
            rows = sorted(used)
            pi, slope = self.softmax(z, mpmath.mpf, mpmath.exp)
            rest = [goal[A] - pi[A] for A in rows]
            if max(map(abs, rest)) < STOP:
                break
            step = list(
                mpmath.lu_solve(mpmath.matrix([[slope[A][B] for B in rows] for A in rows]), mpmath.matrix(rest))
            )
            # Logits that move by at most d change the Hessian exp(2 d)-fold: below 1/3 such steps descend.
            reach = max(abs(s) for s in step)
            cut = min(mpmath.mpf(1), 1 / (3 * reach))
            blocked = [(-z[A] / s, A) for A, s in zip(rows, step, strict=True) if s < 0]
            if blocked and min(blocked)[0] < cut:
                cut, leaving = min(blocked)
                used = used - {leaving}
            for A, s in zip(rows, step, strict=True):
                z[A] = z[A] + cut * s if A in used else mpmath.mpf(0)
        return z, used

    def certify(self, goal: list[sp.Expr], z: list) -> None:
        """Raise InputError unless intervals prove a point within RADIUS of z where exactly its strata survive."""
        context = MPIntervalContext()
        context.dps = WORKING

        def enclosed(x: sp.Expr) -> object:
            value = str(sp.N(x, WORKING))
            return context.mpf(value) + context.mpf([-1, 1]) * context.mpf(10) ** (5 - WORKING)

        used = [A for A, x in enumerate(z) if x > 0]
        aim = [enclosed(x) for x in goal]
        with mpmath.workdps(WORKING):
            _, slope = self.softmax(z, mpmath.mpf, mpmath.exp)
            inverse = mpmath.matrix([[slope[A][B] for B in used] for A in used]) ** -1
        centre = [context.mpf(x) for x in z]
        box = [x + context.mpf([-1, 1]) * context.mpf(RADIUS) if A in used else x for A, x in enumerate(centre)]
        here, _ = self.softmax(centre, context.mpf, context.exp)
        around, slopes = self.softmax(box, context.mpf, context.exp)
        Y = [[context.mpf(inverse[i, j]) for j in range(len(used))] for i in range(len(used))]
        spread = context.mpf([-1, 1]) * context.mpf(RADIUS)
        inside = all(
            abs(
                sum(-Y[i][k] * (here[C] - aim[C]) for k, C in enumerate(used))
                + sum(
                    ((1 if i == j else 0) - sum(Y[i][k] * slopes[C][B] for k, C in enumerate(used))) * spread
                    for j, B in enumerate(used)
                )
            ).b
            < context.mpf(RADIUS).a
            for i in range(len(used))
        )
        alive = all(box[A].a > 0 for A in used)
        dead = all((around[A] - aim[A]).a > 0 for A in range(len(z)) if A not in used)
        if not (inside and alive and dead):
            raise InputError(
                "limit: with this ridge a stratum lies on the border between surviving and not; "
                "change the ridge a little."
            )
