"""A container made, attached and published at once, in two round trips to the agent.

Each of the three can be had on its own (`Host.add_container`, `Network.attach`, `Host.publish`).
Together they cost less: what must be known is asked in one round trip, and what is to be done is
done in another.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NamedTuple

from natlab.engine.publishing import RulesChangedError
from natlab.kernel import batch, firewall, namespaces
from natlab.kernel.batch import Call

if TYPE_CHECKING:
    from natlab.engine.container import Container
    from natlab.engine.network import Network


def start(
    network: Network, name: str, texts: Sequence[str], address: IPv4Address | str | None
) -> Container:
    """Make a container on a network, and publish ports of it; see `Network.add_container`."""
    host = network.host
    name, here = host.checked_name(name), host.place.number
    questions = [
        Call(here, namespaces.add_named, (name,)),
        Call(here, namespaces.inventory),
        Call(here, firewall.generation),
    ]
    with host.name_free(name):
        number, *known = host.place.call(batch.together, questions)
    container = host.adopt(name, number)
    with contextlib.ExitStack() as undo:
        undo.callback(container.remove)
        hopeful = bool(texts) and not host.userland_proxy
        if not hopeful or not _at_once(container, network, _Facts(*known), texts, address):
            network.attach(container, address)
            if texts:
                host.publish(container, *texts)
        undo.pop_all()
    return container


class _Facts(NamedTuple):
    """What the first round trip found out."""

    inventory: tuple[set[str], set[str]]
    generation: int


def _at_once(
    container: Container,
    network: Network,
    facts: _Facts,
    texts: Sequence[str],
    address: IPv4Address | str | None,
) -> bool:
    """Attach and publish in one round trip; False, with nothing done, if that was too hopeful.

    It is when a program of the host holds one of the ports, or when the rules changed meanwhile.
    """
    publishing = network.host.publishing
    publishing.catch_up(facts.generation)
    try:
        with network.reserved(container, facts.inventory, address) as endpoint:
            attach = network.attach_call(container, endpoint)
            with publishing.ahead(network, endpoint.ip, texts) as (*before, rules):
                calls = [*before, attach, rules]
                *_, now = network.host.place.call(batch.together, calls)
                publishing.settled(rules.args[0], now)
    except RulesChangedError:
        network.unplug(endpoint.host_end)
        return False
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
            return False
        with network.explained(container):
            raise
    return True
