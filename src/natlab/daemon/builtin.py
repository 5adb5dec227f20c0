"""The images that every engine has: made from what the machine has, without a registry."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from natlab.daemon.image import MACHINE, Image
from natlab.model.image_config import DEFAULT_PATH, ImageConfig
from natlab.programs import myapp_source

MADE_FROM: Final = "natlab.made-from"
_THE_MACHINE: Final = "the machine's own root tree, read-only underneath"


@dataclass(frozen=True)
class Builtin:
    """One of them: its names, what it runs, and the files that it has besides the machine's."""

    tags: tuple[str, ...]
    config: ImageConfig
    files: tuple[tuple[str, str], ...] = ()


def builtins() -> tuple[Builtin, ...]:
    """`host`, `busybox` and `ubuntu` (the machine's tree by other names), and the seed's demo."""
    return (
        Builtin(("host:latest",), _config(("bash",))),
        Builtin(("busybox:latest",), _config(("sh",))),
        Builtin(("ubuntu:14.04", "ubuntu14.04:latest"), _config(("bash",))),
        Builtin(
            ("myapp:v0.0.1",),
            _config(("myapp",), exposed=("8080/tcp",)),
            (("usr/local/bin/myapp", f"#!{_interpreter()} -IS\n{myapp_source()}"),),
        ),
    )


def _config(cmd: Iterable[str], exposed: tuple[str, ...] = ()) -> ImageConfig:
    return ImageConfig(
        env=(f"PATH={DEFAULT_PATH}",),
        cmd=tuple(cmd),
        exposed=exposed,
        labels={MADE_FROM: _THE_MACHINE},
    )


def _interpreter() -> str:
    """A Python of the machine that is there in its own tree: not one of a virtual environment."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return os.path.realpath(base)


def to_image(builtin: Builtin, directory: str, tags: list[str]) -> tuple[Image, dict[str, str]]:
    """The image, and the files to be written for it, by path."""
    config = builtin.config.to_json()
    text = json.dumps([config, builtin.tags, builtin.files], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    layer = f"{directory}/{digest[:12]}"
    paths = {f"{layer}/{name}": content for name, content in builtin.files}
    created = int(Path(__file__).stat().st_mtime) * 1_000_000_000
    image = Image(
        id=f"sha256:{digest}",
        config=builtin.config,
        layers=(layer, MACHINE) if paths else (MACHINE,),
        tags=tags,
        created=created,
        size=sum(map(len, paths.values())),
        comment=f"made by natlab from {_THE_MACHINE}",
    )
    return image, paths
