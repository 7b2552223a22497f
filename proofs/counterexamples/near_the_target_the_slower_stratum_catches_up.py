"""Squared error, close to the end: gradient flow has the slower stratum above rho z; with ridge it does so earlier."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases, DifferentialIdentity

RHO, X = sp.Rational(1, 2), sp.S(5)


def counterexample() -> Counterexample:
    """z = tau / (1 + c exp(-2 s tau t)) with c = 4 for s = 1 and c = 9 for s = 1/2, when exp(-2 tau t) = 1/400."""
    t = sp.Symbol("t", positive=True)
    fast, slow = sp.symbols("z1 z2", positive=True)
    steps, cases = [], []
    for lam in (sp.S(0), sp.Rational(1, 2)):  # balanced, kappa lam on each side: the plateau is 1 - lam
        tau = 1 - lam
        c, d = X - 1, X / RHO - 1
        solution = {
            fast: tau / (1 + c * sp.exp(-2 * tau * t)),
            slow: tau / (1 + d * sp.exp(-tau * t)),
        }
        rates = {fast: 2 * fast * (1 - fast - lam), slow: slow * (1 - slow - lam)}
        start = {fast: tau / X, slow: RHO * tau / X}
        steps.append(DifferentialIdentity(f"ridge {lam}", solution, rates, t, start))
        ends = tau / (1 + c / 400), tau / (1 + d / 20)
        cases.append((f"ridge {lam}: slower above rho z", ends[1], ">", RHO * ends[0]))
        border = 1 / (1 + RHO)
        cases.append((f"ridge {lam}: faster against tau/(1 + rho)", ends[0], "<" if lam else ">", border))
    return Counterexample(
        name="near_the_target_the_slower_stratum_catches_up",
        statement="rho = 1/2, tau = 1, z = 1/5 and 1/10 at the start, squared error: when the faster stratum is at "
        "1/1.01, beyond tau/(1 + rho) = 2/3, the slower is at 20/29, above rho z.  With a balanced ridge "
        "that halves the plateau it is above rho z already at z = 1/2.02, before tau/(1 + rho).",
        theorem="muon_shows_interactions_that_sgd_still_hides",
        without="main effects below tau / (1 + rho)",
        also=(("muon_shows_interactions_that_sgd_still_hides", "no ridge"),),
        proof=(*steps, Cases("where they are", tuple(cases))),
    )
