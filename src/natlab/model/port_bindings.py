"""Ports as the Engine API writes them: what a client asks for, and what it is shown.

"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}    asked for
"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": null}    inspect
"Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]    ps
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from natlab.errors import UsageError
from natlab.model.addresses import Address
from natlab.model.json_shapes import as_list, as_object, as_text
from natlab.model.names import one_line
from natlab.model.ports import MAX_PORT, PortRange
from natlab.model.publish import Exposed, Published, PublishSpec, parse_expose, publish_order
from natlab.model.refusal import Refusal

_PORT: Final = re.compile(r"[0-9]{1,5}")


def exposed_ports(exposed: Iterable[str]) -> tuple[Exposed, ...]:
    """Read the keys of ExposedPorts, each port once: `80/tcp`, `53/udp`, `8000-8002`.

    Raises:
        Refusal: `invalid containerPort: x`, `invalid proto: x`.
    """
    try:
        ports = [port for text in exposed for port in parse_expose(text)]
    except UsageError as error:
        raise Refusal(str(error)) from None
    return tuple(dict.fromkeys(ports))


def port_specs(exposed: Iterable[str], host_config: Mapping[str, Any]) -> tuple[PublishSpec, ...]:
    """Say what is to be published, in the order in which Docker settles it.

    With PublishAllPorts each exposed port without a binding of its own gets an automatic one.

    Equivalent to: `docker run -p … -P`.

    Args:
        exposed: The ports of the image and of the run: `80/tcp`.
        host_config: The body's HostConfig; PortBindings and PublishAllPorts are read.

    Raises:
        Refusal: `invalid port specification: "x"`, `invalid IP address: x`, `invalid proto: x`,
            or `invalid JSON: …` when a value has the wrong shape.
    """
    wanted = host_config.get("PortBindings")
    bindings = as_object("PortBindings", wanted)
    specs: list[PublishSpec] = []
    bound: set[Exposed] = set()
    for key, value in bindings.items():
        port = _container_port(key)
        for binding in as_list(f"PortBindings[{key}]", value):
            specs.append(_spec(port, as_object(f"PortBindings[{key}]", binding)))
            bound.add(port)
    if host_config.get("PublishAllPorts"):
        free = (port for port in exposed_ports(exposed) if port not in bound)
        specs += [PublishSpec(port.port, port.proto) for port in free]
    return publish_order(specs)


def ports_map(
    published: Iterable[Published], exposed: Iterable[str] = ()
) -> dict[str, list[dict[str, str]] | None]:
    """Write NetworkSettings.Ports; a port that is only exposed is there with None.

    Equivalent to: `docker inspect -f '{{json .NetworkSettings.Ports}}'`.
    """
    result: dict[str, list[dict[str, str]] | None] = {
        str(port): None for port in exposed_ports(exposed)
    }
    for port in published:
        entry = {"HostIp": str(port.host_ip), "HostPort": str(port.host_port)}
        key = f"{port.container_port}/{port.proto}"
        result[key] = [*(result.get(key) or ()), entry]
    return dict(sorted(result.items()))


def ports_list(published: Iterable[Published], exposed: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Write the Ports of /containers/json; a port that is only exposed has no address.

    The client makes the PORTS column of it: `docker ps --format '{{.Ports}}'`.
    """
    shown = list(published)
    known = {(port.container_port, port.proto) for port in shown}
    rows = [
        *(_row(port) for port in shown),
        *(
            {"PrivatePort": port.port, "Type": port.proto}
            for port in exposed_ports(exposed)
            if (port.port, port.proto) not in known
        ),
    ]
    return sorted(rows, key=_row_order)


def _row(port: Published) -> dict[str, Any]:
    return {
        "IP": str(port.host_ip),
        "PrivatePort": port.container_port,
        "PublicPort": port.host_port,
        "Type": port.proto,
    }


def _row_order(row: Mapping[str, Any]) -> tuple[int, str, int, str]:
    return row["PrivatePort"], row.get("IP", ""), row.get("PublicPort", 0), row["Type"]


def _container_port(key: str) -> Exposed:
    number, _, proto = key.partition("/")
    if not _PORT.fullmatch(number) or not 1 <= int(number) <= MAX_PORT:
        raise _bad_port(number)
    return exposed_ports([f"{int(number)}/{proto or 'tcp'}"])[0]


def _spec(port: Exposed, binding: Mapping[str, Any]) -> PublishSpec:
    ip = as_text("HostIp", binding.get("HostIp"))
    ports = as_text("HostPort", binding.get("HostPort"))
    return PublishSpec(port.port, port.proto, _host_ip(ip), _host_ports(ports))


def _host_ports(text: str) -> PortRange | None:
    first, dash, last = text.partition("/")[0].partition("-")
    numbers = [first, last] if dash else [first]
    if text and not all(_PORT.fullmatch(number) for number in numbers):
        raise _bad_port(text)
    ports = [int(number) for number in numbers if number]
    if not any(ports):
        return None
    if not 1 <= ports[0] <= ports[-1] <= MAX_PORT:
        raise _bad_port(text)
    return PortRange(ports[0], ports[-1])


def _host_ip(text: str) -> Address | None:
    if not text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        raise Refusal(f"invalid IP address: {one_line(text)}") from None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _bad_port(text: str) -> Refusal:
    return Refusal(f'invalid port specification: "{one_line(text)}"')
