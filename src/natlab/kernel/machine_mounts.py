"""What is mounted on a lab machine, and how it gets back to what was mounted there at first."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from natlab.kernel import files, syscalls
from natlab.model import mountinfo

SITE: Final = "/srv"
"""A directory of the machine's own, where a person may keep files; empty at first (hier(7))."""

_FIRST: Final = Path("/run/natlab/mounts")
_SAFE: Final = syscalls.MS_NOSUID | syscalls.MS_NODEV


def add_site() -> None:
    """Give a new machine its own `/srv`. Equivalent to: `mount -t tmpfs none /srv`."""
    if Path(SITE).is_dir():
        syscalls.mount("none", SITE, "tmpfs", _SAFE, "mode=755")


def remember() -> None:
    """Note what is mounted now, as the machine's first state."""
    numbers = (str(mount.number) for mount in _mounts())
    _FIRST.parent.mkdir(parents=True, exist_ok=True)
    _FIRST.write_text(" ".join(numbers))


def go_back() -> None:
    """Take away what was mounted since, and empty `/srv`."""
    if not _FIRST.is_file():
        return
    first = set(map(int, _FIRST.read_text().split()))
    for mount in reversed(_mounts()):
        if mount.number not in first:
            with contextlib.suppress(OSError):  # out of sight, below another mount
                syscalls.umount(mount.target)
    if mountinfo.at(_mounts(), SITE) is not None:
        files.remove_trees(*(f"{SITE}/{name}" for name in files.list_directory(SITE)))


def _mounts() -> list[mountinfo.MountPoint]:
    text = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    return mountinfo.parse(text)
