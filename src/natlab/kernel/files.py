"""Files and directories of the machine in which the caller stands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from natlab.kernel.wire import Fd


def write_all(texts: Mapping[str, str], mode: int = 0o644) -> None:
    """Write files, each over what was in it: who has one mounted sees the new text.

    Directories are made as needed.
    """
    for name, text in texts.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)


def make_directories(*names: str) -> None:
    """Make directories, and those above them; already there is fine. Compare: `mkdir -p`."""
    for name in names:
        Path(name).mkdir(parents=True, exist_ok=True)


def open_directory(name: str) -> Fd:
    """Make a directory if it is missing, and hand it over: who has it needs no path to it.

    With it, `/proc/PID/fd/NUMBER` of the process that holds it leads there, from outside the
    machine too; that way is gone as soon as the process is.
    """
    Path(name).mkdir(parents=True, exist_ok=True)
    return Fd(os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


def missing(*names: str) -> list[str]:
    """Those of the names that nothing has."""
    return [name for name in names if not os.path.exists(name)]  # noqa: PTH110 - never raises


def remove_trees(*names: str) -> None:
    """Remove files and directories with all that is in them. Compare: `rm -rf`.

    Already gone is fine; links are removed, never followed.
    """
    for name in names:
        path = Path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def read_all(*names: str) -> dict[str, str]:
    """The texts of those files that are there."""
    return {name: Path(name).read_text() for name in names if Path(name).is_file()}


def list_directory(name: str) -> list[str]:
    """The names in a directory, sorted; none if it is not there."""
    path = Path(name)
    return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
