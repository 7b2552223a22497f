"""What the semantic window is worth: decoding, analogies and transfer along a run, beside the semantic index.

    decoding            accuracy of a linear probe for each attribute on combinations that it has not seen, and its margin
    one_shot            the same from a single example of each value, see `ufmflow.numerics.one_shot`
    parallelogram_error, analogies_solved       see `ufmflow.numerics.analogies`
    transfer_r2, transfer_accuracy              see `ufmflow.numerics.transfer`

For two crossed attributes the parallelogram error is 1 less the semantic index and, class by class left out, transfer_r2
is an affine function of it (`ufmflow.theory.value`): there value and index cannot disagree.  What is decided by the
largest score (accuracies, solved analogies) depends on the order of energies, not on their size, and can outlast the
index.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from ..theory.attributes import Attributes
from ..theory.errors import InputError
from .analogies import analogies_solved, class_means, parallelogram_errors
from .matrices import label_of_context
from .observe import observe
from .one_shot import one_shot
from .options import number
from .probes import RIDGE, decodable, decode, smoother, transversals, values_of
from .trajectory import Trajectory
from .transfer import class_folds, held_out_labels, transfer

FOLLOWS, PARTLY = 0.8, 0.4  # rank correlations from which a value is said to follow the index, and to do so in part
# Measures of the size of what is there, and of the order alone: the figure's two panels.
SIZES = {
    "parallelogram": "1 - parallelogram error",
    "decoding_margin": "margin of the probes",
    "transfer_r2": "R² of the additive prediction",
}
ORDER = {
    "decoding": "attributes decoded",
    "held_out_decoding": "decoded, held-out combinations",
    "one_shot": "decoded from one example",
    "analogies_solved": "analogies solved",
    "transfer_accuracy": "combinations told apart",
}
LONG_NAMES = SIZES | ORDER


def downstream(
    run: Trajectory | np.ndarray,
    attributes: Attributes | None = None,
    labels: Any = None,
    time: Any = None,
    ridge: float = RIDGE,
    seed: int = 0,
) -> xr.Dataset:
    """Downstream value of the features along a run.

    Parameters
    ----------
    run : Trajectory or Run with `H` in its data, or array (T, m, d) or (m, d), one row per context in the order of the
        attributes' table
    attributes, labels, time : for an array, as `observe` takes them
    ridge : of the probes, over the features' mean energy; > 0
    seed : of the analogies that are drawn where a pair has more than 2000

    Returns
    -------
    xarray.Dataset over `time` (learning rate x steps)
        `decoding`, `decoding_margin`, `one_shot` (time, factor) with `chance` (factor); `parallelogram_error`
        (time, pair) where the label has independent attributes, `analogies_solved` (time,); `transfer_r2`,
        `transfer_accuracy` (time,); `semantic_index` (time,).  Where the run held labels out of training, transfer and
        `one_shot` are from the others to these, and `held_out_decoding` (time, factor) is of probes fitted to the
        others and tested on these.

    Raises
    ------
    InputError
        For trajectories without H, bad arrays, a ridge that is not positive, and labels without shared attributes.

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> value = downstream(example_run())
    >>> value["decoding"].sel(time=1.0, method="nearest").values.round(3).tolist()
    [1.0, 1.0]
    """
    penalty = number("ridge", ridge)
    seen = run if isinstance(run, Trajectory) else _observed(run, attributes, labels, time)
    if "H" not in seen.data:
        raise InputError("run: it has no H; give a recorded run, embeddings, or a simulation with full=True.")
    structure, kept_names = seen.attributes, seen.labels
    kept = structure.keep(kept_names)
    if not kept.semantic_strata():
        raise InputError(f"labels: {kept} share no attribute, so nothing is there to decode; keep more than one.")
    H = seen.data["H"].values.astype(float)
    parts = [
        _decoding(H, structure, kept_names, penalty, hold_out_of(seen)),
        _analogies(H, structure, kept_names, seed),
        _transfer(H, structure, kept_names, hold_out_of(seen)),
    ]
    found = xr.merge([part.assign_coords(time=seen.data["time"]) for part in parts])
    found["semantic_index"] = seen.data["semantic_index"]
    found["loss"] = seen.data["loss"]
    steps = {"step": seen.data["step"]} if "step" in seen.data.coords else {}
    name = seen.data.attrs.get("name", "embeddings")
    return found.assign_coords(steps).assign_attrs(
        name=name, formula=str(structure), labels=" * ".join(kept.sizes), ridge=penalty, held_out=len(hold_out_of(seen))
    )


def hold_out_of(run: Trajectory) -> tuple[int, ...]:
    """Labels that a recorded run held out of training, in the formula's order; none for what is no run."""
    stated = getattr(run, "meta", {}).get("hold_out")
    return held_out_labels(run.attributes.keep(run.labels), stated) if stated else ()


@dataclass(frozen=True)
class Agreement:
    """How one measure of value goes along with the semantic index.

    Attributes
    ----------
    measure : its name
    rank_correlation : Spearman's, over the recorded times; None where either is constant
    peak, index_peak : the time (step, where known) of the largest value, and the index's; of several times within 1% of
        the largest, where accuracies saturate, the nearest to the index's peak
    lag : peak / index_peak; None where either is at 0
    end, index_end : the last time at half of the largest value; the last recorded one where it never falls below
    verdict : "follows", "partly", "does not follow", "opposes" or "constant"
    statement : all this in a sentence
    """

    measure: str
    rank_correlation: float | None
    peak: float
    index_peak: float
    lag: float | None
    end: float
    index_end: float
    verdict: str
    statement: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def series(value: xr.Dataset) -> dict[str, np.ndarray]:
    """Each measure of value as one curve (time,): 0 what chance has, 1 the best there is.

    Accuracies of attributes are (accuracy - chance) / (1 - chance), and these and the margins means over the label's
    attributes.
    """
    semantic = [k for k in value["factor"].values if k in value.attrs["labels"].split(" * ")]
    chance = value["chance"].sel(factor=semantic)
    found = {}
    for name in LONG_NAMES:
        if name == "parallelogram" and "parallelogram_error" in value:
            found[name] = 1 - value["parallelogram_error"].sel(pair="all").values
        elif name == "decoding_margin":
            found[name] = value[name].sel(factor=semantic).mean("factor").values
        elif name in ("decoding", "held_out_decoding", "one_shot") and name in value:
            found[name] = ((value[name].sel(factor=semantic) - chance) / (1 - chance)).mean("factor").values
        elif name in value:
            found[name] = value[name].values
    return found


def agreement(value: xr.Dataset) -> list[Agreement]:
    """Where each measure of value goes along with the semantic index, and where not.

    Parameters
    ----------
    value : what `downstream` returned, of at least 3 times

    Examples
    --------
    >>> from ufmflow.numerics.runs import example_run
    >>> print(agreement(downstream(example_run()))[0].statement)
    1 - parallelogram error follows the index: rank correlation 1.00, peaks 1.00 times as late.
    """
    if value.sizes["time"] < 3:
        raise InputError(f"value: {value.sizes['time']} times; give a run recorded at 3 at least.")
    at = (value["step"] if "step" in value.coords else value["time"]).values.astype(float)
    index = value["semantic_index"].values
    return [_agreement(name, at, index, curve) for name, curve in series(value).items()]


def _agreement(name: str, at: np.ndarray, index: np.ndarray, curve: np.ndarray) -> Agreement:
    index_peak = float(at[int(np.argmax(index))])
    index_end, end, peak = _end(at, index), _end(at, curve), _peak(at, curve, index_peak)
    constant = np.ptp(curve) < 1e-12 or np.ptp(index) < 1e-12
    rank = None if constant else float(spearmanr(index, curve).statistic)
    verdict = "constant" if rank is None else _verdict(rank)
    lag = peak / index_peak if peak > 0 and index_peak > 0 else None
    words = {"partly": "follows the index in part", "opposes": "moves against the index", "constant": "is constant"}
    text = f"{LONG_NAMES[name]} {words.get(verdict, f'{verdict} the index')}"
    text += "" if rank is None else f": rank correlation {rank:.2f}"
    text += "" if rank is None or lag is None else f", peaks {lag:.2f} times as late"
    if rank is not None and curve.max() > 0 and end > index_end:
        still = "to the last step" if end == at[-1] else f"until {end:g}"
        text += f", and keeps half of its largest value {still} where the index does until {index_end:g}"
    return Agreement(name, rank, peak, index_peak, lag, end, index_end, verdict, text + ".")


def _verdict(rank: float) -> str:
    if rank >= FOLLOWS:
        return "follows"
    return "partly" if rank >= PARTLY else "opposes" if rank <= -PARTLY else "does not follow"


def _peak(at: np.ndarray, curve: np.ndarray, near: float) -> float:
    top = float(curve.max())
    largest = at[curve >= top - 0.01 * abs(top)]
    return float(largest[int(np.argmin(np.abs(largest - near)))])


def _end(at: np.ndarray, curve: np.ndarray) -> float:
    top = float(curve.max())
    return float(at[np.flatnonzero(curve >= (top / 2 if top > 0 else top))[-1]])


def _observed(H: Any, attributes: Attributes | None, labels: Any, time: Any) -> Trajectory:
    if attributes is None:
        raise InputError("attributes: an array of embeddings needs the structure of its rows; give it.")
    return observe(H, None, labels, attributes, time)


def _decoding(
    H: np.ndarray, structure: Attributes, labels: tuple[str, ...] | None, ridge: float, held: Sequence[int]
) -> xr.Dataset:
    factors = decodable(structure, labels)
    values = {k: values_of(structure, k) for k in factors}
    folds = {k: transversals(structure, labels, k) for k in factors}
    unseen = np.flatnonzero(np.isin(label_of_context(structure, structure.keep(labels)), held))
    across: list[list[tuple[float, float]]] = []
    beyond: list[list[float]] = []
    single: list[list[float]] = []
    for X in H:
        S = smoother(X, ridge)
        across.append([decode(S, values[k], folds[k]) for k in factors])
        beyond.append([decode(S, values[k], [unseen])[0] for k in factors] if held else [])
        single.append([one_shot(X, values[k], [unseen] if held else folds[k]) for k in factors])
    table = np.array(across)
    two = ("time", "factor")
    found = {
        "decoding": (two, table[:, :, 0], {"long_name": "accuracy on combinations left out"}),
        "decoding_margin": (two, table[:, :, 1], {"long_name": "score of the true value less the others'"}),
        "one_shot": (two, np.array(single), {"long_name": "accuracy from one example of each value"}),
        "chance": ("factor", np.array([1.0 / (1 + values[k].max()) for k in factors])),
    }
    if held:
        found["held_out_decoding"] = (two, np.array(beyond), {"long_name": "accuracy on combinations never trained on"})
    return xr.Dataset(found, {"factor": list(factors)})


def _analogies(H: np.ndarray, structure: Attributes, labels: tuple[str, ...] | None, seed: int) -> xr.Dataset:
    errors = parallelogram_errors(H, structure, labels)
    if not errors:
        return xr.Dataset()
    solved = [analogies_solved(X, structure, labels, seed) for X in H]
    return xr.Dataset(
        {
            "parallelogram_error": (("time", "pair"), np.stack(list(errors.values()), axis=1)),
            "analogies_solved": ("time", np.array(solved, dtype=float)),
        },
        {"pair": list(errors)},
    )


def _transfer(H: np.ndarray, structure: Attributes, labels: tuple[str, ...] | None, held: Sequence[int]) -> xr.Dataset:
    kept = structure.keep(labels)
    folds = [np.array(held)] if held else class_folds(kept)
    found = [transfer(means, kept, folds) for means in class_means(H, structure, labels)]
    return xr.Dataset({
        "transfer_r2": ("time", np.array([part.r2 for part in found])),
        "transfer_accuracy": ("time", np.array([part.accuracy for part in found])),
    })  # fmt: skip
