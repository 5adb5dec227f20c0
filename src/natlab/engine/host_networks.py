"""The networks of a host by their bridges: read from the kernel; what is kept is their pools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface
from typing import TYPE_CHECKING

from natlab.engine.network import Network
from natlab.errors import NatlabError
from natlab.kernel import link_facts, links
from natlab.model.addresses import Address, overlap
from natlab.model.bridge_addresses import ipv4_routes
from natlab.model.names import unknown
from natlab.model.state import RouteEntry

if TYPE_CHECKING:
    from natlab.engine.host import Host


class HostNetworks:
    """What this process knows of a host's networks; which there are, the kernel says."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: dict[str, Network] = {}

    def __iter__(self) -> Iterator[Network]:
        return iter(self._known.values())

    def add(
        self,
        bridge: str,
        interface: IPv4Interface,
        interface6: IPv6Interface | None,
        *,
        icc: bool,
        mtu: int,
        internal: bool,
        within: IPv4Network | None,
    ) -> Network:
        """Make one; see `Host.add_network`."""
        host = self._host
        present = host.place.call(links.present, [bridge])
        self.refuse_taken(bridge, interface, present, host.routes())
        network = Network(
            host,
            bridge,
            interface,
            mtu,
            icc=icc,
            internal=internal,
            within=within,
            interface6=interface6,
        )
        addresses = [str(interface), *([str(interface6)] if interface6 else [])]
        host.change(bridge, links.add_bridge, bridge, addresses, mtu)
        if interface6:
            host.set_sysctl("net.ipv6.conf.all.forwarding", 1)
        return self.adopt(network)

    def adopt(self, network: Network) -> Network:
        """Take one that was made just now."""
        self._known[network.bridge] = network
        return network

    def refuse_taken(
        self,
        bridge: str,
        interface: IPv4Interface,
        present: Sequence[str],
        routes: Sequence[RouteEntry],
    ) -> None:
        """Check that a network can be made, from what was found: interfaces and routes.

        Raises:
            NatlabError: the bridge exists, or the subnet overlaps a route.
        """
        if bridge in present:
            raise NatlabError(
                f"network with name {bridge} already exists on {self._host.name}:"
                " remove it first, or choose another name"
            )
        collision = overlap(interface.network, ipv4_routes(routes))
        if collision is not None:
            raise NatlabError(
                f"subnet {interface.network} overlaps the route {collision} on {self._host.name}:"
                " choose another subnet"
            )

    def all(self) -> list[Network]:
        """Every bridge that has an IPv4 address, whoever made it."""
        host = self._host
        found = {link.name: link for link in host.place.call(link_facts.bridges) if link.ipv4}
        for gone in set(self._known) - set(found):
            del self._known[gone]
        for name, link in found.items():
            if name not in self._known or self._known[name].gateway != link.ipv4[0].ip:
                six = link.ipv6[0] if link.ipv6 else None
                self.adopt(Network(host, name, link.ipv4[0], link.mtu, interface6=six))
        return list(self._known.values())

    def holding(self, address: Address) -> Network | None:
        """The one in whose subnet an address lies, or None."""
        for known in self:
            if known.attached.has(address):
                return known
            gateway = f"{known.gateway}/{known.subnet.prefixlen}"
            if address in known.subnet and self._host.place.call(
                link_facts.has_address, known.bridge, gateway
            ):
                return known
        return next((network for network in self.all() if network.holds(address)), None)

    def one(self, bridge: str) -> Network:
        """One by its bridge's name; see `Host.network`."""
        networks = {network.bridge: network for network in self.all()}
        if bridge not in networks:
            raise unknown("network", bridge, list(networks), place=f"on {self._host.name}")
        return networks[bridge]

    def standing(self, bridge: str) -> Network | None:
        """One by its bridge's name, if it is there."""
        known = self._known.get(bridge)
        if known is not None and self._host.place.call(links.present, [bridge]):
            return known
        return next((network for network in self.all() if network.bridge == bridge), None)

    def forget(self, bridge: str) -> None:
        """Drop one that was removed."""
        self._known.pop(bridge, None)

    def clear(self) -> None:
        """Forget all; the kernel's state stays."""
        self._known.clear()
