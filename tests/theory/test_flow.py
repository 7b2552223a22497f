"""The derived mode equations are the gradient flow of the explicit matrices, which stays in the algebra."""

import dataclasses

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from ufmflow.proofs.strategies import elements, models
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.flow import ModeFlow, derive_flow
from ufmflow.theory.kernels import embedding_kernel
from ufmflow.theory.model import CONSTRAINTS, LOSSES, REDUCTIONS, UFM

from .evaluate import function_of_state, rates
from .explicit import ExplicitModel, random_frame

# Every number below is a sum of at most m * max(V, d) = 12 * 15 products, over a few nested sums, of numbers of order
# `size`: rounding is of order 1e3 eps = 2e-13 in them.  The mutations below change rates by percents at least.
ROUNDING = 1e-11


def sized(model: UFM) -> UFM:
    """The same with a width, which sets the radius of normalized features."""
    return model if model.width is not None else UFM(**(model.config() | {"width": 7}))


def state_of(flow: ModeFlow, w: dict, features: dict) -> list[float]:
    return [float(w[A]) for A in flow.w] + [float(features[A]) for A in flow.h]


def follows_the_matrices(model: UFM, flow: ModeFlow, w: dict, features: dict, **projections: bool) -> bool:
    """Whether dW/dt and dF/dt of the matrices equal those assembled from the derived rates, entry by entry."""
    explicit = ExplicitModel(model)
    Q = random_frame(explicit.m + 3, explicit.m, seed=0)
    W, F = explicit.matrices({A: float(w[A]) for A in flow.w}, {A: float(x) for A, x in features.items()}, Q)
    velocity = explicit.velocity(W, F, **projections)
    moved = rates(flow)(state_of(flow, w, features))
    n = len(flow.w)
    dw, dF = dict(zip(flow.w, moved[:n], strict=True)), dict(zip(flow.h, moved[n:], strict=True))
    assembled = explicit.matrices(dw, dF, Q)
    tolerance = ROUNDING * magnitude(explicit, W, F)
    return all(np.abs(a - b).max() <= tolerance for a, b in zip(velocity, assembled, strict=True))


def magnitude(explicit: ExplicitModel, W: np.ndarray, F: np.ndarray) -> float:
    """Size of the terms of a rate, kernel * (scale * residual * factor + ridge * factor): where they cancel, rounding
    follows the terms, not their sum."""
    H = explicit.embeddings(F)
    norm_W, norm_F, norm_H, norm_T, KW, KH = (
        np.linalg.norm(X, 2) for X in (W, F, H, explicit.T, explicit.KW, explicit.KH)
    )
    gain = (np.linalg.norm(H, axis=0) / np.linalg.norm(F, axis=0)).max()  # of normalized features
    residual = explicit.scale * (norm_W * norm_H + norm_T)
    rate_W = KW * (residual * norm_H + explicit.lam_W * norm_W)
    rate_F = KH * (residual * norm_W * gain + explicit.lam_H * norm_F)
    return max(rate_W, rate_F)


@st.composite
def states(draw, model: UFM) -> tuple[dict, dict]:
    """Any w; features that do not vanish, for which a norm must be held."""
    w = draw(elements(model.label_attributes))
    features = draw(elements(model.attributes))
    last = model.attributes.names[-1]
    return w, features | {last: features[last] if features[last] else sp.Integer(1)}


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
@given(data=st.data())
def test_the_rates_are_the_flow_of_the_matrices(loss, constraint, data):
    model = sized(data.draw(models(losses=(loss,), constraints=(constraint,))))
    assert follows_the_matrices(model, derive_flow(model), *data.draw(states(model)))


WORDS = Attributes("(a[2] * b[3]) / word[2]")
KERNEL = {"1": 3, "a": 2, "b": 1, "a:b": sp.Rational(1, 2), "a:b:word": sp.Rational(1, 3)}
TARGETS = {"a": sp.Rational(3, 4), "b": sp.Rational(1, 2), "a:b": sp.Rational(1, 3)}
START_W = {"1": sp.Rational(1, 3), "a": 1, "b": -2, "a:b": sp.Rational(3, 2)}
START_F = {"1": sp.Rational(1, 2), "a": 2, "b": 1, "a:b": -1, "a:b:word": sp.Rational(1, 2)}


def example(loss: str, constraint: str, **fields) -> UFM:
    standard = {"labels": "a * b", "targets": TARGETS, "feature_kernel": KERNEL, "ridge": (1, 2), "width": 7}
    standard |= {"label_kernel": {"a": 2, "b": 1, "a:b": 3}, "loss": loss, "constraint": constraint}
    return UFM(WORDS, **(standard | fields))


def altered(flow: ModeFlow, what: str) -> ModeFlow:
    """A flow with one mistake of the kind that a derivation by hand would make."""
    m = WORDS.multiplicities
    definitions, changed = dict(flow.definitions), dict(flow.rates)
    if what == "sign":
        definitions[flow.g["a"]] *= -1
    elif what == "multiplicity":
        changed[flow.w["b"]] *= m["b"]
    elif what == "projector":
        a, b = flow.w["a"], flow.w["b"]
        changed[a], changed[b] = changed[b], changed[a]
    elif what == "character":
        margin = next(symbol for symbol in definitions if symbol.name == "M_a")
        z = flow.z["b"]
        definitions[margin] = definitions[margin].subs(z, -z)
    elif what == "replication":
        definitions[flow.g["a:b"]] *= sp.sqrt(2)
    elif what == "kernel":
        changed[flow.state[-2]] *= 2
    return dataclasses.replace(flow, definitions=tuple(definitions.items()), rates=changed)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_mistakes_in_the_rates_are_noticed(loss, constraint, reduction):
    model = example(loss, constraint, reduction=reduction)
    flow = derive_flow(model)
    assert follows_the_matrices(model, altered(flow, "nothing"), START_W, START_F)
    mistakes = ["sign", "multiplicity", "projector", "replication", "kernel"]
    for what in mistakes + (["character"] if loss == "cross_entropy" else []):
        assert not follows_the_matrices(model, altered(flow, what), START_W, START_F), what


@pytest.mark.parametrize("missing", ["first_projection", "second_projection"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_sphere_needs_both_projections(loss, missing):
    model = example(loss, "sphere")
    flow = derive_flow(model)
    assert follows_the_matrices(model, flow, START_W, START_F)
    assert not follows_the_matrices(model, flow, START_W, START_F, **{missing: False})
    # With one kernel eigenvalue for all, projecting twice is projecting once.
    plain = example(loss, "sphere", feature_kernel=2)
    assert follows_the_matrices(plain, derive_flow(plain), START_W, START_F, **{missing: False})


def test_outside_the_algebra_the_rates_say_nothing():
    """Unequal label frequencies, here a context whose loss counts double, take the matrices out of the algebra."""
    model = example("cross_entropy", "free", feature_kernel=1, label_kernel=1, ridge=0)
    explicit = ExplicitModel(model)
    Q = random_frame(15, 12, seed=0)
    W, H = explicit.matrices({A: float(x) for A, x in START_W.items()}, {A: float(x) for A, x in START_F.items()}, Q)

    def off_the_algebra(velocity: np.ndarray) -> float:
        block = Q.T @ velocity
        inside = sum(np.trace(P @ block) / np.trace(P) * P for P in explicit.P.values())
        return np.abs(velocity - Q @ inside).max()

    even = explicit.gradient(W, H)[1]
    uneven = even.copy()
    uneven[:, 0] *= 2  # the gradient of a context's column is that of its own term of the loss
    assert off_the_algebra(even) <= ROUNDING and off_the_algebra(uneven) > 1e-3


def page_equations(model: UFM, flow: ModeFlow) -> dict[sp.Symbol, sp.Expr]:
    """The mode equations as the specification writes them."""
    m, kH, kW, g, w, h = (
        model.attributes.multiplicities, model.feature_kernel, model.label_kernel, flow.g, flow.w, flow.h
    )
    lam_W, lam_H = model.ridge
    pull = {A: g[A] * w[A] if A in w else sp.S(0) for A in h}
    written = {w[A]: kW[A] * (g[A] * h[A] - lam_W * w[A]) for A in w}
    if model.constraint == "free":
        return written | {h[A]: kH[A] * (pull[A] - lam_H * h[A]) for A in h}
    c = sum(m[A] * pull[A] * h[A] for A in h) / sum(m[A] * h[A] ** 2 for A in h)
    if model.constraint == "sphere":
        f = {A: kH[A] * (pull[A] - c * h[A]) for A in h}
        a = sum(m[A] * h[A] * f[A] for A in h) / sum(m[A] * h[A] ** 2 for A in h)
        return written | {h[A]: f[A] - a * h[A] for A in h}
    phi = dict(zip(h, flow.state[len(w) :], strict=True))
    N = sum(m[A] * phi[A] ** 2 for A in phi) / model.contexts
    return written | {phi[A]: kH[A] * sp.sqrt(model.width) / sp.sqrt(N) * (pull[A] - c * h[A]) for A in h}


def equal_rates(flow: ModeFlow, written: dict[sp.Symbol, sp.Expr], state: list[float]) -> bool:
    """Both evaluated with 30 digits, which leaves 20 after any cancellation at numbers of this size."""
    exact_state = [sp.Rational(str(x)) for x in state]
    left, right = (
        function_of_state(flow, [side[x] for x in flow.state], "mpmath") for side in (flow.rates, written)
    )
    with mpmath.workdps(30):
        numbers = [mpmath.mpf(int(x.p)) / int(x.q) for x in exact_state]
        return all(abs(x - y) <= mpmath.mpf(10) ** -20 for x, y in zip(left(numbers), right(numbers), strict=True))


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@given(data=st.data())
def test_the_rates_are_those_of_the_specification(constraint, data):
    model = sized(data.draw(models(constraints=(constraint,))))
    flow = derive_flow(model)
    assert equal_rates(flow, page_equations(model, flow), state_of(flow, *data.draw(states(model))))


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_another_specification_is_noticed(constraint):
    model = example("cross_entropy", constraint)
    flow = derive_flow(model)
    written, state = page_equations(model, flow), state_of(flow, START_W, START_F)
    assert equal_rates(flow, written, state)
    x = flow.state[-1]
    assert not equal_rates(flow, written | {x: -written[x]}, state)
    assert not equal_rates(flow, written | {x: written[x] * sp.Rational(1001, 1000)}, state)


def singular_value_of_the_gradient(model: UFM, flow: ModeFlow, pi: dict, state: list[float]) -> bool:
    """g_A = (tau_A - pi_A) scale, with pi_A the singular value of the explicit softmax(Z)."""
    g = function_of_state(flow, flow.g.values())(state)
    expected = [float(model.scale) * (float(model.tau[A]) - pi[A]) for A in flow.g]
    return np.allclose(g, expected, rtol=0, atol=ROUNDING)


@given(data=st.data())
def test_the_driving_force_is_target_less_softmax(data):
    model = data.draw(models(losses=("cross_entropy",), constraints=("free",)))
    flow = derive_flow(model)
    w, h = data.draw(states(model))
    explicit = ExplicitModel(model)
    W, H = explicit.matrices(
        {A: float(w[A]) for A in flow.w}, {A: float(x) for A, x in h.items()}, np.eye(explicit.m)
    )
    softmax = np.exp(W @ H - (W @ H).max(axis=0))
    softmax /= softmax.sum(axis=0)
    # softmax(Z) = B sum_A pi_A P_A, and B B' = I.
    pi = {A: np.trace(explicit.B.T @ softmax @ explicit.P[A]) / np.trace(explicit.P[A]) for A in flow.w}
    state = state_of(flow, w, h)
    assert singular_value_of_the_gradient(model, flow, pi, state)
    assert not singular_value_of_the_gradient(model, flow, {A: x + 1e-3 for A, x in pi.items()}, state)


def test_the_loss_is_the_loss_of_the_matrices():
    for loss in LOSSES:
        model = example(loss, "free", ridge=0)
        flow = derive_flow(model)
        explicit = ExplicitModel(model)
        Q = random_frame(15, 12, seed=1)
        w, h = ({A: float(x) for A, x in start.items()} for start in (START_W, START_F))
        W, H = explicit.matrices(w, h, Q)
        (value,) = function_of_state(flow, [flow.loss])(state_of(flow, START_W, START_F))
        expected = explicit.loss(W, H)
        assert value == pytest.approx(expected, rel=1e-12)  # a sum of 72 products
        assert value != pytest.approx(expected * 72 / 73, rel=1e-12)


def exact_matrix_flow(model: UFM, w: dict, h: dict, Q: sp.Matrix, sphere_first: bool = True) -> tuple:
    """The flow of rational matrices: SymPy differentiates the explicit squared error in all V d + d m entries."""
    n = int(model.contexts)
    P = {A: sp.Matrix(model.attributes.projector(A)) for A in model.attributes.names}

    def element(values: dict) -> sp.Matrix:
        return sum((values[A] * P[A] for A in P), sp.zeros(n, n))

    W, H = sp.Matrix(n, n, sp.symbols(f"W:{n * n}")), sp.Matrix(n, n, sp.symbols(f"H:{n * n}"))
    error = W * H - element(model.tau)
    lam_W, lam_H = model.ridge if model.constraint == "free" else (model.ridge[0], 0)
    loss = (model.scale * sum(e**2 for e in error) + lam_W * sum(x**2 for x in W) + lam_H * sum(x**2 for x in H)) / 2
    at = dict(zip([*W, *H], [*(element(w) * Q.T), *(Q * element(h))], strict=True))
    down_W, down_H = (X.applyfunc(lambda x: -sp.diff(loss, x)).xreplace(at) for X in (W, H))
    H = Q * element(h)

    def tangent(X: sp.Matrix) -> sp.Matrix:
        columns = [X[:, j] - H[:, j] * H[:, j].dot(X[:, j]) / H[:, j].dot(H[:, j]) for j in range(n)]
        return sp.Matrix.hstack(*columns)

    kernel = element(model.feature_kernel)
    if model.constraint == "sphere":
        moved = tangent((tangent(down_H) if sphere_first else down_H) * kernel)
    else:
        moved = down_H * kernel
    return element(model.label_kernel) * down_W, moved


@pytest.mark.parametrize("constraint", ["free", "sphere"])
def test_the_rates_are_exact_for_rational_matrices(constraint):
    attributes = Attributes("a[2] / b[2]")
    kernel = {"1": 3, "a": 2, "a:b": sp.Rational(1, 2)}
    tau = {"a": sp.Rational(2, 3), "a:b": sp.Rational(1, 5)}
    model = UFM(
        attributes, loss="mse", targets=tau, feature_kernel=kernel, label_kernel=5, ridge=(1, 2), constraint=constraint
    )
    w, h = {"1": 1, "a": -2, "a:b": sp.Rational(1, 3)}, {"1": sp.Rational(1, 2), "a": 1, "a:b": 3}
    # A rational rotation, by Cayley's transform of a skew matrix.
    skew = sp.Matrix(4, 4, lambda i, j: sp.Rational((j - i) * (i + j), 5))
    Q = (sp.eye(4) - skew) * (sp.eye(4) + skew).inv()
    assert Q * Q.T == sp.eye(4)

    flow = derive_flow(model)
    at = dict(zip(flow.state, [*w.values(), *h.values()], strict=True))
    moved = [flow.expand(flow.rates[x]).xreplace(at) for x in flow.state]
    P = [sp.Matrix(attributes.projector(A)) for A in attributes.names]
    assembled = (
        sum((x * p for x, p in zip(moved[:3], P, strict=True)), sp.zeros(4, 4)) * Q.T,
        Q * sum((x * p for x, p in zip(moved[3:], P, strict=True)), sp.zeros(4, 4)),
    )
    assert exact_matrix_flow(model, w, h, Q) == assembled
    if constraint == "sphere":
        assert exact_matrix_flow(model, w, h, Q, sphere_first=False) != assembled


def test_equal_strata_stay_equal_without_a_kernel_and_part_with_one():
    """The plain model from an equal start never favours an attribute; the embedding kernel does at once."""
    attributes = Attributes("a[3] * b[4]")
    w, h = sp.symbols("w h", positive=True)

    def distinct_rates(model: UFM) -> int:
        flow = derive_flow(model)
        n = len(flow.w)
        start = dict(zip(flow.state, [w] * n + [h] * n, strict=True))
        pairs = zip(flow.w, flow.state[:n], flow.state[n:], strict=True)
        pulls = {A: (flow.expand(flow.rates[x]), flow.expand(flow.rates[y])) for A, x, y in pairs if A != "1"}
        return len({tuple(sp.simplify(x.rewrite(sp.log).subs(start)) for x in pair) for pair in pulls.values()})

    kernel = embedding_kernel(attributes, {"a": 1, "b": 1}, residual=1)
    for loss in LOSSES:
        assert distinct_rates(UFM(attributes, loss=loss)) == 1
        assert distinct_rates(UFM(attributes, loss=loss, feature_kernel=kernel)) == 3
