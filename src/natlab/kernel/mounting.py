"""What is mounted in a container besides its files: what `docker run -v` and `--tmpfs` ask for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Final

from natlab.errors import ExecError
from natlab.kernel import syscalls, volume_files
from natlab.kernel.inside import Inside
from natlab.kernel.rootfs import Mount
from natlab.model.mount_points import DATA, VOLUMES

_FLAGS: Final = {
    "ro": syscalls.MS_RDONLY,
    "nosuid": syscalls.MS_NOSUID,
    "nodev": syscalls.MS_NODEV,
    "noexec": syscalls.MS_NOEXEC,
    "sync": syscalls.MS_SYNCHRONOUS,
    "dirsync": syscalls.MS_DIRSYNC,
    "noatime": syscalls.MS_NOATIME,
    "nodiratime": syscalls.MS_NODIRATIME,
    "relatime": syscalls.MS_RELATIME,
    "strictatime": syscalls.MS_STRICTATIME,
}
_POSITIVE: Final = {
    "rw": "ro",
    "suid": "nosuid",
    "dev": "nodev",
    "exec": "noexec",
    "async": "sync",
    "atime": "noatime",
    "diratime": "nodiratime",
    "norelatime": "relatime",
    "nostrictatime": "strictatime",
}


def mount_all(inside: Inside, mounts: tuple[Mount, ...]) -> None:
    """Mount things in a container's root, in the order given.

    Raises:
        ExecError: one of them cannot be mounted; the message names it.
    """
    for mount in mounts:
        try:
            if mount.kind == "tmpfs":
                _tmpfs(inside, mount)
            else:
                _bind(inside, mount)
        except OSError as error:
            raise ExecError(
                f'error mounting "{_called(mount)}" to rootfs at "{mount.target}":'
                f" {os.strerror(error.errno or 0).lower()}"
            ) from error


def _called(mount: Mount) -> str:
    """What a message calls the source."""
    if mount.kind == "volume":
        return f"{VOLUMES}/{mount.source}/{DATA}"
    return mount.source or mount.kind


def _bind(inside: Inside, mount: Mount) -> None:
    """Equivalent to: `mount --rbind SOURCE ROOT/TARGET`, and `mount -o remount,bind,ro`."""
    source = _open_source(mount)
    try:
        inside.make(mount.target, directory=stat.S_ISDIR(os.fstat(source).st_mode))
        with inside.at(mount.target) as target:
            flags = syscalls.MS_BIND | (syscalls.MS_REC if mount.recursive else 0)
            syscalls.mount(f"/proc/self/fd/{source}", target, flags=flags)
    finally:
        os.close(source)
    if mount.read_only:
        seal(inside, mount.target, deep=mount.deep)


def _open_source(mount: Mount) -> int:
    """What is to be mounted, held fast: whatever happens to its name meanwhile."""
    if mount.kind == "volume":
        return volume_files.open_data(mount.source, mount.subpath)
    try:
        return os.open(mount.source, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ExecError(
            f'invalid mount config for type "bind": bind source path does not exist: {mount.source}'
        ) from None


def _tmpfs(inside: Inside, mount: Mount) -> None:
    """Equivalent to: `mount -t tmpfs -o OPTIONS tmpfs ROOT/TARGET`."""
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC  # Docker's own
    data = []
    for option in filter(None, mount.options.split(",")):
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option in _POSITIVE:
            flags &= ~_FLAGS[_POSITIVE[option]]
        elif option == "defaults":
            continue
        else:
            data.append(option)
    inside.make(mount.target, directory=True)
    if not any(option.startswith("mode=") for option in data):
        data.append("mode=1777")
    with inside.at(mount.target) as target:
        syscalls.mount("tmpfs", target, "tmpfs", flags, ",".join(data))
    if mount.read_only:
        seal(inside, mount.target)


def seal(inside: Inside, path: str, *, deep: bool = True) -> None:
    """Make what is mounted there, and below, read-only."""
    with inside.at(path) as target:
        syscalls.make_read_only(int(target.rpartition("/")[2]), recursive=deep)


def seal_trees(mounted: Iterable[str]) -> None:
    """Make the mounts of a tree read-only, but not what is mounted in it besides."""
    for path in mounted:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.make_read_only(fd, recursive=False)
        finally:
            os.close(fd)
