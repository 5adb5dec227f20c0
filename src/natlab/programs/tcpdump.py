"""Runs the real tcpdump in a user namespace that has no other user to become.

As root, tcpdump changes to the user `tcpdump` after it has opened the interface. In a user
namespace with only one user that fails, although there is no privilege to drop: root inside is
an ordinary user outside. A seccomp filter lets those calls (setuid, setgid, setgroups and kin)
succeed without doing anything; everything else is the real program.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import sys
from pathlib import Path

REAL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_CALLS = {
    "x86_64": (105, 106, 113, 114, 116, 117, 119),
    "aarch64": (144, 146, 145, 143, 159, 147, 149),
}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _PRETEND = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ERRNO with errno 0: "done"
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06


def only_one_user() -> bool:
    """Tell whether this user namespace maps a single user."""
    with Path("/proc/self/uid_map").open(encoding="ascii") as lines:
        return sum(int(line.split()[2]) for line in lines) == 1


def pretend_to_drop(calls: tuple[int, ...]) -> None:
    """From here on those system calls return success and do nothing."""
    program = [(_LOAD, 0, 0, 0)]
    for left, number in enumerate(reversed(calls)):
        program.insert(1, (_JUMP_IF_EQUAL, left + 1, 0, number))
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _PRETEND)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))

    class SockFprog(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    filter_ = SockFprog(len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for args in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0),
    ):
        if libc.prctl(*args) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    """Become tcpdump."""
    real = shutil.which("tcpdump", path=REAL_PATH)
    if real is None:
        raise SystemExit("tcpdump is not installed: sudo apt-get install tcpdump")
    calls = _CALLS.get(os.uname().machine)
    if calls and only_one_user():
        pretend_to_drop(calls)
    os.execv(real, ["tcpdump", *sys.argv[1:]])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
