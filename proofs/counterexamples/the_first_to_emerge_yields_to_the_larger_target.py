"""Squared error, width 1: the attribute with the larger kernel emerges first, the one with the larger target stays."""

import sympy as sp

from ...theory.attributes import Attributes
from ...theory.model import UFM
from ..checker import Counterexample
from ..steps import Cases


def counterexample() -> Counterexample:
    """2 x 2 with kernels 3, 1 on a, b, targets 1/2, 3/4, width 1: rates near zero 3/2 and 3/4, losses kept 3/2 to 1."""
    attributes = Attributes("a[2] * b[2]")
    kernel = {"1": 0, "a": 3, "b": 1, "a:b": 0}
    targets = {"1": 1, "a": sp.Rational(1, 2), "b": sp.Rational(3, 4), "a:b": sp.Rational(1, 4)}
    model = UFM(attributes, loss="mse", targets=targets, feature_kernel=kernel, label_kernel=kernel, width=1)
    rate = {A: kernel[A] * targets[A] for A in ("a", "b")}  # sqrt(kW kH) tau, kernels being equal
    T = sum((targets[A] * attributes.projector(A) for A in targets), sp.zeros(4, 4))
    kept = {A: model.tau[A] * attributes.projector(A) for A in ("a", "b")}

    def loss(Z: sp.Matrix) -> sp.Expr:
        return model.scale / 2 * sum(x**2 for x in Z - T)

    u, v = (2 * attributes.projector(A)[:, 0] for A in ("a", "b"))  # unit vectors
    tilted = (3 * u + 4 * v) / 5
    turned, back = model.tau["a"] * tilted * tilted.T, (4 * u + 3 * v) / 5
    return Counterexample(
        name="the_first_to_emerge_yields_to_the_larger_target",
        statement="2 x 2 with kernels 3 on a and 1 on b, targets 1/2 and 3/4, squared error, width 1: a emerges at "
        "twice b's rate and fills the width, but there the loss falls when its direction turns towards b, and it is "
        "less with b alone; b ends in its place, since turning it towards a raises the loss.",
        theorem="mse_bottleneck_ends_on_the_largest_targets",
        against="the strata that emerge first and fill the width stay for ever, whatever the targets",
        also=(
            ("bottleneck_keeps_whichever_strata_fill_it", "one-hot"),
            ("mse_bottleneck_ends_on_the_largest_targets", "a target left out is larger than one kept"),
        ),
        proof=(
            Cases(
                "rates near zero, and losses",
                (
                    ("a emerges first", rate["a"], "==", 2 * rate["b"]),
                    ("unit vectors", (u.dot(u), v.dot(v), u.dot(v)), "==", (sp.S(1), sp.S(1), sp.S(0))),
                    ("u spans a", u * u.T, "==", attributes.projector("a")),
                    ("turned towards b", loss(turned), "<", loss(kept["a"])),
                    ("b alone", loss(kept["b"]), "<", loss(kept["a"])),
                    ("b turned towards a", loss(model.tau["b"] * back * back.T), ">", loss(kept["b"])),
                ),
            ),
        ),
    )
