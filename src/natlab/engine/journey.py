"""A journey: one real connection, datagram or ping, and everything that it met on its way.

The packet is sent by a socket of the node it comes from. While it is under way, every interface
of every node is captured and every rule traced; the story is put together afterwards, by
`natlab.model.journey`.

When the answer is there, all that led to it has been seen: the kernel hands a frame to the
captures, and a trace to its listener, before it passes the packet on. For a packet that gets
lost there is no such moment, so it is given its time.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING, Final, Literal, cast

from natlab.engine.journey_end import serving
from natlab.engine.journey_lost import reason
from natlab.engine.journey_scene import Scene, name_of, scene_of
from natlab.engine.journey_watch import Watch, watching
from natlab.engine.lab import Lab
from natlab.engine.node import Node
from natlab.engine.probe import PATIENCE
from natlab.errors import UsageError
from natlab.model import craft, dissect
from natlab.model.journey import Flow, Journey, Sighting, assemble

if TYPE_CHECKING:
    from natlab.engine.container import Container
    from natlab.engine.host import Host

Proto = Literal["tcp", "udp", "icmp"]

_HIGHEST_PORT: Final = 65535
_IP_HEADER: Final = 20
_SEQUENCES: Final = 1 << 32
_TOKEN_BYTES: Final = 24


def travel(
    lab: Lab,
    origin: Node,
    target: str,
    port: int | None = None,
    *,
    proto: Proto = "tcp",
    timeout: float = PATIENCE,
    listen: bool = True,
) -> Journey:
    """Send one packet from a node, and tell its way and its answer's.

    Where nobody listens at its end, a server is brought for the time of the journey (in a
    container, or on a machine without containers and bridges; the end of the journey says so).
    It sends real traffic: counters count it, connection tables remember it. Nobody's rules are
    changed; where there are rules, a table that only marks the packets for tracing stands
    beside them meanwhile.

    Equivalent to: `nc -z TARGET PORT` (or `ping -c 1 TARGET`) with `tcpdump`, `nft monitor trace`
    and `conntrack -L` on every node at once.

    Args:
        lab: The lab.
        origin: The host or container that the packet comes from.
        target: An IPv4 address, or a node's name: a host's LAN address, a container's on eth0.
        port: Where to, 1 to 65535; without one it is a ping.
        proto: "tcp", "udp", or "icmp" for a ping.
        timeout: Seconds to wait for an answer that may never come.
        listen: Whether a server may be brought.

    Raises:
        UsageError: no node of that name, no port for UDP, a port out of range or of a ping.
        NatlabError: the target has no address, or the origin is not of this lab.
    """
    wanted = _checked(proto, port)
    address = _address(lab, target)
    scene = scene_of(lab)
    name = name_of(lab, scene, origin)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(_client(origin, wanted))
        flow = _flow(name, client, wanted, address, port)
        servers = stack.enter_context(serving(scene, flow)) if listen else {}
        watch = stack.enter_context(watching(lab, scene, flow))
        with contextlib.suppress(OSError):  # refused, unreachable, no answer: the captures know
            _send(client, flow, servers.values(), timeout)
        if flow.proto == "tcp":
            _see_handshake_end(watch, flow, timeout)
        return _told(scene, flow, watch, servers)


def _checked(proto: Proto, port: int | None) -> Proto:
    if port is None and proto == "udp":
        raise UsageError("a datagram needs a port: say TO:PORT")
    if port is None:
        return "icmp"
    if proto == "icmp":
        raise UsageError(f"a ping has no port: leave out {port}, or send tcp or udp")
    if not 1 <= port <= _HIGHEST_PORT:
        raise UsageError(f"port {port} does not exist: ports go from 1 to {_HIGHEST_PORT}")
    return proto


def _address(lab: Lab, target: str) -> str:
    try:
        return str(IPv4Address(target))
    except AddressValueError:
        return str(cast("Host | Container", lab.node(target)).ip)


def _client(origin: Node, proto: Proto) -> socket.socket:
    """The socket that sends, with a port of its own before anything is sent."""
    if proto == "icmp":
        return origin.socket(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_ICMP)
    sock = origin.socket(kind=socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
    try:
        sock.bind(("0.0.0.0", 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _flow(name: str, client: socket.socket, proto: Proto, address: str, port: int | None) -> Flow:
    token = os.urandom(_TOKEN_BYTES)
    if proto == "icmp":
        number = struct.unpack("!H", token[:2])[0]
        return Flow(name, proto, address, icmp_id=number, payload=token)
    payload = token if proto == "udp" else b""
    return Flow(name, proto, address, port, sport=client.getsockname()[1], payload=payload)


def _send(
    client: socket.socket, flow: Flow, servers: Iterable[socket.socket], timeout: float
) -> None:
    """Send the flow's packet, and wait for what answers it."""
    if flow.proto == "tcp":
        client.settimeout(timeout)
        client.connect((flow.dst, flow.dport))
    elif flow.proto == "udp":
        client.connect((flow.dst, flow.dport))
        client.send(flow.payload)
        _echo(client, servers, timeout)
    else:
        request = craft.icmp_echo("0.0.0.0", flow.dst, flow.icmp_id or 0, 1, flow.payload)
        client.sendto(request[_IP_HEADER:], (flow.dst, 0))
        _await_echo(client, flow, timeout)


def _echo(client: socket.socket, servers: Iterable[socket.socket], timeout: float) -> None:
    """Send back what comes to our servers, until the client has its answer."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        for ready in select.select([client, *servers], [], [], left)[0]:
            data, peer = ready.recvfrom(1 << 16)
            if ready is client:
                return
            ready.sendto(data, peer)


def _await_echo(client: socket.socket, flow: Flow, timeout: float) -> None:
    """Wait for the echo of the payload, or for an error about it."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0 and select.select([client], [], [], left)[0]:
        packet = dissect.ip(client.recv(1 << 16))
        mine = packet.payload.startswith(flow.payload) and packet.is_echo_reply
        about_mine = packet.quoted is not None and packet.quoted.icmp_id == flow.icmp_id
        if mine or (packet.is_error and about_mine):
            return


def _see_handshake_end(watch: Watch, flow: Flow, timeout: float) -> None:
    """Wait until a handshake's last packet is where it goes, so that every table knows of it."""
    seen = sorted(watch.sightings(), key=lambda each: each.at_ns)
    opening = next((each.packet for each in seen if _opens(each, flow)), None)
    if opening is None:
        return
    number = ((opening.seq or 0) + 1) % _SEQUENCES
    answering = (s.node for s in seen if (s.packet.flags, s.packet.ack) == ("S.", number))
    node = next(answering, None)
    if node is not None:
        watch.wait_for(lambda each: _closes_handshake(each, node, number), timeout)


def _opens(each: Sighting, flow: Flow) -> bool:
    packet = each.packet
    return (each.node, packet.flags, packet.sport) == (flow.origin, "S", flow.sport)


def _closes_handshake(each: Sighting, node: str, number: int) -> bool:
    packet = each.packet
    arrived = each.node == node and not each.outgoing
    return arrived and (packet.flags, packet.seq) == (".", number)


def _told(scene: Scene, flow: Flow, watch: Watch, servers: Iterable[str]) -> Journey:
    seen = watch.sightings()
    journey = assemble(
        flow, seen, traces=watch.traces(), conntrack=watch.conntrack(), lookups=watch.lookups()
    )
    if journey.outcome == "no answer":
        return _with_note(journey, reason(scene, journey, seen))
    back = journey.way("back")
    if journey.outcome == "answered" and back and back[0].node in servers:
        return _with_note(journey, "no program listened there, so natlab did for this journey")
    return journey


def _with_note(journey: Journey, note: str | None) -> Journey:
    end = replace(journey.stages[-1], note=note)
    return replace(journey, stages=(*journey.stages[:-1], end))
