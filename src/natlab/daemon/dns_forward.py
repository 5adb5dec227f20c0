"""Queries on their way to the world's name servers, one server after the other."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from natlab.daemon.dns_loop import READ, Loop, Timer
from natlab.daemon.dns_stream import Stream
from natlab.errors import NatlabError
from natlab.kernel import sockets
from natlab.kernel.agent import Agent, Namespace
from natlab.model import dns
from natlab.model.dns_rules import PORT, SERVER

MOST_SERVERS: Final = 3
"""How many servers are asked before a query has failed (moby: maxExtDNS)."""

_IP_RECVERR: Final = 11
_DATAGRAM: Final = 65535
_AT_ONCE: Final = 64
_BUFFER_BYTES: Final = 8 << 20

Address = tuple[str, int]
Done = Callable[[bytes | None], None]


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


class Outlet:
    """A socket in one place through which every query that is sent from there leaves.

    It is connected to nobody: the host's addresses and routes may change. That a server refuses
    is read from the socket's error queue, where the kernel repeats the query (ip(7)).
    """

    def __init__(self, loop: Loop, place: Namespace) -> None:
        self.place, self._loop = place, loop
        self._waiting: dict[tuple[Address, int], Errand] = {}
        fd = place.call(sockets.open_socket, int(socket.AF_INET), int(socket.SOCK_DGRAM))
        self.sock = socket.socket(fileno=fd.detach())
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self.users = 0

    def start(self) -> None:
        """Hear the answers from now on."""
        self._loop.watch(self.sock, READ, self._ready)

    def send(self, errand: Errand, server: Address) -> int:
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


class Errand:
    """One query, until a server has answered it or the last one has failed."""

    def __init__(
        self,
        loop: Loop,
        query: dns.Query,
        ways: Sequence[tuple[Outlet, Address]],
        *,
        tcp: bool,
        timeout: float,
        done: Done,
    ) -> None:
        self.query = query
        self._loop, self._ways = loop, list(ways)
        self._tcp, self._timeout, self._done = tcp, timeout, done
        self._over = False
        self._timer: Timer | None = None
        self._sent: tuple[Outlet, Address, int] | None = None
        self._stream: Stream | None = None

    def next_server(self) -> None:
        """Ask the next server; when there is none left, the query has failed."""
        while not self._over:
            self._give_up_this_one()
            if not self._ways:
                self._finish(None)
                return
            outlet, server = self._ways.pop(0)
            with contextlib.suppress(OSError, NatlabError):
                self._ask(outlet, server)
                return

    def answered(self, packet: bytes) -> None:
        """Take a server's answer, if it is one.

        A server that fails or refuses is not the last word: the next one is asked (moby,
        `forwardExtDNS`). An answer is handed on as it came, with the asker's own id.
        """
        code = dns.verdict(self.query, packet)
        if code is None:
            return
        if code in {"SERVFAIL", "REFUSED"}:
            self.next_server()
            return
        self._finish(dns.renumbered(packet, dns.number_of(self.query.packet)))

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._over = True
        self._give_up_this_one()

    def _ask(self, outlet: Outlet, server: Address) -> None:
        if self._tcp:
            self._connect(outlet, server)
        else:
            self._sent = (outlet, server, outlet.send(self, server))
            self._timer = self._loop.after(self._timeout, self.next_server)

    def _connect(self, outlet: Outlet, server: Address) -> None:
        with self._loop.unlocked():
            fd = outlet.place.call(
                sockets.open_socket, int(socket.AF_INET), int(socket.SOCK_STREAM)
            )
            sock = socket.socket(fileno=fd.detach())
        if self._over:
            sock.close()
            return
        sock.setblocking(False)
        refused = sock.connect_ex(server)
        if refused not in {0, errno.EINPROGRESS}:
            sock.close()
            raise OSError(refused, os.strerror(refused))
        number = secrets.randbelow(1 << 16)

        def heard(packet: bytes) -> None:
            if dns.number_of(packet) == number:
                self.answered(packet)

        self._stream = Stream(self._loop, sock, heard, self.next_server, idle=self._timeout)
        self._stream.send(dns.renumbered(self.query.packet, number))

    def _give_up_this_one(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._sent is not None:
            outlet, server, number = self._sent
            outlet.forget(server, number)
        if self._stream is not None:
            self._stream.close()
        self._timer = self._sent = self._stream = None

    def _finish(self, packet: bytes | None) -> None:
        self.cancel()
        self._done(packet)


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
