"""What a container is given of the lab host's files: `docker run -v`, `--mount`, `--tmpfs`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from natlab.errors import NatlabError
from natlab.kernel import files
from natlab.kernel.rootfs import Mount
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

_BIND_FIELDS: Final = 3
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_MODES: Final = frozenset(
    (
        *("ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated"),
        *("private", "rprivate", "shared", "rshared", "slave", "rslave"),
    )
)


@dataclass(frozen=True)
class Wanted:
    """One mount as a client asked for it."""

    mount: Mount
    mode: str = ""
    """What stood behind the last colon of `-v`."""
    made: bool = False
    """Whether a directory that is missing on the lab host is made: by `-v` only."""

    @property
    def point(self) -> dict[str, Any]:
        """As `docker inspect` shows it, under Mounts."""
        bind = self.mount.kind == "bind"
        return {
            "Type": self.mount.kind,
            "Source": self.mount.source if bind else "",
            "Destination": self.mount.target,
            "Mode": self.mode,
            "RW": not self.mount.read_only,
            "Propagation": "rprivate" if bind else "",
        }


def wanted_mounts(config: Mapping[str, Any]) -> list[Wanted]:
    """All mounts of a HostConfig, those nearer to the root first.

    Raises:
        Refusal: malformed, or two at one place (400), or a volume (501).
    """
    found = [_bind(text) for text in config.get("Binds") or ()]
    for target, options in (config.get("Tmpfs") or {}).items():
        found.append(_tmpfs(_target(target, str(target)), str(options or "")))
    found += [_mount(item) for item in config.get("Mounts") or ()]
    taken = set()
    for item in found:
        if item.mount.target in taken:
            raise Refusal(f"Duplicate mount point: {item.mount.target}")
        taken.add(item.mount.target)
    return sorted(found, key=lambda item: item.mount.target.count("/"))


def mounts(config: Mapping[str, Any]) -> list[Mount]:
    """The same, as the kernel is to make them."""
    return [item.mount for item in wanted_mounts(config)]


def check_mounts(engine: Engine, config: Mapping[str, Any]) -> None:
    """Refuse a container whose mounts cannot be had.

    Raises:
        Refusal: as `wanted_mounts`; or the lab host has no such file (400).
    """
    if config.get("VolumesFrom"):
        raise Refusal("natlab has no volumes yet: leave --volumes-from out", 501)
    binds = [i for i in wanted_mounts(config) if i.mount.kind == "bind" and not i.made]
    if not binds:
        return
    for path in engine.place.call(files.missing, *(item.mount.source for item in binds)):
        raise Refusal(
            f'invalid mount config for type "bind": bind source path does not exist: {path}'
        )


def make_sources(engine: Engine, config: Mapping[str, Any]) -> None:
    """Make the directories that `-v` names and that are missing on the lab host.

    Raises:
        NatlabError: one cannot be made there.
    """
    binds = [item.mount.source for item in wanted_mounts(config) if item.made]
    try:
        for path in engine.place.call(files.missing, *binds) if binds else ():
            engine.place.call(files.make_directories, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NatlabError(
            f"error while creating mount source path '{path}': mkdir {path}: {reason}"
        ) from error


def _bind(text: str) -> Wanted:
    parts = text.split(":")
    if not 2 <= len(parts) <= _BIND_FIELDS or not all(parts[:2]):  # noqa: PLR2004 - SRC:DST
        raise Refusal(f"invalid volume specification: '{text}'")
    source, target, *modes = parts
    mode = modes[0] if modes else ""
    for word in mode.split(",") if mode else ():
        if word not in _MODES:
            raise Refusal(f"invalid mode: {mode}")
    where = _target(target, text)
    mount = Mount(_source(source), where, read_only="ro" in mode.split(","))
    return Wanted(mount, mode, made=True)


def _target(target: str, text: str) -> str:
    if not target.startswith("/"):
        raise Refusal(
            f"invalid volume specification: '{text}': invalid mount config for type \"bind\":"
            f" invalid mount path: '{target}' mount path must be absolute"
        )
    clean = posixpath.normpath(target)
    if clean.strip("/") == "":
        raise Refusal("invalid specification: destination can't be '/'")
    return "/" + clean.lstrip("/")


def _source(source: str) -> str:
    if source.startswith("/"):
        return posixpath.normpath(source)
    if not _NAME.fullmatch(source):
        raise Refusal(
            f'create {source}: "{source}" includes invalid characters for a local volume name,'
            ' only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host'
            " directory, use absolute path"
        )
    raise Refusal(
        f"natlab has no volumes yet: {source!r} names one; give a directory of the lab host,"
        " like /srv/data",
        501,
    )


def _tmpfs(target: str, options: str, *, read_only: bool = False) -> Wanted:
    return Wanted(Mount("tmpfs", target, read_only=read_only, kind="tmpfs", options=options))


def _mount(item: Mapping[str, Any]) -> Wanted:
    kind, target = item.get("Type"), str(item.get("Target") or "")
    where = _target(target, target)
    read_only = bool(item.get("ReadOnly"))
    if kind == "tmpfs":
        options = item.get("TmpfsOptions") or {}
        words = [f"size={size}"] if (size := options.get("SizeBytes")) else []
        words += [f"mode={mode:o}"] if (mode := options.get("Mode")) else []
        return _tmpfs(where, ",".join(words), read_only=read_only)
    if kind != "bind":
        raise Refusal(f"natlab has no mounts of type {kind} yet: bind and tmpfs are there", 501)
    source = str(item.get("Source") or "")
    if not source.startswith("/"):
        raise Refusal(
            f"invalid mount config for type \"bind\": invalid mount path: '{source}' mount path"
            " must be absolute"
        )
    return Wanted(
        Mount(posixpath.normpath(source), where, read_only=read_only),
        made=bool((item.get("BindOptions") or {}).get("CreateMountpoint")),
    )
