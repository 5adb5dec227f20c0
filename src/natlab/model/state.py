"""What the kernel says of a namespace's links, addresses, routes and neighbours, as values."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface


@dataclass(frozen=True)
class Link:
    """An interface. Equivalent to: one entry of `ip -d link`."""

    index: int
    name: str
    kind: str
    """`veth`, `bridge`, `loopback`, …; empty where the kernel names no kind."""
    mac: str
    mtu: int
    up: bool
    """Set up by the administrator (the flag UP)."""
    carrier: bool
    """Something is connected at the other end (the flag LOWER_UP)."""
    master: str | None = None
    """The bridge of which it is a port."""
    peer_index: int | None = None
    """A veth's other end, by its index in the namespace where that end is."""
    hairpin: bool = False
    """As a bridge port it may send a frame back to where it came from."""
    isolated: bool = False
    """As a bridge port it does not talk to other isolated ports."""
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()

    @property
    def given(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """The addresses that somebody gave it: all but the link-local ones of IPv6."""
        return (*self.ipv4, *self.ipv6)

    @property
    def ipv6(self) -> tuple[IPv6Interface, ...]:
        """Its IPv6 addresses, less the link-local ones that it gives itself."""
        six = (a for a in self.addresses if isinstance(a, IPv6Interface))
        return tuple(address for address in six if not address.is_link_local)

    @property
    def ipv4(self) -> tuple[IPv4Interface, ...]:
        """Its IPv4 addresses with their prefix lengths."""
        return tuple(a for a in self.addresses if isinstance(a, IPv4Interface))


@dataclass(frozen=True)
class RouteEntry:
    """A route of a routing table. Equivalent to: one line of `ip route show table all`."""

    dst: str
    """`default`, or a prefix."""
    dev: str | None
    gateway: str | None = None
    scope: str = "global"
    table: int = 254
    """The routing table's number; 254 is `main`."""
    kind: str = "unicast"
    source: str | None = None

    @property
    def table_name(self) -> str:
        """The routing table by name, where it has one."""
        return {253: "default", 254: "main", 255: "local"}.get(self.table, str(self.table))

    def __str__(self) -> str:
        via = f" via {self.gateway}" if self.gateway else ""
        table = "" if self.table_name == "main" else f" table {self.table_name}"
        return f"{self.dst}{via} dev {self.dev}{table}"


@dataclass(frozen=True)
class Neighbour:
    """An ARP entry. Equivalent to: one line of `ip neigh`."""

    address: str
    mac: str | None
    dev: str
    state: str


@dataclass(frozen=True)
class ForwardingEntry:
    """Where a bridge sends frames for an address. Equivalent to: one line of `bridge fdb`."""

    mac: str
    port: str
    permanent: bool
