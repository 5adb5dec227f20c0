"""A program of a container while it runs: its output, its input, its terminal, its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable
from typing import Final

from natlab.daemon.output import STDERR, STDOUT, Chunk, Output
from natlab.daemon.pump import Pump
from natlab.errors import ExecError, NatlabError
from natlab.kernel import processes
from natlab.kernel.agent import Agent
from natlab.kernel.confine import Started
from natlab.kernel.wire import Fd

_RUN: Final = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed:"
    " runc create failed: unable to start container process: error during container init: "
)
_EXEC: Final = "OCI runtime exec failed: exec failed: unable to start container process: "
_NO_DIRECTORY: Final = "not a directory"
_VICE_VERSA: Final = (
    ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host"
    " path exists and is the expected type"
)
_USERS: Final = ("unable to find user", "unable to find group", "unable to run as")
GONE: Final = 137
"""The exit code of a program whose lab was killed: as of one that was killed itself."""

Start = Callable[[list[Fd]], Started]
"""Starts the program with its standard input, output and error; none of them with a terminal."""


class Program:
    """The first process of a container, or one that `docker exec` started."""

    def __init__(
        self,
        agent: Agent,
        pump: Pump,
        output: Output,
        start: Start,
        *,
        tty: bool,
        stdin: bool,
        ended: Callable[[int], None],
    ) -> None:
        """Start it.

        Args:
            agent: Who starts it and knows how it ended.
            pump: Who watches it.
            output: Where its output goes.
            start: Starts it.
            tty: Whether it has a terminal instead of pipes.
            stdin: Whether its standard input is kept open for `write`.
            ended: Told its exit code, when it has ended and all its output was taken.
        """
        self._agent, self._pump, self._output, self._ended = agent, pump, output, ended
        self._input = -1
        self._lock = threading.Lock()
        self.tty = tty
        with contextlib.ExitStack() as undo:
            theirs, outputs = self._pipes(undo, stdin=stdin) if not tty else ([], {})
            started = start(theirs)
            self.pid = started.pid
            """Its number in the sandbox."""
            if started.terminal is not None:
                terminal = started.terminal.detach()
                outputs = {terminal: STDOUT}
                self._input = os.dup(terminal)
            undo.pop_all()
        for lent in theirs:
            lent.close()
        self._pidfd = os.dup(started.pidfd.number)
        self._waiting_for = len(outputs) + 1
        for fd, stream in outputs.items():
            pump.read(fd, self._taker(stream), self._one_less)
        pump.end_of(started.pidfd.detach(), self._one_less)

    def signal(self, number: int) -> None:
        """Send it a signal; already ended is fine. Equivalent to: `kill -NUMBER PID`."""
        with self._lock:
            if self._pidfd >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, number)

    def _pipes(self, undo: contextlib.ExitStack, *, stdin: bool) -> tuple[list[Fd], dict[int, int]]:
        """Its three descriptors, and ours of the same pipes: which is for which stream."""
        if stdin:
            reader, self._input = os.pipe2(os.O_CLOEXEC)
            undo.callback(self.close_input)
        else:
            reader = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        undo.callback(os.close, reader)
        theirs, ours = [Fd(reader)], {}
        for stream in (STDOUT, STDERR):
            out, into = os.pipe2(os.O_CLOEXEC)
            undo.callback(os.close, out)
            undo.callback(os.close, into)
            theirs.append(Fd(into))
            ours[out] = stream
        return theirs, ours

    def _taker(self, stream: int) -> Callable[[bytes], None]:
        return lambda data: self._output.append(Chunk(stream, time.time_ns(), data))

    def _one_less(self) -> None:
        with self._lock:
            self._waiting_for -= 1
            over = self._waiting_for == 0
        if over:
            self._pump.later(self._finish)

    def _finish(self) -> None:
        self.close_input()
        with self._lock:
            os.close(self._pidfd)
            self._pidfd = -1
        try:
            code = self._agent.call(None, processes.exit_code, self.pid)
        except NatlabError:
            code = GONE
        self._ended(GONE if code is None else 128 - code if code < 0 else code)

    def write(self, data: bytes) -> bool:
        """Give it input; False when it takes none any more."""
        view = memoryview(data)
        while view:
            with self._lock:
                fd = os.dup(self._input) if self._input >= 0 else -1
            if fd < 0:
                return False
            try:
                view = view[os.write(fd, view) :]
            except OSError:  # EPIPE, or EIO of a terminal: it has ended, or closed its input
                return False
            finally:
                os.close(fd)
        return True

    def close_input(self) -> None:
        """Let it read the end of its input."""
        with self._lock:
            if self._input >= 0:
                os.close(self._input)
                self._input = -1

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal how large it is now. Equivalent to: `stty rows ROWS cols COLUMNS`."""
        with self._lock:
            if self.tty and self._input >= 0:
                size = struct.pack("HHHH", rows, columns, 0, 0)
                fcntl.ioctl(self._input, termios.TIOCSWINSZ, size)


def why_not_run(error: ExecError, *, exec_in_it: bool = False) -> str:
    """Why a program cannot be run, in the words of Docker's client.

    A user that is not there is found out by Docker's engine itself, anything else by its runtime,
    whose errors come with their history.
    """
    text = str(error)
    if text.startswith(_USERS):
        return text
    advice = _VICE_VERSA if text.startswith("error mounting") and _NO_DIRECTORY in text else ""
    return f"{_EXEC if exec_in_it else _RUN}{text}: unknown{advice}"
