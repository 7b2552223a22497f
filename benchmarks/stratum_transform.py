"""How long does a structured kernel take to act, beside one copy of the array and beside the dense matrix?

Run: python benchmarks/stratum_transform.py > benchmarks/results/stratum_transform.json
One thread; medians of 20 calls after one that warms up.  The floor is a copy of the array (one read, one write).
"""

import json
import platform
import statistics
import time
from datetime import date

import numpy as np

from ufmflow.numerics import strata
from ufmflow.numerics.trajectory import versions
from ufmflow.theory.attributes import Attributes


def median_ms(call, repeats=20):
    """Median wall time of a call in milliseconds, after one call that warms up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 4)


def row(formula, columns=1, dense=False):
    """Time one structure: the transform, a copy of its array, and on request the dense matrix product."""
    attributes = Attributes(formula)
    random = np.random.default_rng(0)
    x = random.standard_normal((int(attributes.cardinality), columns))
    eigenvalues = {name: random.random() for name in attributes.names}
    result = {"formula": formula, "V": len(x), "columns": columns,
              "apply_ms": median_ms(lambda: strata.apply(x, eigenvalues, attributes)), "copy_ms": median_ms(x.copy)}
    if dense:
        matrix = strata.apply(np.eye(len(x)), eigenvalues, attributes)
        result["dense_ms"] = median_ms(lambda: matrix @ x)
    return result


if __name__ == "__main__":
    rows = [row("a[1000] * b[1000]"), row("a[100] * b[100] * c[100]"), row("a[10] / b[100] / c[1000]"),
            row("a[32] * b[32]", columns=256, dense=True)]
    print(json.dumps({"date": date.today().isoformat(), "machine": platform.machine(), "versions": versions(),
                      "rows": rows}, indent=1))
