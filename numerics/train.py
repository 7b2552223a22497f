"""Training a small network on a setting, recorded so that a forecast from its initial state can be held against it.

Steps on the mean cross-entropy over the m contexts or a batch of them,

    theta <- theta - lr * gradient,        flow time t = sum of lr over the steps taken       (for `sgd`),

from a start that the seed fixes.  At log-spaced steps the run keeps the context embeddings H (after the final norm),
the head W, the loss over all contexts and the lengths |f_j| of the features before the norm; from the start, and where
asked for from later steps, the kernel of those features.  Importing this module needs torch (the extra `train`).
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..theory.errors import InputError
from .interruption import held_interrupt
from .options import whole
from .runs import save_run

try:
    import torch

    from .plan import Plan
    from .recording import KERNEL_MEMORY, Recording, first_difference, kernel_of, load_partial, save_partial
    from .training_steps import Training
except ImportError as error:
    raise InputError("train: training needs PyTorch, which is not installed; pip install 'ufmflow[train]'.") from error

Progress = Callable[[int, int], None]
SAVE_EVERY = 30.0  # seconds between saved states of a run: what a run that is killed can lose
TIMED_STEPS, TIMED_CONTEXTS = 20, 4  # what an estimate of the time is taken from


def train(setting: str, out: str | os.PathLike, *, progress: Progress | None = None, **options: Any) -> Path:
    """Train a small network on a setting and record the run.

    A run that is interrupted leaves NAME.partial, written then and every half minute, and goes on from it, to the same arrays
    bit for bit, when it is started again with the same settings.

    Parameters
    ----------
    setting : "objects", "taxonomy", "frames" or "collocations"
        See `settings.SETTINGS`.
    out : path
        `runs/objects` or `runs/objects.npz`; `.attributes.csv` and `.json` are written beside it.
    progress : callable (step, steps), optional
        Called about a hundred times on the way, and at the end.
    **options
        What to train and how, as `plan.Plan` takes it: `formula`, `labels`, `arch`, `layers`, `width`, `features`,
        `norm`, `final_affine`, `optimizer`, `lr`, `momentum`, `nesterov`, `betas`, `schedule`, `warmup`, `final_lr`,
        `drop_every`, `drop_factor`, `weight_decay`, `weight_decay_head`, `weight_decay_body`, `batch`, `steps`,
        `seed`, `snapshots`, `kernels`, `final_norm`, `embedding_scale`, `head_scale`, `head_rate`, `body_rate`, `smoothing`,
        `smoothing_weights`, `average_from`, `ridge_features`, `hold_out`.

    Returns
    -------
    Path of the `.npz`, which holds `step (T,)`, `time (T,)`, `H (T, m, d)`, `W (T, V, d)`, `loss (T,)`, `label (m,)`,
    `feature_norm (T, m)`, `kernel_init (m, m)`; with `kernels` also `kernel (Tk, m, m)` and `kernel_step (Tk,)`; with
    `final_affine` also `final_gain (T, d)` and for LayerNorm `final_bias (T, d)`.

    Raises
    ------
    InputError
        For an option outside what `Plan` lists, for a NAME.partial of other settings, or when the loss stops being
        finite; nothing is written then.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = train("objects", folder + "/run", width=8, features=4, steps=20, snapshots=3)
    ...     arrays = dict(np.load(path))
    >>> arrays["step"].tolist(), arrays["H"].shape
    ([0, 1, 4, 20], (4, 24, 4))
    """
    return _train(Plan(setting, **options), _stem(out), progress)


def train_seeds(
    setting: str, out: str | os.PathLike, seeds: Iterable[int], *, progress: Progress | None = None, **options: Any
) -> list[Path]:
    """Train one run for each seed, NAME-seed0, NAME-seed1, ...; runs that are there already are kept.

    Parameters
    ----------
    setting, out, progress, **options : as for `train`, `seed` left out
    seeds : whole numbers, all different

    Returns
    -------
    Paths of the `.npz`, in the order of the seeds

    Raises
    ------
    InputError
        As for `train`, and when a run of other settings is there under the name of one to be trained.  Runs are
        checked against the settings before any is trained.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = train_seeds("objects", folder + "/run", [0, 3], width=8, features=4, steps=20, snapshots=3)
    >>> [path.name for path in paths]
    ['run-seed0.npz', 'run-seed3.npz']
    """
    numbers = [whole("seeds", seed, 0, 2**63 - 1) for seed in seeds]
    if not numbers or len(set(numbers)) < len(numbers):
        raise InputError(f"seeds: {numbers}; give at least one, each once.")
    stem = _stem(out)
    runs = [(Plan(setting, seed=seed, **options), stem.with_name(f"{stem.name}-seed{seed}")) for seed in numbers]
    finished = [_finished(plan, path) for plan, path in runs]
    paths = []
    for done, ((plan, path), is_finished) in enumerate(zip(runs, finished, strict=True)):

        def report(step: int, steps: int, done: int = done) -> None:
            if progress:
                progress(done * steps + step, len(runs) * steps)

        paths.append(_beside(path, ".npz") if is_finished else _train(plan, path, report))
        report(plan.steps, plan.steps)
    return paths


def train_plan(plan: Plan, out: str | os.PathLike, *, progress: Progress | None = None) -> Path:
    """Train and record a plan; a run of it that is there already is kept.

    Raises
    ------
    InputError
        As for `train`, and when a run of other settings is there under that name.

    Examples
    --------
    >>> import tempfile
    >>> plan = Plan("objects", width=8, features=4, steps=20, snapshots=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train_plan(plan, folder + "/run") == train_plan(plan, folder + "/run.npz")
    True
    """
    stem = _stem(out)
    return _beside(stem, ".npz") if _finished(plan, stem) else _train(plan, stem, progress)


def estimate(setting: str, **options: Any) -> dict[str, Any]:
    """What a run would be and cost, from a few steps that are thrown away.

    Parameters
    ----------
    setting, **options : as for `train`

    Returns
    -------
    dict
        `settings` as NAME.json would tell them; `contexts`, `labels`; `parameters`, of the whole network;
        `memory_bytes`, roughly what training takes beyond PyTorch itself; `seconds_kernels` and `seconds`, roughly
        what measuring the kernels and the whole run take on this machine.

    Examples
    --------
    >>> estimate("objects", width=8, features=4)["parameters"]
    292
    """
    plan = Plan(setting, **options)
    with reproducible(plan.seed):
        training = Training(plan)
        size = sum(p.numel() for p in training.network.parameters())
        recording = Recording(plan)
        m = len(plan.contexts.label)
        few = min(TIMED_CONTEXTS, m)
        kernel_of(training, 1)  # the first of its kind is slower than the rest, here and below
        begun = time.perf_counter()
        kernel_of(training, few)
        seconds_kernel = (time.perf_counter() - begun) * m / few
        training.advance()
        begun = time.perf_counter()
        for _ in range(TIMED_STEPS):
            training.advance()
        seconds_step = (time.perf_counter() - begun) / TIMED_STEPS
    kernels = len(set(recording.kernel_steps.tolist()) | {0})
    # Weights, gradients, the optimiser's own.
    slots = {"sgd": 2, "momentum": 3, "adamw": 4, "sign": 3, "muon": 3}[plan.optimizer]
    snapshot = 4 * plan.features * (m + plan.contexts.n_labels)
    gradients = min(KERNEL_MEMORY, 8 * (m + 3) * size * plan.features)
    return {
        "settings": plan.describe(),
        "contexts": m,
        "labels": plan.contexts.n_labels,
        "parameters": size,
        "memory_bytes": 4 * slots * size + gradients + 2 * snapshot * len(recording.steps) + 16 * kernels * m * m,
        "seconds_kernels": kernels * seconds_kernel,
        "seconds": kernels * seconds_kernel + plan.steps * seconds_step,
    }


def _train(plan: Plan, stem: Path, progress: Progress | None) -> Path:
    _make_folder(stem)
    partial = _beside(stem, ".partial")
    with reproducible(plan.seed):
        training, recording = Training(plan), Recording(plan)
        if partial.exists():
            load_partial(partial, training, recording)
        try:
            _run(training, recording, partial, progress)
        except InputError:
            partial.unlink(missing_ok=True)  # it would only diverge again
            raise
        arrays = recording.arrays()
    meta = plan.describe() | {"final_loss": float(arrays["loss"][-1]), "torch": torch.__version__}
    path = save_run(_beside(stem, ".npz"), arrays, plan.contexts.table, meta)
    partial.unlink(missing_ok=True)
    return path


def _run(training: Training, recording: Recording, partial: Path, progress: Progress | None) -> None:
    """Step to the end; a saved state is one before its step is recorded, so that going on records it."""
    last, saved = training.plan.steps, time.monotonic()
    with held_interrupt() as interrupted:  # between two steps, where a state is whole
        while True:
            stop = interrupted()
            if stop or time.monotonic() - saved > SAVE_EVERY:
                save_partial(partial, training, recording)
                saved = time.monotonic()
            if stop:
                raise KeyboardInterrupt
            recording.take(training)
            if progress and (training.step % max(1, last // 100) == 0 or training.step == last):
                progress(training.step, last)
            if training.step == last:
                return
            training.advance()


def _finished(plan: Plan, stem: Path) -> bool:
    """Whether the run is there; a run of other settings is an error."""
    if not _beside(stem, ".npz").exists():
        return False
    record = _beside(stem, ".json")
    try:
        there = json.loads(record.read_text(encoding="utf-8"))
        difference = first_difference(there, json.loads(json.dumps(plan.describe())))
    except (OSError, ValueError, AttributeError, TypeError):
        difference = f"{record.name} cannot be read"
    if difference:
        raise InputError(f"out: {stem.name}.npz is a run of other settings: {difference}; give another name.")
    return True


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """The seed, deterministic algorithms and one thread, in place of the caller's settings while it lasts.

    One thread, because sums then do not depend on the number of cores, and networks this small gain nothing from more.
    """
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)


def _stem(out: str | os.PathLike) -> Path:
    path = Path(out)
    if not path.name or path.suffix in (".zarr", ".safetensors", ".json", ".csv", ".partial"):
        raise InputError(f"out: {os.fspath(out)!r}; give a name such as runs/objects or runs/objects.npz.")
    return path.with_suffix("") if path.suffix == ".npz" else path


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)


def _make_folder(stem: Path) -> None:
    """Made before training, so that no run is trained that cannot be written."""
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out: cannot make the folder {str(stem.parent)!r}: {error.strerror}.") from None
    if not os.access(stem.parent, os.W_OK):
        raise InputError(f"out: the folder {str(stem.parent)!r} is not writable; give another.")
