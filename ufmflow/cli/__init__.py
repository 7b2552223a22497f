"""The command line: a thin layer over the public names.

Exit codes: 0 success; 1 a forecast that its run does not confirm, or an integration that fails; 2 bad input.
"""

import sys
from typing import NoReturn

import typer

from ..theory.errors import InputError
from .advice import plan
from .exact import derive, prove
from .forecasts import crosscheck, forecast, reproduce
from .measures import gram, value
from .simulations import phase, simulate, sweep
from .soft_labels import crossover, targets
from .training import train

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Derive, simulate and check gradient-flow dynamics of representations before neural collapse.",
)

VERBS = (
    derive, simulate, sweep, phase, train, forecast, crosscheck, value, targets, crossover, plan, gram, prove, reproduce,
)  # fmt: skip
for verb in VERBS:
    app.command()(verb)


def main() -> NoReturn:
    """Run the command line; bad input becomes one sentence on stderr and exit code 2."""
    try:
        app(standalone_mode=True)
    except InputError as error:
        typer.echo(f"ufmflow: {error}", err=True)
        sys.exit(2)
    except RuntimeError as error:
        from ..numerics.integrate import IntegrationError
        from ..numerics.sweep_errors import SweepError

        if not isinstance(error, (IntegrationError, SweepError)):
            raise
        typer.echo(f"ufmflow: {error}", err=True)
        sys.exit(1)
    sys.exit(0)
