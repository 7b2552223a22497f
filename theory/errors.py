"""The one exception for input that the user can mend, and what its messages have in common."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class InputError(ValueError):
    """Input outside what ufmflow allows: the message names the argument, its value, what is allowed and the fix.

    The command line turns it into one sentence and exit code 2.
    """


def nearest(value: Any, allowed: Iterable[str]) -> str:
    """For a message: which of the allowed names a misspelt one is close to; nothing when it is close to none.

    Examples
    --------
    >>> nearest("spheer", ("free", "sphere")), nearest("hinge", ("mse", "cross_entropy"))
    (", perhaps 'sphere' is meant", '')
    """
    found = get_close_matches(value, list(allowed), n=1) if isinstance(value, str) else []
    return f", perhaps {found[0]!r} is meant" if found else ""
