"""A container, as far as its network goes: a namespace with a name on its host."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from typing import TYPE_CHECKING

from natlab.engine.node import Node
from natlab.errors import NatlabError
from natlab.kernel import conntrack, link_facts, links, machine, namespaces, processes
from natlab.kernel.agent import Namespace
from natlab.model.state import Link

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
        return self.address_on("eth0")

    def address_on(self, interface: str) -> IPv4Interface:
        """Its IPv4 address on an interface.

        Raises:
            NatlabError: it has none (yet).
        """
        address = self.place.call(link_facts.first_address, interface)
        if address is None:
            raise NatlabError(
                f"{self.name} has no IPv4 address on {interface}: attach it to a network"
            )
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

    def host_ends(self) -> dict[str, str]:
        """Its interfaces that are ends of veth pairs, each with the other end on the host."""
        return self._host_ends(self.links())

    def _host_ends(self, own: Iterable[Link]) -> dict[str, str]:
        there = {link.index: link.name for link in self.host.links() if link.kind == "veth"}
        return {link.name: there[link.peer_index] for link in own if link.peer_index in there}

    def far_end(self, interface: str) -> tuple[Namespace, str]:
        """Where the other end of an interface's cable is; see `Node.far_end`."""
        name = self.host_ends().get(interface)
        return (self.host.place, name) if name else super().far_end(interface)

    def prepare(self) -> None:
        """Set up `lo`; let every program here listen at low ports and send pings, as in Docker.

        Source: moby, `daemon/oci_linux.go`, `WithSysctls`.
        """
        self.place.call(machine.prepare_container)

    def route_through(
        self, gateway: IPv4Address | None, gateway6: IPv6Address | None = None
    ) -> None:
        """Make gateways those of the default routes. Compare: `ip route replace default via`."""
        for family in (socket.AF_INET, socket.AF_INET6):
            for route in self.place.call(link_facts.routes, family):
                if route.dst == "default" and route.gateway:
                    self.delete_route("default", route.gateway, route.dev)
        for one in (gateway, gateway6):
            if one is not None:
                self.add_route("default", str(one))

    def rename(self, name: str) -> None:
        """Give its network namespace another name on the host.

        Raises:
            NatlabError: the name is taken.
        """
        before, name = self.name, self.host.known_containers.checked(name)
        with self.host.known_containers.free(name):
            self.host.place.call(namespaces.rename_named, before, name)
        self.name = name
        self.host.renamed(self, before)

    def remove(self, *, end_programs: bool = True) -> None:
        """End its programs, delete its veth pairs, its published ports and its name.

        Its connections are forgotten too. Equivalent to: `docker rm -f NAME`, or `ip netns pids
        NAME | xargs kill; ip netns delete NAME`.

        Args:
            end_programs: False lets programs of others that stand in its namespace live on.
        """
        own = self.links()
        addresses = [interface.ip for link in own for interface in link.given]
        addresses = [address for address in addresses if not address.is_loopback]
        for address in addresses:
            self.host.unpublish_all(address)
        host_ends = self._host_ends(own)
        if end_programs:
            self.place.agent.call(None, processes.end_all, self.place.number)
        for host_end in host_ends.values():
            self.host.place.call(links.delete, host_end)
        if addresses:
            self.host.place.call(conntrack.forget, [str(address) for address in addresses])
        self.host.place.call(namespaces.delete_named, self.name)
        self.place.close()
        self.host.forget(self)
