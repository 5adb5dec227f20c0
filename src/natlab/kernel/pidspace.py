"""All processes of a container: those of its process namespace, and of what it nests in it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PTS_MAJORS: Final = range(136, 144)


@dataclass(frozen=True)
class Process:
    """A process of a container, as `docker top` shows it; pids as the sandbox counts them."""

    pid: int
    parent: int
    uid: int
    started: float
    """Seconds since 1970."""
    cpu: float
    """Seconds of processor time."""
    terminal: str
    """`?` for none, or like `pts/0`."""
    command: str
    state: str
    """`R`, `S`, `T` and so on (proc_pid_stat(5))."""


def processes_of(pid: int) -> list[Process]:
    """The processes of a container, by the pid of its first one. Compare: `docker top`."""
    boot = _boot_time()
    found = []
    for member in _members(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.append(_read(member, boot))
    return found


def signal_all(pid: int, number: int) -> None:
    """Send a signal to all processes of a container; those that have ended do not mind."""
    for member in _members(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, number)


def freeze(pid: int) -> None:
    """Stop all processes of a container. Compare: `docker pause`.

    Docker uses the freezer of a control group, which an ordinary user does not have. This sends
    SIGSTOP, again until no process is left that runs: the processes do not notice it, but a
    parent that waits for stopped children does, and so does who sends SIGCONT inside. A process
    that was stopped before goes on with `thaw`.
    """
    while running := [p.pid for p in processes_of(pid) if p.state not in "TtZX"]:
        for member in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Let all processes of a container go on. Compare: `docker unpause`."""
    signal_all(pid, signal.SIGCONT)


def _members(pid: int) -> list[int]:
    """In the order of their pids: parents usually before their children."""
    wanted = _namespace(pid)
    if wanted is None:
        return []
    found: set[int] = set()
    for number in _pids():
        if _namespace(number) == wanted or _parent(number) in found:
            found.add(number)
    return sorted(found)


def _pids() -> Iterator[int]:
    yield from sorted(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208


def _namespace(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino  # noqa: PTH116 - hot
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def _fields(pid: int) -> list[str]:
    """Of `/proc/PID/stat`, from the state on (field 3)."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _parent(pid: int) -> int:
    try:
        return int(_fields(pid)[1])
    except (FileNotFoundError, ProcessLookupError):
        return -1


def _read(pid: int, boot: float) -> Process:
    fields = _fields(pid)
    state, parent, device = fields[0], int(fields[1]), int(fields[4])
    cpu, started = int(fields[11]) + int(fields[12]), int(fields[19])
    status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    uid = int(status.partition("\nUid:")[2].split()[0])
    line = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    name = status.partition("Name:\t")[2].partition("\n")[0]
    command = line.decode(errors="replace") or f"[{name}]"
    terminal = _terminal(device)
    return Process(
        pid, parent, uid, boot + started / _TICKS, cpu / _TICKS, terminal, command, state
    )


def _terminal(device: int) -> str:
    """The name of a terminal by its device number; see `MINOR` in proc_pid_stat(5)."""
    major, minor = os.major(device), os.minor(device)
    return f"pts/{minor}" if major in _PTS_MAJORS else "?"


def _boot_time() -> float:
    text = Path("/proc/stat").read_text()
    return float(text.partition("\nbtime ")[2].split()[0])
