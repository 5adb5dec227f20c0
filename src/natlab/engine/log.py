"""What programs print, read as it comes, so that no program ever waits for its reader.

One thread reads for all logs of this process. It is there while a program runs that may print,
and no longer.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from types import TracebackType
from typing import Self

from natlab.engine.process import Process
from natlab.errors import NatlabError
from natlab.kernel.wire import Fd

_CHUNK = 1 << 16


class Log:
    """The output of a program: lend it `writer`, and call `begun` when it has started."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe2(os.O_CLOEXEC)
        self.writer = Fd(writer)
        os.set_blocking(self._reader, False)
        self._said = bytearray()
        self.grown = threading.Condition()

    def begun(self) -> None:
        """Read from now on."""
        self.writer.close()
        _readers.add(self)

    @property
    def open(self) -> bool:
        """Whether more may come."""
        return self._reader >= 0

    def fileno(self) -> int:
        """The reading end."""
        return self._reader

    def read(self) -> None:
        """Take what is there, without waiting; the end closes it."""
        with self.grown:
            while self.open:
                try:
                    chunk = os.read(self._reader, _CHUNK)
                except BlockingIOError:
                    break
                self._said += chunk
                self.grown.notify_all()
                if not chunk:
                    self._close()

    def text(self) -> str:
        """All that was printed so far, standard output and error as they came."""
        self.read()
        return self._said.decode(errors="replace")

    def wait_for(self, text: str, process: Process, timeout: float) -> str:
        """Wait until a text was printed; returns all that was printed so far.

        Raises:
            NatlabError: the output ended, or the time ran out, before that.
        """
        deadline = time.monotonic() + timeout
        with self.grown:
            while text not in (said := self.text()):
                left = deadline - time.monotonic()
                if left <= 0 or not self.open:
                    when = f"within {timeout:g} s" if self.open else "before it ended"
                    raise NatlabError(
                        f"`{' '.join(process.argv)}` did not print {text!r} {when}:"
                        f" {said.strip() or 'it printed nothing'}"
                    )
                self.grown.wait(left)
            return said

    def pass_on(self) -> None:
        """Print it again here, where a test runner captures it."""
        sys.stdout.write(self.text())

    def close(self) -> None:
        """Let go of it; what was printed is still known."""
        self.writer.close()
        _readers.remove(self)
        with self.grown:
            self.read()
            self._close()

    def _close(self) -> None:
        if self.open:
            _readers.gone(self._reader)
            os.close(self._reader)
            self._reader = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        self.close()


class _Readers:
    """The thread that reads, and whom it reads for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: dict[int, Log] = {}
        self._round: _Round | None = None

    def add(self, log: Log) -> None:
        with self._lock:
            if self._round is None:
                self._round = _Round(self._logs)
            self._logs[log.fileno()] = log
            self._round.poll.register(log.fileno(), select.EPOLLIN)

    def gone(self, fd: int) -> None:
        """Read no more from a descriptor that is about to be closed."""
        if self._logs.pop(fd, None) and self._round:
            with contextlib.suppress(OSError, ValueError):
                self._round.poll.unregister(fd)

    def remove(self, log: Log) -> None:
        """Read no more for a log; without any left, the thread ends."""
        with self._lock:
            self.gone(log.fileno())
            over = None if self._logs else self._round
            if over is not None:
                self._round = None
        if over is not None:
            over.end()


class _Round:
    """One life of the thread."""

    def __init__(self, logs: dict[int, Log]) -> None:
        self._logs = logs
        self.poll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC)
        self.poll.register(self._bell, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="natlab-logs", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            for fd, _ in self.poll.poll():
                if fd == self._bell:
                    return
                if log := self._logs.get(fd):
                    log.read()

    def end(self) -> None:
        os.eventfd_write(self._bell, 1)
        self._thread.join()
        self.poll.close()
        os.close(self._bell)


_readers = _Readers()


def _begin_anew() -> None:
    """In a forked child: the thread is the parent's."""
    global _readers  # noqa: PLW0603 - one thread a process is the point
    _readers = _Readers()


os.register_at_fork(after_in_child=_begin_anew)
