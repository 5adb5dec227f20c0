"""Namespaces owned by descriptor: machines (network, mounts, host name) and bare network ones.

Nothing here gets a name on the real machine. A container's name is a mount in its host's own
`/run/netns`, where `ip netns` looks, inside the host's own mount namespace: it is seen by
whoever stands in that host, and it is gone with it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from natlab.errors import StaleError
from natlab.kernel import links, syscalls, sysctl
from natlab.kernel.place import NEWEST, Place, netlink, registry, standing

NETNS: Final = Path("/run/netns")


def create_net() -> int:
    """Make a network namespace without a name; returns its number. Compare: `unshare --net`."""
    return registry.add(_new_net())


def add_named(name: str) -> int:
    """Make a container's network namespace, with a name on this machine.

    IPv6 is off in it, as in Docker's containers in networks without IPv6: so its interfaces do
    not ask a whole bridge whether somebody has their link-local address.
    Equivalent to: `ip netns add NAME; ip netns exec NAME sysctl -w
    net.ipv6.conf.all.disable_ipv6=1`. Source: moby, `NewSandbox` of libnetwork/osl.

    Raises:
        FileExistsError: the name is taken.
    """
    if not NETNS.is_dir():
        NETNS.mkdir(mode=0o755, exist_ok=True)
    target = NETNS / name
    os.close(os.open(target, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
    try:
        made = _new_net({"net/ipv6/conf/all/disable_ipv6": "1"})
        syscalls.mount(f"/proc/self/fd/{made.fds['net']}", str(target), flags=syscalls.MS_BIND)
    except BaseException:
        target.unlink()
        raise
    return registry.add(made)


def open_named(name: str) -> int:
    """Open a namespace of this machine by name, whoever made it; returns its number.

    Raises:
        FileNotFoundError: no such name.
    """
    fd = os.open(NETNS / name, os.O_RDONLY | os.O_CLOEXEC)
    return registry.add(standing.place.with_net(fd))


def here() -> int:
    """The place in which this process stands now; returns its number."""
    return registry.add(Place.here())


def list_named() -> list[str]:
    """The names on this machine that lead to a namespace, sorted. Compare: `ip netns list`.

    A name is a mount, or a link to `/proc/PID/ns/net`, which leads nowhere once PID has ended.
    """
    if not NETNS.is_dir():
        return []
    plain = NETNS.stat().st_dev
    with os.scandir(NETNS) as entries:
        return sorted(entry.name for entry in entries if _device(entry) not in (None, plain))


def inventory() -> tuple[set[str], set[str]]:
    """The names that are taken on this machine: below `/run/netns`, and of interfaces.

    A quick look, for who is about to add one: a name that leads nowhere is among them.
    """
    return _entries(), {name for _, name in socket.if_nameindex()}


def expect(names: set[str], interfaces: set[str], free: str) -> None:
    """Check that the machine is as the caller knows it, before something is added.

    Raises:
        StaleError: the names below `/run/netns` are not these, one of these interfaces is not
            there, or there is one called `free`.
    """
    if _entries() != names or set(links.present([*interfaces, free])) != interfaces:
        raise StaleError


def _entries() -> set[str]:
    try:
        return set(os.listdir(NETNS))  # noqa: PTH208 - no paths needed
    except FileNotFoundError:
        return set()


def _device(entry: os.DirEntry[str]) -> int | None:
    """The file system that a name leads to; None if it leads nowhere."""
    try:
        return entry.stat().st_dev
    except FileNotFoundError:
        return None


def delete_named(name: str) -> None:
    """Take a name away; already gone is fine. Equivalent to: `ip netns delete NAME`."""
    target = NETNS / name
    try:
        if not target.is_symlink():
            syscalls.umount(str(target))
        target.unlink()
    except FileNotFoundError:
        return


def rename_named(name: str, new: str) -> None:
    """Give a named namespace another name.

    Equivalent to: `ip netns attach NEW …; ip netns delete NAME` (a mounted name cannot be moved).

    Raises:
        FileExistsError: the new name is taken.
    """
    source, target = NETNS / name, NETNS / new
    os.close(os.open(target, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
    try:
        syscalls.mount(str(source), str(target), flags=syscalls.MS_BIND)
    except BaseException:
        target.unlink()
        raise
    delete_named(name)


def undo_named(name: str) -> None:
    """Take back the last `add_named`."""
    delete_named(name)
    registry.close(NEWEST)


def net_id(number: int) -> int:
    """What tells one network namespace from another while both are there: its inode."""
    return os.fstat(registry.get(number).fds["net"]).st_ino


def same_net(one: int, other: int) -> bool:
    """Tell whether two numbers stand for one network namespace."""
    stats = [os.fstat(registry.get(number).fds["net"]) for number in (one, other)]
    return stats[0].st_ino == stats[1].st_ino


def close(*numbers: int) -> None:
    """Let go of places; a namespace that nobody else holds ends, with all its links."""
    for number in numbers:
        registry.close(number)


def pin(number: int, directory: str) -> None:
    """Note below a directory where this process holds a machine's namespaces.

    The notes are links into `/proc/PID/fd`, so they hold as long as this process keeps the
    machine. (Mounts would do for two of the three kinds only: the kernel takes a mount namespace
    for its own ancestor, and refuses, whenever its number happens to be the smaller one.)
    """
    Path(directory).mkdir(parents=True)
    for kind, fd in registry.get(number).fds.items():
        Path(directory, kind).symlink_to(f"/proc/{os.getpid()}/fd/{fd}")


def open_pinned(directory: str) -> int:
    """Open a machine that `pin` noted; returns its number."""
    fds = [
        os.open(Path(directory, kind), os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mnt", "uts")
    ]
    return registry.add(Place(*fds))


def list_pinned(directory: str) -> list[str]:
    """The names of the machines pinned below a directory."""
    root = Path(directory)
    return sorted(entry.name for entry in root.iterdir()) if root.is_dir() else []


def _new_net(settings: Mapping[str, str] | None = None) -> Place:
    """A new network namespace, with the socket by which it is furnished next."""
    here = standing.place
    syscalls.unshare(syscalls.CLONE_NEWNET)
    try:
        sysctl.write_all(settings or {})
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        return here.with_net(fd, netlink(socket.NETLINK_ROUTE))
    finally:
        syscalls.setns(here.fds["net"], syscalls.CLONE_NEWNET)
