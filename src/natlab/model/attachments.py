"""Who is attached to a network, and with which addresses, given by this process or by others.

Addresses come from the network's pools. What a person gave by hand is told by whoever looks at the
kernel, and counts like the rest.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from natlab.errors import NatlabError, UsageError
from natlab.model.addresses import Address, AddressPool
from natlab.model.names import veth_name


@dataclass(frozen=True)
class Endpoint:
    """What a container was given: its addresses, and the host's end of its veth pair."""

    ip: IPv4Address
    host_end: str
    ip6: IPv6Address | None = None


class Attachments:
    """The endpoints of a network's containers, by the containers' names.

    Args:
        place: The network's host and bridge: names of veth pairs follow from it.
        pool: Where IPv4 addresses come from.
        pool6: The same for IPv6, if the network has it.
    """

    def __init__(
        self,
        place: tuple[str, str],
        pool: AddressPool[IPv4Address],
        pool6: AddressPool[IPv6Address] | None = None,
    ) -> None:
        self._host, self._bridge = place
        self.pool, self.pool6 = pool, pool6
        self._by_name: dict[str, Endpoint] = {}
        self._others: set[Address] = set()

    @contextlib.contextmanager
    def reserved(
        self,
        container: str,
        address: IPv4Address | str | None,
        interfaces: Collection[str] = (),
        address6: IPv6Address | None = None,
    ) -> Iterator[Endpoint]:
        """Addresses and a name for the host's end: the container's if the block ends well.

        The host's end gets a name that none of the interfaces has.

        Raises:
            UsageError: an address is taken, reserved, or outside the subnet.
            NatlabError: the container is attached already, or a pool is used up.
        """
        if container in self._by_name:
            raise NatlabError(
                f"{container} is on {self._bridge} already, with the address"
                f" {self._by_name[container].ip}: detach it first, or use another container"
            )
        ip = self.pool.allocate(None if address is None else _ipv4(address))
        ip6 = None
        try:
            if self.pool6 is not None:
                ip6 = self.pool6.allocate(address6)
            endpoint = Endpoint(ip, self.free_name(container, interfaces), ip6)
            yield endpoint
        except BaseException:
            self._release(ip, ip6)
            raise
        self._by_name[container] = endpoint

    def free_name(self, container: str, taken: Collection[str]) -> str:
        """A name for the host's end that no interface has: Docker's `veth` and 7 digits."""
        seed = f"{self._host}/{container}/{self._bridge}"
        names = (veth_name(seed if n == 0 else f"{seed}/{n}") for n in itertools.count())
        return next(name for name in names if name not in taken)

    def _release(self, ip: IPv4Address, ip6: IPv6Address | None) -> None:
        self.pool.release(ip)
        if ip6 is not None and self.pool6 is not None:
            self.pool6.release(ip6)

    @property
    def names(self) -> set[str]:
        """The names of the containers."""
        return set(self._by_name)

    @property
    def host_ends(self) -> set[str]:
        """The host's ends of their veth pairs."""
        return {endpoint.host_end for endpoint in self._by_name.values()}

    def __getitem__(self, name: str) -> Endpoint:
        """What a container was given here.

        Raises:
            KeyError: nothing.
        """
        return self._by_name[name]

    def of(self, name: str) -> Endpoint | None:
        """What a container was given here; None: nothing."""
        return self._by_name.get(name)

    def has(self, address: Address) -> bool:
        """Whether a container was given that address here."""
        return any(address in (known.ip, known.ip6) for known in self._by_name.values())

    def drop_gone(self, names: Collection[str], interfaces: Collection[str]) -> set[str]:
        """Drop those that are gone; returns the names of containers that were not given anything.

        Args:
            names: The containers that there are.
            interfaces: The host's interfaces.
        """
        for name, endpoint in list(self._by_name.items()):
            if name not in names or endpoint.host_end not in interfaces:
                self.forget(name)
        return set(names) - self._by_name.keys()

    def notice(self, found: Collection[Address]) -> None:
        """Take the addresses for given that others have; what they had before is free again."""
        taken = {one for one in found if self._may_be_given(one) and not self.has(one)}
        for address in self._others - taken:
            self.pool_of(address).release(address)
        for address in taken - self._others:
            self.pool_of(address).allocate(address)
        self._others = taken

    def _may_be_given(self, address: Address) -> bool:
        pool = self.pool_of(address)
        return address in pool.subnet and address not in pool.reserved

    def pool_of(self, address: Address) -> AddressPool[Any]:
        """The pool of an address's family."""
        six = isinstance(address, IPv6Address) and self.pool6 is not None
        return self.pool6 if six and self.pool6 is not None else self.pool

    def forget(self, name: str) -> None:
        """Drop a container that was removed or unplugged; its addresses are free again."""
        endpoint = self._by_name.pop(name, None)
        if endpoint is not None:
            self._release(endpoint.ip, endpoint.ip6)

    def renamed(self, before: str, name: str) -> None:
        """Remember a container by its new name."""
        if before in self._by_name:
            self._by_name[name] = self._by_name.pop(before)


def _ipv4(address: IPv4Address | str) -> IPv4Address:
    try:
        return IPv4Address(address)
    except ValueError:
        raise UsageError(
            f"{address!r} is not an IPv4 address: give one like 172.17.0.2, or none"
        ) from None
