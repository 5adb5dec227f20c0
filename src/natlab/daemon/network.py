"""A network as Docker's clients see it, and what a container has in one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Final

from natlab.engine.network import Network as Bridge
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
    wanted_mac: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    """The endpoint with the highest one gives the container its default route."""
    id: str = ""
    """64 hexadecimal digits while the container runs; else empty, like all below."""
    address: IPv4Address | None = None
    mac: str = ""
    interface: str = ""

    def forget(self) -> None:
        """The container has stopped, or left the network."""
        self.id = self.mac = self.interface = ""
        self.address = None

    @property
    def gateway(self) -> IPv4Address | None:
        """Where packets to the outside go; None where there is no way out."""
        bridge = self.network.bridge
        return None if bridge is None or self.network.internal else bridge.gateway


def check_endpoint(endpoint: Endpoint) -> None:
    """Check that a network can give what an endpoint asks for.

    Raises:
        Refusal: aliases or an address where Docker has none (400).
    """
    network, address = endpoint.network, endpoint.wanted_ip
    if network.predefined and address is not None:
        raise _invalid("user specified IP address is supported on user defined networks only")
    if network.predefined and endpoint.aliases:
        raise _invalid(
            "network-scoped alias is supported only for containers in user defined networks"
        )
    if network.bridge is None or address is None:
        return
    if not network.chosen_subnet:
        raise _invalid(
            "user specified IP address is supported only when connecting to networks with"
            " user configured subnets"
        )
    if address not in (network.bridge.within or network.bridge.subnet):
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
