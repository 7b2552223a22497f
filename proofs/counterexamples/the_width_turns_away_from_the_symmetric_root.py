"""The Riccati solution gives W W', W H and H'H; W and H themselves also turn in the width."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases

ORDERS = 4  # Taylor coefficients 1, t, t^2, t^3


def counterexample() -> Counterexample:
    """H = W' = ((1, 0), (1, 1)) and T = diag(1, 0): W stays H', and dW/dt = (T - W W') W."""
    T, W0 = sp.diag(1, 0), sp.Matrix([[1, 1], [0, 1]])
    true, root = flow(T, W0), symmetric_root(T, W0)
    equal = [(f"t^{n}: the entries agree", _size(true[n] - root[n]), "==", sp.S(0)) for n in range(3)]
    grams = [
        (f"t^{n}: W W' agrees", _size(_product(true, true)[n] - _product(root, root)[n]), "==", sp.S(0))
        for n in range(ORDERS)
    ]
    return Counterexample(
        name="the_width_turns_away_from_the_symmetric_root",
        statement="T = diag(1, 0), H = W' with W = ((1, 1), (0, 1)), so that W'W = HH': with B = I + R0' F^-1 "
        "(e^(2Ft) - I) R0 / 2, the matrix e^(Ft) R0 B^(-1/2) has the right W W', W H and H'H, and agrees with the flow "
        "up to t^2, but not in t^3.  The two differ by a rotation of the width, which appears whenever R0'R0 and "
        "R0'F R0 do not commute.",
        theorem="random_start_mse_is_a_matrix_riccati_equation",
        against="e^(Ft) R0 B^(-1/2) is W(t) and H(t) themselves, not up to a rotation of the width",
        proof=(
            Cases("Grams and low orders", (*equal, *grams)),
            Cases("the third order", (("t^3: an entry differs", _size(true[3] - root[3]), ">", sp.S(0)),)),
        ),
    )


def flow(T: sp.Matrix, W0: sp.Matrix) -> list[sp.Matrix]:
    """Taylor coefficients of W with dW/dt = (T - W W') W."""
    W = [W0]
    for n in range(ORDERS - 1):
        cubic = _product(_product(W, W), [x.T for x in W])  # W W' W, order by order
        W.append((T * W[n] - cubic[n]) / (n + 1))
    return W


def symmetric_root(T: sp.Matrix, W0: sp.Matrix) -> list[sp.Matrix]:
    """Taylor coefficients of e^(Tt) W0 B^(-1/2) with B = I + 2 W0' (integral of e^(2Ts)) W0; R has W twice."""
    identity = sp.eye(2)
    B = [identity] + [2 * W0.T * (2 * T) ** (n - 1) * W0 / sp.factorial(n) for n in range(1, ORDERS)]
    # N N = B, then M N = 1, order by order.
    N, M = [identity], [identity]
    for n in range(1, ORDERS):
        N.append((B[n] - sum((N[i] * N[n - i] for i in range(1, n)), sp.zeros(2))) / 2)
        M.append(-sum((M[i] * N[n - i] for i in range(n)), sp.zeros(2)))
    grown = [T**n * W0 / sp.factorial(n) for n in range(ORDERS)]
    return [sum((grown[i] * M[n - i] for i in range(n + 1)), sp.zeros(2)) for n in range(ORDERS)]


def _product(left: list[sp.Matrix], right: list[sp.Matrix]) -> list[sp.Matrix]:
    """Taylor coefficients of left right'."""
    return [sum((left[i] * right[n - i].T for i in range(n + 1)), sp.zeros(2)) for n in range(len(left))]


def _size(matrix: sp.Matrix) -> sp.Expr:
    return sum(entry**2 for entry in matrix)
