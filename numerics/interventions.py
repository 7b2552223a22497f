"""What one can change about a training so that its structure lasts, each as data: options of `train`, and a sentence.

An intervention knows three things: how the training plan changes, how what a forecast starts from changes (where the
network itself is unknown and only its kernel was recorded), and when a network cannot take it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..theory.errors import InputError
from . import strata
from .smoothing import Smoothing
from .start import Start

if TYPE_CHECKING:
    from .plan import Plan

HEAD = ("head_rate", "head_scale", "weight_decay_head")  # what acts on the head alone
BODY = ("body_rate", "weight_decay_body", "embedding_scale", "final_norm", "ridge_features")
ADAPTIVE_LR = 3e-4  # of optimisers whose steps do not shrink with the gradient


@dataclass(frozen=True)
class Intervention:
    """One change of a training.

    Attributes
    ----------
    name : what tables call it
    options : the training options that it sets, as `ufmflow.train` takes them; none for stopping alone
    says : how to do it, in a sentence
    why : what it does to the theory's model
    kernel_ratio : factor on the kernel's eigenvalues on main effects, for networks of which only the kernel is known
    """

    name: str
    says: str
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    kernel_ratio: float = 1.0

    def plan(self, plan: "Plan") -> "Plan":
        """The training plan with the intervention.

        Raises
        ------
        InputError
            When the network cannot take it, in a sentence that begins with the intervention's name.

        Examples
        --------
        >>> from ufmflow.numerics.plan import Plan
        >>> Intervention("slow body", "", "", {"body_rate": 0.1}).plan(Plan("objects")).body_rate
        0.1
        """
        from .plan import Plan

        if self.kernel_ratio != 1.0:
            raise InputError(
                f"{self.name}: the network is known, so change its embedding scale and measure its kernel."
            )
        self._refuse_frozen(plan.head_rate, plan.body_rate)
        if self.options.get("final_norm") is False and not plan.final_norm:
            raise InputError(f"{self.name}: the network has no final norm, so there is none to take away.")
        changed = {name: value for name, value in self.options.items() if name not in RENAMED}
        changed |= {name: say(value) for option, (name, say) in RENAMED.items() if (value := self.options.get(option))
                    is not None}  # fmt: skip
        record = plan.describe()
        if "optimizer" in changed:
            record |= {"momentum": None, "nesterov": None, "betas": None}
        try:
            return Plan.of_record(record | changed)
        except InputError as error:
            raise InputError(f"{self.name}: the network cannot take it ({error})") from None

    def start(self, start: Start) -> Start:
        """What a forecast from the kernel starts from with the intervention.

        Raises
        ------
        InputError
            When the network cannot take it, or when more than its kernel would have to be known.
        """
        self._refuse_frozen(start.head_rate, start.body_rate)
        unknown = [
            name
            for name in self.options
            if name not in (*FIELDS, "head_scale", "smoothing", "smoothing_weights", "average_from")
        ]
        if unknown:
            raise InputError(
                f"{self.name}: {unknown[0]} changes the network itself, of which only the kernel at the start is known; "
                "give a training plan, or a run that `ufmflow train` recorded."
            )
        if self.options.get("ridge_features") and start.normalized:
            raise InputError(
                f"{self.name}: the final norm holds the length of every feature, so a ridge on H has no effect."
            )
        changes: dict[str, Any] = {FIELDS[name]: value for name, value in self.options.items() if name in FIELDS}
        if "head_scale" in self.options:
            changes["W"] = self.options["head_scale"] * start.W
        if "smoothing" in self.options:
            labels = start.attributes.keep(start.labels)
            try:
                smoothed = Smoothing.of(labels, self.options["smoothing"], self.options.get("smoothing_weights"))
            except InputError as error:
                raise InputError(f"{self.name}: the network cannot take it ({error})") from None
            changes["targets"] = None if smoothed is None else smoothed.eigenvalues()
        if self.kernel_ratio != 1.0:
            changes["kernel"] = scaled_main_effects(start, self.kernel_ratio)
        return replace(start, **changes)

    def _refuse_frozen(self, head_rate: float, body_rate: float) -> None:
        for part, rate, touched in (("head", head_rate, HEAD), ("body", body_rate, BODY)):
            if rate == 0 and self.options and set(self.options) <= set(touched):
                raise InputError(
                    f"{self.name}: the {part} is frozen ({part}_rate 0), so this has nothing to act on; train the {part}."
                )


# Options that a record tells under another name or in other words.
RENAMED: Mapping[str, tuple[str, Callable[[Any], Any]]] = MappingProxyType(
    {"features": ("d", int), "final_norm": ("final_norm", lambda on: "" if on else "none")}
)
# Options that act on what a forecast from the kernel starts from.
FIELDS = MappingProxyType({"head_rate": "head_rate", "body_rate": "body_rate", "weight_decay_head": "decay_head",
                           "weight_decay_body": "decay_body", "ridge_features": "ridge_features"})  # fmt: skip


def scaled_main_effects(start: Start, ratio: float) -> np.ndarray:
    """The kernel with its eigenvalues on the label's main effects multiplied: S Theta S, S = sqrt(ratio) there."""
    main = start.attributes.semantic_strata(start.labels)
    root = {A: ratio**0.5 if A in main else 1.0 for A in start.attributes.names}
    half = strata.apply(start.kernel, root, start.attributes, axis=0)
    return strata.apply(half, root, start.attributes, axis=1)


def catalogue(
    labels: int, features: int, average_from: int, known: bool, attribute: str | None = None
) -> list[Intervention]:
    """The interventions that `plan` looks at unless it is given others.

    Parameters
    ----------
    labels, features : V, and the network's width d
    average_from : the step from which checkpoints are averaged, the peak of the window without intervention
    known : whether the network itself is known, or its kernel alone
    attribute : the one that the goal speaks of, if it does

    Examples
    --------
    >>> [found.name for found in catalogue(24, 64, 100, True)][:3]
    ['stop', 'body rate 0.3', 'body rate 0.1']
    """
    narrow = max(4, labels // 2 // 4 * 4)
    found = [
        Intervention("stop", "Stop within the window, and change nothing else.", "nothing changes"),
        *(_rate("body", rate) for rate in (0.3, 0.1)),
        *(_rate("head", rate) for rate in (10.0, 0.1)),
        Intervention("head first", "Multiply the head's learning rate by 10, the body's by 0.1 (head_rate=10, body_rate=0.1).",
                     "KW times 10, KH times 0.1", {"head_rate": 10.0, "body_rate": 0.1}),
        Intervention("freeze the head", "Train with head_rate=0: the head stays as it starts.", "KW = 0",
                     {"head_rate": 0.0}),
        Intervention("head start 0.1", "Start the head a tenth as large (head_scale=0.1).", "W(0) times 0.1",
                     {"head_scale": 0.1}),
        *(_smoothing(eps) for eps in (0.1, 0.3)),
        *(() if attribute is None else (_smoothing(0.1, attribute),)),
        Intervention("decay the head", "Train with weight_decay_head=0.01.", "ridge lam_W = 0.01",
                     {"weight_decay_head": 0.01}),
        Intervention("decay the body", "Train with weight_decay_body=0.01.", "features shrink, and steps grow with it",
                     {"weight_decay_body": 0.01}),
        Intervention("decay all parameters", "Train with weight_decay=0.01.", "ridge on W, and features shrink",
                     {"weight_decay_head": 0.01, "weight_decay_body": 0.01}),
        Intervention("ridge on the features", "Train with ridge_features=0.001.", "ridge lam_H = 0.001",
                     {"ridge_features": 0.001}),
        Intervention("average checkpoints", f"Average the parameters of all steps from step {average_from} on.",
                     "the mean of W and F along the flow", {"average_from": average_from}),
        *(Intervention(f"embedding scale {scale:g}", f"Multiply the tokens' embeddings by {scale:g} (embedding_scale).",
                       "the kernel of what contexts share by attribute changes by about its square",
                       {"embedding_scale": scale}) for scale in (0.3, 3.0)),
        Intervention("no final norm", "Leave the final norm out (final_norm=False).", "constraint free",
                     {"final_norm": False}),
        Intervention(f"width {narrow}", f"Give the features width {narrow}, below labels - 1 (features={narrow}).",
                     "a bottleneck", {"features": narrow}),
        *(Intervention(name, f"Train with optimizer={name!r}, lr={ADAPTIVE_LR:g}.", why,
                       {"optimizer": name, "lr": ADAPTIVE_LR})
          for name, why in (("adamw", "steps of normalised entries"), ("muon", "every stratum grows at one rate"))),
    ]  # fmt: skip
    if known:
        return found if narrow < features else [each for each in found if "features" not in each.options]
    return [*found, *(_ratio(ratio) for ratio in (0.25, 4.0))]


def _rate(part: str, rate: float) -> Intervention:
    kernel = "KH" if part == "body" else "KW"
    return Intervention(f"{part} rate {rate:g}", f"Multiply the {part}'s learning rate by {rate:g} ({part}_rate={rate:g}).",
                        f"{kernel} times {rate:g}", {f"{part}_rate": rate})  # fmt: skip


def _smoothing(eps: float, attribute: str | None = None) -> Intervention:
    along = "an attribute" if attribute is None else attribute
    weights = {} if attribute is None else {"smoothing_weights": {attribute: 1}}
    return Intervention(f"smoothing {eps:g}{'' if attribute is None else f' on {attribute}'}",
                        f"Spread {eps:g} of each label over labels that share {along} (smoothing={eps:g}"
                        f"{'' if attribute is None else f', smoothing_weights={attribute}=1'}).",
                        "tau_A = 1 - eps + eps w_k on main effects, 1 - eps on the rest",
                        {"smoothing": eps, **weights})  # fmt: skip


def _ratio(ratio: float) -> Intervention:
    more = "more" if ratio > 1 else "less"
    return Intervention(f"kernel ratio x{ratio:g}", f"Let contexts with an attribute in common share {more} parameters, "
                        f"until kernel_strata shows main effects {ratio:g} times as large.",
                        f"KH times {ratio:g} on main effects", kernel_ratio=ratio)  # fmt: skip
