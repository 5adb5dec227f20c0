"""A volume's files, by descriptor: opened beneath their directory, and dressed like others."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from typing import Final

from natlab.kernel import overlays, syscalls
from natlab.model.mount_points import DATA, VOLUMES

COPYING: Final = ".copying"
READY: Final = ".ready"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BENEATH: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS


@contextlib.contextmanager
def root() -> Iterator[int]:
    """The directory of all volumes, as a descriptor; made anew if somebody took it away."""
    try:
        fd = os.open(VOLUMES, _DIRECTORY)
    except FileNotFoundError:
        os.makedirs(VOLUMES, mode=0o701, exist_ok=True)  # noqa: PTH103 - as the rest here
        fd = os.open(VOLUMES, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def opened(directory: int, path: str, flags: int = os.O_RDONLY | os.O_DIRECTORY) -> Iterator[int]:
    """What is at a path beneath a directory, as a descriptor; no link on the way is followed."""
    fd = syscalls.open_in_root(directory, path, flags, _BENEATH)
    try:
        yield fd
    finally:
        os.close(fd)


def names(directory: int) -> list[str]:
    """What is in an open directory, sorted."""
    return sorted(os.listdir(directory))


def open_data(name: str, subpath: str = "") -> int:
    """Open a volume's files to be mounted; links in a subpath stay in the volume.

    Raises:
        OSError: there is no such volume, or no such directory in it.
    """
    with root() as directory, opened(directory, f"{name}/{DATA}", os.O_PATH) as data:
        if subpath:
            return syscalls.open_in_root(data, subpath, os.O_PATH)
        return os.dup(data)


def move_in(inside: int) -> None:
    """Bring a complete copy of an image's directory into a volume's own.

    Entry by entry, so that who has the volume mounted sees them; the directory itself stays. A
    name that has been given there meanwhile stays what it is.
    """
    with opened(inside, READY) as ready, opened(inside, DATA) as data:
        times = _times(os.fstat(ready))
        for name in names(ready):
            with contextlib.suppress(FileExistsError):
                syscalls.rename_new(ready, name, data)
        like(data, ready)
        os.utime(data, ns=times)
    shutil.rmtree(READY, dir_fd=inside)


def like(fd: int, source: int) -> None:
    """Give an open file or directory the owner, mode, attributes and times of another one.

    In an ordinary user's lab whoever is not there in its user namespace becomes root, and an
    attribute that may not be set there is left out.
    """
    tolerated = (errno.EPERM, errno.EINVAL) if overlays.in_user_namespace() else ()
    info = os.fstat(source)
    with _tolerated(*tolerated):
        os.fchown(fd, info.st_uid, info.st_gid)
    os.fchmod(fd, stat.S_IMODE(info.st_mode))
    for name in os.listxattr(source):
        if ".overlay." not in name and name != "security.selinux":
            with _tolerated(*tolerated, errno.EOPNOTSUPP):
                os.setxattr(fd, name, os.getxattr(source, name))
    os.utime(fd, ns=_times(info))


def _times(info: os.stat_result) -> tuple[int, int]:
    return info.st_atime_ns, info.st_mtime_ns


@contextlib.contextmanager
def _tolerated(*codes: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in codes:
            raise
