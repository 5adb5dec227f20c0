"""Files in and out of containers: `docker cp`, `docker export`, `docker diff`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from natlab.daemon import running
from natlab.daemon.container import Container
from natlab.kernel import archives
from natlab.kernel.archives import Change, Job, PathStat, RootRef
from natlab.kernel.wire import Fd

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

_BLOCK = 1 << 16


def root(engine: Engine, container: Container) -> RootRef:
    """Where a container's files are found, running or not."""
    mounts = tuple(running.mounts(container.host_config))
    return RootRef(container.id, engine.pid_of(container), container.tree, mounts)


def stat(engine: Engine, container: Container, path: str) -> PathStat:
    """What is at a path of a container.

    Raises:
        NatlabError: nothing is (404).
    """
    job = engine.place.call(archives.stat_path, root(engine, container), path)
    return PathStat(**archives.finish(job))


def read(engine: Engine, container: Container, path: str) -> Iterator[bytes]:
    """A tar of what is at a path. Equivalent to: `docker cp NAME:PATH -`."""
    return _tar(lambda out: engine.place.call(archives.pack, root(engine, container), path, out))


def export(engine: Engine, container: Container) -> Iterator[bytes]:
    """A tar of a container's whole tree. Equivalent to: `docker export NAME`."""
    return _tar(lambda out: engine.place.call(archives.export, root(engine, container), out))


def _tar(start: Callable[[Fd], Job]) -> Iterator[bytes]:
    """What a worker writes, in pieces; it ends with who reads."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        job = start(Fd(writer))
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    with contextlib.ExitStack() as undo:
        undo.callback(archives.finish, job)
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            while block := pipe.read(_BLOCK):
                yield block


def write(
    engine: Engine,
    container: Container,
    path: str,
    chunks: Iterable[bytes],
    *,
    no_overwrite: bool = False,
) -> None:
    """Unpack a tar below a directory of a container. Equivalent to: `docker cp - NAME:PATH`.

    Raises:
        NatlabError: there is no such directory, or the archive is damaged or leads out of it.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        job = engine.place.call(
            archives.unpack, root(engine, container), path, Fd(reader), no_overwrite=no_overwrite
        )
    except BaseException:
        os.close(writer)
        raise
    finally:
        os.close(reader)
    with contextlib.ExitStack() as undo:
        undo.callback(archives.finish, job)
        with os.fdopen(writer, "wb", buffering=0) as pipe, contextlib.suppress(BrokenPipeError):
            for chunk in chunks:
                _write_all(pipe.fileno(), chunk)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def changes(engine: Engine, container: Container) -> list[Change]:
    """What a container has changed in its image's tree. Equivalent to: `docker diff NAME`."""
    return engine.place.call(archives.changes, container.tree)
