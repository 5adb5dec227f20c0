"""Publishing: the grammar of `docker run -p`, and how the result is shown.

    [[IP:]HOST_PORTS:]CONTAINER_PORTS[/PROTO]        80   8080:80   127.0.0.1::80/udp
    PORTS = PORT | FIRST-LAST                        8000-8002:80-82   8000-8010:80

No host port means "choose one". A range against one container port means "choose one of
these"; a range against a range goes pair by pair and must have the same length. The grammar
and its messages are those of go-connections, nat.ParsePortSpec; what natlab adds to a message
stands in parentheses.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from natlab.errors import UsageError
from natlab.model.addresses import Address
from natlab.model.names import one_line
from natlab.model.ports import MAX_PORT, PROTOS, Binding, PortRange, PortRequest, Proto
from natlab.model.ports import host_and_port as _join

ANY_IPV4: Final = IPv4Address("0.0.0.0")
"""Where Docker publishes unless told otherwise."""

_PORT: Final = re.compile(r"0*([0-9]{1,5})")
_A_PORT_IS: Final = f"a port is 1 to {MAX_PORT}, a range 8000-8002"


@dataclass(frozen=True)
class Exposed:
    """A container's port that an image or `--expose` names: `80/tcp`; 1 to 65535."""

    port: int
    proto: Proto = "tcp"

    def __post_init__(self) -> None:
        _check_port("containerPort", self.port)
        _check_proto(self.proto)

    def __str__(self) -> str:
        return f"{self.port}/{self.proto}"


@dataclass(frozen=True)
class PublishSpec:
    """One port that is to be published: what one `-p` asks for.

    Attributes:
        container_port: 1 to 65535.
        proto: tcp, udp or sctp.
        host_ip: The host's address; None means the daemon's default, usually 0.0.0.0.
        host_port: One port, several to choose from, or None for any.

    Raises:
        UsageError: The port is not 1 to 65535, or the protocol is unknown.
    """

    container_port: int
    proto: Proto = "tcp"
    host_ip: Address | None = None
    host_port: PortRange | None = None

    def __post_init__(self) -> None:
        _check_port("containerPort", self.container_port)
        _check_proto(self.proto)

    def __str__(self) -> str:
        """Spell it as `-p` takes it: `127.0.0.1:8080:80/tcp`."""
        host = "" if self.host_port is None else str(self.host_port)
        target = f"{self.container_port}/{self.proto}"
        if self.host_ip is None:
            return f"{host}:{target}" if host else target
        ip = self.host_ip if isinstance(self.host_ip, IPv4Address) else f"[{self.host_ip}]"
        return f"{ip}:{host}:{target}"

    def request(self, defaults: Sequence[Address] = (ANY_IPV4,)) -> PortRequest:
        """Make the request for the allocator.

        Args:
            defaults: The addresses that stand for "no address given"; add `::` for a network
                with IPv6, and both get the same number.
        """
        addresses = tuple(defaults) if self.host_ip is None else (self.host_ip,)
        return PortRequest(addresses, self.proto, self.host_port)

    def published(self, binding: Binding) -> tuple[Published, ...]:
        """Pair the container's port with what the allocator answered, address by address."""
        return tuple(
            Published(address, binding.port, self.container_port, self.proto)
            for address in binding.addresses
        )


@dataclass(frozen=True)
class Published:
    """A port that is published: one host address and port lead to a container's port."""

    host_ip: Address
    host_port: int
    container_port: int
    proto: Proto = "tcp"

    def __post_init__(self) -> None:
        _check_port("hostPort", self.host_port)
        _check_port("containerPort", self.container_port)
        _check_proto(self.proto)

    def __str__(self) -> str:
        """Print it as `docker port` does: `80/tcp -> 0.0.0.0:8080`."""
        return f"{self.container_port}/{self.proto} -> {_join(self.host_ip, self.host_port)}"


def publish_order(specs: Iterable[PublishSpec]) -> tuple[PublishSpec, ...]:
    """Sort as Docker does before it allocates: by container port, then tcp, udp, sctp.

    It decides which one gets 49153 (moby bridge driver, port mapping).
    """
    return tuple(sorted(specs, key=lambda s: (s.container_port, PROTOS.index(s.proto))))


@functools.lru_cache(maxsize=256)
def parse_publish(text: str) -> tuple[PublishSpec, ...]:
    """Read the value of a `-p` option; a range of container ports gives several.

    Host port 0 is an automatic one; an IPv6 address may do without its brackets, and an
    IPv4-mapped one (`::ffff:127.0.0.1`) is the IPv4 address.

    Equivalent to: `docker run -p TEXT`.

    Raises:
        UsageError: With Docker's text, the first that applies of `invalid IP address: …`,
            `no port specified: …<empty>`, `invalid containerPort: …`, `invalid hostPort: …`,
            `invalid ranges specified for container and host Ports: … and …`,
            `invalid proto: …`.
    """
    ip_text, host_text, container_text = _split(text)
    host_ip = _parse_ip(ip_text)
    port_text, proto_text = _port_and_proto(text, container_text)
    container = _parse_ports("containerPort", port_text)
    host = _parse_ports("hostPort", host_text) if host_text.strip("0") else None
    if host_text and 1 != len(container) != (len(host) if host else 1):
        raise UsageError(
            "invalid ranges specified for container and host Ports: "
            f"{port_text} and {host_text} (give both the same length)"
        )
    proto = _check_proto(proto_text)
    if host is None or len(container) == 1:
        return tuple(PublishSpec(port, proto, host_ip, host) for port in _each(container))
    pairs = zip(_each(container), _each(host), strict=True)
    return tuple(PublishSpec(c, proto, host_ip, PortRange(h, h)) for c, h in pairs)


def parse_expose(text: str) -> tuple[Exposed, ...]:
    """Read a port as EXPOSE and `--expose` give it: `80`, `53/udp`, `8000-8002/tcp`.

    Equivalent to: `docker run --expose TEXT`.

    Raises:
        UsageError: `invalid port format for --expose: …` for a host port, else as
            `parse_publish`.
    """
    if ":" in text:
        raise UsageError(
            f"invalid port format for --expose: {one_line(text)} (to publish a port use -p)"
        )
    port_text, proto_text = _port_and_proto(text, text)
    ports = _parse_ports("containerPort", port_text)
    proto = _check_proto(proto_text)
    return tuple(Exposed(port, proto) for port in _each(ports))


_Row: TypeAlias = tuple[Address | None, int, int, str]
_Key: TypeAlias = tuple[Address | None, str]


def ports_column(published: Iterable[Published], exposed: Iterable[Exposed] = ()) -> str:
    """Print the PORTS column of `docker ps`.

    Sorted by container port, address (as text), host port and protocol. Ports that keep their
    number, and ports that are only exposed, are drawn together into runs and come first:
    `0.0.0.0:8000-8002->8000-8002/tcp, 0.0.0.0:8080->80/tcp` (docker/cli DisplayablePorts).
    An exposed port that is published is not repeated.

    Equivalent to: `docker ps --format '{{.Ports}}'`.
    """
    rows: set[_Row] = {(p.host_ip, p.host_port, p.container_port, p.proto) for p in published}
    shown = {(port, proto) for _, _, port, proto in rows}
    rows |= {(None, 0, e.port, e.proto) for e in exposed if (e.port, e.proto) not in shown}
    runs: dict[_Key, PortRange] = {}
    done: list[str] = []
    moved: list[str] = []
    for ip, public, private, proto in sorted(rows, key=_column_order):
        if ip is not None and public != private:
            moved.append(f"{_join(ip, public)}->{private}/{proto}")
            continue
        run = runs.get((ip, proto))
        if run and private == run.last + 1:
            runs[ip, proto] = PortRange(run.first, private)
            continue
        if run:
            done.append(_run((ip, proto), run))
        runs[ip, proto] = PortRange(private, private)
    return ", ".join([*done, *(_run(key, run) for key, run in runs.items()), *moved])


def _column_order(row: _Row) -> tuple[int, str, int, str]:
    ip, public, private, proto = row
    return private, (str(ip) if ip else ""), public, proto


def _run(key: _Key, run: PortRange) -> str:
    ip, proto = key
    return f"{run}/{proto}" if ip is None else f"{_join(ip, run)}->{run}/{proto}"


def _split(text: str) -> tuple[str, str, str]:
    """Cut at the last two colons: what is left of them is the address, colons and all."""
    parts = text.split(":")
    *ip, host, container = [""] * (3 - len(parts)) + parts
    return ":".join(ip), host, container


def _port_and_proto(text: str, container: str) -> tuple[str, str]:
    port, _, proto = container.partition("/")
    if not port:
        raise UsageError(f"no port specified: {one_line(text)}<empty> ({_A_PORT_IS})")
    return port, (proto or "tcp").lower()


def _parse_ip(text: str) -> Address | None:
    if text.startswith("[") and not text.endswith("]"):
        shown = one_line(text)
        why = "too many colons in address" if "]" in text else "missing ']' in address"
        raise UsageError(f"invalid IP address {shown}: address {shown}:: {why}")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not bare:
        return None
    try:
        address = ip_address(bare)
    except ValueError:
        address = None
    if address is None or "%" in bare:
        raise UsageError(
            f"invalid IP address: {one_line(bare)} (use one of the host's, such as 127.0.0.1)"
        )
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _parse_ports(what: str, text: str) -> PortRange:
    first, dash, last = text.partition("-")
    numbers = [_PORT.fullmatch(part) for part in ((first, last) if dash else (first,))]
    ports = [int(number[1]) for number in numbers if number]
    if len(ports) < len(numbers) or not 1 <= ports[0] <= ports[-1] <= MAX_PORT:
        raise UsageError(f"invalid {what}: {one_line(text)} ({_A_PORT_IS})")
    return PortRange(ports[0], ports[-1])


def _each(ports: PortRange) -> range:
    return range(ports.first, ports.last + 1)


def _check_port(what: str, port: int) -> None:
    if not 1 <= port <= MAX_PORT:
        raise UsageError(f"invalid {what}: {port} ({_A_PORT_IS})")


def _check_proto(proto: str) -> Proto:
    if proto not in PROTOS:
        raise UsageError(f"invalid proto: {one_line(proto)} (use tcp, udp or sctp)")
    return proto
