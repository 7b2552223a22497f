"""Training a small network on a setting, recorded so that a forecast from its initial state can be held against it.

Full-batch steps on the mean cross-entropy over the m contexts,

    theta <- theta - lr * gradient,        flow time t = lr * step       (for `sgd`),

from a start that the seed fixes.  At log-spaced steps the run keeps the context embeddings H (after the final norm),
the head W, the loss and the lengths |f_j| of the features before the norm; from the start alone, the kernel of those
features.  Importing this module needs torch (the extra `train`).
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .runs import save_run
from .settings import SETTINGS, Contexts, code

try:
    import torch

    from .kernel import empirical_kernel
    from .networks import HEAD_STD, HEADS, MLPBody, Network, TransformerBody
except ImportError as error:
    raise InputError("train: training needs PyTorch, which is not installed; pip install 'ufmflow[train]'.") from error


class Arch(NamedTuple):
    """Defaults of an architecture, the number of layers it allows, and its description in the record."""

    layers: int
    most_layers: int
    lr: float
    steps: int
    description: str


ARCHS = MappingProxyType(
    {
        "mlp": Arch(3, 16, 0.005, 40_000, "MLP, {layers} linear layers, ReLU, width {width}"),
        "transformer": Arch(2, 4, 0.002, 20_000, "transformer, {layers} layers, decoder-only, GELU, width {width}"),
    }
)
OPTIMIZERS = ("sgd", "momentum", "adamw", "muon")
MOMENTUM = 0.9


def train(
    setting: str,
    out: str | os.PathLike,
    *,
    formula: str | None = None,
    labels: str | None = None,
    arch: str = "mlp",
    layers: int | None = None,
    width: int = 256,
    features: int = 64,
    lr: float | None = None,
    steps: int | None = None,
    optimizer: str = "sgd",
    weight_decay: float = 0.0,
    seed: int = 0,
    snapshots: int = 40,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Train a small network on a setting and record the run.

    Parameters
    ----------
    setting : "objects", "taxonomy" or "frames"
        See `settings.SETTINGS`; it fixes which factors are shown as tokens, the formula and the labels.
    out : path
        `runs/objects` or `runs/objects.npz`; `.attributes.csv` and `.json` are written beside it.
    formula, labels : str, optional
        In place of the setting's.  With a formula but no labels, the label keeps all of the formula.
    arch : "mlp" or "transformer"
    layers : int, optional
        Linear layers of the MLP's body (1 to 16, default 3) or blocks of the transformer (1 to 4, default 2).
    width : int
        Units of a hidden layer (in the transformer: of each block's perceptron).
    features : int
        Width d of the features; a multiple of 4 for the transformer.
    lr : float, optional
        Learning rate; 0.005 for the MLP, 0.002 for the transformer.
    steps : int, optional
        40000 for the MLP, 20000 for the transformer.
    optimizer : "sgd", "momentum" (0.9), "adamw" or "muon"
    weight_decay : float
        As torch.optim takes it, on all parameters.
    seed : int
        Fixes the start; equal seeds give equal runs, bit for bit, on one machine.
    snapshots : int
        Recorded steps are 0 and the different ones among this many, log-spaced from 1 to the last.
    progress : callable (step, steps), optional
        Called about a hundred times on the way, and at the end.

    Returns
    -------
    Path of the `.npz`, which holds `step (T,)`, `H (T, m, d)`, `W (T, V, d)`, `loss (T,)`, `label (m,)`,
    `feature_norm (T, m)`, `kernel_init (m, m)`.

    Raises
    ------
    InputError
        For an argument outside what is listed above, or when the loss stops being finite; nothing is written then.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = train("objects", folder + "/run", width=8, features=4, steps=20, snapshots=3)
    ...     arrays = dict(np.load(path))
    >>> arrays["step"].tolist(), arrays["H"].shape
    ([0, 1, 4, 20], (4, 24, 4))
    """
    task = SETTINGS[_one_of("setting", setting, SETTINGS)]
    kind = ARCHS[_one_of("arch", arch, ARCHS)]
    _one_of("optimizer", optimizer, OPTIMIZERS)
    layers = _whole("layers", kind.layers if layers is None else layers, 1, kind.most_layers)
    width = _whole("width", width, 1, 2**14)
    features = _whole("features", features, 2, 2**14)
    if arch == "transformer" and features % HEADS:
        raise InputError(f"features: {features} does not split into {HEADS} heads; use a multiple of {HEADS}.")
    lr = _number("lr", kind.lr if lr is None else lr)
    steps = _whole("steps", kind.steps if steps is None else steps, 1, 10**9)
    weight_decay = _number("weight_decay", weight_decay, zero=True)
    seed = _whole("seed", seed, 0, 2**63 - 1)
    snapshots = _whole("snapshots", snapshots, 2, 10_000)
    if optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        raise InputError("optimizer: 'muon' needs torch >= 2.9; use sgd, momentum or adamw, or a newer torch.")
    if formula is None:
        formula, labels = task.formula, task.labels if labels is None else labels
    contexts = code(Attributes(formula), labels, task.shown)
    _make_folder(out)

    with _reproducible(seed):
        # The body first: with seed 0 this is the start of the reference runs, bit for bit.
        sizes = {"vocabulary": contexts.vocabulary, "layers": layers, "width": width, "features": features}
        body = MLPBody(**sizes) if arch == "mlp" else TransformerBody(positions=contexts.tokens.shape[1], **sizes)
        network = Network(body, features, contexts.n_labels)
        arrays = _record(network, contexts, _optimizers(network, optimizer, lr, weight_decay),
                         recorded_steps(steps, snapshots), progress)
    meta = {
        "formula": formula,
        "labels": labels,
        "arch": kind.description.format(layers=layers, width=width),
        "optimizer": optimizer,
        "lr": lr,
        "weight_decay": weight_decay,
        "steps": steps,
        "d": features,
        "seed": seed,
        "head_std": HEAD_STD,
        "final_norm": "LayerNorm without affine part",
        "loss": "cross-entropy, mean over contexts",
        "final_loss": float(arrays["loss"][-1]),
        "body_depth": layers if arch == "mlp" else None,
        "setting": setting,
        "torch": torch.__version__,
    }
    return save_run(out, arrays, contexts.table, meta)


def recorded_steps(steps: int, snapshots: int) -> np.ndarray:
    """0 and the rounded terms of a geometric progression from 1 to `steps`, each once: int64 (at most snapshots + 1,).

    Examples
    --------
    >>> recorded_steps(100, 5).tolist()
    [0, 1, 3, 10, 32, 100]
    """
    return np.unique(np.append(0, np.round(np.geomspace(1, steps, snapshots)))).astype(np.int64)


def _record(
    network: Network, contexts: Contexts, optimizers: list, recorded: np.ndarray,
    progress: Callable[[int, int], None] | None,
) -> dict[str, np.ndarray]:
    """Train to the last of the `recorded` steps; the arrays of the run."""
    tokens, label = torch.from_numpy(contexts.tokens), torch.from_numpy(contexts.label)
    last, kept = int(recorded[-1]), {int(step) for step in recorded}
    kernel = empirical_kernel(network.features_before_norm, network.body.parameters(), tokens)
    H, W, norm = [], [], []
    for step in range(last + 1):
        if step in kept:
            with torch.no_grad():
                H.append(network.embeddings(tokens).numpy())
                W.append(network.head.weight.numpy().copy())
                norm.append(network.features_before_norm(tokens).norm(dim=1).numpy())
        loss = torch.nn.functional.cross_entropy(network(tokens), label)
        if not math.isfinite(loss.item()):
            raise InputError(
                f"lr: {optimizers[0].param_groups[0]['lr']:g} is too large; the loss stopped being finite after "
                f"{step} steps; use a smaller one."
            )
        if progress and (step % max(1, last // 100) == 0 or step == last):
            progress(step, last)
        if step < last:
            network.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
    arrays = {"step": recorded, "H": np.stack(H), "W": np.stack(W)}
    # In double precision: near collapse the loss is the difference of nearly equal numbers.
    losses = [_cross_entropy(w, h, contexts.label) for w, h in zip(W, H, strict=True)]
    return arrays | {"loss": np.array(losses), "label": contexts.label, "feature_norm": np.stack(norm),
                     "kernel_init": kernel}


def _cross_entropy(W: np.ndarray, H: np.ndarray, label: np.ndarray) -> float:
    logits = torch.from_numpy(H).double() @ torch.from_numpy(W).double().T
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(label)).item()


def _optimizers(network: Network, name: str, lr: float, weight_decay: float) -> list:
    every = list(network.parameters())
    if name == "adamw":
        return [torch.optim.AdamW(every, lr=lr, weight_decay=weight_decay)]
    if name == "muon":
        # Only matrices, the head among them, have an orthogonal factor; biases and gains take AdamW's steps.
        return [
            torch.optim.Muon([p for p in every if p.ndim == 2], lr=lr, weight_decay=weight_decay),
            torch.optim.AdamW([p for p in every if p.ndim != 2], lr=lr, weight_decay=weight_decay),
        ]
    momentum = MOMENTUM if name == "momentum" else 0.0
    return [torch.optim.SGD(every, lr=lr, momentum=momentum, weight_decay=weight_decay)]


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
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


def _make_folder(out: str | os.PathLike) -> None:
    """Made before training, so that no run is trained that cannot be written."""
    path = Path(out)
    if not path.name or path.suffix in (".zarr", ".safetensors", ".json", ".csv"):
        raise InputError(f"out: {os.fspath(out)!r}; give a name such as runs/objects or runs/objects.npz.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out: cannot make the folder {str(path.parent)!r}: {error.strerror}.") from None
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"out: the folder {str(path.parent)!r} is not writable; give another.")


def _one_of(argument: str, value: Any, allowed: Any) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{argument}: {value!r} is unknown; use {', '.join(allowed)}.")
    return value


def _whole(argument: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        raise InputError(f"{argument}: {value!r}; give a whole number from {least} to {most}.")
    return int(value)


def _number(argument: str, value: Any, zero: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not (
        math.isfinite(value) and (value > 0 or zero and value == 0)
    ):
        raise InputError(f"{argument}: {value!r}; give a finite number {'>=' if zero else '>'} 0.")
    return float(value)
