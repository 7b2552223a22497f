"""ufmflow: gradient-flow dynamics of representations before neural collapse, derived, simulated and checked.

The public names below are imported from the layer that holds them when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Attributes": "theory.attributes",
    "Exchangeable": "theory.exchangeable",
    "InputError": "theory.errors",
    "System": "theory.system",
    "UFM": "theory.model",
    "chain_flow": "theory.coarse",
    "cooccurrence_targets": "theory.kernels",
    "derive": "theory.system",
    "embedding_kernel": "theory.kernels",
    "hamming_flow": "theory.coarse",
    "merged": "theory.coarse",
    "symbols_for": "theory.kernels",
    "Bands": "numerics.bands",
    "Check": "numerics.crosscheck",
    "IntegrationError": "numerics.integrate",
    "Run": "numerics.runs",
    "Start": "numerics.forecast",
    "StrataRecorder": "numerics.recorder",
    "SweepError": "numerics.sweep_errors",
    "Trajectory": "numerics.trajectory",
    "analyse": "numerics.measures",
    "crosscheck": "numerics.crosscheck",
    "agreement": "numerics.downstream",
    "crosscheck_many": "numerics.bands",
    "crossover": "numerics.crossover",
    "crossover_figure": "numerics.crossover_plots",
    "downstream": "numerics.downstream",
    "example_run": "numerics.runs",
    "forecast": "numerics.forecast",
    "forecast_network": "numerics.gated",
    "gaussian": "numerics.simulate",
    "horizon": "numerics.horizon",
    "kernel_drift": "numerics.kernel_strata",
    "kernel_shape": "numerics.kernel_shape",
    "kernel_strata": "numerics.kernel_strata",
    "load_checkpoints": "numerics.checkpoints",
    "load_run": "numerics.runs",
    "load_sweep": "numerics.sweep_load",
    "observe": "numerics.observe",
    "observe_unbalanced": "numerics.least_squares",
    "phase_diagram": "numerics.phases",
    "phase_figure": "numerics.phase_plots",
    "plan": "numerics.advice",
    "plot_bands": "numerics.bands_report",
    "plot_horizon": "numerics.bands_report",
    "prove": "proofs.certificates",
    "riccati_solution": "numerics.riccati",
    "save_run": "numerics.runs",
    "sensitivities": "numerics.sensitivities",
    "simulate": "numerics.simulate",
    "simulate_ensemble": "numerics.ensemble",
    "sweep": "numerics.sweep",
    "train": "numerics.train",
    "train_seeds": "numerics.train",
    "targets_from_counts": "numerics.cooccurrence",
    "kernel_from_counts": "numerics.cooccurrence",
    "value_figure": "numerics.value_plots",
    "verify": "numerics.verify",
    "write_bands": "numerics.bands_report",
    "write_figure": "numerics.figure_files",
    "write_movie": "numerics.movies",
    "write_report": "numerics.report",
}

__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from .numerics.advice import plan
    from .numerics.bands import Bands, crosscheck_many
    from .numerics.bands_report import plot_bands, plot_horizon, write_bands
    from .numerics.checkpoints import load_checkpoints
    from .numerics.crosscheck import Check, crosscheck
    from .numerics.ensemble import simulate_ensemble
    from .numerics.cooccurrence import kernel_from_counts, targets_from_counts
    from .numerics.crossover import crossover
    from .numerics.crossover_plots import crossover_figure
    from .numerics.downstream import agreement, downstream
    from .numerics.figure_files import write_figure
    from .numerics.forecast import Start, forecast
    from .numerics.gated import forecast_network
    from .numerics.horizon import horizon
    from .numerics.integrate import IntegrationError
    from .numerics.kernel_shape import kernel_shape
    from .numerics.kernel_strata import kernel_drift, kernel_strata
    from .numerics.least_squares import observe_unbalanced
    from .numerics.measures import analyse
    from .numerics.movies import write_movie
    from .numerics.observe import observe
    from .numerics.recorder import StrataRecorder
    from .numerics.report import write_report
    from .numerics.riccati import riccati_solution
    from .numerics.phase_plots import phase_figure
    from .numerics.phases import phase_diagram
    from .numerics.runs import Run, example_run, load_run, save_run
    from .numerics.sensitivities import sensitivities
    from .numerics.simulate import gaussian, simulate
    from .numerics.sweep import sweep
    from .numerics.sweep_errors import SweepError
    from .numerics.sweep_load import load_sweep
    from .numerics.train import train, train_seeds
    from .numerics.trajectory import Trajectory
    from .numerics.value_plots import value_figure
    from .numerics.verify import verify
    from .proofs.certificates import prove
    from .theory.attributes import Attributes
    from .theory.coarse import chain_flow, hamming_flow, merged
    from .theory.errors import InputError
    from .theory.exchangeable import Exchangeable
    from .theory.kernels import cooccurrence_targets, embedding_kernel, symbols_for
    from .theory.model import UFM
    from .theory.system import System, derive


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ufmflow' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
