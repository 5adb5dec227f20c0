"""Watching a whole lab while one packet is on its way: captures, rule traces, connection tables.

Every host and container is watched at all its interfaces; the LAN's switch is not. Where there
are rules, a table of our own marks the flow, so that the kernel tells of each rule that it
meets (`meta nftrace set 1`, as for `nft monitor trace`). The table belongs to the socket that
made it (`flags owner`): should this process be killed, the kernel itself takes it away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from natlab.engine.capture import Capture
from natlab.engine.journey_scene import Scene
from natlab.engine.lab import Lab
from natlab.engine.node import Node
from natlab.errors import NatlabError
from natlab.kernel import firewall, sockets
from natlab.kernel.waiting import readable
from natlab.model import trace
from natlab.model.conntrack import ConntrackEntry
from natlab.model.journey import Flow, Lookups, Sighting
from natlab.model.packet import Packet
from natlab.model.trace import TraceEvent

TRACE_TABLE: Final = "natlab-trace"
"""What the names of our tables begin with; each watch has a table of its own."""

_PATIENCE: Final = 5.0
_SO_TIMESTAMPNS: Final = 35
_COUNTS: Final = re.compile(r"\bcounter packets \d+ bytes \d+")


class Watch:
    """What is seen of a lab between two moments; made by `watching`."""

    def __init__(
        self, scene: Scene, captures: Mapping[str, Capture], tracers: Mapping[str, socket.socket]
    ) -> None:
        self._scene = scene
        self._captures = captures
        self._tracers = tracers
        self._events: dict[str, list[TraceEvent]] = {name: [] for name in tracers}

    def sightings(self) -> list[Sighting]:
        """Every packet that any capture saw so far, each node's in the order of its capture."""
        return [
            Sighting.from_capture(name, each.interface, each.packet_type, each.frame, each.at_ns)
            for name, capture in self._captures.items()
            for each in capture.collect()
        ]

    def wait_for(self, wanted: Callable[[Sighting], bool], timeout: float) -> bool:
        """Wait until a sighting is there, `timeout` seconds at most; False if it never came."""
        deadline = time.monotonic() + timeout
        while not any(wanted(each) for each in self.sightings()):
            left = deadline - time.monotonic()
            if left <= 0 or not readable([c.fileno() for c in self._captures.values()], left):
                return False
        return True

    def traces(self) -> dict[str, list[TraceEvent]]:
        """What the kernel told of rules so far, by node."""
        for name, tracer in self._tracers.items():
            self._events[name] += _events(name, tracer)
        return self._events

    def conntrack(self) -> dict[str, tuple[ConntrackEntry, ...]]:
        """The connection tables of the nodes that have rules, as they are now."""
        return {name: self._scene.nodes[name].conntrack() for name in self._tracers}

    def lookups(self) -> Lookups:
        """How to put names to the numbers of what was traced."""
        scene, texts, hooks = self._scene, *_rules_and_hooks(self._scene)
        traced = (event for events in self.traces().values() for event in events)
        ours = {f"{e.family} {e.table}" for e in traced if e.table.startswith(TRACE_TABLE)}

        def text(name: str, table: str, chain: str, handle: int) -> str:
            return texts.get((name, table, chain, handle), f"handle {handle} of {table} {chain}")

        def interface(name: str, index: int) -> str | None:
            return next((link.name for link in scene.links[name] if link.index == index), None)

        def next_hop(name: str, packet: Packet, out: str) -> str | None:
            found = scene.nodes[name].route_to(packet.dst or "0.0.0.0")
            if found is None or found.dev != out or found.kind != "unicast":
                return None
            return found.gateway or "on link"

        return Lookups(
            rule_text=text,
            hook_of=lambda name, table, chain: hooks.get((name, table, chain)),
            interface=interface,
            next_hop=next_hop,
            hidden_tables=frozenset(ours),
        )


def _rules_and_hooks(
    scene: Scene,
) -> tuple[dict[tuple[str, str, str, int], str], dict[tuple[str, str, str], str | None]]:
    """Rules by node, table, chain and handle, without what they counted; hooks by chain."""
    texts, hooks = {}, {}
    for name, ruleset in scene.rulesets.items():
        for table, chain in ruleset.chains():
            hooks[name, table.title, chain.name] = chain.hook
            for rule in chain.rules:
                key = (name, table.title, chain.name, rule.handle or 0)
                texts[key] = _COUNTS.sub("counter", rule.text)
    return texts, hooks


@contextlib.contextmanager
def watching(lab: Lab, scene: Scene, flow: Flow) -> Iterator[Watch]:
    """See everything that happens to a flow's packets from here to the end of the block.

    Raises:
        NatlabError: libnftables refused the table that marks the flow.
    """
    with contextlib.ExitStack() as stack:
        with _packets_stamped(lab):
            captures = {
                name: stack.enter_context(node.capture()) for name, node in scene.nodes.items()
            }
        ruled = [name for name, ruleset in scene.rulesets.items() if ruleset.tables]
        tracers = {name: stack.enter_context(_tracing(scene.nodes[name], flow)) for name in ruled}
        yield Watch(scene, captures, tracers)


@contextlib.contextmanager
def _packets_stamped(lab: Lab) -> Iterator[None]:
    """Wait until the kernel stamps packets as they pass: it begins a while after it was asked.

    Until then a packet gets its time only when it is read, which says nothing of the order in
    which several nodes saw it. Captures that are opened inside keep the stamping going. What
    is sent for this goes round in the switch's own loopback, where nobody looks.
    Source: linux net/core/dev.c, `net_enable_timestamp` and `netstamp_work`.
    """
    fd = lab.switch.call(sockets.open_socket, int(socket.AF_INET), int(socket.SOCK_DGRAM))
    with socket.socket(fileno=fd.detach()) as probe:
        probe.settimeout(_PATIENCE)
        probe.bind(("127.0.0.1", 0))
        probe.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        deadline = time.monotonic() + _PATIENCE
        while not _stamped_on_its_way(probe):
            if time.monotonic() > deadline:
                raise NatlabError("the kernel does not stamp packets as they pass: try again")
        yield


def _stamped_on_its_way(probe: socket.socket) -> bool:
    probe.sendto(b"", probe.getsockname())
    sent = time.time_ns()
    control = probe.recvmsg(0, 128)[1]
    seconds, nanos = struct.unpack("@ll", control[0][2])
    return bool(seconds * 10**9 + nanos <= sent)


@contextlib.contextmanager
def _tracing(node: Node, flow: Flow) -> Iterator[socket.socket]:
    """Mark a flow on a node, and listen to what the kernel tells of it."""
    table = f"{TRACE_TABLE}-{os.urandom(4).hex()}"
    fd = node.place.call(sockets.open_netfilter, trace.NFNLGRP_NFTRACE)
    with socket.socket(fileno=fd.detach()) as tracer:
        tracer.setblocking(False)
        try:
            node.place.call(firewall.command, _marking(table, flow))
            yield tracer
        finally:
            if node.place.agent.usable:
                node.place.call(firewall.command, _gone(table))


def _marking(table: str, flow: Flow) -> str:
    """A table that marks what may be a flow's first packet, its answer, or an error about it.

    A connection's first packets have no mark of their own that NAT would leave alone: all
    openings and resets are marked. A datagram or a ping is known by its payload, and a
    datagram's answer by its ports.
    """
    token = f"@th,64,96 0x{flow.payload[:12].hex()}"
    flows = {
        "tcp": ("tcp flags & (syn | rst) != 0",),
        "udp": (f"udp sport {flow.sport}", f"udp dport {flow.sport}", f"meta l4proto udp {token}"),
        "icmp": (f"meta l4proto icmp {token}",),
    }
    matches = (*flows[flow.proto], "icmp type { destination-unreachable, time-exceeded }")
    rules = "\n".join(f"{match} meta nftrace set 1" for match in matches)
    chains = "\n".join(
        f"chain {hook} {{\ntype filter hook {hook} priority -400;\n{rules}\n}}"
        for hook in ("prerouting", "output")
    )
    return f"table ip {table} {{\nflags owner;\n{chains}\n}}"


def _gone(table: str) -> str:
    """Delete a table whether it was made or not: nft of 2022 has no `destroy` for that."""
    return f"table ip {table} {{\nflags owner;\n}}\ndelete table ip {table}"


def _events(name: str, tracer: socket.socket) -> Iterator[TraceEvent]:
    with contextlib.suppress(BlockingIOError):
        while True:
            try:
                yield from trace.decode(tracer.recv(1 << 16))
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                raise NatlabError(
                    f"more was traced on {name} than could be read:"
                    " stop its other traffic, and try again"
                ) from error
