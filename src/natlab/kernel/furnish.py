"""What every container has of its own: `/proc`, `/sys` and `/dev`, and what is hidden in them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from natlab.errors import ExecError
from natlab.kernel import syscalls
from natlab.kernel.inside import Inside
from natlab.kernel.mounting import seal

_SAFE: Final = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS: Final = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
}
_MASKED: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
"""moby, daemon/pkg/oci/defaults.go: MaskedPaths."""

_SEALED: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""The same file: ReadonlyPaths."""


def furnish(inside: Inside, *, privileged: bool, shm_size: int, sysctls: Mapping[str, str]) -> None:
    """Mount them, by a process of the container's own namespaces.

    Raises:
        ExecError: a setting of `sysctls` cannot be written.
        OSError: the kernel refuses a mount.
    """
    for name in ("/proc", "/sys", "/dev"):
        inside.make(name, directory=True)
    _mount(inside, "/proc", "proc", _SAFE)
    _mount_sys(inside, privileged=privileged)
    _mount_dev(inside, shm_size)
    _write_sysctls(inside, sysctls)
    if not privileged:
        _hide(inside)


def _mount(inside: Inside, path: str, kind: str, flags: int, data: str = "") -> None:
    with inside.at(path) as target:
        syscalls.mount(kind, target, kind, flags, data)


def _mount_sys(inside: Inside, *, privileged: bool) -> None:
    """Where the kernel refuses a fresh one, the machine's; see `machine_made.mount_sys`."""
    try:
        _mount(inside, "/sys", "sysfs", _SAFE | (0 if privileged else syscalls.MS_RDONLY))
    except PermissionError:
        with inside.at("/sys") as target:
            syscalls.mount("/sys", target, flags=syscalls.MS_BIND | syscalls.MS_REC)
        if not privileged:
            seal(inside, "/sys")


def _mount_dev(inside: Inside, shm_size: int) -> None:
    """The devices are the machine's, bound: an ordinary user may not make any."""
    _mount(inside, "/dev", "tmpfs", syscalls.MS_NOSUID, "mode=755,size=65536k")
    with inside.at("/dev") as dev:
        for name in _DEVICES:
            Path(dev, name).touch()
            syscalls.mount(f"/dev/{name}", f"{dev}/{name}", flags=syscalls.MS_BIND)
        for name, target in _LINKS.items():
            Path(dev, name).symlink_to(target)
        for name in ("pts", "shm", "mqueue"):
            Path(dev, name).mkdir()
        _mount_pts(f"{dev}/pts")
        shm = f"mode=1777,size={shm_size}"
        syscalls.mount("shm", f"{dev}/shm", "tmpfs", _SAFE, shm)
        with contextlib.suppress(OSError):  # a kernel without message queues
            syscalls.mount("mqueue", f"{dev}/mqueue", "mqueue", _SAFE)


def _mount_pts(target: str) -> None:
    flags = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    options = "newinstance,ptmxmode=0666,mode=620"
    try:
        syscalls.mount("devpts", target, "devpts", flags, f"{options},gid=5")
    except OSError:  # an ordinary user has no group 5
        syscalls.mount("devpts", target, "devpts", flags, options)


def _write_sysctls(inside: Inside, sysctls: Mapping[str, str]) -> None:
    """Equivalent to: `sysctl -w KEY=VALUE`."""
    for key, value in sysctls.items():
        path = f"/proc/sys/{key.replace('.', '/')}"
        try:
            with inside.at(path) as there:
                Path(there).write_text(value)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ExecError(f"open {path.removeprefix('/proc/')}: {reason}") from error


def _hide(inside: Inside) -> None:
    for path in _MASKED:
        with contextlib.suppress(FileNotFoundError), inside.at(path) as target:
            if os.path.isdir(target):  # noqa: PTH112 - a magic link
                syscalls.mount("tmpfs", target, "tmpfs", syscalls.MS_RDONLY, "size=0k")
            else:
                syscalls.mount("/dev/null", target, flags=syscalls.MS_BIND)
    for path in _SEALED:
        with contextlib.suppress(FileNotFoundError):
            with inside.at(path) as target:
                syscalls.mount(target, target, flags=syscalls.MS_BIND | syscalls.MS_REC)
            seal(inside, path)
