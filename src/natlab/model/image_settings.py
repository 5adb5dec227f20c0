"""What an image says of the containers made from it: the `config` in its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from natlab.model.json_shapes import as_object, as_text, as_texts
from natlab.model.refusal import Refusal


@dataclass(frozen=True)
class ImageConfig:
    """What an image says of the containers made from it.

    Attributes:
        env: `NAME=value`, in order.
        cmd: The program, or the arguments of `entrypoint`.
        entrypoint: The program and its first arguments.
        exposed: `80/tcp`.
        volumes: Directories that become anonymous volumes.
        working_dir: Where the program starts; empty for `/`.
        user: `name`, `uid`, `uid:gid`; empty for root.
        labels: By their keys.
        stop_signal: Empty for SIGTERM.
        shell: What runs the shell form of commands; empty for `/bin/sh -c`.
        on_build: Instructions for images built on this one.
    """

    env: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> ImageConfig:
        """Read the `config` of an image, or the Config of a container; unknown keys are skipped.

        Raises:
            Refusal: `invalid JSON: Env must be a list of strings`, and so on.
        """
        given = as_object("config", value)
        return cls(
            env=as_texts("Env", given.get("Env")),
            cmd=_words("Cmd", given.get("Cmd")),
            entrypoint=_words("Entrypoint", given.get("Entrypoint")),
            exposed=tuple(as_object("ExposedPorts", given.get("ExposedPorts"))),
            volumes=tuple(as_object("Volumes", given.get("Volumes"))),
            working_dir=as_text("WorkingDir", given.get("WorkingDir")),
            user=as_text("User", given.get("User")),
            labels=_labels(given.get("Labels")),
            stop_signal=as_text("StopSignal", given.get("StopSignal")),
            shell=as_texts("Shell", given.get("Shell")),
            on_build=as_texts("OnBuild", given.get("OnBuild")),
        )

    def to_json(self) -> dict[str, Any]:
        """Write it as in the image's JSON; what is empty is left out (OCI image spec).

        Equivalent to: `docker image inspect -f '{{json .Config}}'`.
        """
        everything = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed},
            "Env": list(self.env),
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "Volumes": {path: {} for path in self.volumes},
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Shell": list(self.shell),
            "OnBuild": list(self.on_build),
        }
        return {key: value for key, value in everything.items() if value}


def _words(key: str, value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else as_texts(key, value)


def _labels(value: Any) -> dict[str, str]:
    given = as_object("Labels", value)
    if not all(isinstance(label, str) for label in given.values()):
        raise Refusal("invalid JSON: Labels must have strings for values")
    return dict(given)
