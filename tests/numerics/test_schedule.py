"""Learning-rate schedules against their closed forms, and what is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from ufmflow.numerics.schedule import SCHEDULES, Schedule  # noqa: E402
from ufmflow.theory.errors import InputError  # noqa: E402

FINAL, EVERY, FACTOR = 0.01, 3, 0.5
OPTIONS = {
    "constant": {}, "cosine": {"final_lr": FINAL}, "linear": {"final_lr": FINAL}, "exponential": {"final_lr": FINAL},
    "step": {"drop_every": EVERY, "drop_factor": FACTOR},
}  # fmt: skip
CLOSED = {
    "constant": lambda lr, r, since: lr,
    "cosine": lambda lr, r, since: FINAL + (lr - FINAL) * (1 + math.cos(math.pi * r)) / 2,
    "linear": lambda lr, r, since: lr + (FINAL - lr) * r,
    "exponential": lambda lr, r, since: lr * (FINAL / lr) ** r,
    "step": lambda lr, r, since: lr * FACTOR ** (since // EVERY),
}


def rates(schedule, lr, steps):
    """The learning rate of each step, as a training would use it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = schedule.scheduler(optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return found


@pytest.mark.parametrize("name", SCHEDULES)
@given(lr=st.floats(0.02, 10), steps=st.integers(6, 40), warmup=st.integers(0, 5))
def test_learning_rates_are_the_closed_forms(name, lr, steps, warmup):
    found = rates(Schedule.of(name, lr, steps, warmup, **OPTIONS[name]), lr, steps)
    expected = [
        lr * (s + 1) / (warmup + 1) if s < warmup else CLOSED[name](lr, (s - warmup) / (steps - warmup), s - warmup)
        for s in range(steps)
    ]
    # Rates are computed one from the other, 40 times at most; near the end of a cosine, 1 + cos is a difference.
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12 * lr)
    others = [other for other in SCHEDULES if other != name]
    for other in others:  # control: no schedule passes for another
        wrong = [CLOSED[other](lr, s / steps, s) for s in range(steps)]
        assert rates(Schedule.of(name, lr, steps, **OPTIONS[name]), lr, steps) != pytest.approx(wrong, rel=1e-6)


def test_a_record_tells_what_the_schedule_uses():
    assert Schedule.of("constant", 0.1, 10).describe() == {"name": "constant", "warmup": 0}
    assert Schedule.of("step", 0.1, 10, drop_every=5).describe() == {
        "name": "step", "warmup": 0, "drop_every": 5, "drop_factor": 0.1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "sine"}, "schedule: 'sine' is unknown"),
        ({"name": "cosine", "warmup": 10}, "warmup: 10; give a whole number from 0 to 9"),
        ({"name": "cosine", "final_lr": 0.2}, "final_lr: 0.2 is above lr, 0.1"),
        ({"name": "cosine", "final_lr": -0.2}, "final_lr: -0.2"),
        ({"name": "exponential"}, "final_lr: exponential decay never reaches 0"),
        ({"name": "exponential", "final_lr": 0.0}, "final_lr: 0.0"),
        ({"name": "constant", "final_lr": 0.0}, "final_lr: 0.0, but the constant schedule has no final_lr"),
        ({"name": "step"}, "drop_every: the step schedule needs it"),
        ({"name": "step", "drop_every": 0}, "drop_every: 0"),
        ({"name": "step", "drop_every": 2, "drop_factor": 1.0}, "drop_factor: 1.0; give a finite number > 0 and < 1"),
        ({"name": "linear", "drop_every": 2}, "drop_every: 2, but the linear schedule has no drop_every"),
    ],
)
def test_bad_schedules_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Schedule.of(lr=0.1, steps=10, **options)
