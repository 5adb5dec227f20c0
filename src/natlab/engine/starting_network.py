"""Docker's default network made in two round trips: one to look, one to act."""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Final

from natlab.errors import NatlabError
from natlab.kernel import batch, firewall, link_facts, links, sysctl
from natlab.kernel.batch import Call

if TYPE_CHECKING:
    from natlab.engine.network import Network

_FORWARD: Final = "net.ipv4.ip_forward"


def start(network: Network, interface: IPv4Interface) -> None:
    """Make a network with all that Docker's own has; see `Host.add_docker0`.

    Looks once, then acts once: bridge, forwarding, and every rule in one transaction. After an
    error nothing is left of it.

    Raises:
        NatlabError: the bridge exists, or the subnet overlaps a route of the host.
    """
    host, bridge = network.host, network.bridge
    here = host.place.number
    looks = [
        Call(here, links.present, ([bridge],)),
        Call(here, link_facts.routes),
        Call(here, link_facts.bridges),
        Call(here, sysctl.read, (_FORWARD,)),
        Call(here, firewall.generation),
    ]
    present, routes, others, forwarded, generation = host.place.call(batch.together, looks)
    host.known_networks.refuse_taken(bridge, interface, present, routes)
    if not network.icc:
        host.filter_bridged_frames()
    there = [other.name for other in others if other.ipv4]
    standing = host.place.call(firewall.keys) if there else set()
    wanted = network.rules()
    specs = wanted.masquerading()
    specs += wanted.forwarding(there, proxy=host.userland_proxy, standing=standing)
    undo_bridge = Call(here, links.delete, (bridge,))
    undo_forward = Call(here, sysctl.write, (_FORWARD, forwarded))
    proxy = {"userland_proxy": host.userland_proxy}
    acts = [
        Call(here, links.add_bridge, (bridge, [str(interface)], network.mtu), undo=undo_bridge),
        Call(here, sysctl.write, (_FORWARD, "1"), undo=undo_forward),
        Call(here, firewall.begin, (specs,), proxy),
    ]
    try:
        *_, now = host.place.call(batch.together, acts)
    except OSError as error:
        raise NatlabError(f"{bridge} on {host.name}: {error.strerror}") from error
    if (generation, now) == (firewall.UNTOUCHED, firewall.UNTOUCHED + 1):
        host.publishing.begun(now, specs)
