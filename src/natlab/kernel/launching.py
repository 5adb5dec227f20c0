"""Between fork and exec: how a child of the agent becomes a program of a container.

The child tells the agent over a socket that closes at the exec: nothing more means that all is
well, otherwise the reason follows. The terminal's master comes the same way.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from natlab.errors import ExecError, NatlabError
from natlab.kernel import (
    accounts,
    capabilities,
    guard,
    init,
    limits,
    lookup,
    processes,
    syscalls,
    terminals,
)
from natlab.kernel.limits import Limits
from natlab.kernel.wire import Fd

_TERMINAL: Final = b"t"
_STDIO: Final = 3


@dataclass(frozen=True)
class Program:
    """What is run, once the child stands in the container's root."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    user: str
    groups: tuple[str, ...]
    limits: Limits
    tty: bool
    window: tuple[int, int]
    capabilities: frozenset[str]
    first: bool
    """Whether it is the container's first process, whose terminal is also `/dev/console`."""
    init: bool = False
    """Whether an init stays process 1 and the program is its child."""


@dataclass(frozen=True)
class Started:
    """A program that runs.

    Attributes:
        pid: Its number in the sandbox; `processes.exit_code` has its end.
        pidfd: Readable when it has ended.
        terminal: The master of its terminal, if it has one.
    """

    pid: int
    pidfd: Fd
    terminal: Fd | None = None


def launch(
    program: Program, stdio: list[Fd], pid_namespace: int | None, enter: Callable[[], None]
) -> Started:
    """Start a program as a child of the agent, in a process namespace, and wait for its exec.

    Args:
        program: What to run.
        stdio: Its standard input, output and error; none of them with a terminal.
        pid_namespace: A descriptor of the process namespace (or of a process in it, by pidfd);
            None: a new one.
        enter: Called in the child: takes it to the container's root.

    Raises:
        ExecError: it cannot be run.
        NatlabError: the container cannot be made.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            child = fork_into(pid_namespace)
            if child == 0:
                ours.close()
                _be(program, stdio, theirs, enter)
        terminal, said = _listen(ours)
    if not said:
        processes.adopt(child)
        pidfd = os.pidfd_open(child)
        guard.watch(pidfd)
        return Started(child, Fd(pidfd), terminal)
    os.waitpid(child, 0)
    if terminal is not None:
        terminal.close()
    raise _rebuilt(json.loads(said))


def fork_into(pid_namespace: int | None) -> int:
    """Fork into a process namespace; the agent itself stays in its own."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if pid_namespace is None:
            syscalls.unshare(syscalls.CLONE_NEWPID)
        else:
            syscalls.setns(pid_namespace, syscalls.CLONE_NEWPID)
        child = -1
        try:
            child = os.fork()
        finally:
            if child:
                syscalls.setns(own, syscalls.CLONE_NEWPID)
    except OSError as error:
        raise NatlabError(f"no process can be started there ({error.strerror})") from error
    finally:
        os.close(own)
    return child


def _listen(ours: socket.socket) -> tuple[Fd | None, bytes]:
    said, terminal = b"", None
    while True:
        data, fds, _, _ = socket.recv_fds(ours, 65536, 1, socket.MSG_CMSG_CLOEXEC)
        if fds:
            terminal, data = Fd(fds[0]), data.removeprefix(_TERMINAL)
        elif not data:
            return terminal, said
        said += data


def _rebuilt(told: dict[str, Any]) -> NatlabError:
    if told["code"] is None:
        return NatlabError(told["message"])
    return ExecError(told["message"], told["code"])


def _be(
    program: Program, stdio: list[Fd], theirs: socket.socket, enter: Callable[[], None]
) -> NoReturn:
    try:
        _begin_anew()
        ids = accounts.Ids.here()
        enter()
        _run(program, [fd.number for fd in stdio], theirs, ids)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the agent raises it
        _tell(theirs, error)
    finally:
        os._exit(1)


def _begin_anew() -> None:
    """Have no handler and no import of the agent's: from here on files are the container's."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    sys.meta_path.clear()
    sys.path.clear()


def _tell(theirs: socket.socket, error: BaseException) -> None:
    code = None
    if isinstance(error, ExecError):
        message, code = error.message, error.code
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        message = f"the container cannot be started: {where}{error.strerror or error}"
    else:
        message = f"{error}"
        if not isinstance(error, NatlabError):
            message = f"the container cannot be started: {type(error).__name__}: {error}"
    with contextlib.suppress(OSError):
        theirs.sendall(json.dumps({"message": message, "code": code}).encode())


def _run(program: Program, stdio: list[int], theirs: socket.socket, ids: accounts.Ids) -> NoReturn:
    """The steps of runc's init, in its order (runc, libcontainer/standard_init_linux.go)."""
    account = accounts.find(program.user, program.groups, ids)
    env = {"HOME": account.home, **program.env}
    os.setsid()
    if program.tty:
        stdio = [_own_terminal(program, theirs)] * _STDIO
    for fd in stdio:
        _give(fd, account.uid)
    for number, fd in enumerate(stdio):
        os.dup2(fd, number)
    syscalls.close_at_exec(_STDIO)
    limits.apply(program.limits)
    capabilities.keep_only(program.capabilities)
    accounts.become(account, ids)
    syscalls.die_with_parent(signal.SIGKILL)
    if _agent_is_gone(theirs):
        os._exit(1)
    _go_to(program.cwd)
    path = lookup.find(program.argv[0], env.get("PATH"))
    if program.init:
        init.split_off(theirs, tty=program.tty)
    lookup.execute(path, program.argv, env)


def _own_terminal(program: Program, theirs: socket.socket) -> int:
    master, slave = terminals.open_pair(*program.window)
    terminals.take_control(slave)
    if program.first:
        console = os.open("/dev/console", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        os.close(console)
        syscalls.mount(f"/proc/self/fd/{slave}", "/dev/console", flags=syscalls.MS_BIND)
    socket.send_fds(theirs, [_TERMINAL], [master])
    os.close(master)
    return slave


def _give(fd: int, uid: int) -> None:
    """Let the program's user open its own `/dev/stdout` again (runc, fixStdioPermissions)."""
    info = os.fstat(fd)
    devnull = stat.S_ISCHR(info.st_mode) and not os.isatty(fd)
    if info.st_uid != uid and not devnull and not stat.S_ISREG(info.st_mode):
        with contextlib.suppress(OSError):
            os.fchown(fd, uid, -1)


def _agent_is_gone(theirs: socket.socket) -> bool:
    """Whether the agent ended before it could be noticed (`PR_SET_PDEATHSIG` looks ahead only)."""
    poll = select.poll()
    poll.register(theirs, 0)
    return bool(poll.poll(0))


def _go_to(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ExecError(
            f'chdir to cwd ("{directory}") set in config.json failed: {reason}'
        ) from error
