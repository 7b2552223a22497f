"""The whole family: every combination of what a model may hold is derived, and is the flow of its explicit matrices."""

from itertools import product

import mpmath
import numpy as np
import pytest
import sympy as sp

from ufmflow.numerics.simulate import simulate
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.flow import derive_flow
from ufmflow.theory.kernels import embedding_kernel
from ufmflow.theory.model import CONSTRAINTS, LOSSES, REDUCTIONS, UFM
from ufmflow.theory.system import derive

from .evaluate import rates
from .test_flow import follows_the_matrices

PAIR = Attributes("a[2] / b[2]")
EMBEDDING = embedding_kernel(PAIR, {"a": 1, "b": "1/2"}, residual="1/3")
W0 = {"1": sp.Rational(1, 3), "a": sp.Rational(-3, 2), "a:b": sp.Rational(2, 3)}
H0 = {"1": sp.Rational(1, 2), "a": sp.Rational(5, 4), "a:b": sp.Rational(3, 4)}
WIDTH = 3  # what sets the norm of normalized features; the explicit frame is wide whatever the model says


def family(loss: str, constraint: str):
    """Every combination of the other fields: kernels plain, structured, and with an eigenvalue 0."""
    for labels, ridge, reduction, width in product((None, "a"), ((0, 0), (1, 2)), REDUCTIONS, (None, WIDTH)):
        if constraint == "normalized" and width is None:
            continue  # derived with the symbol d; below
        kept = PAIR.keep(labels)
        singular = dict.fromkeys(kept.names, 2) | {"a": 0}
        for feature, label, soft in product((2, EMBEDDING, EMBEDDING | {"a:b": 0}), (1, singular), (False, True)):
            targets = dict.fromkeys(kept.names, sp.Rational(1, 3)) | {"1": 1, "a": sp.Rational(3, 4)}
            yield UFM(
                PAIR, labels=labels, loss=loss, targets=targets if soft else None, feature_kernel=feature,
                label_kernel=label, ridge=ridge, constraint=constraint, width=width, reduction=reduction,
            )  # fmt: skip


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_combination_is_the_flow_of_its_matrices(loss, constraint):
    seen = 0
    for model in family(loss, constraint):
        assert follows_the_matrices(model, derive_flow(model), W0, H0), model.config()
        seen += 1
    assert seen == 2 * 2 * 2 * (1 if constraint == "normalized" else 2) * 3 * 2 * 2
    other = UFM(**(model.config() | {"feature_kernel": 3}))  # the last model's derivation is held to another's
    assert not follows_the_matrices(other, derive_flow(model), W0, H0)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_everything_that_a_system_says_is_said_for_every_combination(loss, constraint):
    for i, model in enumerate(family(loss, constraint)):
        if i % 5:
            continue  # text and LaTeX take longer than the derivation
        system = derive(model)
        assert set(system.equations) == set(PAIR.names) and system.text() and system.to_json()
        assert system.latex().count(" &= ") == len(system.flow.state) + len(system.flow.definitions)
        assert system.jacobian().shape == (len(system.flow.state),) * 2
        # Free: without ridge, or on a stratum that the label drops and the kernel holds still.
        held = model.labels is not None and model.feature_kernel["a:b"] == 0
        free = constraint == "free" and (model.ridge == (0, 0) or held)
        assert bool(system.conserved) == (free or constraint == "sphere"), model.config()


def exact_flow(model: UFM, w: dict, h: dict, Q: sp.Matrix) -> tuple[sp.Matrix, sp.Matrix]:
    """Minus the preconditioned gradient of the explicit cross-entropy: SymPy differentiates it entry by entry."""
    n = 4
    P = {A: sp.Matrix(PAIR.projector(A)) for A in PAIR.names}

    def element(values: dict) -> sp.Matrix:
        return sum((values[A] * P[A] for A in P), sp.zeros(n, n))

    W, F = sp.Matrix(n, n, sp.symbols(f"W:{n * n}")), sp.Matrix(n, n, sp.symbols(f"F:{n * n}"))
    H = F
    if model.constraint == "normalized":
        H = sp.Matrix.hstack(*(sp.sqrt(model.width) * F[:, j] / sp.sqrt(F[:, j].dot(F[:, j])) for j in range(n)))
    Z, T = W * H, element(model.tau)
    data = sum(
        sp.log(sum(sp.exp(Z[i, j]) for i in range(n))) - sum(T[i, j] * Z[i, j] for i in range(n)) for j in range(n)
    )
    lam_W, lam_H = model.ridge[0], model.ridge[1] if model.constraint == "free" else 0
    loss = model.scale * data + lam_W / 2 * sum(x**2 for x in W) + lam_H / 2 * sum(x**2 for x in F)
    at = dict(zip([*W, *F], [*(element(w) * Q.T), *(Q * element(h))], strict=True))
    down_W, down_F = (X.applyfunc(lambda x: -sp.diff(loss, x)).xreplace(at).evalf(40) for X in (W, F))
    F = Q * element(h)

    def tangent(X: sp.Matrix) -> sp.Matrix:
        return sp.Matrix.hstack(*(X[:, j] - F[:, j] * F[:, j].dot(X[:, j]) / F[:, j].dot(F[:, j]) for j in range(n)))

    moved = tangent(tangent(down_F) * element(model.feature_kernel)) if model.constraint == "sphere" else (
        down_F * element(model.feature_kernel)
    )  # fmt: skip
    return element(model.label_kernel) * down_W, moved


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_cross_entropy_differentiated_entry_by_entry_has_the_derived_rates_to_thirty_digits(constraint):
    model = UFM(
        PAIR, targets={"a": sp.Rational(3, 4), "a:b": sp.Rational(1, 2)}, feature_kernel=EMBEDDING,
        label_kernel={"1": 3, "a": 2, "a:b": 1}, ridge=(1, 2), constraint=constraint, width=5,
    )  # fmt: skip
    skew = sp.Matrix(4, 4, lambda i, j: sp.Rational((j - i) * (i + j), 5))
    Q = (sp.eye(4) - skew) * (sp.eye(4) + skew).inv()  # a rational rotation
    dW, dF = exact_flow(model, W0, H0, Q)
    with mpmath.workdps(40):
        state = [mpmath.mpf(int(x.p)) / int(x.q) for x in (*W0.values(), *H0.values())]
        moved = [sp.Float(str(x), 40) for x in rates(derive_flow(model), "mpmath")(state)]
    P = [sp.Matrix(PAIR.projector(A)) for A in PAIR.names]
    assembled_W = sum((x * p for x, p in zip(moved[:3], P, strict=True)), sp.zeros(4, 4)) * Q.T
    assembled_F = Q * sum((x * p for x, p in zip(moved[3:], P, strict=True)), sp.zeros(4, 4))
    for found, expected in ((assembled_W, dW), (assembled_F, dF)):
        assert max(abs(x) for x in (found - expected).evalf(40)) < sp.Float("1e-30")
        assert max(abs(x) for x in (found * sp.Rational(1001, 1000) - expected).evalf(40)) > sp.Float("1e-6")


def test_width_enters_the_equations_of_normalized_features_alone():
    """Elsewhere it says which starts fit: strata of V - 1 dimensions in all need as many directions."""
    for loss, constraint in product(LOSSES, ("free", "sphere")):
        flows = [derive_flow(UFM("a[2] * b[3]", loss=loss, constraint=constraint, width=d)) for d in (None, 2, 20)]
        assert flows[0] == flows[1] == flows[2]
    flows = [derive_flow(UFM("a[2] * b[3]", constraint="normalized", width=d)) for d in (None, 2, 20)]
    assert flows[0] != flows[1] != flows[2]
    d = sp.Symbol("d", positive=True)
    x = flows[0].state[-1]
    assert flows[0].rates[x].subs(d, 2) == flows[1].rates[x]
    narrow = UFM("a[2] * b[3]", feature_kernel={"a": 3, "b": 2, "a:b": 1}, width=3)
    start = {"1": 0, "a": 0.1, "b": 0.1, "a:b": 0}
    # a and b have 1 + 2 dimensions: they fit, and flow as in the wide model; the interactions, of 2 more, do not.
    wide = simulate(UFM(**(narrow.config() | {"width": 6})), [0, 50.0], init=start)
    assert np.array_equal(simulate(narrow, [0, 50.0], init=start).data["z"], wide.data["z"])
    with pytest.raises(InputError, match="^width: 3 is too small for a start on the strata, which needs 5"):
        simulate(narrow, [0, 50.0], init=start | {"a:b": 0.1})
