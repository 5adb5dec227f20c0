"""The lines of Docker's lists: the fields that `docker ps` and the others print.

What the Engine API answers, and what the docker client of version 28 makes of it
(docker/cli, cli/command/formatter).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from natlab.model.container_status import human_duration, parse_time
from natlab.model.docker_table import Listing
from natlab.model.go_quote import ellipsis, human_size, quote
from natlab.model.go_template_run import Row
from natlab.model.publish import Exposed, Published, ports_column

SHORT_ID: Final = 12
NONE: Final = "<none>"

_SECOND: Final = 1_000_000_000
_COMMAND_WIDTH: Final = 20
_MOUNT_WIDTH: Final = 15
_DIGITS: Final = re.compile(r"(\d+)")


def _label_title(name: str) -> str:
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


CONTAINERS: Final = Listing(
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    {
        "ID": "CONTAINER ID",
        "Names": "NAMES",
        "Image": "IMAGE",
        "Command": "COMMAND",
        "CreatedAt": "CREATED AT",
        "RunningFor": "CREATED",
        "Ports": "PORTS",
        "State": "STATE",
        "Status": "STATUS",
        "Size": "SIZE",
        "Labels": "LABELS",
        "Mounts": "MOUNTS",
        "LocalVolumes": "LOCAL VOLUMES",
        "Networks": "NETWORKS",
        "Platform": "PLATFORM",
        "Label": _label_title,
    },
    "{{.ID}}",
)
"""`docker ps`."""

CONTAINERS_WITH_SIZE: Final = Listing(
    f"{CONTAINERS.columns}\t{{{{.Size}}}}", CONTAINERS.heads, CONTAINERS.quiet
)
"""`docker ps -s`."""

NETWORKS: Final = Listing(
    "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    {
        "ID": "NETWORK ID",
        "Name": "NAME",
        "Driver": "DRIVER",
        "Scope": "SCOPE",
        "IPv4": "IPV4",
        "IPv6": "IPV6",
        "Internal": "INTERNAL",
        "Labels": "LABELS",
        "CreatedAt": "CREATED AT",
        "Label": _label_title,
    },
    "{{.ID}}",
)
"""`docker network ls`."""

VOLUMES: Final = Listing(
    "{{.Driver}}\t{{.Name}}",
    {
        "Name": "VOLUME NAME",
        "Driver": "DRIVER",
        "Scope": "SCOPE",
        "Mountpoint": "MOUNTPOINT",
        "Labels": "LABELS",
        "Links": "LINKS",
        "Size": "SIZE",
        "Availability": "AVAILABILITY",
        "Group": "GROUP",
        "Status": "STATUS",
        "Label": _label_title,
    },
    "{{.Name}}",
)
"""`docker volume ls`."""


def short(ident: str, *, trunc: bool = True) -> str:
    """An id as lists show it: 12 digits, unless it is to be whole."""
    return ident.removeprefix("sha256:")[:SHORT_ID] if trunc else ident


def ago(created: int, now: int) -> str:
    """How long that is ago; both in nanoseconds."""
    return f"{human_duration(now - created)} ago"


def go_time(nanoseconds: int) -> str:
    """A time as Go prints it: `2026-01-02 03:04:05 +0000 UTC`."""
    from datetime import UTC, datetime

    whole, rest = divmod(nanoseconds, _SECOND)
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}{fraction} +0000 UTC"


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key by which `n2` comes before `n10`."""
    parts = _DIGITS.split(text)
    return [(0, int(p), p) if p.isdigit() else (1, 0, p) for p in parts if p]


def _labels(labels: Mapping[str, str] | None) -> dict[str, Any]:
    known = labels or {}
    return {
        "Labels": ",".join(f"{key}={known[key]}" for key in sorted(known)),
        "Label": lambda name: known.get(name, ""),
    }


class ContainerRow(Row):
    """A line of `docker ps`."""

    kind = "*formatter.ContainerContext"


def container_row(found: Mapping[str, Any], now: int, *, trunc: bool = True) -> Row:
    """A container as `docker ps` shows it.

    Args:
        found: What `GET /containers/json` says of it.
        now: Nanoseconds since 1970.
        trunc: Whether long things are cut.
    """
    created = found["Created"] * _SECOND
    command = found.get("Command") or ""
    mounts = [m.get("Name") or m.get("Source") or "" for m in found.get("Mounts") or ()]
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    return ContainerRow(
        ID=short(found["Id"], trunc=trunc),
        Names=_names(found.get("Names") or (), trunc=trunc),
        Image=_image(found, trunc=trunc),
        Command=quote(ellipsis(command, _COMMAND_WIDTH) if trunc else command),
        CreatedAt=go_time(created),
        RunningFor=ago(created, now),
        Platform=None,
        Ports=ports(found.get("Ports") or ()),
        State=found.get("State") or "",
        Status=found.get("Status") or "",
        Size=_container_size(found),
        Mounts=",".join(ellipsis(m, _MOUNT_WIDTH) if trunc else m for m in mounts),
        LocalVolumes=str(sum(m.get("Driver") == "local" for m in found.get("Mounts") or ())),
        Networks=",".join(sorted(networks)),
        **_labels(found.get("Labels")),
    )


def _names(names: Sequence[str], *, trunc: bool) -> str:
    bare = [name.removeprefix("/") for name in names]
    return ",".join(name for name in bare if not trunc or "/" not in name)


def _image(found: Mapping[str, Any], *, trunc: bool) -> str:
    image: str = found.get("Image") or "<no image>"
    if trunc and image in (found.get("ImageID"), str(found.get("ImageID")).partition(":")[2]):
        return short(image)
    return image


def _container_size(found: Mapping[str, Any]) -> str:
    written = human_size(found.get("SizeRw") or 0, 3)
    whole = found.get("SizeRootFs") or 0
    return f"{written} (virtual {human_size(whole, 3)})" if whole else written


def ports(found: Sequence[Mapping[str, Any]]) -> str:
    """The PORTS column, of what the Engine API says."""
    published = [
        Published(ip_address(port["IP"]), port["PublicPort"], port["PrivatePort"], port["Type"])
        for port in found
        if port.get("IP")
    ]
    exposed = [Exposed(p["PrivatePort"], p["Type"]) for p in found if not p.get("IP")]
    return ports_column(published, exposed)


class NetworkRow(Row):
    """A line of `docker network ls`."""

    kind = "*network.networkContext"


def network_row(found: Mapping[str, Any], *, trunc: bool = True) -> Row:
    """A network as `docker network ls` shows it."""
    return NetworkRow(
        ID=short(found["Id"], trunc=trunc),
        Name=found["Name"],
        Driver=found["Driver"],
        Scope=found["Scope"],
        IPv4=_flag(found.get("EnableIPv4")),
        IPv6=_flag(found.get("EnableIPv6")),
        Internal=_flag(found.get("Internal")),
        CreatedAt=go_time(parse_time(found["Created"])),
        **_labels(found.get("Labels")),
    )


def _flag(value: object) -> str:
    return "true" if value else "false"


class VolumeRow(Row):
    """A line of `docker volume ls`."""

    kind = "*formatter.volumeContext"


def volume_row(found: Mapping[str, Any]) -> Row:
    """A volume as `docker volume ls` shows it."""
    usage = found.get("UsageData") or {}
    nothing = "N/A"
    return VolumeRow(
        Name=found["Name"],
        Driver=found["Driver"],
        Scope=found.get("Scope") or "",
        Mountpoint=found.get("Mountpoint") or "",
        Links=str(usage["RefCount"]) if usage else nothing,
        Size=human_size(usage["Size"]) if usage else nothing,
        Availability=nothing,
        Group=nothing,
        Status=nothing,
        **_labels(found.get("Labels")),
    )
