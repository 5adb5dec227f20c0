"""The layers of images: directories on the lab host, and the tars that they came from.

A layer stays as long as somebody holds it: an image that has it, a container made of it, or
whoever is just taking it in. So images and containers may go in any order, and a layer that two
images share is there once.
"""

from __future__ import annotations

import collections
import os
import threading
from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING

from natlab.daemon.image import MACHINE
from natlab.kernel import archives, files
from natlab.kernel.wire import Fd

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


class Layers:
    """Every layer of an engine, by the path of its directory."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._holders: collections.Counter[str] = collections.Counter()
        self._making: set[str] = set()
        self._changed = threading.Condition()
        self._tars: dict[str, int] = {}
        """The tars of layers that came in: files without a name, kept for `docker save`."""
        self.directory = f"{engine.directory}/layers"

    def close(self) -> None:
        """Forget the tars; the directories go with the engine's."""
        for path in list(self._tars):
            os.close(self._tars.pop(path))

    def path(self, digest: str) -> str:
        """Where the layer with that digest of its tar is unpacked."""
        return f"{self.directory}/{digest.removeprefix('sha256:')}"

    def open_tar(self, digest: str) -> IO[bytes]:
        """The tar of a layer that came in as one, from its beginning; closing is the caller's."""
        return open(f"/proc/self/fd/{self._tars[self.path(digest)]}", "rb")  # noqa: PTH123

    def hold(self, paths: Iterable[str]) -> None:
        """Keep layers; they are there already."""
        with self._changed:
            self._holders.update(path for path in paths if path != MACHINE)

    def make(self, path: str, fill: Callable[[], object]) -> None:
        """Hold a layer, and fill its directory first if nobody else has it.

        What `fill` raises is passed on, and nothing is left of the layer.
        """
        with self._changed:
            self._changed.wait_for(lambda: path not in self._making)
            if self._holders[path]:
                self._holders[path] += 1
                return
            self._making.add(path)
        done = False
        try:
            fill()
            done = True
        finally:
            if not done:
                self._remove([path])
            with self._changed:
                self._holders[path] += done
                self._making.discard(path)
                self._changed.notify_all()

    def unpack(self, digest: str, tar: int) -> None:
        """Hold the layer of a tar without compression, an open file that is kept if it is new.

        Raises:
            Refusal: the archive is damaged, or leads out of its directory (400).
        """
        path = self.path(digest)

        def fill() -> None:
            os.lseek(tar, 0, os.SEEK_SET)
            archives.finish(self._engine.place.call(archives.unpack_layer, Fd(tar), path))
            self._tars[path] = os.dup(tar)

        self.make(path, fill)

    def release(self, paths: Iterable[str]) -> None:
        """Let go of layers; those that nobody else holds are removed."""
        with self._changed:
            gone = []
            for path in paths:
                if path == MACHINE:
                    continue
                self._holders[path] -= 1
                if self._holders[path] <= 0:
                    gone.append(path)
                    del self._holders[path]
            self._remove(gone)

    def _remove(self, paths: list[str]) -> None:
        for path in paths:
            if path in self._tars:
                os.close(self._tars.pop(path))
        if paths:
            self._engine.place.call(files.remove_trees, *paths)
