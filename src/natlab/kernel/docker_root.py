"""`/var/lib/docker` of a lab machine: its own, whatever the real machine has there.

It is a file system in memory that lasts as long as the lab machine. Where the real machine has
no such directory, a `/var/lib` with one is laid over its own: nothing is made on the real machine,
and everything else in `/var/lib` is what it was.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from natlab.kernel import overlays, skeleton, syscalls

DIRECTORY: Final = "/var/lib/docker"
SOURCE: Final = "natlab"
"""What `findmnt` says of a mount that is a lab machine's own."""
_LIBRARY: Final = "/var/lib"
_OWN: Final = "/run/natlab/lib"
"""Where the changes of a lab machine's `/var/lib` are."""


def furnish() -> None:
    """Give a new lab machine its `/var/lib/docker`, in its own mount namespace."""
    if not Path(DIRECTORY).is_dir():
        _make_room()
    syscalls.mount(SOURCE, DIRECTORY, "tmpfs", data="mode=710")


def renew() -> None:
    """Give a lab machine an empty `/var/lib/docker` again; what was in memory there is gone.

    A directory of the real machine that was mounted there is let go, and stays as it is.
    """
    if not Path(DIRECTORY).is_dir():
        return
    if os.path.ismount(DIRECTORY):
        syscalls.umount(DIRECTORY)
    syscalls.mount(SOURCE, DIRECTORY, "tmpfs", data="mode=710")


def hide(path: str, target: str) -> None:
    """Show nothing of `/var/lib/docker` where a directory above it was bound: no volume of others.

    Args:
        path: The directory of the lab host.
        target: Where it was bound, in the mount namespace of a container.
    """
    inner = DIRECTORY.removeprefix(path)
    if inner != DIRECTORY and os.path.ismount(target + inner):
        syscalls.umount(target + inner)


def _make_room() -> None:
    upper, work = f"{_OWN}/upper", f"{_OWN}/work"
    skeleton.dress(upper, _LIBRARY)
    Path(work).mkdir()
    Path(upper, "docker").mkdir(mode=0o710)
    try:
        overlays.mount(_LIBRARY, [_LIBRARY], upper, work, source=SOURCE)
    except OSError:  # an overlay of an overlay, and no more of that
        _bind_everything(upper)


def _bind_everything(directory: str) -> None:
    """Show all of `/var/lib` in a directory, beside `docker`, and the directory in its place."""
    for entry in sorted(Path(_LIBRARY).iterdir()):
        there = Path(directory, entry.name)
        if entry.is_symlink():
            there.symlink_to(entry.readlink())
            continue
        there.mkdir(exist_ok=True) if entry.is_dir() else there.touch()
        with contextlib.suppress(OSError):  # what may not be seen is not shown
            syscalls.mount(str(entry), str(there), flags=syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.mount(directory, _LIBRARY, flags=syscalls.MS_BIND | syscalls.MS_REC)
