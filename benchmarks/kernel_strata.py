"""How long do the stratum eigenvalues of a transformer's kernel take by probes, beside the whole kernel?

Run: python benchmarks/kernel_strata.py > benchmarks/results/kernel_strata.json
One thread, single precision, 2-layer transformer (d = 64, perceptrons of 256) at initialisation on crossed contexts.
The floor is one backward pass for each probe, and one forward pass for each block of them: timed on bare `autograd`.

Predicted for 10 x 10 contexts at 1 % standard error, from 2 ms a pass, 8.4 s for the whole kernel, and the scatter of
120 probes on each stratum: 350 passes, 0.8 s, a tenth of the whole kernel's time, and at most 1.2 times the floor.
Outcome: 527 passes, as 16 pilots a stratum count and set the number of the others to within a third; on a shared
machine 1.9 s, a seventh of the whole kernel's time, and 1.3 times the floor.  The target, 30 s, is met either way.
For 32 x 32 contexts nothing was predicted; fewer probes are needed than for 10 x 10, as more directions average out.
Since the whole kernel is made layer by layer, in 64 backward passes, it is the faster one for 10 x 10 contexts, 0.7 s
on a shared machine, and for 32 x 32 takes three times as long as the probes, 21 s, with products of pairs of places.
"""

import json
import platform
import time
from datetime import date

import torch

from ufmflow.numerics import settings, strata
from ufmflow.numerics.kernel import Passes, empirical_kernel
from ufmflow.numerics.kernel_shape import kernel_shape
from ufmflow.numerics.kernel_strata import kernel_strata
from ufmflow.numerics.networks import Network, TransformerBody
from ufmflow.numerics.trajectory import versions
from ufmflow.theory.attributes import Attributes


def timed(call):
    """The result of a call, and its wall time in seconds."""
    start = time.perf_counter()
    found = call()
    return found, round(time.perf_counter() - start, 3)


def floor_seconds(passes, count):
    """Seconds of so many bare backward passes, with a forward pass for each block: the best of three runs of 20."""
    u = torch.randn(passes.m, passes.d)
    forward = min(timed(lambda: passes.features(passes.inputs))[1] for _ in range(3))
    f = passes.features(passes.inputs)

    def backward():
        for _ in range(20):
            torch.autograd.grad(f, passes.theta, u, retain_graph=True)

    backward()
    each = min(timed(backward)[1] for _ in range(3)) / 20
    return round(each * count + forward * (1 + count // passes.together), 3)


def row(formula, exact):
    """Time and errors on one structure, against the whole kernel on request."""
    attributes = Attributes(formula)
    contexts = settings.code(attributes)
    tokens = torch.from_numpy(contexts.tokens)
    torch.manual_seed(0)
    network = Network(TransformerBody(contexts.vocabulary, 2, 2, 256, 64), 64, len(tokens))
    problem = (network.features_before_norm, list(network.body.parameters()), tokens)
    found, seconds = timed(lambda: kernel_strata(*problem, attributes))
    total = sum(found.passes.values())
    result = {
        "formula": formula, "m": len(tokens), "parameters": sum(p.numel() for p in problem[1]),
        "eigenvalues": dict(found.eigenvalues), "standard_errors": dict(found.standard_errors),
        "passes": dict(found.passes), "seconds": seconds, "floor_seconds": floor_seconds(Passes(*problem), total),
    }  # fmt: skip
    shape, shape_seconds = timed(lambda: kernel_shape(*problem, attributes, found))
    result["shape"] = {name: [share.value, share.standard_error] for name, share in shape.items()}
    result["shape_seconds"] = shape_seconds
    if exact:
        Theta, result["exact_seconds"] = timed(lambda: empirical_kernel(*problem, memory=2**32))
        true = strata.matrix_eigenvalues(Theta, attributes)
        result["relative_error"] = {A: found.eigenvalues[A] / true[A] - 1 for A in attributes.names}
        result["exact_outside"] = strata.residual(Theta, attributes)
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    row("a[2] * b[2]", exact=True)  # warms up
    rows = [row("a[10] * b[10]", exact=True), row("a[32] * b[32]", exact=True)]
    about = {"date": date.today().isoformat(), "machine": platform.machine()}
    print(json.dumps(about | {"versions": versions() | {"torch": torch.__version__}, "rows": rows}, indent=1))
