"""The engine: the containers, networks and images of one lab host, as Docker's clients see them."""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
from collections.abc import Callable
from typing import Final, Self

from natlab.daemon import running
from natlab.daemon.container import Container
from natlab.daemon.containers import Containers
from natlab.daemon.dns import Resolver
from natlab.daemon.events import Events
from natlab.daemon.execs import Execs
from natlab.daemon.images import Images
from natlab.daemon.journal import Journal
from natlab.daemon.layers import Layers
from natlab.daemon.lives import Lives
from natlab.daemon.networks import Networks
from natlab.daemon.plugging import Plugging
from natlab.daemon.pump import Pump
from natlab.daemon.transfer import Transfer
from natlab.daemon.volumes import Volumes
from natlab.engine.host import Host
from natlab.errors import LabGoneError, NatlabError
from natlab.kernel import files
from natlab.kernel.rootfs import STAGE

DIRECTORY: Final = "/run/natlab/docker"
"""Where an engine keeps its files on its lab host; gone with the lab."""


class Engine:
    """What `dockerd` is on a real machine, for one lab host.

    As a context manager it ends with the block: its containers end, its networks go.
    """

    def __init__(self, host: Host, *, icc: bool = True, volumes: str | None = None) -> None:
        self.host = host
        self.place = host.place
        self.agent = host.place.agent
        self.id = str(uuid.uuid4())
        self.directory = DIRECTORY
        self.lock = threading.RLock()
        self.closing = False
        self._timers: set[threading.Timer] = set()
        with contextlib.ExitStack() as undo:
            self._claim = undo.enter_context(_claimed(host))
            self.journal = Journal(host, self.directory)
            self.journal.sweep()
            self.events = Events()
            self.pump = Pump()
            undo.callback(self.pump.close)
            self.resolver = Resolver()
            undo.callback(self.resolver.close)
            self.volumes = Volumes(self, volumes)
            undo.callback(self.volumes.close)
            self.containers = Containers(self)
            self.lives = Lives(self)
            self.execs = Execs(self)
            self.layers = Layers(self)
            undo.callback(self.layers.close)
            self.images = Images(self)
            self.transfer = Transfer(self)
            self.plugging = Plugging(self)
            self.networks = Networks(self, icc=icc)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something later, unless the engine has ended by then."""

        def run() -> None:
            self._timers.discard(timer)
            self.pump.later(work)

        timer = threading.Timer(seconds, run)
        timer.daemon = True
        with self.lock:
            if self.closing:
                return
            self._timers.add(timer)
        timer.start()

    def resolv_conf(self) -> str:
        """The lab host's own `/etc/resolv.conf`."""
        return self.place.call(files.read_all, "/etc/resolv.conf").get("/etc/resolv.conf", "")

    def pid_of(self, container: Container) -> int:
        """The number of its first process in the sandbox; 0 if it does not run."""
        return container.program.pid if container.program and container.state.running else 0

    def files_changed(self, container: Container) -> None:
        """Write a running container's hosts and resolv.conf again: its networks are others now."""
        running.write_files(self, container)

    def close(self) -> None:
        """End every container, take the networks away, and let go of the host."""
        with self.lock:
            if self.closing:
                return
            self.closing = True
            timers, self._timers = set(self._timers), set()
        for timer in timers:
            timer.cancel()
        with contextlib.suppress(LabGoneError):
            for container in self.containers:
                with contextlib.suppress(NatlabError):
                    self.containers.remove(container, force=True)
            self.networks.close()
            self.place.call(files.remove_trees, self.directory, STAGE)
        self.events.close()
        self.pump.close()
        self.resolver.close()
        self.layers.close()
        self.volumes.close()
        self._claim.close()


def _claimed(host: Host) -> socket.socket:
    """A socket that only one engine of a host can have, and that goes with its process.

    Its name is in the host's own network namespace (unix(7), "Abstract").

    Raises:
        NatlabError: another engine runs on that host.
    """
    claim = host.socket(socket.AF_UNIX)
    try:
        claim.bind("\0natlab-engine")
    except OSError as error:
        claim.close()
        raise NatlabError(
            f"an engine runs on {host.name} already: end that one first, or use it"
        ) from error
    return claim
