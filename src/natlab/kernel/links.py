"""Links, addresses, routes and neighbours of the network namespace in which the caller stands.

The nouns are the kernel's own (rtnetlink(7)); pyroute2 carries the messages.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Interface, ip_interface
from typing import Any, Final

from natlab.kernel import rtnl
from natlab.kernel.place import Place, ipr, registry, standing
from natlab.model.state import ForwardingEntry, Link, Neighbour, RouteEntry

_IFNAMSIZ: Final = 16
_LOOPBACK: Final = 1
"""The index of `lo` in every namespace (LOOPBACK_IFINDEX in net/flow.h)."""
_SIOCGIFINDEX: Final = 0x8933
_SIOCGIFADDR: Final = 0x8915
_SIOCGIFNETMASK: Final = 0x891B
_UP: Final = 0x1
_LOWER_UP: Final = 0x10000
_NO_DAD: Final = 0x02
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


def index(name: str, place: Place | None = None) -> int:
    """The index of an interface, here or elsewhere.

    Raises:
        OSError: ENODEV, no interface of that name there.
    """
    request = struct.pack("15s17x", name.encode())
    try:
        answer = fcntl.ioctl((place or standing.place).route, _SIOCGIFINDEX, request)
    except OSError as error:
        raise OSError(errno.ENODEV, f"no interface {name}") from error
    return int(struct.unpack_from("=i", answer, _IFNAMSIZ)[0])


def present(names: Iterable[str]) -> list[str]:
    """Those of the names that are interfaces here."""
    return [name for name in names if _is_here(name)]


def _is_here(name: str) -> bool:
    try:
        return index(name) > 0
    except OSError:
        return False


def add_bridge(name: str, addresses: list[str], mtu: int | None = None) -> None:
    """Make a bridge, with addresses, up.

    Equivalent to: `ip link add NAME type bridge; ip addr add … dev NAME; ip link set NAME up`.
    """
    options = {"mtu": mtu} if mtu else {}
    ipr().link("add", ifname=name, kind="bridge", **options)
    with _undone_on_failure(name):
        configure(name, addresses)


@contextlib.contextmanager
def _undone_on_failure(name: str) -> Iterator[None]:
    """Delete a link again if what comes next fails: nothing is left half-made."""
    try:
        yield
    except BaseException:
        delete(name)
        raise


def add_pair(
    name: str, peer: str, peer_place: int, options: dict[str, Any], peer_options: dict[str, Any]
) -> None:
    """Make a veth pair: one end here, up (and a port of the bridge `master`), the other there.

    Equivalent to: `ip link add NAME type veth peer name PEER netns NS; ip link set NAME
    master BRIDGE up`.
    """
    mine = dict(options)
    if master := mine.pop("master", None):
        mine["master"] = index(master)
    other = {"ifname": peer, "net_ns_fd": registry.get(peer_place).fds["net"], **peer_options}
    ipr().link("add", ifname=name, kind="veth", state="up", peer=other, **mine)


def configure(name: str, addresses: list[str], gateway: str | None = None) -> None:
    """Give an interface its addresses, set it up, and route through a gateway.

    Equivalent to: `ip addr add ADDR dev NAME; ip link set NAME up; ip route add default via GW`.
    """
    number = index(name)
    for address in addresses:
        interface = ip_interface(address)
        options = {} if isinstance(interface, IPv4Interface) else {"flags": _NO_DAD}
        ipr().addr(
            "add",
            index=number,
            address=str(interface.ip),
            prefixlen=interface.network.prefixlen,
            **options,
        )
    ipr().link("set", index=number, state="up")
    if gateway:
        ipr().route("add", dst="default", gateway=gateway)


def attach(
    bridge: str,
    host_end: str,
    place: int,
    *,
    mac: str,
    addresses: list[str],
    gateway: str | None = None,
    mtu: int = 1500,
    hairpin: bool = False,
    interface: str = "eth0",
) -> None:
    """The four steps of networking a container, in one call.

    A veth pair, its host end a port of the bridge, its other end `interface` in the
    container's namespace with a MAC address, addresses and the default route.
    """
    there = registry.get(place)
    pair = rtnl.add_pair(
        host_end, interface, there.fds["net"], master=index(bridge), mtu=mtu, mac=mac
    )
    rtnl.transact(pair)
    with _undone_on_failure(host_end):
        if hairpin:
            set_hairpin(host_end, on=True)
        eth0 = index(interface, there)
        given = [rtnl.add_address(eth0, address) for address in addresses]
        up = [rtnl.set_up(eth0), rtnl.set_up(_LOOPBACK)]
        away = [rtnl.default_route(gateway)] if gateway else []
        rtnl.transact(*given, *up, *away, place=there)


def set_link(name: str, **changes: Any) -> None:
    """Change a link: `state`, `mtu`, `ifname`, `address`. Equivalent to: `ip link set NAME …`."""
    ipr().link("set", index=index(name), **changes)


def move(name: str, place: int, rename: str | None = None) -> None:
    """Move a link into another namespace. Equivalent to: `ip link set NAME netns NS name NEW`."""
    options = {"ifname": rename} if rename else {}
    ipr().link("set", index=index(name), net_ns_fd=registry.get(place).fds["net"], **options)


def delete(name: str) -> None:
    """Delete a link; already gone is fine. Equivalent to: `ip link delete NAME`."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        ipr().link("del", index=index(name))
    except (OSError, NetlinkError) as error:  # a veth also goes with the namespace of its other end
        if error.args[0] != errno.ENODEV:
            raise


def set_hairpin(port: str, on: bool) -> None:
    """Let a bridge port send frames back where they came from.

    Equivalent to: `bridge link set dev PORT hairpin on`.
    """
    rtnl.transact(rtnl.set_hairpin(index(port), on))


def add_route(dst: str, gateway: str | None = None, dev: str | None = None) -> None:
    """Add a route. Equivalent to: `ip route add DST via GATEWAY dev DEV`."""
    ipr().route("add", **_route(dst, gateway, dev))


def delete_route(dst: str, gateway: str | None = None, dev: str | None = None) -> None:
    """Delete a route. Equivalent to: `ip route delete DST …`."""
    ipr().route("del", **_route(dst, gateway, dev))


def _route(dst: str, gateway: str | None, dev: str | None) -> dict[str, Any]:
    route: dict[str, Any] = {"dst": dst}
    if gateway:
        route["gateway"] = gateway
    if dev:
        route |= {"oif": index(dev)} | ({} if gateway else {"scope": 253})
    return route


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
    """The bridges here with their IPv4 addresses. Equivalent to: `ip addr show type bridge`."""
    messages = list(ipr().get_links(kind="bridge"))
    names = {m["index"]: m.get_attr("IFLA_IFNAME") for m in messages}
    addresses: dict[int, list[Any]] = {}
    for message in ipr().get_addr(family=socket.AF_INET):
        value = ip_interface(f"{message.get_attr('IFA_LOCAL')}/{message['prefixlen']}")
        addresses.setdefault(message["index"], []).append(value)
    found = (_link(m, names, tuple(addresses.get(m["index"], ()))) for m in messages)
    return tuple(link for link in found if link.kind == "bridge")


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


def routes(family: int = 2) -> tuple[RouteEntry, ...]:
    """The routes of all tables, less the kernel's own of the table `local`."""
    names = {m["index"]: m.get_attr("IFLA_IFNAME") for m in ipr().get_links()}
    found = (_route_entry(m, names) for m in ipr().get_routes(family=family))
    return tuple(route for route in found if route.table != 255)  # noqa: PLR2004 - table local


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
