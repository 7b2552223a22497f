"""docs/trust.md, from the results: what was tried, what was found, and what was not tried."""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "trust.md"
WANTED = {"fuzz": 100_000, "faults": 200, "calibration": 1000}

# (where it was met, what was found, how it was mended); each has a test in tests/trust/test_findings.py.
FOUND = (
    (
        "fuzzing, npz",
        "a sparse count matrix whose indices point outside of it made SciPy write beside its memory; the process died",
        "indices are checked before the matrix is made dense",
    ),
    (
        "fuzzing, npz",
        "headers that are no Python, shapes beyond 64 bits, members that are no arrays, and declared gigabytes "
        "ended in NumPy's own errors",
        "one sentence each",
    ),
    (
        "fuzzing, npz",
        "a few kilobytes could unfold to gigabytes (zip bombs)",
        "refused beyond 256 MiB and 100 times the file",
    ),
    (
        "reading, pt",
        "a tensor with stride 0 repeats one number without end, and gigabytes were made of it",
        "refused likewise",
    ),
    (
        "reading, hdf5, zarr",
        "arrays with chunks that were never written take no room in the file and any in memory",
        "refused likewise",
    ),
    ("reading, zarr", "a link in a store could lead to files outside of it", "refused, naming the link"),
    (
        "fuzzing, toml and json",
        "lists thousands deep ended in RecursionError, and whole numbers of thousands of digits in ValueError",
        "one sentence each",
    ),
    (
        "fuzzing, toml",
        '`"1/0"` ended in ZeroDivisionError; `"1e99999999"` would have been written out in full',
        "texts with more digits than floats have a use for are refused",
    ),
    ("fuzzing, json", "a learning rate of hundreds of digits ended in TypeError", "one sentence"),
    ("fuzzing, csv", "counts of a context that the table names twice ended in IndexError", "one sentence"),
    (
        "reading, csv",
        "labels of thousands of digits ended in ValueError; tables of thousands of columns took minutes",
        "such labels are words; at most 64 attribute columns",
    ),
    ("reading, formula", "formulas of megabytes were searched in quadratic time", "at most 10,000 characters"),
    (
        "faults, stored trajectories",
        "zarr reads a chunk that is gone as fill values, and a cut one now and then as whatever "
        "lies behind it: numbers were silently wrong",
        "a stored trajectory carries a digest of its content, held to when read",
    ),
    ("faults, sweeps", "the same for a finished chunk of a sweep", "the size of each piece is in the log, and held to"),
    (
        "faults, recorder",
        "a recorder killed while it wrote left a file behind, over which a later one stumbled at its very end",
        "what was left is removed with the folder",
    ),
    ("faults, recorder", "a recorded step that is cut was refused without a word on what to do", "the refusal says it"),
    ("faults, command line", "a full disk ended in a traceback", "one sentence, exit code 1"),
    (
        "fuzzing, stored sweeps",
        "metadata that took a coordinate for a variable ended in xarray's own error",
        "one sentence",
    ),
    (
        "hostility, simulate",
        "atol = 0, which is allowed, always ended in `Unexpected istate in LSODA`",
        "it is raised to 1e-300",
    ),
    (
        "hostility, forecast",
        "features so long that their squares overflow gave shares of 0, silently",
        "refused",
    ),
    (
        "hostility, simulate",
        "starts so small that rtol times them is no float ended likewise",
        "refused with the least start",
    ),
)
OPEN = (
    "`simulate` of a `normalized` model from features far below 1 is slow: rates are one over their squared norm. "
    "On strata it is given up after a million steps, a minute or so; whole matrices take their time (problems 20, 39, "
    "59, 80, 106 and 134 of the calibration).",
    "A store whose process was killed may hold hidden `.ufmflow-*` files beside it, which nothing removes.",
)
NOT_TRIED = (
    "GPUs: nothing here ran on one.",
    "Coverage-guided fuzzing: inputs are drawn from grammars and by mutation, without feedback from coverage.",
    "Machines that lose power, network file systems, and disks that return other bytes than were written, apart "
    "from cut "
    "files.",
    "Clusters of several machines under these faults; killed workers, clients and schedulers of one are in "
    "`tests/numerics/test_sweep_kills.py`.",
    "The report page, notebooks and documentation as a target.",
    "Libraries underneath: a crash of libhdf5 on a damaged file would be its own, and is counted here only if "
    "fuzzing met it.",
    "A user's own .zarr runs whose chunks are gone: zarr does not write chunks of fill values, so that they "
    "cannot be told "
    "from lost ones.",
)


def load() -> dict:
    """Results by name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((HERE / "results").glob("*.json"))
    }


def table(head: list[str], rows: list[list]) -> list[str]:
    """A table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows] + [""]


def about(result: dict) -> str:
    """When, where, and how long."""
    seconds = f", {result['seconds'] / 60:.0f} min" if "seconds" in result else ""
    return f"{result['date']}, {result['machine']}, Python {result['versions']['python']}{seconds}."


def short(number: float) -> str:
    """Two digits."""
    return f"{number:.2g}"


def fuzz(result: dict) -> list[str]:
    """A row for each reader."""
    rows = []
    for name, t in sorted(result["targets"].items()):
        kinds = ", ".join(f"{kind} ({n})" for kind, n in t["kinds"].items()) or "nothing"
        rest = "" if t["inputs"] >= WANTED["fuzz"] else f" of {WANTED['fuzz']:,}"
        rows.append(
            [
                name,
                f"{t['inputs']:,}{rest}",
                f"{t['accepted']:,}",
                f"{t['refused']:,}",
                kinds,
                f"{t['slowest']:.2f}",
                f"{t.get('peak_rss', 0) / 2**20:.0f}",
            ]
        )
    return table(["reader", "inputs", "accepted", "refused", "found", "slowest, s", "MiB"], rows)


def faults(result: dict) -> list[str]:
    """A row for each job, a column for each fault: problems of tried."""
    kinds = list(next(iter(result["counts"].values())))
    rows = []
    for job, cells in result["counts"].items():
        rows.append([job, *(f"{cells[k]['problems']} of {cells[k]['tried']}" if k in cells else "-" for k in kinds)])
    lines = table(["job", *kinds], rows)
    tried = f"{result['faults']} faults of {WANTED['faults']}, of which {result['interrupted']} interrupted the job"
    lines.append(f"{tried}; problems: {len(result['problems']) or 'none'}.")
    for row in result["problems"]:
        lines.append(f"- {row['job']}, {row['fault']}, number {row['number']}: {row['problem'][:200]}")
    if result.get("note"):
        lines += ["", f"{result['note'][0].upper()}{result['note'][1:]}."]
    return [*lines, ""]


def hostile(result: dict) -> list[str]:
    """A row for each kind of question."""
    rows = []
    for what, cell in result["table"].items():
        count = cell["results"]
        reasons = ", ".join(f"`{reason}` ({n})" for reason, n in list(cell["reasons"].items())[:3]) or "-"
        rows.append(
            [
                what,
                cell["tried"],
                *(count.get(k, 0) for k in ("right", "refused", "wrong", "slow")),
                short(cell["largest"]),
                reasons,
            ]
        )
    head = ["what", "tried", "right", "refused", "wrong", "slow", "largest error", "first reasons of refusals"]
    lines = table(head, rows)
    if result["each"] > 1:
        lines += [f"{result['cases']:,} cases, one in {result['each']} of all.", ""]
    if result["slow"]:
        lines += ["*Slow*: no end within 4 s of the processor: stiff flows of whole matrices over long times.", ""]
    return lines


def calibration(result: dict) -> list[str]:
    """Quantiles of the error over the tolerance asked for."""
    rows = [
        [kind, result["measured"][kind], *(short(q[key]) for key in ("0.5", "0.9", "0.99", "1.0"))]
        for kind, q in result["quantiles"].items()
    ]
    lines = table(["problems of", "measured", "median", "90%", "99%", "largest"], rows)
    lines.append(
        f"{result['problems']} problems drawn of {WANTED['calibration']}; above 10: {len(result['missed'])}; refused: "
        f"{len(result['refused'])}; without a reference in time: {len(result['unsolved_by_the_reference'])}; without an "
        f"end in 6 s: {len(result['unended'])} (numbers {', '.join(map(str, result['unended'])) or 'none'})."
    )
    return [*lines, ""]


def mutants(result: dict) -> list[str]:
    """A row for each module, and every survivor."""
    from mutants import explained

    rows = []
    for module in sorted({row["module"] for row in result["mutants"]}):
        own = [row for row in result["mutants"] if row["module"] == module]
        ended = [row["ended"] for row in own]
        rows.append(
            [
                f"`{module}`",
                f"{len(own)} of {result['sites'][module]}",
                ended.count("failed"),
                ended.count("slow"),
                ended.count("passed"),
            ]
        )
    lines = table(["module", "mutants of all", "noticed", "without end", "survived"], rows)
    for row in result["mutants"]:
        if row.get("mended"):
            lines.append(f"- `{row['module']}`, `{row['line']}`: `{row['change']}` had survived; a test was added.")
        if row["ended"] == "passed":
            why = explained(row) or "**not explained**"
            lines.append(f"- `{row['module']}`, `{row['line']}`: `{row['change'].replace('`', '')}`: {why}")
    return [*lines, ""]


def soak(result: dict) -> list[str]:
    """One sentence."""
    problems = "; ".join(result["problems"]) or "none"
    return [
        f"{result['minutes']:g} minutes: {result['begun']} processes begun, {result['kills']} killed, "
        f"{result['finished_sweeps']} sweeps finished and compared, the store opened {result['opened_between']} "
        "times in "
        f"between; memory grew by {result['largest_growth_bytes'] / 2**20:.0f} MiB at most, open files were "
        f"{result['largest_open_files']} at most; problems: {problems}.",
        "",
    ]


SECTIONS = (
    (
        "fuzz",
        "Fuzzing of every parser and loader",
        fuzz,
        "Inputs from grammars and by mutation of valid files (bytes, "
        "headers, members of archives, metadata); each may end in success or `InputError` alone, within 10 s of "
        "the processor "
        "and 1 GiB, unpickling and running nothing and opening nothing outside its folder. *Accepted* are inputs "
        "read without "
        "complaint; MiB is the peak of the process, libraries included. `npz` tries three readers on each input "
        "and counts it "
        "as accepted when none raises another error.",
    ),
    (
        "faults",
        "Faults during runs",
        faults,
        "A job meets a fault at a random moment and is given again: it has to end as an "
        "undisturbed one, with what was finished kept and not done twice. Cells: problems of so many tried.",
    ),
    (
        "hostile",
        "Numbers at the edges",
        hostile,
        "Labels 2 to 10^9, kernels and times 1e-12 to 1e12, starts from 1e-300, "
        "tolerances down to round-off, ridge 1e-300 to 1e12, against mpmath at 80 digits and more. Errors: "
        "relative for closed "
        "forms and limits, in units of rtol, or of 5e-12 where rtol is less, for `simulate` (right up to 20, or "
        "within what a change of the start by rtol makes of the exact answer), "
        "absolute in shares and log loss for forecasts.",
    ),
    (
        "calibration",
        "Error over the tolerance asked for",
        calibration,
        "Random structures, losses, kernels, ridges, "
        "constraints, starts and horizons; references from equations written down anew on explicit matrices. At "
        "most 10 is asked "
        "for.",
    ),
    (
        "mutants",
        "Mutation testing",
        mutants,
        "One operator, constant, comparison, sign or condition changed, and the module's own tests run.",
    ),
    ("soak", "Soak", soak, "A sweep filled again and again, its process killed at random moments."),
)


def page(results: dict) -> str:
    """The page."""
    lines = [
        "# What was tried to break it",
        "",
        "Made of `tests/trust/results` by `python tests/trust/run.py --page`; a test holds the page to them. "
        "Each part is "
        "run again by the command beside it, from seeds, so that every number below gives the same input again.",
        "",
        "## Found and mended",
        "",
        *table(["where", "what was found", "mended"], [list(row) for row in FOUND]),
    ]
    for name, title, make, told in SECTIONS:
        lines += [f"## {title}", "", told, "", f"`python tests/trust/run.py --part {name}`", ""]
        if name in results:
            lines += [*make(results[name]), f"*{about(results[name])}*", ""]
        else:
            lines += ["**Not run yet.**", ""]
    lines += ["## Found and open", "", *(f"- {what}" for what in OPEN), ""]
    lines += ["## Not tried", "", *(f"- {what}" for what in NOT_TRIED)]
    return "\n".join(lines) + "\n"


def write() -> None:
    """Make the page anew."""
    PAGE.write_text(page(load()), encoding="utf-8")
