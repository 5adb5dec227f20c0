"""Where the code stands: the namespaces of the moment, and the netlink handles opened in them.

Every function of this room acts in the namespaces that its process is in. The agent moves
between places; a place keeps descriptors of its namespaces and, opened once and only when
needed, a route socket and an nftables context, both of which stay in the namespace in which
they were born.

Only a single-threaded process may move (setns(2) refuses a mount namespace otherwise).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any, Final

from natlab.errors import LabGoneError, UnsupportedError
from natlab.kernel import syscalls

_NETLINK_NETFILTER: Final = 12

_KINDS = {
    "net": syscalls.CLONE_NEWNET,
    "mnt": syscalls.CLONE_NEWNS,
    "uts": syscalls.CLONE_NEWUTS,
}


class Place:
    """Descriptors of a network, a mount and a host-name namespace, and handles born there."""

    def __init__(self, net: int, mnt: int, uts: int, *, route: socket.socket | None = None) -> None:
        self.fds = {"net": net, "mnt": mnt, "uts": uts}
        self.inodes = {kind: os.fstat(fd).st_ino for kind, fd in self.fds.items()}
        self._ipr: Any = None
        self._nft: Any = None
        self._route = route
        self._netfilter: socket.socket | None = None

    @classmethod
    def here(cls) -> Place:
        """The place in which the calling thread stands now."""
        opened = [os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY) for kind in _KINDS]
        return cls(*opened)

    def with_net(self, net: int, route: socket.socket | None = None) -> Place:
        """The same machine seen from another network namespace, as `ip netns exec` does.

        Args:
            net: A descriptor of the namespace.
            route: A route socket that was born there, if there is one already.
        """
        return Place(net, os.dup(self.fds["mnt"]), os.dup(self.fds["uts"]), route=route)

    def enter(self, coming_from: Place | None = None) -> None:
        """Move the calling thread here; what it shares with where it comes from stays."""
        for kind, flag in _KINDS.items():
            if coming_from is None or coming_from.inodes[kind] != self.inodes[kind]:
                syscalls.setns(self.fds[kind], flag)

    @property
    def ipr(self) -> Any:
        """A pyroute2 `IPRoute` in this network namespace."""
        if self._ipr is None:
            from pyroute2 import IPRoute

            self._ipr = IPRoute()
        return self._ipr

    @property
    def nft(self) -> Any:
        """A libnftables context in this network namespace."""
        if self._nft is None:
            self._nft = _nftables()
        return self._nft

    @property
    def route(self) -> socket.socket:
        """A plain route netlink socket in this network namespace; see `natlab.kernel.rtnl`.

        Once it is there it can be used from anywhere.
        """
        if self._route is None:
            with standing.at(self):
                self._route = netlink(socket.NETLINK_ROUTE)
        return self._route

    @property
    def netfilter(self) -> socket.socket:
        """A plain netfilter netlink socket in this network namespace."""
        if self._netfilter is None:
            self._netfilter = netlink(_NETLINK_NETFILTER)
        return self._netfilter

    def close(self) -> None:
        """Close the handles, then the descriptors; what nobody else holds is then gone."""
        if self._ipr is not None:
            self._ipr.close()
        for netlink in (self._route, self._netfilter):
            if netlink is not None:
                netlink.close()
        self._ipr = self._nft = self._route = self._netfilter = None
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}


def netlink(protocol: int) -> socket.socket:
    """Open a netlink socket in the network namespace that the thread is in."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    sock.bind((0, 0))
    return sock


def _nftables() -> Any:
    try:
        from nftables import Nftables

        return Nftables()
    except (ImportError, OSError) as error:
        raise UnsupportedError(
            f"libnftables cannot be loaded ({error}): install it with"
            " `sudo apt-get install libnftables1`"
        ) from error


class _Standing:
    """The one mutable fact of this room: the place in which the process stands."""

    def __init__(self) -> None:
        self._place: Place | None = None
        self._home: Place | None = None

    @property
    def place(self) -> Place:
        """Where the process stands now."""
        if self._place is None:
            self._home = self._place = Place.here()
        return self._place

    @property
    def home(self) -> Place:
        """Where it stood first: the sandbox itself."""
        return self._home or self.place

    def move(self, place: Place) -> None:
        """Go to a place and stay there; half-way there is no place, so a failure goes back."""
        before = self.place
        if place is before:
            return
        try:
            place.enter(before)
        except BaseException:
            before.enter()
            raise
        self._place = place

    @contextlib.contextmanager
    def at(self, place: Place) -> Iterator[Place]:
        """Stand in a place for the length of a block."""
        before = self.place
        self.move(place)
        try:
            yield place
        finally:
            self.move(before)


standing = _Standing()


def ipr() -> Any:
    """The route socket of the place in which the caller stands."""
    return standing.place.ipr


def nft() -> Any:
    """The nftables context of the place in which the caller stands."""
    return standing.place.nft


NEWEST: Final = 0
"""Stands for the number of the place that was added last: its client may not know it yet."""


class Registry:
    """The agent's places by number: what a client holds is the number, never a descriptor."""

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._last = 0

    def add(self, place: Place) -> int:
        """Keep a place; returns its number."""
        self._last += 1
        self._places[self._last] = place
        return self._last

    def get(self, number: int) -> Place:
        """The place of that number.

        Raises:
            LabGoneError: it was closed: its container was removed, or its lab taken down.
        """
        place = self._places.get(number or self._last)
        if place is None:
            raise LabGoneError(
                "that container was removed, or its lab closed: make a new one to go on"
            )
        return place

    def close(self, number: int) -> None:
        """Close a place; closing it again does nothing."""
        place = self._places.pop(number or self._last, None)
        if place is not None:
            if place is standing.place:
                standing.move(standing.home)
            place.close()


registry = Registry()
