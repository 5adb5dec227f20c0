"""A network as Docker's clients see it, and what a container has in one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from natlab.engine.network import Network as Bridge
from natlab.model.addresses import Address
from natlab.model.refusal import Refusal

BRIDGE: Final = "bridge"
HOST: Final = "host"
NONE: Final = "none"
PREDEFINED: Final = (BRIDGE, HOST, NONE)


@dataclass(eq=False)
class Endpoint:
    """A container's place in a network: what was asked for, and what it has while it runs."""

    network: Network
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    wanted_ip: IPv4Address | None = None
    wanted_ip6: IPv6Address | None = None
    wanted_mac: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    """The endpoint with the highest one gives the container its default route."""
    id: str = ""
    """64 hexadecimal digits while the container runs; else empty, like all below."""
    address: IPv4Address | None = None
    address6: IPv6Address | None = None
    mac: str = ""
    interface: str = ""

    def forget(self) -> None:
        """The container has stopped, or left the network."""
        self.id = self.mac = self.interface = ""
        self.address = self.address6 = None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """What it has of either family."""
        return tuple(one for one in (self.address, self.address6) if one is not None)

    @property
    def gateway(self) -> IPv4Address | None:
        """Where packets to the outside go; None where there is no way out."""
        bridge = self.network.bridge
        return None if bridge is None or self.network.internal else bridge.gateway

    @property
    def prefix6(self) -> int:
        """The prefix length of its IPv6 address; 0 if it has none."""
        bridge = self.network.bridge
        six = bridge.interface6 if bridge is not None and self.address6 else None
        return six.network.prefixlen if six else 0

    @property
    def gateway6(self) -> IPv6Address | None:
        """The same for IPv6; None where the network has none."""
        bridge = self.network.bridge
        if bridge is None or bridge.interface6 is None or self.network.internal:
            return None
        return bridge.interface6.ip


def check_endpoint(endpoint: Endpoint) -> None:
    """Check that a network can give what an endpoint asks for.

    Raises:
        Refusal: aliases or an address where Docker has none (400).
    """
    network = endpoint.network
    wanted = [one for one in (endpoint.wanted_ip, endpoint.wanted_ip6) if one is not None]
    if network.predefined and wanted:
        raise _invalid("user specified IP address is supported on user defined networks only")
    if network.predefined and endpoint.aliases:
        raise _invalid(
            "network-scoped alias is supported only for containers in user defined networks"
        )
    if network.bridge is None or not wanted:
        return
    if not network.chosen_subnet:
        raise _invalid(
            "user specified IP address is supported only when connecting to networks with"
            " user configured subnets"
        )
    for address in wanted:
        if not network.bridge.hands_out(address):
            raise _invalid(f"no configured subnet or ip-range contain the IP address {address}")


def _invalid(reason: str) -> Refusal:
    return Refusal(f"invalid endpoint settings:\n{reason}")


@dataclass(eq=False)
class Network:
    """A network of the engine: `bridge`, `host`, `none`, or one that a client made."""

    id: str
    name: str
    driver: str
    """`bridge`, `host` or `null`; empty: a client has named it, but there is none (yet)."""
    bridge: Bridge | None = None
    """What it is on the lab host; None for `host` and `none`."""
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    chosen_subnet: bool = False
    """Whether the client named the subnet: only there can it name addresses."""
    binding: IPv4Address | None = None
    """The host's address at which its ports are published unless another one is named."""
    ipam: Mapping[str, Any] = field(default_factory=lambda: {"Driver": "default", "Config": []})
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    created: int = field(default_factory=time.time_ns)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    """The endpoints of running containers, by container id."""

    @property
    def predefined(self) -> bool:
        """Whether it comes with the engine: it cannot be removed."""
        return self.name in PREDEFINED

    @property
    def user_defined(self) -> bool:
        """Whether names of containers are resolved in it."""
        return self.bridge is not None and not self.predefined
