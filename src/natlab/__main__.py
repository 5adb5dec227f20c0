"""`python -m natlab` is `natlab`."""

from natlab.cli import main

main()
