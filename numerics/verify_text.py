"""A verification as lines of text, and as a table of a page: predicted against achieved, failures included."""

from .verify import Band, Verdict, Verification

COLUMNS = (
    ("best stop", "best_stop", "{:.0f}"),
    ("index there", "index_at_goal", "{:.3f}"),
    ("index at end", "index_final", "{:.3f}"),
    ("loss at end", "loss_final", "{:.3g}"),
    ("window, steps", "width", "{:.0f}"),
)


def verification_lines(found: Verification) -> list[str]:
    """The table, then what failed: what `ufmflow plan --verify` prints."""
    lines = [f"trained on {len(found.seeds)} seeds; predicted / achieved (mean; least to largest achieved)"]
    for verdict in found.verdicts:
        lines.append(f"{verdict.intervention}: {_summary(verdict)}")
        bands = verdict.bands()
        for title, name, form in COLUMNS:
            lines.append(f"{title:>22} {_pair(bands[name], form)}")
        index, loss = (bands[name]["at the predicted stop"] for name in ("index_at_goal", "loss_at_goal"))
        if index is not None and loss is not None:
            lines.append(f"{'following the advice':>22} index {index.mean:.3f}, loss {loss.mean:.3g}")
        lines += [f"{'FAILED':>22} {failure}" for failure in verdict.failures]
    return lines


def table(found: Verification) -> list[str]:
    """Rows of Markdown, without a header: intervention, columns predicted / achieved, effect, verdict."""
    rows = []
    for verdict in found.verdicts:
        bands = verdict.bands() if verdict.trials else {name: {} for _, name, _ in COLUMNS}
        cells = [_pair(bands[name], form, brief=True) for _, name, form in COLUMNS]
        rows.append(
            f"| {verdict.intervention} | " + " | ".join(cells) + f" | {_effect(verdict)} | {_verdict(verdict)} |"
        )
    return rows


HEADER = [
    "| intervention | " + " | ".join(title for title, _, _ in COLUMNS) + " | effect | verdict |",
    "|---" * (len(COLUMNS) + 3) + "|",
]


def _pair(sides: dict[str, Band | None], form: str, brief: bool = False) -> str:
    predicted, achieved = sides.get("predicted"), sides.get("achieved")
    first, second = ("-" if band is None else form.format(band.mean) for band in (predicted, achieved))
    if brief or achieved is None or len(achieved.values) == 1:
        return f"{first} / {second}"
    return f"{first} / {second} ({form.format(min(achieved.values))} to {form.format(max(achieved.values))})"


def _effect(verdict: Verdict) -> str:
    if verdict.effect is None:
        return "-"
    noise = "one seed" if len(verdict.trials) == 1 else f"noise {verdict.effect['noise']:.3f}"
    return "{predicted:+.3f} / {achieved:+.3f} ".format(**verdict.effect) + f"({noise})"


def _verdict(verdict: Verdict) -> str:
    if verdict.seen is False:
        return "**not seen**" + ("; " + "; ".join(verdict.failures) if verdict.failures else "")
    held = "holds" if verdict.seen or verdict.effect is None else "holds so far"
    return held if not verdict.failures else "**failed**: " + "; ".join(verdict.failures)


def _summary(verdict: Verdict) -> str:
    seen = {True: "effect seen", False: "effect NOT seen above seed noise", None: "no effect to see, or one seed"}[
        verdict.seen
    ]
    return f"{seen}; {_effect(verdict)}; {'all predictions held' if not verdict.failures else 'predictions failed'}"
