"""What several tests look at: the shipped runs, each held to all its forecasts once."""

import matplotlib
import pytest

matplotlib.use("Agg")

from ufmflow.numerics.crosscheck import Check, crosscheck  # noqa: E402
from ufmflow.numerics.runs import example_run  # noqa: E402


@pytest.fixture(scope="session")
def flow_check() -> Check:
    return crosscheck(example_run("crossed_4x6_mlp_flow"))


@pytest.fixture(scope="session")
def large_step_check() -> Check:
    return crosscheck(example_run("crossed_4x6_mlp_large_step"))
