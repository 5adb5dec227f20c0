"""An image: a root tree in layers, and what to run in it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from natlab.model.container_status import parse_time
from natlab.model.image_config import ImageConfig
from natlab.model.image_load import CONFIG
from natlab.model.json_shapes import as_object, parse_json
from natlab.model.refusal import Refusal

MACHINE: Final = "/"
"""The layer that stands for the machine's own root tree."""


@dataclass(eq=False)
class Image:
    """An image of the engine."""

    id: str
    """`sha256:` and 64 hexadecimal digits."""
    config: ImageConfig
    layers: tuple[str, ...]
    """Directories on the lab host, topmost first; `MACHINE` can only be the last."""
    tags: list[str] = field(default_factory=list)
    """Familiar names with their tags: `myapp:v0.0.1`."""
    created: int = field(default_factory=time.time_ns)
    tagged: int = 0
    """When it got its last name here, in nanoseconds since 1970; 0 for never."""
    size: int = 0
    comment: str = ""
    diff_ids: tuple[str, ...] = ()
    """The digests of the layers' tar files, lowest first; none of the machine's own tree."""
    sizes: tuple[int, ...] = ()
    """Bytes of each of these layers."""
    raw_config: bytes = b""
    """The image's config as it came; its digest is the id."""

    @property
    def of_the_machine(self) -> bool:
        """Whether the machine's own tree is underneath."""
        return MACHINE in self.layers

    @property
    def document(self) -> Mapping[str, Any]:
        """The config as JSON: architecture, author, history; empty if it did not come as such."""
        return as_object(CONFIG, parse_json(CONFIG, self.raw_config or b"{}"))


def moment(text: object) -> int:
    """A time of an image's config, in nanoseconds since 1970; 0 if there is none to be read."""
    with contextlib.suppress(Refusal):
        return parse_time(text) if isinstance(text, str) else 0
    return 0
