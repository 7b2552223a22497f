"""What a training run records on its way, and the file from which an interrupted one goes on.

At each recorded step: H, W, |f_j|, flow time, and with an affine part of the final norm its gain and bias; at the
start, and at some of the recorded steps where the plan asks for it, the empirical kernel of the features before the
norm.
"""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..theory.errors import InputError
from .kernel import empirical_kernel
from .plan import Plan
from .runs import write_whole
from .training_steps import Training

KERNEL_MEMORY = 2**28  # bytes of gradients held at once, more where one context's own need it


def recorded_steps(steps: int, snapshots: int) -> np.ndarray:
    """0 and the rounded terms of a geometric progression from 1 to `steps`, each once: int64 (at most snapshots + 1,).

    Examples
    --------
    >>> recorded_steps(100, 5).tolist()
    [0, 1, 3, 10, 32, 100]
    """
    return np.unique(np.append(0, np.round(np.geomspace(1, steps, snapshots)))).astype(np.int64)


def kernel_steps(recorded: np.ndarray, kernels: int) -> np.ndarray:
    """Which of the recorded steps have their kernel measured: `kernels` of them, evenly spread, none for 0.

    Examples
    --------
    >>> kernel_steps(recorded_steps(100, 5), 3).tolist()
    [0, 3, 100]
    """
    return recorded[np.unique(np.round(np.linspace(0, len(recorded) - 1, kernels)).astype(int))]


class Recording:
    """The recorded steps of a run so far.

    Attributes
    ----------
    steps, kernel_steps : int64 arrays
        At which the run is recorded, and at which of these its kernel is measured.
    series : dict of str to list of arrays
        What has been recorded, one entry a step.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.steps = recorded_steps(plan.steps, plan.snapshots)
        self.kernel_steps = kernel_steps(self.steps, plan.kernels)
        self._wanted, self._kernels = set(self.steps.tolist()), set(self.kernel_steps.tolist())
        self.series: dict[str, list[np.ndarray]] = {}

    def take(self, training: Training) -> None:
        """Record the step that the training is at, where it is one of those to be recorded."""
        if training.step not in self._wanted:
            return
        network, f = training.shown, training.features()
        with torch.no_grad():
            found = {"H": network.embed(f), "W": network.head.weight, "feature_norm": f.norm(dim=1)}
            for name, part in (("final_gain", network.gain), ("final_bias", network.bias)):
                found |= {} if part is None else {name: part}
        if not all(torch.isfinite(part).all() for part in found.values()):
            raise training.diverged()
        for name, part in found.items():
            self._add(name, part.detach().numpy().copy())
        self._add("time", np.float64(training.time))
        if training.step in self._kernels or training.step == 0:
            kernel = kernel_of(training)
            if training.step == 0:
                self._add("kernel_init", kernel)
            if training.step in self._kernels:
                self._add("kernel", kernel)

    def _add(self, name: str, value: Any) -> None:
        self.series.setdefault(name, []).append(np.asarray(value))

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the finished run."""
        series = {name: np.stack(values) for name, values in self.series.items()}
        label = self.plan.contexts.label
        kernel_init = series.pop("kernel_init")[0]
        # In double precision: near collapse the loss is the difference of nearly equal numbers.
        rows = self.plan.trained
        losses = np.array([
            _cross_entropy(w, h[rows], label[rows]) for w, h in zip(series["W"], series["H"], strict=True)
        ])  # fmt: skip
        arrays = {"step": self.steps, **series, "loss": losses, "label": label, "kernel_init": kernel_init}
        return arrays | ({"kernel_step": self.kernel_steps} if "kernel" in arrays else {})


def kernel_of(training: Training, contexts: int | None = None) -> np.ndarray:
    """The empirical kernel of the body's features before the norm, at the first so many contexts."""
    body = training.network.body
    memory = max(KERNEL_MEMORY, 32 * sum(p.numel() for p in body.parameters()))
    return empirical_kernel(
        training.network.features_before_norm, body.parameters(), training.tokens[:contexts], memory
    )


def _cross_entropy(W: np.ndarray, H: np.ndarray, label: np.ndarray) -> float:
    logits = torch.from_numpy(H).double() @ torch.from_numpy(W).double().T
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(label)).item()


def save_partial(path: Path, training: Training, recording: Recording) -> None:
    """Write all that is needed to go on, whole or not at all."""
    packed = io.BytesIO()
    series = {name: [torch.from_numpy(v.copy()) for v in values] for name, values in recording.series.items()}
    torch.save({"plan": _plan_text(training.plan), "training": training.state(), "series": series}, packed)
    write_whole(path, packed.getvalue())


def load_partial(path: Path, training: Training, recording: Recording) -> None:
    """Go on from a file that `save_partial` wrote for the same plan with the same torch.

    Raises
    ------
    InputError
        For a file that cannot be read, or was written for another plan.
    """
    mend = f"delete {str(path)!r}, or give another name."
    try:
        found = torch.load(path, weights_only=True)
        plan, state, series = found["plan"], found["training"], found["series"]
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, TypeError, pickle.UnpicklingError) as error:
        raise InputError(f"out: an interrupted run cannot be read ({type(error).__name__}); {mend}") from None
    difference = first_difference(json.loads(plan), json.loads(_plan_text(training.plan)))
    if difference:
        raise InputError(f"out: an interrupted run of other settings is in the way: {difference}; {mend}")
    training.restore(state)
    recording.series = {name: [v.numpy() for v in values] for name, values in series.items()}


def first_difference(there: dict[str, Any], here: dict[str, Any]) -> str | None:
    """The first setting in which two descriptions of runs differ, in words; None where they agree."""
    for name, value in here.items():
        if name not in there or there[name] != value:
            return f"{name} is {there.get(name)!r} there and {value!r} here"
    return None


def _plan_text(plan: Plan) -> str:
    """Another version of torch may round otherwise, so it cannot go on bit for bit."""
    return json.dumps(plan.describe() | {"torch": torch.__version__})
