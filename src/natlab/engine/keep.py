"""Lasting labs: sandboxes that a keeper holds between two commands, found again by name.

What is written down of a lab is a journal of intent: the keeper's pid, and when that process
began, so that another process with the same pid is never taken for it. Everything else is read
from the kernel.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from natlab.engine.lab import PINS, Lab
from natlab.errors import LabGoneError, NatlabError
from natlab.kernel import enter
from natlab.kernel.agent import Agent
from natlab.kernel.waiting import readable
from natlab.model.names import check_lab_name
from natlab.programs import path_inside

INSIDE: Final = "NATLAB_INSIDE"
"""Set in a lab's own shells: there the keeper is process 1, and no journal is needed."""


@dataclass(frozen=True)
class Record:
    """A line of the journal: a lab's name and its keeper."""

    name: str
    pid: int
    began: int
    """When the keeper began, in clock ticks since the machine did (proc_pid_stat(5))."""

    @classmethod
    def of(cls, name: str, pid: int) -> Record:
        """The record of a process that runs now."""
        return cls(name, pid, _began(pid) or 0)

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return _began(self.pid) == self.began


def _began(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def journal() -> Path:
    """The directory of this user's labs; it is there as long as there is a lab in it."""
    if chosen := os.environ.get("NATLAB_RUNTIME_DIR"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/run/natlab-labs")
    if base := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(base, "natlab")
    return Path("/tmp", f"natlab-{os.geteuid()}")  # noqa: S108 - its owner and mode are checked


def _checked(path: Path) -> Path:
    """The journal, if it is this user's alone.

    Raises:
        NatlabError: it is there but somebody else owns it, or may write to it.
    """
    facts = path.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise NatlabError(
            f"{path} is not a directory of this user alone: remove it, or set XDG_RUNTIME_DIR"
        )
    return path


def records() -> list[Record]:
    """Every lab in the journal, alive or not, by name."""
    path = journal()
    if not path.exists():
        return []
    return [record for file in sorted(_checked(path).glob("*.json")) if (record := _read(file))]


def _read(path: Path) -> Record | None:
    try:
        return Record(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise NatlabError(f"{path} is damaged: remove it") from error


@contextlib.contextmanager
def _locked(name: str) -> Iterator[Path]:
    """Nobody else starts or ends a lab meanwhile; gives the record's path."""
    check_lab_name(name)
    directory = journal()
    lock = _lock(directory)
    try:
        yield directory / f"{name}.json"
    finally:
        with contextlib.suppress(OSError):  # it holds other labs
            directory.rmdir()
        os.close(lock)


def _lock(directory: Path) -> int:
    """Lock the journal, made if need be; whoever had it before may have removed it meanwhile."""
    while True:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(_checked(directory), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if directory.exists() and directory.stat().st_ino == os.fstat(lock).st_ino:
            return lock
        os.close(lock)


def up(name: str) -> bool:
    """Start a lab; returns False if it is up already. A lab whose keeper was killed is replaced.

    Raises:
        UsageError: the name is not valid.
        UnsupportedError: this user may not make namespaces; the message has the remedy.
    """
    with _locked(name) as path:
        record = _read(path)
        if record is not None and record.alive:
            return False
        agent = Agent.keep()
        try:
            Lab.within(agent)
            write_record(path, Record.of(name, agent.pid))
            agent.leave()
        except BaseException:
            _end(agent.pid)
            agent.close()
            path.unlink(missing_ok=True)
            raise
        return True


def leave(lab: Lab, name: str) -> None:
    """Let a lab go on without this process, as one that `up` started. Its agent is its keeper.

    Args:
        lab: A lab that stands alone in a sandbox of `Agent.keep`.
        name: What it is called from now on.

    Raises:
        UsageError: the name is not valid.
        NatlabError: there is a lab of that name.
    """
    with _locked(name) as path:
        record = _read(path)
        if record is not None and record.alive:
            raise NatlabError(f"lab {name!r} is up already: choose another name")
        lab.pin()
        write_record(path, Record.of(name, lab.agent.pid))
        lab.agent.leave()


def write_record(path: Path, record: Record) -> None:
    """Write it whole or not at all."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(record.__dict__))
    draft.rename(path)


def down(name: str) -> bool:
    """End a lab and all that is in it; returns False if its keeper had been killed before.

    Raises:
        NatlabError: no lab of that name.
    """
    with _locked(name) as path:
        record = _read(path)
        if record is None:
            raise NatlabError(_none(name))
        alive = record.alive
        if alive:
            _end(record.pid)
        path.unlink(missing_ok=True)
        return alive


def _end(pid: int) -> None:
    """Ask the keeper to end, and wait until the kernel has ended everything else inside."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            readable([pidfd])
        finally:
            os.close(pidfd)


def keeper(name: str) -> int:
    """The pid of a lab's keeper.

    Raises:
        NatlabError: no lab of that name is up.
        LabGoneError: its keeper was killed, and the lab with it.
    """
    if os.environ.get(INSIDE):
        return 1
    check_lab_name(name)
    record = next((record for record in records() if record.name == name), None)
    if record is None:
        raise NatlabError(_none(name))
    if not record.alive:
        raise LabGoneError(
            f"lab {name!r} is gone: its keeper (process {record.pid}) was killed."
            " Start it again with `natlab up`"
        )
    return record.pid


def _none(name: str) -> str:
    others = [record.name for record in records() if record.alive]
    known = f" (up: {', '.join(others)}; choose with --name)" if others else ""
    return f"no lab {name!r} is up{known}: start it with `natlab up`"


@contextlib.contextmanager
def opened(name: str) -> Iterator[Lab]:
    """Work in a lab that is up; it stays when the block ends.

    Raises:
        NatlabError: no lab of that name is up.
        LabGoneError: its keeper was killed.
    """
    pid = keeper(name)
    try:
        agent = Agent.join(pid)
    except ProcessLookupError as error:
        raise LabGoneError(
            f"lab {name!r} ended just now: start it again with `natlab up`"
        ) from error
    try:
        yield Lab.within(agent)
    finally:
        agent.close()


def enter_node(name: str, node: str, argv: list[str]) -> int:
    """Run a program in a node, in front of this terminal; returns its exit code.

    The calling process moves into the lab for good: nothing else can be done in it afterwards.
    """
    env = {
        **os.environ,
        "PATH": path_inside(),
        INSIDE: "1",
        "NATLAB_NAME": name,
        "NATLAB_NODE": node,
    }
    return enter.run(keeper(name), f"{PINS}/hosts", node, argv, env)
