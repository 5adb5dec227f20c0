"""The system calls that Python lacks (or has only in newer versions), each raising `OSError`.

`os.unshare` and `os.setns` came with Python 3.12 and mount(2) is in no version, so all of
them go through libc here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_SYNCHRONOUS: Final = 16
MS_DIRSYNC: Final = 128
MS_NOATIME: Final = 1024
MS_NODIRATIME: Final = 2048
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MS_SHARED: Final = 1 << 20
MS_RELATIME: Final = 1 << 21
MS_STRICTATIME: Final = 1 << 24
MNT_DETACH: Final = 2

RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10

_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_SYS_CLOSE_RANGE: Final = 436
_CLOSE_RANGE_CLOEXEC: Final = 4
_LAST_FD: Final = 0xFFFFFFFF
_SYS_OPENAT2: Final = 437  # the same number on every architecture, as mount_setattr's is
_SYS_OPEN_TREE: Final = 428
_SYS_MOVE_MOUNT: Final = 429
_SYS_MOUNT_SETATTR: Final = 442
_MOUNT_ATTR_RDONLY: Final = 1
_RENAME_NOREPLACE: Final = 1
_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 4
_CAP_SYS_ADMIN: Final = 21

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces. Equivalent to: `unshare …`."""
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare({flags:#x})")


def setns(fd: int, kind: int = 0) -> None:
    """Move the calling thread into the namespace behind a descriptor. Equivalent to: `nsenter`."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a file system or change a mount. Equivalent to: `mount -t FSTYPE SOURCE TARGET`."""
    result = _libc.mount(
        source.encode(), target.encode(), fstype.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _check(result, f"mount {source} on {target}")


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """Detach a mount. Equivalent to: `umount --lazy TARGET`."""
    _check(_libc.umount2(target.encode(), ctypes.c_int(flags)), f"umount {target}")


def sethostname(name: str) -> None:
    """Name this machine. Equivalent to: `hostname NAME`."""
    raw = name.encode()
    _check(_libc.sethostname(raw, ctypes.c_size_t(len(raw))), f"sethostname {name}")


def setdomainname(name: str) -> None:
    """Set the NIS domain name. Equivalent to: `domainname NAME`."""
    raw = name.encode()
    _check(_libc.setdomainname(raw, ctypes.c_size_t(len(raw))), f"setdomainname {name}")


def pivot_root(new_root: str, put_old: str) -> None:
    """Make a mount the root of this mount namespace. Equivalent to: `pivot_root NEW OLD`."""
    _check(_libc.pivot_root(new_root.encode(), put_old.encode()), f"pivot_root {new_root}")


def open_in_root(root: int, path: str, flags: int, resolve: int = RESOLVE_IN_ROOT) -> int:
    """Open a path as a process would whose root is the directory `root` (openat2(2)).

    Absolute links and `..` stay below that root, whatever anybody does there meanwhile; with
    other flags than `RESOLVE_IN_ROOT` they are an error.

    Where somebody on this machine renames or mounts something at that moment, the kernel does not
    know whether a `..` stayed inside, and wants to be asked again (EAGAIN).
    """
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, resolve)
    raw = os.fsencode(path) or b"."
    while True:
        result = _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(root), raw, how, ctypes.c_size_t(len(how))
        )
        if result >= 0:
            return int(result)
        code = ctypes.get_errno()
        if code != errno.EAGAIN:
            raise OSError(code, os.strerror(code), path)


def can_clone_mount(path: str) -> bool:
    """Whether a directory can be had without what is mounted in it, as an overlay wants it.

    Not if a mount in it is locked, which hides something from this user namespace.
    """
    fd = _libc.syscall(
        ctypes.c_long(_SYS_OPEN_TREE),
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(path),
        ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC),
    )
    if fd < 0:
        return False
    os.close(fd)
    return True


def rename_new(source: int, name: str, target: int) -> None:
    """Move a name from one open directory to another, over nothing (renameat2(2)).

    Raises:
        FileExistsError: the name is there already.
    """
    raw = os.fsencode(name)
    result = _libc.renameat2(
        ctypes.c_int(source), raw, ctypes.c_int(target), raw, ctypes.c_uint(_RENAME_NOREPLACE)
    )
    _check(result, name)


def clone_mount(path: str) -> int:
    """Make a mount of a directory that is nowhere yet; its descriptor can be put anywhere.

    Equivalent to: the first half of `mount --bind`; `attach_mount` is the other.
    """
    fd = _libc.syscall(
        ctypes.c_long(_SYS_OPEN_TREE),
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(path),
        ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC),
    )
    return _check(int(fd), f"open_tree {path}")


def attach_mount(fd: int, target: str) -> None:
    """Put a mount of `clone_mount` on a directory of this mount namespace."""
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOVE_MOUNT),
        ctypes.c_int(fd),
        b"",
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )
    _check(int(result), f"move_mount to {target}")


def make_read_only(fd: int, *, recursive: bool = True) -> None:
    """Make a mount, and all that is mounted in it, read-only; its other flags stay.

    Equivalent to: `mount -o remount,bind,ro`, for each of them.
    """
    wanted = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(fd),
        b"",
        ctypes.c_uint(_AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)),
        wanted,
        ctypes.c_size_t(len(wanted)),
    )
    _check(result, "mount_setattr")


def close_at_exec(first: int) -> None:
    """Let no descriptor from that number on outlive the next exec (close_range(2))."""
    result = _libc.syscall(
        ctypes.c_long(_SYS_CLOSE_RANGE),
        ctypes.c_uint(first),
        ctypes.c_uint(_LAST_FD),
        ctypes.c_uint(_CLOSE_RANGE_CLOEXEC),
    )
    _check(result, "close_range")


def knows_capability(number: int) -> bool:
    """Whether this kernel has a capability of that number (`PR_CAPBSET_READ`)."""
    return bool(_libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(number), 0, 0, 0) >= 0)


def forbid_capability(number: int) -> None:
    """Take a capability away from whatever this process will execute (`PR_CAPBSET_DROP`)."""
    _check(_libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0), f"capability {number}")


def clear_ambient_capabilities() -> None:
    """Pass no capability on to a program for its mere being started (`PR_CAP_AMBIENT`)."""
    zeros = [ctypes.c_ulong(0)] * 3
    _check(_libc.prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_PR_CAP_AMBIENT_CLEAR_ALL), *zeros), "prctl")


def die_with_parent(signal_number: int) -> None:
    """Ask for a signal when the thread that created this process ends (`PR_SET_PDEATHSIG`)."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number)), "prctl")


def has_sys_admin() -> bool:
    """Tell whether this process may create namespaces without a user namespace of its own."""
    with Path("/proc/thread-self/status").open(encoding="ascii") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False
