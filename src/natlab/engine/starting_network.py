"""Docker's default network made in two round trips: one to look, one to act."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Final

from natlab.errors import NatlabError
from natlab.kernel import batch, firewall, link_facts, links, sysctl
from natlab.kernel.batch import Call
from natlab.model.network_rules import NetworkRules
from natlab.model.rule_spec import RuleSpec

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
    acts = network_calls(
        here, interface, bridge, network.mtu, specs, proxy=host.userland_proxy, before=forwarded
    )
    try:
        *_, now = host.place.call(batch.together, acts)
    except OSError as error:
        raise NatlabError(f"{bridge} on {host.name}: {error.strerror}") from error
    if (generation, now) == (firewall.UNTOUCHED, firewall.UNTOUCHED + 1):
        host.publishing.begun(now, specs)


def network_calls(
    place: int,
    interface: IPv4Interface,
    bridge: str,
    mtu: int,
    specs: Sequence[RuleSpec],
    *,
    proxy: bool,
    before: str = "0",
) -> list[Call]:
    """The calls that make a network on the machine of that number, where nothing is in its way.

    The result of the last one is the generation of the ruleset afterwards.
    """
    undo_bridge = Call(place, links.delete, (bridge,))
    undo_forward = Call(place, sysctl.write, (_FORWARD, before))
    return [
        Call(place, links.add_bridge, (bridge, [str(interface)], mtu), undo=undo_bridge),
        Call(place, sysctl.write, (_FORWARD, "1"), undo=undo_forward),
        Call(place, firewall.begin, (specs,), {"userland_proxy": proxy}),
    ]


@functools.lru_cache(maxsize=16)
def fresh_rules(interface: IPv4Interface, bridge: str) -> tuple[RuleSpec, ...]:
    """The rules of the first network of a host, whose containers reach each other."""
    wanted = NetworkRules(bridge, (interface.network,))
    return *wanted.masquerading(), *wanted.forwarding((), proxy=True)
