"""Processes started in the place where the caller stands, and the end of what runs in a place.

The agent is the parent of what it starts. Its client holds a pidfd, waits on that, and asks for
the exit code here. In a sandbox of its own the agent is process 1, so it also collects orphans.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from natlab.kernel import syscalls
from natlab.kernel.place import registry
from natlab.kernel.waiting import readable
from natlab.kernel.wire import Fd

AGENT: Final = "natlab-agent"
"""The name that an agent gives itself (proc_pid_comm(5))."""

_exit_codes: dict[int, int | None] = {}


def spawn(argv: list[str], env: dict[str, str], cwd: str, stdio: list[Fd]) -> tuple[int, Fd]:
    """Start a program here; returns its pid in this sandbox and a pidfd.

    Raises:
        FileNotFoundError: no such program or directory.
    """
    stdin, stdout, stderr = (fd.number for fd in stdio)
    child = subprocess.Popen(
        argv, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )
    child.returncode = 0  # `reap` collects it; without this Popen would try to as well
    _exit_codes[child.pid] = None
    return child.pid, Fd(os.pidfd_open(child.pid))


def adopt(pid: int) -> None:
    """Keep the exit code of a child that was started elsewhere, for `exit_code`."""
    _exit_codes[pid] = None


def reap() -> None:
    """Collect every child that has ended: keep the codes of ours, forget the orphans."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in _exit_codes:
            _exit_codes[pid] = os.waitstatus_to_exitcode(status)


def exit_code(pid: int) -> int | None:
    """The exit code of a process that has ended, given out once (negative: the signal)."""
    reap()
    if _exit_codes.get(pid) is None:
        return None
    return _exit_codes.pop(pid)


def kill_group(pid: int) -> None:
    """Kill a program of `spawn` and what it started in its group; already ended is fine.

    Equivalent to: `kill -KILL -- -PID`. What a program that ended by itself has left in the
    background is not touched: its pid may be somebody else's by now.
    """
    reap()
    if pid in _exit_codes and _exit_codes[pid] is None:
        os.killpg(pid, signal.SIGKILL)


def end_programs(number: int, command: str) -> None:
    """End the programs of a machine whose command line ends so, and wait for their end.

    Equivalent to: `pkill -KILL -f 'COMMAND$'` on that machine.
    """
    for pid, line in running_in(number, "uts"):
        if line.endswith(command):
            kill_and_wait(pid)
    reap()


def end_all(*numbers: int, kind: str = "net") -> None:
    """Kill every process whose `kind` namespace is one of those places', and wait for its end."""
    inodes = {os.fstat(registry.get(number).fds[kind]).st_ino for number in numbers}
    while doomed := [pid for pid in _pids() if _namespace(pid, kind) in inodes]:
        for pid in doomed:
            kill_and_wait(pid)
        reap()


def running_in(number: int, kind: str = "net") -> list[tuple[int, str]]:
    """The processes whose `kind` namespace is that place's: pid and command line."""
    inode = os.fstat(registry.get(number).fds[kind]).st_ino
    return [(pid, _command(pid)) for pid in _pids() if _namespace(pid, kind) == inode]


@dataclass(frozen=True)
class ProcessFacts:
    """What `/proc/PID/stat` says of a process's place among terminals (proc_pid_stat(5))."""

    leader: bool
    group: int
    terminal: bool
    foreground: int


def process_facts(pid: int) -> ProcessFacts | None:
    """The facts of a process; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    group, session, terminal, foreground = (int(field) for field in fields[2:6])
    return ProcessFacts(session == pid, group, terminal != 0, foreground)


def kill_and_wait(pid: int) -> None:
    """End a process and wait until it has ended; already gone is fine."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        readable([pidfd])
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def _pids() -> list[int]:
    """Every process of this sandbox but the agents, which stand in a place only to act there."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in numbers if pid != 1 and _name(pid) != AGENT]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _namespace(pid: int, kind: str) -> int | None:
    """The inode of a process's namespace; None if it has ended or is a zombie."""
    try:
        return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def _command(pid: int) -> str:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()


def enter_keeper(pid: int) -> None:
    """Move this single-threaded process into the namespaces of a sandbox's first process.

    Equivalent to: `nsenter --preserve-credentials --all --target PID`. The process namespace
    holds from the next fork on.

    Raises:
        ProcessLookupError: there is no such process (any more).
    """
    kinds = ("user", "pid", "uts", "ipc", "net", "mnt")
    try:
        fds = {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds}
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(errno.ESRCH, f"no process {pid}") from error
    own = Path("/proc/self/ns/user").stat().st_ino
    for kind, fd in fds.items():
        if kind != "user" or os.fstat(fd).st_ino != own:
            syscalls.setns(fd)
        os.close(fd)
