"""Volumes on a lab host: directories below `/var/lib/docker/volumes`.

    NAME/_data         the volume's files: this is what containers have mounted (0755)
    NAME/volume.json   when it was made, its labels, and whether it goes with its container
    NAME/.copying      what is being copied from an image; see `natlab.kernel.copy_up`
    NAME/.ready        the same, complete, on its way to _data
    .natlab-NAME.new      a volume that is being made
    .natlab-NAME.ID.gone  a volume that is being removed

The directory is the truth: a volume that a person makes there by hand counts as well. What begins
with a dot is never a volume's name; after a crash it is a leftover, and the next engine takes it
away (see `natlab.kernel.volume_claim`). Names are opened beneath the directory without following
links, so that none leads anywhere else, and nothing is looked at twice.

An anonymous volume of `docker run --rm`, or of a container that is just being made, is noted as
temporary. Containers end with their engine, so when the next one starts, such a volume is a
leftover as well.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from natlab.kernel.volume_files import names, opened, root
from natlab.kernel.workers import Job, stand_in_directory, submit
from natlab.model.json_shapes import as_object, parse_json
from natlab.model.mount_points import DATA, VOLUMES
from natlab.model.refusal import Refusal
from natlab.model.volume_names import is_volume_name

META: Final = "volume.json"
OWN: Final = ".natlab-"
NEW: Final = ".new"
GONE: Final = ".gone"
_NOT_ONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES)
"""What the kernel says of a directory that is no volume, or not this user's."""
_CONFLICT: Final = 409


@dataclass(frozen=True)
class Volume:
    """A volume that is there.

    Attributes:
        name: Its name.
        created: When it was made, in nanoseconds since 1970.
        labels: What its maker wrote on it; None if nothing was.
    """

    name: str
    created: int
    labels: Mapping[str, str] | None = None


def list_all() -> list[Volume]:
    """Every volume, by name. Equivalent to: `docker volume ls`."""
    with root() as directory:
        found = (read(directory, name) for name in names(directory))
        return [volume for volume in found if volume is not None]


def find(name: str) -> Volume | None:
    """The volume of that name, if it is there. Equivalent to: `docker volume inspect NAME`."""
    with root() as directory:
        return read(directory, name)


def read(directory: int, name: str) -> Volume | None:
    """The volume of that name in the open directory of all volumes, if it is there."""
    if not is_volume_name(name):
        return None
    try:
        with opened(directory, name) as inside, opened(inside, DATA, os.O_PATH | os.O_DIRECTORY):
            made = os.fstat(inside).st_mtime_ns
            return _described(name, made, read_meta(inside))
    except OSError as error:
        if error.errno in _NOT_ONE:
            return None
        raise


def read_meta(inside: int) -> Mapping[str, Any]:
    """What is written of a volume; nothing where a person made it, or wrote something else."""
    try:
        with opened(inside, META, os.O_RDONLY | os.O_NONBLOCK) as fd:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return {}
            with os.fdopen(os.dup(fd), "rb") as file:
                return as_object(META, parse_json(META, file.read()))
    except (OSError, Refusal):
        return {}


def _described(name: str, made: int, meta: Mapping[str, Any]) -> Volume:
    created, labels = meta.get("Created"), meta.get("Labels")
    return Volume(
        name,
        created if isinstance(created, int) else made,
        {str(key): str(value) for key, value in labels.items()}
        if isinstance(labels, dict)
        else None,
    )


def create(
    name: str, created: int, labels: Mapping[str, str] | None, *, temporary: bool = False
) -> tuple[Volume, bool]:
    """Make a volume, whole or not at all, unless it is there already.

    Equivalent to: `docker volume create NAME`, or `mkdir -p NAME/_data` in its place.

    Args:
        name: A valid name.
        created: The time of now, in nanoseconds since 1970.
        labels: What is to be written on it.
        temporary: Whether it goes with its container, until `keep` is called.

    Returns:
        The volume, and whether it was made.

    Raises:
        OSError: it cannot be made, as on a full disk.
    """
    with root() as directory:
        known = read(directory, name)
        if known is not None:
            return known, False
        draft = f"{OWN}{name}{NEW}"
        try:
            os.mkdir(draft, 0o701, dir_fd=directory)
            with opened(directory, draft) as inside:
                os.mkdir(DATA, 0o755, dir_fd=inside)
                _write(inside, {"Created": created, "Labels": labels, "Temporary": temporary})
            os.rename(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(draft, dir_fd=directory)
            raise
        return Volume(name, created, labels), True


def empty_among(wanted: Sequence[str]) -> list[str]:
    """Those of the volumes that have no file in them."""
    found = []
    with root() as directory:
        for name in wanted:
            with opened(directory, f"{name}/{DATA}") as data:
                found += [] if names(data) else [name]
    return found


def keep(wanted: Sequence[str]) -> None:
    """Let volumes stay when their container goes; one that is not there is passed over."""
    with root() as directory:
        for name in wanted:
            if read(directory, name) is None:
                continue
            with opened(directory, name) as inside:
                meta = read_meta(inside)
                if meta.get("Temporary"):
                    _write(inside, {**meta, "Temporary": False})


def _write(inside: int, meta: Mapping[str, Any]) -> None:
    """Write down what is known of a volume, whole or not at all."""
    draft = f"{META}{NEW}"
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(draft, flags, 0o600, dir_fd=inside), "w") as file:
        json.dump(meta, file)
    os.rename(draft, META, src_dir_fd=inside, dst_dir_fd=inside)


def remove(name: str, ident: str) -> Job:
    """Remove a volume: it is gone at once, and the job is to delete its files.

    Equivalent to: `docker volume rm NAME`.

    Args:
        name: Of a volume that no container has.
        ident: Eight hexadecimal digits that no other removal has.

    Raises:
        Refusal: a person has mounted something in it (409).
        OSError: it cannot be removed.
    """
    mounted = _mounted_below(f"{VOLUMES}/{name}")
    if mounted:
        raise Refusal(
            f"remove {name}: something is mounted in it: umount {mounted} first", _CONFLICT
        )
    gone = f"{OWN}{name}.{ident}{GONE}"
    with root() as directory:
        os.rename(name, gone, src_dir_fd=directory, dst_dir_fd=directory)
    return submit(lambda: stand_in_directory(VOLUMES), lambda: shutil.rmtree(f"/{gone}"))


def _mounted_below(path: str) -> str | None:
    lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    points = (line.split(" ")[4] for line in lines)
    return next((point for point in points if point.startswith(f"{path}/")), None)


def measure(wanted: tuple[str, ...]) -> Job:
    """Count the bytes of volumes' files; the job's result has them by name."""
    return submit(lambda: stand_in_directory(VOLUMES), lambda: {n: _size(f"/{n}") for n in wanted})


def _size(name: str) -> int:
    seen: dict[tuple[int, int], int] = {}
    for path, _, files in os.walk(f"{name}/{DATA}"):
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                info = os.lstat(f"{path}/{file}")
                seen[info.st_dev, info.st_ino] = info.st_size
    return sum(seen.values())
