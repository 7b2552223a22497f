"""How close do forecasts from initialisation come to trained networks, over five seeds?

Run: python benchmarks/forecast_seeds.py RUNS [--lane 0/2]    trains and forecasts into the folder RUNS what the results
                                                              lack; goes on after a stop
     python benchmarks/forecast_seeds.py RUNS --collect       adds what is in RUNS to the results
     python benchmarks/forecast_seeds.py --table < benchmarks/results/forecast_seeds.json    the table of docs/forecasts.md
     python benchmarks/forecast_seeds.py RUNS --optimisers    share of the interaction at equal loss, forecast and observed
     python benchmarks/forecast_seeds.py RUNS --perturbed     what a start that is off by a little makes of a run
     python benchmarks/forecast_seeds.py RUNS --diagnoses     what the kernel's growth and its direction cost, seed 0

One thread a lane; two hours on two.  Errors as `ufmflow crosscheck` has them: share RMSE, mean over 41
times from initialisation to near collapse, and median |ln(loss forecast / loss observed)|; onset and end of the
semantic window as the forecast's over the observed (the larger of the ratio and its inverse).
"""

import argparse
import json
import platform
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np

TRANSFORMER = {"arch": "transformer", "steps": 8000}
CASES = {
    **{f"MLP, {s}": (s, {"steps": 20_000}, 0.008, 0.015) for s in ("objects", "taxonomy", "frames")},
    **{f"MLP, {s}, lr 0.05": (s, {"lr": 0.05, "steps": 8000}, 0.008, 0.015) for s in ("objects", "taxonomy", "frames")},
    **{f"transformer, {s}": (s, TRANSFORMER, 0.02, 0.03) for s in ("objects", "taxonomy", "frames")},
    "transformer of 1 layer, objects": ("objects", TRANSFORMER | {"layers": 1}, 0.02, 0.03),
    "transformer of 4 layers, objects": ("objects", TRANSFORMER | {"layers": 4, "steps": 6000}, 0.02, 0.03),
    "transformer, objects, AdamW": (
        "objects", TRANSFORMER | {"optimizer": "adamw", "lr": 3e-4, "steps": 2000}, 0.03, 0.03),
    "transformer, objects, sign": ("objects", TRANSFORMER | {"optimizer": "sign", "lr": 3e-4, "steps": 2000}, 0.03, 0.03),
    "transformer, objects, Muon": ("objects", TRANSFORMER | {"optimizer": "muon", "lr": 3e-4, "steps": 1500}, 0.03, 0.03),
    "MLP, objects, AdamW": ("objects", {"optimizer": "adamw", "lr": 3e-4, "steps": 2000}, 0.03, 0.03),
}  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "forecast_seeds.json"
SEEDS = range(5)
OPTIMISERS = {"SGD": "transformer, objects", **{x: f"transformer, objects, {x}" for x in ("AdamW", "sign", "Muon")}}
LOSSES = (2.0, 1.0, 0.2)
SIZES = (1e-4, 1e-2)
DIAGNOSED = ("MLP, objects, lr 0.05", "MLP, frames, lr 0.05", "transformer, objects", "transformer, taxonomy",
             "transformer, objects, AdamW")  # fmt: skip


def one(case, seed, folder):
    """Train and forecast one run; its errors by level."""
    from ufmflow.numerics.crosscheck import compare
    from ufmflow.numerics.forecast import forecast_all
    from ufmflow.numerics.runs import load_run
    from ufmflow.numerics.train import train

    setting, options, *_ = CASES[case]
    stem = stem_of(case, seed, folder)
    start = time.perf_counter()
    run = load_run(train(setting, stem, seed=seed, **options))
    trained = time.perf_counter()
    found, designated, _ = forecast_all(run)
    observed = window(run)
    levels = {name: compare(run, forecast).summary() | {"window": ratios(window(forecast), observed)}
              for name, forecast in found.items()}
    return {"case": case, "seed": seed, "designated": designated, "levels": levels, "train_s": round(trained - start, 1),
            "forecast_s": round(time.perf_counter() - trained, 1), "final_loss": float(run.data["loss"].values[-1])}


def stem_of(case, seed, folder):
    """Where a run is recorded."""
    return folder / f"{case.replace(', ', '_').replace(' ', '-')}-seed{seed}"


def collect(folder, known):
    """Add what the folder holds to the results, by case and seed."""
    from ufmflow.numerics.trajectory import versions

    about = {"date": date.today().isoformat(), "machine": platform.machine(), "versions": versions()}
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.result"))]
    known |= {(row["case"], row["seed"]): {**row, **about} for row in found}
    rows = [known[case, seed] for case in CASES for seed in SEEDS if (case, seed) in known]
    RESULTS.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


def at_losses(trajectory):
    """The interaction's share of H when the loss first passes each of LOSSES; None where it does not."""
    loss, share = trajectory.data["loss"].values, trajectory.shares()[:, -1]
    found = []
    for level in LOSSES:
        below = np.flatnonzero(loss < level)
        i = below[0] if below.size else 0
        # Linear in the logarithm of the loss between the recorded steps.
        weight = np.log(loss[i - 1] / level) / np.log(loss[i - 1] / loss[i]) if i else 0.0
        found.append(float(share[i - 1] + weight * (share[i] - share[i - 1])) if i else None)
    return found


def optimisers(folder):
    """Markdown: the interaction's share at equal loss, observed and forecast before training, seed by seed."""
    from ufmflow.numerics.forecast import forecast
    from ufmflow.numerics.runs import load_run

    lines = ["| optimiser, seed | " + " | ".join(f"loss {x}: observed, forecast" for x in LOSSES) + " |",
             "|---" * (len(LOSSES) + 1) + "|"]
    for name, case in OPTIMISERS.items():
        for seed in SEEDS:
            if stem_of(case, seed, folder).with_suffix(".npz").exists():
                run = load_run(stem_of(case, seed, folder))
                pairs = zip(at_losses(run), at_losses(forecast(run)), strict=True)
                cells = [", ".join("-" if x is None else f"{x:.3f}" for x in pair) for pair in pairs]
                lines.append(f"| {name}, {seed} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def perturbed(folder):
    """Markdown: how far runs come apart whose starts differ by a small part of each weight, at large steps."""
    import torch

    from ufmflow.numerics.crosscheck import compare
    from ufmflow.numerics.observe import observe
    from ufmflow.numerics.plan import Plan
    from ufmflow.numerics.runs import load_run
    from ufmflow.numerics.train import reproducible
    from ufmflow.numerics.training_steps import Training

    lines = ["| run, seed 0 | weights off by | share RMSE | loss | window end |", "|---|---|---|---|---|"]
    for case in (f"MLP, {setting}, lr 0.05" for setting in ("objects", "taxonomy", "frames")):
        run = load_run(stem_of(case, 0, folder))
        plan = Plan.of_record(run.meta)
        for size in SIZES:
            with reproducible(plan.seed):
                training, H, W = Training(plan), [], []
                with torch.no_grad():
                    for p in training.network.parameters():
                        p.mul_(1 + size * torch.randn_like(p))
                for step in run.data["step"].values:
                    while training.step < step:
                        training.advance()
                    with torch.no_grad():
                        H.append(training.network.embeddings(training.tokens).numpy())
                    W.append(training.network.head.weight.detach().numpy().copy())
            found = observe(np.stack(H), np.stack(W), plan.contexts.label, run.attributes, run.time)
            apart, (_, end) = compare(run, found), ratios(window(found), window(run))
            lines.append(f"| {case} | {size:g} | {apart.share_rmse_mean:.4f} | {apart.loss_log_ratio_median:.4f} | "
                         f"{'-' if end is None else f'{end:.2f}'} |")
    return "\n".join(lines)


def diagnoses(folder):
    """Markdown: share RMSE with the kernel held, measured anew for all directions at once, and by direction."""
    from ufmflow.numerics.crosscheck import compare
    from ufmflow.numerics.plan import Plan
    from ufmflow.numerics.remeasured import diagnoses_of, remeasure
    from ufmflow.numerics.runs import load_run

    lines = ["| run, seed 0 | `map`: held | `isotropic` | `directional` | `gated_doubling` |", "|---|---|---|---|---|"]
    rows = {(row["case"], row["seed"]): row["levels"] for row in json.loads(RESULTS.read_text())["rows"]}
    for case in DIAGNOSED:
        levels, run = rows[case, 0], load_run(stem_of(case, 0, folder))
        found = {name: compare(run, remeasure(run, name)).share_rmse_mean
                 for name in diagnoses_of(Plan.of_record(run.meta))}
        found |= {name: levels[name]["share_rmse_mean"] for name in ("map", "gated_doubling") if name in levels}
        cells = [f"{found[name]:.4f}" if name in found else "-"
                 for name in ("map", "isotropic", "directional", "gated_doubling")]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def window(trajectory):
    """Onset and end, or None."""
    found = trajectory.window()
    return None if found is None else (found.onset, found.end)


def ratios(forecast, observed):
    """How far onset and end are off as factors >= 1; None where one of them is missing, or is the start."""
    if forecast is None or observed is None:
        return [None, None]
    return [max(a / b, b / a) if a > 0 and b > 0 else (1.0 if a == b else None)
            for a, b in zip(forecast, observed, strict=True)]


def table(results):
    """Markdown: mean and worst over seeds of the designated level, and the best level from the kernel alone."""
    lines = ["| run | share RMSE: mean (worst) | loss: mean (worst) | window onset, end: worst factor | target | met | "
             "best from the kernel |", "|---|---|---|---|---|---|---|"]
    for case, (_, _, shares, loss) in CASES.items():
        rows = [row for row in results["rows"] if row["case"] == case]
        if not rows:
            continue
        held = [row["levels"][row["designated"]] for row in rows]
        rmse, ratio = ([x[name] for x in held] for name in ("share_rmse_mean", "loss_log_ratio_median"))
        ends = [max((x["window"][i] or 0 for x in held), default=0) for i in (0, 1)]
        kernel = {name: np.mean([row["levels"][name]["share_rmse_mean"] for row in rows])
                  for name in rows[0]["levels"] if not name.startswith("gated")}
        best = min(kernel, key=kernel.get) if kernel else None
        met = np.mean(rmse) <= shares and np.mean(ratio) <= loss
        lines.append(
            f"| {case} ({len(rows)} seeds) | {np.mean(rmse):.4f} ({max(rmse):.4f}) | {np.mean(ratio):.4f} ({max(ratio):.4f}) "
            f"| {', '.join(f'{x:.2f}' if x else '-' for x in ends)} | {shares}, {loss} | {'yes' if met else '**no**'} "
            f"| {f'{best} {kernel[best]:.4f}' if best else '-'} |")
    return "\n".join(lines)


def main():
    """Run the lane's share of the cases, or collect or print what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=Path)
    parser.add_argument("--lane", default="0/1")
    parser.add_argument("--collect", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--optimisers", action="store_true")
    parser.add_argument("--perturbed", action="store_true")
    parser.add_argument("--diagnoses", action="store_true")
    given = parser.parse_args()
    if given.table:
        print(table(json.load(sys.stdin)))
        return
    for asked, printed in ((given.optimisers, optimisers), (given.perturbed, perturbed), (given.diagnoses, diagnoses)):
        if asked:
            print(printed(given.runs))
            return
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    known = {(row["case"], row["seed"]): row for row in rows}
    if given.collect:
        collect(given.runs, known)
        return
    lane, lanes = map(int, given.lane.split("/"))
    given.runs.mkdir(parents=True, exist_ok=True)
    wanted = [(seed, case) for seed in SEEDS for case in CASES if (case, seed) not in known]
    for number, (seed, case) in enumerate(wanted):
        path = stem_of(case, seed, given.runs).with_suffix(".result")
        if number % lanes == lane and not path.exists():
            path.write_text(json.dumps(one(case, seed, given.runs)))


if __name__ == "__main__":
    main()
