"""What a training run is to do, resolved and checked before anything is trained."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .networks import HEAD_STD, HEADS, NORMS
from .options import flag, number, one_of, unused, whole
from .schedule import Schedule
from .settings import SETTINGS, Contexts, code
from .smoothing import Smoothing
from .transfer import held_out_labels


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
OPTIMIZERS = ("sgd", "momentum", "adamw", "sign", "muon")
# Momentum, and whether it is Nesterov's.
MOMENTUM = MappingProxyType({"momentum": (0.9, False), "sign": (0.0, False), "muon": (0.95, True)})
BETAS = (0.9, 0.999)
# Options that a record tells by their own names.
RECORDED = ("formula", "labels", "norm", "final_affine", "optimizer", "lr", "momentum", "nesterov", "betas", "batch",
            "steps", "seed", "snapshots", "kernels", "embedding_scale", "head_scale", "head_rate", "body_rate",
            "smoothing", "smoothing_weights", "average_from", "ridge_features", "hold_out")  # fmt: skip
# Options that a record tells only where they are not these, so that records from before them stay what they are.
USUAL = MappingProxyType({"embedding_scale": 1.0, "head_scale": 1.0, "head_rate": 1.0, "body_rate": 1.0,
                          "smoothing": 0.0, "smoothing_weights": None, "average_from": None,
                          "ridge_features": 0.0, "hold_out": None})  # fmt: skip


@dataclass(frozen=True, init=False)
class Plan:
    """A training run: setting, network, optimiser, record; every field resolved and checked.

    Parameters
    ----------
    setting : "objects", "taxonomy", "frames" or "collocations"
        See `settings.SETTINGS`; it fixes which factors are shown as tokens, the formula and the labels.
    formula, labels : str, optional
        In place of the setting's.  With a formula but no labels, the label keeps all of the formula.
    arch : "mlp" or "transformer"
    layers : int, optional
        Linear layers of the MLP's body (1 to 16, default 3) or blocks of the transformer (1 to 4, default 2).
    width : int
        Units of a hidden layer (in the transformer: of each block's perceptron).
    features : int
        Width d of the features; a multiple of 4 for the transformer.
    norm : "layernorm" or "rmsnorm"
        The final norm, and the norms in the transformer's blocks.
    final_affine : bool
        Whether the final norm has a gain (and LayerNorm a bias); H is recorded with it, logits are W H.
    final_norm : bool
        False: no final norm, logits are W times the body's output.
    embedding_scale : float
        Multiplies the tokens' embeddings (the MLP's codes): how strongly contexts share parameters by their attributes.
    head_scale : float
        Multiplies the head's start: its entries start at standard deviation 0.02 head_scale.
    optimizer : "sgd", "momentum", "adamw", "sign" or "muon"
        As torch.optim has them; `sign` is `sign_descent.SignDescent`.  Muon's steps go to matrices, the head among
        them; the rest takes AdamW's.
    lr : float, optional
        Learning rate; 0.005 for the MLP, 0.002 for the transformer.
    momentum : float, optional
        In [0, 1), for `momentum` (0.9), `sign` (0) and `muon` (0.95).
    nesterov : bool, optional
        For `momentum` (False) and `muon` (True).
    betas : two floats, optional
        In [0, 1), for `adamw` (0.9, 0.999).
    schedule, warmup, final_lr, drop_every, drop_factor
        See `schedule.Schedule`; a constant learning rate by default.
    weight_decay : float
        As torch.optim takes it, on all parameters.
    weight_decay_head, weight_decay_body : float, optional
        In its place, on the head and on all other parameters.
    head_rate, body_rate : float
        Multiples of the learning rate for the head and for the rest; 0 freezes it.  Flow time is that of lr.
    smoothing : float
        In [0, 1): the part of each label that is spread over labels that share an attribute (see `smoothing`).
        Recorded losses are those of the labels themselves.
    smoothing_weights : mapping from attribute of the label to weight, optional
        Which sum to one; equal on all attributes that the label does not consist of.
    ridge_features : float
        lam_H: adds lam_H/2 times the sum over contexts of |h_j|^2 to the loss, for a network without a final norm.
    average_from : int, optional
        From this step on, what is recorded is the network whose parameters are the mean of those of all steps since.
    hold_out : int or whole numbers, optional
        Labels whose contexts no step sees, for transfer to new combinations of attributes: their numbers in the
        formula's order, or how many, which the seed then draws so that each value of each attribute loses about equally
        many.  All contexts are recorded; recorded losses are those of the contexts that are trained on.
    batch : int, optional
        Contexts in a step, drawn without replacement until each has been seen, then anew; all of them by default.
        What is left of an epoch at its end is a smaller batch.
    steps : int, optional
        40000 for the MLP, 20000 for the transformer.
    seed : int
        Fixes the start and the batches; equal seeds give equal runs, bit for bit, on one machine.
    snapshots : int
        Recorded steps are 0 and the different ones among this many, log-spaced from 1 to the last.
    kernels : int
        Empirical kernels measured on the way: 0 (at the start alone), or at this many of the recorded steps, evenly
        among them, the first and the last included.

    Raises
    ------
    InputError
        For an argument outside what is listed above, and for options that would have no effect.

    Examples
    --------
    >>> Plan("objects", optimizer="momentum", batch=8).momentum
    0.9
    """

    setting: str
    formula: str
    labels: str | None
    arch: str
    layers: int
    width: int
    features: int
    norm: str
    final_affine: bool
    optimizer: str
    lr: float
    momentum: float | None
    nesterov: bool | None
    betas: tuple[float, float] | None
    schedule: Schedule
    weight_decay_head: float
    weight_decay_body: float
    batch: int | None
    steps: int
    seed: int
    snapshots: int
    kernels: int
    final_norm: bool
    embedding_scale: float
    head_scale: float
    head_rate: float
    body_rate: float
    smoothing: Smoothing | None
    average_from: int | None
    hold_out: tuple[int, ...] | None
    ridge_features: float
    contexts: Contexts = field(compare=False, repr=False)

    def __init__(
        self,
        setting: str,
        *,
        formula: str | None = None,
        labels: str | None = None,
        arch: str = "mlp",
        layers: int | None = None,
        width: int = 256,
        features: int = 64,
        norm: str = "layernorm",
        final_affine: bool = False,
        optimizer: str = "sgd",
        lr: float | None = None,
        momentum: float | None = None,
        nesterov: bool | None = None,
        betas: Iterable[float] | None = None,
        schedule: str = "constant",
        warmup: int = 0,
        final_lr: float | None = None,
        drop_every: int | None = None,
        drop_factor: float | None = None,
        weight_decay: float = 0.0,
        weight_decay_head: float | None = None,
        weight_decay_body: float | None = None,
        batch: int | None = None,
        steps: int | None = None,
        seed: int = 0,
        snapshots: int = 40,
        kernels: int = 0,
        final_norm: bool = True,
        embedding_scale: float = 1.0,
        head_scale: float = 1.0,
        head_rate: float = 1.0,
        body_rate: float = 1.0,
        smoothing: float = 0.0,
        smoothing_weights: Mapping[str, Any] | None = None,
        average_from: int | None = None,
        hold_out: int | Iterable[int] | None = None,
        ridge_features: float = 0.0,
    ):
        task = SETTINGS[one_of("setting", setting, SETTINGS)]
        kind = ARCHS[one_of("arch", arch, ARCHS)]
        lr = number("lr", kind.lr if lr is None else lr)
        steps = whole("steps", kind.steps if steps is None else steps, 1, 10**9)
        decay = number("weight_decay", weight_decay, zero=True)
        snapshots = whole("snapshots", snapshots, 2, 10_000)
        if formula is None:
            formula, labels = task.formula, task.labels if labels is None else labels
        resolved = {
            "setting": setting,
            "formula": formula,
            "labels": labels,
            "arch": arch,
            "layers": whole("layers", kind.layers if layers is None else layers, 1, kind.most_layers),
            "width": whole("width", width, 1, 2**14),
            "features": _features(features, arch),
            "norm": one_of("norm", norm, NORMS),
            "final_affine": flag("final_affine", final_affine),
            "optimizer": _optimizer(optimizer),
            "lr": lr,
            **_momentum(optimizer, momentum, nesterov),
            "betas": _betas(optimizer, betas),
            "schedule": Schedule.of(schedule, lr, steps, warmup, final_lr, drop_every, drop_factor),
            "weight_decay_head": _other("weight_decay_head", weight_decay_head, decay),
            "weight_decay_body": _other("weight_decay_body", weight_decay_body, decay),
            "steps": steps,
            "seed": whole("seed", seed, 0, 2**63 - 1),
            "snapshots": snapshots,
            "kernels": 0 if kernels == 0 else whole("kernels", kernels, 2, snapshots),
            "embedding_scale": number("embedding_scale", embedding_scale),
            "head_scale": number("head_scale", head_scale),
            "head_rate": number("head_rate", head_rate, zero=True),
            "body_rate": number("body_rate", body_rate, zero=True),
            "smoothing": Smoothing.of(Attributes(formula).keep(labels), smoothing, smoothing_weights),
            "average_from": None if average_from is None else whole("average_from", average_from, 0, steps),
            "hold_out": None if hold_out is None else held_out_labels(Attributes(formula).keep(labels), hold_out, seed),
            "final_norm": flag("final_norm", final_norm),
            "ridge_features": number("ridge_features", ridge_features, zero=True),
            "contexts": (contexts := code(Attributes(formula), labels, task.shown)),
        }
        trained = int(np.isin(contexts.label, resolved["hold_out"] or (), invert=True).sum())
        resolved["batch"] = None if batch is None else whole("batch", batch, 1, trained)
        _check_together(resolved)
        for name, value in resolved.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of_record(cls, meta: Mapping[str, Any]) -> "Plan":
        """The plan of a recorded run, from what its NAME.json tells; what an older record leaves out is the default.

        Raises
        ------
        InputError
            For a network that `train` does not build, and for what no plan allows.

        Examples
        --------
        >>> plan = Plan("frames", arch="transformer", optimizer="adamw", batch=6)
        >>> Plan.of_record(plan.describe()) == plan
        True
        """
        arch, sizes = _network(str(meta.get("arch")))
        schedule = dict(meta.get("schedule") or {"name": "constant"})
        given: dict[str, Any] = {name: meta[name] for name in RECORDED if meta.get(name) is not None}
        decay = meta.get("weight_decay", 0.0)
        return cls(
            meta.get("setting", "objects"),
            arch=arch,
            features=meta["d"],
            schedule=schedule.pop("name"),
            weight_decay_head=meta.get("weight_decay_head", decay),
            weight_decay_body=meta.get("weight_decay_body", decay),
            final_norm=meta.get("final_norm") != "none",
            **(given | sizes),
            **schedule,
        )

    @property
    def trained(self) -> np.ndarray:
        """Row numbers of the contexts that steps see: all but those whose label is held out."""
        return np.flatnonzero(np.isin(self.contexts.label, self.hold_out or (), invert=True))

    def describe(self) -> dict[str, Any]:
        """What NAME.json tells about the run before it is trained; two plans are equal when these are."""
        return {
            "formula": self.formula,
            "labels": self.labels,
            "arch": ARCHS[self.arch].description.format(layers=self.layers, width=self.width),
            "optimizer": self.optimizer,
            "lr": self.lr,
            # One number for readers that know no other: 0 exactly when nothing decays.
            "weight_decay": max(self.weight_decay_head, self.weight_decay_body),
            "steps": self.steps,
            "d": self.features,
            "seed": self.seed,
            "head_std": HEAD_STD * self.head_scale,
            "final_norm": self._describe_norm(),
            "loss": "cross-entropy, mean over contexts",
            "body_depth": self.layers if self.arch == "mlp" else None,
            "setting": self.setting,
            "norm": self.norm,
            "final_affine": self.final_affine,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "betas": None if self.betas is None else list(self.betas),
            "schedule": self.schedule.describe(),
            "weight_decay_head": self.weight_decay_head,
            "weight_decay_body": self.weight_decay_body,
            "batch": self.batch,
            "snapshots": self.snapshots,
            "kernels": self.kernels,
            **self._unusual(),
        }

    def _describe_norm(self) -> str:
        if not self.final_norm:
            return "none"
        return f"{NORMS[self.norm]} {'with' if self.final_affine else 'without'} affine part"

    def _unusual(self) -> dict[str, Any]:
        smoothed = {} if self.smoothing is None else self.smoothing.describe()
        found = {name: getattr(self, name) for name in USUAL if name not in ("smoothing", "smoothing_weights")}
        return {name: value for name, value in (found | smoothed).items() if value != USUAL[name]}


def _network(description: str) -> tuple[str, dict[str, int]]:
    """The architecture and its sizes from its description in a record."""
    for name, kind in ARCHS.items():
        match = re.fullmatch(re.sub(r"\\{(\w+)\\}", r"(?P<\1>\\d+)", re.escape(kind.description)), description)
        if match:
            return name, {size: int(value) for size, value in match.groupdict().items()}
    raise InputError(f"arch: {description!r} is no network that `ufmflow train` builds; give the network itself.")


def _features(features: Any, arch: str) -> int:
    d = whole("features", features, 2, 2**14)
    if arch == "transformer" and d % HEADS:
        raise InputError(f"features: {d} does not split into {HEADS} heads; use a multiple of {HEADS}.")
    return d


def _optimizer(name: Any) -> str:
    if one_of("optimizer", name, OPTIMIZERS) == "muon" and not hasattr(torch.optim, "Muon"):
        raise InputError("optimizer: 'muon' needs torch >= 2.9; use sgd, momentum or adamw, or a newer torch.")
    return name


def _momentum(optimizer: str, momentum: Any, nesterov: Any) -> dict[str, Any]:
    if optimizer not in MOMENTUM:
        for name, value in (("momentum", momentum), ("nesterov", nesterov)):
            unused(name, value, f"the optimizer {optimizer}", "the optimizer momentum or muon")
        return {"momentum": None, "nesterov": None}
    if optimizer == "sign":
        unused("nesterov", nesterov, "the optimizer sign", "the optimizer momentum or muon")
    usual = MOMENTUM[optimizer]
    value = number("momentum", usual[0] if momentum is None else momentum, zero=True, below=1.0)
    ahead = flag("nesterov", usual[1] if nesterov is None else nesterov)
    if ahead and not value:
        raise InputError("nesterov: True looks ahead along the momentum, which is 0; give a momentum, or False.")
    return {"momentum": value, "nesterov": None if optimizer == "sign" else ahead}


def _betas(optimizer: str, betas: Any) -> tuple[float, float] | None:
    if optimizer != "adamw":
        unused("betas", betas, f"the optimizer {optimizer}", "the optimizer adamw")
        return None
    pair = BETAS if betas is None else tuple(betas) if isinstance(betas, Iterable) else (betas,)
    if len(pair) != 2:
        raise InputError(f"betas: {betas!r}; give two numbers >= 0 and < 1, such as 0.9 and 0.999.")
    first, second = (number("betas", value, zero=True, below=1.0) for value in pair)
    return first, second


def _check_together(resolved: Mapping[str, Any]) -> None:
    if not resolved["final_norm"] and resolved["final_affine"]:
        raise InputError("final_affine: True, but final_norm is False; leave one of them out.")
    if resolved["ridge_features"] and resolved["final_norm"]:
        raise InputError(
            f"ridge_features: {resolved['ridge_features']:g}, but the final norm holds the length of every feature, so "
            "a ridge on H has no effect; take the norm away, or let weights decay."
        )
    if not resolved["head_rate"] and not resolved["body_rate"]:
        raise InputError("head_rate, body_rate: both are 0, so nothing is trained; give one of them a positive number.")


def _other(argument: str, value: Any, decay: float) -> float:
    return decay if value is None else number(argument, value, zero=True)
