"""Learning-rate schedules, as PyTorch computes them.

With n steps of which the first w warm up, step s = 0, ..., n - 1 has the learning rate

    lr (s + 1)/(w + 1)                                          for s < w, whatever follows;
    lr                                                          constant,
    final + (lr - final)(1 + cos(pi r))/2                       cosine,
    lr + (final - lr) r                                         linear,
    lr (final/lr)^r                                             exponential,
    lr factor^k, k = floor((s - w)/every)                       step,      with r = (s - w)/(n - w), for s >= w.

Flow time is the sum of the learning rates of the steps taken.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .options import number, one_of, unused, whole

SCHEDULES = ("constant", "cosine", "linear", "exponential", "step")
DROP = 0.1


@dataclass(frozen=True)
class Schedule:
    """A checked schedule; fields that it does not use are None.

    Attributes
    ----------
    name : one of SCHEDULES
    warmup : int
        w, steps of linear rise.
    final_lr : float or None
        Where `cosine`, `linear` and `exponential` end (0 unless given; `exponential` needs one above 0).
    drop_every, drop_factor : int and float, or None
        `step` multiplies the learning rate by `drop_factor` (0.1 unless given) every `drop_every` steps.

    Examples
    --------
    >>> Schedule.of("cosine", lr=0.1, steps=100, warmup=10)
    Schedule(name='cosine', warmup=10, final_lr=0.0, drop_every=None, drop_factor=None)
    """

    name: str
    warmup: int
    final_lr: float | None
    drop_every: int | None
    drop_factor: float | None

    @classmethod
    def of(
        cls,
        name: str,
        lr: float,
        steps: int,
        warmup: int = 0,
        final_lr: float | None = None,
        drop_every: int | None = None,
        drop_factor: float | None = None,
    ) -> "Schedule":
        """Check a schedule against the learning rate it starts from and the steps it has.

        Raises
        ------
        InputError
            For an unknown name, numbers out of range, and options that the schedule does not use.
        """
        one_of("schedule", name, SCHEDULES)
        warmup = whole("warmup", warmup, 0, steps - 1)
        if name in ("cosine", "linear", "exponential"):
            if final_lr is None and name == "exponential":
                raise InputError("final_lr: exponential decay never reaches 0; give the learning rate that it ends at.")
            final_lr = number("final_lr", 0.0 if final_lr is None else final_lr, zero=name != "exponential")
            if final_lr > lr:
                raise InputError(f"final_lr: {final_lr:g} is above lr, {lr:g}; give at most that.")
        else:
            unused("final_lr", final_lr, f"the {name} schedule", "cosine, linear or exponential")
        if name == "step":
            if drop_every is None:
                raise InputError("drop_every: the step schedule needs it; give the number of steps between drops.")
            drop_every = whole("drop_every", drop_every, 1, steps)
            drop_factor = number("drop_factor", DROP if drop_factor is None else drop_factor, below=1.0)
        else:
            unused("drop_every", drop_every, f"the {name} schedule", "step")
            unused("drop_factor", drop_factor, f"the {name} schedule", "step")
        return cls(name, warmup, final_lr, drop_every, drop_factor)

    def describe(self) -> dict[str, Any]:
        """What a record tells: the fields that the schedule uses."""
        return {field: value for field, value in asdict(self).items() if value is not None}

    def rates(self, lr: float, steps: int) -> np.ndarray:
        """The learning rate of each step, array (steps,).

        Examples
        --------
        >>> Schedule.of("linear", lr=0.4, steps=5, warmup=1).rates(0.4, 5).round(3).tolist()
        [0.2, 0.4, 0.3, 0.2, 0.1]
        """
        s, final = np.arange(steps), self.final_lr or 0.0
        after = s - self.warmup
        decayed: np.ndarray
        r = after / (steps - self.warmup)
        if self.name == "cosine":
            decayed = final + (lr - final) * (1 + np.cos(np.pi * r)) / 2
        elif self.name == "linear":
            decayed = lr + (final - lr) * r
        elif self.name == "exponential":
            decayed = lr * (final / lr) ** r
        elif self.name == "step":
            decayed = lr * (self.drop_factor or DROP) ** (after // (self.drop_every or steps))
        else:
            decayed = np.full(steps, lr)
        return np.where(after < 0, lr * (s + 1) / (self.warmup + 1), decayed)

    def scheduler(self, optimizer: Any, steps: int) -> Any:
        """The scheduler of a torch optimiser, to be stepped after each of its steps; None where lr stays as it is."""
        from torch.optim import lr_scheduler as torch_schedules

        lr, left, final = optimizer.param_groups[0]["lr"], steps - self.warmup, self.final_lr or 0.0
        parts: list[Any] = []
        if self.warmup:
            # Starting at lr/(w + 1), so that step w is the first with the whole learning rate.
            parts.append(torch_schedules.LinearLR(optimizer, 1 / (self.warmup + 1), 1.0, self.warmup))
        if self.name == "cosine":
            parts.append(torch_schedules.CosineAnnealingLR(optimizer, left, final))
        elif self.name == "linear":
            parts.append(torch_schedules.LinearLR(optimizer, 1.0, final / lr, left))
        elif self.name == "exponential":
            parts.append(torch_schedules.ExponentialLR(optimizer, (final / lr) ** (1 / left)))
        elif self.name == "step":
            parts.append(torch_schedules.StepLR(optimizer, self.drop_every or left, self.drop_factor or DROP))
        if len(parts) < 2:
            return parts[0] if parts else None
        return torch_schedules.SequentialLR(optimizer, parts, [self.warmup])
