"""The sandbox: the namespaces in which a whole lab lives, made by the process that enters them.

As root it is a network, mount, process, IPC and UTS namespace; an ordinary user gets a user
namespace around them, in which that user is root. The first process inside is process 1 of
the sandbox: the kernel kills everything else there when it ends.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from natlab.errors import UnsupportedError
from natlab.kernel import syscalls

_INNER = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
)


def unshare_sandbox() -> None:
    """Move this single-threaded process into a new sandbox; the next child is its process 1.

    Equivalent to: `unshare --map-root-user --net --mount --pid --uts --ipc --fork`.

    Raises:
        UnsupportedError: no privilege and no user namespaces; the message has the remedy.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        if not syscalls.has_sys_admin():
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            _map_to_root(uid, gid)
        syscalls.unshare(_INNER)
    except OSError as error:
        raise UnsupportedError(f"{refusal(error)}: {remedy()}") from error


def _map_to_root(uid: int, gid: int) -> None:
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def furnish_sandbox() -> None:
    """Give process 1 of a new sandbox its own view: private mounts, `/proc`, `/run`.

    Raises:
        UnsupportedError: a mount is refused, as in a container that sees only part of `/proc`.
    """
    safe = syscalls.MS_NOSUID | syscalls.MS_NODEV
    try:
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("proc", "/proc", "proc", safe | syscalls.MS_NOEXEC)
        syscalls.mount("none", "/run", "tmpfs", safe, "mode=755")
    except OSError as error:
        raise UnsupportedError(
            f"this machine lets no sandbox be furnished ({error.strerror}): in a container, give"
            " it its whole /proc (docker run --security-opt systempaths=unconfined), or use a"
            " virtual machine"
        ) from error


def refusal(error: OSError) -> str:
    """Say in words why namespaces could not be made."""
    if error.errno == errno.ENOSPC:
        return "this machine allows no more namespaces (a limit in /proc/sys/user is reached)"
    return f"this user may not make namespaces ({os.strerror(error.errno or errno.EPERM)})"


def remedy() -> str:
    """What to do where user namespaces are refused, read from this machine's own settings."""
    known = {
        "kernel/unprivileged_userns_clone": (
            "0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        "user/max_user_namespaces": ("0", "sudo sysctl -w user.max_user_namespaces=15000"),
        "kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    }
    for key, (bad, command) in known.items():
        path = Path("/proc/sys", key)
        if path.exists() and path.read_text().strip() == bad:
            return f"run `{command}`, or run natlab as root"
    return "run natlab as root, or allow user namespaces (`natlab doctor` tells how)"
