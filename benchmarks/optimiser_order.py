"""Does the order SGD > AdamW > sign > Muon of structure at equal loss hold on trained runs, and is it forecast?

Run: python benchmarks/optimiser_order.py RUNS [--seeds 0,1,2] [--forecast] > benchmarks/results/optimiser_order.json
     trains what is not in the folder RUNS yet; --forecast adds the map from the kernel (half a minute a run, idle)

`color[4] * shape[6]` with one-hot labels, 3-layer MLP and 2-layer transformer.  Prediction (claim 14): at equal loss the
interaction's share (0.652 at the ETF) is smallest under SGD, then AdamW, then signs, then Muon, and so in the forecast.
"""

import argparse
import json
import platform
from datetime import date
from pathlib import Path

import numpy as np
import torch

from ufmflow.numerics.crosscheck import compare
from ufmflow.numerics.forecast import forecast
from ufmflow.numerics.runs import load_run
from ufmflow.numerics.train import train

LOSSES = (2.0, 1.0, 0.2)
OPTIMISERS = {
    "sgd": {}, "adamw": {"optimizer": "adamw", "lr": 3e-4, "steps": 2000},
    "sign": {"optimizer": "sign", "lr": 3e-4, "steps": 1500}, "muon": {"optimizer": "muon", "lr": 3e-4, "steps": 1500},
}  # fmt: skip
STEPS = {"mlp": 12_000, "transformer": 8000}  # of SGD


def at_losses(trajectory):
    """Share of the interaction when the loss first passes each level, None where it does not."""
    loss, share = trajectory.data["loss"].values, trajectory.shares()[:, -1]
    found = []
    for level in LOSSES:
        i = int(np.argmax(loss < level))
        if not loss[i] < level:
            found.append(None)
            continue
        weight = np.log(loss[i - 1] / level) / np.log(loss[i - 1] / loss[i])
        found.append(round(float(share[i - 1] + weight * (share[i] - share[i - 1])), 4))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--forecast", action="store_true")
    given = parser.parse_args()
    rows = []
    for arch in STEPS:
        for seed in map(int, given.seeds.split(",")):
            for name, options in OPTIMISERS.items():
                stem = given.runs / f"{arch}_{name}-seed{seed}"
                if not stem.with_suffix(".npz").exists():
                    train("objects", stem, arch=arch, seed=seed, snapshots=60, **({"steps": STEPS[arch]} | options))
                run = load_run(stem)
                row = {"arch": arch, "optimizer": name, "seed": seed, "observed": at_losses(run)}
                if given.forecast:
                    found = forecast(run, level="map")
                    row |= {"forecast": at_losses(found), **compare(run, found).summary()}
                rows.append(row)
    versions = {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__}
    print(json.dumps({"date": str(date.today()), "machine": platform.processor() or platform.machine(), **versions,
                      "losses": LOSSES, "rows": rows}, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
