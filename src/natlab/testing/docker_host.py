"""One host with docker0, and `run`: what `docker run` does, in milliseconds and without Docker."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Any, Final, Self

from natlab.engine.lab import Lab
from natlab.errors import NatlabError, UsageError
from natlab.model.publish import parse_expose
from natlab.testing.container import Runnable, RunningContainer, Wish
from natlab.testing.light import Light
from natlab.testing.report import last_lines
from natlab.testing.settings import Settings
from natlab.testing.standing import StandingHost

if TYPE_CHECKING:
    from natlab.engine.host import Host
    from natlab.engine.network import Network
    from natlab.model.journey import Journey
    from natlab.testing.fake_docker import FakeDocker

NAME: Final = "ubuntu1"
ADDRESS: Final = "192.168.33.11/24"

Publish = int | str | bool | Iterable[int | str]


class DockerHost(StandingHost):
    """A lab host with docker0.

    As a context manager it takes its containers down at the end of the block.

    Args:
        lab: The lab; one with this host alone is made, and taken down, unless one is given.
        host: The host's name in that lab.
        settings: What the lab is like that is made.
        fixture: What messages call it.
        own: Whether a lab that is given goes with it.
    """

    def __init__(
        self,
        lab: Lab | None = None,
        host: str = NAME,
        *,
        settings: Settings | None = None,
        fixture: str = "docker_host",
        own: bool = False,
    ) -> None:
        self.fixture = fixture
        self._own = own or lab is None
        self.lab = lab if lab is not None else alone(settings or Settings())
        self._host: Host = self.lab.host(host)
        self.containers: list[RunningContainer] = []
        self._numbers = itertools.count(1)
        self._closed = False
        self._process = os.getpid()
        self._engine: FakeDocker | None = None
        try:
            self.docker0: Network = self.node.docker0
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<DockerHost {self.node.name}>"

    # Containers

    def run(
        self,
        what: Runnable,
        *args: Any,
        publish: Publish = (),
        expose: Iterable[int | str] | int | str = (),
        env: Mapping[str, str] | None = None,
        volumes: Any = None,
        name: str | None = None,
        image: str | None = None,
    ) -> RunningContainer:
        """Start a container on docker0 and go on.

        Equivalent to: `docker run -d -p PUBLISH --expose EXPOSE -e ENV -v VOLUMES WHAT`.

        Args:
            what: A program with its arguments, a shell's command line, or a Python callable.
            args: The callable's arguments.
            publish: Ports as `docker run -p` takes them, one or several: `8080`, `"80:8080"`,
                `"127.0.0.1::53/udp"`; True for every exposed one, as `-P`.
            expose: Ports that it is meant to serve: they are published by `publish=True` alone.
            env: Its environment, besides PATH and the like.
            volumes: What `-v` takes, one or several. With volumes or an image the container is
                one of natlab's Docker engine, with a root tree of its own; without them it is a
                network namespace that sees the host's files. A callable must find in the image
                what it imports.
            name: Its name; one is made up unless given.
            image: The engine's image to run it from: "host", the machine's own tree, if there
                are volumes and no image is named.

        Raises:
            UsageError: a port spec or name is not valid, or the callable cannot be sent.
            NatlabError: a port is taken (Docker's message), there is no such program, or this
                host was closed.
        """
        self.check_open()
        exposed = _exposed(expose)
        wish = Wish(
            name=name or self._free_name(),
            what=what,
            args=args,
            publish=tuple(_published(publish, exposed)),
            exposed=exposed,
            env=dict(env or {}),
        )
        if volumes or image:
            from natlab.testing.engine_container import start

            made = start(self, wish, volumes, image)
        else:
            made = self._light(wish)
        self.containers.append(made)
        return made

    def _light(self, wish: Wish) -> RunningContainer:
        node = self.docker0.add_container(wish.name, *wish.publish)
        ip = self.docker0.attached[wish.name].ip
        with contextlib.ExitStack() as undo:
            undo.callback(node.remove)
            node.prepare()
            program = Light(node)
            program.begin(wish.what, wish.args, wish.env)
            undo.pop_all()
        return RunningContainer(self, wish, program, node, str(ip))

    def _free_name(self) -> str:
        taken = {container.name for container in self.containers}
        return next(f"c{n}" for n in self._numbers if f"c{n}" not in taken)

    def engine(self) -> FakeDocker:
        """The Docker engine on this host, started when it is first asked for."""
        self.check_open()
        if self._engine is None:
            from natlab.testing.fake_docker import FakeDocker

            self._engine = FakeDocker(self.lab, self.node.name)
        return self._engine

    def forget(self, container: RunningContainer) -> None:
        """Leave a container that is removed to itself."""
        if container in self.containers:
            self.containers.remove(container)

    # Where it stands

    @property
    def node(self) -> Host:
        """The same as a host of the lab."""
        return self._host

    def journey(self, origin: Any, target: str, port: int | None = None, **options: Any) -> Journey:
        """One packet's way through hooks and rules; see `Lab.journey`."""
        self.check_open()
        if self._own:
            self.outside  # noqa: B018 - it is what journeys come from
        return self.lab.journey(getattr(origin, "node", origin), target, port, **options)

    def all_logs(self) -> list[tuple[str, Callable[[], str]]]:
        """What there is to read about its containers when a test has failed."""
        found: list[tuple[str, Callable[[], str]]] = []
        for container in self.containers:
            found.append((container.name, lambda c=container: last_lines(c.logs())))  # type: ignore[misc]
            if trouble := container.program.failure:
                found.append((f"{container.name}'s callable", lambda t=trouble: t))  # type: ignore[misc]
        return found

    # Life

    def check_open(self) -> None:
        """Check that it was not closed; see `Standing`."""
        if os.getpid() != self._process:
            raise NatlabError(
                f"{self.fixture} belongs to the process that made it, and this one was forked from"
                f" that: make a natlab.DockerHost() here, or use {self.fixture} before the fork"
            )
        if self._closed:
            raise NatlabError(
                f"{self.fixture} was closed when its test ended: ask for it in the test that uses"
                f" it, or take {self.fixture}_module for one that lasts"
            )

    def close(self) -> None:
        """Take its containers down, and its lab if that is its own. Twice does nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.ExitStack() as stack:
            if self._own:
                stack.callback(self.lab.close)
            if self._engine is not None:
                stack.callback(self._engine.close)
            for container in list(self.containers):
                if self._own:
                    stack.callback(container.program.kill)
                else:
                    stack.callback(container.remove)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def alone(settings: Settings, **options: Any) -> Lab:
    """A lab with one host, which is plugged in when the LAN is first asked for.

    Raises:
        NatlabError: docker0's subnet overlaps the LAN.
    """
    lan, subnet = IPv4Interface(ADDRESS).network, IPv4Interface(settings.docker0.address).network
    if lan.overlaps(subnet):
        raise NatlabError(
            f"subnet {subnet} overlaps the route {lan} dev eth0 (table main) on {NAME}:"
            " choose another subnet"
        )
    return made(settings.changed(hosts={NAME: ADDRESS}), lan=False, with_docker0=True, **options)


def made(settings: Settings, **options: Any) -> Lab:
    """A lab as the settings have it."""
    lab = Lab(
        settings.hosts,
        userland_proxy=settings.userland_proxy,
        port_range=settings.ports,
        docker0=settings.docker0,
        mtu=settings.lan_mtu,
        **options,
    )
    try:
        for host in lab.hosts.values() if settings.rules else ():
            host.nft(settings.rules)
    except BaseException:
        lab.close()
        raise
    return lab


def _several(value: Any) -> list[str]:
    values = [value] if isinstance(value, (int, str)) else list(value)
    for each in values:
        if isinstance(each, bool) or not isinstance(each, (int, str)):
            raise UsageError(f"{each!r} is no port: give one like 8080 or '80:8080/tcp'")
    return [str(each) for each in values]


def _exposed(expose: Any) -> frozenset[str]:
    return frozenset(str(port) for text in _several(expose) for port in parse_expose(text))


def _published(publish: Any, exposed: frozenset[str]) -> list[str]:
    if publish is True:
        if not exposed:
            raise UsageError(
                "publish=True publishes what is exposed, and nothing is: add expose=8080, or"
                " name the port in publish"
            )
        return sorted(exposed)
    return [] if publish in (False, None) else _several(publish)
