"""The command line: a thin layer over the public names.

All verbs have `--help` with examples, `--json` for machines and `--quiet`; results go to stdout, everything else to
stderr, and what an exit code means is said once, in EXIT_CODES.
"""

import os
import sys
from typing import Annotated, NoReturn

import typer

from ..theory.errors import InputError
from .advice import plan
from .configuration import config
from .diagnosis import doctor
from .exact import derive, prove
from .forecasts import crosscheck, forecast, reproduce
from .interrupts import EXIT_CODE, Interrupted, Verbs
from .measures import gram, value
from .simulations import phase, simulate, sweep
from .soft_labels import crossover, targets
from .training import train

EXIT_CODES = """\b
Exit codes:
  0    done
  1    a check that did not hold: a forecast not confirmed, a theorem not proved, a goal that nothing reaches; or runs of
       a sweep, an integration, or reading and writing that failed
  2    bad input; one sentence says what and how to mend it, and nothing is left half-written
  130  stopped by ctrl-C; what is finished is kept, and the same command goes on where a verb says so
"""

app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=EXIT_CODES,
)

VERBS = (
    derive, simulate, sweep, phase, train, forecast, crosscheck, value, targets, crossover, plan, gram, prove, reproduce,
    config, doctor,
)  # fmt: skip
for verb in VERBS:
    app.command()(verb)


def _print_version(asked: bool) -> None:
    if asked:
        from .. import __version__

        typer.echo(f"ufmflow {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Derive, simulate and check gradient-flow dynamics of representations before neural collapse."""


def main() -> NoReturn:
    """Run the command line; see EXIT_CODES."""
    try:
        app(standalone_mode=True)
    except InputError as error:
        _end(error, 2)
    except Interrupted as error:
        _end(error, EXIT_CODE)
    except KeyboardInterrupt:
        _end("interrupted.", EXIT_CODE)
    except OSError as error:
        where = "" if error.filename is None else f" {os.fspath(error.filename)!r}"
        why = error.strerror or error
        _end(f"writing or reading{where} failed: {why}; mend that and give the same command again.", 1)
    except RuntimeError as error:
        from ..numerics.integrate import IntegrationError
        from ..numerics.sweep_errors import SweepError

        if not isinstance(error, (IntegrationError, SweepError)):
            raise
        _end(error, 1)
    sys.exit(0)


def _end(why: object, code: int) -> NoReturn:
    typer.echo(f"ufmflow: {why}", err=True)
    sys.exit(code)
