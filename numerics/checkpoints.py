"""A run read off a folder of checkpoints, with a feature function of the user's.

Checkpoints are files NAME.pt, .pth, .ckpt or .safetensors with the step in their name, or folders such as
checkpoint-500 that hold model.safetensors or pytorch_model.bin.  They are read as weights only: nothing is unpickled.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .contexts import Contexts
from .loaders import load_state
from .matrices import cross_entropy
from .options import number
from .runs import Run, make_run, save_run

FILES = (".pt", ".pth", ".ckpt", ".safetensors")
INSIDE = ("model.safetensors", "pytorch_model.bin")  # beside them lie an optimiser's state and the like
WRAPPERS = ("state_dict", "model_state_dict", "model")
State = Mapping[str, Any]


def load_checkpoints(
    folder: str | os.PathLike,
    *,
    features: Callable[[State, Any], Any],
    head: str | Callable[[State], Any],
    inputs: Any,
    attributes: Any,
    lr: float,
    label: Any = None,
    labels: str | None = None,
    formula: str | None = None,
    meta: Mapping[str, Any] | None = None,
    out: str | os.PathLike | None = None,
) -> Run:
    """Read the strata of every checkpoint in a folder.

    Parameters
    ----------
    folder : path
    features : callable (state, inputs) -> (m, d)
        The embeddings that the head reads, for one checkpoint's state (name -> tensor); usually loads the state into a
        network in eval mode and calls its body.
    head : str or callable
        The name of W (V, d) in the state, or a callable state -> W.
    inputs : whatever `features` takes, with m rows
    attributes, label, labels, formula : as for `StrataRecorder`
    lr : float
        Time is learning rate x step.
    meta : mapping, optional
        More for the run's JSON.
    out : path, optional
        NAME under which the run is written as well.

    Returns
    -------
    Run
        Checkpoints in the order of their steps; the loss is the mean cross-entropy of W H.

    Raises
    ------
    InputError
        For names without a step, with several numbers, or of one step; files that cannot be read without unpickling
        or lie outside the folder; and outputs that do not fit.

    Examples
    --------
    >>> import tempfile, torch
    >>> table = {"color": ["red", "red", "blue", "blue"], "shape": ["disc", "cube", "disc", "cube"]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for step in (0, 5, 10):
    ...         state = {"body": torch.eye(4) + step, "head": torch.eye(4)}
    ...         torch.save(state, f"{folder}/step{step}.pt")
    ...     run = load_checkpoints(folder, features=lambda state, x: x @ state["body"], head="head",
    ...                            inputs=torch.eye(4), attributes=table, lr=0.1)
    >>> run.data["step"].values.tolist(), run.time.tolist()
    ([0, 5, 10], [0.0, 0.5, 1.0])
    """
    contexts = Contexts.of(attributes, label, inputs, labels, formula)
    files = checkpoint_files(folder)
    pairs = [_measured(file, features, head, inputs) for file in files.values()]
    first = next(iter(files.values()))
    for file, (H, W) in zip(files.values(), pairs, strict=True):
        if H.ndim != 2 or H.shape != pairs[0][0].shape or len(H) != len(contexts.label):
            raise InputError(
                f"features: shape {H.shape} in {file.name}, {pairs[0][0].shape} in {first.name}; every checkpoint must "
                f"give ({len(contexts.label)}, d)."
            )
        if W.ndim != 2 or W.shape != pairs[0][1].shape or W.shape[1] != H.shape[1] or len(W) <= contexts.label.max():
            raise InputError(f"head: shape {W.shape} in {file.name}; it must be (V, {H.shape[1]}), a row per label.")
    arrays: dict[str, np.ndarray] = {"step": np.array(list(files))}
    arrays |= {name: np.stack(parts) for name, parts in zip(("H", "W"), zip(*pairs, strict=True), strict=True)}
    one_hot = np.eye(arrays["W"].shape[1])[:, contexts.label]
    arrays["loss"] = np.array([cross_entropy(W @ H.T, one_hot).mean() for H, W in pairs])
    arrays["label"] = contexts.label
    known = {"formula": str(contexts.attributes), "labels": contexts.stated, "lr": number("lr", lr)} | dict(meta or {})
    if out is not None:
        save_run(out, arrays, contexts.table, known)
    return make_run(arrays, contexts.attributes, known, f"{Path(folder).resolve().name}.checkpoints")


def checkpoint_files(folder: str | os.PathLike) -> dict[int, Path]:
    """The checkpoints of a folder by their steps, in order.

    Raises
    ------
    InputError
        When there are none, when a name leaves the step open, and when two have the same.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"folder: no folder {os.fspath(folder)!r}; give one that holds checkpoints.")
    found: dict[int, Path] = {}
    for entry in sorted(place.iterdir()):
        file = _weights_of(entry)
        if file is None:
            continue
        if place.resolve() not in file.resolve().parents:
            raise InputError(f"folder: {entry.name} leads outside {place.name}; copy it there.")
        step = step_of(entry.name if entry.is_dir() else entry.stem)
        if step in found:
            raise InputError(
                f"folder: {entry.name} and {_entry(found[step], place)} are both of step {step}; keep one."
            )
        found[step] = file
    if not found:
        raise InputError(f"folder: {place.name} holds no {', '.join(FILES)}, and no folder with {' or '.join(INSIDE)}.")
    return dict(sorted(found.items()))


def step_of(name: str) -> int:
    """The step that a checkpoint's name tells: the number after `step`, or the only number in it.

    Examples
    --------
    >>> step_of("epoch=3-step=400"), step_of("checkpoint-500")
    (400, 500)
    """
    named = re.findall(r"step[-_=]?(\d+)", name, flags=re.IGNORECASE)
    numbers = named or re.findall(r"\d+", name)
    if len(numbers) != 1:
        reason = f"has the numbers {', '.join(numbers)}" if numbers else "has no number"
        raise InputError(f"folder: the name {name!r} {reason}; put the step after the word step, as in step400.")
    return int(numbers[0])


def _weights_of(entry: Path) -> Path | None:
    if entry.is_dir():
        return next((entry / name for name in INSIDE if (entry / name).is_file()), None)
    return entry if entry.suffix in FILES else None


def _entry(file: Path, place: Path) -> str:
    return file.relative_to(place).parts[0]


def _measured(
    file: Path, features: Callable[[State, Any], Any], head: str | Callable[[State], Any], inputs: Any
) -> tuple[np.ndarray, np.ndarray]:
    state = _state(file)
    if isinstance(head, str) and head not in state:
        raise InputError(f"head: {file.name} has no {head!r}; it has {', '.join(map(str, state))[:200]}.")
    W = state[head] if isinstance(head, str) else head(state)
    H, W = _array(features(state, inputs)), _array(W)
    for name, part in (("features", H), ("head", W)):
        if not np.all(np.isfinite(part)):
            raise InputError(f"{name}: NaN or infinity in {file.name}; leave out checkpoints from where it diverged.")
    return H, W


def _state(file: Path) -> State:
    """A checkpoint's weights, out of what trainers wrap around them."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state = load_state(file)
    except InputError:
        raise
    except ImportError:
        raise InputError(f"folder: {file.name} needs safetensors; pip install 'ufmflow[train]'.") from None
    except Exception as error:  # torch and safetensors have their own, which derive from Exception alone
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise InputError(f"folder: {file.name} cannot be read as weights ({reason}).") from None
    wrapped = [state[name] for name in WRAPPERS if isinstance(state.get(name), dict)]
    return wrapped[0] if wrapped else state


def _array(value: Any) -> np.ndarray:
    found = value.detach().float().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    return found.astype(float)
