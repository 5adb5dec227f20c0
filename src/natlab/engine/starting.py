"""A container made, attached and published at once, in one round trip to the agent.

Each of the three can be had on its own (`Host.add_container`, `Network.attach`, `Host.publish`).
Together they cost less: all is decided as if nobody else had touched the host since this process
last looked or acted, and done in one go, which checks just that before it begins.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from natlab.errors import NatlabError
from natlab.kernel import batch, namespaces
from natlab.kernel.batch import Call
from natlab.kernel.place import NEWEST

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
    name = host.known_containers.checked(name)
    if not texts or _published_at_once(network):
        with contextlib.suppress(NatlabError, OSError):
            return _at_once(network, name, texts, address)
    return _step_by_step(network, name, texts, address)


def _published_at_once(network: Network) -> bool:
    host = network.host
    return host.publishing.informed and not host.userland_proxy and network.interface6 is None


def _at_once(
    network: Network, name: str, texts: Sequence[str], address: IPv4Address | str | None
) -> Container:
    """Do it in one round trip; after an error nothing is left of it."""
    host, publishing = network.host, network.host.publishing
    here = host.place.number
    forget = Call(here, namespaces.undo_named, (name,))
    make = Call(here, namespaces.add_named, (name,), undo=forget)
    with (
        network.attached.reserved(name, address) as endpoint,
        publishing.ahead(network, endpoint.ip, texts) as publish,
    ):
        checks = [network.expect_call(endpoint), *publish[:-1]]
        acts = [make, network.attach_call(NEWEST, endpoint), *publish[-1:]]
        results = host.place.call(batch.together, [*checks, *acts])
        if publish:
            publishing.settled(publish[-1].args[0], results[-1])
    return host.known_containers.adopt(name, results[len(checks)])


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
