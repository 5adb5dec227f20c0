"""How volumes go: by name, with their container, or all that nobody has."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from natlab.kernel import archives, volumes
from natlab.kernel.archives import Job
from natlab.kernel.volumes import Volume
from natlab.kernel.waiting import readable
from natlab.model.mount_points import VOLUMES
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine
    from natlab.daemon.volumes import Volumes

_log = logging.getLogger("natlab.daemon")
_SUFFIX_BYTES = 4


class Removal:
    """Removes the volumes of an engine: their names at once, their files by a worker."""

    def __init__(self, engine: Engine, known: Volumes) -> None:
        self._engine, self._volumes = engine, known
        self._going: list[Job] = []
        """What deletes files, and nobody waits for it."""

    def close(self) -> None:
        """Wait until all files of removed volumes are deleted."""
        self.finish(self._going)

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume with all that is in it. Equivalent to: `docker volume rm NAME`.

        Args:
            name: Which.
            force: Whether one that is not there is no error.

        Raises:
            Refusal: there is none (404), or a container has it (409).
        """
        with self._engine.lock:
            try:
                self._volumes.find(name)
            except Refusal:
                if force:
                    return
                raise
            users = self._volumes.users(name)
            if users:
                ids = ", ".join(user.id for user in users)
                raise Refusal(f"remove {name}: volume is in use - [{ids}]", 409)
            job = self._take_away(name)
        try:
            archives.finish(job)
        except Refusal as error:
            raise Refusal(f"remove {name}: {error}", error.status) from error

    def take_unused(self, names: Iterable[str]) -> list[Job]:
        """Remove those of the volumes that no container has; what is gone already is fine.

        They are gone at once; deleting their files takes its time. What others have stays for good.

        Returns:
            What deletes the files: for `finish`, or for `leave`.
        """
        jobs: list[Job] = []
        names = list(names)
        if not names:
            return jobs
        with self._engine.lock:
            there = {volume.name for volume in self._volumes.all()}
            for name in names:
                if name in there and self._volumes.users(name):
                    self._volumes.keep([name])
                elif name in there:
                    try:
                        jobs.append(self._take_away(name))
                    except Refusal as error:
                        _log.warning("%s", error)
        return jobs

    def finish(self, jobs: Iterable[Job]) -> None:
        """Wait until files are deleted."""
        for job in jobs:
            try:
                archives.finish(job)
            except Refusal as error:
                _log.warning("not all files of a removed volume could be deleted: %s", error)

    def leave(self, jobs: Iterable[Job]) -> None:
        """Let files be deleted while the engine goes on."""
        with self._engine.lock:
            going = [*self._going, *jobs]
            ended = readable([job.pidfd.number for job in going], 0) if going else set()
            self._going = [job for job in going if job.pidfd.number not in ended]
        self.finish(job for job in going if job.pidfd.number in ended)

    def _take_away(self, name: str) -> Job:
        try:
            job = self._engine.place.call(volumes.remove, name, os.urandom(_SUFFIX_BYTES).hex())
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Refusal(f"remove {name}: {VOLUMES}/{name}: {reason}", 500) from error
        self._volumes.tell("destroy", name)
        return job

    def prune(self, wanted: Callable[[Volume], bool]) -> tuple[list[str], int]:
        """Remove the volumes that are wanted away and that no container has.

        Equivalent to: `docker volume prune`.

        Returns:
            Their names, and how many bytes their files had.
        """
        with self._engine.lock:
            names = [
                v.name for v in self._volumes.all() if wanted(v) and not self._volumes.users(v.name)
            ]
        sizes = self._volumes.sizes(names)
        removed, freed = [], 0
        for name in names:
            try:
                self.remove(name)
            except Refusal as error:  # somebody has it now, or has removed it
                _log.warning("%s", error)
                continue
            removed.append(name)
            freed += sizes[name]
        self._engine.events.tell("volume", "prune", "", {"reclaimed": str(freed)})
        return removed, freed
