"""The agent, seen from its client: do this, in that place.

The calling process never changes a namespace, a uid or a thread of its own. What has to happen
inside a namespace is done by a small single-threaded process, the agent, one for each client.
`Agent.call` is the one door through which every change to a kernel goes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from natlab.errors import LabGoneError, NatlabError
from natlab.kernel import agent_main, namespaces, wire

P = ParamSpec("P")
R = TypeVar("R")

_BOOT: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]);"
    "from natlab.kernel.agent_main import main;"
    "main(sys.argv[2], *map(int, sys.argv[3:]))"
)


class Agent:
    """A process inside a sandbox that acts for this one.

    Use `start` for a sandbox that ends with this process, `join` for one that a keeper holds.
    """

    def __init__(self, mode: str, keeper: int = 0) -> None:
        self._lock = threading.RLock()
        self._owner = os.getpid()
        self.calls = 0
        self._sock, self._process, self.pid = _launch(mode, keeper)
        _agents.add(self)

    @classmethod
    def start(cls) -> Agent:
        """Make a sandbox of one's own. It ends when this process does, however it ends.

        Raises:
            UnsupportedError: neither privilege nor user namespaces; the message has the remedy.
        """
        return cls("own")

    @classmethod
    def join(cls, keeper: int) -> Agent:
        """Work in the sandbox that the process `keeper` holds.

        Raises:
            ProcessLookupError: the keeper is gone.
        """
        return cls("join", keeper)

    @property
    def usable(self) -> bool:
        """False after close, after a call was cut off half-way, and in a forked child."""
        return self._sock.fileno() >= 0 and self._owner == os.getpid()

    @property
    def alive(self) -> bool:
        """Whether it is usable and was not killed: asked before something is begun with it."""
        if not self.usable:
            return False
        with self._lock:
            try:
                return bool(self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
            except BlockingIOError:
                return True
            except OSError:
                return False

    def end_of_process(self) -> int:
        """A pidfd of it, for whoever waits for its end; closing it is the caller's business."""
        return os.pidfd_open(self._process.pid)

    @classmethod
    def keep(cls) -> Agent:
        """Make a sandbox that outlives this process, and its keeper, whose pid is `pid`.

        What is made through this agent, the keeper holds; after `leave` it waits for SIGTERM.
        Until then it ends with this process, as one that was started with `start` does.
        """
        return cls("keep")

    def leave(self) -> None:
        """Let the keeper go on without us.

        Raises:
            LabGoneError: it was killed.
        """
        self.call(None, agent_main.stay)
        self._sock.close()
        self._process.returncode = 0  # it goes on after us; nobody here waits for it

    def call(
        self, place: int | None, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a function of this room in a place (None: the sandbox itself); returns its result.

        Raises:
            LabGoneError: the agent is gone, or the place was closed.
            OSError: the kernel refused; the same error that the function raised.
        """
        self._check_usable()  # before the lock, which a forked child may have inherited locked
        with self._lock:
            self._check_usable()
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                fine, result = self._round_trip((place, function, args, kwargs))
            except (EOFError, BrokenPipeError, ConnectionResetError) as error:
                self.close()
                raise LabGoneError(
                    "the lab's process was killed, and the lab with it: make a new one"
                ) from error
            except BaseException:
                self.close()  # cut off between question and answer: this socket can't be trusted
                raise
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if not fine:
            raise result
        return result  # type: ignore[no-any-return]

    def _check_usable(self) -> None:
        if not self.usable:
            raise LabGoneError(
                "this lab was closed (or belongs to another process): make a new one"
            )

    def _round_trip(self, request: Any) -> tuple[bool, Any]:
        self.calls += 1
        wire.send(self._sock, request)
        answer, _ = wire.receive(self._sock)
        return answer  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the agent; a sandbox of its own ends with it. Closing twice does nothing."""
        if self._owner != os.getpid():
            return
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for an answer
        self._sock.close()
        self._process.wait()

    def forget(self) -> None:
        """In a forked child: let go of the parent's agent, which stays the parent's."""
        self._sock.close()
        self._process.returncode = 0  # not our child: nobody here waits for it


_agents: weakref.WeakSet[Agent] = weakref.WeakSet()


def _forget_all() -> None:
    for agent in _agents:
        agent.forget()


os.register_at_fork(after_in_child=_forget_all)


class Namespace:
    """One place in a sandbox, with the agent that reaches it."""

    def __init__(self, agent: Agent, number: int) -> None:
        self.agent = agent
        self.number = number

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function of this room here; see `Agent.call`."""
        return self.agent.call(self.number, function, *args, **kwargs)

    def close(self) -> None:
        """Let go of it; with the last holder the namespace and its links end."""
        if self.agent.usable:
            self.agent.call(None, namespaces.close, self.number)


def _launch(mode: str, keeper: int) -> tuple[socket.socket, subprocess.Popen[bytes], int]:
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = _boot(theirs.fileno(), mode, keeper)
        try:
            (fine, news), _ = wire.receive(ours)
        except (EOFError, ConnectionResetError):
            fine, news = False, NatlabError("natlab's agent ended before it was ready: try again")
        except BaseException:
            process.kill()
            process.wait()
            raise
    except BaseException:
        ours.close()
        raise
    if not fine:
        ours.close()
        process.wait()
        raise news
    return ours, process, news


def _boot(fd: int, mode: str, keeper: int) -> subprocess.Popen[bytes]:
    paths = json.dumps([str(Path(entry).absolute()) for entry in sys.path])
    numbers = [str(number) for number in (fd, os.getpid(), keeper)]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOT, paths, mode, *numbers],
        pass_fds=[fd],
        start_new_session=True,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
