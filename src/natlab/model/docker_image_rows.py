"""The lines of `docker images`, `docker history` and `docker system df`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from natlab.model.docker_rows import (
    CONTAINERS,
    NONE,
    VOLUMES,
    ago,
    container_row,
    go_time,
    short,
    volume_row,
)
from natlab.model.docker_table import Listing
from natlab.model.docker_tabs import align
from natlab.model.go_quote import ellipsis, human_size
from natlab.model.go_template_run import Row

_SECOND: Final = 1_000_000_000
_CREATED_BY_WIDTH: Final = 45
_NOT_KNOWN: Final = -1

_IMAGE_HEADS: Final = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}
IMAGES: Final = Listing(
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}", _IMAGE_HEADS, "{{.ID}}"
)
"""`docker images`."""

IMAGES_WITH_DIGESTS: Final = Listing(
    "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    _IMAGE_HEADS,
    "{{.ID}}",
)
"""`docker images --digests`."""

HISTORY: Final = Listing(
    "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    {
        "ID": "IMAGE",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "CreatedBy": "CREATED BY",
        "Size": "SIZE",
        "Comment": "COMMENT",
    },
    "{{.ID}}",
)
"""`docker history`."""

DISK_USAGE: Final = Listing(
    "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    {
        "Type": "TYPE",
        "TotalCount": "TOTAL",
        "Active": "ACTIVE",
        "Size": "SIZE",
        "Reclaimable": "RECLAIMABLE",
    },
    "",
)
"""`docker system df`."""

_IMAGE_DETAILS: Final = Listing(
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
    "\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
    _IMAGE_HEADS,
    "",
)
_CONTAINER_DETAILS: Final = Listing(
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}"
    "\t{{.Status}}\t{{.Names}}",
    CONTAINERS.heads,
    "",
)
_VOLUME_DETAILS: Final = Listing("{{.Name}}\t{{.Links}}\t{{.Size}}", VOLUMES.heads, "")
_CACHE_TITLES: Final = "CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED\n"


class ImageRow(Row):
    """A line of `docker images`."""

    kind = "*formatter.imageContext"


def image_rows(
    found: Mapping[str, Any], now: int, *, trunc: bool = True, digests: bool = False
) -> Iterator[Row]:
    """An image as `docker images` shows it: a line for each of its names.

    Args:
        found: What `GET /images/json` says of it.
        now: Nanoseconds since 1970.
        trunc: Whether long things are cut.
        digests: Whether a name has a line for each of its digests.
    """
    tags = [_parted(name, ":") for name in found.get("RepoTags") or ()]
    known: dict[str, list[str]] = {}
    for name in found.get("RepoDigests") or ():
        repository, digest = _parted(name, "@")
        known.setdefault(repository, []).append(digest)
    names = [
        (repository, tag, digest)
        for repository, tag in tags
        for digest in ((known.get(repository) or [NONE]) if digests else [NONE])
    ]
    with_tags = {repository for repository, _ in tags}
    names += [
        (repository, NONE, digest if digests else NONE)
        for repository, values in known.items()
        if repository not in with_tags
        for digest in (values if digests else values[:1])
    ]
    for repository, tag, digest in names or [(NONE, NONE, NONE)]:
        yield _image_row(found, now, (repository, tag, digest), trunc=trunc)


def _parted(name: str, sign: str) -> tuple[str, str]:
    before, _, after = name.rpartition(sign)
    return before, after


def _image_row(
    found: Mapping[str, Any], now: int, names: tuple[str, str, str], *, trunc: bool
) -> Row:
    created = found["Created"] * _SECOND
    size, shared = found["Size"], found.get("SharedSize", _NOT_KNOWN)
    users = found.get("Containers", _NOT_KNOWN)
    unknown = "N/A"
    return ImageRow(
        ID=short(found["Id"], trunc=trunc),
        Repository=names[0],
        Tag=names[1],
        Digest=names[2],
        CreatedSince=ago(created, now),
        CreatedAt=go_time(created),
        Size=human_size(size, 3),
        Containers=unknown if users == _NOT_KNOWN else str(users),
        VirtualSize=human_size(size),
        SharedSize=unknown if shared == _NOT_KNOWN else human_size(shared),
        UniqueSize=unknown if shared == _NOT_KNOWN else human_size(size - shared),
    )


class HistoryRow(Row):
    """A line of `docker history`."""

    kind = "*image.historyContext"


def history_row(
    found: Mapping[str, Any], now: int, *, trunc: bool = True, human: bool = True
) -> Row:
    """A step of an image's history; `human` says sizes and times in words."""
    created = found["Created"] * _SECOND
    by = (found.get("CreatedBy") or "").replace("\t", " ")
    moment = go_time(created).replace(" +0000 UTC", "Z").replace(" ", "T")
    return HistoryRow(
        ID=short(found["Id"], trunc=trunc),
        CreatedSince=ago(created, now) if human else moment,
        CreatedAt=moment,
        CreatedBy=ellipsis(by, _CREATED_BY_WIDTH) if trunc else by,
        Size=human_size(found["Size"], 3) if human else str(found["Size"]),
        Comment=found.get("Comment") or "",
    )


def disk_rows(found: Mapping[str, Any]) -> list[Row]:
    """The four lines of `docker system df`."""
    images, containers = found.get("Images") or (), found.get("Containers") or ()
    volumes, cache = found.get("Volumes") or (), found.get("BuildCache") or ()
    layers = found.get("LayersSize") or 0
    used = sum(
        image["Size"] - image["SharedSize"]
        for image in images
        if image.get("Containers") and image.get("SharedSize", _NOT_KNOWN) != _NOT_KNOWN
    )
    idle = ("running", "paused", "restarting")
    written = sum(c.get("SizeRw") or 0 for c in containers)
    free = sum(c.get("SizeRw") or 0 for c in containers if c["State"] not in idle)
    active = sum(c["State"] in idle for c in containers)
    taken = [v for v in volumes if v["UsageData"]["RefCount"] > 0]
    held = sum(v["UsageData"]["Size"] for v in volumes)
    unused = held - sum(v["UsageData"]["Size"] for v in taken)
    built = sum(c["Size"] for c in cache if not c.get("Shared"))
    building = sum(bool(c.get("InUse")) for c in cache)
    return [
        _disk_row("Images", (images, sum(bool(i.get("Containers")) for i in images)), layers, used),
        _disk_row("Containers", (containers, active), written, written - free),
        _disk_row("Local Volumes", (volumes, len(taken)), held, held - unused),
        _disk_row("Build Cache", (cache, building), built, built, share=False),
    ]


def _disk_row(
    kind: str, counts: tuple[Sequence[Any], int], size: int, used: int, *, share: bool = True
) -> Row:
    things, active = counts
    free = human_size(size - used)
    return Row(
        Type=kind,
        TotalCount=str(len(things)),
        Active=str(active),
        Size=human_size(size),
        Reclaimable=f"{free} ({(size - used) * 100 // size}%)" if size and share else free,
    )


def disk_details(found: Mapping[str, Any], now: int) -> str:
    """What `docker system df -v` prints: images, containers, volumes and the builder's cache."""
    images = [
        row
        for image in found.get("Images") or ()
        for row in image_rows({**image, "RepoTags": (image.get("RepoTags") or [])[:1]}, now)
    ]
    containers = [container_row(one, now) for one in found.get("Containers") or ()]
    volumes = [volume_row(one) for one in found.get("Volumes") or ()]
    return "\n".join(
        [
            "Images space usage:\n",
            _IMAGE_DETAILS.text(images),
            "Containers space usage:\n",
            _CONTAINER_DETAILS.text(containers),
            "Local Volumes space usage:\n",
            _VOLUME_DETAILS.text(volumes),
            "Build cache usage: 0B\n",
            align(_CACHE_TITLES),
        ]
    )
