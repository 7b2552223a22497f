"""Recording a run of a user's own PyTorch loop.  Importing this module needs torch (the extra `train`).

    recorder(0)                          # before the first update
    for step in range(1, steps + 1):
        update()
        recorder(step)                   # after it

At log-spaced steps H, W, the loss and what lies before the final norm are read off the network; each recorded step is
written whole to NAME.recording/, from which an interrupted recording goes on, and `finish` makes the run of them.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ..theory.errors import InputError
from .contexts import Contexts
from .options import flag, number, whole
from .recording_folder import SERIES, RecordingFolder
from .runs import save_run

try:
    import torch

    from .hooks import huggingface_callback, lightning_callback
    from .probe import Probe
    from .recording import recorded_steps
except ImportError as error:
    raise InputError("StrataRecorder: it needs PyTorch; pip install 'ufmflow[train]'.") from error

MOST_STEPS = 2**53  # beyond, steps times a learning rate are no longer told apart


class StrataRecorder:
    """A callback that records a run of any PyTorch loop, to be read with `load_run`.

    Parameters
    ----------
    path : NAME or NAME.npz
    features : callable, or pair (module, layer)
        Inputs (m, ...) -> H (m, d), what the head reads; or a network and the layer whose output it is, by name or
        itself.  A module is put in eval mode while it is read; a callable of another kind must do that itself.
    head : Tensor (V, d), nn.Linear without bias, or callable that returns the Tensor
    inputs : Tensor (m, ...), one row per context
    attributes : Attributes, CSV path, DataFrame or mapping; rows in the order of the inputs, complete and balanced
    label : array (m,) of rows of the head; None: the table's column `label`, or else row i has label i
    steps : int, or the steps to record
        Number of updates, of which about `snapshots` log-spaced ones are recorded.
    snapshots : int
    lr : float, optional
        Learning rate; read from a torch optimiser at every call if None.
    optimizer : str or torch.optim.Optimizer
        Its name, or itself.
    labels, formula : str, optional
        The part of the attributes that the label keeps, to be checked; how the attributes cross and nest.
    kernel : bool
        Whether to measure the kernel at step 0, which a forecast starts from.
    parameters : iterable of Tensor, optional
        The body's, for the kernel; needed when `features` is a callable that is no module.
    before_norm : callable, optional
        Inputs -> f (m, d), what enters the final norm, centred where it centres; known when the layer is a norm.
    meta : mapping, optional
        More for NAME.json, such as seed, arch, body_depth, batch.

    Raises
    ------
    InputError
        For inputs, attributes, labels and outputs that do not fit each other, a recording of other settings under
        the same name, and a run that is there already.

    Examples
    --------
    >>> import tempfile
    >>> from ufmflow.numerics.runs import load_run
    >>> body, head = torch.nn.Linear(4, 3, bias=False), torch.nn.Linear(3, 4, bias=False)
    >>> norm = torch.nn.LayerNorm(3, elementwise_affine=False)
    >>> network = torch.nn.Sequential(body, norm, head)
    >>> sgd = torch.optim.SGD(network.parameters(), lr=0.1)
    >>> table = {"color": ["red", "red", "blue", "blue"], "shape": ["disc", "cube", "disc", "cube"]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with StrataRecorder(folder + "/mine", features=(network, norm), head=head, inputs=torch.eye(4),
    ...                         attributes=table, steps=20, snapshots=3, optimizer=sgd) as recorder:
    ...         recorder(0)
    ...         for step in range(1, 21):
    ...             loss = torch.nn.functional.cross_entropy(network(torch.eye(4)), torch.arange(4))
    ...             sgd.zero_grad(); loss.backward(); sgd.step()
    ...             recorder(step)
    ...     run = load_run(folder + "/mine")
    >>> run.data["step"].values.tolist(), run.attributes
    ([0, 1, 4, 20], Attributes('color[2] * shape[2]'))
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        features: Any,
        head: Any,
        inputs: Any,
        attributes: Any,
        steps: int | Iterable[int],
        label: Any = None,
        labels: str | None = None,
        formula: str | None = None,
        snapshots: int = 40,
        lr: float | None = None,
        optimizer: Any = "sgd",
        kernel: bool = True,
        parameters: Iterable[torch.Tensor] | None = None,
        before_norm: Callable[[torch.Tensor], torch.Tensor] | None = None,
        meta: Mapping[str, Any] | None = None,
    ):
        self.stem = _stem(path)
        self.contexts = Contexts.of(attributes, label, inputs, labels, formula)
        self.probe = Probe(features, head, torch.as_tensor(inputs), before_norm, parameters)
        self.steps = _schedule(steps, snapshots)
        self.lr = None if lr is None else number("lr", lr)
        self.optimizer = optimizer
        self.measures_kernel = flag("kernel", kernel)
        self.meta = dict(meta or {})
        try:
            json.dumps(self.meta)
        except (TypeError, ValueError) as error:
            raise InputError(f"meta: it is no JSON ({error}); give texts, numbers and lists of them.") from None
        self._wanted = frozenset(self.steps.tolist())
        self._step: int | None = None
        self._time, self._rate = 0.0, float("nan")
        self._begun: float | None = None
        self._recording, self._kernel, self._finished = 0.0, 0.0, False
        self._check_shapes()
        settings = {"formula": str(self.contexts.attributes), "table": self.contexts.table}
        self.folder = RecordingFolder(self.stem, self._wanted, settings | {"kernel": self.measures_kernel})

    def __call__(self, step: int, loss: Any = None) -> None:
        """Say that so many updates have been made; records where that is one of the steps to record.

        Parameters
        ----------
        step : int
            Calls come in the order of the steps; a step may be told twice.  The first call is at 0, or, in a recording
            that goes on, at the step where training goes on.
        loss : float, optional
            Of this state, over all contexts; the mean cross-entropy of W H if None.

        Raises
        ------
        InputError
            For a step before the last, steps left out, and numbers that are not finite (what was recorded stays).
        """
        # Called at every step: what follows must cost next to nothing where nothing is recorded.
        if step == self._step:
            return
        if not isinstance(step, (int, np.integer)) or step < 0:
            raise InputError(f"step: {step!r}; give the number of updates made so far.")
        rate = self._learning_rate()
        if self._step is None:
            self._begin(step, rate)
        elif step > self._step:
            self._time += self._rate * (step - self._step)
        if self._step is not None and step < self._step or self._finished:
            state = "finished" if self._finished else f"at step {self._step}"
            raise InputError(f"step: {step}, but the recording is {state}; call it with increasing steps.")
        self._step, self._rate = step, rate
        if step in self._wanted:
            begun = time.perf_counter()
            self._record(step, loss)
            self._recording += time.perf_counter() - begun

    @property
    def overhead(self) -> float:
        """Seconds spent recording over seconds of the loop alone, since the first call; the kernel is not counted."""
        elapsed = time.perf_counter() - (self._begun or time.perf_counter())
        return (self._recording - self._kernel) / max(elapsed - self._recording, 1e-9)

    def finish(self) -> Path:
        """Write NAME.npz, NAME.attributes.csv and NAME.json from what was recorded; the path of the first."""
        target = self.stem.with_name(self.stem.name + ".npz")
        if self._finished:
            return target
        there = self.folder.recorded()
        if not there:
            raise InputError(f"steps: nothing is recorded of {self.stem.name}; call the recorder before finish.")
        parts = [self.folder.read(step) for step in there]
        arrays = {name: np.stack([part[name] for part in parts]) for name in SERIES if name in parts[0]}
        if self.lr is not None:
            del arrays["time"]  # lr x step is exact, the sum is rounded
        arrays |= {"step": np.array(there), "label": self.contexts.label}
        arrays |= {name: parts[0][name] for name in ("kernel_init",) if name in parts[0]}
        save_run(target, arrays, self.contexts.table, self._describe(parts))
        self._finished = True
        self.folder.remove()
        return target

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.finish()

    def lightning(self) -> Any:
        """This recorder as a Lightning callback: `Trainer(callbacks=[recorder.lightning()])`."""
        return lightning_callback(self)

    def huggingface(self) -> Any:
        """This recorder as a callback of the Hugging Face Trainer: `Trainer(callbacks=[recorder.huggingface()])`."""
        return huggingface_callback(self)

    def follow(self, optimizer: Any) -> None:
        """Read the learning rate from a torch optimiser, unless one was given."""
        if self.lr is None and isinstance(self.optimizer, str) and optimizer is not None:
            self.optimizer = optimizer

    def _begin(self, step: int, rate: float) -> None:
        """Where training goes on at a step, what was recorded before it is kept and the rest recorded again."""
        there = self.folder.recorded()
        absent = [s for s in self.steps.tolist() if s < step and s not in there]
        if absent:
            raise InputError(
                f"step: the first call is at {step}, but step {absent[0]} is not recorded; call the recorder with 0 "
                "before the first update, or go on from an earlier checkpoint."
            )
        self.folder.forget(s for s in there if s >= step)
        if step:
            last = max(s for s in there if s < step)
            before = self.folder.read(last)
            # Between the two the rate is not known unless it is constant; the mean of both ends is second-order right.
            self._time = float(before["time"]) + (step - last) * (float(before["rate"]) + rate) / 2
        self._begun = time.perf_counter()

    def _record(self, step: int, loss: Any) -> None:
        found: dict[str, Any] = self.probe.read()
        found["loss"] = self._loss(found) if loss is None else float(loss)
        for name, value in found.items():
            if not np.all(np.isfinite(value)):
                raise InputError(
                    f"{name}: NaN or infinity at step {step}, so training has diverged; lower the learning rate (the "
                    f"{len(self.folder.recorded())} steps recorded before it stay in {self.folder.path.name})."
                )
        found |= {"time": self._time, "rate": self._rate}
        if step == 0 and self.measures_kernel:
            begun = time.perf_counter()
            found["kernel_init"] = self.probe.kernel()
            self._kernel = time.perf_counter() - begun
        self.folder.write(step, found)

    def _loss(self, found: Mapping[str, np.ndarray]) -> float:
        """Mean cross-entropy, in double precision: near collapse it is the difference of nearly equal numbers."""
        logits = torch.from_numpy(found["H"]).double() @ torch.from_numpy(found["W"]).double().T
        return torch.nn.functional.cross_entropy(logits, torch.from_numpy(self.contexts.label)).item()

    def _learning_rate(self) -> float:
        if self.lr is not None:
            return self.lr
        if isinstance(self.optimizer, str):
            raise InputError("lr: it is not known; give lr, or optimizer=the torch optimiser to read it from.")
        return float(self.optimizer.param_groups[0]["lr"])

    def _check_shapes(self) -> None:
        V, most = len(self.probe.read()["W"]), int(self.contexts.label.max())
        if most >= V:
            raise InputError(f"label: label {most} occurs, but the head has {V} rows; give one row per label.")

    def _describe(self, parts: list[dict[str, np.ndarray]]) -> dict[str, Any]:
        rates = [float(part["rate"]) for part in parts]
        given = {} if isinstance(self.optimizer, str) else _settings_of(self.optimizer)
        name = self.optimizer if isinstance(self.optimizer, str) else type(self.optimizer).__name__.lower()
        known = {"formula": str(self.contexts.attributes), "labels": self.contexts.stated, "optimizer": name}
        known |= {"lr": rates[0], "weight_decay": 0.0, "body_depth": None, "torch": torch.__version__, **given}
        known |= {"schedule": {"name": "recorded"}} if len(set(rates)) > 1 else {}
        known |= {"final_affine": True} if "final_gain" in parts[0] else {}
        return known | {"recording_overhead": round(self.overhead, 4)} | self.meta


def _schedule(steps: Any, snapshots: int) -> np.ndarray:
    if isinstance(steps, (int, np.integer)) and not isinstance(steps, bool):
        return recorded_steps(whole("steps", steps, 1, MOST_STEPS), whole("snapshots", snapshots, 2, 10_000))
    try:
        chosen = [whole("steps", step, 0, MOST_STEPS) for step in steps]
    except TypeError:
        raise InputError(f"steps: {steps!r}; give the number of updates, or a list of the steps to record.") from None
    return np.unique(np.array([0, *chosen], dtype=np.int64))


def _settings_of(optimizer: Any) -> dict[str, Any]:
    group = optimizer.param_groups[0]
    return {name: group[name] for name in ("momentum", "nesterov", "betas", "weight_decay") if name in group}


def _stem(path: str | os.PathLike) -> Path:
    found = Path(path)
    if not found.name or found.suffix in (".zarr", ".safetensors", ".json", ".csv", ".pt", ".h5", ".hdf5"):
        raise InputError(f"path: {os.fspath(path)!r}; give a name such as runs/mine or runs/mine.npz.")
    return found.with_suffix("") if found.suffix == ".npz" else found
