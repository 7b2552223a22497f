"""Forecast a network from its start with its gates expanded: the motion of its weights alone.

The steps are those of the run's optimiser (momentum, AdamW, Muon, schedules, batches and weight decay included), taken
by the network whose gates are those of the start, frozen (`gated_linear`) or to first order in their motion (`gated`);
see `ufmflow.numerics.gates`.  At the start the first order has the network's own kernel exactly, whatever its
dependence on the features' direction, and from there the kernel moves with the weights.  Nothing is fitted.
`gated_doubling` expands the gates anew where the forecast itself has brought the weights, each time that the steps
since the start have doubled: 1, 2, 4, 8, ...; a thousand steps rest on ten sets of gates.

A forecast costs about what training costs.  Importing this module needs torch (the extra `train`).
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .integrate import IntegrationError, Progress
from .observe import observe
from .runs import Run
from .trajectory import Trajectory

try:
    import torch
    from torch import Tensor

    from .gates import GateExpansion
    from .plan import Plan
    from .train import reproducible
    from .training_steps import Training
except ImportError as error:
    raise InputError("level: gated forecasts need PyTorch; pip install 'ufmflow[train]', or choose another.") from error

ORDERS = {"gated_linear": 0, "gated": 1, "gated_doubling": 1}
SAME = 1e-4  # of the recorded start, beyond rounding in another version of torch


def forecast_gated(run: Run, level: str, progress: Progress | None = None) -> Trajectory:
    """Forecast a recorded run of `train` from its first recorded step.

    Parameters
    ----------
    run : Run
        Its network is built anew from its record, brought to its first step, and compared with what was recorded there.
    level : "gated", "gated_linear" or "gated_doubling"

    Returns
    -------
    Trajectory at the run's times, with `H` (T, m, d) and `W` (T, V, d)

    Raises
    ------
    InputError
        For a run whose network cannot be built anew, or has another start than the recorded one.
    IntegrationError
        When the loss stops being finite.
    """
    if run.meta.get("hold_out"):
        raise InputError(
            f"run: {run.name} held labels out of training, which no forecast covers; see `ufmflow value`."
        )
    plan = Plan.of_record(run.meta)
    with reproducible(plan.seed):
        training = at_start(run, plan)
        H, W, _ = _follow(training, run.data["step"].values, level, progress)
    # Contexts of a plan are in the formula's order.
    found = observe(H, W, plan.contexts.label, Attributes(str(run.attributes)), run.time)
    return Trajectory(found.data.assign_attrs(source=f"forecast {level}"))


def forecast_plan(plan: Plan, steps: np.ndarray, level: str, progress: Progress | None = None) -> Trajectory:
    """Forecast a training plan before anything is trained, at increasing steps from its start on.

    Examples
    --------
    >>> plan = Plan("objects", width=8, features=4, steps=20)
    >>> forecast_plan(plan, np.array([0, 20]), "gated").time.round(6).tolist()
    [0.0, 0.1]
    """
    with reproducible(plan.seed):
        H, W, times = _follow(Training(plan), steps, level, progress)
    found = observe(H, W, plan.contexts.label, Attributes(plan.formula), times)
    return Trajectory(found.data.assign_attrs(source=f"forecast {level}"))


def _follow(
    training: Training, steps: np.ndarray, level: str, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """H (T, m, d), W (T, V, d) and flow times (T,) of the expanded network at its steps."""
    training.expand_gates(ORDERS[level])
    H, W, times = [], [], []
    for done, step in enumerate(steps):
        while training.step < step:
            if level == "gated_doubling" and doubled(training.step - int(steps[0])):
                training.expand_gates(ORDERS[level])
            advance(training, level)
        H.append(_embeddings(training))
        W.append(training.shown.head.weight.detach().numpy().copy())
        times.append(training.time)
        if progress is not None:
            progress(done, len(steps) - 1)
    return np.stack(H), np.stack(W), np.array(times)


def doubled(steps: int) -> bool:
    """Whether a number of steps is a power of two.

    Examples
    --------
    >>> [n for n in range(20) if doubled(n)]
    [1, 2, 4, 8, 16]
    """
    return steps > 0 and steps & (steps - 1) == 0


def gates_move(run: Run) -> bool:
    """Whether the two orders differ: not for a network of ReLUs alone."""
    plan = Plan.of_record(run.meta)
    with reproducible(plan.seed):
        return Training(plan).expand_gates(1).moves


def forecast_network(
    network: Any,
    inputs: Tensor,
    label: Any,
    attributes: Attributes,
    steps: Iterable[int],
    optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer],
    level: str = "gated_doubling",
    progress: Progress | None = None,
) -> Trajectory:
    """Forecast full-batch training of any network with `features_before_norm`, `embeddings` and a linear `head`.

    Parameters
    ----------
    network : module; it is copied, and stays as it is
    inputs : Tensor with m rows, in the order of the attributes' table (the formula's if it has none)
    label : int array (m,)
    steps : increasing whole numbers >= 0
        At which the forecast is read off.
    optimizer : callable, parameters -> torch optimiser
        For example `lambda p: torch.optim.AdamW(p, lr=1e-3)`; its learning rate at the start gives the time axis.
    level : "gated", "gated_linear" or "gated_doubling"

    Returns
    -------
    Trajectory at times learning rate x step

    Raises
    ------
    InputError
        For a network without what is needed, other levels, and steps that do not increase.
    IntegrationError
        When the loss stops being finite.

    Examples
    --------
    >>> from ufmflow.numerics.networks import MLPBody, Network
    >>> from ufmflow.numerics.settings import code
    >>> attributes = Attributes("color[2] * shape[3]")
    >>> contexts = code(attributes)
    >>> network = Network(MLPBody(contexts.vocabulary, layers=2, width=8, features=4), 4, 6)
    >>> found = forecast_network(network, torch.from_numpy(contexts.tokens), contexts.label, attributes, [0, 10],
    ...                          lambda p: torch.optim.SGD(p, lr=0.01))
    >>> found.time.tolist()
    [0.0, 0.1]
    """
    missing = [name for name in ("features_before_norm", "embeddings", "head") if not hasattr(network, name)]
    if missing:
        raise InputError(f"network: it has no {missing[0]!r}; give features_before_norm, embeddings and a linear head.")
    if level not in ORDERS:
        raise InputError(f"level: {level!r} is unknown; choose one of {', '.join(ORDERS)}.")
    wanted = [int(step) for step in steps]
    if not wanted or wanted[0] < 0 or any(b <= a for a, b in zip(wanted[:-1], wanted[1:], strict=True)):
        raise InputError(f"steps: {wanted}; give increasing whole numbers of at least 0.")
    moving = copy.deepcopy(network)
    target = torch.as_tensor(np.asarray(label), dtype=torch.int64)
    stepper = optimizer(moving.parameters())
    expansion = GateExpansion(moving.embeddings, inputs, ORDERS[level])
    H, W, step = [], [], 0
    for done, until in enumerate(wanted):
        while step < until:
            if level == "gated_doubling" and doubled(step):
                expansion = GateExpansion(moving.embeddings, inputs, ORDERS[level])
            with expansion:
                logits = moving(inputs)
            loss = torch.nn.functional.cross_entropy(logits, target)
            if not torch.isfinite(loss):
                raise IntegrationError(f"the forecast {level} diverged before step {step}: lower the learning rate")
            stepper.zero_grad()
            loss.backward()
            stepper.step()
            step += 1
        with torch.no_grad(), expansion:
            H.append(moving.embeddings(inputs).double().numpy())
        W.append(moving.head.weight.detach().double().numpy().copy())
        if progress is not None:
            progress(done, len(wanted) - 1)
    times = stepper.param_groups[0]["lr"] * np.array(wanted, dtype=float)
    found = observe(np.stack(H), np.stack(W), np.asarray(label), attributes, times)
    return Trajectory(found.data.assign_attrs(source=f"forecast {level}"))


def at_start(run: Run, plan: Plan) -> Training:
    """The run's network and optimiser at its first recorded step."""
    training = Training(plan)
    while training.step < int(run.data["step"].values[0]):
        training.advance()
    for name, found in (("H", _embeddings(training)), ("W", training.shown.head.weight.detach().numpy())):
        recorded = run.data[name].values[0]
        if found.shape != recorded.shape or np.abs(found - recorded).max() > SAME * np.abs(recorded).max():
            raise InputError(
                f"{name}: the run {run.name} starts from another network than its record builds (seed {plan.seed}); "
                "forecast it from its kernel, or give the network itself to forecast_network."
            )
    return training


def advance(training: Training, level: str) -> None:
    """One step of a forecast, which may diverge where the run did not."""
    try:
        training.advance()
    except InputError as error:
        raise IntegrationError(f"the forecast {level} diverged before step {training.step}") from error


def _embeddings(training: Training) -> np.ndarray:
    with torch.no_grad():
        return training.shown.embed(training.features()).numpy()
