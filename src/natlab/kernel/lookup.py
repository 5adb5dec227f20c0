"""Finding a program as Docker finds it, and saying in Docker's words why it cannot be run."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from natlab.errors import ExecError

NOT_FOUND: Final = 127
CANNOT_RUN: Final = 126


def find(name: str, path: str | None) -> str:
    """The file that a program's name means in this root (Go's `exec.LookPath`).

    Raises:
        ExecError: there is none (127), or it is not to be executed (126).
    """
    if "/" in name:
        _check(name)
        return name
    for directory in (path or "").split(":"):
        candidate = f"{directory}/{name}"
        if name and directory.startswith("/") and _problem(candidate) is None:
            return candidate
    raise ExecError(f'exec: "{name}": executable file not found in $PATH', NOT_FOUND)


def _check(name: str) -> None:
    problem = _problem(name)
    if problem in (errno.ENOENT, errno.ENOTDIR):
        text = os.strerror(problem).lower()
        raise ExecError(f'exec: "{name}": stat {name}: {text}', NOT_FOUND)
    if problem:
        raise ExecError(f'exec: "{name}": {os.strerror(problem).lower()}', CANNOT_RUN)


def _problem(path: str) -> int | None:
    """Why a file cannot be executed, as an error number; None if it can."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - the error's number is the answer
    except OSError as error:
        return error.errno
    if stat.S_ISDIR(mode):
        return errno.EISDIR
    if not mode & 0o111 or not os.access(path, os.X_OK, effective_ids=True):
        return errno.EACCES
    return None


def execute(path: str, argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Become a program.

    Raises:
        ExecError: the kernel refuses it, or its interpreter is missing.
    """
    try:
        os.execve(path, list(argv), dict(env))  # noqa: S606 - a container's command, no shell
    except OSError as error:
        code = NOT_FOUND if error.errno == errno.ENOENT else CANNOT_RUN
        raise ExecError(f"exec {path}: {(error.strerror or '').lower()}", code) from error
