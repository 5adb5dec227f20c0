"""What `docker network create` and `docker network connect` ask the engine for."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from natlab.errors import UsageError
from natlab.model.docker_flags import Options


def creation(options: Options) -> dict[str, Any]:
    """Make the body of `POST /networks/create`.

    Raises:
        UsageError: An address that no subnet holds, in Docker's words.
    """
    made: dict[str, Any] = {
        "Driver": options.text("driver") or "bridge",
        "Scope": "",
        "IPAM": {
            "Driver": options.text("ipam-driver") or "default",
            "Options": mapping(options.all("ipam-opt")),
            "Config": _pools(options),
        },
        "Internal": options.on("internal"),
        "Attachable": options.on("attachable"),
        "Ingress": False,
        "ConfigOnly": False,
        "ConfigFrom": None,
        "Options": mapping(options.all("opt")),
        "Labels": mapping(options.all("label")),
        "Name": options.arguments[0],
    }
    for name, key in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if options.given(name):
            made[key] = options.on(name)
    return made


def mapping(texts: list[str]) -> dict[str, str]:
    """The pairs of `a=b` texts."""
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


def _pools(options: Options) -> list[dict[str, Any]]:
    """The subnets, each with what belongs to it."""
    pools: dict[str, dict[str, Any]] = {text: {"Subnet": text} for text in options.all("subnet")}
    for name, key in (("ip-range", "IPRange"), ("gateway", "Gateway")):
        given = options.all(name)
        if len(given) > len(pools):
            raise UsageError("every ip-range or gateway must have a corresponding subnet")
        for text in given:
            pool = _holding(pools, text.partition("/")[0])
            if pool is None:
                raise UsageError(f"no matching subnet for {name.replace('ip-', '')} {text}")
            if key in pool:
                raise UsageError(f"cannot configure multiple {name}s on the same subnet")
            pool[key] = text
    for text in options.all("aux-address"):
        label, _, address = text.partition("=")
        pool = _holding(pools, address)
        if pool is None:
            raise UsageError(f"no matching subnet for aux-address {address}")
        pool.setdefault("AuxiliaryAddresses", {})[label] = address
    return list(pools.values())


def _holding(pools: dict[str, dict[str, Any]], address: str) -> dict[str, Any] | None:
    """The pool whose subnet holds an address; an only one that is no subnet is the engine's."""
    for text, pool in pools.items():
        try:
            if ip_address(address) in ip_network(text, strict=False):
                return pool
        except ValueError:
            return pool
    return None


def connection(options: Options, container: str) -> dict[str, Any]:
    """Make the body of `POST /networks/{id}/connect`.

    Args:
        options: What the command line said.
        container: Which container is connected.
    """
    addresses = {
        key: options.text(name)
        for name, key in (("ip", "IPv4Address"), ("ip6", "IPv6Address"))
        if options.text(name)
    }
    local = options.all("link-local-ip")
    return {
        "Container": container,
        "EndpointConfig": {
            "IPAMConfig": addresses | ({"LinkLocalIPs": local} if local else {}),
            "Links": options.all("link") or None,
            "Aliases": options.all("alias"),
            "DriverOpts": mapping(options.all("driver-opt")),
            "GwPriority": options.get("gw-priority", 0),
        },
    }
