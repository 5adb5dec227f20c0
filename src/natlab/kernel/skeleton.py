"""Directories, links and small files: what lies below a container's layers, and what is copied.

Whatever is below the layers of an image shows where the image has nothing. So the places that
every container needs are there without being changes of the container (Docker has a layer of
its own for that, `init`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_COPIED: Final = 1 << 20
"""Files larger than this are left out of a skeleton: a swap file is nobody's business."""


def add_mount_points(directory: str) -> None:
    """Make what is mounted over in every container, and Docker's own mark."""
    root = Path(directory)
    for name in ("proc", "sys", "dev", "etc"):
        (root / name).mkdir(exist_ok=True)
    for name in ("etc/hosts", "etc/hostname", "etc/resolv.conf", ".dockerenv"):
        (root / name).touch()


def copy(source: str, target: str) -> list[str]:
    """Copy a directory's bones: empty directories, links, small files; returns the directories.

    What this user may not read is left out, but for the directories themselves.
    """
    directories = []
    with os.scandir(source) as entries:
        for entry in entries:
            there = f"{target}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), there)  # noqa: PTH211, PTH115 - as it is
            elif entry.is_dir():
                os.mkdir(there)  # noqa: PTH102 - hot
                like(there, entry.path)
                directories.append(entry.name)
            elif entry.is_file() and entry.stat().st_size <= _COPIED:
                with contextlib.suppress(PermissionError):
                    shutil.copyfile(entry.path, there)
                    like(there, entry.path)
    return sorted(directories)


def dress(directory: str, source: str) -> bool:
    """Make a directory that looks like another one, unless it is there; says if it was made."""
    if Path(directory).is_dir():
        return False
    Path(directory).mkdir(parents=True)
    like(directory, source)
    return True


def like(path: str, source: str) -> None:
    """Give a file or directory the mode, owner and time of another one, as far as one may."""
    info = os.stat(source)  # noqa: PTH116 - hot
    with contextlib.suppress(OSError):
        os.chown(path, info.st_uid, info.st_gid)
    os.chmod(path, stat.S_IMODE(info.st_mode))  # noqa: PTH101 - hot
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def take_over(lowers: Sequence[str], upper: str) -> None:
    """Make the directories of an overlay the container's own, one level deep.

    For an ordinary user: a directory of the machine's root belongs to a user that is not there in
    the user namespace, so nobody in it may make a file there. One that lies in the upper
    directory belongs to the container's root.
    """
    seen: set[str] = set()
    for lower in lowers:
        with os.scandir(lower) as entries:
            for entry in entries:
                if entry.name in seen:
                    continue
                seen.add(entry.name)
                if entry.is_dir(follow_symlinks=False) and os.access(entry.path, os.R_OK | os.X_OK):
                    os.mkdir(f"{upper}/{entry.name}")  # noqa: PTH102 - hot
                    like(f"{upper}/{entry.name}", entry.path)
