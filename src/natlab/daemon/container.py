"""A container as the engine knows it: what was asked for, and how it stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from natlab.daemon.image import Image
from natlab.daemon.linking import Linked
from natlab.daemon.network import Endpoint
from natlab.daemon.output import Output
from natlab.daemon.program import Program
from natlab.engine.container import Container as Sandbox
from natlab.kernel.confine import Tree
from natlab.model.addresses import Address
from natlab.model.image_config import Effective
from natlab.model.mount_points import MountPoint
from natlab.model.publish import Published


@dataclass
class State:
    """How a container stands; times are nanoseconds since 1970, 0 for never."""

    status: str = "created"
    """`created`, `running`, `paused`, `restarting`, `exited`, `removing` or `dead`."""
    exit_code: int = 0
    error: str = ""
    started: int = 0
    finished: int = 0

    @property
    def running(self) -> bool:
        """Whether its program runs, paused or not."""
        return self.status in ("running", "paused")


@dataclass(eq=False)
class Container:
    """One container of the engine."""

    id: str
    name: str
    image: Image
    image_ref: str
    """The image as the client named it."""
    body: Mapping[str, Any]
    """What the client asked for at creation: Config, as the Engine API spells it."""
    host_config: dict[str, Any]
    effective: Effective
    """What follows from the image and from what was asked for."""
    tree: Tree
    directory: str
    """Its files on the lab host: hosts, hostname, resolv.conf, changes."""
    created: int = field(default_factory=time.time_ns)
    points: tuple[MountPoint, ...] = ()
    """What it has mounted, those nearer to the root first; its volumes are there."""
    links: tuple[Linked, ...] = ()
    """What it is linked to in the default network."""
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    """By the network's id, in the order of its interfaces."""
    state: State = field(default_factory=State)
    output: Output = field(default_factory=Output)
    program: Program | None = None
    sandbox: Sandbox | None = None
    """Its network namespace while it runs; None in another's (`container:X`, `host`) too."""
    published: tuple[Published, ...] = ()
    published_at: tuple[Address, ...] = ()
    """The address to which the published ports lead."""
    restarts: int = 0
    stopping: bool = False
    """Somebody asked for its end: no restart policy applies."""
    execs: dict[str, Any] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    """Notified at each change of state; see `wait`."""
    runs: int = 0
    """How often it has ended."""
    removing: bool = False
    """Somebody removes it just now: it cannot be started."""
    removed: bool = False

    @property
    def tty(self) -> bool:
        """Whether its program has a terminal."""
        return bool(self.body.get("Tty"))

    @property
    def open_stdin(self) -> bool:
        """Whether its program's standard input is kept open."""
        return bool(self.body.get("OpenStdin"))

    @property
    def hostname(self) -> str:
        """What it calls itself: the short id, unless something else was asked for."""
        return str(self.body.get("Hostname") or self.id[:12])

    @property
    def network_mode(self) -> str:
        """`bridge`, `none`, `host`, `container:X`, or a network's name."""
        mode = str(self.host_config.get("NetworkMode") or "default")
        return "bridge" if mode == "default" else mode

    @property
    def auto_remove(self) -> bool:
        """Whether it is removed at its end: `docker run --rm`."""
        return bool(self.host_config.get("AutoRemove"))

    def change(self, status: str) -> None:
        """Note a new state, and wake whoever waits for one."""
        with self.changed:
            self.state.status = status
            self.changed.notify_all()

    def ended(self, code: int) -> None:
        """Note that its program has ended."""
        with self.changed:
            self.state.exit_code = code
            self.state.finished = time.time_ns()
            self.state.status = "exited"
            self.runs += 1
            self.program = None
            self.changed.notify_all()

    def attributes(self, **more: str) -> dict[str, str]:
        """What events say of it."""
        return {
            **self.effective.labels,
            "image": self.image_ref,
            "name": self.name,
            **more,
        }
