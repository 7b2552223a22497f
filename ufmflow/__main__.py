"""`python -m ufmflow`: the command line."""

from .cli import main

main()
