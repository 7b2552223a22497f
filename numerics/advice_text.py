"""Advice as lines of text: what `ufmflow plan` prints."""

from .advice import Advice, Recommendation
from .sensitivities import Sensitivities

HEADER = (
    f"{'intervention':>22} {'goal':>4} {'stop':>15} {'index':>6} {'at loss':>8} {'window':>15} {'x':>7} {'index end':>9} "
    f"{'cost':>9} {'in theory':>10}"
)
SHOWN = 3  # recommendations that are spelled out below the table


def advice_lines(advice: Advice) -> list[str]:
    """The table of interventions, best first, the verdict, and how to do the first of them."""
    base = advice.baseline
    lines = [
        f"{advice.source.name}: {advice.source.attributes}; goal: {advice.goal}",
        f"as it is: {_window(base)}; loss {base.outcome.loss_final:.3g} at step {base.outcome.steps[-1]:.0f}",
        "predicted, best first; cost: change of the loss at the last step; stop: the steps in which the goal holds",
        HEADER,
        *(_row(found) for found in advice.recommendations),
        advice.verdict,
    ]
    useful = [found for found in advice.recommendations if found.intervention.name != base.intervention.name][:SHOWN]
    lines += [f"  {found.intervention.name}: {found.intervention.says}  In theory: {found.intervention.why}"
              + ("." if found.outlook is None else f"; {found.outlook.why}.") for found in useful]  # fmt: skip
    if advice.sensitivities is not None:
        lines += _slopes(advice.sensitivities)
    if advice.refused:
        lines += ["not predicted:", *(f"  {sentence}" for sentence in advice.refused.values())]
    return lines


def _row(found: Recommendation) -> str:
    got = found.outcome
    index, loss = ("-" if x is None else f"{x:.3f}" for x in (got.index_at_goal, got.loss_at_goal))
    factor = "-" if found.widens is None else f"{'>' if got.open else ''}{found.widens:.2f}"
    end = "unknown" if found.outlook is None else found.outlook.phase
    return (
        f"{found.intervention.name:>22} {'yes' if found.reaches else 'no':>4} {_steps(got.stop):>15} {index:>6} {loss:>8} "
        f"{_steps(None if got.end is None else (got.onset, got.end), got.open):>15} {factor:>7} {got.index_final:>9.3f} "
        f"{found.cost:>+9.2g} {end:>10}"
    )


def _window(found: Recommendation) -> str:
    got = found.outcome
    if got.end is None:
        return "no semantic window"
    open_end = ", still open" if got.open else ""
    return (
        f"semantic window in steps {got.onset:.0f} to {got.end:.0f}{open_end}, peak at {got.peak:.0f} with index "
        f"{got.height:.3f}"
    )


def _steps(pair: tuple[float | None, float | None] | None, open_end: bool = False) -> str:
    return "-" if pair is None else f"{pair[0]:.0f}-{'' if open_end else f'{pair[1]:.0f}'}"


def _slopes(found: Sensitivities) -> list[str]:
    columns = list(found.slopes)
    rows = [
        f"{name:>22} " + " ".join(f"{found.slopes[column][name]:>+14.3g}" for column in columns)
        for name in next(iter(found.slopes.values()))
    ]
    return [
        "slopes under the kernel at the start, of ln time and of the index by ln of the parameter (ridge and smoothing: by itself):",
        " " * 23 + " ".join(f"{column:>14}" for column in columns),
        *rows,
    ]
