"""Host ports: who holds which, and which one is next.

The allocator goes *forward*: after 49153 comes 49154 even if 49153 is free again, and only at
the end of the range it begins anew. A client that still talks to a container of yesterday does
not reach the one of today. (Addresses behave the other way round, see
`natlab.model.addresses`.)

Rules, from moby libnetwork portallocator and the bridge driver's port mapping:

- tcp 80, udp 80 and sctp 80 are three different ports;
- 0.0.0.0 stands for every IPv4 address and `::` for every IPv6 address, and neither for the
  other family; two different addresses do not meet;
- exact ports are settled first, then ranges, then automatic ones;
- all addresses of one request get the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import combinations
from typing import Final, Literal, TypeAlias

from natlab.errors import NatlabError, UsageError
from natlab.model.addresses import Address

Proto: TypeAlias = Literal["tcp", "udp", "sctp"]
InUse: TypeAlias = Callable[[Address, int, Proto], bool]

PROTOS: Final[tuple[Proto, ...]] = ("tcp", "udp", "sctp")
"""In the order of their numbers: 6, 17, 132."""

MAX_PORT: Final = 65535


@dataclass(frozen=True, order=True)
class PortRange:
    """Ports from `first` to `last`, both included; 1 to 65535.

    Raises:
        UsageError: A port is out of range, or the last one lies before the first.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last <= MAX_PORT:
            raise UsageError(
                f"invalid port range: {self.first}-{self.last} "
                f"(ports go from 1 to {MAX_PORT}, the smaller one first)"
            )

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def after(self, port: int) -> Iterable[int]:
        """Go once round the range, beginning behind `port` (which lies in it)."""
        yield from range(port + 1, self.last + 1)
        yield from range(self.first, port + 1)


SEED_RANGE: Final = PortRange(49153, 65535)
"""Where Docker took automatic ports from before it followed `ip_local_port_range`."""


@dataclass(frozen=True)
class PortRequest:
    """A wish for one port number, the same on one or more host addresses.

    Attributes:
        addresses: Where it is bound, such as 0.0.0.0 and `::`; at least one, and none that
            another one covers.
        proto: tcp, udp or sctp.
        ports: One port (exact), several (any of them), or None (the allocator's own range).

    Raises:
        UsageError: No address, one that another covers, or an unknown protocol.
    """

    addresses: tuple[Address, ...]
    proto: Proto = "tcp"
    ports: PortRange | None = None

    def __post_init__(self) -> None:
        if not self.addresses:
            raise UsageError("a port needs a host address: give one, such as 0.0.0.0")
        for one, other in combinations(self.addresses, 2):
            if _meet(one, other):
                raise UsageError(f"host addresses {one} and {other} overlap: give only one of them")
        if self.proto not in PROTOS:
            raise UsageError(f"invalid proto: {self.proto} (use tcp, udp or sctp)")

    @property
    def exact(self) -> bool:
        """Whether only one port will do."""
        return self.ports is not None and len(self.ports) == 1

    @property
    def rank(self) -> int:
        """When it is settled: exact ports first, then ranges, then automatic ones."""
        if self.ports is None:
            return 2
        return 0 if self.exact else 1


@dataclass(frozen=True)
class Binding:
    """A port that is allocated: the answer to a `PortRequest`."""

    addresses: tuple[Address, ...]
    proto: Proto
    port: int


@dataclass(frozen=True)
class Mark:
    """How far an address has come in a range: what an allocator must remember to go on."""

    address: Address
    proto: Proto
    ports: PortRange
    last: int

    def __post_init__(self) -> None:
        if self.last not in self.ports:
            raise UsageError(f"mark {self.last} lies outside its range {self.ports}")


@dataclass
class _Ledger:
    """Who holds what: for each protocol and port, the addresses in the order of their coming."""

    held: dict[tuple[Proto, int], list[Address]] = field(default_factory=dict)

    def holder(self, address: Address, proto: Proto, port: int) -> Address | None:
        """Give the address that stands in the way, the first that came."""
        holders = self.held.get((proto, port), [])
        return next((other for other in holders if _meet(address, other)), None)

    def add(self, binding: Binding) -> None:
        self.held.setdefault((binding.proto, binding.port), []).extend(binding.addresses)

    def remove(self, binding: Binding) -> None:
        key = (binding.proto, binding.port)
        left = [a for a in self.held.get(key, []) if a not in binding.addresses]
        if left:
            self.held[key] = left
        else:
            self.held.pop(key, None)


class PortAllocator:
    """The ports of one host. One allocator belongs to one thread.

    Args:
        ports: Where automatic ports come from; `SEED_RANGE`, or the kernel's range as
            `/proc/sys/net/ipv4/ip_local_port_range` gives it.
        marks: Where an earlier allocator stopped (its `marks`); this one goes on behind.
    """

    def __init__(self, ports: PortRange = SEED_RANGE, *, marks: Iterable[Mark] = ()) -> None:
        self.ports = ports
        self._ledger = _Ledger()
        self._last = {(m.address, m.proto, m.ports): m.last for m in marks}

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The last port handed out for each address, protocol and range."""
        return tuple(Mark(*key, last) for key, last in self._last.items())

    def allocate(
        self, requests: Sequence[PortRequest], *, in_use: InUse = lambda *_: False
    ) -> tuple[Binding, ...]:
        """Settle all requests, or none.

        Equivalent to: what `docker run -p … -p … -P` does before the container starts.

        Args:
            requests: In any order; exact ones are settled first whatever their place.
            in_use: Whether a process of the host holds the port. Automatic choices pass over
                it, an exact request is refused.

        Returns:
            A binding for each request, in the order of the requests.

        Raises:
            NatlabError: With Docker's texts: `Bind for 0.0.0.0:8080 failed: port is already
                allocated` (a container holds it), `failed to bind host port 0.0.0.0:8080/tcp:
                address already in use` (a process does), `all ports are allocated`.
        """
        marks_before = dict(self._last)
        settled: dict[int, Binding] = {}
        try:
            for index in sorted(range(len(requests)), key=lambda i: requests[i].rank):
                settled[index] = self._settle(requests[index], in_use)
                self._ledger.add(settled[index])
        except BaseException:
            self.release(settled.values())
            self._last = marks_before
            raise
        return tuple(settled[index] for index in range(len(requests)))

    def rewind(self, marks: Iterable[Mark]) -> None:
        """Go back to where the automatic choices had come, as if what followed had not been."""
        self._last = {(m.address, m.proto, m.ports): m.last for m in marks}

    def release(self, bindings: Iterable[Binding]) -> None:
        """Give ports back; the next automatic choice still goes forward.

        What is not held is passed over: taking down twice does no harm.

        Equivalent to: what `docker rm` does to the container's ports.
        """
        for binding in bindings:
            self._ledger.remove(binding)

    def _settle(self, request: PortRequest, in_use: InUse) -> Binding:
        if request.exact:
            return self._exact(request, in_use)
        ports = request.ports or self.ports
        start = (request.addresses[0], request.proto, ports)
        for port in ports.after(self._last.get(start, ports.last)):
            if self._free(request, port, in_use):
                for address in request.addresses:
                    self._last[address, request.proto, ports] = port
                return Binding(request.addresses, request.proto, port)
        raise NatlabError("all ports are allocated")

    def _free(self, request: PortRequest, port: int, in_use: InUse) -> bool:
        proto = request.proto
        return not any(
            self._ledger.holder(address, proto, port) or in_use(address, port, proto)
            for address in request.addresses
        )

    def _exact(self, request: PortRequest, in_use: InUse) -> Binding:
        port = request.ports.first if request.ports else 0
        for address in request.addresses:
            if holder := self._ledger.holder(address, request.proto, port):
                raise NatlabError(f"Bind for {holder}:{port} failed: port is already allocated")
        for address in request.addresses:
            if in_use(address, port, request.proto):
                raise NatlabError(
                    f"failed to bind host port {host_and_port(address, port)}/{request.proto}: "
                    "address already in use"
                )
        return Binding(request.addresses, request.proto, port)


def host_and_port(address: Address, port: int | PortRange) -> str:
    """Join an address and a port: `0.0.0.0:8080`, `[::1]:8080` (Go's net.JoinHostPort)."""
    return f"{address}:{port}" if isinstance(address, IPv4Address) else f"[{address}]:{port}"


def _meet(one: Address, other: Address) -> bool:
    """Whether a socket on one address would be in the way of a socket on the other."""
    if one.version != other.version:
        return False
    return one == other or one.is_unspecified or other.is_unspecified
