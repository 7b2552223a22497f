"""Does the semantic window matter?  Downstream value along runs with held-out combinations, beside the semantic index.

Run: python benchmarks/window_value.py RUNS > benchmarks/results/window_value.json     trains into the folder RUNS what it
                                                                                       lacks, and measures
     python benchmarks/window_value.py --table < benchmarks/results/window_value.json  the table of docs/value.md

For each measure of value: Spearman's rank correlation with the index over the recorded steps, and the value at the index's
peak and at the last step, each the mean over three seeds (and the range of the first).

Predicted, after one longer run of each had been seen: for two crossed attributes the parallelogram error is 1 less the
index exactly; margins and transfer follow the index at 0.9 or more on objects and taxonomy; probes that are fitted to all
contexts decode crossed attributes to the end, so that they are constant; on frames, whose index counts the words below
the labels and whose measures do not, analogies and transfer do not follow it.
"""

import argparse
import json
import platform
import sys
from datetime import date
from pathlib import Path

import numpy as np

CASES = {
    "MLP, objects": ("objects", {"steps": 10_000, "hold_out": 6}),
    "MLP, taxonomy": ("taxonomy", {"steps": 10_000, "hold_out": 6}),
    "MLP, frames": ("frames", {"steps": 10_000, "hold_out": 1}),
    "transformer, objects": ("objects", {"arch": "transformer", "steps": 4000, "hold_out": 6}),
}
SEEDS = range(3)


def one(case, seed, folder):
    """Value and agreement of one run, which is trained where the folder lacks it."""
    from ufmflow.numerics.downstream import agreement, downstream, series
    from ufmflow.numerics.runs import load_run
    from ufmflow.numerics.train import train

    setting, options = CASES[case]
    stem = folder / f"{case.replace(', ', '-')}-seed{seed}"
    if not stem.with_suffix(".npz").exists():
        train(setting, stem, seed=seed, **options)
    value = downstream(load_run(stem))
    index, curves = value["semantic_index"].values, series(value)
    peak = int(np.argmax(index))
    return {
        "case": case,
        "seed": seed,
        "index": {"peak": float(index[peak]), "last": float(index[-1]), "peak_step": int(value["step"][peak])},
        "measures": {
            row.measure: {
                "rank_correlation": row.rank_correlation,
                "at_peak": float(curves[row.measure][peak]),
                "last": float(curves[row.measure][-1]),
                "best_step": int(value["step"][int(np.argmax(curves[row.measure]))]),
            }
            for row in agreement(value)
        },
    }


def table(rows):
    """Markdown: a row for each case and measure."""
    from ufmflow.numerics.downstream import LONG_NAMES

    print("| run | measure | rank correlation with the index: mean (range) | at the index's peak | at the last step |")
    print("|---|---|---|---|---|")
    for case in CASES:
        of_case = [row for row in rows if row["case"] == case]
        index = [np.mean([row["index"][key] for row in of_case]) for key in ("peak", "last")]
        print(f"| {case} | *semantic index* | | {index[0]:.2f} | {index[1]:.2f} |")
        for name in LONG_NAMES:
            found = [row["measures"][name] for row in of_case if name in row["measures"]]
            if found:
                ranks = [measure["rank_correlation"] for measure in found if measure["rank_correlation"] is not None]
                text = f"{np.mean(ranks):.2f} ({min(ranks):.2f} to {max(ranks):.2f})" if ranks else "constant"
                ends = [np.mean([measure[key] for measure in found]) for key in ("at_peak", "last")]
                print(f"| | {LONG_NAMES[name]} | {text} | {ends[0]:.2f} | {ends[1]:.2f} |")


def main():
    parser = argparse.ArgumentParser(description="Downstream value of the semantic window over seeds.")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        table(json.load(sys.stdin)["rows"])
        return
    if arguments.folder is None:
        parser.error("give the folder of the runs, or --table")
    from ufmflow.numerics.trajectory import versions

    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = [one(case, seed, arguments.folder) for case in CASES for seed in SEEDS]
    about = {"date": date.today().isoformat(), "machine": platform.machine(), "versions": versions()}
    print(json.dumps(about | {"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
