"""Which geometry cross-entropy without ridge tends to: the max-margin programme, its phases and their boundaries.

Free and balanced, the direction of z as t -> infinity solves

    min sum_A m_A b_A z_A    subject to    Z(same) - Z(T) >= 1 for every relation T but `same`,    z >= 0,

with b_A = 1 / sqrt(kW_A kH_A): the least weighted norm of factors of z.  Where the norm of H is held, the least norm of
W at given z is (sum_A m_A z_A / sqrt(kW_A))^2 / sum_A m_A h_A^2, with h_A^2 in proportion to z_A / sqrt(kW_A), so the
programme is the same with b_A = 1 / sqrt(kW_A), and kH drops out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

from .attributes import Attributes
from .errors import InputError
from .formula import Crossing, Nesting, factors_of
from .model import UFM
from .programme import along_ray, minimise
from .surds import Surds


@dataclass(frozen=True)
class Persistence:
    """The geometry that training without ridge tends to.

    Attributes
    ----------
    direction : dict from stratum name to the coefficient of z, scaled to margin 1
    phase : "collapsed" (every stratum alike: the ETF), "attributes only" (main effects alone) or "partly collapsed"
    prices : dict from relation name to its dual variable y_T >= 0, exact: sum_T y_T (p_A(same) - p_A(T)) <= m_A b_A,
        with equality where z_A > 0; relations with y_T > 0 have margin 1
    unique : whether no other direction costs as little
    exponents : dict from stratum name to e_A of z_A ~ (ln t)^e_A, exact: sum_T y_T (p_A(same) - p_A(T)) / (m_A b_A),
        which is 1 where z_A > 0; None when the norm of H is held, and when the prices are not the only ones (then the
        programme alone does not set the exponents)
    """

    direction: dict[str, sp.Rational]
    phase: str
    prices: dict[str, sp.Expr]
    unique: bool
    exponents: dict[str, sp.Expr] | None


@dataclass(frozen=True)
class Phase:
    """`direction` solves the programme while the main effects' sqrt(kW kH) is multiplied by x, low <= x <= high.

    `high` is None when there is no upper end.  A kernel on one side alone has to change by x^2.  `unique` is said of
    every x inside the interval.
    """

    low: sp.Expr
    high: sp.Expr | None
    direction: dict[str, sp.Rational]
    phase: str
    unique: bool


def persistence(model: UFM) -> Persistence:
    """Solve the max-margin programme exactly; costs may be irrational, the direction is rational always.

    Raises
    ------
    InputError
        For squared error, a ridge, soft targets, or symbols.
    """
    labels, cost = model.label_attributes, _numbers(model, "persistence")
    rows = margin_rows(labels, tuple(cost))
    found = minimise(list(cost.values()), rows, [sp.S(1)] * len(rows))
    if found is None:
        raise InputError("persistence: a kernel that vanishes keeps some labels together for ever; no margin exists.")
    direction = dict.fromkeys(labels.names[1:], sp.S(0)) | dict(zip(cost, found.primal, strict=True))
    prices = dict(zip(labels.names[:-1], found.dual, strict=True))
    exponents = None
    if model.constraint == "free" and _prices_are_unique(rows, found.primal):
        paid = [sum(y * row[j] for y, row in zip(found.dual, rows, strict=True)) for j in range(len(cost))]
        exponents = {A: sp.radsimp(part / cost[A]) for A, part in zip(cost, paid, strict=True)}
    return Persistence(direction, _phase(model, direction), prices, found.unique, exponents)


def _prices_are_unique(rows: list[list[sp.Rational]], direction: Sequence[sp.Rational]) -> bool:
    """Whether the margins at 1 are independent on the strata in use, which must pay their cost in full."""
    support = [j for j, z in enumerate(direction) if z > 0]
    tight = [row for row in rows if sum(a * z for a, z in zip(row, direction, strict=True)) == 1]
    return sp.Matrix([[row[j] for j in support] for row in tight]).rank() == len(tight)


def staircase(model: UFM) -> tuple[Phase, ...]:
    """All phases as the kernel of the main effects grows from nothing to infinity against the rest, exactly.

    The costs are m_A b_A on main effects and x m_A b_A on the other strata, for every x > 0, so that one parametric
    simplex run finds every step.  With all kernels 1, x is the root of the ratio k1/k2 of a kernel on one side (the
    ratio itself for equal kernels on both).

    Raises
    ------
    InputError
        As `persistence`, and when the b_A are not rational up to one root on main effects and one on the rest.
    """
    labels, cost = model.label_attributes, _numbers(model, "staircase")
    main = set(model.attributes.semantic_strata(model.labels))
    roots, parts = [], []
    for chosen in ([A for A in cost if A in main], [A for A in cost if A not in main]):
        surds = Surds.of([cost[A] for A in chosen])
        if len(surds.generators) > 1:
            raise InputError(
                f"staircase: the costs {', '.join(str(cost[A]) for A in chosen)} have different roots; "
                "give kernels whose ratios kW kH are squares, on main effects and on the rest."
            )
        roots.append(surds.generators[0])
        parts.append([cost[A] / roots[-1] if A in chosen else sp.S(0) for A in cost])
    rows = margin_rows(labels, tuple(cost))
    pieces = along_ray(parts[0], parts[1], rows, [sp.S(1)] * len(rows))
    if pieces is None:
        raise InputError("staircase: a kernel that vanishes keeps some labels together for ever; no margin exists.")
    phases: list[Phase] = []
    for piece in pieces:
        direction = dict.fromkeys(labels.names[1:], sp.S(0)) | dict(zip(cost, piece.optimum.primal, strict=True))
        low, high = (None if x is None else x * roots[0] / roots[1] for x in (piece.low, piece.high))
        unique = piece.optimum.unique
        if phases and phases[-1].direction == direction:
            before = phases.pop()
            low, unique = before.low, unique and before.unique
        phases.append(Phase(low, high, direction, _phase(model, direction), unique))
    return tuple(phases)


def phase_boundaries(model: UFM) -> dict[str, tuple[sp.Basic, ...]]:
    """For symbolic sizes and kernels: the inequalities under which a direction solves the programme.

    Returns
    -------
    dict
        "collapsed": the ETF solves it iff all of these hold, eta(T) = -sum_A m_A chi_A(T) b_A >= 0 for every relation
        T but `same` (any structure).  "attributes only", for crossings of factors and chains: z_A = V / V_p on the
        strata A of each part p, 0 on interactions, solves it iff b_A >= sum_p b_{A_p} for every interaction A = A_1 x
        A_2 x ..., and eta >= 0 within each chain.

    Raises
    ------
    InputError
        For squared error, a ridge, soft targets, and kernels that vanish.
    """
    labels, b = model.label_attributes, _cost_per_dimension(model, "phase_boundaries")
    found = {"collapsed": _collapse(labels, b)}
    parts = labels.tree.parts if isinstance(labels.tree, Crossing) else ()
    if parts and not any(isinstance(inner, Crossing) for part in parts for inner in _nested(part)):
        kept = [labels.keep([factor.name for factor in factors_of(part)]) for part in parts]
        within = [condition for part in kept for condition in _collapse(part, {A: b[A] for A in part.names[1:]})]
        inside = {A for part in kept for A in part.names}
        sums = [
            b[A] - sum(b[part.term(set(A.split(":")) & set(part.sizes))] for part in kept if _meets(A, part)) >= 0
            for A in labels.names
            if A not in inside
        ]
        found["attributes only"] = _conditions([*within, *sums])
    return found


def _meets(stratum: str, part: Attributes) -> bool:
    return bool(set(stratum.split(":")) & set(part.sizes))


def _nested(part: object) -> tuple:
    return part.parts if isinstance(part, Nesting) else (part,)


def _collapse(attributes: Attributes, b: Mapping[str, sp.Expr]) -> tuple[sp.Basic, ...]:
    m = attributes.multiplicities
    return _conditions([-sum(m[A] * attributes.character(A, T) * b[A] for A in b) >= 0 for T in attributes.names[:-1]])


def _conditions(relations: list) -> tuple[sp.Basic, ...]:
    """Without those that hold always; one that never holds alone."""
    if sp.false in relations:
        return (sp.false,)
    return tuple(dict.fromkeys(relation for relation in relations if relation is not sp.true))


def _cost_per_dimension(model: UFM, method: str) -> dict[str, sp.Expr]:
    """b_A of the strata that can grow."""
    held = model.constraint != "free"
    one_hot = set(model.targets.values()) == {sp.S(1)}
    ridge = model.ridge[:1] if held else model.ridge  # with the norm held, the ridge on H has no effect
    if model.loss != "cross_entropy" or set(ridge) != {sp.S(0)} or not one_hot:
        raise InputError(f"{method}: it needs cross-entropy, one-hot targets and no ridge.")
    speed = {A: model.label_kernel[A] * (1 if held else model.feature_kernel[A]) for A in model.targets}
    frozen = {A for A in model.targets if A != "1" and 0 in (model.feature_kernel[A], model.label_kernel[A])}
    return {A: 1 / sp.sqrt(speed[A]) for A in model.targets if A != "1" and A not in frozen}


def _numbers(model: UFM, method: str) -> dict[str, sp.Expr]:
    """The cost m_A b_A of the strata that can grow."""
    b = _cost_per_dimension(model, method)
    used = [*model.label_attributes.sizes.values(), *b.values()]
    missing = sorted(map(str, frozenset().union(*(value.free_symbols for value in used))))
    if missing:
        raise InputError(f"{method}: {missing[0]} has no number; give the model numbers, or ask phase_boundaries().")
    m = model.label_attributes.multiplicities
    return {A: m[A] * value for A, value in b.items()}


def margin_rows(labels: Attributes, strata: tuple[str, ...]) -> list[list[sp.Rational]]:
    """p_A(same) - p_A(T), a row for each relation T but `same`, a column for each of the strata."""
    m, V = labels.multiplicities, labels.cardinality
    return [[m[A] * (1 - labels.character(A, T)) / V for A in strata] for T in labels.names[:-1]]


def _phase(model: UFM, direction: Mapping[str, sp.Expr]) -> str:
    if len(set(direction.values())) == 1:
        return "collapsed"
    semantic = model.attributes.semantic_strata(model.labels)
    if all(value == 0 for A, value in direction.items() if A not in semantic):
        return "attributes only"
    return "partly collapsed"
