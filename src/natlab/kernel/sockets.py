"""Sockets born in the namespace where the caller stands, given away by descriptor.

A socket keeps the namespace in which it was made (network_namespaces(7)), so whoever receives
it can connect, bind and listen there from anywhere.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from natlab.kernel.wire import Fd

_ETH_P_ALL: Final = 0x0003
_NETLINK_NETFILTER: Final = 12
_SOL_NETLINK: Final = 270
_NETLINK_ADD_MEMBERSHIP: Final = 1
_BUFFER_BYTES: Final = 8 << 20
_SO_TIMESTAMPNS: Final = 35
_KINDS: Final = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def open_socket(family: int, kind: int, protocol: int = 0) -> Fd:
    """A socket of this namespace. Equivalent to: socket(2) after `ip netns exec`."""
    return Fd(socket.socket(family, kind, protocol).detach())


def refuse_taken(ports: Sequence[tuple[str, int, str]]) -> None:
    """Check that no program here holds any of those ports: (address, port, tcp or udp).

    Raises:
        OSError: EADDRINUSE, one is held; EADDRNOTAVAIL, no such address here.
    """
    for address, port, proto in ports:
        kind = _KINDS.get(proto)
        if kind is None:
            continue
        with _bound_by(address, kind) as sock:
            sock.bind((address, port))


def _bound_by(address: str, kind: int) -> socket.socket:
    """A socket for an address: one for `::` has nothing to do with IPv4."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


def open_server(kind: int, address: str, port: int) -> Fd:
    """A socket that is bound here (TCP: and listens), also below port 1024. Compare: `nc -l`.

    The agent binds it because who only receives a socket has no privilege in its namespace.

    Raises:
        OSError: EADDRINUSE, somebody serves there; EADDRNOTAVAIL, no such address here.
    """
    sock = _bound_by(address, kind)
    try:
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(128)
    except BaseException:
        sock.close()
        raise
    return Fd(sock.detach())


def open_capture(interface: str | None) -> Fd:
    """A packet socket that sees every frame of an interface, or of all: packet(7), as tcpdump's.

    Frames carry the kernel's time stamps. It is bound when it is given away: what is sent after
    this call is seen.

    Raises:
        OSError: ENODEV, no interface of that name here.
    """
    everything = 0 if interface else socket.htons(_ETH_P_ALL)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, everything)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    if interface:
        sock.bind((interface, _ETH_P_ALL))
    return Fd(sock.detach())


def open_netfilter(group: int) -> Fd:
    """A netfilter netlink socket that has joined a multicast group (9: nftables traces)."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    sock.bind((0, 0))
    sock.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
    return Fd(sock.detach())


def listens(port: int) -> bool:
    """Whether something here listens at a TCP port. Equivalent to: `ss -Hltn sport = :PORT`.

    Source: Documentation/networking/proc_net_tcp.rst; state 0A is LISTEN.
    """
    wanted = f":{port:04X}"
    for name in ("tcp", "tcp6"):
        try:
            text = Path(f"/proc/thread-self/net/{name}").read_text()
        except FileNotFoundError:
            continue
        for line in text.splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A" and local.endswith(wanted):
                return True
    return False
