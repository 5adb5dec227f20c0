"""Kernel settings of the network namespace in which the caller stands (`/proc/sys/net`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_ROOT: Final = Path("/proc/sys")


def _path(key: str) -> Path:
    return _ROOT.joinpath(*key.split("/")) if "/" in key else _ROOT.joinpath(*key.split("."))


def read(key: str) -> str | None:
    """Read a setting; None where the kernel has none of that name. Equivalent to: `sysctl KEY`.

    Write the key with slashes where an interface's name has a dot in it.
    """
    try:
        return _path(key).read_text().strip()
    except FileNotFoundError:
        return None


def write(key: str, value: str) -> None:
    """Change a setting. Equivalent to: `sysctl -w KEY=VALUE`."""
    _path(key).write_text(f"{value}\n")


def write_all(settings: dict[str, str]) -> None:
    """Change several settings, leaving out those that this kernel does not have."""
    for key, value in settings.items():
        if _path(key).exists():
            write(key, value)
