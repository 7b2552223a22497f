"""What do the loss and both of its gradients cost, in time and memory, beside torch's own chunked operator?

Run: python benchmarks/loss_gradients.py > benchmarks/results/loss_gradients.json
V = m = 4096, d = 256, float64, mean cross-entropy of one-hot labels at independent normal entries of 0.1.  Each row is
a process of its own on one core, one thread; CPU time, the best of five after one that warms up; the floor is three
products of the same sizes in chunks of 512 contexts, whose logits stay in cache, taken between.  Memory: the peak of
the process less what it had before its first call, gradients among it (17 MB).  Ours is run with several sizes of
chunks, the one that it chooses by itself named; both losses and gradients are compared with torch's autograd.

Predicted: 0.75 times the time of torch's chunked operator, and 32 MiB of logits and 17 MB of gradients, 0.3 times its
memory, as chunks of some 1000 contexts need no more passes over memory than the products do.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

V, M, D = 4096, 4096, 256
FORMULA = "a[64] * b[64]"
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
METHODS = ("torch autograd", "torch chunked", "ours chosen", "ours 512", "ours 2048", "ours 4096")


def start():
    """W (V, d) and H (m, d)."""
    import numpy as np

    random = np.random.default_rng(0)
    return 0.1 * random.standard_normal((V, D)), 0.1 * random.standard_normal((M, D))


def ours(rows):
    """Our flow's loss and rates: without ridge and with identity kernels the rates are minus the gradients."""
    import numpy as np

    from ufmflow.numerics.full_flow import FullFlow
    from ufmflow.numerics.matrices import MatrixFlow
    from ufmflow.theory.model import UFM

    flow = MatrixFlow.of(UFM(FORMULA, width=D))
    W, H = start()

    def prepare():
        full = FullFlow(flow, D, rows=None if rows == "chosen" else int(rows))
        y = full.state(W, H.T)
        out = np.empty_like(y)
        return lambda: (full.loss_and_rates(y, out), -full.split(out)[0], -full.split(out)[1])

    return prepare, int(rows) if rows != "chosen" else FullFlow(flow, D).layout.rows


def torch_(kind):
    """Torch's autograd on whole logits, or its chunked linear cross-entropy where it has one."""
    import torch

    torch.set_num_threads(1)
    W, H = (torch.from_numpy(x).requires_grad_() for x in start())
    label = torch.arange(M)
    functional = torch.nn.functional
    if kind == "chunked" and not hasattr(functional, "linear_cross_entropy"):
        raise ImportError(f"torch {torch.__version__} has no linear_cross_entropy")

    def call():
        W.grad = H.grad = None
        if kind == "chunked":
            loss = functional.linear_cross_entropy(H, W, label, options=torch.nn.LinearCrossEntropyOptions())
        else:
            loss = functional.cross_entropy(H @ W.T, label)
        loss.backward()
        return loss.item(), W.grad.numpy(), H.grad.numpy()

    return (lambda: call), None


def floor_call():
    """The three products in chunks."""
    import numpy as np

    W, H = start()
    Z, dW, dH, part = np.empty((512, V)), np.zeros_like(W), np.empty_like(H), np.empty_like(W)

    def products():
        for i in range(0, M, 512):
            np.matmul(H[i : i + 512], W.T, out=Z)
            np.matmul(Z.T, H[i : i + 512], out=part)
            np.matmul(Z, W, out=dH[i : i + 512])
        return dW

    return products


def seconds(call):
    """CPU seconds of a call."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def measure(method, folder, repeats):
    """One row; torch's autograd, the first, leaves its results for the others to compare with."""
    import numpy as np

    kind, what = method.split()
    try:
        prepare, rows = torch_(what) if kind == "torch" else ours(what)
    except ImportError as error:
        return {"method": method, "missing": str(error)}
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    call = prepare()
    loss, dW, dH = call()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    path = Path(folder) / "expected.npz"
    if not path.exists():
        np.savez(path, loss=loss, dW=dW, dH=dH)
    with np.load(path) as expected:
        error = max(
            abs(loss - float(expected["loss"])) / loss,
            *(float(np.abs(a - expected[k]).max() / np.abs(expected[k]).max()) for a, k in ((dW, "dW"), (dH, "dH"))),
        )
    floor = floor_call()
    floor()
    times, floors = [], []
    for _ in range(repeats):
        times.append(seconds(call))
        floors.append(seconds(floor))
    return {"method": method, "rows": rows, "cpu_ms": round(1e3 * min(times), 1), "times_floor": round(min(times) / min(floors), 3),
            "floor_ms": round(1e3 * min(floors), 1), "peak_mb": round(peak / 1e6, 1), "error": float(f"{error:.1e}")}  # fmt: skip


def main():
    """Run every row in a process of its own, on one core."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--row", nargs=2, metavar=("METHOD", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(measure(*arguments.row, arguments.repeats)))
        return
    from ufmflow.numerics.trajectory import versions

    core, rows = max(os.sched_getaffinity(0)), []
    with tempfile.TemporaryDirectory() as folder:
        for method in METHODS:
            command = [sys.executable, os.path.abspath(__file__), "--repeats", str(arguments.repeats), "--row", method, folder]
            pin = lambda: os.sched_setaffinity(0, {core})
            done = subprocess.run(command, env=os.environ | ONE_THREAD, preexec_fn=pin, check=True, stdout=subprocess.PIPE)
            rows.append(json.loads(done.stdout))
            print(rows[-1], file=sys.stderr)
    torch_version = {}
    try:
        import torch

        torch_version = {"torch": torch.__version__}
    except ImportError:
        pass
    print(json.dumps({"date": date.today().isoformat(), "machine": platform.processor() or platform.machine(),
                      "cores": os.cpu_count(), "load": os.getloadavg()[0], "versions": versions() | torch_version, "rows": rows},
                     indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
