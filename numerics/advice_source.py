"""What advice is given about, and how its training is predicted, with or without an intervention.

A source is a training plan, a run that `train` recorded (its network can be built anew), or a run of which the kernel at
the start is recorded.  Predictions come from the kernel, or with `precise` from the network with its gates expanded.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .forecast import FINEST, designate, forecast, knows_network, matrices_of
from .interventions import Intervention
from .observe import observe
from .options import whole
from .runs import Run, make_run
from .start import Start, check
from .trajectory import Trajectory

if TYPE_CHECKING:
    from .plan import Plan

POINTS = 80  # log-spaced steps that a prediction is read off at
DENSE = 1500  # evenly spaced ones that a mean of checkpoints is taken over
# What a network and its kernel at the start depend on.
NETWORK = ("setting", "formula", "labels", "arch", "layers", "width", "features", "norm", "final_norm", "seed",
           "embedding_scale", "head_scale", "final_affine")  # fmt: skip
Predicted = tuple[Trajectory, np.ndarray, str]


@dataclass(frozen=True)
class Source:
    """A training to be advised on.

    Attributes
    ----------
    name : of the run or the setting
    attributes, labels : structure of the contexts, and what the label keeps
    steps : int array, at which predictions are read off
    known : the training plan of a network that can be built; None when only its kernel is known
    kernel : what forecasts from the kernel start from; None when the plan makes it
    times : array, sum of the learning rates before each of the steps; None when the plan makes it
    width : d
    """

    name: str
    attributes: Attributes
    labels: tuple[str, ...] | None
    steps: np.ndarray
    known: "Plan | None"
    kernel: Start | None
    times: np.ndarray | None
    width: int

    @classmethod
    def of(cls, network: Any, steps: int | None = None) -> "Source":
        """A source from a Plan, a Run, or a Start with the number of steps that the network is to train for.

        Raises
        ------
        InputError
            For what is none of these, for a run of which neither network nor kernel is known, and for training that
            leaves combinations of attributes out.
        """
        if isinstance(network, Start):
            check(network)
            if network.lr is None:
                raise InputError("lr: the start has no learning rate, so nothing can be said in steps; give it one.")
            shown = log_steps(whole("steps", steps, 1, 10**9))
            return cls("network", network.attributes, network.labels, shown, None, network, network.lr * shown,
                       network.F.shape[0])  # fmt: skip
        if steps is not None:
            raise InputError("steps: a training plan or a recorded run has its own; leave it out.")
        if isinstance(network, Run):
            start_recorded = int(network.data["step"].values[0]) == 0
            if knows_network(network) and network.meta.get("arch") is not None and start_recorded:
                from .plan import Plan

                return cls.of(Plan.of_record(network.meta))
            start = Start.of(network)
            check(start)
            return cls(network.name, network.attributes, network.labels, network.data["step"].values, None, start,
                       network.time, start.F.shape[0])  # fmt: skip
        try:
            from .plan import Plan
        except ImportError:
            raise InputError(f"network: {network!r} is no recorded run, and training needs PyTorch; pip install "
                             "'ufmflow[train]'.") from None  # fmt: skip
        if not isinstance(network, Plan):
            raise InputError(
                f"network: {type(network).__name__} is no setting's name, training plan, recorded run or Start; give one "
                "of them."
            )
        if network.hold_out:
            raise InputError(
                f"hold_out: {len(network.hold_out)} of {network.contexts.n_labels} labels are never trained on, and theory "
                "needs every combination of attributes observed; leave hold_out out."
            )
        attributes = Attributes(network.formula)
        kept = attributes.keep(network.labels)
        labels = None if len(kept.sizes) == len(attributes.sizes) else tuple(kept.sizes)
        return cls(network.setting, attributes, labels, log_steps(network.steps), network, None, None,
                   network.features)  # fmt: skip

    def predict(self, intervention: Intervention, precise: bool = False) -> Predicted:
        """The trajectory with an intervention, the steps of its times, and the level that it comes from.

        Raises
        ------
        InputError
            When the network cannot take the intervention, or this kind of prediction does not cover it.
        """
        if self.known is None:
            assert self.kernel is not None and self.times is not None
            if precise:
                raise InputError("precise: it needs the network itself, and only its kernel is known; leave it out.")
            return self._from_kernel(
                intervention.start(self.kernel), self.times, intervention.options.get("average_from")
            )
        plan = intervention.plan(self.known)
        if precise:
            from .gated import forecast_plan

            return forecast_plan(plan, self.steps, FINEST), self.steps, FINEST
        try:
            start = start_of(plan)
        except InputError as error:
            who, why = (intervention.name, "") if intervention.options else ("network", f" ({error})")
            raise InputError(
                f"{who}: a forecast from the kernel does not cover this training; ask for precise (--precise), which "
                f"follows the network itself{why}"
            ) from None
        return self._from_kernel(start, flow_times(plan, self.steps), plan.average_from)

    def flow_times(self) -> np.ndarray:
        """The sum of the learning rates before each of the steps, without intervention."""
        if self.known is None:
            assert self.times is not None
            return self.times
        return flow_times(self.known, self.steps)

    def start(self) -> Start:
        """What a forecast from the kernel starts from without intervention.

        Raises
        ------
        InputError
            Where no forecast from the kernel covers the training.
        """
        if self.known is None:
            assert self.kernel is not None
            return self.kernel
        return start_of(self.known)

    def _from_kernel(self, start: Start, times: np.ndarray, average_from: int | None) -> Predicted:
        level, _ = designate(start, times, {})
        if average_from is None:
            return forecast(start, t=times, level=level), self.steps, level
        return _averaged(start, times, self.steps, level, average_from), self.steps, level


def log_steps(steps: int) -> np.ndarray:
    """0 and log-spaced whole steps up to the last, at which predictions are read off and runs recorded."""
    return np.unique(np.append(0, np.round(np.geomspace(1, steps, POINTS)))).astype(np.int64)


_measured: dict[tuple, dict[str, np.ndarray]] = {}


def start_of(plan: "Plan") -> Start:
    """Kernel, features and head of a plan's network before its first step.

    Raises
    ------
    InputError
        For plans that a forecast from the kernel does not cover (see `Start.of`).

    Examples
    --------
    >>> from ufmflow.numerics.plan import Plan
    >>> start_of(Plan("objects", width=8, features=32)).kernel.shape
    (24, 24)
    """
    from .recording import Recording
    from .train import reproducible
    from .training_steps import Training

    key = tuple(getattr(plan, name) for name in NETWORK)
    if key not in _measured:
        if len(_measured) > 64:
            _measured.clear()
        with reproducible(plan.seed):
            recording = Recording(plan)
            recording.take(Training(plan))
        found = {name: np.stack(values) for name, values in recording.series.items()}
        kernel = found.pop("kernel_init")[0]
        _measured[key] = {name: found[name] for name in ("H", "W", "feature_norm")} | {"kernel_init": kernel}
    label = plan.contexts.label
    arrays = {"step": np.array([0]), "loss": np.zeros(1), "label": label, **_measured[key]}
    # The mean of checkpoints is taken over the forecast.
    meta = {name: value for name, value in plan.describe().items() if name != "average_from"}
    return Start.of(make_run(arrays, Attributes(plan.formula), meta, f"{plan.setting}.npz"))


def flow_times(plan: "Plan", steps: np.ndarray) -> np.ndarray:
    """The sum of the learning rates of a plan's schedule before each of the steps."""
    import torch

    if plan.schedule.name == "constant" and not plan.schedule.warmup:
        return plan.lr * steps
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=plan.lr)
    scheduler = plan.schedule.scheduler(optimizer, plan.steps)
    rates = np.empty(int(steps[-1]))
    for step in range(len(rates)):
        rates[step] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()
    return np.concatenate([[0.0], np.cumsum(rates)])[steps]


def _averaged(start: Start, times: np.ndarray, steps: np.ndarray, level: str, first: int) -> Trajectory:
    """W and F of the forecast replaced, from step `first` on, by their means since then.

    A network's parameters are averaged, and its features are to first order linear in them.
    """
    since = float(np.interp(first, steps, times))
    dense = np.unique(np.concatenate([times, np.linspace(since, times[-1], DENSE)]))
    flow, pairs = matrices_of(start, dense, level)
    W, F = (np.stack(part) for part in zip(*pairs, strict=True))
    shown = []
    for X in (W, F):
        after = dense >= since
        part, t = X[after], dense[after]
        area = np.concatenate([0 * part[:1], np.cumsum(
            (part[1:] + part[:-1]) / 2 * np.diff(t)[:, None, None], axis=0)])  # fmt: skip
        span = np.where(t > t[0], t - t[0], 1.0)[:, None, None]
        X = X.copy()
        X[after] = np.where((t > t[0])[:, None, None], area / span, part)
        shown.append(X[np.searchsorted(dense, times)])
    H = np.stack([flow.embed(f).T for f in shown[1]])
    kept = start.attributes.keep(start.labels)
    from .matrices import label_of_context

    found = observe(H, shown[0], label_of_context(start.attributes, kept), Attributes(str(start.attributes)), times)
    return Trajectory(found.data.assign_attrs(source=f"forecast {level}"))
