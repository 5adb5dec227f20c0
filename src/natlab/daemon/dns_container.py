"""One container's name server: its sockets, and who gets which answer."""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from natlab.daemon.dns_forward import Errand
from natlab.daemon.dns_loop import READ, Loop, log
from natlab.daemon.dns_outlet import Outlet, Upstream
from natlab.daemon.dns_stream import Stream
from natlab.errors import NatlabError
from natlab.kernel import conntrack, firewall, sockets
from natlab.kernel.agent import Namespace
from natlab.kernel.batch import Call, together
from natlab.model import dns
from natlab.model.dns_rules import SERVER, rules

MOST_QUERIES: Final = 1024
"""Queries that may be on their way at once; one more is REFUSED (moby: maxConcurrent)."""

MOST_CONNECTIONS: Final = 128
"""TCP connections at once; one more is closed."""

IDLE: Final = 8.0
"""Seconds after which a silent TCP connection is closed (miekg/dns: 8)."""

_DATAGRAM: Final = 65535
_AT_ONCE: Final = 64
_OUT_OF_DESCRIPTORS: Final = 0.5

Tell = Callable[[bytes], None]
Way = tuple[Outlet, Upstream]


class Attachment:
    """One container's name server; made by `Resolver.attach`."""

    def __init__(
        self,
        loop: Loop,
        place: Namespace,
        view: dns.View,
        ways: Sequence[Way],
        *,
        forward: bool,
        ndots: bool,
        timeout: float,
        gone: Callable[[Attachment], None],
    ) -> None:
        self.forward = forward
        """Whether it may ask servers from the host's place; see `Resolver.attach`."""
        self._loop, self._place, self._view = loop, place, view
        self._ndots, self._timeout, self._gone = ndots, timeout, gone
        self.ways = ways
        self._streams: set[Stream] = set()
        self._errands: set[Errand] = set()
        self._closed = False
        with contextlib.ExitStack() as undo:
            self._udp = undo.enter_context(_server(place, socket.SOCK_DGRAM))
            self._tcp = undo.enter_context(_server(place, socket.SOCK_STREAM))
            self._lead_here()
            undo.pop_all()

    def _lead_here(self) -> None:
        """Make the rules; whoever asked before them, or by older ones, is led anew."""
        ports = (self._udp.getsockname()[1], self._tcp.getsockname()[1])
        here = self._place.number
        calls = (
            Call(here, firewall.command, (rules(*ports),)),
            Call(here, conntrack.forget, ([str(SERVER)],)),
        )
        self._place.call(together, calls)

    def start(self) -> None:
        """Serve from now on."""
        self._loop.watch(self._udp, READ, self._hear_datagrams)
        self._loop.watch(self._tcp, READ, self._accept)

    def close(self) -> None:
        """Take it away: its sockets, and its rules if the container is still there.

        Nothing of it is left when this returns; closing twice does nothing.
        """
        with self._loop.lock:
            if self._closed:
                return
            self._closed = True
            for errand in self._errands:
                errand.cancel()
            for stream in self._streams:
                stream.close()
            self._loop.remove(self._udp)
            self._loop.remove(self._tcp)
        self._gone(self)
        with contextlib.suppress(NatlabError, OSError):
            self._place.call(firewall.destroy)

    def _hear_datagrams(self, _: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                packet, client = self._udp.recvfrom(_DATAGRAM)
            except OSError:
                return
            self._hear(packet, functools.partial(self._tell, client), tcp=False)
            if self._closed:
                return

    def _tell(self, client: Any, packet: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody waits there any more
            self._udp.sendto(packet, client)

    def _accept(self, _: int) -> None:
        try:
            sock, _ = self._tcp.accept()
        except BlockingIOError:
            return
        except OSError:
            self._loop.watch(self._tcp, 0, self._accept)
            self._loop.after(_OUT_OF_DESCRIPTORS, self._accept_again)
            return
        if len(self._streams) >= MOST_CONNECTIONS:
            sock.close()
            return
        sock.setblocking(False)

        def heard(packet: bytes) -> None:
            stream.owed += 1
            self._hear(packet, tell, tcp=True)

        def tell(packet: bytes) -> None:
            stream.owed -= 1
            stream.send(packet)

        stream = Stream(self._loop, sock, heard, lambda: self._streams.discard(stream), idle=IDLE)
        self._streams.add(stream)

    def _accept_again(self) -> None:
        if not self._closed:
            self._loop.watch(self._tcp, READ, self._accept)

    def _hear(self, packet: bytes, tell: Tell, *, tcp: bool) -> None:
        try:
            query = dns.read_query(packet)
        except dns.BadQueryError as bad:
            if bad.reply is not None:
                tell(bad.reply)
            return
        with self._loop.unlocked():
            answer = self._look_up(query, tcp=tcp)
        if self._closed:
            return
        if answer is not None:
            tell(answer)
        elif dns.stays_inside(query, ndots=self._ndots):
            tell(dns.empty_answer(query))
        else:
            self._forward(query, tell, tcp=tcp)

    def _look_up(self, query: dns.Query, *, tcp: bool) -> bytes | None:
        try:
            return dns.local_answer(query, self._view, tcp=tcp)
        except Exception:  # noqa: BLE001 - logged below
            log.exception("natlab: the name server cannot look up %s %s", query.kind, query.name)
            return dns.failure(query)

    def _forward(self, query: dns.Query, tell: Tell, *, tcp: bool) -> None:
        if len(self._errands) >= MOST_QUERIES:
            tell(dns.failure(query, "REFUSED"))
            return

        def done(packet: bytes | None) -> None:
            self._errands.discard(errand)
            tell(dns.failure(query) if packet is None else packet)

        ways = [
            (outlet, (server.address, server.port))
            for outlet, server in self.ways
            if self.forward or server.place is None
        ]
        errand = Errand(self._loop, query, ways, tcp=tcp, timeout=self._timeout, done=done)
        self._errands.add(errand)
        errand.next_server()


def _server(place: Namespace, kind: socket.SocketKind) -> socket.socket:
    try:
        fd = place.call(sockets.open_server, int(kind), str(SERVER), 0)
    except OSError as error:
        raise NatlabError(
            f"no name server can listen at {SERVER} of this container ({error.strerror}):"
            " set its `lo` up"
        ) from error
    sock = socket.socket(fileno=fd.detach())
    sock.setblocking(False)
    return sock
