"""An interface in a picture, where its other end is, and which routes its addresses explain."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from typing import Final

from natlab.errors import UsageError
from natlab.model.state import RouteEntry

LAN: Final = "lan"
"""The node at which the LAN's ends of the hosts' veth pairs are: the segment between them."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a veth pair: the node ("ubuntu1", "ubuntu1/web", `LAN`) and the interface."""

    node: str
    interface: str

    def seen_from(self, host: str) -> str:
        """How a host's own people call it: their containers by name, the rest in full."""
        if self.node == LAN:
            return LAN
        node = self.node.removeprefix(f"{host}/")
        return f"{self.interface} on the host" if node == host else f"{self.interface} in {node}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """An interface, `lo` left out. Equivalent to: one entry of `ip -d addr`.

    Attributes:
        name: Its name, 15 characters at most.
        kind: "veth", "bridge", "dummy" …; empty for a machine's own card.
        up: Set up by the administrator.
        carrier: Something that is up is connected at the other end.
        addresses: With prefix lengths, IPv6 link-local ones left out.
        master: The bridge of which it is a port.
        other_end: A veth's other end, where it is in the lab.
    """

    name: str
    kind: str = "veth"
    up: bool = True
    carrier: bool = True
    addresses: tuple[str, ...] = ()
    master: str | None = None
    other_end: End | None = None

    def __post_init__(self) -> None:
        for address in self.addresses:
            try:
                ip_interface(address)
            except ValueError:
                raise UsageError(
                    f"interface {self.name}: {address!r} is not an address like 172.17.0.2/16"
                ) from None

    @property
    def state(self) -> str:
        """What is wrong with it: "DOWN", "no carrier", or nothing."""
        if not self.up:
            return "DOWN"
        return "no carrier" if self.kind == "veth" and not self.carrier else ""

    def address_text(self, *known: str) -> str:
        """Its addresses; the prefix length is left out where it is that of a known network."""
        shown = [bare(a) if str(ip_interface(a).network) in known else a for a in self.addresses]
        return " ".join(shown) or "no address"

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that its addresses are in."""
        return tuple(str(ip_interface(address).network) for address in self.addresses)


def bare(address: str) -> str:
    """An address without its prefix length."""
    return str(ip_interface(address).ip)


def notable(
    routes: tuple[RouteEntry, ...], interfaces: tuple[Interface, ...]
) -> tuple[RouteEntry, ...]:
    """The routes that say more than an address does: `ip route` less the connected ones."""
    connected = {(i.name, network) for i in interfaces for network in i.networks}
    return tuple(r for r in routes if not _connected(r, connected))


def _connected(route: RouteEntry, connected: set[tuple[str, str]]) -> bool:
    if route.gateway or route.dev is None or route.dst == "default" or route.table_name != "main":
        return False
    return (route.dev, str(ip_network(route.dst))) in connected
