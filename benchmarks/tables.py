"""The page of benchmarks, from what is in benchmarks/results.

Run: python benchmarks/tables.py > docs/benchmarks.md      or with --write, to the same file
Nothing is measured here: each number is read from a result, and what has none is marked so, with the command for it.
"""

import argparse
import json
import re
from pathlib import Path
from statistics import median

from page_parts import about, exponent, table, unmeasured
from speed_targets import COMMANDS, all_targets

ROOT = Path(__file__).resolve().parents[1]
HEAD = """\
# Benchmarks

Each figure here is read from `benchmarks/results/` by `python benchmarks/tables.py --write`, which makes this page; a
test holds the page to the results. Each benchmark is a script that opens with its question, its conditions and what was
predicted before it was measured. On a CPU all is one core and one BLAS thread; peers and ours are of one run
unless a note says otherwise.

- *Floor*, where there is one: for whole matrices the three matrix products of a right-hand side by the same BLAS, timed
  between the repetitions of each row, so that a busy machine disturbs both alike; elsewhere as its section says.
- *Ours*, in the table of targets: the cheapest of our rows whose error is no larger than the compared peers'.
- *MB*: the peak of the process above what it had before its first call (JAX's holds its compiler).

## Targets

"""


def load(folder=ROOT / "benchmarks" / "results"):
    """Results by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def targets(results):
    """The table of targets, what limits those missed, and the notes of the results they rest on."""
    found = all_targets(results)
    lines = table(["work", "peers in the same run", "ours", "target", "met", "floor"], [t.cells() for t in found])
    lines.append("")
    for t in found:
        if t.met not in (True, None):
            why = t.why.strip() or "what limits it is not found yet."
            missed = "Missed" if t.met is False else "Missed in part"
            lines.append(f"- **{missed}: {t.work}.** {why[0].upper()}{why[1:]}")
    notes = {name: results[name]["note"] for name in COMMANDS if results.get(name, {}).get("note")}
    return lines + [f"- **Note on `{name}`**: {note}." for name, note in notes.items()]


def full_flow(result):
    """A table for each case; peers that were not installed say so."""
    titles = {
        "S": "V = m = 256, d = 128, ridge 1e-5, t <= 1e4",
        "L": "V = m = 1024, d = 256, ridge 1e-5, t <= 1e4",
        "ridge": "V = m = 256, d = 128, ridge 1e-3, t <= 1e6, where stability limits explicit steps",
    }
    head = ["method", "evaluations", "CPU s", "floor, ms an evaluation", "x floor", "MB", "error"]
    lines = [
        "Cross-entropy, one-hot, identity kernels, independent starts of 1e-3; peers at rtol 1e-6, atol 1e-9. Error: the",
        "largest beside the largest entry, against SciPy's DOP853 at 1e-11. Our step control aims at a smaller error than",
        "SciPy's at the same tolerance, so that ours at 1e-5 stands beside the others at 1e-6.",
    ]
    for case, title in titles.items():
        rows = [
            [r["method"], "not in this run", *["-"] * 5] if "missing" in r else
            [r["method"], f"{r['evaluations']:,}", f"{r['cpu_s']:.2f}", f"{r['floor_ms']:.2f}", f"{r['times_floor']:.2f}",
             f"{r['peak_mb']:.0f}", exponent(r["error"])]
            for r in result["rows"] if r["case"] == case
        ]  # fmt: skip
        lines += ["", f"**{case}**: {title}" + ("" if rows else f" - {unmeasured(COMMANDS['full_flow'])}"), ""]
        lines += table(head, rows)
    return lines


def loss_gradients(result):
    """Time and memory of each way."""
    rows = [
        [r["method"], "not in this run", *["-"] * 4] if "missing" in r else
        [r["method"] + (f" ({r['rows']} contexts a chunk)" if r["rows"] else ""), f"{r['cpu_ms']:.0f}",
         f"{r['times_floor']:.2f}", f"{r['floor_ms']:.0f}", f"{r['peak_mb']:.0f}", exponent(r["error"])]
        for r in result["rows"]
    ]  # fmt: skip
    return table(["method", "CPU ms", "x floor", "floor, ms", "MB", "error"], rows)


def largest_flow(result):
    """Memory of the largest flow."""
    peak, met = result["peak_gib"], "met" if result["peak_gib"] <= 8 else "**missed**"
    logits = result["V"] * result["m"] * 4 / 2**30
    return [
        f"V = m = {result['V']:,}, d = {result['d']}, float32: a peak of {peak:.2f} GiB, estimated as",
        f"{result['estimated_gib']:.2f} GiB before anything was allocated; all logits alone would be {logits:.0f} GiB.",
        f"Target: within 8 GiB, {met}. Contexts go through in {result['chunks']} chunks, of which only the first is",
        "computed each time: what is held is the same, the numbers are not.",
    ]


def ensembles(result):
    """Microseconds of a trajectory by each engine."""
    rows = [
        [r["engine"] + (", with windows" if r.get("window") else ""), exponent(r["rtol"], 0), f"{r['members']:,}",
         f"{r['microseconds']:,.1f}", exponent(r["error_max"]), f"{r['steps']:.0f}" if "steps" in r else "-"]
        for r in result["members"]
    ]  # fmt: skip
    lanes = [r["lanes_at_work"] for r in result["members"] if "lanes_at_work" in r]
    head = ["engine", "rtol", "trajectories", "microseconds each", "largest error", "steps"]
    return [
        "`a[3] * b[4] * c[5]`: 8 modes with softmax (16 numbers), every kernel and the ridge random, start 1e-3, t <= 1e4;",
        "compilation apart. Error: the largest of all members, relative to the largest mode. More: [ensembles](ensembles.md).",
        "", *table(head, rows), "",
        *[f"At least {min(lanes):.4f} of the lanes are at work; lanes that idle are what divergence costs."] * bool(lanes),
    ]  # fmt: skip


def labels(result):
    """The flow's cost by the number of labels."""
    found = result.get("labels")
    if not found:
        return [unmeasured(COMMANDS["ensembles"])]
    rows = [[f"{r['V']:,}", f"{r['microseconds']:.2f}", f"{r['steps']:.1f}", f"{r['nanoseconds_a_step']:.1f}"]
            for r in found["rows"]]  # fmt: skip
    return [
        "All combinations of three attributes, over times of the order of emergence.", "",
        *table(["V", "microseconds a trajectory", "steps", "ns a step"], rows), "",
        f"The largest time of a step is {found['ratio_of_a_step']:.3f} times the smallest. Steps become more, as emergence",
        "from the same start takes longer beside the smaller rates.",
    ]  # fmt: skip


def work_precision(result):
    """Evaluations and error of each method by tolerance, and where a ridge limits explicit steps."""
    titles = {"detest": "DETEST", "flow": "Flow of whole matrices, ridge 1e-5, t <= 1e4",
              "stiff_flow": "The same, ridge 1e-2, t <= 1e5"}  # fmt: skip
    lines = ["Evaluations (error) by tolerance. Evaluations do not depend on the machine.", "",
             "![Work and precision of each integrator](images/work-precision.svg)"]  # fmt: skip
    for name, title in titles.items():
        found = {
            (r["method"], r["rtol"]): f"{r['evaluations']:,} ({exponent(r['error'])})" for r in result.get(name, [])
        }
        methods, rtols = (list(dict.fromkeys(key[i] for key in found)) for i in (0, 1))
        rows = [[method, *(found.get((method, rtol), "-") for rtol in rtols)] for method in methods]
        lines += ["", f"**{title}**" + ("" if rows else f" - {unmeasured(COMMANDS['work_precision'])}"), ""]
        lines += table(["method", *(exponent(rtol, 0) for rtol in rtols)], rows)
    stiff = {(r["method"], r["rtol"]): r["evaluations"] for r in result.get("stiff_flow", [])}
    parts = [count / stiff["dp5", rtol] for (method, rtol), count in stiff.items() if method == "auto"]
    if parts:
        spread = f"{100 * min(parts):.0f} to {100 * max(parts):.0f} %"
        lines += ["", f"Here the ridge limits explicit steps: `auto` takes {spread} of `dp5`'s evaluations."]
    target = result.get("256_labels")
    lines += ["", "**256 labels in 128 dimensions, ridge 1e-3, to the steady state at t = 1e6**"
              + ("" if target else f" - {unmeasured(COMMANDS['work_precision'])}"), ""]  # fmt: skip
    rows = [
        [r["method"], exponent(r["rtol"], 0), f"{r['evaluations']:,}", *["reference"] * 3] if r.get("reference") else
        [r["method"], exponent(r["rtol"], 0), f"{r['evaluations']:,}",
         *(exponent(r[k]) if k in r else "-" for k in ("error", "loss_error", "path_error"))]
        for r in target or []
    ]  # fmt: skip
    return lines + table(
        ["method", "rtol", "evaluations", "error of the Gram matrix", "of the loss", "of the path"], rows
    )


def kernel_strata(result):
    """Eigenvalues of a network's kernel by probes, beside the whole kernel."""
    rows = [
        [f"`{r['formula']}`", r["m"], sum(r["passes"].values()), f"{r['seconds']:.1f}", f"{r['floor_seconds']:.1f}",
         f"{r['seconds'] / r['floor_seconds']:.2f}", f"{r['exact_seconds']:.1f}" if "exact_seconds" in r else "-",
         f"{max(map(abs, r['relative_error'].values())):.1%}" if "relative_error" in r else "-"]
        for r in result["rows"]
    ]  # fmt: skip
    slowest = max(r["seconds"] for r in result["rows"])
    head = ["contexts", "m", "passes", "s", "floor, s", "x floor", "whole kernel, s", "largest error"]
    return [
        "Stratum eigenvalues of a 2-layer transformer's kernel. The floor is the bare backward passes of the same number of",
        f"probes. Target: within 30 s, {'met' if slowest <= 30 else '**missed**'}.", "", *table(head, rows),
    ]  # fmt: skip


def recording_cost(result):
    """What recording adds to a training run."""
    rows = [[r["case"], r["how"], f"{r['steps']:.1f}", f"{r['recording']:.2f}", f"{r['part']:.1%}", f"{r['floor']:.2%}",
             "yes" if r["met"] else "**no**"] for r in result["rows"]]  # fmt: skip
    return [
        "CPU time of a run's steps and of recording it. The floor is one forward pass over the contexts for each recorded",
        "step. Target: at most 3 %.", "",
        *table(["network", "recorded by", "steps, s", "recording, s", "part", "floor", "met"], rows),
    ]  # fmt: skip


def forecast_cost(result):
    """Seconds of training and of all forecasts from the start, medians over seeds."""
    rows = []
    for case in dict.fromkeys(r["case"] for r in result["rows"]):
        runs = [r for r in result["rows"] if r["case"] == case]
        train, forecast = (median(r[key] for r in runs) for key in ("train_s", "forecast_s"))
        levels = len({name for r in runs for name in r["levels"]})
        rows.append([case, len(runs), f"{train:.0f}", f"{forecast:.0f}", levels, f"{forecast / train:.1f}"])
    return [
        "Wall time on a busy machine, medians over seeds, of training a network and of all levels of forecast together. The",
        "gated levels, which take as many steps as training, are most of it. How close they come: [forecasts](forecasts.md).",
        "", *table(["run", "seeds", "training, s", "all forecasts, s", "levels", "forecasts / training"], rows),
    ]  # fmt: skip


def forecast_time(result):
    """Seconds of one forecast from a known kernel, by level."""
    levels = list(dict.fromkeys(r["level"] for r in result["rows"]))
    cases = dict.fromkeys(r["case"] for r in result["rows"])
    found = {(r["case"], r["level"]): f"{r['seconds']:.2f}" for r in result["rows"]}
    rows = []
    for case in cases:
        first = next(r for r in result["rows"] if r["case"] == case)
        rows.append([case, f"{first['kernel_s']:.2f}", *(found.get((case, level), "-") for level in levels),
                     f"{first['two_products_s']:.2f}"])  # fmt: skip
    slowest = max(r["seconds"] for r in result["rows"])
    return [
        f"CPU seconds on one core for {result['steps']:,} steps of training, from a kernel at the start that is known.",
        f"Target: 1 s, {'met' if slowest <= 1 else '**missed**'}: the slowest takes {slowest:.2f} s.", "",
        *table(["network", "its kernel", *(f"`{level}`" for level in levels), "two products a step"], rows),
    ]  # fmt: skip


def gpu(result):
    """The full flow's rows on a GPU."""
    rows = []
    for r in result["rows"]:
        seconds = r.get("recorded_solution_s", r.get("solution_s", r.get("seconds")))
        ratio = r.get("recorded_solution_times_floor")
        rows.append([r["case"], r.get("method", "ours"), r.get("evaluations", "not in this run"),
                     f"{seconds:.3f}" if seconds else "-", f"{ratio:.2f}" if ratio else "-",
                     f"{r['peak_gib']:.2f} GiB" if "peak_gib" in r else "-"])  # fmt: skip
    return table(["case", "method", "evaluations", "s", "x floor", "peak"], rows)


def ensembles_gpu(result):
    """Trajectories a second on a GPU."""
    rows = [[r["engine"] + (", with windows" if r.get("window") else ""), f"{r['members']:,}",
             f"{1e6 / r['microseconds']:,.0f}", exponent(r["error_max"])] for r in result["members"]]  # fmt: skip
    return table(["engine", "trajectories", "a second", "largest error"], rows)


# Title, result, and what makes its lines.
SECTIONS = (
    ("Full flow", "full_flow", full_flow),
    ("Loss and gradients", "loss_gradients", loss_gradients),
    ("The largest flow", "largest_flow", largest_flow),
    ("Ensembles of reduced flows", "ensembles", ensembles),
    ("Any number of labels", "ensembles", labels),
    ("Work and precision", "work_precision", work_precision),
    ("A network's kernel, by strata", "kernel_strata", kernel_strata),
    ("What recording costs", "recording_cost", recording_cost),
    ("What forecasts cost", "forecast_seeds", forecast_cost),
    ("A forecast from the kernel", "forecast_time", forecast_time),
    ("Full flow on a GPU", "gpu", gpu),
    ("Ensembles on a GPU", "ensembles_gpu", ensembles_gpu),
)


def section(title, name, lines, result):
    """A benchmark: its conditions, numbers and command, or that it is not measured yet."""
    if result is None:
        return ["", f"## {title}", "", unmeasured(COMMANDS[name])]
    if "date" not in result:  # rows that were taken one by one say each when and where
        result = result["rows"][-1] | result
    return ["", f"## {title}", "", *lines(result), "", *about(result, COMMANDS[name])]


def page(results):
    """The page, without its last newline."""
    lines = targets(results)
    for title, name, make in SECTIONS:
        lines += section(title, name, make, results.get(name))
    return re.sub(r"\n{3,}", "\n\n", HEAD + "\n".join(lines)).rstrip("\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md instead of printing")
    if parser.parse_args().write:
        (ROOT / "docs" / "benchmarks.md").write_text(page(load()) + "\n", encoding="utf-8")
    else:
        print(page(load()))
