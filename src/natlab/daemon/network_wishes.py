"""What a client may ask of a network: the fields of `POST /networks/create`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, Final

from natlab.engine.network import Network as Bridge
from natlab.model.addresses import Address
from natlab.model.addresses import Network as Subnet
from natlab.model.refusal import Refusal

MTU: Final = "com.docker.network.driver.mtu"
"""The option for the largest packet."""
_BR: Final = "com.docker.network.bridge."
ICC: Final = f"{_BR}enable_icc"
"""The option for whether containers of a network reach each other."""
MASQUERADE: Final = f"{_BR}enable_ip_masquerade"
"""The option for whether packets take the host's address when they leave it."""
BINDING: Final = f"{_BR}host_binding_ipv4"
"""The option for the host's address at which ports are published unless another one is named."""
BRIDGE_NAME: Final = f"{_BR}name"
"""The option for the bridge's name."""
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def default_options(bridge: Bridge) -> dict[str, str]:
    """The options that Docker shows of its default network."""
    return {
        f"{_BR}default_bridge": "true",
        ICC: str(bridge.icc).lower(),
        MASQUERADE: "true",
        BINDING: "0.0.0.0",
        BRIDGE_NAME: bridge.bridge,
        MTU: str(bridge.mtu),
    }


def check_network_name(name: str) -> None:
    """Check that a network can be called so (moby `daemon/network.go`).

    Raises:
        Refusal: it cannot (400).
    """
    if not _NAME.fullmatch(name):
        raise Refusal(f"invalid network name {name!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")


def wanted_gateway(
    text: str | None, subnet: IPv4Network, within: IPv4Network | None = None
) -> IPv4Address:
    """What was asked for, or the first address of the part from which containers get theirs.

    Docker's client says the same of a foreign one.

    Raises:
        Refusal: malformed, or not in the subnet (400).
    """
    pool = within or subnet
    first = max(pool.network_address, subnet.network_address + (subnet.num_addresses > 1))
    gateway = wanted_address(text, "gateway") or first
    if gateway not in subnet:
        raise Refusal(f"no matching subnet for gateway {gateway}")
    return gateway


def wanted_ipam(
    subnet: IPv4Network,
    gateway: IPv4Address,
    ipam: Mapping[str, Any] | None = None,
    asked: Mapping[str, Any] | None = None,
    six: tuple[IPv6Interface | None, Mapping[str, Any]] = (None, {}),
) -> dict[str, Any]:
    """The field IPAM as a network shows it: what was asked for, and what came of it.

    Args:
        subnet: Its subnet.
        gateway: Its gateway.
        ipam: The field as the client gave it.
        asked: What was asked for IPv4.
        six: The bridge's IPv6 address, if it has one, and what was asked for that.
    """
    config = [_shown(asked or {}, subnet, gateway)]
    if six[0] is not None:
        config.append(_shown(six[1], six[0].network, six[0].ip))
    return {"Driver": "default", "Options": (ipam or {}).get("Options") or {}, "Config": config}


def _shown(asked: Mapping[str, Any], subnet: Subnet, gateway: Address) -> dict[str, Any]:
    said = {key: value for key, value in asked.items() if value}
    return {**said, "Subnet": str(subnet), "Gateway": str(gateway)}


def wanted_pools(ipam: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What is asked for IPv4 and for IPv6: the first of each among IPAM's Config."""
    configs = [config or {} for config in ipam.get("Config") or ()]
    six = [config for config in configs if ":" in _texts(config)]
    four = [config for config in configs if config not in six]
    return (four or [{}])[0], (six or [{}])[0]


def _texts(config: Mapping[str, Any]) -> str:
    return f"{config.get('Subnet') or ''} {config.get('Gateway') or ''}"


def wanted_network6(text: Any) -> IPv6Network | None:
    """An IPv6 subnet, or None where none was named.

    Raises:
        Refusal: malformed (400).
    """
    if not text:
        return None
    try:
        return ipaddress.IPv6Network(text, strict=False)
    except ValueError:
        raise Refusal(
            f"invalid network config: invalid subnet {text}: give one like fd00:1::/64"
        ) from None


def wanted_gateway6(text: Any, subnet: IPv6Network) -> IPv6Address:
    """What was asked for, or the first address.

    Raises:
        Refusal: malformed, or not in the subnet (400).
    """
    try:
        gateway = ipaddress.IPv6Address(text) if text else subnet.network_address + 1
    except ValueError:
        raise Refusal(f"invalid network config: invalid gateway {text}") from None
    if gateway not in subnet:
        raise Refusal(f"no matching subnet for gateway {gateway}")
    return gateway


def wanted_mtu(options: Mapping[str, str]) -> int:
    """The largest packet that was asked for, in bytes; 1500 unless one was.

    Raises:
        Refusal: no number from 68 to 65535 (400).
    """
    text = options.get(MTU, "1500")
    if not text.isdigit() or not 68 <= int(text) <= 65535:  # noqa: PLR2004 - RFC 791, IP's limit
        raise Refusal(f"invalid MTU {text!r}: give a number from 68 to 65535")
    return int(text)


def wanted_text(body: Mapping[str, Any], key: str) -> str:
    """A field that is a string, or empty.

    Raises:
        Refusal: it is something else (400).
    """
    value = body.get(key) or ""
    if not isinstance(value, str):
        raise Refusal(f"invalid {key}: it must be a string")
    return value


def wanted_strings(body: Mapping[str, Any], key: str) -> dict[str, str]:
    """A field that is an object of strings, or empty.

    Raises:
        Refusal: it is something else (400).
    """
    value = body.get(key) or {}
    if not isinstance(value, Mapping):
        raise Refusal(f"invalid {key}: it must be an object of strings")
    return {str(name): str(text) for name, text in value.items()}


def wanted_network(text: Any, what: str) -> IPv4Network | None:
    """A subnet, or None where none was named.

    Raises:
        Refusal: malformed (400); `what` says which of them.
    """
    if not text:
        return None
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise Refusal(
            f"invalid network config: invalid {what} {text}: give one like 10.1.0.0/16"
        ) from None


def wanted_address(text: Any, what: str) -> IPv4Address | None:
    """An address, or None where none was named.

    Raises:
        Refusal: malformed (400); `what` says which of them.
    """
    if not text:
        return None
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise Refusal(f"invalid network config: invalid {what} {text}") from None
