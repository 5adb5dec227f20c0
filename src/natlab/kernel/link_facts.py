"""What the kernel says of links, addresses, routes and neighbours, here where the caller stands.

The nouns are the kernel's own (rtnetlink(7)); pyroute2 carries the messages.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import Any, Final

from natlab.kernel import rtnl
from natlab.kernel.links import index
from natlab.kernel.place import ipr
from natlab.model.state import ForwardingEntry, Link, Neighbour, RouteEntry

_SIOCGIFADDR: Final = 0x8915
_SIOCGIFNETMASK: Final = 0x891B
_RTM_GETLINK, _RTM_GETADDR, _RTM_GETROUTE = 18, 22, 26
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO = 1, 3, 4, 18
_IFLA_INFO_KIND, _IFA_ADDRESS, _IFA_LOCAL = 1, 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_TABLE = 1, 4, 5, 7, 15
_BRIDGE: Final = b"bridge"
_LOCAL_TABLE: Final = 255
_UP: Final = 0x1
_LOWER_UP: Final = 0x10000
_NUD: Final = {
    0x00: "none",
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x80: "permanent",
}
_NUD_NOARP: Final = 0x40
_NUD_PERMANENT: Final = 0x80
_SCOPES: Final = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_ROUTE_KINDS: Final = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
}


def links() -> tuple[Link, ...]:
    """Every link here, with its addresses. Equivalent to: `ip -d addr`."""
    messages = list(ipr().get_links())
    names = {m["index"]: m.get_attr("IFLA_IFNAME") for m in messages}
    addresses: dict[int, list[Any]] = {}
    for message in ipr().get_addr():
        address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        value = ip_interface(f"{address}/{message['prefixlen']}")
        addresses.setdefault(message["index"], []).append(value)
    return tuple(_link(m, names, tuple(addresses.get(m["index"], ()))) for m in messages)


def has_address(name: str, address: str) -> bool:
    """Tell whether an interface of that name has that IPv4 address and prefix length."""
    first = first_address(name)
    if first is None or first == address:
        return first is not None
    return any(
        f"{message.get_attr('IFA_LOCAL')}/{message['prefixlen']}" == address
        for message in ipr().get_addr(family=socket.AF_INET, index=index(name))
    )


def first_address(name: str) -> str | None:
    """An interface's first IPv4 address with its prefix length; None without interface or address.

    Asked by ioctl (netdevice(7)), which costs a fraction of a netlink dump.
    """
    request = struct.pack("16s24x", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            address, mask = (
                socket.inet_ntoa(fcntl.ioctl(sock, code, request)[20:24])
                for code in (_SIOCGIFADDR, _SIOCGIFNETMASK)
            )
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL):
                return None
            raise
    return str(ip_interface(f"{address}/{mask}"))


def bridges() -> tuple[Link, ...]:
    """The bridges here with their addresses. Equivalent to: `ip addr show type bridge`."""
    kind = struct.pack("=HH7sx", 11, _IFLA_INFO_KIND, _BRIDGE)
    wanted = struct.pack("=HH", 4 + len(kind), _IFLA_LINKINFO) + kind
    found = [_bridge(message) for message in rtnl.dump(_RTM_GETLINK, bytes(16) + wanted)]
    if not any(found):
        return ()
    addresses: dict[int, list[Any]] = {}
    for message in rtnl.dump(_RTM_GETADDR, bytes(8)):
        length, number = struct.unpack_from("=xBxxI", message)
        said = rtnl.attributes(message[8:])
        address = ip_address(said.get(_IFA_LOCAL) or said[_IFA_ADDRESS])
        addresses.setdefault(number, []).append(ip_interface((address, length)))
    return tuple(
        replace(link, addresses=tuple(addresses.get(link.index, ()))) for link in found if link
    )


def _bridge(message: bytes) -> Link | None:
    """What a message tells of a bridge; None if it is about another kind of link."""
    number, flags = struct.unpack_from("=iI", message, 4)
    said = rtnl.attributes(message[16:])
    if rtnl.attributes(said.get(_IFLA_LINKINFO, b"")).get(_IFLA_INFO_KIND) != _BRIDGE + b"\0":
        return None
    return Link(
        index=number,
        name=said[_IFLA_IFNAME].rstrip(b"\0").decode(),
        kind="bridge",
        mac=said.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=struct.unpack("=I", said[_IFLA_MTU])[0],
        up=bool(flags & _UP),
        carrier=bool(flags & _LOWER_UP),
    )


def _link(message: Any, names: dict[int, str], addresses: tuple[Any, ...]) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    port: Any = info.get_attr("IFLA_INFO_SLAVE_DATA") if info else None
    hairpin, isolated = (
        bool(hasattr(port, "get_attr") and port.get_attr(f"IFLA_BRPORT_{flag}"))
        for flag in ("MODE", "ISOLATED")
    )
    kind = info.get_attr("IFLA_INFO_KIND") if info else None
    loopback = message.get_attr("IFLA_IFNAME") == "lo"
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        kind="loopback" if loopback else (kind or ""),
        mac=message.get_attr("IFLA_ADDRESS") or "",
        mtu=message.get_attr("IFLA_MTU"),
        up=bool(message["flags"] & _UP),
        carrier=bool(message["flags"] & _LOWER_UP),
        master=names.get(message.get_attr("IFLA_MASTER")),
        peer_index=message.get_attr("IFLA_LINK"),
        hairpin=hairpin,
        isolated=isolated,
        addresses=addresses,
    )


def routes(family: int = socket.AF_INET) -> tuple[RouteEntry, ...]:
    """The routes of all tables of a family, less the kernel's own of the table `local`."""
    names = dict(socket.if_nameindex())
    messages = rtnl.dump(_RTM_GETROUTE, struct.pack("=B11x", family))
    found = (_route(message, names, family) for message in messages)
    return tuple(route for route in found if route.table != _LOCAL_TABLE)


def _route(message: bytes, names: dict[int, str], family: int) -> RouteEntry:
    length, table, scope, kind = struct.unpack_from("=xBxxBxBB", message)
    said = rtnl.attributes(message[12:])

    def address(attribute: int) -> str | None:
        return socket.inet_ntop(family, said[attribute]) if attribute in said else None

    def number(attribute: int) -> int:
        return int(struct.unpack("=I", said[attribute])[0]) if attribute in said else 0

    dst = address(_RTA_DST)
    return RouteEntry(
        dst=f"{dst}/{length}" if dst else "default",
        dev=names.get(number(_RTA_OIF)),
        gateway=address(_RTA_GATEWAY),
        scope=_SCOPES.get(scope, str(scope)),
        table=number(_RTA_TABLE) or table,
        kind=_ROUTE_KINDS.get(kind, str(kind)),
        source=address(_RTA_PREFSRC),
    )


def _route_entry(message: Any, names: dict[int, str]) -> RouteEntry:
    dst = message.get_attr("RTA_DST")
    return RouteEntry(
        dst=f"{dst}/{message['dst_len']}" if dst else "default",
        dev=names.get(message.get_attr("RTA_OIF")),
        gateway=message.get_attr("RTA_GATEWAY"),
        scope=_SCOPES.get(message["scope"], str(message["scope"])),
        table=message.get_attr("RTA_TABLE") or message["table"],
        kind=_ROUTE_KINDS.get(message["type"], str(message["type"])),
        source=message.get_attr("RTA_PREFSRC"),
    )


def route_to(destination: str, source: str | None = None, iif: str | None = None) -> RouteEntry:
    """What the routing process decides for a packet. Equivalent to: `ip route get DESTINATION`.

    Raises:
        OSError: ENETUNREACH, no route to it.
    """
    names = {m["index"]: m.get_attr("IFLA_IFNAME") for m in ipr().get_links()}
    extra: dict[str, Any] = {"src": source} if source else {}
    if iif:
        extra["iif"] = index(iif)
    return _route_entry(next(iter(ipr().route("get", dst=destination, **extra))), names)


def neighbours() -> tuple[Neighbour, ...]:
    """The ARP table. Equivalent to: `ip -4 neigh`."""
    names = {m["index"]: m.get_attr("IFLA_IFNAME") for m in ipr().get_links()}
    return tuple(
        Neighbour(
            address=m.get_attr("NDA_DST"),
            mac=m.get_attr("NDA_LLADDR"),
            dev=names[m["ifindex"]],
            state=_NUD.get(m["state"], str(m["state"])),
        )
        for m in ipr().get_neighbours(family=socket.AF_INET)
        if not m["state"] & _NUD_NOARP  # multicast and the like: `ip neigh` leaves them out too
    )


def forwarding_table(bridge: str) -> tuple[ForwardingEntry, ...]:
    """The addresses that a bridge knows, and at which port.

    Equivalent to: `bridge fdb show br BRIDGE`.
    """
    messages = list(ipr().get_links())
    names = {m["index"]: m.get_attr("IFLA_IFNAME") for m in messages}
    master = index(bridge)
    return tuple(
        ForwardingEntry(
            mac=m.get_attr("NDA_LLADDR"),
            port=names.get(m["ifindex"], "?"),
            permanent=bool(m["state"] & _NUD_PERMANENT),
        )
        for m in ipr().fdb("dump")
        if m.get_attr("NDA_MASTER") == master
    )
