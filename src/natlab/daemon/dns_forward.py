"""A query on its way to the world's name servers, one server after the other."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
from collections.abc import Callable, Sequence

from natlab.daemon.dns_loop import Loop, Timer
from natlab.daemon.dns_outlet import Address, Outlet
from natlab.daemon.dns_stream import Stream
from natlab.errors import NatlabError
from natlab.kernel import sockets
from natlab.model import dns

Done = Callable[[bytes | None], None]


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
