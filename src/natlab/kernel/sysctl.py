"""Kernel settings of the network namespace in which the caller stands (`/proc/sys/net`)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_ROOT: Final = "/proc/sys"


def _path(key: str) -> str:
    return f"{_ROOT}/{key if '/' in key else key.replace('.', '/')}"


def read(key: str) -> str | None:
    """Read a setting; None where the kernel has none of that name. Equivalent to: `sysctl KEY`.

    Write the key with slashes where an interface's name has a dot in it.
    """
    try:
        return Path(_path(key)).read_text().strip()
    except FileNotFoundError:
        return None


def write(key: str, value: str) -> None:
    """Change a setting. Equivalent to: `sysctl -w KEY=VALUE`."""
    fd = os.open(_path(key), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, f"{value}\n".encode())
    finally:
        os.close(fd)


def write_all(settings: Mapping[str, str]) -> None:
    """Change several settings, leaving out those that this kernel does not have."""
    for key, value in settings.items():
        with contextlib.suppress(FileNotFoundError):
            write(key, value)
