"""Send one flow and write down what either end saw, what conntrack kept, and which rules counted.

Everything is done through sockets that were born in the nodes' namespaces, so a container needs
no program for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from natlab.engine import probe
from natlab.engine.node import Node
from parity import counted
from parity.scenario import Flow
from parity.sides import HOSTS, Side

SILENCE = 0.6
"""Seconds without any answer after which a packet counts as dropped.

An answer takes well under a millisecond here, and a lost SYN is only sent again after 1 s: longer
would show nothing more. Where one side answers and the other is silent, the silent one is asked
again with `LONG`, so that a slow machine is never a difference.
"""
LONG = 5.0
_ANSWER = b"answer"
_ECHO_REQUEST = 8
_IP_RECVERR = 11  # ICMP's errors reach the socket: ip(7)
_FAILED = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.EPERM: "not permitted",
    errno.EACCES: "not permitted",
    errno.EMSGSIZE: "message too long",
    errno.EINVAL: "invalid argument",
}


@dataclass(frozen=True)
class Seen:
    """What came of a flow; addresses as text, ports only where they are not accidental."""

    outcome: str
    server: str = ""
    """Who got it: `web:8080`."""
    source: str = ""
    """From which address, as the server saw it."""
    port: str = ""
    """Whether the server saw the client's own port: kept or rewritten."""
    answered_by: str = ""
    """Whom the answer came from, as the client saw it."""
    conntrack: tuple[str, ...] = ()
    nat: tuple[str, ...] = ()
    filter: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.server:
            return self.outcome
        port = f" (port {self.port})" if self.port else ""
        return f"{self.outcome}: {self.server} saw {self.source}{port}"


@dataclass
class _Exchange:
    """A flow under way: what it needs, and what is known so far."""

    client: Node
    target: tuple[str, int]
    flow: Flow
    servers: Servers
    silence: float
    local: tuple[str, int] = ("", 0)
    outcome: str = ""
    server: str = ""
    source: tuple[str, int] = ("", 0)
    answered_by: str = ""
    conns: list[socket.socket] = field(default_factory=list)


class Servers:
    """Sockets that answer, in the nodes of a scenario."""

    def __init__(self, side: Side, places: tuple[str, ...]) -> None:
        self.sockets: dict[socket.socket, str] = {}
        self._side, self._places = side, places

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Listen everywhere; containers that are gone by now are left out."""
        self.close()
        for place in self._places:
            name, _, rest = place.rpartition(":")
            port, _, proto = rest.partition("/")
            with contextlib.suppress(_GoneError):
                node = _node(self._side, name)
                kind = socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
                sock = node.socket(kind=kind)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(proto != "udp"))
                sock.bind(("0.0.0.0", int(port)))
                if proto != "udp":
                    sock.listen(16)
                self.sockets[sock] = f"{name}:{port}"

    def node(self, name: str) -> Node:
        """One of the side's nodes."""
        return self._side.node(name)

    def close(self) -> None:
        """Stop."""
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()


class _GoneError(Exception):
    """There is no such container, or it does not run."""


def _node(side: Side, name: str) -> Node:
    import docker

    if name not in HOSTS:
        try:
            if not side.inspect(name)["State"]["Running"]:
                raise _GoneError
        except docker.errors.NotFound:
            raise _GoneError from None
    return side.node(name)


def resolve(side: Side, to: str) -> tuple[str, int]:
    """The address and the port that a flow's target stands for."""
    name, _, port = to.rpartition(":") if ":" in to else (to, "", "0")
    return _address(side, name), _port(side, port)


def _address(side: Side, name: str) -> str:
    known = {"localhost": "127.0.0.1", "host2": "192.168.33.111"}
    if name in known:
        return known[name]
    if name in HOSTS:
        return str(side.lab.addresses[HOSTS[name]].ip)
    if name == "docker0":
        return str(side.host.link("docker0").ipv4[0].ip)
    if name.replace(".", "").isdigit():
        return name
    container, _, network = name.partition("@")
    networks = side.inspect(container)["NetworkSettings"]["Networks"]
    found = networks[network] if network else next(iter(networks.values()))
    return found["IPAddress"]


def _port(side: Side, text: str) -> int:
    if text.isdigit():
        return int(text)
    container, port = text.split("/", 1)
    wanted = port if "/" in port else f"{port}/tcp"
    bindings = side.inspect(container)["NetworkSettings"]["Ports"][wanted]
    return int(next(b["HostPort"] for b in bindings if ":" not in b["HostIp"]))


def observe(side: Side, flow: Flow, servers: Servers, *, silence: float = SILENCE) -> Seen:
    """Send a flow, and write down what came of it."""
    target = resolve(side, flow.to)
    if flow.fresh:
        side.host.flush_conntrack()
    before = counted.counters(side)
    exchange = _Exchange(side.node(flow.frm), target, flow, servers, silence)
    send = {"tcp": _tcp, "udp": _udp, "icmp": _icmp}[flow.proto]
    try:
        for _ in range(flow.times):
            send(exchange)
        counts = counted.difference(before, counted.counters(side))
        entries = _entries(side, exchange)
    finally:
        for sock in exchange.conns:
            sock.close()
    kept = "kept" if exchange.source[1] == exchange.local[1] else "rewritten"
    return Seen(
        outcome=exchange.outcome,
        server=exchange.server,
        source=exchange.source[0],
        port=kept if exchange.server and flow.proto != "icmp" else "",
        answered_by=exchange.answered_by,
        conntrack=entries,
        nat=counts.nat,
        filter=counts.filter,
    )


def _tcp(exchange: _Exchange) -> None:
    """Connect, send a token, and wait for the answer."""
    token = os.urandom(8)
    sock = _client_socket(exchange, socket.SOCK_STREAM)
    code = sock.connect_ex(exchange.target)
    if code not in (0, errno.EINPROGRESS):
        exchange.outcome = _named(code)
        return
    exchange.local = sock.getsockname()
    connected = False
    deadline = time.monotonic() + exchange.silence
    heard: dict[socket.socket, str] = {}
    while (left := deadline - time.monotonic()) > 0:
        for ready in _ready([*exchange.servers.sockets, *heard, sock], sock, connected, left):
            if ready in heard:
                _answer(ready, heard.pop(ready), token, exchange)
            elif ready in exchange.servers.sockets:
                heard |= _accept(ready, exchange)
            elif connected or (code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                exchange.outcome = _end_of(sock) if connected else _named(code)
                exchange.answered_by = exchange.target[0] if exchange.outcome == "answered" else ""
                return
            else:
                connected, deadline = True, time.monotonic() + LONG
                sock.send(token)
    exchange.outcome = "connected, then silence" if connected else "dropped"


def _named(code: int) -> str:
    """An error in a word or two."""
    return _FAILED.get(code, errno.errorcode.get(code, str(code)))


def _accept(ready: socket.socket, exchange: _Exchange) -> dict[socket.socket, str]:
    """Take a connection, and note whose it is; none if it is gone again."""
    try:
        ready.setblocking(False)
        conn, _ = ready.accept()
    except BlockingIOError:
        return {}
    conn.setblocking(True)
    exchange.conns.append(conn)
    return {conn: exchange.servers.sockets[ready]}


def _answer(conn: socket.socket, server: str, token: bytes, exchange: _Exchange) -> None:
    """Answer the token, and note from where it came."""
    with contextlib.suppress(ConnectionError):
        if conn.recv(64) == token:
            exchange.server, exchange.source = server, conn.getpeername()
            conn.sendall(_ANSWER)


def _end_of(sock: socket.socket) -> str:
    """How a connection ended: a proxy that gives up sends FIN or RST, as data happens to come."""
    try:
        return "answered" if sock.recv(64) == _ANSWER else "connected, then closed"
    except ConnectionError:
        return "connected, then closed"


def _ready(
    reading: list[socket.socket], client: socket.socket, connected: bool, left: float
) -> Iterator[socket.socket]:
    """The sockets at which something has come; a client's also when its connection is made."""
    poll = select.poll()
    by_fd = {sock.fileno(): sock for sock in reading}
    for sock in reading:
        poll.register(sock, select.POLLIN)
    if not connected:
        poll.register(client, select.POLLOUT)
    for fd, _ in poll.poll(left * 1000):
        yield by_fd[fd]


def _client_socket(exchange: _Exchange, kind: int) -> socket.socket:
    sock, flow = exchange.client.socket(kind=kind), exchange.flow
    exchange.conns.append(sock)
    sock.setblocking(False)
    if flow.sport:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", flow.sport))
    return sock


def _udp(exchange: _Exchange) -> None:
    """Send a datagram, send it back where it arrives, and wait for it."""
    token = os.urandom(exchange.flow.size)
    sock = _client_socket(exchange, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    if not exchange.flow.sport:
        sock.bind(("0.0.0.0", 0))
    source = probe.client_address(exchange.client, exchange.target[0])
    exchange.local = (source, sock.getsockname()[1])
    try:
        sock.sendto(token, exchange.target)
    except OSError as error:
        exchange.outcome = _named(error.errno)
        return
    sockets = [s for s in exchange.servers.sockets if s.type == socket.SOCK_DGRAM]
    deadline = time.monotonic() + exchange.silence
    while (left := deadline - time.monotonic()) > 0:
        for ready in _ready([*sockets, sock], sock, True, left):
            if ready is sock:
                _udp_answer(sock, exchange)
                return
            _send_back(ready, token, exchange)
    exchange.outcome = "dropped" if not exchange.server else "arrived, but no answer came back"


def _send_back(ready: socket.socket, token: bytes, exchange: _Exchange) -> None:
    data, peer = ready.recvfrom(65536)
    if data == token:
        exchange.server, exchange.source = exchange.servers.sockets[ready], peer
        with contextlib.suppress(OSError):
            ready.sendto(data, peer)


def _udp_answer(sock: socket.socket, exchange: _Exchange) -> None:
    try:
        _, peer = sock.recvfrom(65536)
    except OSError as error:
        exchange.outcome = _named(error.errno)
        return
    exchange.outcome, exchange.answered_by = "answered", peer[0]


def _icmp(exchange: _Exchange) -> None:
    """Ping, and see who got the request."""
    servers, client, (target, _) = exchange.servers, exchange.client, exchange.target
    names = {place.rpartition(":")[0] for place in servers.sockets.values()} - HOSTS.keys()
    with contextlib.ExitStack() as stack:
        captures = {
            name: stack.enter_context(servers.node(name).capture())
            for name in names - {exchange.flow.frm}
        }
        result = probe.ping(client, target, timeout=exchange.silence, size=exchange.flow.size)
        exchange.local = (probe.client_address(client, target), 0)
        exchange.outcome = {"no answer": "dropped"}.get(result.outcome, result.outcome)
        exchange.answered_by = result.peer or ""
        for name, capture in captures.items():
            for seen in capture.collect():
                if not seen.outgoing and seen.packet.icmp_type == _ECHO_REQUEST:
                    exchange.server, exchange.source = name, (seen.packet.src, 0)


def _entries(side: Side, exchange: _Exchange) -> tuple[str, ...]:
    """The client's own entries of the host's connection table, its accidental port as P."""
    src, sport = exchange.local
    found = []
    for entry in side.host.conntrack():
        one, two = entry.original, entry.reply
        if one.proto != exchange.flow.proto or one.dst != exchange.target[0]:
            continue
        if src not in ("0.0.0.0", one.src) or (sport and one.sport != sport):
            continue
        words = [_end(one.src, one.sport, sport), "→", _end(one.dst, one.dport, sport)]
        back = "rewritten" if two.dport != one.sport else two.dport
        words += ["| reply", _end(two.src, two.sport, sport), "→", _end(two.dst, back, sport)]
        if "seen_reply" not in entry.status:
            words.append("unreplied")
        found.append(" ".join(words))
    return tuple(sorted(found))


def _end(address: str, port: int | str | None, own: int) -> str:
    if port is None:
        return address
    return f"{address}:P" if port == own else f"{address}:{port}"
