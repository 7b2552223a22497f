"""Where the flow ends: the ridge's fixed point, and the direction of persistence without ridge.

Ridge (free, lam_W lam_H > 0): at the stable fixed point g_A = sqrt(lam_W lam_H), that is
tau_A - pi_A = sqrt(lam_W lam_H) / scale on every surviving stratum, and w^2 / h^2 = lam_H / lam_W; the kernels drop out.

No ridge, cross-entropy, free, balanced: the direction of z as t -> infinity solves the max-margin programme

    min sum_A m_A z_A / sqrt(kW_A kH_A)    subject to    Z(same) - Z(T) >= 1 for every relation T,    z >= 0.
"""

from dataclasses import dataclass

import sympy as sp

from .attributes import Attributes
from .errors import InputError
from .flow import WIDTH
from .model import UFM
from .programme import minimise

Point = tuple[sp.Expr, sp.Expr, sp.Expr]


@dataclass(frozen=True)
class Persistence:
    """The geometry that training without ridge tends to.

    Attributes
    ----------
    direction : dict from stratum name to the coefficient of z, scaled to margin 1
    phase : "collapsed" (every stratum alike: the ETF), "attributes only" (main effects alone) or "partly collapsed"
    """

    direction: dict[str, sp.Expr]
    phase: str


def limit(model: UFM) -> dict[str, Point]:
    """(w, h, z) of each stratum as t -> infinity, from a balanced positive start.

    Raises
    ------
    InputError
        Where the limit depends on the start or is known only as a direction; the message says what to ask instead.
    """
    if model.constraint != "free":
        return _held_norm_limit(model)
    lam_W, lam_H = model.ridge
    if lam_W == 0 and lam_H == 0:
        return _unregularised_limit(model)
    frozen = [A for A in model.attributes.names if _vanishes(model, A)]
    if frozen:
        raise InputError(f"limit: stratum {frozen[0]!r} keeps part of its start, since its kernel vanishes.")
    if lam_W == 0 or lam_H == 0:
        raise InputError(f"limit: ridge {model.ridge} acts on one factor alone; give both a ridge, or none.")
    shrink = sp.sqrt(lam_W * lam_H) / model.scale
    z = _ridge_mse(model, shrink) if model.loss == "mse" else _ridge_cross_entropy(model, shrink)
    root = sp.root(lam_H / lam_W, 4)
    return {
        A: (sp.sqrt(z[A]) * root, sp.sqrt(z[A]) / root, z[A]) if A in z else (sp.S(0), sp.S(0), sp.S(0))
        for A in model.attributes.names
    }


def _vanishes(model: UFM, stratum: str) -> bool:
    return model.feature_kernel[stratum] == 0 or model.label_kernel.get(stratum, sp.S(1)) == 0


def _ridge_mse(model: UFM, shrink: sp.Expr) -> dict[str, sp.Expr]:
    return {A: sp.Max(model.tau[A] - shrink, 0) for A in model.targets}


def _ridge_cross_entropy(model: UFM, shrink: sp.Expr) -> dict[str, sp.Expr]:
    """Every stratum survives: pi_A = tau_A - shrink fixes softmax entry by entry, and z is its logarithm's transform."""
    labels, root = model.label_attributes, sp.sqrt(model.replication)
    if set(model.targets.values()) == {sp.S(1)} and (root - shrink).is_nonpositive:
        return {A: sp.S(0) for A in model.targets}
    pi = {A: target - (0 if A == "1" else shrink / root) for A, target in model.targets.items()}
    S = labels.entries(pi)
    if any(entry.is_nonpositive for entry in S.values()):
        raise InputError(
            f"limit: with ridge {model.ridge} not every stratum survives; simulate to a long time instead."
        )
    # Differences of entries decide; the mean stratum carries no loss and the ridge takes it to 0.
    log_ratio = {T: sp.log(sp.cancel(S[T] / S[labels.names[-1]])) for T in S}
    z = {A: root * value for A, value in labels.eigenvalues(log_ratio).items()} | {"1": sp.S(0)}
    dead = [A for A in z if A != "1" and sp.N(z[A]).is_negative]
    if dead:
        raise InputError(
            f"limit: with ridge {model.ridge} the stratum {dead[0]!r} does not survive; simulate to a long time instead."
        )
    return z


def _unregularised_limit(model: UFM) -> dict[str, Point]:
    if model.loss != "mse":
        raise InputError("limit: without ridge cross-entropy drives z to infinity; persistence() has its direction.")
    found = {}
    for A in model.attributes.names:
        if A not in model.targets or _vanishes(model, A):
            raise InputError(f"limit: stratum {A!r} keeps its start (dropped by the label, or its kernel vanishes).")
        kW, kH, tau = model.label_kernel[A], model.feature_kernel[A], model.tau[A]
        if tau.is_negative:
            tau = sp.S(0)  # a balanced positive start cannot pass 0
        found[A] = (sp.sqrt(tau) * sp.root(kW / kH, 4), sp.sqrt(tau) * sp.root(kH / kW, 4), tau)
    return found


def _held_norm_limit(model: UFM) -> dict[str, Point]:
    """One-hot labels, no ridge on W: the ETF, sum_A m_A h_A^2 = m R^2 shared alike, whatever the kernels."""
    if model.loss != "cross_entropy" or set(model.targets.values()) != {sp.S(1)} or model.ridge[0] != 0:
        raise InputError(
            f"limit: constraint {model.constraint} has a known limit for cross-entropy with one-hot targets and no "
            "ridge on W; simulate to a long time instead."
        )
    frozen = [A for A in model.targets if A != "1" and _vanishes(model, A)]
    if frozen:
        raise InputError(f"limit: stratum {frozen[0]!r} cannot grow, since its kernel vanishes; simulate instead.")
    if model.constraint == "normalized":
        square = model.width if model.width is not None else WIDTH
    else:
        square = sp.Symbol("R", positive=True) ** 2  # |h_j|^2, which the start sets
    h = sp.sqrt(model.contexts * square / (model.label_count - 1))
    return {
        A: (sp.oo, h, sp.oo) if A in model.targets and A != "1" else (sp.S(0), sp.S(0), sp.S(0))
        for A in model.attributes.names
    }


def persistence(model: UFM) -> Persistence:
    """Solve the max-margin programme by exact rational simplex; an irrational sqrt(kW kH) is rounded to 15 digits first.

    Raises
    ------
    InputError
        For other losses and constraints, a ridge, soft targets, or symbols.
    """
    one_hot = set(model.targets.values()) == {sp.S(1)}
    if model.loss != "cross_entropy" or model.constraint != "free" or set(model.ridge) != {sp.S(0)} or not one_hot:
        raise InputError("persistence: it needs cross-entropy, one-hot targets, no ridge and no constraint on H.")
    if model.free_symbols:
        raise InputError(
            f"persistence: {sorted(map(str, model.free_symbols))[0]} has no number; give the model numbers."
        )
    labels = model.label_attributes
    cost = {}
    for stratum in labels.strata[1:]:
        speed = model.label_kernel[stratum.name] * model.feature_kernel[stratum.name]
        if speed == 0:
            continue  # a stratum whose kernel vanishes does not grow
        cost[stratum.name] = stratum.multiplicity / sp.nsimplify(sp.sqrt(speed), rational=True)
    weights = [_margin_weights(labels, T) for T in labels.names[:-1]]
    solution = minimise(list(cost.values()), [[row[A] for A in cost] for row in weights], [sp.S(1)] * len(weights))
    if solution is None:
        raise InputError("persistence: a kernel that vanishes keeps some labels together for ever; no margin exists.")
    direction = dict.fromkeys(labels.names[1:], sp.S(0)) | dict(zip(cost, solution, strict=True))
    return Persistence(direction, _phase(model, direction))


def _margin_weights(labels: Attributes, relation: str) -> dict[str, sp.Expr]:
    """p_A(same) - p_A(T) for each stratum but the mean."""
    m, V = labels.multiplicities, labels.cardinality
    return {A: m[A] * (1 - labels.character(A, relation)) / V for A in labels.names[1:]}


def _phase(model: UFM, direction: dict[str, sp.Expr]) -> str:
    if len(set(direction.values())) == 1:
        return "collapsed"
    semantic = model.attributes.semantic_strata(model.labels)
    if all(value == 0 for A, value in direction.items() if A not in semantic):
        return "attributes only"
    return "partly collapsed"
