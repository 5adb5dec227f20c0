"""A picture of a lab: what stands where, as values. Drawing it is somebody else's business.

A picture is what the kernel said at one moment (`natlab.engine.survey`): namespaces, links,
addresses, routes and rules, whoever made them. So it also holds what a person has half finished:
a container without a link, a bridge without an address, a veth whose two ends are both still
on the host, a DNAT rule in a chain to which nothing leads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from natlab.model.picture_interface import LAN, End, Interface, bare, notable
from natlab.model.picture_nat import Masquerade, PublishedPort
from natlab.model.state import RouteEntry

__all__ = [
    "LAN",
    "ContainerPicture",
    "End",
    "HostPicture",
    "Interface",
    "Masquerade",
    "Picture",
    "PublishedPort",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPicture:
    """A container: a named network namespace of a host.

    Compare: `ip -n NAME addr; ip -n NAME route`.
    """

    name: str
    interfaces: tuple[Interface, ...] = ()
    routes: tuple[RouteEntry, ...] = ()

    @property
    def default_route(self) -> str | None:
        """Where it sends everything else: "172.17.0.1", "dev eth0", or None for nowhere."""
        found = next((r for r in self.routes if _is_default(r)), None)
        return None if found is None else found.gateway or f"dev {found.dev}"

    def holds(self, address: str) -> bool:
        """Whether the address is one of its own."""
        return any(bare(a) == address for i in self.interfaces for a in i.addresses)

    @property
    def other_routes(self) -> tuple[RouteEntry, ...]:
        """The routes that no address brings with it, less the default one."""
        return tuple(r for r in notable(self.routes, self.interfaces) if not _is_default(r))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPicture:
    """A host with its interfaces, containers, routes and NAT.

    Attributes:
        name: Its name.
        forwards: Whether `net.ipv4.ip_forward` is 1.
        forward_policy: "drop" where a chain at the hook forward drops by policy, else "accept".
        interfaces: Its interfaces.
        containers: Its containers.
        masquerades: Rules that rewrite sources.
        published: Rules that rewrite destinations.
        routes: Its IPv4 routes, all tables but `local`.
    """

    name: str
    forwards: bool = False
    forward_policy: str = "accept"
    interfaces: tuple[Interface, ...] = ()
    containers: tuple[ContainerPicture, ...] = ()
    masquerades: tuple[Masquerade, ...] = ()
    published: tuple[PublishedPort, ...] = ()
    routes: tuple[RouteEntry, ...] = ()

    @property
    def bridges(self) -> tuple[Interface, ...]:
        """Its bridges."""
        return tuple(i for i in self.interfaces if i.kind == "bridge")

    @property
    def uplinks(self) -> tuple[Interface, ...]:
        """Its interfaces on the LAN."""
        return tuple(i for i in self.interfaces if i.other_end and i.other_end.node == LAN)

    @property
    def loose(self) -> tuple[Interface, ...]:
        """Its interfaces that are neither on the LAN, nor bridges, nor ports of one."""
        return tuple(
            i
            for i in self.interfaces
            if i.master is None and i.kind != "bridge" and i not in self.uplinks
        )

    def ports(self, bridge: Interface) -> tuple[Interface, ...]:
        """A bridge's ports. Equivalent to: `ip link show master BRIDGE`."""
        return tuple(i for i in self.interfaces if i.master == bridge.name)

    def guests(
        self, bridge: Interface
    ) -> tuple[tuple[ContainerPicture, Interface, Interface], ...]:
        """The containers at a bridge: each with its own end, and the port that is the other end."""
        ports = {End(self.name, port.name): port for port in self.ports(bridge)}
        return tuple(
            (container, interface, ports[interface.other_end])
            for container in self.containers
            for interface in container.interfaces
            if interface.other_end in ports
        )

    def bare_ports(self, bridge: Interface) -> tuple[Interface, ...]:
        """A bridge's ports at whose other end no container is."""
        taken = {port.name for _, _, port in self.guests(bridge)}
        return tuple(port for port in self.ports(bridge) if port.name not in taken)

    @property
    def unplugged(self) -> tuple[ContainerPicture, ...]:
        """The containers that are at no bridge."""
        at_bridges = {c.name for bridge in self.bridges for c, _, _ in self.guests(bridge)}
        return tuple(c for c in self.containers if c.name not in at_bridges)

    def masquerades_of(self, bridge: Interface) -> tuple[Masquerade, ...]:
        """The source rewrites that are for a bridge's network."""
        return tuple(m for m in self.masquerades if m.source in bridge.networks)

    @property
    def other_masquerades(self) -> tuple[Masquerade, ...]:
        """The source rewrites that are for no bridge's network (any more, or yet)."""
        known = {network for bridge in self.bridges for network in bridge.networks}
        return tuple(m for m in self.masquerades if m.source not in known)

    def published_by(self, container: ContainerPicture) -> tuple[PublishedPort, ...]:
        """The published ports that lead to a container. Compare: `docker port NAME`."""
        return tuple(p for p in self.published if container.holds(p.to))

    @property
    def published_to_nobody(self) -> tuple[PublishedPort, ...]:
        """The published ports that lead to an address that no container here has."""
        return tuple(p for p in self.published if not any(c.holds(p.to) for c in self.containers))

    @property
    def notable_routes(self) -> tuple[RouteEntry, ...]:
        """The routes that do not come with an address by themselves."""
        return notable(self.routes, self.interfaces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A lab as it stood at one moment."""

    hosts: tuple[HostPicture, ...] = ()

    @property
    def subnets(self) -> tuple[str, ...]:
        """The LAN's networks, as the hosts' addresses on it say."""
        found = (n for host in self.hosts for uplink in host.uplinks for n in uplink.networks)
        return tuple(dict.fromkeys(found))

    def wires(self) -> Iterator[tuple[End, End]]:
        """The veth pairs between two containers, point to point: no bridge, no host between."""
        ends = {
            End(f"{host.name}/{c.name}", i.name): i.other_end
            for host in self.hosts
            for c in host.containers
            for i in c.interfaces
        }
        for end, other in ends.items():
            if (
                other is not None
                and other in ends
                and (end.node, end.interface) < (other.node, other.interface)
            ):
                yield end, other

    def to_dict(self) -> dict[str, Any]:
        """Return the picture as plain values, for JSON; what follows from the rest is named too."""
        return {
            "lan": {"name": LAN, "subnets": list(self.subnets)},
            "hosts": [_host_dict(host) for host in self.hosts],
            "wires": [[asdict(end) for end in wire] for wire in self.wires()],
        }


def _host_dict(host: HostPicture) -> dict[str, Any]:
    bridges = [
        {
            "name": bridge.name,
            "ports": [port.name for port in host.ports(bridge)],
            "containers": [container.name for container, _, _ in host.guests(bridge)],
        }
        for bridge in host.bridges
    ]
    return {**asdict(host), "bridges": bridges}


def _is_default(route: RouteEntry) -> bool:
    return route.dst == "default" and route.table_name == "main"
