"""The one exception for input that the user can mend."""


class InputError(ValueError):
    """Input outside what ufmflow allows: the message names the argument, its value, what is allowed and the fix.

    The command line turns it into one sentence and exit code 2.
    """
