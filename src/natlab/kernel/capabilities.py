"""Capabilities by name (capabilities(7)), and which of them a container has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from natlab.kernel import syscalls
from natlab.model.refusal import Refusal

NAMES: Final = (  # noqa: SIM905 - lines of words, not one a line
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE"
    " NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO"
    " SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME"
    " SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG"
    " WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
"""By number, from 0 (linux/capability.h)."""

ALL: Final = frozenset(NAMES)

DEFAULT: Final = frozenset(
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP"  # noqa: SIM905
    " NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE".split()
)
"""What Docker leaves a container (moby, daemon/pkg/oci/caps/defaults.go)."""


def choose(
    add: Iterable[str] = (), drop: Iterable[str] = (), *, privileged: bool = False
) -> frozenset[str]:
    """The capabilities of a container. Compare: `docker run --cap-add ADD --cap-drop DROP`.

    Names are taken with and without `CAP_`, in any case; `ALL` is all of them. With `ALL` added,
    those dropped are missing from all; with `ALL` dropped, only those added are left.

    Raises:
        Refusal: no such capability (400).
    """
    added, dropped = _normal(add, "CapAdd"), _normal(drop, "CapDrop")
    if privileged:
        return ALL
    if "ALL" in added:
        return ALL - dropped
    if "ALL" in dropped:
        return added
    return (DEFAULT - dropped) | added


def _normal(names: Iterable[str], field: str) -> frozenset[str]:
    found = set()
    for name in names:
        plain = name.upper().removeprefix("CAP_")
        if plain not in ALL and plain != "ALL":
            raise Refusal(f'invalid {field}: unknown capability: "CAP_{plain}"')
        found.add(plain)
    return frozenset(found)


def keep_only(names: frozenset[str]) -> None:
    """Leave what this process will execute with no capabilities but those.

    Equivalent to: `capsh --drop=…`.
    """
    syscalls.clear_ambient_capabilities()
    number = 0
    while syscalls.knows_capability(number):
        if number >= len(NAMES) or NAMES[number] not in names:
            syscalls.forbid_capability(number)
        number += 1
