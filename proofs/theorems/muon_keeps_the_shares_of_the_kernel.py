"""Orthogonalised steps on one-hot labels with cross-entropy: H's Gram stays on the ray of its kernel, for ever."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.flow import TIME
from ..checker import Theorem
from ..gallery import GALLERY, SCOPE, flow, sizes
from ..steps import POSITIVE, DifferentialIdentity, Identity, Positive, Step

STATEMENT = r"""One-hot labels, cross-entropy, free, no ridge: every logit leaves $g_A > 0$ on all strata but the mean (there
0). Parameters $U_W$, $U_H$ that start with one singular value $u_0$ on all strata then keep one under the flow of
orthogonalised steps, $u_0 + t$, so for all $t$: $z_A = \sqrt{\kappa^W_A\kappa^H_A}\,(u_0 + t)^2$, and the Gram of $H$ is
$(u_0+t)^2 K_H$: shares $m_A\kappa^H_A / \sum_B m_B\kappa^H_B$. One step of gradient descent from $H = 0$ and equal $w_A$
gives the Gram $K_H^2$ up to a factor, one orthogonalised step $K_H$."""

W_ROOT, H_ROOT, U0 = sp.symbols("a b u0", positive=True)  # roots of the kernels


def theorem() -> Theorem:
    return Theorem(
        name="muon_keeps_the_shares_of_the_kernel",
        statement=STATEMENT,
        setting=("cross-entropy", "free", "orthogonalised steps"),
        hypotheses=("one-hot", "no ridge", "parameters that start alike on all strata"),
        scope=f"g > 0: {SCOPE}; growth: a stratum of any structure.  Exact signs, that is without the smoothing",
        claims=(14,),
        uses=("orthogonalised_steps_move_every_stratum_alike", "matrix_flow_reduces_to_the_mode_equations"),
        proof=(*(step for formula in GALLERY for step in pull(formula)), *growth(), *first_step()),
        mutations={
            "a pull on the mean": pull("a[n1] * b[n2]", on_the_mean=True),
            "a pull downwards": pull("a[n1] / b[n2]", sign=-1),
            "the kernel's rate instead of its root's": growth(power=2),
            "first steps alike": first_step(power=1),
        },
    )


def pull(formula: str, on_the_mean: bool = False, sign: int = 1) -> tuple[Step, ...]:
    """g_A, as the flow derives it, is a sum of softmax entries S_T > 0 with coefficients that are not negative."""
    derived = flow(formula)
    g = dict(derived.definitions)
    softmax = {s for s in g if s.name.startswith("S_")}
    domain = sizes(Attributes(formula)) | dict.fromkeys(softmax, POSITIVE)
    steps: list[Step] = [
        Positive(f"{formula}: g on {A}", sign * g[symbol], domain)
        for A, symbol in derived.g.items()
        if A != "1" or on_the_mean
    ]
    return (*steps, Identity(f"{formula}: g on the mean", g[derived.g["1"]], sp.S(0)))


def growth(power: int = 1) -> tuple[Step, ...]:
    w, h, other = sp.symbols("w h b2", positive=True)
    solution = {w: W_ROOT * (U0 + TIME), h: H_ROOT * (U0 + TIME)}
    rates = {w: W_ROOT**power, h: H_ROOT**power}
    ratio = solution[h] ** 2 / (other * (U0 + TIME)) ** 2
    return (
        DifferentialIdentity("u grows by t", solution, rates, TIME, {w: W_ROOT * U0, h: H_ROOT * U0}),
        Identity("z", solution[w] * solution[h], W_ROOT * H_ROOT * (U0 + TIME) ** 2),
        Identity("energies of two strata stand as their kernels", ratio, H_ROOT**2 / other**2),
    )


def first_step(power: int = 2) -> tuple[Step, ...]:
    """Pull q = g w on H, alike on all strata: gradient descent moves U_H by b q and H = U_H b by b^2 q."""
    q, eta, other = sp.symbols("q eta b2", positive=True)
    gradient = [(root * q) * root * eta for root in (H_ROOT, other)]
    orthogonal = [root * eta for root in (H_ROOT, other)]
    ratio = H_ROOT**2 / other**2  # of the kernels
    return (
        Identity("gradient descent", gradient[0] ** 2 / gradient[1] ** 2, ratio**power),
        Identity("orthogonalised", orthogonal[0] ** 2 / orthogonal[1] ** 2, ratio),
    )
