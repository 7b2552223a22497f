"""Intervals cover as often as they say, p-values are uniform where nothing is to be found, and both find what is there.

Numbers of simulations are chosen so that a wrong method misses by many standard errors of the simulation.
"""

import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from ufmflow.numerics import strata
from ufmflow.numerics.measures import analyse
from ufmflow.numerics.uncertainty import annotate, bootstrap, coordinate_energies, permutation_p_values
from ufmflow.proofs.strategies import structures
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

from .explicit import normal, projectors, seeds

CROSSED = Attributes("color[3] * shape[4]")
ROOT = {"1": 1.0, "color": 3.0, "shape": 2.0, "color:shape": 0.5}
MULTIPLICITY = np.array([1, 2, 3, 6])


def gaussian(seed: int, d: int) -> np.ndarray:
    """Coordinates that are independent draws with the covariance sum_A ROOT_A^2 P_A."""
    return strata.apply(normal(seed, 12, d), ROOT, CROSSED)


def at_infinite_width(d: int) -> dict[str, np.ndarray]:
    """Energies of `gaussian` in expectation, and the shares and index that they give."""
    energy = d * np.array(list(ROOT.values())) ** 2
    share = MULTIPLICITY * energy
    share[0] = 0
    share /= share.sum()
    return {"energy": energy, "share": share, "semantic_index": (share[1] + share[2] - 5 / 11) / (6 / 11)}


def covers(found: dict, true) -> np.ndarray:
    return (found["low"] <= true) & (true <= found["high"])


@given(attributes=structures(), seed=seeds)
def test_coordinate_energies_are_those_of_the_projectors(attributes, seed):
    H = normal(seed, int(attributes.cardinality), 3)
    found = coordinate_energies(H, attributes)
    expected = np.stack([((P @ H) ** 2).sum(axis=0) for P in projectors(attributes).values()])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found, coordinate_energies(H, attributes, memory=1), rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=0), (H**2).sum(axis=0), rtol=1e-12)


def test_a_90_percent_interval_covers_90_percent_of_the_time():
    """400 simulations: the frequency has standard error 0.015.  BCa falls short by some 0.02 (sums of 64 squares)."""
    d, repeats = 64, 400
    true = at_infinite_width(d)
    hits = {name: [] for name in true}
    narrow = []
    for seed in range(repeats):
        found = bootstrap(gaussian(seed, d), CROSSED, resamples=200, seed=seed)
        for name, value in true.items():
            hits[name].append(covers(found[name], value))
        half = found["energy"]["standard_error"][1] * stats.norm.ppf(0.75)  # control: the interval of 50%
        narrow.append(abs(coordinate_energies(gaussian(seed, d), CROSSED)[1].sum() / 2 - true["energy"][1]) < half)
    for name, found in hits.items():
        frequency = np.mean(found, axis=0)[1:] if name == "share" else np.mean(found, axis=0)
        assert np.all((0.82 < frequency) & (frequency < 0.95)), name
    assert not 0.82 < np.mean(narrow) < 0.95


def test_standard_errors_are_the_spread_of_independent_embeddings():
    """chi-square: the energy of A has variance 2 d sigma_A^4 / m_A.  100 estimates average within 5%."""
    d = 200
    found = np.mean(
        [bootstrap(gaussian(s, d), CROSSED, resamples=200)["energy"]["standard_error"] for s in range(100)], 0
    )
    expected = np.array(list(ROOT.values())) ** 2 * np.sqrt(2 * d / MULTIPLICITY)
    assert found == pytest.approx(expected, rel=0.05)
    assert found != pytest.approx(expected * np.sqrt(2), rel=0.05)


def test_coordinates_that_repeat_each_other_make_intervals_too_narrow():
    """The hypothesis is needed: 16 independent coordinates, each four times: 0.9 becomes P(|N| < 1.64 / 2) = 0.59."""
    true = 4 * at_infinite_width(16)["energy"]
    found = [
        covers(bootstrap(np.repeat(gaussian(s, 16), 4, axis=1), CROSSED, resamples=200)["energy"], true)
        for s in range(100)
    ]
    assert np.all(np.mean(found, axis=0) < 0.75)


def test_resampled_replicates_lie_around_another_value():
    """Why contexts are not resampled: the cells' means gain 1 - 1/r of the energy of the replicates within them."""
    structure, r = Attributes("(color[3] * shape[4]) / word[5]"), 5
    H = normal(0, 60, 400)  # energies are 400 on every stratum
    random = np.random.default_rng(1)
    cells = np.arange(12)[:, None] * r
    drawn = [strata.energies(H[(cells + random.integers(0, r, (12, r))).ravel()], structure)[1] for _ in range(200)]
    observed = strata.energies(H, structure)
    gained = np.mean(drawn) - observed[1]
    # In expectation (r - 1)/r of the replicates' energy; the mean of 200 draws is within 5% of it.
    assert gained == pytest.approx((1 - 1 / r) * observed[-1], rel=0.1)
    assert observed[1] < np.quantile(drawn, 0.05)


def test_p_is_uniform_where_attributes_say_nothing():
    """Ranks 1..20 of 600 simulations: a chi-square test of uniformity, which rejects a true one with 1e-4."""
    N = 19
    p = np.array(
        [list(permutation_p_values(normal(s, 12, 3), CROSSED, N, seed=s + 10**6).values()) for s in range(600)]
    )
    ranks = np.rint(p * (N + 1)).astype(int)
    assert ranks.min() == 1 and ranks.max() == N + 1
    for column in ranks.T:
        counts = np.bincount(column - 1, minlength=N + 1)
        assert stats.chisquare(counts).pvalue > 1e-4
        # control: p without the 1 of the observed permutation, (number reached) / N, is not uniform on these ranks
        assert stats.chisquare(np.bincount(np.maximum(column - 2, 0), minlength=N + 1)).pvalue < 1e-4


def test_an_attribute_that_speaks_is_found_and_others_are_not():
    H = np.repeat(normal(0, 3, 20), 4, axis=0) + normal(1, 12, 20)
    p = permutation_p_values(H, CROSSED, 199)
    assert p["color"] == 1 / 200 and min(p["shape"], p["color:shape"]) > 0.05
    assert permutation_p_values(H, CROSSED, 199, seed=1)["color"] == 1 / 200


def test_equal_energies_count_as_reached():
    """Each permutation of an ETF gives its own Gram; only rounding tells the energies apart."""
    assert set(permutation_p_values(np.eye(12) - 1 / 12, CROSSED, 49).values()) == {1.0}


@pytest.mark.parametrize("d", [3, 40])
def test_blocks_permute_as_whole_arrays_do(d):
    H = normal(0, 12, d) + np.repeat(normal(1, 3, d), 4, axis=0)
    assert permutation_p_values(H, CROSSED, 49, seed=3) == permutation_p_values(H, CROSSED, 49, seed=3, memory=1)


def test_seeds_repeat_and_differ():
    H = gaussian(0, 30)
    first, again, other = (bootstrap(H, CROSSED, resamples=50, seed=s)["energy"]["low"] for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_what_no_resample_changes_has_a_point_for_an_interval():
    found = bootstrap(np.eye(12) - 1 / 12, CROSSED, resamples=50)
    assert found["energy"]["low"] == pytest.approx([0, 1, 1, 1], abs=1e-12)
    assert found["energy"]["high"] == pytest.approx([0, 1, 1, 1], abs=1e-12)
    assert found["share"]["low"][0] == found["share"]["high"][0] == 0
    few = bootstrap(gaussian(0, 2), CROSSED, resamples=2)
    for part in few.values():
        assert all(np.all(np.isfinite(value)) for value in part.values())


def test_annotations_stand_beside_the_analysis():
    from dataclasses import asdict

    H = gaussian(0, 30)
    plain = asdict(analyse(H, CROSSED))
    found = annotate(plain, H, CROSSED, resamples=50, permutations=19, seed=4)
    assert {name: found[name] for name in plain if name != "strata"} == {n: plain[n] for n in plain if n != "strata"}
    for before, row in zip(plain["strata"], found["strata"], strict=True):
        assert {name: row[name] for name in before} == before
        assert row["energy_interval"][0] <= row["energy"] <= row["energy_interval"][1]
        assert ("p_value" in row) == (row["name"] != "1")
    assert found["semantic_index_interval"][0] <= found["semantic_index"] <= found["semantic_index_interval"][1]
    assert found["uncertainty"] == {"bootstrap": 50, "confidence": 0.9, "permutations": 19, "seed": 4}
    assert "p_value" not in annotate(plain, H, CROSSED, resamples=50)["strata"][1]
    assert "share_interval" not in annotate(plain, H, CROSSED, permutations=5)["strata"][1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap(gaussian(0, 5), CROSSED, resamples=1), "^bootstrap: 1 resamples"),
        (lambda: bootstrap(gaussian(0, 1), CROSSED), "^bootstrap: H has one feature"),
        (lambda: bootstrap(gaussian(0, 5), CROSSED, confidence=90), "^confidence: 90"),
        (lambda: permutation_p_values(gaussian(0, 5), CROSSED, 0), "^permutations: 0"),
        (lambda: permutation_p_values(gaussian(0, 5)[1:], CROSSED), "^H: it has 11 rows"),
        (lambda: bootstrap(gaussian(0, 5) * np.inf, CROSSED), "^H: NaN or infinity"),
    ],
)
def test_bad_input_is_named(call, message):
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match=message):
        call()
