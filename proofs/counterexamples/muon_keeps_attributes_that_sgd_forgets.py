"""Free features, t to infinity: where gradient flow collapses, orthogonalised steps keep the kernel's geometry."""

import sympy as sp

from ...theory.model import UFM
from ...theory.system import derive
from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """a[4] * b[4], kernels 5/4 on main effects and 1 on the interaction, on both sides, cross-entropy."""
    kernel = {"a": sp.Rational(5, 4), "b": sp.Rational(5, 4), "a:b": sp.S(1)}
    limit = derive(UFM("a[4] * b[4]", feature_kernel=kernel, label_kernel=kernel)).persistence()
    muon = {A: sp.sqrt(k * k) for A, k in kernel.items()}
    return Counterexample(
        name="muon_keeps_attributes_that_sgd_forgets",
        statement="a[4] * b[4] with kernels 5/4 on main effects and 1 on the interaction: gradient flow tends to "
        "collapse (equal z on all strata, at log-log speed), orthogonalised steps have z as 5/4 to 1 at "
        "all times.  The order of optimisers by how much meaning survives is no law for every loss.",
        theorem="muon_shows_interactions_that_sgd_still_hides",
        against="gradient flow keeps more of the attributes than orthogonalised steps at every loss",
        proof=(
            Cases("gradient flow", (("a, b and a:b end alike", limit.direction["a"], "==", limit.direction["a:b"]),)),
            Cases("orthogonalised", (("ratio of z", muon["a"] / muon["a:b"], "==", sp.Rational(5, 4)),)),
        ),
    )
