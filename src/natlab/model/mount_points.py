"""What is mounted in a container, as the engine keeps it and as `docker inspect` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from natlab.model.mount_modes import DEFAULT_PROPAGATION

Kind: TypeAlias = Literal["bind", "volume", "tmpfs"]

VOLUMES: Final = "/var/lib/docker/volumes"
"""Where the volumes of a lab host are."""
DATA: Final = "_data"
"""The directory of a volume in which its files are."""
LOCAL: Final = "local"
"""The one driver of volumes that there is."""
_LABEL_OF_NAMED: Final = "z"
"""The mode that Docker notes for a volume where a client gave none (moby setBindModeIfNull)."""


@dataclass(frozen=True)
class MountPoint:
    """One thing mounted in a container.

    Attributes:
        kind: `bind`, `volume` or `tmpfs`.
        target: Where, an absolute path in the container.
        source: Of a bind: a path on the lab host.
        name: Of a volume; "" until an anonymous one has got its own.
        named: Whether the client gave the volume's name: such a one outlives its containers.
        driver: Of a volume, as the client asked for it; "" for the usual one.
        mode: What stood behind the last colon of `-v`.
        read_only: Whether the container may only read it.
        propagation: Of a bind.
        copies: Whether an empty volume takes what the image has in its place.
        subpath: Which directory of a volume is mounted; "" for all of it.
        labels: For a volume that is made for it.
        driver_options: For a volume that is made for it.
        options: Of a tmpfs, as `mount -o` takes them.
        recursive: Whether what is mounted in the source of a bind comes along.
        deep: Whether that is read-only too, if the mount is.
        made: Whether a missing source of a bind is made.
        shown: Whether `docker inspect` shows it under Mounts; `--tmpfs` stands elsewhere.
    """

    kind: Kind
    target: str
    source: str = ""
    name: str = ""
    named: bool = False
    driver: str = ""
    mode: str = ""
    read_only: bool = False
    propagation: str = ""
    copies: bool = False
    subpath: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    driver_options: Mapping[str, str] = field(default_factory=dict)
    options: str = ""
    recursive: bool = True
    deep: bool = True
    made: bool = False
    shown: bool = True

    @property
    def depth(self) -> int:
        """How far from the root it is: parents are mounted before what lies in them."""
        return self.target.count("/")

    @property
    def data(self) -> str:
        """Where a volume's files are on the lab host."""
        return f"{VOLUMES}/{self.name}/{DATA}"

    def to_json(self) -> dict[str, Any]:
        """As the Engine API shows it: an entry of Mounts."""
        volume = self.kind == "volume"
        return {
            "Type": self.kind,
            **({"Name": self.name} if volume else {}),
            "Source": self.data if volume else self.source,
            "Destination": self.target,
            **({"Driver": LOCAL} if volume else {}),
            "Mode": self.mode,
            "RW": not self.read_only,
            "Propagation": self.propagation,
        }

    def lent(self, *, read_only: bool) -> MountPoint:
        """The same for another container: `--volumes-from`. It never copies."""
        return replace(self, read_only=self.read_only or read_only, mode="", copies=False)


def bind(target: str, source: str, propagation: str = "", **more: Any) -> MountPoint:
    """A file or directory of the lab host."""
    return MountPoint(
        "bind", target, source, propagation=propagation or DEFAULT_PROPAGATION, **more
    )


def volume(target: str, name: str = "", **more: Any) -> MountPoint:
    """A volume: a named one, or with no name an anonymous one."""
    mode = more.pop("mode", "") or _LABEL_OF_NAMED
    return MountPoint("volume", target, name=name, named=bool(name), mode=mode, **more)


def anonymous(target: str) -> MountPoint:
    """An anonymous volume of `-v /x` or of an image's VOLUME."""
    return MountPoint("volume", target, copies=True)
