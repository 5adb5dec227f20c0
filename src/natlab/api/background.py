"""Engines of lasting labs: a process for each lab host, found again by its record.

An engine works in the lab's sandbox through an agent of its own. When it ends, however it ends,
its containers end; when the lab goes down, it ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from natlab.engine import keep
from natlab.engine.data_home import kept_volumes
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


def start(
    lab: str,
    host: str,
    *,
    icc: bool = True,
    userland_proxy: bool = True,
    keep_volumes: bool = False,
    told: Callable[[str], object] = lambda _: None,
) -> bool:
    """Start a lab host's engine; False if it runs already, as it was started.

    Equivalent to: `systemctl start docker` on that host.

    Args:
        lab: The lab's name.
        host: The host's name.
        icc: Whether containers of docker0 reach each other.
        userland_proxy: Whether published ports get a userland proxy.
        keep_volumes: Whether volumes are kept on the machine, and so outlive the lab.
        told: Is given each line about what an engine that was killed had left, and where it went.

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
                    *(["--keep-volumes"] if keep_volumes else []),
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
    first, *lines = answer.split("\n")
    if first == _READY:
        for line in lines:
            told(line)
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


def serve(
    lab: str, host: str, ready: int, *, icc: bool, userland_proxy: bool, keep_volumes: bool
) -> None:
    """Be the engine of a lab host until SIGTERM, or until the lab is gone."""
    with os.fdopen(ready, "w", encoding="utf-8") as told:
        try:
            volumes = kept_volumes(lab, host) if keep_volumes else None
            with (
                _noted() as lines,
                _serving(
                    lab, host, icc=icc, userland_proxy=userland_proxy, volumes=volumes
                ) as wait,
            ):
                told.write("\n".join([_READY, *lines]))
                told.flush()
                told.close()
                wait()
        except NatlabError as error:
            if not told.closed:
                told.write(f"{'usage' if isinstance(error, UsageError) else 'failed'} {error}")


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def _noted() -> Iterator[list[str]]:
    """What the engine's log says: who starts it is to read that."""
    handler, logger = _Lines(), logging.getLogger("natlab.daemon")
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def _serving(
    lab: str, host: str, *, icc: bool, userland_proxy: bool, volumes: Path | None
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
        with DockerEngine(machine, socket_path(lab, host), icc=icc, volumes=volumes):
            keep.write_record(path, record)
            try:
                yield lambda: lifetime.wait(opened.agent)
            finally:
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds other labs
        path.parent.rmdir()
