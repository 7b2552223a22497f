"""Discrete steps of optimisers on the parameters of a model: what flows on the strata are held to, and signs, which none
has.

    W = Psi U_W,   H = U_H Phi,   Psi Psi^T = KW,   Phi^T Phi = KH,        pulls  -Psi^T dL/dW  and  -dL/dH Phi^T

Psi is the symmetric root of KW, and Phi that of KH unless features are given; `embedding_features` are those of tables
of embeddings.  Gradient flow knows KW and KH alone, orthogonalised steps on all of U_H too; signs of entries know Phi.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from ..theory.kernels import embedding_kernel
from ..theory.model import UFM
from ..theory.optimisers import FLOOR, SMOOTHING
from . import strata
from .matrices import MatrixFlow, symmetric_start
from .simulate import Gaussian, read_matrices, start_on_strata
from .trajectory import Trajectory, dataset

STEPS = ("sgd", "normalized", "sign", "adam", "muon")


def descend(
    model: UFM,
    optimizer: str,
    lr: float,
    steps: int,
    init: Any = 1e-3,
    features: Any = None,
    momentum: float = 0.0,
    memory: float = 0.999,
    snapshots: int = 200,
    seed: int = 0,
) -> Trajectory:
    """Take discrete steps of an optimiser on the parameters U_W (V, d) and U_H (d, n).

        sgd, normalized, sign, muon    b <- momentum b + pull,   U <- U + lr step(b)
        adam                           means of pull and pull^2 with `momentum` and `memory`, corrected for their start

    `step` is b; b over the root mean square of its entries; the signs of its entries; its orthogonal polar factor (as in
    `ufmflow.theory.optimisers`, no factor for the shape).

    Parameters
    ----------
    model : UFM with numbers and a width, `free` or `normalized`
    optimizer : "sgd", "normalized", "sign", "adam" or "muon"
    lr : positive number
    steps : how many, at least 1
    init : number, mapping, pair of arrays, or `gaussian(scale)`
        A number u starts U_W and U_H with all singular values u on the strata, in a random frame (a mapping: one u, or
        a pair for W and H, for each stratum); arrays are U_W and U_H; `gaussian(scale)` draws their entries.
    features : array (n, m), optional
        Phi, with Phi^T Phi = KH.
    momentum : in [0, 1)
    memory : in [0, 1), of Adam's second moment
    snapshots : how many equally spaced times to record, beside the start
    seed : of frame or start

    Returns
    -------
    Trajectory, with `W` and `H`; times are lr x steps

    Raises
    ------
    InputError
        For numbers, shapes and names outside these.

    Examples
    --------
    >>> run = descend(UFM("color[3] * shape[2]", width=6), "muon", lr=0.01, steps=300, snapshots=3)
    >>> run.data["z"].sel(stratum="color").values.round(2).tolist()
    [0.0, 1.0, 4.0, 9.01]
    """
    _check(model, optimizer, lr, steps, momentum, memory, snapshots)
    Phi = _features(model, features)
    labels, roots = model.label_attributes, {A: float(k) ** 0.5 for A, k in model.label_kernel.items()}

    def Psi(X: np.ndarray) -> np.ndarray:
        return strata.apply(X, roots, labels)

    plain = MatrixFlow.of(UFM(**(model.config() | {"feature_kernel": 1, "label_kernel": 1})))
    parameters = _start(model, init, Phi.shape[0], seed)
    rules = [_rule(optimizer, momentum, memory) for _ in parameters]
    recorded = np.unique(np.linspace(0, steps, min(snapshots, steps) + 1).round().astype(int))
    pairs = []
    for k in range(steps + 1):
        W, F = Psi(parameters[0]), parameters[1] @ Phi
        if k in recorded:
            pairs.append((W, F))
        dW, dF = plain.rates(W, F)
        parameters = [U + lr * rule(pull) for U, rule, pull in
                      zip(parameters, rules, (Psi(dW), dF @ Phi.T), strict=True)]  # fmt: skip
    variables, kept = read_matrices(plain, pairs)
    data = dataset(
        model.attributes, model.labels, lr * recorded, *variables,
        model=json.dumps(model.config()), source="descend", optimizer=optimizer, lr=lr, momentum=momentum, seed=seed,
    )  # fmt: skip
    return Trajectory(data.assign(kept))


def embedding_features(attributes: Attributes, weights: Mapping[str, Any], residual: Any = 0) -> np.ndarray:
    """Phi (n, m) of contexts embedded as a sum of table rows, one table for each attribute and one for the contexts.

    Phi^T Phi is `embedding_kernel(attributes, weights, residual)`, and the tables lie side by side in U_H.

    Examples
    --------
    >>> embedding_features(Attributes("a[2] / b[2]"), {"a": 4}, residual=1).tolist()[:2]
    [[2.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 2.0]]
    """
    embedding_kernel(attributes, weights, residual)  # refuses what is no embedding
    cells = np.indices(attributes.shape).reshape(len(attributes.shape), -1)
    position = {factor.name: i for i, factor in enumerate(attributes.factors)}
    blocks = []
    for k in attributes.named(weights):
        axes = [position[i] for i in attributes.named(attributes.closure(k))]
        shape = [attributes.shape[i] for i in axes]
        value = np.ravel_multi_index([cells[i] for i in axes], shape)
        blocks.append(float(weights[k]) ** 0.5 * np.eye(int(np.prod(shape)))[:, value])
    if residual:
        blocks.append(float(residual) ** 0.5 * np.eye(cells.shape[1]))
    return np.concatenate(blocks)


def _rule(optimizer: str, momentum: float, memory: float) -> Callable[[np.ndarray], np.ndarray]:
    """pull -> step of one matrix, with the averages that the optimiser keeps."""
    if optimizer == "adam":
        return _adam(momentum, memory)
    rules: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "sgd": lambda b: b, "normalized": _normalized, "sign": np.sign, "muon": _orthogonalised
    }  # fmt: skip
    step = rules[optimizer]
    buffer: Any = 0.0

    def rule(pull: np.ndarray) -> np.ndarray:
        nonlocal buffer
        buffer = momentum * buffer + pull
        return step(buffer)

    return rule


def _adam(momentum: float, memory: float) -> Callable[[np.ndarray], np.ndarray]:
    mean: Any = 0.0
    square: Any = 0.0
    count = 0

    def rule(pull: np.ndarray) -> np.ndarray:
        nonlocal mean, square, count
        count += 1
        mean = momentum * mean + (1 - momentum) * pull
        square = memory * square + (1 - memory) * pull**2
        return mean / (1 - momentum**count) / (np.sqrt(square / (1 - memory**count)) + 1e-30)

    return rule


def _normalized(X: np.ndarray) -> np.ndarray:
    return X * np.sqrt(X.size / ((X**2).sum() + float(FLOOR) ** 2))


def _orthogonalised(X: np.ndarray) -> np.ndarray:
    """The polar factor, its singular values s / sqrt(s^2 + e^2 |X|^2): directions of rounding are not raised to 1."""
    left, s, right = np.linalg.svd(X, full_matrices=False)
    square = (s**2).sum() + float(FLOOR) ** 2
    return left * (s / np.sqrt(s**2 + float(SMOOTHING) ** 2 * square)) @ right


def _features(model: UFM, features: Any) -> np.ndarray:
    kernel = {A: float(k) for A, k in model.feature_kernel.items()}
    m = int(model.contexts)
    if features is None:
        return strata.apply(np.eye(m), {A: k**0.5 for A, k in kernel.items()}, model.attributes)
    Phi = np.asarray(features, dtype=float)
    if Phi.ndim != 2 or Phi.shape[1] != m:
        raise InputError(f"features: shape {Phi.shape}; give one column for each of the {m} contexts.")
    gap = np.abs(Phi.T @ Phi - strata.apply(np.eye(m), kernel, model.attributes)).max()
    if not gap <= 1e-9 * max(kernel.values()):  # rounding of m products, with room
        raise InputError("features: their Gram matrix is not the model's feature_kernel; give Phi with Phi^T Phi = KH.")
    return Phi


def _start(model: UFM, init: Any, n: int, seed: int) -> list[np.ndarray]:
    assert model.width is not None  # checked before
    V, d = int(model.label_count), int(model.width)
    if isinstance(init, Gaussian):
        random = np.random.default_rng(seed)
        return [init.scale * random.standard_normal((V, d)), init.scale * random.standard_normal((d, n))]
    if isinstance(init, (tuple, list)):
        made = [np.array(part, dtype=float) for part in init]
        if [part.shape for part in made] != [(V, d), (d, n)]:
            raise InputError(
                f"init: shapes {[part.shape for part in made]}; U_W and U_H must have {(V, d)} and {(d, n)}."
            )
        return made
    if n != model.contexts or d < n:
        raise InputError("init: a start on the strata needs the default features and a width of at least the contexts; "
                         "give gaussian(scale) or a pair of arrays.")  # fmt: skip
    w, h = start_on_strata(model, init)
    return list(symmetric_start(model, w, h, d, seed))


def _check(model: UFM, optimizer: str, lr: float, steps: int, momentum: float, memory: float, snapshots: int) -> None:
    if not isinstance(model, UFM) or model.free_symbols or model.width is None or model.constraint == "sphere":
        raise InputError("model: give a UFM with numbers, a width, and the constraint 'free' or 'normalized'.")
    if optimizer not in STEPS:
        raise InputError(f"optimizer: {optimizer!r} is unknown; choose one of {', '.join(STEPS)}.")
    if not (np.isfinite(lr) and lr > 0):
        raise InputError(f"lr: {lr!r}; give a positive number.")
    for name, number in (("steps", steps), ("snapshots", snapshots)):
        if not isinstance(number, (int, np.integer)) or number < 1:
            raise InputError(f"{name}: {number!r}; give a whole number of at least 1.")
    for name, value in (("momentum", momentum), ("memory", memory)):
        if not 0 <= value < 1:
            raise InputError(f"{name}: {value!r}; give a number in [0, 1).")
