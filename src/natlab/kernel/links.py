"""Changes to links, addresses and routes of the network namespace in which the caller stands.

The nouns are the kernel's own (rtnetlink(7)); pyroute2 carries the messages.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import struct
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Interface, ip_interface
from typing import Any, Final

from natlab.kernel import rtnl, sysctl
from natlab.kernel.place import Place, ipr, registry, standing

_IFNAMSIZ: Final = 16
_LOOPBACK: Final = 1
"""The index of `lo` in every namespace (LOOPBACK_IFINDEX in net/flow.h)."""
_SIOCGIFINDEX: Final = 0x8933
_NO_DAD: Final = 0x02
_SIOCGIFMTU: Final = 0x8921


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
    rtnl.transact(rtnl.add_bridge(name, mtu))
    with _undone_on_failure(name):
        _allow_ipv6(name, addresses)
        sysctl.write_all({f"net/ipv6/conf/{name}/accept_ra": "0"})  # a container is no router to it
        number = index(name)
        if addresses:
            rtnl.transact(*(rtnl.add_address(number, address) for address in addresses))


def _allow_ipv6(name: str, addresses: Iterable[str]) -> None:
    """Turn IPv6 on for an interface here that gets such an address.

    Its link-local address is used at once, without asking for a second or two whether somebody
    has it: until then the host could not ask for the neighbours to which it forwards.
    """
    if any(":" in address for address in addresses):
        own = f"net/ipv6/conf/{name}"
        sysctl.write_all({f"{own}/accept_dad": "0", f"{own}/disable_ipv6": "0"})


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

    IPv6 is turned on for it if one of them is such an address.

    Equivalent to: `ip addr add ADDR dev NAME; ip link set NAME up; ip route add default via GW`.
    """
    number = index(name)
    _allow_ipv6(name, addresses)
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
    gateways: Sequence[str] = (),
    mtu: int = 1500,
    hairpin: bool = False,
    interface: str = "eth0",
) -> None:
    """The four steps of networking a container, in one call.

    A veth pair, its host end a port of the bridge, its other end `interface` in the
    container's namespace with a MAC address, addresses and the default routes.
    """
    there = registry.get(place)
    pair = rtnl.add_pair(
        host_end, interface, there.fds["net"], master=index(bridge), mtu=mtu, mac=mac
    )
    rtnl.transact(pair)
    with _undone_on_failure(host_end):
        eth0 = index(interface, there)
        given = [rtnl.add_address(eth0, address) for address in addresses]
        up = [rtnl.set_up(eth0), rtnl.set_up(_LOOPBACK)]
        away = [rtnl.default_route(gateway) for gateway in gateways]
        if any(":" in address for address in addresses):
            with standing.at(there):
                _allow_ipv6(interface, addresses)
        rtnl.transact(*given, *up, *away, rtnl.settle(eth0), place=there)
        port = index(host_end)
        turned = [rtnl.set_hairpin(port, on=True)] if hairpin else []
        rtnl.transact(*turned, rtnl.settle(port))


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


def plug(name: str, *, plugged: bool) -> None:
    """Set one end of a pair up or down: at the other end that is a cable put in, or pulled out."""
    set_link(name, state="up" if plugged else "down")
    if plugged:
        rtnl.transact(rtnl.settle(index(name)))


def settle(name: str) -> None:
    """Let a link whose cable was put in just now carry frames; see `rtnl.settle`."""
    rtnl.transact(rtnl.settle(index(name)))


def set_mtu(name: str, mtu: int) -> int:
    """Change a link's largest packet; returns what it was. Compare: `ip link set NAME mtu MTU`."""
    request = struct.pack("16s24x", name.encode()[:15])
    answer = fcntl.ioctl(standing.place.route, _SIOCGIFMTU, request)
    set_link(name, mtu=mtu)
    return int(struct.unpack_from("=i", answer, _IFNAMSIZ)[0])
