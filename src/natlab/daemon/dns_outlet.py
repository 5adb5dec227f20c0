"""Where queries leave for the world's name servers: one socket in each place."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Final, Protocol

from natlab.daemon.dns_loop import READ, Loop
from natlab.kernel import sockets
from natlab.kernel.agent import Agent, Namespace
from natlab.model import dns
from natlab.model.dns_rules import PORT, SERVER

_IP_RECVERR: Final = 11
_DATAGRAM: Final = 65535
_AT_ONCE: Final = 64
_BUFFER_BYTES: Final = 8 << 20

Address = tuple[str, int]


@dataclass(frozen=True)
class Upstream:
    """A name server that knows the rest of the world.

    Args:
        address: Its IPv4 address; others are left out, as a lab has no IPv6.
        place: Where it is asked from: the host's place for the servers of the host's own
            resolv.conf. None: from the container itself, as Docker asks those of `--dns`.
        port: Its port.
    """

    address: str
    place: Namespace | None = None
    port: int = PORT

    @property
    def usable(self) -> bool:
        """Whether it can be asked: at an IPv4 address, and not the asker itself."""
        try:
            address = IPv4Address(self.address)
        except AddressValueError:
            return False
        return self.place is not None or address != SERVER


class Waiting(Protocol):
    """A query on its way."""

    query: dns.Query

    def answered(self, packet: bytes) -> None:
        """Something has come from the server that was asked, under the id that was given."""

    def next_server(self) -> None:
        """The server that was asked is not there."""


class Outlet:
    """A socket in one place through which every query that is sent from there leaves.

    It is connected to nobody: the host's addresses and routes may change. That a server refuses
    is read from the socket's error queue, where the kernel repeats the query (ip(7)).
    """

    def __init__(self, loop: Loop, place: Namespace) -> None:
        self.place, self._loop = place, loop
        self._waiting: dict[tuple[Address, int], Waiting] = {}
        fd = place.call(sockets.open_socket, int(socket.AF_INET), int(socket.SOCK_DGRAM))
        self.sock = socket.socket(fileno=fd.detach())
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self.users = 0

    def start(self) -> None:
        """Hear the answers from now on."""
        self._loop.watch(self.sock, READ, self._ready)

    def send(self, errand: Waiting, server: Address) -> int:
        """Send a query under an id of its own; returns that.

        Raises:
            OSError: it cannot be sent from here.
        """
        number = self._free_number(server)
        packet = dns.renumbered(errand.query.packet, number)
        try:
            self.sock.sendto(packet, server)
        except OSError:  # perhaps the news of an earlier query's failure
            self.sock.sendto(packet, server)
        self._waiting[server, number] = errand
        return number

    def forget(self, server: Address, number: int) -> None:
        """Expect no answer any more."""
        self._waiting.pop((server, number), None)

    def _free_number(self, server: Address) -> int:
        for _ in range(_AT_ONCE):
            number = secrets.randbelow(1 << 16)
            if (server, number) not in self._waiting:
                return number
        raise OSError("too many queries wait for this server")

    def _ready(self, _: int) -> None:
        self._hear_errors()
        for _ in range(_AT_ONCE):
            try:
                packet, server = self.sock.recvfrom(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue  # what the error queue has told
            errand = self._waiting.get((server, dns.number_of(packet)))
            if errand is not None:
                errand.answered(packet)

    def _hear_errors(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                packet, _, _, server = self.sock.recvmsg(_DATAGRAM, 0, socket.MSG_ERRQUEUE)
                errand = self._waiting.get((server, dns.number_of(packet)))
                if errand is not None:
                    errand.next_server()


class Outlets:
    """One outlet for each place that is in use. For threads that attach and detach."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._making = threading.Lock()
        self._by_place: dict[tuple[Agent, int], Outlet] = {}

    def take(self, place: Namespace) -> Outlet:
        """The outlet of a place, made if there is none yet; to be given back.

        Raises:
            LabGoneError: the place is gone.
        """
        key = (place.agent, place.number)
        with self._making:
            if key not in self._by_place:
                self._by_place[key] = Outlet(self._loop, place)
                with self._loop.lock:
                    self._by_place[key].start()
            self._by_place[key].users += 1
            return self._by_place[key]

    def give_back(self, outlet: Outlet) -> None:
        """Close it when its last user has given it back."""
        with self._making:
            outlet.users -= 1
            if outlet.users == 0:
                del self._by_place[outlet.place.agent, outlet.place.number]
                with self._loop.lock:
                    self._loop.remove(outlet.sock)
