"""Faults: what goes wrong in networks, for the length of a block.

    with faults.cut(container): …
    with faults.drop(docker_host, dst=container.ip, port=8080) as dropped: …

Each takes a node: a `DockerHost`, a container of one, a host or a container of a lab. At the end of
the block all is as it was before.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final, cast

from natlab.engine.host import Host
from natlab.errors import NatlabError, UsageError
from natlab.kernel import links, netem, sockets
from natlab.testing.blocking import drop, reject, without_rule
from natlab.testing.places import host_of, node_of

__all__ = [
    "cut",
    "drop",
    "no_forwarding",
    "no_ports_left",
    "reject",
    "slow",
    "small_mtu",
    "without_rule",
]

_PORTS: Final = "net.ipv4.ip_local_port_range"


@contextlib.contextmanager
def cut(node: Any, interface: str = "eth0") -> Iterator[None]:
    """Pull the cable out of an interface; its addresses and routes stay.

    Equivalent to: `ip link set PEER down`, at the other end of the pair.

    Raises:
        UsageError: there is no such interface, or no cable in it.
    """
    here = node_of(node)
    place, peer = here.far_end(interface)
    place.call(links.plug, peer, plugged=False)
    try:
        yield
    finally:
        place.call(links.plug, peer, plugged=True)
        here.place.call(links.settle, interface)


@contextlib.contextmanager
def no_forwarding(host: Any) -> Iterator[None]:
    """Let a host pass no packets on. Equivalent to: `sysctl -w net.ipv4.ip_forward=0`."""
    here = host_of(host)
    before = here.forwarding
    here.forwarding = False
    try:
        yield
    finally:
        here.forwarding = before


@contextlib.contextmanager
def no_ports_left(node: Any) -> Iterator[None]:
    """Use all ports up: programs here get none to connect from, and a host none to publish at.

    The first fails with EADDRNOTAVAIL, the second with Docker's `all ports are allocated`.
    Equivalent to: `sysctl -w net.ipv4.ip_local_port_range="N N"`, with port N taken.
    """
    here = node_of(node)
    with contextlib.ExitStack() as stack:
        if isinstance(here, Host):
            stack.enter_context(here.publishing.used_up())
        holders: list[socket.socket] = []
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            port = holders[0].getsockname()[1] if holders else 0
            fd = here.place.call(sockets.open_server, int(kind), "0.0.0.0", port)
            holders.append(stack.enter_context(socket.socket(fileno=fd.detach())))
        port = holders[0].getsockname()[1]
        before = cast("str", here.sysctl(_PORTS))
        here.set_sysctl(_PORTS, f"{port} {port}")
        stack.callback(here.set_sysctl, _PORTS, before)
        yield


@contextlib.contextmanager
def small_mtu(node: Any, mtu: int, interface: str = "eth0") -> Iterator[None]:
    """Let an interface take small packets only. Equivalent to: `ip link set INTERFACE mtu MTU`.

    Raises:
        UsageError: there is no such interface.
        NatlabError: it cannot be that small, or that large.
    """
    here = node_of(node)
    here.link(interface)
    try:
        before = here.place.call(links.set_mtu, interface, mtu)
    except OSError as error:
        raise NatlabError(f"{interface} of {here.name} with MTU {mtu}: {error.strerror}") from error
    try:
        yield
    finally:
        here.place.call(links.set_mtu, interface, before)


@contextlib.contextmanager
def slow(
    node: Any, *, loss: float = 0.0, delay: float = 0.0, interface: str = "eth0"
) -> Iterator[None]:
    """Lose or delay what leaves by an interface.

    Equivalent to: `tc qdisc add dev INTERFACE root netem loss LOSS% delay DELAYs`.

    Args:
        node: Where.
        loss: How many packets of a hundred are lost.
        delay: Seconds that each of the others takes longer.
        interface: Its name.

    Raises:
        UnsupportedError: this kernel has no netem; the plugin skips the test with that reason.
        UsageError: there is no such interface, or a number makes no sense.
    """
    here = node_of(node)
    here.link(interface)
    if not 0 <= loss <= 100 or delay < 0:  # noqa: PLR2004 - percent
        raise UsageError(f"loss is 0 to 100 percent and delay 0 s or more, not {loss} and {delay}")
    here.place.call(netem.add, interface, loss=loss, delay=delay)
    try:
        yield
    finally:
        here.place.call(netem.remove, interface)
