"""Labels that are right with probability 24/25: the margin rests at ln 24, and the loss at the labels' entropy."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Enclosure, Identity
from ._instances import Instance

MARGIN = sp.log(24)
TAU = sp.Rational(23, 25)  # 24/25 - 1/25


def counterexample() -> Counterexample:
    """a[2] free and on the sphere; and a[2] * b[2] with labels a on the sphere, where h_b = 1 is dropped."""
    targets = {"a": TAU}
    root = sp.sqrt(MARGIN)
    free = Instance("a[2]", {"a": (root, root)}, targets=targets)
    held = Instance("a[2]", {"a": (MARGIN, 1)}, targets=targets, constraint="sphere")
    pairs = {"a": (sp.sqrt(2) * MARGIN, 1), "b": (0, 1)}
    dropped = Instance("a[2] * b[2]", pairs, labels="a", targets=targets, constraint="sphere")
    rest = [
        Identity(f"{says}: d{x}/dt", instance.value(rate), sp.S(0))
        for says, instance in (("free", free), ("sphere", held), ("dropped", dropped))
        for x, rate in instance.flow.rates.items()
    ]
    return Counterexample(
        name="soft_labels_keep_the_margin_finite",
        statement="Two labels, each right with probability 24/25, no ridge: at the margin ln 24 everything rests, free "
        "(w = h) and on the sphere, and so does what the label drops (h_b = 1 in a[2] * b[2] with labels a).  The loss "
        "stays between 0.16 and 0.17, below ln(5/4), so it does not tend to 0, and neither W nor the margin grows.",
        theorem="positive_starts_reach_the_largest_margin",
        without="one-hot",
        also=(
            ("positive_starts_on_the_sphere_reach_the_largest_margin", "one-hot"),
            ("the_flow_converges_to_the_max_margin_direction", "one-hot"),
            ("strata_grow_as_powers_of_ln_t_that_the_dual_sets", "one-hot"),
            ("the_etf_attracts_on_the_sphere_at_powers_of_the_logarithm", "one-hot"),
            ("variability_falls_faster_than_any_power_of_time", "one-hot"),
            ("cross_entropy_one_stratum_is_implicit_in_Ei", "one-hot"),
            ("sphere_one_stratum_is_Lambert_W", "one-hot"),
        ),
        proof=(
            *rest,
            *(
                Enclosure(f"{says}: loss", x.loss(), sp.Rational(16, 100), sp.Rational(17, 100))
                for says, x in (("free", free), ("sphere", held), ("dropped", dropped))
            ),
            Enclosure("ln(5/4) is more", sp.log(sp.Rational(5, 4)), sp.Rational(17, 100), None),
        ),
    )
