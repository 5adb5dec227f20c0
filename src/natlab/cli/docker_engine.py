"""Which engine is asked, and how: the library docker-py, under the texts of Docker's client."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from natlab.cli.common import DEFAULT_LAB
from natlab.cli.docker_wire import EngineError, Exchange, UnreachableError, connect, message_of
from natlab.errors import NatlabError

if TYPE_CHECKING:
    import requests

INSIDE: Final = "unix:///run/docker.sock"
"""Where a host's own engine listens, for those who are on that host."""

DEFAULT_HOST: Final = "ubuntu1"

_ERROR: Final = 400
_NOT_MODIFIED: Final = 304

Query = Mapping[str, "str | list[str]"]


def engine_url(host: str, on: str, lab: str) -> str:
    """Say where the engine is that a command is for.

    Args:
        host: What `-H` says.
        on: The lab host that `--on` names.
        lab: The lab's name.

    Raises:
        NatlabError: no engine runs there.
    """
    given = host or ("" if on or lab else os.environ.get("DOCKER_HOST", ""))
    if given:
        return given
    if os.environ.get("NATLAB_INSIDE") and not on:
        return INSIDE
    from natlab.api import background

    node = on or DEFAULT_HOST
    name = lab or os.environ.get("NATLAB_NAME") or DEFAULT_LAB
    if background.running(name, node) is None:
        raise NatlabError(
            f"no engine runs on {node}: start it with `natlab engine start --host {node}`"
        )
    return background.url(name, node)


class Api:
    """An engine, and what it is asked.

    Args:
        url: `unix:///…` or `tcp://…`.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @functools.cached_property
    def client(self) -> Any:
        """docker-py's client of the engine.

        Raises:
            UnreachableError: Nobody answers.
        """
        try:
            import docker  # type: ignore[import-untyped]
        except ImportError:
            raise NatlabError(
                "natlab docker needs the library docker-py: install it with `pip install docker`"
            ) from None
        connect(self.url).close()
        try:
            return docker.APIClient(base_url=self.url, version="auto", timeout=None)
        except docker.errors.DockerException:
            raise UnreachableError(
                f"Cannot connect to the Docker daemon at {self.url}. Is the docker daemon running?"
            ) from None

    def ask(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        body: Any = None,
        data: Iterable[bytes] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Ask the engine.

        Args:
            method: `GET`, `POST` and so on.
            path: Without the version: `/containers/json`.
            query: What stands behind the question mark; empty values are left out.
            body: Sent as JSON.
            data: Sent as it is.
            stream: Whether the answer is read piece by piece.

        Raises:
            EngineError: The answer is an error.
            UnreachableError: The engine ended the connection.
        """
        import requests

        kind = {} if data is None else {"Content-Type": "application/x-tar"}
        try:
            answer = self.client.request(
                method,
                f"{self.client.base_url}{self._target(path, query)}",
                json=body,
                data=data,
                headers=kind,
                stream=stream,
                timeout=None,
            )
        except requests.exceptions.RequestException:
            raise UnreachableError(f"the engine at {self.url} ended the connection") from None
        if answer.status_code >= _ERROR:
            raise EngineError(message_of(answer.text), answer.status_code)
        made: requests.Response = answer
        return made

    def _target(self, path: str, query: Query | None) -> str:
        given = {key: value for key, value in (query or {}).items() if value}
        words = urlencode(given, doseq=True)
        return f"/v{self.client.api_version}{path}{f'?{words}' if words else ''}"

    def get(self, path: str, query: Query | None = None) -> Any:
        """The JSON that the engine answers."""
        return self.ask("GET", path, query).json()

    def post(self, path: str, query: Query | None = None, body: Any = None) -> Any:
        """Ask for a change: the JSON that the engine answers, if any."""
        answer = self.ask("POST", path, query, body=body)
        return answer.json() if answer.content else None

    def delete(self, path: str, query: Query | None = None) -> Any:
        """Ask for a removal: the JSON that the engine answers, if any."""
        answer = self.ask("DELETE", path, query)
        return answer.json() if answer.content else None

    def exchange(
        self, path: str, query: Query | None = None, body: Any = None, *, upgrade: bool = False
    ) -> Exchange:
        """Begin an exchange whose connection is needed itself; it is a POST."""
        return Exchange(self.url, self._target(path, query), body, upgrade=upgrade)

    def lines(self, answer: requests.Response) -> Iterator[Any]:
        """The JSON values of an answer that comes line by line."""
        rest = b""
        for data in pieces(answer):
            *lines, rest = (rest + data).split(b"\n")
            yield from (json.loads(line) for line in lines if line.strip())
        if rest.strip():
            yield json.loads(rest)

    def close(self) -> None:
        """Let go of the connections."""
        if "client" in self.__dict__:
            self.client.close()


def pieces(answer: requests.Response) -> Iterator[bytes]:
    """An answer as it comes, each piece at once."""
    import requests
    import urllib3

    try:
        if answer.headers.get("Transfer-Encoding") == "chunked":
            yield from answer.raw.read_chunked(decode_content=True)
        else:
            yield from answer.iter_content(65536)
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError):
        raise UnreachableError("the engine ended the connection in the middle") from None


def filters(given: Iterable[tuple[str, str]]) -> str:
    """Spell `--filter` options as the Engine API takes them; nothing if there are none."""
    made: dict[str, dict[str, bool]] = {}
    for key, value in given:
        made.setdefault(key, {})[value] = True
    return json.dumps(made, separators=(",", ":")) if made else ""
