"""A conversation between a terminal and a program in a container.

One loop waits for everything at once: the program's output, what is typed, signals, and the
program's end. Nothing here waits for one of them alone, so that no side can hold up another.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from natlab.cli import docker_terminal as terminal
from natlab.cli.docker_wire import Exchange
from natlab.model.docker_frames import Frames, Keys

_CHUNK: Final = 32768
_OUTPUT: Final = 1
_READABLE: Final = select.POLLIN | select.POLLHUP | select.POLLERR


@dataclass
class Talk:
    """What a conversation consists of.

    Attributes:
        stream: The program's streams; None when none is wanted.
        tty: Whether the program has a terminal: its output is not framed then.
        stdin: Whether what is typed goes to the program.
        ending: The answer that says with which code the program ended, if it is waited for.
        on_signal: What is done with a signal that arrives.
        keys: What is looked for in what is typed.
    """

    stream: Exchange | None
    tty: bool
    stdin: bool
    ending: Exchange | None
    on_signal: Callable[[int], object]
    keys: Keys | None = None

    def __post_init__(self) -> None:
        self._frames = Frames()
        self._pending = b""
        self._typing = self.stdin and self.stream is not None
        self._input_over = False
        self._end = b""
        self.detached = False

    def run(self, signals: int) -> bytes:
        """Go on until the output and the program have ended; what the ending's answer said.

        Args:
            signals: Where the numbers of signals are read.
        """
        stream, ending = self.stream, self.ending
        if stream is not None:
            self._output(stream.early())
            stream.socket.setblocking(False)
        if ending is not None:
            self._end += ending.early()
        while not self.detached:
            stream = None if stream is None or stream.over else stream
            ending = None if ending is None or ending.over else ending
            if stream is None and ending is None:
                break
            ready = self._wait(stream, ending, signals)
            if signals in ready:
                for number in os.read(signals, _CHUNK):
                    self.on_signal(number)
            if ending is not None and ending.fileno() in ready:
                self._end += ending.read()
            if stream is not None and stream.fileno() in ready:
                self._exchange(stream, ready[stream.fileno()])
            if terminal.STDIN in ready and self._typing:
                self._typed()
        return self._end

    def _wait(
        self, stream: Exchange | None, ending: Exchange | None, signals: int
    ) -> dict[int, int]:
        poll = select.poll()
        poll.register(signals, select.POLLIN)
        if ending is not None:
            poll.register(ending, select.POLLIN)
        if stream is not None:
            poll.register(stream, select.POLLIN | (select.POLLOUT if self._pending else 0))
            if self._typing and not self._pending:
                poll.register(terminal.STDIN, select.POLLIN)
        return dict(poll.poll())

    def _exchange(self, stream: Exchange, events: int) -> None:
        """Write what is pending, and read what has come."""
        if events & select.POLLOUT:
            self._write(stream)
        if events & _READABLE:
            with contextlib.suppress(BlockingIOError):
                self._output(stream.read())

    def _output(self, data: bytes) -> None:
        if self.tty:
            terminal.write(_OUTPUT, data)
            return
        for number, text in self._frames.feed(data):
            terminal.write(number, text)

    def _typed(self) -> None:
        """Take what was typed."""
        try:
            data = os.read(terminal.STDIN, _CHUNK)
        except OSError:  # the terminal has gone
            data = b""
        if not data:
            self._typing, self._input_over = False, True
        elif self.keys is not None:
            passed = self.keys.feed(data)
            self.detached = passed is None
            data = passed or b""
        self._pending += data
        if self.stream is not None:
            self._write(self.stream)

    def _write(self, stream: Exchange) -> None:
        """Hand on as much as the connection takes; at the input's end, say so."""
        try:
            while self._pending:
                sent = stream.socket.send(self._pending)
                self._pending = self._pending[sent:]
        except BlockingIOError:
            return
        except OSError:  # the program has ended; its output may still be on the way
            self._pending, self._typing, self._input_over = b"", False, False
        if self._input_over:
            self._input_over = False
            with contextlib.suppress(OSError):
                stream.socket.shutdown(socket.SHUT_WR)


def name_of(number: int) -> str:
    """How the engine is told a signal: `TERM`."""
    return signal.Signals(number).name.removeprefix("SIG")
