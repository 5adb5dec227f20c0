"""Overlay mounts, and how a layer says that something below it is gone.

One form serves both root and an ordinary user: the marks are `user.overlay.*` attributes (mount
option `userxattr`), and a whiteout is a character device 0:0, which the kernel lets anybody make
(vfs_mknod in fs/namei.c). Only where root works on a file system without `user.*` attributes
(a tmpfs before Linux 6.6) the marks are `trusted.overlay.*`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from natlab.kernel import syscalls

_PROBE: Final = "user.natlab"
_OPAQUE: Final = ("user.overlay.opaque", "trusted.overlay.opaque")
_WHITEOUT: Final = ("user.overlay.whiteout", "trusted.overlay.whiteout")
_WHOLE: Final = ["0", "0", "4294967295"]


def mount(
    target: str, lowers: Sequence[str], upper: str, work: str, source: str = "overlay"
) -> None:
    """Mount an overlay, the topmost of the lower directories first.

    The paths go through descriptors: no character in them has a meaning, and any number of
    layers fits into the one page that the kernel gives to mount options. The source is what
    `findmnt` calls it.

    Equivalent to: `mount -t overlay -o lowerdir=…,upperdir=…,workdir=…,userxattr none TARGET`.
    """
    with contextlib.ExitStack() as opened:

        def path(name: str) -> str:
            fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, fd)
            return f"/proc/self/fd/{fd}"

        options = [
            f"lowerdir={':'.join(map(path, lowers))}",
            f"upperdir={path(upper)}",
            f"workdir={path(work)}",
            "index=off",
            "userxattr" if marks(upper) == "user" else "redirect_dir=off",
        ]
        try:
            syscalls.mount(source, target, "overlay", data=",".join(options))
        except OSError as error:
            raise OSError(error.errno, f"overlay of {lowers[-1]}: {error.strerror}") from error


@functools.cache
def in_user_namespace() -> bool:
    """Whether this process's root is an ordinary user of the machine."""
    return Path("/proc/self/uid_map").read_text().split() != _WHOLE


def marks(directory: str) -> str:
    """Which attributes mark things in an overlay over that directory: `user` or `trusted`."""
    try:
        os.setxattr(directory, _PROBE, b"")
        os.removexattr(directory, _PROBE)
    except OSError:
        return "user" if in_user_namespace() else "trusted"
    return "user"


def make_opaque(directory: str) -> None:
    """Mark a layer's directory: nothing of the layers below shows in it."""
    os.setxattr(directory, f"{marks(directory)}.overlay.opaque", b"y")


def make_whiteout(path: str) -> None:
    """Mark a name as gone: nothing of the layers below shows under it."""
    os.mknod(path, stat.S_IFCHR, 0)


def is_opaque(directory: str) -> bool:
    """Whether nothing of the layers below shows in a layer's directory."""
    return any(_attribute(directory, name) == b"y" for name in _OPAQUE)


def is_whiteout(path: str, info: os.stat_result) -> bool:
    """Whether an entry of a layer says that the name is gone, in either of the kernel's forms."""
    if stat.S_ISCHR(info.st_mode):
        return info.st_rdev == 0
    if not stat.S_ISREG(info.st_mode) or info.st_size:
        return False
    return any(_attribute(path, name) is not None for name in _WHITEOUT)


@dataclass(frozen=True)
class Found:
    """What a name means in a pile of directories.

    Attributes:
        info: Of the topmost entry; None if there is none, or it is gone.
        directories: If it is a directory: those that are merged in it, the topmost first.
        hides: Whether anything below the pile would be hidden.
    """

    info: os.stat_result | None
    directories: tuple[str, ...]
    hides: bool


def look_up(pile: Sequence[str], name: str) -> Found:
    """Look a name up in directories that lie one upon another, as an overlay does."""
    info: os.stat_result | None = None
    merged: list[str] = []
    for directory in pile:
        path = f"{directory}/{name}"
        try:
            here = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        if not stat.S_ISDIR(here.st_mode):
            gone = info is not None or is_whiteout(path, here)
            return Found(info if gone else here, tuple(merged), hides=True)
        info = info or here
        merged.append(path)
        if is_opaque(path):
            return Found(info, tuple(merged), hides=True)
    return Found(info, tuple(merged), hides=False)


def _attribute(path: str, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return None
