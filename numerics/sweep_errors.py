"""Why a sweep stopped before its end, other than by its input."""


class SweepError(RuntimeError):
    """A sweep could not go on: a full disk, a lost scheduler, workers that keep dying.  What is finished is kept."""
