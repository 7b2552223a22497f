"""The gradient flow on the strata, derived from the loss.

On matrices whose factors lie in the algebra, W = sum_A w_A P_A Q^T and H = Q sum_A h_A P_A with an orthonormal frame Q,
the loss is a function L(w, h) of the singular values.  Such matrices form a plane on which |dW|^2 = sum_A m_A dw_A^2,
and symmetry keeps the gradient tangent to it, so the matrix flow restricts to

    dw_A/dt = -(kW_A / m_A) dL/dw_A,      dh_A/dt = -(kH_A / m_A) dL/dh_A                            (free)

with the tangent projections of the sphere, or h = R phi / sqrt(N) differentiated through (normalized).  Nothing below is
typed in: SymPy differentiates the loss, quantity by quantity, and the chain rule joins the pieces so that the equations
stay small for many strata.

Cross-entropy is written in the margins M_T = Z(same) - Z(T) >= 0, one for each relation T other than `same`:

    L / (m scale) = log(1 + sum_T v_T exp(-M_T)) + sum_T v_T Y_T M_T,

which holds because columns of the targets Y sum to one, and which stays accurate when the loss is far below rounding.
"""

from dataclasses import dataclass

import sympy as sp

from .kernels import stratum_symbol
from .model import UFM
from .partition import LogPartition

TIME = sp.Symbol("t", nonnegative=True)
WIDTH = sp.Symbol("d", positive=True)


@dataclass(frozen=True)
class ModeFlow:
    """The flow of a model on its strata.

    Attributes
    ----------
    w, h, z, g : dict from stratum name to Symbol
        Singular values of W, H, Z = W H, and of -dL/dZ.  w, z and g run over the strata of the labels.
    state : tuple of Symbol
        What flows: w, then h (phi, the modes of the features, when the model is `normalized`).
    definitions : tuple of (Symbol, Expr)
        Named quantities in the order in which they can be computed from the state.
    rates : dict from state Symbol to Expr
        Time derivatives in terms of state, definitions and parameters; time is learning rate x steps.
    loss : Expr
        The loss without ridge, in terms of definitions.
    """

    w: dict[str, sp.Symbol]
    h: dict[str, sp.Symbol]
    z: dict[str, sp.Symbol]
    g: dict[str, sp.Symbol]
    state: tuple[sp.Symbol, ...]
    definitions: tuple[tuple[sp.Symbol, sp.Expr], ...]
    rates: dict[sp.Symbol, sp.Expr]
    loss: sp.Expr

    def expand(self, expression: sp.Expr) -> sp.Expr:
        """An expression in terms of the state and the parameters alone."""
        for symbol, definition in reversed(self.definitions):
            expression = expression.subs(symbol, definition)
        return expression


def derive_flow(model: UFM) -> ModeFlow:
    """Differentiate the model's loss on the symmetric matrices and return the flow of their singular values."""
    strata, kept = model.attributes.names, model.label_attributes.names
    w, z, g = ({A: stratum_symbol(letter, A) for A in kept} for letter in "wzg")
    h = {A: stratum_symbol("h", A) for A in strata}
    m = model.attributes.multiplicities

    logits = [(z[A], w[A] * h[A]) for A in kept]
    descent, loss = _descent_of_loss(model, z)
    definitions = [*logits, *descent[:-1], *((g[A], descent[-1][1][A]) for A in kept)]
    lam_W, lam_H = model.ridge
    ridge_W, ridge_H = (
        lam_W / 2 * sum(m[A] * w[A] ** 2 for A in kept),
        lam_H / 2 * sum(m[A] * h[A] ** 2 for A in strata),
    )
    products = dict(logits)

    def down(A: str, x: sp.Symbol, ridge: sp.Expr) -> sp.Expr:
        """-(1/m_A) dL/dx through z_A, with -dL/dz_A = m_A g_A."""
        through_z = m[A] * g[A] * sp.diff(products[z[A]], x) if A in kept else sp.S(0)
        return sp.expand((through_z - sp.diff(ridge, x)) / m[A])

    rates = {w[A]: model.label_kernel[A] * down(A, w[A], ridge_W) for A in kept}
    if model.constraint == "free":
        rates |= {h[A]: model.feature_kernel[A] * down(A, h[A], ridge_H) for A in strata}
        state = (*w.values(), *h.values())
    else:
        # The norm of H is held, so its ridge has no tangent gradient and is left out.
        pull = {A: down(A, h[A], sp.S(0)) for A in strata}
        flow = _sphere if model.constraint == "sphere" else _normalized
        before, after, features = flow(model, h, pull)
        definitions = [*before, *definitions, *after]
        rates |= features
        state = (*w.values(), *features)
    return ModeFlow(w, h, z, g, tuple(state), tuple(definitions), rates, loss)


def _descent_of_loss(model: UFM, z: dict[str, sp.Symbol]) -> tuple[list, sp.Expr]:
    """Definitions that end with (None, {A: g_A = -(1/m_A) dL/dz_A}), and the loss."""
    m = model.attributes.multiplicities
    if model.loss == "mse":
        everywhere = {A: z.get(A, sp.S(0)) for A in model.attributes.names}
        loss = model.scale / 2 * sum(m[A] * (everywhere[A] - model.tau[A]) ** 2 for A in everywhere)
        return [(None, {A: -sp.diff(loss, z[A]) / m[A] for A in z})], loss

    labels = model.label_attributes
    V, root = model.label_count, sp.sqrt(model.replication)
    others = labels.relations[:-1]
    v = {T.name: stratum_symbol("v", T.name) for T in others}
    valency = {v[T.name]: T.valency for T in others}
    Y = labels.entries(model.targets)
    M = {T: stratum_symbol("M", T) for T in v}
    S = {T: stratum_symbol("S", T) for T in v}
    Lambda = sp.Symbol("Lambda", real=True)

    whole = LogPartition(*M.values(), *v.values())
    per_context = whole + sum(v[T] * Y[T] * M[T] for T in v)
    softmax = {T: -sp.diff(whole, M[T]) / v[T] for T in v}
    named = {softmax[T]: S[T] for T in v}
    residual = {T: sp.expand_mul(-sp.diff(per_context, M[T]) / v[T]).xreplace(named) for T in v}
    # p_A(same) - p_A(T), the entries' difference that carries z_A into the margin M_T.
    share = {(A, T): sp.factor(m[A] * (1 - labels.character(A, T)) / V) / root for A in z for T in v}
    margins = {T: sum(share[A, T] * z[A] for A in z) for T in v}
    definitions: list = [*((M[T], margins[T]) for T in v), (Lambda, whole.xreplace(valency))]
    definitions += [(S[T], softmax[T].xreplace({whole: Lambda})) for T in v]
    weight = model.scale * model.contexts
    g = {A: sum(sp.factor(weight * valency[v[T]] * share[A, T] / m[A]) * residual[T] for T in v) for A in z}
    return [*definitions, (None, g)], weight * per_context.xreplace({whole: Lambda}).xreplace(valency)


def _inner(model: UFM, x: dict[str, sp.Expr], y: dict[str, sp.Expr]) -> sp.Expr:
    """<X, Y> = sum_A m_A x_A y_A for matrices in the algebra; by symmetry m times that of each context's columns."""
    return sum((model.attributes.multiplicities[A] * x[A] * y[A] for A in x), sp.S(0))


def _sphere(model: UFM, h: dict[str, sp.Symbol], pull: dict[str, sp.Expr]) -> tuple[list, list, dict]:
    """Tangent part of the descent direction per context, the kernel, and the tangent part again."""
    c, a = sp.symbols("c a", real=True)
    f = {A: stratum_symbol("f", A) for A in h}
    square = _inner(model, h, h)
    after = [(c, _inner(model, pull, h) / square)]
    after += [(f[A], model.feature_kernel[A] * (pull[A] - c * h[A])) for A in h]
    after += [(a, _inner(model, f, h) / square)]
    return [], after, {h[A]: f[A] - a * h[A] for A in h}


def _normalized(model: UFM, h: dict[str, sp.Symbol], pull: dict[str, sp.Expr]) -> tuple[list, list, dict]:
    """Features phi with h = sqrt(d) phi / sqrt(N), N their mean square norm: the loss differentiated through both."""
    phi = {A: stratum_symbol("phi", A) for A in h}
    N, c = sp.Symbol("N", positive=True), sp.Symbol("c", real=True)
    d = WIDTH if model.width is None else model.width
    square = _inner(model, phi, phi) / model.contexts
    embedding = {A: sp.sqrt(d) * phi[A] / sp.sqrt(N) for A in h}
    m = model.attributes.multiplicities
    through_norm = sum(m[A] * pull[A] * sp.diff(embedding[A], N) for A in h)
    before = [(N, square), *((h[A], embedding[A]) for A in h)]
    rates = {
        phi[A]: model.feature_kernel[A]
        * sp.expand((m[A] * pull[A] * sp.diff(embedding[A], phi[A]) + c * sp.diff(square, phi[A])) / m[A])
        for A in h
    }
    return before, [(c, sp.factor_terms(through_norm))], rates
