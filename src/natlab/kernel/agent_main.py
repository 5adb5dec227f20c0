"""The agent's own side: a single-threaded process inside a sandbox that does as it is asked.

Started by `natlab.kernel.agent` in one of three modes:

- `own`: makes a sandbox and serves one client; when the client's end of the socket closes, it
  ends, and as process 1 of the sandbox takes everything with it;
- `keep`: the same, but a client that asks it to `stay` may go: it then holds what was made
  until SIGTERM, and serves nobody (a lasting lab's keeper). A client that is killed before it
  has asked takes everything with it: nothing half-made is kept;
- `join PID`: enters the sandbox of that keeper and serves one client; the sandbox stays.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, Final, NoReturn

from natlab.errors import NatlabError
from natlab.kernel import processes, sandbox, syscalls, wire
from natlab.kernel.place import registry, standing
from natlab.kernel.waiting import readable

_CLIENT_GONE: Final = 4

_asked_to_stay = False


def main(mode: str, fd: int, client: int, keeper: int = 0) -> NoReturn:
    """Make or enter the sandbox, fork into it, and serve or keep it; never returns."""
    sock = socket.socket(fileno=fd)
    Path("/proc/self/comm").write_text(processes.AGENT)
    _forget_inherited()
    try:
        end_of_client = _watch(client)
        if mode == "join":
            processes.enter_keeper(keeper)
        else:
            sandbox.unshare_sandbox()
        child = os.fork()
    except BaseException as error:
        wire.send(sock, (False, _portable(error)))
        raise SystemExit(3) from error
    if child:
        sock.close()
        os._exit(_wait_for(child, own=mode != "join"))
    _inside(mode, sock, end_of_client)


def _forget_inherited() -> None:
    """Begin like a program that was started at boot, whatever the client's own settings are.

    A client may ignore or block signals (nohup, a shell's `&`), have a strict umask, or a low
    limit of open files: none of that should reach what runs in the lab.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a place holds up to ten


def _watch(client: int) -> int:
    """Watch a pidfd of the client: its end of the socket may live on in a child it forked."""
    pidfd = os.pidfd_open(os.getppid())
    if os.getppid() != client:
        os._exit(_CLIENT_GONE)
    return pidfd


def _wait_for(child: int, *, own: bool) -> int:
    """Be the outer process: whoever waits for it knows that the sandbox is gone."""
    number = signal.SIGTERM if own else signal.SIGKILL
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) & 0x7F


def _inside(mode: str, sock: socket.socket, end_of_client: int) -> NoReturn:
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # process 1 has no default action
        seen_from_outside = int(Path("/proc/self").readlink().name)  # /proc is still the old one
        if mode != "join":
            sandbox.furnish_sandbox()
        wire.send(sock, (True, seen_from_outside))
        _serve(sock, end_of_client)
        if _asked_to_stay:
            sock.close()
            standing.move(standing.home)
            _keep()
    except BaseException as error:
        wire.send(sock, (False, _portable(error)))
        raise
    os._exit(0)


def stay() -> None:
    """Go on when the client has gone: its last call, when all that it wanted is made."""
    global _asked_to_stay  # noqa: PLW0603 - one process, one decision
    _asked_to_stay = True


def _keep() -> NoReturn:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    processes.reap()
    while signal.sigwait({signal.SIGCHLD, signal.SIGTERM}) != signal.SIGTERM:
        processes.reap()
    os._exit(0)


def _serve(sock: socket.socket, end_of_client: int) -> None:
    """Answer requests until the client is gone, collecting ended children in between."""
    woken, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    standing.move(standing.home)
    while True:
        ready = readable([sock.fileno(), woken, end_of_client])
        if woken in ready:
            os.read(woken, 4096)
            processes.reap()
        if end_of_client in ready:
            return
        if sock.fileno() in ready:
            try:
                request, lent = wire.receive(sock)
            except (EOFError, ConnectionResetError):
                return
            _answer(sock, request, lent)


def _answer(sock: socket.socket, request: Any, lent: list[wire.Fd]) -> None:
    number, function, args, kwargs = request
    try:
        # It stays there afterwards: the next question is often about the same place.
        standing.move(standing.home if number is None else registry.get(number))
        result = function(*args, **kwargs)
        answer = (True, result)
    except Exception as error:  # noqa: BLE001 - whatever it is, the client raises it
        answer = (False, _portable(error))
    for fd in lent:
        fd.close()
    for given in wire.send(sock, answer):
        os.close(given)


def _portable(error: BaseException) -> BaseException:
    """An exception that the client can rebuild without this process's libraries."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, NatlabError):
        portable: BaseException = type(error)(*error.args)
    elif isinstance(error, OSError) and error.errno:
        portable = OSError(error.errno, *error.args[1:])
    elif type(error).__module__.startswith("pyroute2") and hasattr(error, "code"):
        portable = OSError(error.code, str(error.args[-1]))
    elif isinstance(error, (KeyError, ValueError, LookupError)):
        portable = type(error)(*map(str, error.args))
    else:
        portable = RuntimeError(f"{type(error).__name__}: {error}")
    portable.add_note(f"in the agent:\n{trace}")
    return portable


if __name__ == "__main__":  # pragma: no cover - run by path, for a person who debugs it
    main(sys.argv[1], *map(int, sys.argv[2:]))
