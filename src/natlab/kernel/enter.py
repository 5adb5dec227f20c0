"""Standing in a lab oneself: a single-threaded process enters a node and starts a program.

This is how `natlab shell` and `natlab exec` work: no agent stands between a person's terminal
and the program.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from pathlib import Path
from typing import NoReturn

from natlab.errors import LabGoneError, UsageError
from natlab.kernel import processes, syscalls
from natlab.kernel.machine_made import mount_sys
from natlab.kernel.namespaces import NETNS
from natlab.kernel.place import Place
from natlab.model.names import unknown


def run(keeper: int, pins: str, name: str, argv: list[str], env: dict[str, str]) -> int:
    """Run a program in a node of a lasting lab, in front of this terminal; returns its exit code.

    Equivalent to: `nsenter --all --target KEEPER`, then `ip netns exec NAME ARGV` for a container.

    Args:
        keeper: The pid of the lab's keeper.
        pins: The directory in its sandbox where the machines have names.
        name: A host, a container, or HOST/CONTAINER.
        argv: The program and its arguments.
        env: Its environment.

    Raises:
        UsageError: no such node, more than one, or no such program.
        LabGoneError: the keeper is gone.
    """
    cwd = str(Path.cwd())
    try:
        processes.enter_keeper(keeper)
    except ProcessLookupError as error:
        raise LabGoneError("the lab's keeper is gone: start again with `natlab up`") from error
    _enter(Path(pins), name)
    child = os.fork()
    if child == 0:
        _become(argv, env, cwd)
    return _wait(child, argv[0])


def _enter(pins: Path, name: str) -> None:
    machines = {p.name: _open(p) for p in sorted(pins.iterdir())}
    if name in machines:
        machines[name].enter()
        return
    host, slash, container = name.rpartition("/")
    if slash and host not in machines:
        raise unknown("host", host, machines)
    searched = {host: machines[host]} if slash else machines
    found: list[tuple[str, int]] = []
    known = list(machines)
    for machine, place in searched.items():
        place.enter()
        names = sorted(e.name for e in NETNS.iterdir()) if NETNS.is_dir() else []
        known += names
        if container in names:
            found.append((machine, os.open(NETNS / container, os.O_RDONLY)))
    if not found and slash:
        raise unknown("container", container, set(known) - set(machines), place=f"on {host}")
    if not found:
        raise unknown("host or container", name, known)
    if len(found) > 1:
        choices = ", ".join(f"{machine}/{container}" for machine, _ in found)
        raise UsageError(f"{container} is on more than one host: say {choices}")
    machine, fd = found[0]
    machines[machine].enter()
    syscalls.setns(fd, syscalls.CLONE_NEWNET)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    mount_sys()


def _open(pinned: Path) -> Place:
    return Place(
        *(os.open(pinned / kind, os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mnt", "uts"))
    )


def _become(argv: list[str], env: dict[str, str], cwd: str) -> NoReturn:
    with contextlib.suppress(OSError):
        os.chdir(cwd)
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606 - a person's own command, no shell between
    except OSError as error:
        os._exit(127 if error.errno == errno.ENOENT else 126)


def _wait(child: int, program: str) -> int:
    """Wait like a shell does: the terminal's signals go to the program, not to us."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 127:  # noqa: PLR2004 - the shell's code for "not found"
        print(f"natlab: {program}: not found in the lab (or it ended with 127 itself)", flush=True)  # noqa: T201
    return 128 - code if code < 0 else code
