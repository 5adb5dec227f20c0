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
from natlab.testing.docker_host import NAME, alone
from natlab.testing.report import last_lines
from natlab.testing.settings import Settings
from natlab.testing.standing import StandingHost

if TYPE_CHECKING:
    from natlab.engine.host import Host


class FakeDocker(StandingHost):
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
        self._closed = False
        with contextlib.ExitStack() as undo:
            self.lab = lab if lab is not None else undo.enter_context(alone(settings))
            self._host: Host = self.lab.host(host)
            self._engine = undo.enter_context(DockerEngine(self._host, icc=settings.icc))
            self._undo = undo.pop_all()

    @property
    def node(self) -> Host:
        """The same as a host of the lab."""
        return self._host

    def check_open(self) -> None:
        """Check that it was not closed; see `Standing`."""
        if self._closed:
            raise NatlabError(
                "fake_docker was closed when its test ended: ask for it in the test that uses it,"
                " or take fake_docker_module for one that lasts"
            )

    @property
    def url(self) -> str:
        """What belongs into `DOCKER_HOST`: `unix:///…`."""
        self.check_open()
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
        self._closed = True
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
