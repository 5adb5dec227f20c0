"""What several groups of commands share."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

DEFAULT_LAB = "classroom"

Name = Annotated[
    str, typer.Option("--name", envvar="NATLAB_NAME", help="Which lab, if there are several.")
]


def say(text: str = "") -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
