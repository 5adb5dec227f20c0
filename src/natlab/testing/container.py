"""A container of a `DockerHost`: a program or a Python callable, with a network of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from natlab.errors import NatlabError, UsageError
from natlab.kernel import sockets
from natlab.testing.standing import Standing

if TYPE_CHECKING:
    from natlab.engine.container import Container
    from natlab.testing.docker_host import DockerHost

Runnable = str | Sequence[str] | Callable[..., Any]
"""A shell's command line, a program with its arguments, or a Python callable."""

_PATIENCE: Final = 30.0
LOOK_AGAIN: Final = 0.005
"""Seconds between two looks for a listening port: the kernel tells nobody when one begins."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a container is to be: the arguments of `DockerHost.run`, checked and in one form."""

    name: str
    what: Runnable
    args: tuple[Any, ...]
    publish: tuple[str, ...]
    exposed: frozenset[str]
    env: Mapping[str, str]


class Program(Protocol):
    """What runs in a container, whichever way it was started."""

    def wait(self, timeout: float) -> Any:
        """Wait for its end; returns its exit code, or a callable's result."""

    def wait_for(self, text: str, timeout: float) -> str:
        """Wait until it has printed a text."""

    def logs(self) -> str:
        """All that it printed."""

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended, at the latest after some seconds."""

    def execute(
        self, what: Runnable, args: Sequence[Any], env: Mapping[str, str], timeout: float
    ) -> Any:
        """Run something beside it."""

    def kill(self) -> None:
        """End it."""

    @property
    def failure(self) -> str | None:
        """The traceback of a callable that failed, and whose end nobody asked for."""


class RunningContainer(Standing):
    """A container that was started by `DockerHost.run`; it goes with its host, at the latest.

    Attributes:
        name: Its name.
        ip: Its address on docker0. Compare: `docker inspect`, `NetworkSettings.IPAddress`.
            Empty if it is an engine's and had ended already.
        program: What runs in it.
    """

    def __init__(
        self, host: DockerHost, wish: Wish, program: Program, node: Container | None, ip: str
    ) -> None:
        self.name = wish.name
        self.ip = ip
        self.program = program
        self._host = host
        self._exposed = wish.exposed
        self._node = node

    def __repr__(self) -> str:
        return f"<RunningContainer {self.name} {self.ip} on {self._host.node.name}>"

    @property
    def node(self) -> Container:
        """The same as a node of the lab: sockets, captures, links, routes, rules.

        Raises:
            UsageError: it has ended (a container of an engine has a network while it runs).
        """
        return self._node or self._host.node.container(self.name)

    def port(self, container_port: int, proto: str = "tcp") -> int:
        """The host's port that leads to one of its own. Equivalent to: `docker port NAME PORT`.

        Raises:
            UsageError: that port is not published.
        """
        for item, to in self._host.node.published():
            same = (item.container_port, item.proto) == (container_port, proto)
            if str(to) == self.ip and same:
                return item.host_port
        wanted = f"{container_port}/{proto}"
        known = " (it is exposed, not published)" if wanted in self._exposed else ""
        raise UsageError(
            f"{self.name} publishes no port {wanted}{known}:"
            f' start it with docker_host.run(…, publish="{container_port}")'
        )

    # Its program

    def logs(self) -> str:
        """All that it printed so far. Equivalent to: `docker logs NAME`."""
        return self.program.logs()

    def wait(self, timeout: float = _PATIENCE) -> Any:
        """Wait for its end, `timeout` seconds at most. Compare: `docker wait NAME`.

        Returns:
            A program's exit code; what a callable returned.

        Raises:
            BaseException: what a callable raised, with its traceback.
            NatlabError: it still runs then.
        """
        __tracebackhide__ = True
        return self.program.wait(timeout)

    def wait_for(self, text: str, timeout: float = _PATIENCE) -> str:
        """Wait until it has printed a text; returns all that it has printed so far.

        Raises:
            NatlabError: it ended, or the time ran out, before that.
        """
        return self.program.wait_for(text, timeout)

    def wait_for_port(self, port: int, timeout: float = _PATIENCE) -> None:
        """Wait until something listens at one of its TCP ports.

        Raises:
            NatlabError: its program ended, or the time ran out, before that.
        """
        deadline = time.monotonic() + timeout
        while not self.node.place.call(sockets.listens, port):
            left = deadline - time.monotonic()
            if self.program.ends_within(min(left, LOOK_AGAIN)):
                raise NatlabError(f"{self.name} ended and listened at no port {port}{self._last()}")
            if left <= 0:
                raise NatlabError(f"{self.name} listened at no port {port} within {timeout:g} s")

    def _last(self) -> str:
        said = (self.program.failure or self.logs()).strip()
        return f": {said.rpartition(chr(10))[2]}" if said else ""

    def exec(
        self,
        what: Runnable,
        *args: Any,
        env: Mapping[str, str] | None = None,
        timeout: float = _PATIENCE,
    ) -> Any:
        """Run a program, or a Python callable with its arguments, in it, to its end.

        Equivalent to: `docker exec NAME COMMAND`.

        Returns:
            Of a program, its exit code and what it printed; of a callable, what it returned.

        Raises:
            BaseException: what the callable raised, with its traceback.
            NatlabError: no such program, or it was not done within `timeout` seconds.
        """
        __tracebackhide__ = True
        return self.program.execute(what, args, env or {}, timeout)

    def kill(self) -> None:
        """End its program. Equivalent to: `docker kill NAME`."""
        self.program.kill()

    def remove(self) -> None:
        """End its program and remove it; its published ports are free. Compare: `docker rm -f`."""
        self._host.forget(self)
        self.program.kill()
        if self._node is not None:
            self._node.remove()
