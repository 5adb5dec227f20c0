"""The volumes of a lab host: made, found, removed, and who has them.

The directory says which there are, and the containers say who has one: nothing is counted, so
nothing can be counted wrongly. What asks or changes who has what holds the engine's lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from natlab.daemon.container import Container
from natlab.daemon.volume_removal import Removal
from natlab.errors import LabGoneError, NatlabError
from natlab.kernel import archives, copy_up, volume_claim, volumes
from natlab.kernel.volumes import Volume
from natlab.kernel.wire import Fd
from natlab.model import identity
from natlab.model.mount_points import LOCAL, VOLUMES, MountPoint
from natlab.model.refusal import Refusal
from natlab.model.volume_names import ANONYMOUS, check_driver, check_volume_name

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

_log = logging.getLogger("natlab.daemon")


class Volumes:
    """Every volume of an engine's lab host."""

    def __init__(self, engine: Engine, directory: str | None = None) -> None:
        """Take the host's volumes over.

        Args:
            engine: Whose they are.
            directory: Where they are on the machine, if they are to outlive the lab.

        Raises:
            NatlabError: another engine has them, or there can be none here.
        """
        self._engine = engine
        self._filling = threading.Lock()
        self._directory = directory
        self.removal = Removal(engine, self)
        try:
            self._claim = self._settle()
        except BlockingIOError as error:
            raise NatlabError(
                f"another engine has the volumes in {directory or VOLUMES}: end that one first"
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise NatlabError(
                f"no volumes can be had in {directory or VOLUMES}: {reason}"
            ) from error
        for said in engine.place.call(volume_claim.sweep):
            _log.warning("an engine was killed here: %s", said)

    def _settle(self) -> Fd:
        engine = self._engine
        if self._directory is None:
            return engine.place.call(volume_claim.settle)
        kept = engine.agent.call(None, volume_claim.lend, self._directory)
        try:
            return engine.place.call(volume_claim.settle, kept)
        finally:
            kept.close()

    def close(self) -> None:
        """Let go of the volumes; they stay."""
        with contextlib.suppress(LabGoneError):
            self.removal.close()
        self._claim.close()
        if self._directory is not None:
            with contextlib.suppress(LabGoneError):
                self._engine.place.call(volume_claim.unsettle)

    # Which there are

    def all(self) -> list[Volume]:
        """Every volume, by name. Equivalent to: `docker volume ls`."""
        return self._engine.place.call(volumes.list_all)

    def find(self, name: str) -> Volume:
        """One volume by name. Equivalent to: `docker volume inspect NAME`.

        Raises:
            Refusal: `get X: no such volume` (404).
        """
        found = self._engine.place.call(volumes.find, name)
        if found is None:
            raise Refusal(f"get {name}: no such volume", 404)
        return found

    def users(self, name: str) -> list[Container]:
        """The containers that have a volume, running or not."""
        return [c for c in self._engine.containers.all_known() if name in volume_names(c)]

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """The bytes of volumes' files."""
        wanted = tuple(names)
        if not wanted:
            return {}
        found: dict[str, int] = archives.finish(self._engine.place.call(volumes.measure, wanted))
        return found

    # New ones

    def create(
        self,
        name: str,
        *,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        temporary: bool = False,
    ) -> tuple[Volume, bool]:
        """Make a volume, unless it is there. Equivalent to: `docker volume create NAME`.

        Args:
            name: Its name; "" for an anonymous one.
            driver: `local` or "".
            options: Of the driver; natlab has none.
            labels: What is written on it.
            temporary: Whether it goes with its container, until `keep` is called.

        Returns:
            The volume, and whether it was made.

        Raises:
            Refusal: the name or driver is not valid, or it cannot be made.
        """
        wanted = dict(labels) if labels else None
        if not name:
            name = identity.new_id(os.urandom(identity.ID_BYTES))
            wanted = {**(wanted or {}), ANONYMOUS: ""}
        check_driver(name, driver, options or {})
        check_volume_name(name)
        try:
            volume, made = self._engine.place.call(
                volumes.create, name, time.time_ns(), wanted, temporary=temporary
            )
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Refusal(
                f"create {name}: error while creating volume root path '{VOLUMES}/{name}':"
                f" mkdir {VOLUMES}/{name}: {reason}",
                500,
            ) from error
        if made:
            self.tell("create", name)
        return volume, made

    def provide(self, points: Sequence[MountPoint], made: list[str]) -> tuple[MountPoint, ...]:
        """Have the volumes that a container is to get; anonymous ones get their names.

        Args:
            points: What is to be mounted in it.
            made: Takes the names of those that were not there before.

        Raises:
            Refusal: one cannot be had; those in `made` are the caller's to remove.
        """
        return tuple(self._provided(point, made) for point in points)

    def _provided(self, point: MountPoint, made: list[str]) -> MountPoint:
        if point.kind != "volume" or (point.name and not point.named):  # another container's
            return point
        volume, new = self.create(
            point.name,
            driver=point.driver,
            options=point.driver_options,
            labels=point.labels,
            temporary=not point.named,
        )
        if new:
            made.append(volume.name)
        return replace(point, name=volume.name)

    def fill(self, container: Container) -> list[str]:
        """Let a new container's empty volumes take what its image has in their places.

        Returns:
            What the client is to be warned of: what this user could not copy.

        Raises:
            Refusal: `failed to populate volume: …`.
        """
        copying = [point for point in container.points if point.kind == "volume" and point.copies]
        call = self._engine.place.call
        empty = call(volumes.empty_among, [p.name for p in copying]) if copying else []
        wanted = [(point.target, point.name) for point in copying if point.name in empty]
        if not wanted:
            return []
        with self._filling:
            job = call(copy_up.fill, container.tree, wanted)
            left_out: dict[str, list[str]] = archives.finish(job)
        return [_not_copied(name, paths) for name, paths in left_out.items() if paths]

    def keep(self, names: Sequence[str]) -> None:
        """Let volumes stay when the containers go for which they were made."""
        if names:
            self._engine.place.call(volumes.keep, names)

    # Events

    def tell(self, action: str, name: str, **more: str) -> None:
        """Tell whoever listens to events what was done with a volume."""
        self._engine.events.tell("volume", action, name, {"driver": LOCAL, **more})

    def tell_mounted(self, container: Container) -> None:
        """Tell that a container has its volumes mounted."""
        for point in container.points:
            if point.kind == "volume":
                self.tell(
                    "mount",
                    point.name,
                    container=container.id,
                    destination=point.target,
                    propagation=point.propagation,
                    **{"read/write": str(not point.read_only).lower()},
                )

    def tell_unmounted(self, container: Container) -> None:
        """Tell that it has not any more."""
        for point in container.points:
            if point.kind == "volume":
                self.tell("unmount", point.name, container=container.id)


def volume_names(container: Container) -> set[str]:
    """The names of the volumes that a container has."""
    return {point.name for point in container.points if point.kind == "volume"}


def anonymous_names(container: Container) -> list[str]:
    """Those that nobody gave a name: they go with the container if that is asked for."""
    return [p.name for p in container.points if p.kind == "volume" and not p.named]


def _not_copied(name: str, paths: list[str]) -> str:
    count = f"{len(paths)} files were" if len(paths) > 1 else "1 file was"
    return (
        f"{count} not copied into volume {name}, as this user may not read or make"
        f" {'them' if len(paths) > 1 else 'it'}: {paths[0]}{' and others' if paths[1:] else ''}"
    )
