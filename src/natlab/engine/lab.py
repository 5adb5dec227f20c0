"""A lab: hosts on one LAN, in namespaces of their own.

    outside 192.168.33.20 ─┐
                            ├─ lan 192.168.33.0/24 ─ eth0 ubuntu1 192.168.33.11
    ubuntu2 192.168.33.12 ─┘

The hosts hold nothing else at first: no bridge, no rule, no forwarding, no default route.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Mapping
from ipaddress import IPv4Interface, ip_interface
from typing import TYPE_CHECKING, Any, Final, Self, cast

from natlab.engine.container import Container
from natlab.engine.host import DOCKER0_AS_USUAL, Docker0, Host
from natlab.engine.node import Node
from natlab.errors import UsageError
from natlab.kernel import batch, links, machine, machine_made, namespaces, processes
from natlab.kernel.agent import Agent, Namespace
from natlab.kernel.batch import HOME, Call
from natlab.kernel.place import NEWEST
from natlab.model.addresses import mac_for
from natlab.model.names import check_interface_name, unknown
from natlab.model.ports import SEED_RANGE, PortRange
from natlab.programs import launchers

if TYPE_CHECKING:
    from natlab.model.journey import Journey

CLASSROOM: Final[Mapping[str, str]] = {
    "outside": "192.168.33.20/24",
    "ubuntu1": "192.168.33.11/24",
    "ubuntu2": "192.168.33.12/24",
}
"""The seed's two machines, and one more on their LAN that has no Docker."""

PINS: Final = "/run/natlab"
"""Where a lasting lab's machines have names inside its sandbox."""

_SWITCH: Final = "lan"
_SWITCH_OWN: Final = ("lo", _SWITCH)


class Lab:
    """Hosts on one LAN. Use it as a context manager: at the end of the block all of it is gone.

    Args:
        hosts: Each host's name and its address on the LAN with the prefix length.
        userland_proxy: Whether published ports get Docker's userland proxy as well.
        port_range: Where automatic published ports are taken from: the range of the seed's day,
            unless another is given; None for the kernel's own (`net.ipv4.ip_local_port_range`).
        docker0: What the hosts' default network is like, once it is made.
        mtu: The largest packet on the LAN, in bytes.
        agent: The sandbox to stand in; this process's own, unless another is given.
        lan: Whether the hosts are plugged in at once; if not, when the LAN is first asked for
            (`switch`, `add_host`).

    Raises:
        UsageError: an address or a name is not valid.
        UnsupportedError: this user may not make namespaces; the message has the remedy.
    """

    def __init__(
        self,
        hosts: Mapping[str, str] = CLASSROOM,
        *,
        userland_proxy: bool = True,
        port_range: PortRange | None = SEED_RANGE,
        docker0: Docker0 = DOCKER0_AS_USUAL,
        mtu: int = 1500,
        agent: Agent | None = None,
        lan: bool = True,
    ) -> None:
        self._lan: Namespace | None = None
        self._userland_proxy, self._port_range = userland_proxy, port_range
        self._docker0, self._mtu = docker0, mtu
        self.addresses = _checked(hosts)
        self.agent = agent or _shared_agent()
        self.hosts: dict[str, Host] = {}
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self._build(lan=lan)
            undo.pop_all()

    @classmethod
    def within(cls, agent: Agent) -> Lab:
        """The lab that stands in a lasting sandbox, made there if there is none yet."""
        lab = cls.__new__(cls)
        lab._userland_proxy, lab._port_range = True, SEED_RANGE  # noqa: SLF001 - its own constructor
        lab._docker0, lab._mtu = DOCKER0_AS_USUAL, 1500  # noqa: SLF001
        lab.agent, lab.hosts, lab._lan = agent, {}, None  # noqa: SLF001
        lab.addresses = _checked(CLASSROOM)
        pinned = agent.call(None, namespaces.list_pinned, f"{PINS}/hosts")
        if pinned:
            lan = agent.call(None, namespaces.open_pinned, f"{PINS}/{_SWITCH}")
            lab._lan = Namespace(agent, lan)  # noqa: SLF001
            for name in pinned:
                lab._adopt(name, agent.call(None, namespaces.open_pinned, f"{PINS}/hosts/{name}"))  # noqa: SLF001
        else:
            lab._build(lan=True)  # noqa: SLF001
            lab.pin()
        return lab

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Host:
        hosts = self.__dict__.get("hosts", {})
        if name in hosts:
            return hosts[name]  # type: ignore[no-any-return]
        raise AttributeError(f"no host {name!r} in this lab: there is {', '.join(hosts) or 'none'}")

    @property
    def has_lan(self) -> bool:
        """Whether the hosts are plugged in."""
        return self._lan is not None

    @property
    def switch(self) -> Namespace:
        """The LAN: a bridge in a namespace of its own. It is laid when it is first asked for."""
        if self._lan is None:
            self._make_switch()
            for name, host in self.hosts.items():
                self._plug_in(name, host)
        return cast("Namespace", self._lan)

    def _build(self, *, lan: bool) -> None:
        if lan:
            self._make_switch()
        for name in self.addresses:
            self._add(name)

    def _make_switch(self) -> None:
        made = Call(HOME, namespaces.create_net, undo=Call(HOME, namespaces.close, (NEWEST,)))
        settle = Call(NEWEST, machine.settle_switch)
        bridge = Call(NEWEST, links.add_bridge, (_SWITCH, []))
        number, *_ = self.agent.call(None, batch.together, [made, settle, bridge])
        self._lan = Namespace(self.agent, number)

    def add_host(self, name: str, address: str) -> Host:
        """One machine more on the LAN; the others find its name in their `/etc/hosts`.

        Args:
            name: Its name.
            address: Its address on the LAN with the prefix length.

        Raises:
            UsageError: the name or the address is not valid, or taken.
        """
        if name in self.addresses:
            raise UsageError(f"host {name} is there already: choose another name")
        self.switch  # noqa: B018 - everybody is plugged in
        known = {known: str(interface) for known, interface in self.addresses.items()}
        self.addresses = _checked({**known, name: address})
        self._add(name)
        for other in self.hosts.values():
            other.place.call(machine_made.rewrite_hosts, self._hosts_file(other.name))
        return self.hosts[name]

    def _add(self, name: str) -> None:
        """Make a machine and plug it in, in one round trip, all or nothing."""
        make = Call(
            HOME,
            machine_made.create_machine,
            (name, launchers(), self._hosts_file(name)),
            undo=Call(HOME, namespaces.close, (NEWEST,)),
        )
        calls = [make, Call(NEWEST, machine.settle)]
        if self._lan is not None:
            calls.append(self._plug_call(name, NEWEST))
        number, *_ = self.agent.call(None, batch.together, calls)
        self._adopt(name, number)

    def _adopt(self, name: str, number: int) -> None:
        place = Namespace(self.agent, number)
        self.hosts[name] = host = Host(
            name,
            place,
            userland_proxy=self._userland_proxy,
            port_range=self._port_range,
            docker0=self._docker0,
        )
        if self._lan is not None:
            host.plugged_into = (self._lan, name)

    def _plug_in(self, name: str, host: Host) -> None:
        call = self._plug_call(name, host.place.number)
        self.switch.call(call.function, *call.args, **call.kwargs)
        host.plugged_into = (self.switch, name)

    def _plug_call(self, name: str, number: int) -> Call:
        """The call that lays the cable from the LAN to the machine of that number."""
        interface = self.addresses[name]
        options = {"mac": mac_for(interface.ip), "addresses": [str(interface)], "mtu": self._mtu}
        return Call(self.switch.number, links.attach, (_SWITCH, name, number), options)

    def pin(self) -> None:
        """Let others find its machines in the sandbox: for a lab that lasts."""
        self.agent.call(None, namespaces.pin, self.switch.number, f"{PINS}/{_SWITCH}")
        for name, host in self.hosts.items():
            self.agent.call(None, namespaces.pin, host.place.number, f"{PINS}/hosts/{name}")

    def host(self, name: str) -> Host:
        """One host by name.

        Raises:
            UsageError: there is none of that name; the message has the nearest ones.
        """
        if name not in self.hosts:
            raise unknown("host", name, list(self.hosts))
        return self.hosts[name]

    def containers(self) -> list[Container]:
        """Every container of every host."""
        return [container for host in self.hosts.values() for container in host.containers()]

    def node(self, name: str) -> Node:
        """A host or a container by name; `HOST/NAME` where two hosts have one of that name.

        Raises:
            UsageError: there is none, or more than one.
        """
        if name in self.hosts:
            return self.hosts[name]
        if "/" in name:
            host, _, container = name.partition("/")
            return self.host(host).container(container)
        found = [c for host in self.hosts.values() if (c := host.find_container(name))]
        if len(found) > 1:
            places = ", ".join(f"{c.host.name}/{name}" for c in found)
            raise UsageError(f"{name} is on more than one host: say {places}")
        if not found:
            known = [*self.hosts, *(container.name for container in self.containers())]
            raise unknown("host or container", name, known)
        return found[0]

    def journey(
        self, origin: Node | str, target: str, port: int | None = None, **options: Any
    ) -> Journey:
        """One packet's way from a node to an address, and its answer's: hooks, rules, rewrites.

        The options are those of `natlab.engine.journey.travel`. Equivalent to: `natlab journey`.
        """
        from natlab.engine.journey import travel

        start = self.node(origin) if isinstance(origin, str) else origin
        return travel(self, start, target, port, **options)

    def clean(self) -> None:
        """Take every host back to its first state, and plug it into the LAN anew."""
        for name, host in self.hosts.items():
            self.switch.call(links.delete, name)  # with eth0, wherever somebody moved it
            host.clean(self._hosts_file(name))
            self._plug_in(name, host)

    def _hosts_file(self, name: str) -> str:
        plain = {other: str(interface.ip) for other, interface in self.addresses.items()}
        return machine.hosts_file(plain, name)

    def close(self) -> None:
        """Take the lab down: its programs end, its namespaces and all that is in them go."""
        if not self.agent.usable:
            self.hosts.clear()
            return
        numbers = [host.place.number for host in self.hosts.values()]
        doomed = [number for host in self.hosts.values() for number in host.let_go()]
        if self._lan is not None:
            doomed.append(self._lan.number)
        self._lan = None
        end = [Call(HOME, processes.end_all, tuple(numbers), {"kind": "uts"})] if numbers else []
        close = Call(HOME, namespaces.close, (*numbers, *doomed))
        self.agent.call(None, batch.together, [*end, close])
        self.hosts.clear()


def _checked(hosts: Mapping[str, str]) -> dict[str, IPv4Interface]:
    checked: dict[str, IPv4Interface] = {}
    for name, address in hosts.items():
        check_interface_name(name)
        if name in _SWITCH_OWN:
            raise UsageError(f"host name {name!r} means the LAN itself: choose another one")
        try:
            interface = ip_interface(address)
        except ValueError:
            raise UsageError(
                f"{address!r} of host {name} is not an address like 192.168.33.11/24"
            ) from None
        if not isinstance(interface, IPv4Interface):
            raise UsageError(f"{address} of host {name} is not an IPv4 address")
        checked[name] = interface
    ips = [interface.ip for interface in checked.values()]
    for name, interface in checked.items():
        if ips.count(interface.ip) > 1:
            raise UsageError(f"host {name} has the address {interface.ip} of another host")
    return checked


_lock = threading.Lock()
_agent: Agent | None = None


def _shared_agent() -> Agent:
    """This process's agent, started when it is first needed and after a fork."""
    global _agent  # noqa: PLW0603 - one agent a process is the point
    with _lock:
        if _agent is None or not _agent.alive:
            _end_shared_agent()
            _agent = Agent.start()
        return _agent


def _end_shared_agent() -> None:
    if _agent is not None:
        _agent.close()


def _begin_anew() -> None:
    """In a forked child: the agent and the lock are the parent's."""
    global _agent, _lock
    _agent, _lock = None, threading.Lock()


atexit.register(_end_shared_agent)
os.register_at_fork(after_in_child=_begin_anew)
