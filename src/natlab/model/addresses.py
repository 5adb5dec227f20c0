"""Addresses: which subnet a network takes, which address a container gets, which MAC follows.

A pool hands out the *lowest* free address: remove the container on .2 and the next one stands
on .2 again. (Ports behave the other way round, see `natlab.model.ports`.) A subnet picked
automatically is the first of Docker's own list that nothing on the host overlaps.

Every message begins with Docker's text where Docker has one; what natlab adds stands in
parentheses behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Generic, TypeAlias, TypeVar, cast, overload

from natlab.errors import NatlabError, PoolFullError, UsageError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
A = TypeVar("A", IPv4Address, IPv6Address)

DEFAULT_POOLS: Final = (
    *(IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32)),
    *IPv4Network("192.168.0.0/16").subnets(new_prefix=20),
)
"""What Docker picks subnets from, in its order (moby ipamutils, local scope)."""

_IPV4: Final = 4
_PORTABLE_HOST_BITS: Final = 2


class AddressPool(Generic[A]):
    """The addresses of one network: reserved ones, taken ones, and the next one.

    The network's own address, an IPv4 broadcast address and the gateway are reserved. Subnets
    of two addresses (/31, /127) hold back only the gateway (RFC 3021, RFC 6164). Memory grows
    with the addresses taken, not with the subnet: an IPv6 /64 costs nothing.

    Behaviour: moby libnetwork ipam. One pool belongs to one thread.

    Equivalent to: `docker network create --subnet SUBNET --gateway GATEWAY NAME`.

    Attributes:
        subnet: The range.
        gateway: The bridge's address; the first host address (.1) unless given.
        within: Where addresses come from that nobody asked for by number (`--ip-range`).

    Raises:
        UsageError: The subnet has one address only, or the gateway is not one of its hosts
            (`invalid gateway 10.1.0.1: parent subnet 10.0.0.0/24 doesn't contain this address`).
    """

    @overload
    def __init__(
        self: AddressPool[IPv4Address],
        subnet: IPv4Network,
        gateway: IPv4Address | None = None,
        within: IPv4Network | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self: AddressPool[IPv6Address],
        subnet: IPv6Network,
        gateway: IPv6Address | None = None,
        within: IPv6Network | None = None,
    ) -> None: ...

    def __init__(
        self,
        subnet: Network,
        gateway: Address | None = None,
        within: Network | None = None,
    ) -> None:
        if subnet.num_addresses == 1:
            raise UsageError(
                f"subnet {subnet} has no room for a gateway and a container: "
                f"choose /{subnet.max_prefixlen - 1} or larger"
            )
        self.subnet = subnet
        self._base: A = cast("A", subnet.network_address)
        self._first, self._last = _host_offsets(subnet)
        self.gateway: A = self._base + 1 if gateway is None else cast("A", gateway)
        self._check_gateway()
        self._taken = {self._offset(self.gateway)}
        self._lowest, self._highest = self._first, self._last
        """No offset below the first is free, and none above the second handed out unasked."""
        if within is not None:
            self._limit(within)
        self._range_begin = self._lowest

    @property
    def reserved(self) -> frozenset[A]:
        """What no container gets: network, IPv4 broadcast (from /30 up) and gateway."""
        ends = {self._base} if self._first else set()
        if self._last < self.subnet.num_addresses - 1:
            ends.add(self._base + (self._last + 1))
        return frozenset(ends | {self.gateway})

    @property
    def allocated(self) -> tuple[A, ...]:
        """What is handed out, in ascending order; reserved addresses are not among it."""
        mine = self._offset(self.gateway)
        return tuple(self._base + offset for offset in sorted(self._taken) if offset != mine)

    def allocate(self, requested: A | None = None) -> A:
        """Take the first free address, or the requested one.

        Equivalent to: `docker run`, or `docker run --ip REQUESTED`.

        Raises:
            UsageError: `no configured subnet or ip-range contain the IP address …`: it lies
                outside; or `Address already in use`: it is taken or reserved.
            NatlabError: `no available addresses on this pool`: all are taken.
        """
        offset = self._next_free() if requested is None else self._free_offset(requested)
        self._taken.add(offset)
        if offset == self._lowest:
            self._lowest += 1
        return self._base + offset

    def release(self, address: A) -> None:
        """Give an address back; it may be handed out again at once.

        One that is free already stays free: taking down twice does no harm.

        Equivalent to: what `docker rm` does to the container's address.

        Raises:
            UsageError: The address lies outside the subnet or is reserved.
        """
        self._check_inside(address)
        if address in self.reserved:
            raise UsageError(
                f"{address} is reserved in {self.subnet}: only a container's address is released"
            )
        offset = self._offset(address)
        self._taken.discard(offset)
        if offset >= self._range_begin:
            self._lowest = min(self._lowest, offset)

    def _offset(self, address: A) -> int:
        return int(address) - int(self._base)

    def _next_free(self) -> int:
        offset = self._lowest
        while offset in self._taken:
            offset += 1
        self._lowest = offset
        if offset > self._highest:
            raise PoolFullError(
                f"no available addresses on this pool ({self.subnet} is full: "
                "remove a container or use a larger subnet)"
            )
        return offset

    def _free_offset(self, requested: A) -> int:
        self._check_inside(requested)
        offset = self._offset(requested)
        if offset in self._taken or not self._first <= offset <= self._last:
            raise UsageError(
                f"Address already in use ({requested} in {self.subnet}: "
                "choose another, or none for the next free one)"
            )
        return offset

    def _limit(self, within: Network) -> None:
        if within.version != self.subnet.version or not within.subnet_of(self.subnet):  # type: ignore[arg-type]
            raise UsageError(
                f"invalid ip-range {within}: parent subnet {self.subnet} doesn't contain it"
            )
        begin = int(within.network_address) - int(self._base)
        self._lowest = max(self._first, begin)
        self._highest = min(self._last, begin + within.num_addresses - 1)

    def _check_inside(self, address: A) -> None:
        if address not in self.subnet:
            raise UsageError(
                f"no configured subnet or ip-range contain the IP address {address} "
                f"(choose one in {self.subnet})"
            )

    def _check_gateway(self) -> None:
        if self.gateway not in self.subnet:
            raise UsageError(
                f"invalid gateway {self.gateway}: "
                f"parent subnet {self.subnet} doesn't contain this address"
            )
        if not self._first <= self._offset(self.gateway) <= self._last:
            raise UsageError(
                f"invalid gateway {self.gateway}: it is the network or broadcast address "
                f"of {self.subnet}, choose {self._base + 1}"
            )


def _host_offsets(subnet: Network) -> tuple[int, int]:
    """Give the first and last offset that a host may have."""
    last = subnet.num_addresses - 1
    if subnet.max_prefixlen - subnet.prefixlen < _PORTABLE_HOST_BITS:
        return 0, last
    return 1, last - 1 if subnet.version == _IPV4 else last


@dataclass(frozen=True)
class Route:
    """A route of the host, as far as choosing a subnet cares.

    Equivalent to: one line of `ip route show table TABLE`.

    Attributes:
        dst: Where it leads.
        dev: The interface it leaves by; None for a route that only refuses (`unreachable`).
        table: The routing table's name or number; VPN clients often keep one of their own.
        via: The next router; None means on-link: the neighbours themselves have `dst`.
    """

    dst: Network
    dev: str | None
    table: str = "main"
    via: Address | None = None

    def __str__(self) -> str:
        via = f" via {self.via}" if self.via else ""
        dev = f" dev {self.dev}" if self.dev else ""
        return f"{self.dst}{via}{dev} (table {self.table})"


def overlap(subnet: Network, routes: Iterable[Route]) -> Route | None:
    """Give the first route that shares addresses with the subnet; a default route never does."""
    return next((r for r in routes if r.dst.prefixlen and _share(subnet, r.dst)), None)


def check_subnet(
    subnet: Network, *, routes: Iterable[Route] = (), networks: Iterable[Network] = ()
) -> None:
    """Check that a subnet asked for collides with no route and no other network of the host.

    Equivalent to: the refusal of `docker network create --subnet SUBNET`.

    Raises:
        UsageError: `Pool overlaps with other one on this address space`, or the message names
            the route: `subnet … overlaps the route …: choose another with --subnet`.
    """
    for network in networks:
        if _share(subnet, network):
            raise UsageError(
                "Pool overlaps with other one on this address space "
                f"({subnet} and {network}: choose another with --subnet)"
            )
    if route := overlap(subnet, routes):
        raise UsageError(
            f"subnet {subnet} overlaps the route {route}: choose another with --subnet"
        )


def pick_subnet(
    used: Iterable[Route | Network], nameservers: Iterable[Address] = ()
) -> IPv4Network:
    """Pick the first of Docker's default pools that nothing overlaps.

    Avoided are other networks, on-link routes and name servers. A route through a router does
    not count, and neither does a default route (moby netutils.InferReservedNetworks).

    Equivalent to: `docker network create NAME` without `--subnet`.

    Raises:
        NatlabError: `all predefined address pools have been fully subnetted`.
    """
    avoided = [network for item in used if (network := _avoided(item)) is not None]
    servers = tuple(nameservers)
    for pool in DEFAULT_POOLS:
        if any(_share(pool, network) for network in avoided):
            continue
        if not any(server in pool for server in servers):
            return pool
    raise NatlabError(
        "all predefined address pools have been fully subnetted "
        "(remove a network, or give a subnet with --subnet)"
    )


def pick_subnet6(seed: str, used: Iterable[Network]) -> IPv6Network:
    """Pick the first /64 of an engine's own unique local addresses that no network has.

    They begin with fd and 40 bits that follow from the seed (RFC 4193), so that two engines
    hardly ever pick the same. Since 27.0 Docker does it like that for `--ipv6` without a subnet.

    Equivalent to: `docker network create --ipv6 NAME`.
    """
    digits = hashlib.sha256(seed.encode()).hexdigest()[:10]
    whole = IPv6Network((int(f"fd{digits}", 16) << 80, 48))
    taken = [network for network in used if network.version == whole.version]
    subnets = whole.subnets(new_prefix=64)
    return next(s for s in subnets if not any(_share(s, network) for network in taken))


def mac_for(address: IPv4Address) -> str:
    """Derive a container's MAC: `02:42:` and the four bytes of its address.

    172.17.0.2 gives 02:42:ac:11:00:02. So Docker did up to 27.5 (moby netutils.GenerateMACFromIP);
    since 28 it is random. The 02 says that nobody registered it (locally administered).

    Equivalent to: `ip link set eth0 address 02:42:ac:11:00:02`.
    """
    return f"02:42:{address.packed.hex(':')}"


def _avoided(item: Route | Network) -> Network | None:
    if not isinstance(item, Route):
        return item
    return item.dst if item.via is None and item.dst.prefixlen else None


def _share(one: Network, other: Network) -> bool:
    if one.version != other.version:
        return False
    return one[0] in other or other[0] in one
