"""Files in and out of containers: `docker cp`, `docker export`, `docker diff`.

What a container is called in messages is what the client called it, as with Docker.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from natlab.daemon import running
from natlab.daemon.container import Container
from natlab.daemon.mounts import mounts
from natlab.kernel import archives
from natlab.kernel.archives import Change, Job, PathStat, RootRef
from natlab.kernel.wire import Fd
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

_BLOCK: Final = 1 << 16


def root(engine: Engine, container: Container, called: str = "") -> RootRef:
    """Where a container's files are found, running or not."""
    own_files = container.state.started and not container.network_mode.startswith("container:")
    own = mounts(container)
    taken = {mount.target for mount in own}
    etc = running.etc_mounts(container) if own_files else []
    return RootRef(
        called or container.name,
        engine.pid_of(container),
        container.tree,
        (*own, *(mount for mount in etc if mount.target not in taken)),
        read_only=bool(container.host_config["ReadonlyRootfs"]),
    )


def stat(engine: Engine, container: Container, path: str, called: str = "") -> PathStat:
    """What is at a path of a container.

    Raises:
        Refusal: nothing is (404).
    """
    job = engine.place.call(archives.stat_path, root(engine, container, called), path)
    return PathStat(**archives.finish(job))


def read(engine: Engine, container: Container, path: str, called: str = "") -> Iterator[bytes]:
    """A tar of what is at a path. Equivalent to: `docker cp NAME:PATH -`."""
    where = root(engine, container, called)
    yield from _tar(lambda out: engine.place.call(archives.pack, where, path, out))
    _tell(engine, container, "archive-path")


def export(engine: Engine, container: Container) -> Iterator[bytes]:
    """A tar of a container's whole tree. Equivalent to: `docker export NAME`."""
    where = root(engine, container)
    yield from _tar(lambda out: engine.place.call(archives.export, where, out))
    _tell(engine, container, "export")


def _tar(start: Callable[[Fd], Job]) -> Iterator[bytes]:
    """What a worker writes, in pieces; it ends with who reads."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        try:
            job = start(Fd(writer))
        finally:
            os.close(writer)
        try:
            while block := pipe.read(_BLOCK):
                yield block
        except GeneratorExit:
            pipe.close()
            with contextlib.suppress(Refusal):  # nobody is there to be told
                archives.finish(job)
            raise
        archives.finish(job)


def write(
    engine: Engine,
    container: Container,
    path: str,
    chunks: Iterable[bytes],
    *,
    no_overwrite: bool = False,
    called: str = "",
) -> None:
    """Unpack a tar below a directory of a container. Equivalent to: `docker cp - NAME:PATH`.

    Raises:
        Refusal: there is no such directory, or the archive is damaged or leads out of it.
    """
    where = root(engine, container, called)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(writer, "wb", buffering=0) as pipe:
        try:
            job = engine.place.call(
                archives.unpack, where, path, Fd(reader), no_overwrite=no_overwrite
            )
        finally:
            os.close(reader)
        with contextlib.ExitStack() as undo:
            undo.callback(archives.finish, job)
            undo.callback(pipe.close)
            with contextlib.suppress(BrokenPipeError):
                for chunk in chunks:
                    _write_all(pipe.fileno(), chunk)
    _tell(engine, container, "extract-to-dir")


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def changes(engine: Engine, container: Container) -> list[Change]:
    """What a container has changed in its image's tree. Equivalent to: `docker diff NAME`."""
    return engine.place.call(archives.changes, container.tree)


def _tell(engine: Engine, container: Container, action: str) -> None:
    engine.events.tell("container", action, container.id, container.attributes())
