"""The targets of speed, each held to a result: peers of the same run, ours, whether it is met, the floor.

What counts as ours, where there are rows at several tolerances, is the cheapest whose error is no larger than the
compared peers'.  A target missed says what was found to limit it.
"""

import re
from dataclasses import dataclass, field

from loss_gradients import D, M, V
from page_parts import exponent, unmeasured

COMMANDS = {
    "full_flow": "python benchmarks/full_flow.py > benchmarks/results/full_flow.json",
    "loss_gradients": "python benchmarks/loss_gradients.py > benchmarks/results/loss_gradients.json",
    "largest_flow": "python benchmarks/largest_flow.py > benchmarks/results/largest_flow.json",
    "ensembles": "taskset -c 0 python benchmarks/ensembles.py > benchmarks/results/ensembles.json",
    "work_precision": "python benchmarks/work_precision.py docs/images/work-precision.svg"
    " > benchmarks/results/work_precision.json",
    "kernel_strata": "python benchmarks/kernel_strata.py > benchmarks/results/kernel_strata.json",
    "recording_cost": "python benchmarks/recording_cost.py > benchmarks/results/recording_cost.json",
    "forecast_seeds": "python benchmarks/forecast_seeds.py RUNS && python benchmarks/forecast_seeds.py RUNS --collect",
    "forecast_time": "python benchmarks/forecast_time.py > benchmarks/results/forecast_time.json",
    "gpu": "make bench-gpu",
    "ensembles_gpu": "make bench-gpu",
}
CASES = {
    "L": "full flow, cross-entropy, V = m = 1024, d = 256, rtol 1e-6, t <= 1e4",
    "S": "full flow, cross-entropy, V = m = 256, d = 128, rtol 1e-6, t <= 1e4",
    "ridge": "full flow, ridge 1e-3, t <= 1e6, V = m = 256, d = 128",
}
SIZES = {"S": (256, 128), "L": (1024, 256)}  # V = m, and d
FULL_PEERS = ("scipy RK45", "diffrax Tsit5", "torchdiffeq dopri5")


@dataclass
class Target:
    """One row of the table; `met` is None where a result is missing, words where it is so in part; `why` is for misses."""

    work: str
    target: str
    command: str
    peers: list[str] = field(default_factory=list)
    ours: str = ""
    met: bool | str | None = None
    floor: str = "-"
    why: str = ""

    def cells(self):
        """Work, peers, ours, target, met, floor."""
        measured = self.ours or unmeasured(re.sub(r" > [^\s;]+", "", self.command))
        met = {None: "-", True: "yes", False: "**no**"}.get(self.met, self.met)
        return [self.work, "; ".join(self.peers) or "-", measured, self.target, met, self.floor]


def measured(result, key="rows", **same):
    """Rows of a result with the given entries, less those of peers that were not installed."""
    rows = (result or {}).get(key, [])
    return [r for r in rows if "missing" not in r and all(r.get(k) == v for k, v in same.items())]


def cheapest(rows, cost, error, bound):
    """Of the rows whose error is within the bound, the one that costs least; None where there is none."""
    return min((r for r in rows if r[error] <= bound), key=lambda r: r[cost], default=None)


def evaluations(r):
    """A row of the full flow in words."""
    return (f"{r['method']}: {r['times_floor']:.2f}x, {r['evaluations']:,} evaluations, {r['peak_mb']:.0f} MB,"
            f" error {exponent(r['error'])}")  # fmt: skip


def full_flow(results, case, limit, fewest):
    """Time of an evaluation in units of its three products; for the larger case also the fewest evaluations."""
    target = Target(CASES[case], f"<= {limit}x the floor" + (", fewest evaluations at equal error" if fewest else ""),
                    COMMANDS["full_flow"])  # fmt: skip
    rows = measured(results.get("full_flow"), case=case)
    own = [r for r in rows if r["method"].startswith("ours")]
    peers = [r for r in rows if r["method"] in FULL_PEERS]
    present = {r["method"] for r in peers}
    target.peers = [evaluations(r) for r in peers] + [
        f"{x}: not in this run" for x in FULL_PEERS if rows and x not in present
    ]
    best = cheapest(own, "evaluations", "error", min((r["error"] for r in peers), default=0.0))
    if best is None:
        if own and peers:
            target.met, target.ours = False, evaluations(min(own, key=lambda r: r["error"]))
            target.why = "no row of ours is as accurate as all peers."
        return target
    beaten = [cheapest(own, "evaluations", "error", r["error"])["evaluations"] <= r["evaluations"] for r in peers]
    target.met = best["times_floor"] <= limit and (all(beaten) or not fewest)
    target.ours, target.floor = evaluations(best), f"{best['floor_ms']:.2f} ms an evaluation"
    n, d = SIZES[case]
    beyond = (best["times_floor"] - 1) * best["floor_ms"]
    if best["times_floor"] > limit:
        target.why = f"beyond the products are {beyond:.2f} ms an evaluation, {1e6 * beyond / n**2:.1f} ns a logit. "
        for part in measured(results.get("full_flow"), "parts", case=case):
            rest = best["times_floor"] - part["rate"] - part["stages"] - part["error"]
            target.why += (
                f"With warm caches a rate takes {part['rate']:.2f} times its products (the rest is the pass of exponentials),"
                f" the sums of stages {part['stages']:.2f} and the error's norm {part['error']:.2f}; the remaining"
                f" {max(rest, 0):.2f} is seen in whole solutions alone, where products push the vectors out of the caches. "
            )
        target.why += f"The products are 6 d = {6 * d} operations a logit: the rest weighs the more the narrower the flow is."
    elif not target.met:
        target.why = "at equal error a peer takes fewer evaluations (table below)."
    return target


def ridge(results):
    """Evaluations to the steady state where a ridge limits explicit steps."""
    target = Target(CASES["ridge"], "<= 1,500 evaluations to the steady state, error <= 1e-6",
                    f"{COMMANDS['full_flow']}; {COMMANDS['work_precision']}")  # fmt: skip
    rows = measured(results.get("full_flow"), case="ridge")
    peers = [r for r in rows if r["method"] == "scipy DOP853"]
    target.peers = [evaluations(r) for r in peers]
    settled = [r for r in measured(results.get("work_precision"), "256_labels") if not r.get("reference")]
    own = [r for r in rows if r["method"].startswith("ours")] + settled
    if not own:
        return target
    best = cheapest(own, "evaluations", "error", 1e-6) or min(own, key=lambda r: r["error"])
    rtol = f" at rtol {exponent(best['rtol'], 0)}" if "rtol" in best else ""
    target.ours = f"{best['method']}{rtol}: {best['evaluations']:,} evaluations, error {exponent(best['error'])}"
    target.met = best["evaluations"] <= 1500 and best["error"] <= 1e-6
    fewest = min(own, key=lambda r: r["evaluations"])
    if not target.met and fewest["error"] > 1e-6:
        target.why = (
            f"{fewest['evaluations']:,} evaluations leave an error of {exponent(fewest['error'])}: once stability is dealt"
            " with, the tolerance sets the steps on the way."
        )
    return target


def loss_gradients(results):
    """Time and memory of the loss with its gradients, as parts of torch's chunked operator's."""
    target = Target(f"loss and both gradients, V = m = {V}, d = {D}, float64", "<= 0.8x its time, <= 0.4x its memory",
                    COMMANDS["loss_gradients"])  # fmt: skip
    rows = {r["method"]: r for r in measured(results.get("loss_gradients"))}
    words = lambda r: f"{r['cpu_ms']:.0f} ms ({r['times_floor']:.2f}x the floor), {r['peak_mb']:.0f} MB"
    peer, own = rows.get("torch chunked"), rows.get("ours chosen")
    target.peers = [f"torch chunked: {words(peer)}"] if peer else []
    if not (own and peer):
        target.ours = f"{words(own)}, its peer is missing" if own else ""
        return target
    time, memory = own["cpu_ms"] / peer["cpu_ms"], own["peak_mb"] / peer["peak_mb"]
    target.ours = f"{words(own)}: {time:.2f}x its time, {memory:.2f}x its memory"
    target.met, target.floor = time <= 0.8 and memory <= 0.4, f"{own['floor_ms']:.0f} ms"
    if time > 0.8:
        target.why = f"the peer itself takes {peer['times_floor']:.2f} times the floor, and 0.8 of that is"
        below = 0.8 * peer["times_floor"]
        target.why += f" {below:.2f} times it" + (", less than the three products alone. " if below < 1 else ". ")
    if memory > 0.4:
        logits, gradients = own["rows"] * V * 8e-6, (V + M) * D * 8e-6
        target.why += (
            f"Of {own['peak_mb']:.0f} MB, {logits:.0f} are a chunk of logits, and {gradients:.0f} each the state, its rate"
            " and the gradients; the rest is not accounted for."
        )
    return target


def ensembles(results):
    """Microseconds a trajectory on one core, at no larger an error than any peer's."""
    target = Target("8 modes with softmax, 10^4 trajectories, rtol 1e-6", "<= 20 us at equal or smaller error",
                    COMMANDS["ensembles"])  # fmt: skip
    rows = measured(results.get("ensembles"), "members")
    words = lambda r: f"{r['engine']}: {r['microseconds']:.1f} us, error {exponent(r['error_max'])}"
    own = [r for r in rows if r["engine"] == "ufmflow native" and not r.get("window")]
    peers = [r for r in rows if r["engine"].startswith(("diffrax", "heyoka")) and r["rtol"] == 1e-6]
    target.peers = [words(r) for r in peers]
    if not (own and peers):
        return target
    pairs = [(r, cheapest(own, "microseconds", "error_max", r["error_max"])) for r in peers]
    beside = [
        f"{best['microseconds']:.1f} us, error {exponent(best['error_max'])}:"
        f" {best['microseconds'] / r['microseconds']:.2f}x {r['engine']}'s time" for r, best in pairs if best
    ]  # fmt: skip
    target.ours = "; ".join(beside) or words(own[0])
    target.met = all(best and best["microseconds"] <= 20 for _, best in pairs)
    if not target.met:
        target.why = "no row of ours is as accurate as each peer and within 20 us."
    return target


def labels(results):
    """Whether the reduced flow's time knows V."""
    target = Target("reduced flow, V = 10^2 ... 10^9 labels", "time independent of V (ratio <= 1.05)",
                    COMMANDS["ensembles"])  # fmt: skip
    found = (results.get("ensembles") or {}).get("labels")
    if not found:
        return target
    each = [r["microseconds"] for r in found["rows"]]
    target.ours = f"a step: ratio {found['ratio_of_a_step']:.3f}; a trajectory: {max(each) / min(each):.2f}"
    if found["ratio_of_a_step"] > 1.05:
        target.met, target.why = False, "a step's time differs between sizes; its numbers are in the table below."
    else:
        target.met = True if max(each) <= 1.05 * min(each) else "a step: yes; a trajectory: **no**"
        target.why = "" if target.met is True else "what grows is the number of steps (table below)."
    return target


def ensembles_gpu(results):
    """Trajectories a second on a GPU."""
    target = Target("8 modes with softmax on a GPU, 10^6 trajectories", ">= 50x its rate, >= 5e6 trajectories/s on an H200",
                    COMMANDS["ensembles_gpu"])  # fmt: skip
    rows = {(r["engine"], r.get("window", False)): r for r in measured(results.get("ensembles_gpu"), "members")}
    own, peer = rows.get(("ufmflow cuda", False)), rows.get(("diffrax vmap Tsit5", False))
    rate = lambda r: f"{1e6 / r['microseconds']:.2g} trajectories/s, error {exponent(r['error_max'])}"
    target.peers = [f"diffrax vmap Tsit5: {rate(peer)}"] if peer else []
    if own:
        target.ours = rate(own)
        if peer:
            target.ours += f": {peer['microseconds'] / own['microseconds']:.0f}x its rate"
            target.met = own["microseconds"] <= min(0.2, peer["microseconds"] / 50)
    return target


def full_flow_gpu(results):
    """The full flow on a GPU."""
    target = Target("full flow on a GPU, V = m = 8192, d = 512, float64", ">= 1.3x faster, <= 1.15x the floor",
                    COMMANDS["gpu"])  # fmt: skip
    rows = measured(results.get("gpu"), case="large")
    own, peers = ([r for r in rows if ("method" in r) == is_peer] for is_peer in (False, True))
    target.peers = [f"{r['method']}: {r['solution_s']:.2f} s, {r['evaluations']:,} evaluations" for r in peers]
    if own:
        best = min(own[0]["solution_s"], own[0]["recorded_solution_s"])
        ratio = min(own[0]["solution_times_floor"], own[0]["recorded_solution_times_floor"])
        target.ours = f"{best:.2f} s, {own[0]['evaluations']:,} evaluations, {ratio:.2f}x the floor"
        target.floor = f"{own[0]['floor_ms']:.2f} ms an evaluation"
        if peers:
            target.met = ratio <= 1.15 and all(r["solution_s"] >= 1.3 * best for r in peers)
    return target


def all_targets(results):
    """Every target, in the order of the page."""
    return [
        full_flow(results, "L", 1.15, fewest=True), full_flow(results, "S", 1.25, fewest=False), ridge(results),
        loss_gradients(results), ensembles(results), ensembles_gpu(results), full_flow_gpu(results), labels(results),
    ]  # fmt: skip
