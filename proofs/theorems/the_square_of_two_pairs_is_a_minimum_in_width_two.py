"""Capacity, cross-entropy: the main effects of 2 x 2, a square in the plane, are a minimum within their own width."""

from itertools import product

import sympy as sp

from ..checker import Theorem
from ..steps import Identity, Interval, Positive, Step

STATEMENT = r"""One-hot cross-entropy on $a[2] * b[2]$ in width 2 with ridge $\lambda$ on both, at the fixed point $W
= H^\top = \sqrt{\rho/2}\,(\pm 1, \pm 1)$, $Z = 2 \rho (P_a + P_b)$, $e^\rho = E > 1$, $m \lambda = 2/(E + 1)$: the
second variation is positive but for turning $W$ and $H$ together in the plane, which changes nothing. So the square
of the main effects is a local minimum within its width for every ridge below $1/m$, and stays for ever."""
SIGNS = (1, -1)
CONTEXTS = tuple(product(SIGNS, repeat=2))
CHARACTERS = {"1": lambda c: 1, "a": lambda c: c[0], "b": lambda c: c[1], "ab": lambda c: c[0] * c[1]}
E, RHO = sp.symbols("E rho", positive=True)


def theorem() -> Theorem:
    return Theorem(
        name="the_square_of_two_pairs_is_a_minimum_in_width_two",
        statement=STATEMENT,
        setting=("cross-entropy", "two pairs, width 2"),
        hypotheses=("one-hot", "equal ridges, lam < 1/m"),
        scope="the second variation in all 16 coordinates, for every ridge",
        claims=(11,),
        rests_on=(
            "Sylvester's criterion",
            "ln E >= 2 (E - 1)/(E + 1) for E >= 1",
            "a gradient flow stays near an orbit of minima whose second variation is positive across it",
        ),
        uses=("ridge_fixed_points_drop_the_kernels",),
        proof=(*variation(), *minors()),
        mutations={
            "without the ridge": variation(ridge=sp.S(0)),
            "twice the form": variation(factor=2),
            "positive below ln E, too": minors(bound=(E - 1) / (E + 1)),
        },
        references=("Jiang et al. 2024 (softmax codes: points evenly on a circle)",),
    )


def block() -> sp.Matrix:
    """The form on the mean of H, and the interaction in W and in H along the other axis."""
    mixed = 2 * E * (E * RHO - 2 * E - RHO - 2) / (E + 1) ** 3
    cross = 2 * E * RHO * (E - 1) / (E + 1) ** 3
    end = 2 * (E * RHO + E + 1) / (E + 1) ** 2
    middle = 2 * (2 * E**3 * RHO + E**3 + 3 * E**2 + 2 * E * RHO + 3 * E + 1) / (E + 1) ** 4
    return sp.Matrix([[end, cross, 0], [cross, middle, mixed], [0, mixed, end]])


def variation(ridge: sp.Expr | None = None, factor: int = 1) -> tuple[Step, ...]:
    """Of the summed loss with ridge, in the coefficients of the characters in both columns of W and of H."""
    x = sp.sqrt(RHO / 2)
    w, h = ({(A, k): sp.Symbol(f"{letter}_{A}_{k}", real=True) for A in CHARACTERS for k in (0, 1)} for letter in "wh")

    def moved(parts: dict, c: tuple[int, ...]) -> list[sp.Expr]:
        return [sum(parts[A, k] * chi(c) for A, chi in CHARACTERS.items()) / 2 for k in (0, 1)]

    partition = E + 2 + 1 / E
    lam = 2 / (E + 1) if ridge is None else ridge
    form = lam * sum(y**2 for y in (*w.values(), *h.values()))
    for j in CONTEXTS:
        weight = {i: {2: E, 0: sp.S(1), -2: 1 / E}[i[0] * j[0] + i[1] * j[1]] / partition for i in CONTEXTS}
        dH = moved(h, j)
        D, bend = {}, {}
        for i in CONTEXTS:
            dW = moved(w, i)
            D[i] = x * sum(dW[k] * j[k] + i[k] * dH[k] for k in (0, 1))
            bend[i] = 2 * sum(dW[k] * dH[k] for k in (0, 1))
        mean = sum(weight[i] * D[i] for i in CONTEXTS)
        form += sum(weight[i] * (D[i] ** 2 + bend[i]) for i in CONTEXTS) - mean**2 - bend[j]
    return (Identity("the second variation", form, factor * _claimed(w, h)),)


def _claimed(w: dict, h: dict) -> sp.Expr:
    """Squares, and `block` twice; no square holds the rotation w = h = 1 on (a, 1) and -1 on (b, 0)."""
    soft, stiff = 2 / (E + 1), E * RHO / (E + 1) ** 2
    total = soft * (w["1", 0] ** 2 + w["1", 1] ** 2)
    for A, k in (("a", 0), ("b", 1)):
        total += 2 * stiff * (w[A, k] + h[A, k]) ** 2 + soft * (w[A, k] - h[A, k]) ** 2
    total += soft * sum((w[A, k] - h[A, k]) ** 2 for A, k in (("a", 1), ("b", 0)))
    total += stiff * (w["a", 1] + h["a", 1] + w["b", 0] + h["b", 0]) ** 2
    total += stiff * (w["a", 1] - h["a", 1] - w["b", 0] + h["b", 0]) ** 2
    for k in (0, 1):
        y = sp.Matrix([h["1", k], w["ab", 1 - k], h["ab", 1 - k]])
        total += (y.T * block() * y)[0]
    return total


def minors(bound: sp.Expr | None = None) -> tuple[Step, ...]:
    """Each trailing minor grows with rho and is positive at the lower bound 2 (E - 1)/(E + 1) of ln E."""
    least = 2 * (E - 1) / (E + 1) if bound is None else bound
    beyond = {E: Interval(sp.S(1), open=True), RHO: Interval(sp.S(0), open=True)}
    steps: list[Step] = []
    for size in (1, 2, 3):
        minor = sp.factor(block()[3 - size :, 3 - size :].det())
        top = sp.fraction(minor)[0]
        steps.append(Positive(f"minor {size} grows with rho", sp.diff(top, RHO), beyond, strict=False))
        steps.append(Positive(f"minor {size} at the bound", minor.subs(RHO, least), {E: beyond[E]}))
    return tuple(steps)
