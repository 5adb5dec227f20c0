"""A container of natlab's Docker engine behind the same face: with an image, volumes, a root tree.

It goes through docker-py like anybody's, so what holds for Docker's options holds here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from natlab.engine.node import Node
from natlab.engine.process import Completed
from natlab.errors import NatlabError
from natlab.testing.container import Runnable, RunningContainer, Wish
from natlab.testing.light import Light

if TYPE_CHECKING:
    from natlab.testing.docker_host import DockerHost

_LOOK_AGAIN: Final = 0.01
IDLE: Final = ["sleep", "2147483647"]
MACHINE: Final = "host"
"""The image that is the machine's own tree, read-only underneath."""


def start(host: DockerHost, wish: Wish, volumes: Any, image: str | None) -> RunningContainer:
    """Start it; see `DockerHost.run`.

    A callable runs beside a program that does nothing, as with `docker exec`.

    Raises:
        UsageError: the callable cannot be sent.
        NatlabError: the engine refused; the message is Docker's.
    """
    from docker.errors import DockerException  # type: ignore[import-untyped]

    client = host.engine().client()
    try:
        made = client.containers.run(
            image or MACHINE,
            IDLE if callable(wish.what) else _command(wish.what),
            name=wish.name,
            detach=True,
            environment=dict(wish.env),
            ports=_ports(wish.publish, wish.exposed),
            volumes=[volumes] if isinstance(volumes, str) else volumes,
        )
    except DockerException as error:
        said = getattr(error, "explanation", None) or str(error)
        raise NatlabError(f"{host.fixture}.run: {said}") from error
    made.reload()
    ip = made.attrs["NetworkSettings"]["IPAddress"]
    if not callable(wish.what):
        return RunningContainer(host, wish, _Engines(made, host.node), None, ip)
    program = _Callables(made, host.node)
    try:
        program.begin(wish.what, wish.args, wish.env)
    except BaseException:
        made.remove(force=True)
        raise
    return RunningContainer(host, wish, program, None, ip)


def _command(what: Any) -> list[str]:
    return ["sh", "-c", what] if isinstance(what, str) else [str(word) for word in what]


def _ports(publish: Sequence[str], exposed: frozenset[str]) -> dict[str, Any]:
    """What was asked for, as docker-py takes it."""
    from natlab.model.publish import parse_publish

    found: dict[str, Any] = {}
    for text in publish:
        for spec in parse_publish(text):
            port = None if spec.host_port is None else str(spec.host_port)
            where = port if spec.host_ip is None else (str(spec.host_ip), port)
            found.setdefault(f"{spec.container_port}/{spec.proto}", []).append(where)
    one = {port: to[0] if len(to) == 1 else to for port, to in found.items()}
    return one | {port: [] for port in exposed - one.keys()}


class _Engines:
    """Its program, as docker-py has it."""

    def __init__(self, container: Any, host: Node) -> None:
        self._container = container
        self._host = host

    @property
    def pid(self) -> int:
        """Its first process's number in the lab."""
        self._container.reload()
        return int(self._container.attrs["State"]["Pid"])

    @property
    def failure(self) -> str | None:
        """See `Program`."""
        return None

    def wait(self, timeout: float) -> Any:
        """See `Program`."""
        from requests.exceptions import ConnectionError as Cut
        from requests.exceptions import ReadTimeout

        try:
            return self._container.wait(timeout=timeout)["StatusCode"]
        except (ReadTimeout, Cut):
            raise NatlabError(f"{self._container.name} still runs after {timeout:g} s") from None

    def wait_for(self, text: str, timeout: float) -> str:
        """See `Program`."""
        deadline = time.monotonic() + timeout
        while text not in (said := self.logs()):
            if self.ends_within(_LOOK_AGAIN) or time.monotonic() >= deadline:
                raise NatlabError(
                    f"{self._container.name} did not print {text!r}:"
                    f" {said.strip() or 'it printed nothing'}"
                )
        return said

    def logs(self) -> str:
        """See `Program`."""
        return str(self._container.logs().decode(errors="replace"))

    def ends_within(self, seconds: float) -> bool:
        """See `Program`."""
        time.sleep(max(0.0, seconds))
        self._container.reload()
        return bool(self._container.status == "exited")

    def execute(
        self,
        what: Runnable,
        args: Sequence[Any],
        env: Mapping[str, str],
        timeout: float,
    ) -> Any:
        """See `Program`; for a program, the engine has no time limit of its own."""
        if callable(what):
            return self._call(what, args, env, timeout)
        command = _command(what)
        code, (out, err) = self._container.exec_run(command, environment=dict(env), demux=True)
        texts = [(part or b"").decode(errors="replace") for part in (out, err)]
        return Completed(tuple(command), code, *texts)

    def _call(
        self, what: Runnable, args: Sequence[Any], env: Mapping[str, str], timeout: float
    ) -> Any:
        __tracebackhide__ = True
        beside = Light(self._host, self.pid)
        beside.begin(what, args, env)
        try:
            return beside.wait(timeout)
        finally:
            beside.kill()

    def kill(self) -> None:
        """See `Program`."""
        from docker.errors import APIError

        try:
            self._container.remove(force=True)
        except APIError as error:
            if error.status_code != 404:  # noqa: PLR2004 - gone already
                raise


class _Callables(_Engines):
    """A callable that is its program, beside one that does nothing."""

    def __init__(self, container: Any, host: Node) -> None:
        super().__init__(container, host)
        self._light = Light(host, self.pid)

    def begin(self, what: Runnable, args: Sequence[Any], env: Mapping[str, str]) -> None:
        """Start it; see `Light.begin`."""
        self._light.begin(what, args, env)

    def wait(self, timeout: float) -> Any:
        """See `Program`."""
        __tracebackhide__ = True
        return self._light.wait(timeout)

    def wait_for(self, text: str, timeout: float) -> str:
        """See `Program`."""
        return self._light.wait_for(text, timeout)

    def logs(self) -> str:
        """See `Program`."""
        return self._light.logs()

    def ends_within(self, seconds: float) -> bool:
        """See `Program`."""
        return self._light.ends_within(seconds)

    @property
    def failure(self) -> str | None:
        """See `Program`."""
        return self._light.failure

    def kill(self) -> None:
        """See `Program`."""
        self._light.kill()
        super().kill()
