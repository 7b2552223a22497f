"""What counterexamples share: concrete flows at a state, written with exponentials and logarithms alone."""

from collections.abc import Mapping
from typing import Any

import sympy as sp

from ...theory.flow import ModeFlow, derive_flow
from ...theory.kernels import stratum_symbol
from ...theory.model import UFM
from ...theory.partition import LogPartition
from ..gallery import at

State = Mapping[str, tuple[Any, Any]]


class Instance:
    """A model at a state: `pairs` has (w, h) on strata; all others, the mean too, are at zero."""

    def __init__(self, formula: str, pairs: State, **options: Any) -> None:
        self.model = UFM(formula, **options)
        self.flow: ModeFlow = derive_flow(self.model)
        self.point = dict.fromkeys(self.flow.state, sp.S(0))
        for A, (w, h) in pairs.items():
            self.point[self.flow.h[A]] = sp.sympify(h)
            if A in self.flow.w:
                self.point[self.flow.w[A]] = sp.sympify(w)

    def value(self, expression: sp.Expr) -> sp.Expr:
        """An expression of the flow at the state."""
        return at(self.flow, expression, self.point).replace(LogPartition, lambda *x: LogPartition(*x).rewrite(sp.log))

    def rates(self, A: str) -> tuple[sp.Expr, sp.Expr]:
        """dw_A/dt and dh_A/dt."""
        w, h = self.flow.w[A], self.flow.h[A]
        return self.value(self.flow.rates[w]), self.value(self.flow.rates[h])

    def pull(self, A: str) -> sp.Expr:
        """g_A."""
        return self.value(self.flow.g[A])

    def growth(self, A: str) -> sp.Expr:
        """d ln z_A/dt."""
        dw, dh = self.rates(A)
        return dw / self.point[self.flow.w[A]] + dh / self.point[self.flow.h[A]]

    def loss(self) -> sp.Expr:
        """The loss without ridge."""
        return self.value(self.flow.loss)

    def change(self, expression: sp.Expr) -> sp.Expr:
        """The time derivative of an expression in state and definitions."""
        written = self.flow.expand(expression)
        return sum((self.value(sp.diff(written, x) * rate) for x, rate in self.flow.rates.items()), sp.S(0))

    def block(self, A: str) -> sp.Matrix:
        """The Jacobian of (dw_A/dt, dh_A/dt) in (w_A, h_A)."""
        pair = (self.flow.w[A], self.flow.h[A])
        rates = [self.flow.expand(self.flow.rates[x]) for x in pair]
        return sp.Matrix(2, 2, lambda i, j: self.value(sp.diff(rates[i], pair[j])))

    def coupling(self, A: str, B: str) -> sp.Expr:
        """dg_A/dz_B."""
        known: dict[sp.Symbol, sp.Expr] = {}
        for symbol, definition in self.flow.definitions:
            if symbol not in self.flow.z.values():
                known[symbol] = definition.xreplace(known)
        slope = sp.diff(known[self.flow.g[A]], self.flow.z[B])
        return self.value(slope.xreplace({z: self.flow.w[S] * self.flow.h[S] for S, z in self.flow.z.items()}))

    def normalised_margin(self) -> sp.Expr:
        """-ln S / rho^2 for kernels 1: S = sum_T v_T exp(-M_T), rho^2 = sum_A m_A (w_A^2 + h_A^2)."""
        labels, m = self.model.label_attributes, self.model.attributes.multiplicities
        margins = {str(x): x for x, _ in self.flow.definitions}
        S = sum(T.valency * sp.exp(-margins[str(stratum_symbol("M", T.name))]) for T in labels.relations[:-1])
        return -sp.log(S) / sum(m[A] * (self.flow.w[A] ** 2 + self.flow.h[A] ** 2) for A in self.flow.w)


def alike(strata: tuple[str, ...], w: Any, h: Any | None = None) -> dict[str, tuple[Any, Any]]:
    """The same (w, h) on some strata; h = w unless given."""
    return dict.fromkeys(strata, (w, w if h is None else h))


PAIR = ("a", "b", "a:b")
TRIPLE = ("a", "b", "c", "a:b", "a:c", "b:c", "a:b:c")


def second_variation(W: sp.Matrix, dW: sp.Matrix, targets: sp.Matrix, ridge: sp.Expr) -> sp.Expr:
    """Of the summed cross-entropy with ridge at Z = W W' (rows are labels), along W + epsilon dW in both factors.

    d^2/d epsilon^2 of sum_j (ln sum_i exp Z_ij - sum_i T_ij Z_ij) + ridge |W|^2.
    """
    count = W.rows
    Z, first, bend = W * W.T, W * dW.T + dW * W.T, 2 * dW * dW.T
    total = 2 * ridge * sum(x**2 for x in dW)
    for j in range(count):
        top = sum(sp.exp(Z[i, j]) for i in range(count))
        pi = [sp.exp(Z[i, j]) / top for i in range(count)]
        total += sum(pi[i] * (bend[i, j] + first[i, j] ** 2) - targets[i, j] * bend[i, j] for i in range(count))
        total -= sum(pi[i] * first[i, j] for i in range(count)) ** 2
    return total
