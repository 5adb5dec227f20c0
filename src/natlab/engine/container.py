"""A container, as far as its network goes: a namespace with a name on its host."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from typing import TYPE_CHECKING

from natlab.engine.node import Node
from natlab.errors import NatlabError
from natlab.kernel import conntrack, links, namespaces, processes
from natlab.kernel.agent import Namespace

if TYPE_CHECKING:
    from natlab.engine.host import Host


class Container(Node):
    """A network namespace of a host, whoever made it: natlab, or a person with `ip netns add`."""

    def __init__(self, host: Host, name: str, place: Namespace) -> None:
        super().__init__(name, place)
        self.host = host

    @property
    def address(self) -> IPv4Interface:
        """Its IPv4 address on eth0.

        Raises:
            NatlabError: it has none (yet).
        """
        address = self.place.call(links.first_address, "eth0")
        if address is None:
            raise NatlabError(f"{self.name} has no IPv4 address on eth0: attach it to a network")
        return IPv4Interface(address)

    @property
    def ip(self) -> IPv4Address:
        """Its IPv4 address on eth0, without the prefix length."""
        return self.address.ip

    @property
    def host_end(self) -> str | None:
        """The interface on the host that is the other end of its eth0, if it is there."""
        eth0 = self.find_link("eth0")
        if eth0 is None or eth0.peer_index is None:
            return None
        candidates = [link for link in self.host.links() if link.index == eth0.peer_index]
        return candidates[0].name if candidates and candidates[0].kind == "veth" else None

    def remove(self) -> None:
        """End its programs, delete its veth pair, its published ports and its name.

        Its connections are forgotten too. Equivalent to: `docker rm -f NAME`, or `ip netns pids
        NAME | xargs kill; ip netns delete NAME`.
        """
        eth0 = self.find_link("eth0")
        addresses = [interface.ip for interface in eth0.ipv4] if eth0 else []
        for address in addresses:
            self.host.unpublish_all(address)
        host_end = self.host_end
        self.place.agent.call(None, processes.end_all, self.place.number)
        if host_end:
            self.host.place.call(links.delete, host_end)
        if addresses:
            self.host.place.call(conntrack.forget, [str(address) for address in addresses])
        self.host.place.call(namespaces.delete_named, self.name)
        self.place.close()
        self.host.forget(self)
