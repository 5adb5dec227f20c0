"""What a client may ask to have mounted in a container, and how the engine refuses what it may not.

The rules and the texts are those of moby, daemon/volume/mounts/linux_parser.go. Whether a bind's
source is there is not known here.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from natlab.model import mount_points
from natlab.model.mount_modes import (
    PROPAGATIONS,
    copies,
    is_mode,
    is_read_only,
    propagation,
)
from natlab.model.mount_points import MountPoint
from natlab.model.mount_tmpfs import check_tmpfs_words, tmpfs_options
from natlab.model.names import one_line
from natlab.model.refusal import Refusal

_SPEC_FIELDS: Final = 3
_OPTIONS: Final = ("BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions")
_OWN_OPTIONS: Final = {"bind": "BindOptions", "volume": "VolumeOptions", "tmpfs": "TmpfsOptions"}
_MISSING: Final = ("image", "npipe", "cluster")


def parse_bind(text: str, driver: str = "") -> MountPoint:
    """Read `SOURCE:TARGET[:MODE]`: an entry of HostConfig.Binds, `docker run -v`.

    An absolute source is a path of the lab host, any other is a volume's name.

    Args:
        text: The specification.
        driver: HostConfig.VolumeDriver, of a volume that is made for it.

    Raises:
        Refusal: `invalid volume specification: '…'`, `invalid mode: …`, and so on (400).
    """
    source, target, mode = _fields(text)
    if not is_mode(mode):
        raise Refusal(f"invalid mode: {one_line(mode)}")
    kind = "bind" if source.startswith("/") else "volume"
    item: dict[str, Any] = {"Type": kind, "Source": source, "Target": target}
    if not copies(mode):
        item["VolumeOptions"] = {}
    if propagation(mode):
        item["BindOptions"] = {"Propagation": propagation(mode)}
    try:
        _check(item)
    except Refusal as error:
        raise Refusal(f"{_invalid(text)}: {error}") from None
    where, read_only = _clean(target), is_read_only(mode)
    if kind == "bind":
        return mount_points.bind(
            where, _clean(source), propagation(mode), mode=mode, read_only=read_only, made=True
        )
    return mount_points.volume(
        where, source, mode=mode, read_only=read_only, copies=copies(mode), driver=driver
    )


def _fields(text: str) -> tuple[str, str, str]:
    parts = text.split(":", _SPEC_FIELDS)
    if not parts[0] or len(parts) > _SPEC_FIELDS:
        raise Refusal(_invalid(text))
    if len(parts) == 1:
        return "", parts[0], ""
    source, target, *rest = parts
    if not rest and is_mode(target):
        raise Refusal(_invalid(text))
    return source, target, rest[0] if rest else ""


def parse_mount(item: Mapping[str, Any]) -> MountPoint:
    """Read an entry of HostConfig.Mounts: `docker run --mount`.

    Raises:
        Refusal: `invalid mount config for type "bind": …` (400), or a kind that natlab has not
            (501).
    """
    _check(item)
    kind, where = item.get("Type"), _clean(str(item["Target"]))
    read_only = bool(item.get("ReadOnly"))
    if kind == "tmpfs":
        options = tmpfs_options(item.get("TmpfsOptions") or {}, read_only=read_only)
        return MountPoint("tmpfs", where, options=options, read_only=read_only)
    source = str(item.get("Source") or "")
    if kind == "bind":
        given = item.get("BindOptions") or {}
        return mount_points.bind(
            where,
            _clean(source),
            str(given.get("Propagation") or ""),
            read_only=read_only,
            recursive=not given.get("NonRecursive"),
            deep=not given.get("ReadOnlyNonRecursive"),
            made=bool(given.get("CreateMountpoint")),
        )
    given = item.get("VolumeOptions") or {}
    driver = given.get("DriverConfig") or {}
    return mount_points.volume(
        where,
        source,
        read_only=read_only,
        copies=not given.get("NoCopy") and not given.get("Subpath"),
        subpath=str(given.get("Subpath") or ""),
        driver=str(driver.get("Name") or ""),
        labels=dict(given.get("Labels") or {}),
        driver_options=dict(driver.get("Options") or {}),
    )


def parse_tmpfs(target: str, options: str) -> MountPoint:
    """Read an entry of HostConfig.Tmpfs: `docker run --tmpfs TARGET:OPTIONS`.

    Raises:
        Refusal: the target is `/`, or not absolute, or an option is none (400).
    """
    _check_target(target)
    check_tmpfs_words(options)
    words = options.split(",")
    return MountPoint(
        "tmpfs", _clean(target), options=options, read_only="ro" in words, shown=False
    )


def parse_volume(target: str) -> MountPoint:
    """Read a key of Config.Volumes: `docker run -v TARGET`, or `VOLUME` of an image.

    Raises:
        Refusal: the target is `/`, or not absolute (400).
    """
    try:
        _check({"Type": "volume", "Target": target})
    except Refusal as error:
        raise Refusal(f"{_invalid(target)}: {error}") from None
    return mount_points.anonymous(_clean(target))


def parse_volumes_from(text: str) -> tuple[str, bool]:
    """Read `CONTAINER[:MODE]`, of HostConfig.VolumesFrom: the container, and if it may only read.

    Raises:
        Refusal: it is empty, or the mode is none for this (400).
    """
    if not text:
        raise Refusal("volumes-from specification cannot be an empty string")
    reference, _, mode = text.partition(":")
    if not is_mode(mode) or propagation(mode) or not copies(mode):
        raise Refusal(f"invalid mode: {one_line(mode)}")
    return reference, is_read_only(mode)


def _invalid(text: str) -> str:
    return f"invalid volume specification: '{one_line(text)}'"


def _clean(path: str) -> str:
    """The path without `.`, `..` and double slashes (Go's `path.Clean`)."""
    return "/" + posixpath.normpath(path).lstrip("/")


def _check(item: Mapping[str, Any]) -> None:
    """Refuse a mount that makes no sense, in moby's order of looking."""
    kind = str(item.get("Type") or "")
    try:
        target = str(item.get("Target") or "")
        if not target:
            _fail("field Target must not be empty")
        _check_target(target)
        _check_known(kind)
        _check_kind(kind, item)
    except Refusal as error:
        if error.status != 400:  # noqa: PLR2004 - it says itself what it is about
            raise
        raise Refusal(f'invalid mount config for type "{one_line(kind)}": {error}') from None


def _check_known(kind: str) -> None:
    if kind in _MISSING:
        raise Refusal(f"natlab has no mounts of type {kind}: bind, volume and tmpfs are there", 501)
    if kind not in _OWN_OPTIONS:
        _fail("mount type unknown")


def _check_target(target: str) -> None:
    plain = target.replace("\\", "/")
    if posixpath.normpath(plain).strip("/") == "":
        _fail("invalid specification: destination can't be '/'")
    _check_absolute(target)


def _check_absolute(path: str) -> None:
    plain = path.replace("\\", "/")
    if not plain.startswith("/"):
        _fail(f"invalid mount path: '{one_line(plain)}' mount path must be absolute")


def _check_kind(kind: str, item: Mapping[str, Any]) -> None:
    source = str(item.get("Source") or "")
    if kind == "bind" and not source:
        _fail("field Source must not be empty")
    if kind == "bind":
        word = (item.get("BindOptions") or {}).get("Propagation") or ""
        if word and word not in PROPAGATIONS:
            _fail(f"invalid propagation mode: {one_line(word)}")
    for options in _OPTIONS:
        if item.get(options) is not None and options != _OWN_OPTIONS[kind]:
            _fail(f"field {options} must not be specified")
    if kind == "bind":
        _check_absolute(source)
    elif kind == "tmpfs":
        if source:
            _fail("field Source must not be specified")
        tmpfs_options(item.get("TmpfsOptions") or {}, read_only=False)
    else:
        _check_subpath(source, str((item.get("VolumeOptions") or {}).get("Subpath") or ""))


def _check_subpath(source: str, subpath: str) -> None:
    if subpath and not source:
        _fail("must not set Subpath when using anonymous volumes")
    if subpath.startswith("/") or posixpath.normpath(subpath).split("/")[0] == "..":
        _fail("subpath must be a relative path within the volume")


def _fail(reason: str) -> NoReturn:
    raise Refusal(reason)
