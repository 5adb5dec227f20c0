"""The command line: thin, no logic; one clear line for every error.

Exit codes: 0 well, 1 a check failed or something could not be done, 2 wrong usage, 3 a checker
broke, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys

from natlab.errors import NatlabError, UsageError

USAGE, INTERRUPTED = 2, 130


def main() -> None:
    """Run the command line and leave with its exit code."""
    from natlab.cli.app import app

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # who reads along in a pipe sees each line
    try:
        app(prog_name="natlab")
    except UsageError as error:
        _leave(str(error), USAGE)
    except NatlabError as error:
        _leave(str(error), 1)
    except KeyboardInterrupt:
        _leave("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone: `natlab show 4 | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _leave(message: str, code: int) -> None:
    print(f"natlab: {message}", file=sys.stderr)  # noqa: T201 - the program's one error line
    sys.exit(code)
