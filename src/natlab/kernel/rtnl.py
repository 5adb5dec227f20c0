"""Route netlink messages sent as they are: written by pyroute2, answered in one round trip.

pyroute2's own sockets go through an event loop, which costs more than the kernel's work when a
container is attached. Here several messages leave in one datagram; the kernel handles them in
order and acknowledges each (netlink(7)).
"""

from __future__ import annotations

import functools
import os
import socket
import struct
from typing import Any, Final

from natlab.kernel.place import Place, standing

_ACK, _REQUEST, _NEW = 0x4, 0x1, 0x600
_DUMP: Final = 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_KIND: Final = 0x3FFF
"""What of an attribute's type is its kind; the rest are flags."""
_RTM_NEWLINK, _RTM_GETLINK, _RTM_SETLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 18, 19, 20, 24
_IFLA_PROTINFO, _IFLA_BRPORT_MODE, _NESTED = 12, 4, 0x8000
_IFF_UP: Final = 1
_AF_BRIDGE: Final = 7
_NO_DAD: Final = 0x02
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_MAIN_TABLE, _BOOT, _UNICAST = 254, 3, 1
_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_FD_MARK: Final = 0x7FEDCBA9
_MAC_MARK: Final = "02:42:fe:dc:ba:98"


def transact(*messages: bytes, place: Place | None = None) -> None:
    """Send messages in one datagram, here or elsewhere, and wait for every acknowledgement.

    Raises:
        OSError: the kernel refused one of them; those before it were carried out.
    """
    sock = (place or standing.place).route
    sock.send(b"".join(messages))
    waiting, problem = len(messages), 0
    while waiting:
        for code in answers(sock.recv(1 << 16)):
            waiting -= 1
            problem = problem or code
    if problem:
        raise OSError(problem, os.strerror(problem))


def dump(kind: int, body: bytes) -> list[bytes]:
    """Ask for everything of a kind, here; returns each message less its netlink header.

    Raises:
        OSError: the kernel refused.
    """
    sock = standing.place.route
    sock.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _DUMP, 0, 0) + body)
    found: list[bytes] = []
    while True:
        data = sock.recv(1 << 16)
        while len(data) >= _HEADER.size:
            length, what, *_ = _HEADER.unpack_from(data)
            if what == _NLMSG_DONE:
                return found
            if what == _NLMSG_ERROR:
                code = -struct.unpack_from("=i", data, _HEADER.size)[0]
                raise OSError(code, os.strerror(code))
            found.append(data[_HEADER.size : length])
            data = data[(length + 3) & ~3 :]


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in a message's tail, or in an attribute that holds others."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & _KIND] = data[_ATTRIBUTE.size : length]
        data = data[(max(length, _ATTRIBUTE.size) + 3) & ~3 :]
    return found


def answers(data: bytes) -> list[int]:
    """The error codes (0: well) of the acknowledgements in a datagram."""
    codes = []
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if kind == _NLMSG_ERROR:
            codes.append(-struct.unpack_from("=i", data, _HEADER.size)[0])
        data = data[(length + 3) & ~3 :]
    return codes


def _encode(message: Any, kind: int, flags: int) -> bytes:
    message["header"] = {
        "type": kind,
        "flags": flags | _REQUEST | _ACK,
        "sequence_number": 0,
        "pid": 0,
        "length": 0,
    }
    message.encode()
    return bytes(message.data)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST | _ACK, 0, 0) + body


def add_pair(name: str, peer: str, peer_fd: int, *, master: int, mtu: int, mac: str) -> bytes:
    """A veth pair: one end here, up, a port of `master`; the other in the namespace `peer_fd`.

    Equivalent to: `ip link add NAME master BRIDGE up type veth peer name PEER netns NS`.
    """
    template = _pair(len(name), peer, master, mtu)
    return (
        template.replace(b"?" * len(name), name.encode())
        .replace(struct.pack("=I", _FD_MARK), struct.pack("=I", peer_fd))
        .replace(_raw(_MAC_MARK), _raw(mac))
    )


def _raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


@functools.lru_cache(maxsize=64)
def _pair(name_length: int, peer: str, master: int, mtu: int) -> bytes:
    """The message for such a pair, with marks where name, MAC address and descriptor go."""
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    message = ifinfmsg()
    message["family"] = 0
    message["flags"] = message["change"] = _IFF_UP
    other = [
        ("IFLA_IFNAME", peer),
        ("IFLA_ADDRESS", _MAC_MARK),
        ("IFLA_NET_NS_FD", _FD_MARK),
        ("IFLA_MTU", mtu),
    ]
    data = [("VETH_INFO_PEER", {"family": 0, "attrs": other})]
    message["attrs"] = [
        ("IFLA_IFNAME", "?" * name_length),
        ("IFLA_MASTER", master),
        ("IFLA_MTU", mtu),
        (
            "IFLA_LINKINFO",
            {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", {"attrs": data})]},
        ),
    ]
    return _encode(message, _RTM_NEWLINK, _NEW)


@functools.lru_cache(maxsize=64)
def add_bridge(name: str, mtu: int | None) -> bytes:
    """A bridge, up. Equivalent to: `ip link add NAME mtu MTU up type bridge`."""
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    message = ifinfmsg()
    message["family"] = 0
    message["flags"] = message["change"] = _IFF_UP
    message["attrs"] = [
        ("IFLA_IFNAME", name),
        *([("IFLA_MTU", mtu)] if mtu else []),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}),
    ]
    return _encode(message, _RTM_NEWLINK, _NEW)


@functools.lru_cache(maxsize=64)
def set_up(index: int) -> bytes:
    """Set a link up. Equivalent to: `ip link set NAME up`."""
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    message = ifinfmsg()
    message["family"], message["index"] = 0, index
    message["flags"] = message["change"] = _IFF_UP
    message["attrs"] = []
    return _encode(message, _RTM_NEWLINK, 0)


def settle(index: int) -> bytes:
    """Let a link that has just come up carry frames: what is asked about it comes after that.

    That its cable is plugged in, the kernel tells a link's queue and its bridge later, in a work
    queue (net/core/link_watch.c); until then frames are dropped, such as the ARP request that is
    made again a second later. Asked about one link, the kernel first does what waits there for
    it (rtnl_getlink in net/core/rtnetlink.c, since Linux 6.8; before that it makes no difference).
    """
    return _message(_RTM_GETLINK, 0, struct.pack("=BxHiII", 0, 0, index, 0, 0))


def add_address(index: int, address: str) -> bytes:
    """Give a link an address, with its prefix length. Equivalent to: `ip addr add ADDRESS …`."""
    ip, _, length = address.partition("/")
    family, flags = (socket.AF_INET6, _NO_DAD) if ":" in ip else (socket.AF_INET, 0)
    raw = socket.inet_pton(family, ip)
    body = struct.pack("=BBBBI", family, int(length), flags, 0, index)
    for kind in (_IFA_LOCAL, _IFA_ADDRESS):
        body += struct.pack("=HH", 4 + len(raw), kind) + raw
    return _message(_RTM_NEWADDR, _NEW, body)


def set_hairpin(index: int, on: bool) -> bytes:
    """Let a bridge port send frames back. Equivalent to: `bridge link set dev PORT hairpin on`."""
    mode = struct.pack("=HHB3x", 5, _IFLA_BRPORT_MODE, on)
    body = struct.pack("=BxHiII", _AF_BRIDGE, 0, index, 0, 0)
    body += struct.pack("=HH", 4 + len(mode), _IFLA_PROTINFO | _NESTED) + mode
    return _message(_RTM_SETLINK, 0, body)


@functools.lru_cache(maxsize=64)
def default_route(gateway: str) -> bytes:
    """Send everything else to a gateway. Equivalent to: `ip route add default via GATEWAY`."""
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    message = rtmsg()
    message["family"] = socket.AF_INET6 if ":" in gateway else socket.AF_INET
    message["table"], message["proto"], message["type"] = _MAIN_TABLE, _BOOT, _UNICAST
    message["attrs"] = [("RTA_GATEWAY", gateway)]
    return _encode(message, _RTM_NEWROUTE, _NEW)
