"""The cross-check as one self-contained HTML page, beside its figures and numbers.

The page needs no network.  A slider through the recorded times shows Gram matrices and shares; without JavaScript, and
in print, the figures alone stand for all times.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from ..theory.kernels import symbols_for
from ..theory.model import UFM
from ..theory.system import derive
from .crosscheck import Check, Comparison
from .pages import folder_for, image, render, svg_of
from .report_frames import frames_of
from .runs import Run, write_whole
from .strata import matrix_eigenvalues
from .trajectory import Window

LEVELS = {
    "modes": "stratum eigenvalues of the kernel alone",
    "flow": "whole matrices from the network's start, gradient flow",
    "map": "the same with the optimiser's discrete steps",
    "flow_deep": "flow, kernel growing by the depth law",
    "map_deep": "map, kernel growing by the depth law",
    "gated": "weights move, gates of the start to first order",
    "gated_linear": "weights move, gates frozen at the start",
    "gated_doubling": "weights move, gates to first order, anew at each doubling of the steps",
    "given": "the trajectory that was given",
}

DIAGNOSES = {
    "isotropic": ("measured anew, isotropic", "grow, the same for every direction of the features"),
    "directional": ("measured anew, by direction", "grow, and differ from direction to direction"),
}


def write_report(check: Check, out: str | Path) -> Path:
    """Write `index.html`, `check.json` and the figures as SVG into a folder; each file whole or not at all.

    Parameters
    ----------
    check : Check of `crosscheck`
    out : folder, made if it does not exist

    Returns
    -------
    Path of index.html

    Raises
    ------
    InputError
        When the folder cannot be made or is a file.
    """
    folder = folder_for(out)
    figures, axes = _figures(check)
    page = _page(check, figures, frames_of(check, axes))
    for name, svg in figures.items():
        write_whole(folder / f"{name}.svg", svg)
    write_whole(folder / "check.json", (json.dumps(check.to_dict(), indent=1) + "\n").encode())
    write_whole(folder / "index.html", page.encode())
    return folder / "index.html"


def _figures(check: Check) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The figures as SVG, and the axes of those over time."""
    run, held = check.run, check.trajectories[check.designated]
    over_time = {
        "shares": held.plot.shares(run),
        "loss": held.plot.loss(run),
        "singular_values": held.plot.singular_values("z", run),
    }
    made = {"gram": held.plot.gram(observed=run), **over_time}
    return {name: svg_of(figure) for name, (figure, _) in made.items()}, {name: ax for name, (_, ax) in over_time.items()}


def _page(check: Check, figures: dict[str, bytes], frames: dict[str, Any]) -> str:
    run = check.run
    return render(
        "report.html",
        scripts=("player.js", "report.js"),
        check=check,
        run=run,
        levels=[(level, LEVELS.get(level, ""), found) for level, found in check.forecasts.items()],
        costs=_costs(check),
        strata=[(s.name, s.multiplicity, check.forecasts[check.designated].residuals[:, i])
                for i, s in enumerate(run.attributes.strata[1:])],
        kernel=_kernel_rows(check),
        **_equations(run),
        frames=frames,
        gradient=", ".join(f"rgb({r} {g} {b})" for r, g, b in frames["colours"][::31]),
        images={name: image(svg) for name, svg in figures.items()},
        window=[(what, _window(found, run)) for what, found in check.windows.items()],
        meta=run.meta,
        scheduled=not np.allclose(np.diff(run.time), run.lr * np.diff(run.data["step"].values)),
        versions=json.loads(run.data.attrs["versions"]),
    )


def _equations(run: Run) -> dict[str, list[str]]:
    """MathML of the normalized model's flow, kernels left as symbols; what vanishes is left out."""
    kernel = symbols_for(run.attributes, "kappa")
    system = derive(UFM(run.attributes, labels=run.labels, feature_kernel=kernel, constraint="normalized"))
    zero = {eq.lhs: eq.rhs for eq in system.definitions if eq.rhs == 0}
    rates = [eq.xreplace(zero) for pair in system.equations.values() for eq in pair.values()]
    return {
        "equations": [system.mathml(eq) for eq in rates if eq.rhs != 0],
        "definitions": [system.mathml(eq.xreplace(zero)) for eq in system.definitions if eq.lhs not in zero],
    }


def _costs(check: Check) -> list[tuple[str, str, Comparison | None]]:
    """The kernel held, measured anew for all directions at once, and direction by direction."""
    rows: list[tuple[str, str, Comparison | None]] = []
    if "map" in check.forecasts:
        rows.append(("as it starts", "nothing (the forecast map)", check.forecasts["map"]))
    return rows + [(*DIAGNOSES[name], found) for name, found in check.diagnoses.items()]


def _kernel_rows(check: Check) -> list[tuple[str, sp.Expr, str]]:
    if "kernel_init" not in check.run.data:
        return []
    values = matrix_eigenvalues(check.run.data["kernel_init"].values, check.run.attributes)
    m = check.run.attributes.multiplicities
    return [(A, m[A], f"{value:.4g}") for A, value in values.items()]


def _window(found: Window | None, run: Run) -> dict[str, Any] | None:
    if found is None:
        return None
    steps = {name: f"{run.step_at(getattr(found, name)):.0f}" for name in ("onset", "peak", "end")}
    return {"height": f"{found.height:.3f}", **steps}
