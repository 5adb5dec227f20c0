"""Whom a container's program runs as, by the container's own `/etc/passwd` and `/etc/group`.

The rules are those of github.com/moby/sys/user, `GetExecUser`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from natlab.errors import ExecError

_MAX_ID: Final = (1 << 31) - 1
_PASSWD: Final = 6
_GROUP: Final = 4


@dataclass(frozen=True)
class Account:
    """Who a program is.

    Attributes:
        uid, gid: Its user and group.
        groups: Its supplementary groups.
        home: What HOME is if nobody said something else.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve(user: str, passwd: str, group: str) -> Account:
    """Whom `docker run --user USER` means.

    Args:
        user: "", "UID", "UID:GID", "NAME" or "NAME:GROUP".
        passwd: The text of the container's `/etc/passwd`, "" if it has none.
        group: The text of its `/etc/group`.

    Raises:
        ExecError: no such user or group.
    """
    wanted, _, wanted_group = user.partition(":")
    uid, gid, home, name = 0, 0, "/", ""
    found = _user(wanted, passwd)
    if found:
        name, uid, gid, home = found[0], int(found[2]), int(found[3]), found[5]
    elif wanted:
        uid = _number(wanted, f"unable to find user {wanted}: no matching entries in passwd file")
    groups = [row for row in _rows(group, _GROUP) if _is_number(row[2])]
    if wanted_group:
        gid = _group(wanted_group, groups)
        return Account(uid, gid, (), home)
    member = tuple(int(row[2]) for row in groups if name and name in row[3].split(","))
    return Account(uid, gid, member, home)


def _user(wanted: str, passwd: str) -> Sequence[str] | None:
    for row in _rows(passwd, _PASSWD):
        if not (_is_number(row[2]) and _is_number(row[3])):
            continue
        if wanted in (row[0], row[2]) or (not wanted and row[2] == "0"):
            return row
    return None


def _group(wanted: str, groups: Sequence[Sequence[str]]) -> int:
    for row in groups:
        if wanted in (row[0], row[2]):
            return int(row[2])
    return _number(wanted, f"unable to find group {wanted}: no matching entries in group file")


def _rows(text: str, fields: int) -> list[list[str]]:
    rows = [line.split(":") for line in text.splitlines() if not line.startswith("#")]
    return [row for row in rows if len(row) >= fields and row[0]]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def additional(names: Sequence[str], group: str) -> tuple[int, ...]:
    """Whom `docker run --group-add NAME` means; source: moby/sys/user, `GetAdditionalGroups`.

    Args:
        names: Numbers, or names of the container's groups.
        group: The text of its `/etc/group`.

    Raises:
        ExecError: no such group.
    """
    rows = [row for row in _rows(group, _GROUP) if _is_number(row[2])]
    numbers = {row[0]: int(row[2]) for row in rows}
    return tuple(
        numbers[name] if name in numbers else _number(name, f"Unable to find group {name}")
        for name in names
    )


def _number(text: str, otherwise: str) -> int:
    if not _is_number(text.removeprefix("-")):
        raise ExecError(otherwise)
    if not 0 <= int(text) <= _MAX_ID:
        raise ExecError(f"uids and gids must be in range 0-{_MAX_ID}")
    return int(text)


@dataclass(frozen=True)
class Ids:
    """Which ids this process's user namespace has; its `/proc` tells, so ask while it is there."""

    uids: str
    gids: str
    setgroups: bool

    @classmethod
    def here(cls) -> Ids:
        """Those of this process."""
        own = Path("/proc/self")
        uids, gids = ((own / name).read_text() for name in ("uid_map", "gid_map"))
        return cls(uids, gids, (own / "setgroups").read_text().strip() != "deny")

    def check(self, account: Account, added: Sequence[int] = ()) -> None:
        """Refuse an account, or groups added to it, that cannot be had here.

        Raises:
            ExecError: the user or the group has no mapping (user_namespaces(7)).
        """
        for kind, number, ranges in (
            ("user", account.uid, self.uids),
            *(("group", number, self.gids) for number in (account.gid, *added)),
        ):
            if not _is_mapped(number, ranges):
                raise ExecError(
                    f"unable to run as {kind} {number}: an ordinary user's lab has only number 0;"
                    " run natlab as root, or leave --user out"
                )


def _is_mapped(number: int, ranges: str) -> bool:
    rows = [[int(field) for field in line.split()] for line in ranges.splitlines()]
    return any(first <= number < first + count for first, _, count in rows)


def find(user: str, groups: Sequence[str], ids: Ids) -> Account:
    """Whom USER means in the root where this process stands, with more groups besides.

    Raises:
        ExecError: no such user or group, or one that cannot be had here.
    """
    known = _text("/etc/group")
    account = resolve(user, _text("/etc/passwd"), known)
    added = additional(groups, known)
    ids.check(account, added)
    return replace(account, groups=tuple(dict.fromkeys((*account.groups, *added))))


def _text(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(fd, errors="replace") as file:
        return file.read() if stat.S_ISREG(os.fstat(fd).st_mode) else ""


def become(account: Account, ids: Ids) -> None:
    """Be that account from now on. Equivalent to: `setpriv --reuid UID --regid GID --groups …`."""
    if ids.setgroups:
        os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
