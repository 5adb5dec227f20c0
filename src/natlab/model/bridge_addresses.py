"""The addresses that a bridge may have: a gateway's, with room for containers behind it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, ip_interface
from typing import Final

from natlab.errors import UsageError
from natlab.model.addresses import Route
from natlab.model.state import RouteEntry

DOCKER0_ADDRESS: Final = "172.17.0.1/16"
_SMALLEST: Final = 30
"""The longest prefix that has room for a gateway and a container."""
_FEWEST: Final = 2
"""So many addresses of an IPv6 subnet leave no room for a container."""


def bridge_address(address: str) -> IPv4Interface:
    """Read a bridge's IPv4 address with its prefix length.

    Raises:
        UsageError: it is not one, or leaves no room for containers.
    """
    try:
        interface = ip_interface(address)
    except ValueError:
        raise UsageError(
            f"{address!r} is not an address with a prefix length, like {DOCKER0_ADDRESS}"
        ) from None
    if not isinstance(interface, IPv4Interface) or interface.network.prefixlen > _SMALLEST:
        raise UsageError(
            f"{address} leaves no room for containers: give an IPv4 prefix of {_SMALLEST} or less"
        )
    return interface


def bridge_address6(address: str | None) -> IPv6Interface | None:
    """Read a bridge's IPv6 address with its prefix length; None: it has none.

    Raises:
        UsageError: it is not one, or leaves no room for containers.
    """
    if address is None:
        return None
    try:
        interface = IPv6Interface(address)
    except ValueError:
        interface = None
    if interface is None or interface.network.num_addresses <= _FEWEST:
        raise UsageError(
            f"{address!r} is not an IPv6 address with a prefix length, like fd00::1/64"
        )
    return interface


def ipv4_routes(entries: Iterable[RouteEntry]) -> list[Route]:
    """A host's routes, less the default ones, as far as choosing a subnet cares."""
    return [
        Route(IPv4Network(entry.dst), entry.dev, entry.table_name, _ipv4(entry.gateway))
        for entry in entries
        if entry.dst != "default"
    ]


def _ipv4(address: str | None) -> IPv4Address | None:
    return IPv4Address(address) if address and ":" not in address else None
