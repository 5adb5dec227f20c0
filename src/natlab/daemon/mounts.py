"""What a container has mounted besides its own files: volumes, the lab host's files, memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from natlab.daemon.container import Container
from natlab.errors import NatlabError
from natlab.kernel import files
from natlab.kernel.rootfs import Mount
from natlab.model.mount_modes import DEFAULT_PROPAGATION
from natlab.model.mount_order import gather
from natlab.model.mount_points import MountPoint
from natlab.model.mount_specs import parse_volumes_from
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


def wanted_points(
    engine: Engine, config: Mapping[str, Any], volumes: Iterable[str]
) -> tuple[MountPoint, ...]:
    """What a new container is to have mounted; its volumes are not there yet.

    Raises:
        Refusal: it makes no sense (400), a container of `--volumes-from` or a file of the lab host
            is not there (400).
    """
    points = gather(config, volumes, _lent(engine, config.get("VolumesFrom") or ()))
    binds = [point.source for point in points if point.kind == "bind" and not point.made]
    for path in engine.place.call(files.missing, *binds) if binds else ():
        raise Refusal(
            f'invalid mount config for type "bind": bind source path does not exist: {path}'
        )
    return points


def _lent(engine: Engine, specs: Iterable[str]) -> list[MountPoint]:
    lent = []
    for text in specs:
        reference, read_only = parse_volumes_from(text)
        try:
            other = engine.containers.find(reference)
        except Refusal as error:  # with 404 a client would look for the image
            raise Refusal(str(error)) from None
        lent += [p.lent(read_only=read_only) for p in other.points if p.kind != "tmpfs"]
    return lent


def mounts(container: Container) -> list[Mount]:
    """What the kernel is to mount, in that order."""
    return [_mount(point) for point in container.points]


def _mount(point: MountPoint) -> Mount:
    source = point.name if point.kind == "volume" else point.source
    return Mount(
        source,
        point.target,
        read_only=point.read_only,
        kind=point.kind,
        options=point.options,
        subpath=point.subpath,
        recursive=point.recursive,
        deep=point.deep,
    )


def shown_mounts(container: Container) -> list[dict[str, Any]]:
    """As `docker inspect` shows them, under Mounts."""
    return [point.to_json() for point in container.points if point.shown]


def make_sources(engine: Engine, container: Container) -> None:
    """Make the directories that `-v` names and that are missing on the lab host.

    Raises:
        NatlabError: one cannot be made there.
    """
    binds = [point.source for point in container.points if point.kind == "bind" and point.made]
    try:
        for path in engine.place.call(files.missing, *binds) if binds else ():
            engine.place.call(files.make_directories, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NatlabError(
            f"error while creating mount source path '{path}': mkdir {path}: {reason}"
        ) from error


def mount_warnings(points: Iterable[MountPoint]) -> list[str]:
    """One line for each wish that is not granted."""
    return [
        f"propagation {point.propagation} of {point.target} is ignored: what is mounted in a"
        f" container of natlab is always {DEFAULT_PROPAGATION}"
        for point in points
        if point.kind == "bind" and not point.propagation.endswith("private")
    ]
