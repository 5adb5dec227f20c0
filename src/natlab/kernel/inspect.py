"""Raw reads: for the map, where the other end of a veth is; for the doctor, the machine itself.

A veth's peer is known to its own end as an index and, where that end is in another network
namespace, the number by which this namespace knows the other one (its nsid, `ip netns
list-id`). Both are needed: every container's eth0 has the index 2.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from natlab.kernel import firewall, link_facts, syscalls
from natlab.kernel.place import Place, ipr, registry, standing
from natlab.model.state import RouteEntry

_NOT_ASSIGNED: Final = -1
_NS_GET_USERNS: Final = 0xB701


def veth_ends() -> dict[int, tuple[int, int | None]]:
    """The veths here by index: their peer's index, and the nsid of its namespace.

    The nsid is None where the peer is in this namespace too. Equivalent to: the `@if5` and
    `link-netnsid 0` of `ip -d link show type veth`.
    """
    found: dict[int, tuple[int, int | None]] = {}
    for message in ipr().get_links():
        info = message.get_attr("IFLA_LINKINFO")
        peer = message.get_attr("IFLA_LINK")
        if peer is not None and info is not None and info.get_attr("IFLA_INFO_KIND") == "veth":
            found[message["index"]] = peer, message.get_attr("IFLA_LINK_NETNSID")
    return found


def known_as(numbers: Iterable[int]) -> dict[int, int]:
    """Under which nsid each of those places is known here; those that are not are left out.

    Two numbers may stand for one namespace: `ip netns attach` gives it a second name.
    Equivalent to: `ip netns list-id`.
    """
    answers = {number: _nsid(registry.get(number).fds["net"]) for number in numbers}
    return {number: nsid for number, nsid in answers.items() if nsid is not None}


def _nsid(net: int) -> int | None:
    answer = ipr().get_netnsid(fd=net)
    nsid = answer["nsid"] if answer else None
    return None if nsid in (None, _NOT_ASSIGNED) else int(nsid)


# The machine itself, read without entering anything


@contextlib.contextmanager
def _here() -> Iterator[None]:
    """Let the reads of this room work in this process's own namespaces, for a moment."""
    before = standing._place  # noqa: SLF001 - put back as it was
    standing._place = Place.here()  # noqa: SLF001
    try:
        yield
    finally:
        standing._place.close()  # noqa: SLF001
        standing._place = before  # noqa: SLF001


def own_routes() -> tuple[RouteEntry, ...]:
    """The IPv4 routes of this process's network, all tables. Needs no privilege.

    Equivalent to: `ip -4 route show table all`.
    """
    with _here():
        return link_facts.routes()


def own_ruleset() -> str:
    """The rules of this process's network, as text. Equivalent to: `nft -a list ruleset`.

    Raises:
        NatlabError: only root may list them.
    """
    with _here():
        return firewall.list_ruleset()


def may_list_rules() -> bool:
    """Whether this process has power over its own network, as root has over the machine's.

    Root of a user namespace has none over the network of the machine around it (ioctl_ns(2)).
    """
    fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        owner = fcntl.ioctl(fd, _NS_GET_USERNS)
    except PermissionError:
        return False
    finally:
        os.close(fd)
    mine = os.path.samestat(os.fstat(owner), Path("/proc/self/ns/user").stat())
    os.close(owner)
    return mine and syscalls.has_sys_admin()


def libnftables_file() -> str:
    """Load libnftables; returns the file that was loaded.

    Raises:
        ImportError: the Python module `nftables` is missing.
        OSError: there is no libnftables.so.1.
    """
    from nftables import Nftables

    Nftables()
    for line in Path("/proc/self/maps").read_text().splitlines():
        file = line.rpartition(" ")[2]
        if "libnftables.so" in file:
            return file
    return "libnftables.so.1"


def pyroute2_version() -> str:
    """The version of pyroute2.

    Raises:
        ImportError: it is missing.
    """
    import pyroute2

    return str(pyroute2.__version__)


def processes_named(*names: str) -> tuple[str, ...]:
    """Those of the names of which a process runs in this process's network (or in one unseen)."""
    own = _net_of("self")
    found = set()
    for entry in Path("/proc").iterdir():
        name = _command_name(entry.name) if entry.name.isdigit() else ""
        if name in names and _net_of(entry.name) in (None, own):
            found.add(name)
    return tuple(sorted(found))


def _command_name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def _net_of(pid: str) -> int | None:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
