"""A lab host's engine at a unix socket: what unmodified Docker clients talk to."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from natlab.api.routes import all_routes
from natlab.api.server import Server
from natlab.daemon.engine import Engine
from natlab.engine.host import Host
from natlab.errors import NatlabError
from natlab.kernel import files


class DockerEngine:
    """Docker's Engine API for one host of a lab.

    As a context manager it ends with the block: its containers end, its networks go, and the
    socket with them. Equivalent to: `dockerd -H unix://PATH` on that host.

    Args:
        host: The lab host on which containers run.
        path: Where the socket is made. Unless given it is on the lab host, and reached through a
            descriptor of this process: so it is gone whenever this process is, however it ends.
        icc: Whether containers of the default network reach each other.
        volumes: A directory of the machine for the volumes, so that they outlive the lab; on the
            host it is `/var/lib/docker/volumes`. None: they are in memory, and go with the lab.

    Raises:
        NatlabError: another server listens at `path`, or docker0's subnet overlaps a route.
    """

    def __init__(
        self,
        host: Host,
        path: str | Path | None = None,
        *,
        icc: bool = True,
        volumes: str | Path | None = None,
    ) -> None:
        with contextlib.ExitStack() as undo:
            self.engine = Engine(host, icc=icc, volumes=_made(volumes))
            undo.callback(self.engine.close)
            if path is None:
                folder = host.place.call(files.open_directory, self.engine.directory)
                undo.callback(folder.close)
                path = Path(f"/proc/{os.getpid()}/fd/{folder.number}/docker.sock")
            server = Server(path, all_routes(), self.engine)
            undo.callback(server.close)
            self._undo = undo.pop_all()
        self.path = Path(path)

    @property
    def url(self) -> str:
        """What belongs into `DOCKER_HOST`: `unix:///…`."""
        return f"unix://{self.path}"

    @property
    def env(self) -> dict[str, str]:
        """The environment variables that make a Docker client find it."""
        return {"DOCKER_HOST": self.url}

    def close(self) -> None:
        """End it; closing twice does nothing."""
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _made(directory: str | Path | None) -> str | None:
    if directory is None:
        return None
    path = Path(directory).absolute()
    try:
        path.mkdir(mode=0o701, parents=True, exist_ok=True)
    except OSError as error:
        raise NatlabError(f"no volumes can be had in {path}: {error.strerror}") from error
    return str(path)
