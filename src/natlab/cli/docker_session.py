"""A container, or a program that is executed in it, with the person's terminal attached."""

from __future__ import annotations

import contextlib
import json
import signal
from types import TracebackType
from typing import Final, Self

from natlab.cli import docker_terminal as terminal
from natlab.cli.docker_call import complain, container_path
from natlab.cli.docker_engine import Api
from natlab.cli.docker_talk import Talk, name_of
from natlab.cli.docker_wire import EngineError, Exchange
from natlab.model.docker_frames import Keys

_TROUBLE: Final = 125


class Session:
    """Attaches to a container, waits for its end, and talks meanwhile.

    As a context manager it lets go of its connections in the end.

    Args:
        api: The engine.
        ident: The container.
        keys: What detaches from it.
        tty: Whether it has a terminal.
        proxy: Whether signals go to its program; one with a terminal gets its keys only.
    """

    def __init__(self, api: Api, ident: str, keys: Keys, *, tty: bool, proxy: bool) -> None:
        self.api, self.ident, self.keys, self.tty = api, ident, keys, tty
        self.proxy = proxy and not tty
        self.stdin = False
        self.stream: Exchange | None = None
        self.ending: Exchange | None = None
        self._undo = contextlib.ExitStack()
        self._signals = -1

    def __enter__(self) -> Self:
        self._signals = self._undo.enter_context(
            terminal.signals([*terminal.RESIZED, *(terminal.FORWARDED if self.proxy else ())])
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._undo.close()

    def attach(self, streams: dict[str, bool]) -> None:
        """Attach to the streams that are wanted: stdin, stdout, stderr."""
        wanted = {name: "1" for name, on in streams.items() if on}
        if not wanted:
            return
        self.stdin = streams["stdin"]
        path = container_path(self.ident, "/attach")
        self.stream = self.api.exchange(path, {"stream": "1", **wanted}, upgrade=True)
        self._undo.callback(self.stream.close)

    def await_end(self, condition: str) -> None:
        """Begin to wait for the end, before the start, so that it cannot be missed."""
        path = container_path(self.ident, "/wait")
        self.ending = self.api.exchange(path, {"condition": condition})
        self._undo.callback(self.ending.close)

    def abandon(self, *, removed: bool) -> None:
        """There is nothing to talk to; a container that is removed is waited for."""
        if self.stream is not None:
            self.stream.close()
        if removed and self.ending is not None:
            self.ending.whole()

    def talk(self) -> int:
        """Talk until the container ends, or the keys detach; its exit code."""
        talk = Talk(self.stream, self.tty, self.stdin, self.ending, self._signal, self._keys())
        with terminal.raw(wanted=self.tty and self.stdin):
            self._resize()
            answer = talk.run(self._signals)
        if talk.detached:
            complain("read escape sequence")
            return 0
        said = json.loads(answer)
        if message := (said.get("Error") or {}).get("Message"):
            complain(f"Error waiting for container: {message}")
            return _TROUBLE
        return int(said["StatusCode"])

    def _keys(self) -> Keys | None:
        return self.keys if self.tty and self.stdin else None

    def _signal(self, number: int) -> None:
        """Hand a signal on; a terminal's size if that is what changed."""
        if number == signal.SIGWINCH:
            self._resize()
        else:
            with contextlib.suppress(EngineError):  # it has ended already
                self.api.post(container_path(self.ident, "/kill"), {"signal": name_of(number)})

    def _resize(self) -> None:
        rows, columns = terminal.size()
        if self.tty and rows and columns:
            with contextlib.suppress(EngineError):  # it has ended already
                query = {"h": str(rows), "w": str(columns)}
                self.api.post(container_path(self.ident, "/resize"), query)
