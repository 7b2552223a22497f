"""The matrix flow dW/dt = -KW (G H' + lam_W W), dH/dt = -(W' G + lam_H H) KH is the preconditioned gradient flow."""

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, Step

STATEMENT = r"""With $Z = W H$, a loss $L = \frac1m \sum_j \ell_j(Z_{\cdot j}) + \frac{\lambda_W}{2}|W|^2 +
\frac{\lambda_H}{2}|H|^2$ and $G = \frac1m(\pi(Z) - T)$, where $\pi$ is the softmax of the columns (cross-entropy,
columns of $T$ summing to one) or the identity (squared error), $\partial L/\partial W = G H^\top + \lambda_W W$ and
$\partial L/\partial H = W^\top G + \lambda_H H$."""


def theorem() -> Theorem:
    return Theorem(
        name="gradient_is_the_matrix_flow",
        statement=STATEMENT,
        hypotheses=("columns of T sum to one (cross-entropy)",),
        scope="all V, d, m: one entry at a time with everything else held; and whole matrices for V = 3, d = 2, m = 2",
        claims=(1,),
        rests_on=("the chain rule: L depends on an entry of W through one row of Z",),
        proof=(*entrywise(), *whole_matrices()),
        mutations={
            "columns of T sum to 2": entrywise(column_sum=2),
            "the sign of the targets": entrywise(sign=-1),
            "ridge without the factor 1/2 in the loss": whole_matrices(half=sp.S(1)),
            "sum instead of mean over contexts": whole_matrices(contexts=1),
        },
        references=("Zhu et al., A geometric analysis of neural collapse with unconstrained features, 2021",),
    )


def entrywise(column_sum: int = 1, sign: int = 1) -> tuple[Step, ...]:
    """One logit z_ij, whose column has the other exponentials R, and one product W_ia H_aj within it."""
    z, Y, rest, W, H = sp.symbols("z Y c W H", real=True)
    R = sp.Symbol("R", positive=True)
    cross_entropy = column_sum * sp.log(sp.exp(z) + R) - Y * z - rest
    squared = (z - Y) ** 2 / 2 + rest
    return (
        Identity(
            "cross-entropy: dl/dz = softmax - T", sp.diff(cross_entropy, z), sp.exp(z) / (sp.exp(z) + R) - sign * Y
        ),
        Identity("squared error: dl/dz = z - T", sp.diff(squared, z), z - sign * Y),
        Identity("dZ_ij/dW_ia = H_aj", sp.diff(W * H + rest, W), H),
        Identity("dZ_ij/dH_aj = W_ia", sp.diff(W * H + rest, H), W),
    )


def whole_matrices(half: sp.Rational = sp.Rational(1, 2), contexts: int = 2) -> tuple[Step, ...]:
    """Every entry of both gradients of the explicit loss of 3 labels, 2 contexts and width 2."""
    V, d, m = 3, 2, 2
    W, H = sp.Matrix(V, d, sp.symbols(f"W:{V * d}", real=True)), sp.Matrix(d, m, sp.symbols(f"H:{d * m}", real=True))
    T = sp.Matrix(V - 1, m, sp.symbols(f"T:{(V - 1) * m}", real=True))
    T = T.col_join(sp.ones(1, V - 1) * -T + sp.ones(1, m))
    lam_W, lam_H = sp.symbols("lambda_W lambda_H", positive=True)
    Z = W * H
    E = Z.applyfunc(sp.exp)
    columns = sp.ones(1, V) * E
    ridge = half * (lam_W * sum(x**2 for x in W) + lam_H * sum(x**2 for x in H))
    losses = {
        "cross-entropy": (
            sum(sp.log(columns[j]) - sum(T[i, j] * Z[i, j] for i in range(V)) for j in range(m)) / m,
            sp.Matrix(V, m, lambda i, j: E[i, j] / columns[j] - T[i, j]) / contexts,
        ),
        "squared error": (sum(x**2 for x in Z - T) / (2 * m), (Z - T) / contexts),
    }
    steps = []
    for name, (loss, G) in losses.items():
        for letter, X, gradient in (("W", W, G * H.T + lam_W * W), ("H", H, W.T * G + lam_H * H)):
            for i, x in enumerate(X):
                steps.append(Identity(f"{name}: dL/d{letter}[{i}]", sp.diff(loss + ridge, x), gradient[i]))
    return tuple(steps)
