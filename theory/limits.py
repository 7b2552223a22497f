"""Where the flow ends.

Ridge (free, lam_W lam_H > 0): every positive start ends at the one point with g_A = sqrt(lam_W lam_H), that is
tau_A - pi_A = sqrt(lam_W lam_H) / scale, on every surviving stratum, and w^2 / h^2 = lam_H / lam_W; the kernels
drop out.

Ridge on one factor alone (squared error): that factor vanishes, the other grows without bound, z ends at the target.

No ridge, norm of H held: w grows without bound, and h_A^2 is in proportion to z_A / sqrt(kW_A) with z the max-margin
direction for the cost m_A / sqrt(kW_A), which is the ETF for equal kW; kH drops out.
"""

import sympy as sp

from .errors import InputError
from .flow import WIDTH
from .model import UFM
from .persistence import persistence
from .ridge import shrunken_logits

Point = tuple[sp.Expr, sp.Expr, sp.Expr]


def limit(model: UFM) -> dict[str, Point]:
    """(w, h, z) of each stratum as t -> infinity, from a balanced positive start.

    Exact, but for cross-entropy with ridge where strata die and softmax does not factor: then Floats of 30 digits,
    proved by interval arithmetic.  Symbolic soft targets are taken to leave every stratum alive.  With ridge on both
    factors and targets >= 0 (cross-entropy: one-hot) any other positive start ends there too.

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
        return _one_ridge_limit(model)
    shrink = sp.sqrt(lam_W * lam_H) / model.scale
    z = _ridge_mse(model, shrink) if model.loss == "mse" else _ridge_cross_entropy(model, shrink)
    _refuse_saddles(model, z, shrink)
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
    """One-hot, or symbols: every stratum survives, or none.  Soft targets in numbers: the convex programme decides."""
    labels, root = model.label_attributes, sp.sqrt(model.replication)
    one_hot = set(model.targets.values()) == {sp.S(1)}
    if one_hot and (root - shrink).is_nonpositive:
        return {A: sp.S(0) for A in model.targets}
    goal = {A: target - shrink / root for A, target in model.targets.items()}
    known = not frozenset().union(*(x.free_symbols for x in (*goal.values(), *labels.sizes.values())))
    if known and not one_hot:
        return {A: root * value for A, value in shrunken_logits(labels, goal).items()}
    S = labels.entries(goal | {"1": sp.S(1)})
    if any(entry.is_nonpositive for entry in S.values()):
        raise InputError(f"limit: with ridge {model.ridge} not every stratum survives; give the model numbers.")
    # Differences of entries decide; the mean stratum carries no loss and the ridge takes it to 0.
    log_ratio = {T: sp.log(sp.cancel(S[T] / S[labels.names[-1]])) for T in S}
    return {A: root * value for A, value in labels.eigenvalues(log_ratio).items()} | {"1": sp.S(0)}


def _refuse_saddles(model: UFM, z: dict[str, sp.Expr], shrink: sp.Expr) -> None:
    """A pull below -mu makes zero a saddle: a start with kW lam_W != kH lam_H leaves its balance, and ends at z < 0."""
    lam_W, lam_H = model.ridge
    labels, root = model.label_attributes, sp.sqrt(model.replication)
    uneven = [A for A in z if sp.expand(model.label_kernel[A] * lam_W - model.feature_kernel[A] * lam_H) != 0]
    dead = [A for A in uneven if z[A] == 0 and model.tau[A].is_negative]
    pi = dict.fromkeys(z, sp.S(0))
    if dead and model.loss == "cross_entropy" and not model.free_symbols:
        weights = {
            T: sp.exp(sp.N(value, 30)) for T, value in labels.entries({A: x / root for A, x in z.items()}).items()
        }
        total = sum(T.valency * weights[T.name] for T in labels.relations)
        pi = {A: root * x / total for A, x in labels.eigenvalues(weights).items()}
    for A in dead:
        if sp.N(model.tau[A] - pi[A] + shrink, 30).is_negative:
            raise InputError(
                f"limit: the target of {A!r}, {model.targets[A]}, pulls it below 0, which a positive start reaches "
                "when kW lam_W and kH lam_H differ; simulate to a long time instead."
            )


def _one_ridge_limit(model: UFM) -> dict[str, Point]:
    """z is at rest in the limit alone: with lam_H = 0, h^4 grows like 4 kH lam_W tau^2 t, and w = z / h falls."""
    if model.loss != "mse":
        raise InputError(
            f"limit: ridge {model.ridge} acts on one factor alone, so cross-entropy drives z to infinity and the "
            "other factor with it; give both a ridge."
        )
    lam_W, lam_H = model.ridge
    found: dict[str, Point] = {}
    for A in model.attributes.names:
        if A not in model.targets and lam_H == 0:
            raise InputError(f"limit: stratum {A!r} keeps its start (dropped by the label, and H has no ridge).")
        tau = model.tau[A]
        if A in model.targets and not tau.is_positive:
            raise InputError(
                f"limit: with ridge {model.ridge} on one factor alone the target of {A!r}, {tau}, has to be positive; "
                "otherwise the other factor keeps part of its start."
            )
        grows, falls = (sp.oo, sp.S(0)) if A in model.targets else (sp.S(0), sp.S(0))
        found[A] = (grows, falls, tau) if lam_W == 0 else (falls, grows, tau)
    return found


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
    """One-hot labels, no ridge on W: h_A^2 in proportion to z_A / sqrt(kW_A), of sum m_A h_A^2 = m R^2 in all."""
    if model.loss != "cross_entropy" or set(model.targets.values()) != {sp.S(1)} or model.ridge[0] != 0:
        raise InputError(
            f"limit: constraint {model.constraint} has a known limit for cross-entropy with one-hot targets and no "
            "ridge on W; simulate to a long time instead."
        )
    frozen = [A for A in model.targets if A != "1" and _vanishes(model, A)]
    if frozen:
        raise InputError(f"limit: stratum {frozen[0]!r} cannot grow, since its kernel vanishes; simulate instead.")
    grown = [A for A in model.targets if A != "1"]
    if len({model.label_kernel[A] for A in grown}) == 1:
        share = dict.fromkeys(grown, 1 / (model.label_count - 1))
    else:
        share = _held_norm_shares(model, grown)
    if model.constraint == "normalized":
        square = model.width if model.width is not None else WIDTH
    else:
        square = sp.Symbol("R", positive=True) ** 2  # |h_j|^2, which the start sets
    # Equal kernels need no square root of a sum, and symbolic sizes stay simple.
    h = {A: sp.sqrt(model.contexts * square * share.get(A, 0)) for A in model.attributes.names}
    return {A: (sp.oo, h[A], sp.oo) if A in grown else (sp.S(0), sp.S(0), sp.S(0)) for A in h}


def _held_norm_shares(model: UFM, grown: list[str]) -> dict[str, sp.Expr]:
    """h_A^2 / sum_B m_B h_B^2 from the max-margin direction."""
    found = persistence(model)
    absent = [A for A in grown if found.direction[A] == 0]
    if absent or not found.unique:
        where = f"h of stratum {absent[0]!r} vanishes in the limit" if absent else "several directions cost as little"
        raise InputError(
            f"limit: with this label kernel {where}, and how z then grows is not known; "
            "persistence() has the direction."
        )
    m = model.attributes.multiplicities
    part = {A: found.direction[A] / sp.sqrt(model.label_kernel[A]) for A in grown}
    total = sum(m[A] * part[A] for A in grown)
    return {A: sp.radsimp(part[A] / total) for A in grown}
