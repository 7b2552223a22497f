"""Any ridge holds the margin: two labels rest at ln 8, with a loss of ln(9/8)."""

import sympy as sp

from ..checker import Counterexample
from ..steps import Cases, Enclosure, Identity
from ._instances import Instance

MARGIN = sp.log(8)


def counterexample() -> Counterexample:
    """At the margin M the pull on a[2] is 1/(e^M + 1) = 1/9; on the sphere h = 1 and w = M."""
    lam, root = sp.Rational(1, 9), sp.sqrt(MARGIN)
    free = Instance("a[2]", {"a": (root, root)}, ridge=lam)
    held = Instance("a[2]", {"a": (MARGIN, 1)}, ridge=(lam / MARGIN, 0), constraint="sphere")
    pairs = {"a": (sp.sqrt(2) * MARGIN, 1)}
    options = {"labels": "a", "ridge": (lam / (2 * MARGIN), 0), "constraint": "sphere"}
    dropped = Instance("a[2] * b[2]", pairs, **options)
    shared = Instance("a[2] * b[2]", pairs | {"b": (0, 1)}, **options)
    rest = [
        Identity(f"{says}: d{x}/dt", instance.value(rate), sp.S(0))
        for says, instance in (("free", free), ("sphere", held), ("dropped", dropped))
        for x, rate in instance.flow.rates.items()
    ]
    c = next(value for symbol, value in shared.flow.definitions if str(symbol) == "c")
    return Counterexample(
        name="ridge_keeps_the_margin_finite",
        statement="Two labels, one-hot cross-entropy: with ridge 1/9 the free w = h = sqrt(ln 8) rest, with ridge "
        "1/(9 ln 8) on W so do w = ln 8, h = 1 on the sphere, and likewise for a[2] * b[2] with labels a.  The loss "
        "stays at ln(9/8) < ln(5/4), and W and the margin do not grow.  With h_b = 1 beside, |W| rests although "
        "c > 0.",
        theorem="positive_starts_reach_the_largest_margin",
        without="no ridge",
        also=(
            ("positive_starts_on_the_sphere_reach_the_largest_margin", "no ridge on W"),
            ("the_flow_converges_to_the_max_margin_direction", "no ridge"),
            ("strata_grow_as_powers_of_ln_t_that_the_dual_sets", "no ridge"),
            ("the_etf_attracts_on_the_sphere_at_powers_of_the_logarithm", "no ridge"),
            ("variability_falls_faster_than_any_power_of_time", "no ridge on W"),
            ("cross_entropy_one_stratum_is_implicit_in_Ei", "no ridge"),
            ("sphere_one_stratum_is_Lambert_W", "no ridge on the other"),
            ("dropped_strata_shrink_as_W_grows_on_the_sphere", "no ridge on W"),
        ),
        proof=(
            *rest,
            *(
                Identity(f"{says}: loss", x.loss(), sp.log(sp.Rational(9, 8)))
                for says, x in (("free", free), ("sphere", held), ("dropped", dropped))
            ),
            Cases("ln(9/8) < ln(5/4)", (("arguments", sp.Rational(9, 8), "<", sp.Rational(5, 4)),)),
            Identity("with h_b: dw_a/dt", shared.rates("a")[0], sp.S(0)),
            Enclosure("with h_b: c", shared.value(c), sp.S(0), None),
        ),
    )
