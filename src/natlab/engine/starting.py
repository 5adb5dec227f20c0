"""A container made, attached and published at once, in one round trip to the agent.

And Docker's default network, made in two.

Each of the three can be had on its own (`Host.add_container`, `Network.attach`, `Host.publish`).
Together they cost less: all is decided as if nobody else had touched the host since this process
last looked or acted, and done in one go, which checks just that before it begins.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import TYPE_CHECKING, Final

from natlab.errors import NatlabError
from natlab.kernel import batch, firewall, link_facts, links, namespaces, sysctl
from natlab.kernel.batch import Call
from natlab.kernel.place import NEWEST
from natlab.model import firewall as rules
from natlab.model.firewall import RuleSpec

_FORWARD: Final = "net.ipv4.ip_forward"

if TYPE_CHECKING:
    from natlab.engine.container import Container
    from natlab.engine.network import Network


def start(
    network: Network, name: str, texts: Sequence[str], address: IPv4Address | str | None
) -> Container:
    """Make a container on a network, and publish ports of it; see `Network.add_container`.

    What stands in the way of doing it at once, whatever it is, is met again step by step, with
    knowledge that is new and with errors in words.
    """
    host = network.host
    name = host.checked_name(name)
    if not texts or (host.publishing.informed and not host.userland_proxy):
        with contextlib.suppress(NatlabError, OSError):
            return _at_once(network, name, texts, address)
    return _step_by_step(network, name, texts, address)


def start_network(network: Network, interface: IPv4Interface) -> None:
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
    host.refuse_taken(bridge, interface, present, routes)
    if not network.icc:
        host.filter_bridged_frames()
    specs = [rules.masquerade(network.subnet, bridge)]
    specs += network.forward_rules([other.name for other in others if other.ipv4])
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
    masquerade = rules.masquerade(interface.network, bridge)
    return masquerade, *rules.forward_network(bridge, icc=True)


def _at_once(
    network: Network, name: str, texts: Sequence[str], address: IPv4Address | str | None
) -> Container:
    """Do it in one round trip; after an error nothing is left of it."""
    host, publishing = network.host, network.host.publishing
    here = host.place.number
    forget = Call(here, namespaces.undo_named, (name,))
    make = Call(here, namespaces.add_named, (name,), undo=forget)
    with (
        network.reserved(name, address) as endpoint,
        publishing.ahead(network, endpoint.ip, texts) as publish,
    ):
        checks = [network.expect_call(endpoint), *publish[:-1]]
        acts = [make, network.attach_call(NEWEST, endpoint), *publish[-1:]]
        results = host.place.call(batch.together, [*checks, *acts])
        if publish:
            publishing.settled(publish[-1].args[0], results[-1])
    return host.adopt(name, results[len(checks)])


def _step_by_step(
    network: Network, name: str, texts: Sequence[str], address: IPv4Address | str | None
) -> Container:
    container = network.host.add_container(name)
    with contextlib.ExitStack() as undo:
        undo.callback(container.remove)
        network.attach(container, address)
        if texts:
            network.host.publish(container, *texts)
        undo.pop_all()
    return container
