"""Engines of lasting labs: a process for each lab host, found again by its record.

An engine works in the lab's sandbox through an agent of its own. When it ends, however it ends,
its containers end; when the lab goes down, it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from natlab.engine import keep
from natlab.engine.keep import Record
from natlab.errors import NatlabError, UsageError
from natlab.kernel.waiting import readable

_READY: Final = "ready"
_ERRORS: Final = {"usage": UsageError, "failed": NatlabError}
_PATIENCE: Final = 30.0
"""Seconds in which an engine says that it is ready."""


def socket_path(lab: str, host: str) -> Path:
    """Where a lab host's engine listens."""
    return keep.journal() / f"{lab}-{host}.sock"


def _record_path(lab: str, host: str) -> Path:
    return keep.journal() / f"{lab}-{host}.engine"


def url(lab: str, host: str) -> str:
    """What belongs into `DOCKER_HOST`."""
    return f"unix://{socket_path(lab, host)}"


def running(lab: str, host: str) -> Record | None:
    """The record of a lab host's engine, if it runs."""
    try:
        record = Record(**json.loads(_record_path(lab, host).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if record.alive else None


def start(lab: str, host: str, *, icc: bool = True, userland_proxy: bool = True) -> bool:
    """Start a lab host's engine; False if it runs already, as it was started.

    Equivalent to: `systemctl start docker` on that host.

    Args:
        lab: The lab's name.
        host: The host's name.
        icc: Whether containers of docker0 reach each other.
        userland_proxy: Whether published ports get a userland proxy.

    Raises:
        NatlabError: no such lab or host, or it could not start; the message says why.
    """
    keep.keeper(lab)
    if running(lab, host):
        return False
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(reader, encoding="utf-8") as said:
        try:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "natlab", "engine", "serve"),
                    *("--name", lab, "--host", host, "--ready", str(writer)),
                    *([] if icc else ["--no-icc"]),
                    *([] if userland_proxy else ["--no-userland-proxy"]),
                ],
                pass_fds=[writer],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        finally:
            os.close(writer)
        answer = said.read().strip() if readable([said.fileno()], _PATIENCE) else ""
    if answer == _READY:
        process.returncode = 0  # it goes on after us; nobody here waits for it
        return True
    process.kill()
    process.wait()
    kind, _, message = answer.partition(" ")
    if kind in _ERRORS:
        raise _ERRORS[kind](message)
    raise NatlabError(f"the engine of {host} ended before it was ready: try again")


def stop(lab: str, host: str) -> bool:
    """End a lab host's engine and its containers; False if it does not run.

    Equivalent to: `systemctl stop docker` on that host.
    """
    record = running(lab, host)
    if record is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(record.pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            readable([pidfd])
        finally:
            os.close(pidfd)
    return True


def serve(lab: str, host: str, ready: int, *, icc: bool, userland_proxy: bool) -> None:
    """Be the engine of a lab host until SIGTERM, or until the lab is gone."""
    with os.fdopen(ready, "w", encoding="utf-8") as told:
        try:
            with _serving(lab, host, icc=icc, userland_proxy=userland_proxy) as wait:
                told.write(_READY)
                told.flush()
                told.close()
                wait()
        except NatlabError as error:
            if not told.closed:
                told.write(f"{'usage' if isinstance(error, UsageError) else 'failed'} {error}")


@contextlib.contextmanager
def _serving(
    lab: str, host: str, *, icc: bool, userland_proxy: bool
) -> Iterator[Callable[[], None]]:
    """An engine that runs; gives what waits until it is to end."""
    from natlab.api.lifetime import Lifetime
    from natlab.api.service import DockerEngine

    lifetime = Lifetime()
    with keep.opened(lab) as opened:
        record = Record.of(f"{lab}-{host}", os.getpid())
        path = _record_path(lab, host)
        machine = opened.host(host)
        machine.userland_proxy = userland_proxy
        with DockerEngine(machine, socket_path(lab, host), icc=icc):
            keep.write_record(path, record)
            try:
                yield lambda: lifetime.wait(opened.agent)
            finally:
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds other labs
        path.parent.rmdir()
