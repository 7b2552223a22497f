"""`reproduce`: forecasts of networks that are written down first and held to their training after, in one report.

For each setting and seed: the network is drawn, its kernel, features and head at step 0 are recorded, every forecast
is computed from them alone and written to a file, and only then is the network trained and compared.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .bands import Bands, gather
from .bands_report import write_bands
from .crosscheck import Check, crosscheck, diagnose, hold
from .forecast import forecast_all
from .integrate import Progress
from .pages import folder_for, render
from .report import write_report
from .runs import Run, example_run, load_run, save_run, write_whole
from .trajectory import Trajectory

SETTINGS = ("objects", "taxonomy", "frames")
FORECAST_PART = 0.3  # of the time that a run takes


@dataclass(frozen=True)
class Reproduction:
    """What was forecast, and what came of it.

    Attributes
    ----------
    settings : dict from setting to Bands over its seeds
    forecasts : dict from run to the SHA-256 of the file in which its forecast was written before it was trained
    """

    settings: dict[str, Bands]
    forecasts: dict[str, str]

    @property
    def confirmed(self) -> bool:
        """Whether every setting is confirmed."""
        return all(bands.confirmed for bands in self.settings.values())

    @property
    def verdict(self) -> str:
        """One sentence: which settings are confirmed."""
        held = [name for name, bands in self.settings.items() if bands.confirmed]
        missed = [name for name in self.settings if name not in held]
        parts = [f"confirmed: {', '.join(held)}"] * bool(held) + [f"not confirmed: {', '.join(missed)}"] * bool(missed)
        return "; ".join(parts)

    def rows(self) -> list[dict[str, Any]]:
        """One for each setting: targets beside results, in the mean over its seeds."""
        rows = []
        for name, bands in self.settings.items():
            shares, loss, baseline = bands.mean_errors
            rows.append(
                {
                    "setting": name,
                    "structure": str(bands.attributes),
                    "seeds": len(bands.checks),
                    "designated": list(dict.fromkeys(check.designated for check in bands.checks)),
                    "share_rmse_mean": shares,
                    "share_target": min(bands.share_tolerance, baseline),
                    "loss_factor": float(np.exp(loss)),
                    "loss_factor_target": bands.loss_factor_tolerance,
                    "best_baseline": baseline,
                    "confirmed": bands.confirmed,
                    "verdict": bands.verdict,
                }
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "targets": self.rows(),
            "settings": {name: bands.to_dict() for name, bands in self.settings.items()},
            "forecasts": self.forecasts,
            "confirmed": self.confirmed,
            "verdict": self.verdict,
        }


def quick(out: str | Path, progress: Progress | None = None) -> tuple[Path, Check]:
    """Hold the forecast of the run that ships with ufmflow to it, and write the report; no torch needed.

    Returns
    -------
    Path of index.html, and the Check
    """
    check = crosscheck(example_run(), progress=progress)
    return write_report(check, out), check


def reproduce(
    out: str | Path,
    seeds: Sequence[int] = (0,),
    settings: Iterable[str] = SETTINGS,
    progress: Progress | None = None,
    **options: Any,
) -> tuple[Path, Reproduction]:
    """Forecast the settings' networks, write the forecasts down, train the networks, and report (extra `train`).

    Parameters
    ----------
    out : folder of the report; `runs/` in it takes forecasts and runs, and a run that is there already is kept
    seeds : one run a setting for each
    settings : names of settings that `train` knows
    progress : callable (done, runs)
    **options : of `train`, in place of its defaults; the learning rate stays constant

    Returns
    -------
    Path of index.html, and the Reproduction

    Raises
    ------
    InputError
        Without torch, and when a run in the way was not trained from the start that was forecast.

    Examples
    --------
    >>> page, found = reproduce("report", seeds=[0, 1])  # doctest: +SKIP
    >>> found.confirmed  # doctest: +SKIP
    True
    """
    from .train import train_seeds

    chosen = tuple(settings)
    if not chosen or not seeds:
        raise InputError(f"settings, seeds: {list(chosen)} and {list(seeds)}; give at least one of each.")
    folder = folder_for(out)
    found: dict[str, list[Check]] = {setting: [] for setting in chosen}
    forecasts: dict[str, str] = {}
    pairs = [(setting, seed) for setting in chosen for seed in seeds]
    for done, (setting, seed) in enumerate(pairs):

        def report(part: float, done: int = done) -> None:
            if progress is not None:
                progress(done + part, len(pairs))

        stem = folder / "runs" / f"{setting}-seed{seed}"
        start, trajectories, designated, rule = forecast_start(setting, seed, stem, **options)
        report(FORECAST_PART)
        digest = write_forecast(trajectories, designated, rule, stem)

        def trained(step: float, steps: float, report: Callable[[float], None] = report) -> None:
            report(FORECAST_PART + (1 - FORECAST_PART) * step / steps)

        path = train_seeds(setting, stem.with_name(setting), [seed], progress=trained, **options)[0]
        run = load_run(path)
        _same_start(start, run)
        check = hold(run, trajectories, designated, rule)
        # A diagnosis trains the network again, several times; one seed tells what costs what.
        found[setting].append(diagnose(check) if seed == seeds[0] else check)
        forecasts[run.name] = digest
    reproduction = Reproduction({setting: gather(checks) for setting, checks in found.items()}, forecasts)
    return _write(reproduction, folder), reproduction


def forecast_start(setting: str, seed: int, stem: Path, **options: Any) -> tuple[Run, dict[str, Trajectory], str, str]:
    """Draw a network, record its start as NAME-start.npz, and forecast it at the steps at which it will be recorded.

    Returns
    -------
    Run of which only the start is known, forecasts by level, the designated level, and why it is designated
    """
    from .plan import Plan
    from .recording import Recording
    from .train import reproducible
    from .training_steps import Training

    plan = Plan(setting, seed=seed, **options)
    if plan.schedule.name != "constant" or plan.schedule.warmup:
        raise InputError(
            f"schedule: {plan.schedule.name!r} with warm-up {plan.schedule.warmup}; reproduce trains at one rate."
        )
    with reproducible(plan.seed):
        training, recording = Training(plan), Recording(plan)
        recording.take(training)
        arrays = recording.arrays() | {"step": np.array([0])}
    for name in ("kernel", "kernel_step"):
        arrays.pop(name, None)
    start = load_run(save_run(stem.with_name(stem.name + "-start"), arrays, plan.contexts.table, plan.describe()))
    # What comes after the start is not known yet: NaN, which no forecast survives that looks at it.
    whole = start.data.reindex(time=plan.lr * recording.steps).assign_coords(step=("time", recording.steps))
    unseen = Run(whole.assign_attrs(name=stem.name))
    return (unseen, *forecast_all(unseen))


def write_forecast(trajectories: dict[str, Trajectory], designated: str, rule: str, stem: Path) -> str:
    """Write the forecasts as NAME.forecast.json, and give the file's SHA-256.

    Examples
    --------
    >>> import tempfile
    >>> from ufmflow.numerics.forecast import forecast
    >>> made = forecast(example_run(), level="modes")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     digest = write_forecast({"modes": made}, "modes", "asked for", Path(folder) / "run")
    ...     written = (Path(folder) / "run.forecast.json").read_bytes()
    >>> hashlib.sha256(written).hexdigest() == digest
    True
    """
    levels = {
        level: {
            "share_H": {A: found.data["share_H"].sel(stratum=A).values.tolist() for A in found.attributes.names[1:]},
            "loss": found.data["loss"].values.tolist(),
            "window": None if (window := found.window()) is None else dict(vars(window)),
        }
        for level, found in trajectories.items()
    }
    time = trajectories[designated].time.tolist()
    text = json.dumps({"designated": designated, "rule": rule, "time": time, "levels": levels}, indent=1) + "\n"
    write_whole(stem.with_name(stem.name + ".forecast.json"), text.encode())
    return hashlib.sha256(text.encode()).hexdigest()


def _same_start(start: Run, run: Run) -> None:
    """Refuse to hold a forecast to the training of another network."""
    for name in ("H", "W"):
        if not np.array_equal(start.data[name].values[0], run.data[name].values[0]):
            raise InputError(
                f"out: {run.name}.npz was not trained from the start that was forecast; give another folder."
            )


def _write(found: Reproduction, folder: Path) -> Path:
    for name, bands in found.settings.items():
        if len(bands.checks) == 1:
            write_report(bands.checks[0], folder / name)
        else:
            write_bands(bands, folder / name)
    page = render("reproduction.html", found=found, rows=found.rows())
    write_whole(folder / "reproduction.json", (json.dumps(found.to_dict(), indent=1) + "\n").encode())
    write_whole(folder / "index.html", page.encode())
    return folder / "index.html"
