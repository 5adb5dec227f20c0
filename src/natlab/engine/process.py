"""Programs that run inside a lab, seen from outside it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from natlab.errors import NatlabError
from natlab.kernel import processes
from natlab.kernel.agent import Namespace
from natlab.kernel.waiting import readable
from natlab.kernel.wire import Fd
from natlab.programs import path_inside


@dataclass(frozen=True)
class Completed:
    """A program that has ended: its exit code (negative: the signal) and what it printed."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class Process:
    """A program running in a node's namespaces. It ends with its lab, at the latest.

    As a context manager it is killed at the end of the block. What it prints waits in a pipe
    until `wait_for` reads it; a program that has printed 1 MiB which nobody reads stops there.
    """

    def __init__(
        self, place: Namespace, argv: tuple[str, ...], pid: int, pidfd: int, out: int
    ) -> None:
        self.argv = argv
        self.pid = pid
        """Its number inside the lab's own process namespace."""
        self._place = place
        self._pidfd = pidfd
        self._out = out
        self._seen = b""
        self._let_go = weakref.finalize(self, _close, {pidfd, out} - {-1})
        self._let_go.atexit = False
        self.returncode: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def wait(self, timeout: float = 10.0) -> int:
        """Wait for its end, `timeout` seconds at most; returns the exit code.

        Raises:
            NatlabError: it is still running then.
        """
        if self.returncode is None:
            if not readable([self._descriptor], timeout):
                raise NatlabError(f"`{' '.join(self.argv)}` still runs after {timeout:g} s")
            self.returncode = self._collect()
        return self.returncode

    def wait_for(self, text: str, timeout: float = 10.0) -> str:
        """Wait until its standard output holds a text; returns all that it has printed so far.

        Raises:
            NatlabError: it ended, or the time ran out, before that.
        """
        deadline = time.monotonic() + timeout
        while text.encode() not in self._seen:
            left = deadline - time.monotonic()
            ready = self._descriptor >= 0 and readable([self._out], left)
            chunk = os.read(self._out, 65536) if ready else b""
            if not chunk:
                raise NatlabError(
                    f"`{' '.join(self.argv)}` did not print {text!r}"
                    f" {'before it ended' if ready else f'within {timeout:g} s'}:"
                    f" {self.output.strip() or 'it printed nothing'}"
                )
            self._seen += chunk
        return self.output

    @property
    def _descriptor(self) -> int:
        """The pidfd, while this object still has it."""
        if not self._let_go.alive:
            raise NatlabError(
                f"`{' '.join(self.argv)}` was let go of: start it again to go on with it"
            )
        return self._pidfd

    @property
    def output(self) -> str:
        """What `wait_for` has read of its standard output and error."""
        return self._seen.decode(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended yet. Equivalent to: `kill -0 PID`."""
        if self.returncode is None and self._let_go.alive and readable([self._pidfd], 0):
            self.returncode = self._collect()
        return self.returncode is None

    def end_or(self, fds: Iterable[int], timeout: float) -> bool:
        """Wait for its end or for one of the descriptors; False if the time ran out."""
        return bool(readable([self._descriptor, *fds], timeout))

    def signal(self, number: int) -> None:
        """Send it a signal; already ended is fine. Equivalent to: `kill -NUMBER PID`."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        """End it now, with what it started in its process group, and let go of it.

        What a program that has ended by itself left in the background goes on running.
        """
        if not self._let_go.alive:
            return
        try:
            if self.returncode is None and self._place.agent.alive:
                self._place.agent.call(None, processes.kill_group, self.pid)
                self.wait()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of its descriptors without ending it."""
        self._let_go()

    def _collect(self) -> int:
        agent = self._place.agent
        code = agent.call(None, processes.exit_code, self.pid) if agent.alive else None
        return code if code is not None else -signal.SIGKILL


def _close(fds: set[int]) -> None:
    for fd in fds:
        os.close(fd)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a program in a lab finds in its environment."""
    inherited = {k: v for k, v in os.environ.items() if k in ("TERM", "LANG", "LC_ALL", "TZ")}
    return {
        **inherited,
        "PATH": path_inside(),
        "HOME": os.environ.get("HOME", "/"),
        **(extra or {}),
    }


def start(
    place: Namespace,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
    stdin: Fd | None = None,
    output: Fd | None = None,
) -> Process:
    """Start a program in a place; its output can be waited for.

    Its standard input is empty, unless one is lent. With a file lent for its output, that is
    where it goes, and nothing can be waited for.

    Raises:
        NatlabError: there is no such program.
    """
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    if output is not None:
        try:
            pid, pidfd = _spawn(place, argv, env, cwd, [stdin or Fd(null), output, output])
        finally:
            os.close(null)
        return Process(place, tuple(argv), pid, pidfd, -1)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        with contextlib.suppress(PermissionError):  # this user's pipes hold too much already
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
        pid, pidfd = _spawn(place, argv, env, cwd, [stdin or Fd(null), Fd(writer), Fd(writer)])
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(null)
        os.close(writer)
    return Process(place, tuple(argv), pid, pidfd, reader)


def run(
    place: Namespace,
    argv: Sequence[str],
    *,
    stdin: str = "",
    timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
) -> Completed:
    """Run a program in a place to its end; what it left in the background goes on running.

    Raises:
        NatlabError: there is no such program, or it was still running after `timeout` seconds
            (it is killed then).
    """
    with _memory_file() as given, _memory_file() as out, _memory_file() as err:
        os.pwrite(given.number, stdin.encode(), 0)
        pid, pidfd = _spawn(place, argv, env, cwd, [given, out, err])
        process = Process(place, tuple(argv), pid, pidfd, -1)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        return Completed(tuple(argv), code, _content(out), _content(err))


def _spawn(
    place: Namespace,
    argv: Sequence[str],
    env: Mapping[str, str] | None,
    cwd: str,
    stdio: list[Fd],
) -> tuple[int, int]:
    try:
        pid, pidfd = place.call(processes.spawn, list(argv), environment(env), cwd, stdio)
    except FileNotFoundError as error:
        raise NatlabError(
            f"no program `{argv[0]}` here: install it, or check the spelling"
        ) from error
    except PermissionError as error:
        raise NatlabError(f"`{argv[0]}` may not be run: {error.strerror}") from error
    return pid, pidfd.detach()


class _memory_file:  # noqa: N801 - used like the function it stands for
    """A file without a name: unlike a pipe it takes any amount and never blocks a reader."""

    def __enter__(self) -> Fd:
        self._fd = Fd(os.memfd_create("natlab", os.MFD_CLOEXEC))
        return self._fd

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        self._fd.close()


def _content(fd: Fd) -> str:
    size = os.fstat(fd.number).st_size
    return os.pread(fd.number, size, 0).decode(errors="replace")
