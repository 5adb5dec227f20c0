"""A Docker engine for the code under test: its socket, its clients, its environment."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from natlab.api.service import DockerEngine
from natlab.engine.lab import Lab
from natlab.errors import NatlabError
from natlab.kernel import sockets
from natlab.testing.container import LOOK_AGAIN
from natlab.testing.docker_host import NAME, OUTSIDE, alone
from natlab.testing.report import last_lines
from natlab.testing.settings import Settings
from natlab.testing.standing import Standing

if TYPE_CHECKING:
    from natlab.engine.host import Host


class FakeDocker(Standing):
    """An engine on a lab host, with a unix socket that every Docker client can use.

    As a context manager it ends with the block.

    Args:
        lab: The lab; one with this host alone is made, and taken down, unless one is given.
        host: The host's name in that lab.
        settings: What the lab is like that is made.
    """

    def __init__(
        self, lab: Lab | None = None, host: str = NAME, *, settings: Settings | None = None
    ) -> None:
        settings = settings or Settings()
        with contextlib.ExitStack() as undo:
            self.lab = lab if lab is not None else undo.enter_context(alone(settings))
            self._host: Host = self.lab.host(host)
            self._engine = undo.enter_context(DockerEngine(self._host, icc=settings.icc))
            self._undo = undo.pop_all()

    @property
    def node(self) -> Host:
        """The same as a host of the lab."""
        return self._host

    @property
    def url(self) -> str:
        """What belongs into `DOCKER_HOST`: `unix:///…`."""
        return self._engine.url

    @property
    def env(self) -> dict[str, str]:
        """This process's environment, changed so that Docker clients find the engine."""
        plain = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
        return plain | {"DOCKER_HOST": self.url}

    def client(self, **options: Any) -> Any:
        """A docker-py client of it; it is closed with the engine."""
        import docker  # type: ignore[import-untyped]

        made = docker.DockerClient(base_url=self.url, **options)
        self._undo.callback(made.close)
        return made

    @property
    def ip(self) -> str:
        """The host's address on the LAN, which is laid when it is first asked for."""
        self.lab.switch  # noqa: B018
        return str(self.node.ip)

    @property
    def outside(self) -> Host:
        """A machine on the host's LAN, for clients that come from outside; made when asked for."""
        name, address = OUTSIDE
        return self.lab.hosts.get(name) or self.lab.add_host(name, address)

    def wait_for_port(self, container: str, port: int, timeout: float = 30.0) -> None:
        """Wait until something listens at a TCP port of a container, which is given by name.

        Raises:
            UsageError: no container of that name runs.
            NatlabError: the time ran out before that.
        """
        node, deadline = self.node.container(container), time.monotonic() + timeout
        while not node.place.call(sockets.listens, port):
            if time.monotonic() > deadline:
                raise NatlabError(f"{container} listened at no port {port} within {timeout:g} s")
            time.sleep(LOOK_AGAIN)

    def all_logs(self) -> list[tuple[str, Callable[[], str]]]:
        """What there is to read about its containers when a test has failed."""
        found = self.client().containers.list(all=True)
        return [
            (c.name, lambda c=c: last_lines(c.logs().decode(errors="replace")))  # type: ignore[misc]
            for c in found
        ]

    def close(self) -> None:
        """End it with its containers; twice does nothing."""
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
