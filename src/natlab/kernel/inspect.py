"""Raw reads for the map: where the other end of a veth is.

A veth's peer is known to its own end as an index and, where that end is in another network
namespace, the number by which this namespace knows the other one (its nsid, `ip netns
list-id`). Both are needed: every container's eth0 has the index 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from natlab.kernel.place import ipr, registry

_NOT_ASSIGNED: Final = -1


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
