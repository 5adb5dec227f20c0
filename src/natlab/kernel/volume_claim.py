"""An engine takes the volumes of a lab host over, and tidies up after one that was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from natlab.kernel import syscalls
from natlab.kernel.volume_files import COPYING, READY, move_in, names, opened, root
from natlab.kernel.volumes import GONE, NEW, OWN, read, read_meta
from natlab.kernel.wire import Fd
from natlab.model.mount_points import VOLUMES
from natlab.model.volume_names import is_volume_name


def lend(directory: str) -> Fd:
    """Make a mount of a directory of the machine, for `settle`; called in the sandbox itself.

    There it has the machine's own name: a lab host has its own `/run` and `/var/lib`.
    """
    return Fd(syscalls.clone_mount(directory))


def settle(kept: Fd | None = None) -> Fd:
    """Make the directory of volumes if it is missing, and claim it.

    The claim lasts as long as the descriptor that is given away.

    Args:
        kept: A directory of the machine that is to be it, as `lend` gives it.

    Raises:
        BlockingIOError: another engine has it.
        OSError: it cannot be made.
    """
    Path(VOLUMES).mkdir(mode=0o701, parents=True, exist_ok=True)
    mounted = kept is not None and not _is_same(kept.number)
    if kept is not None and mounted:
        syscalls.attach_mount(kept.number, VOLUMES)
    fd = os.open(VOLUMES, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        if mounted:
            syscalls.umount(VOLUMES)
        raise
    return Fd(fd)


def _is_same(kept: int) -> bool:
    """Whether it is there already, as an engine that was killed has left it."""
    return os.path.samestat(os.fstat(kept), os.stat(VOLUMES))  # noqa: PTH116 - for the comparison


def unsettle() -> None:
    """Let go of a directory of the machine; its volumes stay in it."""
    if os.path.ismount(VOLUMES):
        syscalls.umount(VOLUMES)


def sweep() -> list[str]:
    """Take away what an engine that was killed has left here; says of each what it was.

    Existing volumes stay as they are. A copy that was complete is brought to its end.
    """
    said = []
    with root() as directory:
        for name in names(directory):
            try:
                said += _sweep_one(directory, name)
            except OSError as error:
                said.append(f"{name} cannot be tidied up: {error.strerror or error}")
    return said


def _sweep_one(directory: int, name: str) -> list[str]:
    if name.startswith(OWN) and name.endswith((NEW, GONE)):
        what = "made" if name.endswith(NEW) else "removed"
        shutil.rmtree(name, dir_fd=directory)
        return [f"took away {name}, a volume that was being {what}"]
    if is_volume_name(name) and _is_temporary(directory, name):
        gone = f"{OWN}{name}{GONE}"
        os.rename(name, gone, src_dir_fd=directory, dst_dir_fd=directory)
        shutil.rmtree(gone, dir_fd=directory)
        return [f"took away volume {name}, which was to go with its container"]
    return _sweep_volume(directory, name) if read(directory, name) is not None else []


def _is_temporary(directory: int, name: str) -> bool:
    try:
        with opened(directory, name) as inside:
            return read_meta(inside).get("Temporary") is True
    except OSError:  # no directory
        return False


def _sweep_volume(directory: int, name: str) -> list[str]:
    said = []
    with opened(directory, name) as inside:
        if COPYING in names(inside):
            shutil.rmtree(COPYING, dir_fd=inside)
            said.append(f"took away a copy into volume {name} that was not complete")
        if READY in names(inside):
            move_in(inside)
            said.append(f"brought a copy into volume {name} to its end")
    return said
