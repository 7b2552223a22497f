"""Does `ufmflow plan` tell the truth?  Interventions predicted, then trained, on three settings and two networks.

Run: python benchmarks/plan_verified.py RUNS [--seeds 5] [--lane 0/2] [--minutes 30] [--case objects,mlp]    goes on after a stop
     python benchmarks/plan_verified.py RUNS --collect > benchmarks/results/plan_verified.json
     python benchmarks/plan_verified.py --table < benchmarks/results/plan_verified.json    the tables of docs/plan.md

Each trial is a file in RUNS: one intervention on one seed, predicted from that seed's own start before it is trained.
Seeds come outermost, so that a run that is stopped early has a few seeds of everything.  MLPs are predicted from their
kernel and once more with their gates expanded (`--precise`), transformers with their gates expanded.  About an hour and
a half on one core for five seeds.

Expected before the first run, after a look at one seed of one setting: sign of every effect right, index within 0.1, stop
within a factor 1.3, cost in loss within 25%; embedding scale 0.3 of MLPs outside, where small features make large steps
and the kernel moves.
"""

import argparse
import json
import platform
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np

GOALS = {"mlp": "widest window at loss <= 0.1", "mlp precise": "widest window at loss <= 0.1",
         "transformer": "widest window at loss <= 0.5"}  # fmt: skip
OPTIONS = {"mlp": {"lr": 0.01, "steps": 1500}, "transformer": {"lr": 0.005, "steps": 1500}}
AVERAGE_FROM = 100
NAMES = ("stop", "body rate 0.1", "head first", "smoothing 0.1", "average checkpoints", "embedding scale 0.3",
         "freeze the head", "head start 0.1", "adamw")  # fmt: skip
CASES = [(setting, arch) for arch in GOALS for setting in ("objects", "taxonomy", "frames")]


def pieces(seeds, cases):
    """Every trial: (seed, setting, arch, name of the intervention)."""
    return [(seed, *case, name) for seed in range(seeds) for case in cases for name in NAMES]


def place(folder, seed, setting, arch, name):
    """The file of a trial."""
    return folder / f"{setting}-{arch}-{name}-seed{seed}.trial.json".replace(" ", "-")


def one(folder, seed, setting, arch, name):
    """Predict, then train; the trial as plain data."""
    from ufmflow.numerics.advice_goal import Goal
    from ufmflow.numerics.advice_source import Source
    from ufmflow.numerics.interventions import catalogue
    from ufmflow.numerics.plan import Plan
    from ufmflow.numerics.verify import trial

    network = arch.split()[0]
    source = Source.of(Plan(setting, arch=network, seed=seed, **OPTIONS[network]))
    labels = int(source.attributes.keep(source.labels).cardinality)
    each = next(found for found in catalogue(labels, source.width, AVERAGE_FROM, True) if found.name == name)
    begun = time.process_time()
    precise = arch != "mlp" or "optimizer" in each.options
    found = trial(source, each, seed, Goal.parse(GOALS[arch]), folder / network, precise)
    return found.to_dict() | {"setting": setting, "arch": arch, "precise": precise,
                              "core_seconds": round(time.process_time() - begun, 1)}  # fmt: skip


def restored(data):
    """A trial from its plain data; of the curves the last point is left."""
    from ufmflow.numerics.advice_outcome import Outcome
    from ufmflow.numerics.verify import Trial

    def outcome(kept):
        if kept is None:
            return None
        last = {"steps": np.ones(1), "index": np.array([kept["index_final"]]), "loss": np.array([kept["loss_final"]])}
        fields = {name: value for name, value in kept.items() if name not in ("index_final", "loss_final", "width")}
        return Outcome(**last, **fields)

    stopped = None if data["stopped"] is None else tuple(data["stopped"])
    return Trial(data["intervention"], data["seed"], outcome(data["predicted"]), outcome(data["achieved"]), stopped,
                 data["problem"])  # fmt: skip


def verifications(trials):
    """(setting, arch) -> Verification, of cases of which anything is trained without intervention."""
    from ufmflow.numerics.advice_goal import Goal
    from ufmflow.numerics.verify import Verification, verdicts

    found = {}
    for setting, arch in CASES:
        mine = [restored(t) for t in trials if (t["setting"], t["arch"]) == (setting, arch)]
        by_name = {name: [t for t in mine if t.intervention == name] for name in NAMES}
        by_name = {name: of for name, of in by_name.items() if of}
        if "stop" not in by_name:
            continue
        goal = Goal.parse(GOALS[arch])
        found[setting, arch] = Verification(goal, tuple(sorted({t.seed for t in mine})), verdicts(by_name, goal))
    return found


FORECASTS = {"mlp": "MLP, from its kernel at the start", "mlp precise": "MLP, gates expanded (`--precise`)",
             "transformer": "transformer, gates expanded (`--precise`)"}  # fmt: skip
TALLY = ["| network and forecast | seeds of each setting | best stop within 1.3 | index within 0.1 | sign of the effect right | effect above"
         " seed noise | cost in loss within 25 % | everything held |", "|---" * 8 + "|"]  # fmt: skip


def tally(arch, found):
    """How much of the advice came true, over the settings: pieces of advice in means over seeds."""
    from ufmflow.numerics.verify import INDEX_WITHIN, STOP_WITHIN

    mine = [of for (_, of_arch), of in found.items() if of_arch == arch]
    verdicts = [verdict for of in mine for verdict in of.verdicts if verdict.trials]
    advice = [verdict for verdict in verdicts if verdict.intervention != "stop"]
    judged = [verdict for verdict in advice if verdict.effect is not None]

    def near(names, within):
        sides = [verdict.bands()[name] for verdict in verdicts for name in names]
        pairs = [(of["predicted"].mean, of["achieved"].mean) for of in sides if of["predicted"] and of["achieved"]]
        return share(within(a, b) for a, b in pairs)

    def share(which):
        which = list(which)
        return f"{sum(which)} of {len(which)}"

    apart = lambda a, b: max(1 + a, 1 + b) / min(1 + a, 1 + b)
    return [
        FORECASTS[arch], ", ".join(f"{len(of.seeds)}" for of in mine), near(["best_stop"], lambda a, b: apart(a, b) <= STOP_WITHIN),
        near(["index_at_goal", "index_final"], lambda a, b: abs(a - b) <= INDEX_WITHIN),
        share(v.effect["predicted"] * v.effect["achieved"] > 0 for v in judged), share(v.seen is True for v in judged),
        share(not any("cost in loss" in failure for failure in v.failures) for v in advice),
        share(v.holds and v.seen is True for v in advice),
    ]  # fmt: skip


def tables(result):
    """Markdown: how much came true, what widened the window, and a table for each case."""
    from ufmflow.numerics.verify_text import HEADER, table

    found = verifications(result["trials"])
    archs = [arch for arch in GOALS if any(arch == of for _, of in found)]
    widened = {}
    for (setting, arch), of in found.items():
        for verdict in of.verdicts:
            if verdict.seen and not verdict.failures and verdict.effect["achieved"] >= np.log(2):
                widened.setdefault(verdict.intervention, []).append(f"{setting} {arch}")
    lines = [*TALLY, *("| " + " | ".join(tally(arch, found)) + " |" for arch in archs), "",
             "Seen to widen the window by a factor of 2 or more, every prediction and the cost in loss held:", ""]  # fmt: skip
    lines += [f"- {name}: {', '.join(cases)}." for name, cases in widened.items()] or ["- nothing."]
    for (setting, arch), of in found.items():
        title = f"**{setting}, {FORECASTS[arch]}**"
        lines += ["", f"{title}, {of.goal}; seeds {', '.join(map(str, of.seeds))}", "", *HEADER, *table(of)]
    return lines


def main():
    """Run, collect or print, as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lane", default="0/1")
    parser.add_argument("--case", type=lambda text: tuple(text.split(",")), choices=CASES, help="setting,arch")
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no trial after so long")
    parser.add_argument("--collect", action="store_true")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        print("\n".join(tables(json.load(sys.stdin))))
        return
    if given.collect:
        import torch

        trials = [json.loads(path.read_text()) for path in sorted(given.runs.glob("*.trial.json"))]
        json.dump({"date": date.today().isoformat(), "machine": platform.machine(), "python": platform.python_version(),
                   "torch": torch.__version__, "goals": GOALS, "options": OPTIONS, "average_from": AVERAGE_FROM,
                   "trials": trials}, sys.stdout, indent=1)  # fmt: skip
        return
    given.runs.mkdir(parents=True, exist_ok=True)
    lane, lanes = map(int, given.lane.split("/"))
    begun = time.monotonic()
    for piece in pieces(given.seeds, [given.case] if given.case else CASES)[lane::lanes]:
        path = place(given.runs, *piece)
        if path.exists():
            continue
        if time.monotonic() - begun > 60 * given.minutes:
            return
        found = one(given.runs, *piece)
        path.write_text(json.dumps(found) + "\n")
        print(path.name, found["core_seconds"], found["problem"], flush=True)


if __name__ == "__main__":
    main()
