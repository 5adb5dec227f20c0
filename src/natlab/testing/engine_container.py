"""A container of natlab's Docker engine behind the same face: with an image, volumes, a root tree.

It goes through docker-py like anybody's, so what holds for Docker's options holds here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from natlab.engine.process import Completed
from natlab.errors import NatlabError, UsageError
from natlab.testing.container import Runnable, RunningContainer, Wish

if TYPE_CHECKING:
    from natlab.testing.docker_host import DockerHost

_LOOK_AGAIN: Final = 0.01
MACHINE: Final = "host"
"""The image that is the machine's own tree, read-only underneath."""


def start(host: DockerHost, wish: Wish, volumes: Any, image: str | None) -> RunningContainer:
    """Start it; see `DockerHost.run`.

    Raises:
        UsageError: it is a Python callable.
        NatlabError: the engine refused; the message is Docker's.
    """
    from docker.errors import DockerException  # type: ignore[import-untyped]

    if callable(wish.what):
        raise UsageError(
            f"{host.fixture}.run: a Python callable runs in a container without volumes and image:"
            " leave them out, or run a program"
        )
    client = host.engine().client()
    try:
        made = client.containers.run(
            image or MACHINE,
            _command(wish.what),
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
    return RunningContainer(host, wish, _Engines(made), None, ip)


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

    failure = None

    def __init__(self, container: Any) -> None:
        self._container = container

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
        timeout: float,  # noqa: ARG002 - the engine has no limit of its own
    ) -> Any:
        """See `Program`; the engine has no time limit of its own."""
        if callable(what) or args:
            raise UsageError("a Python callable runs in a container without volumes and image")
        command = _command(what)
        code, (out, err) = self._container.exec_run(command, environment=dict(env), demux=True)
        texts = [(part or b"").decode(errors="replace") for part in (out, err)]
        return Completed(tuple(command), code, *texts)

    def kill(self) -> None:
        """See `Program`."""
        from docker.errors import APIError

        try:
            self._container.remove(force=True)
        except APIError as error:
            if error.status_code != 404:  # noqa: PLR2004 - gone already
                raise
