"""The containers of an engine: made, found, paused, renamed, removed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from natlab.daemon import creation
from natlab.daemon.container import Container
from natlab.daemon.program import Program
from natlab.daemon.volumes import anonymous_names
from natlab.kernel import confine, files
from natlab.kernel.archives import Job
from natlab.model import identity
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


class Containers:
    """Every container of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_id: dict[str, Container] = {}
        self._coming: dict[str, Container] = {}
        """Those that are being made: nobody finds them yet, but they have names and volumes."""

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._by_id.values()))

    def all_known(self) -> Iterator[Container]:
        """Every container, and those that are being made."""
        return iter([*self._by_id.values(), *self._coming.values()])

    def find(self, reference: str) -> Container:
        """A container by id, name, or the beginning of its id.

        Raises:
            Refusal: `No such container: X` (404), or more than one id begins so.
        """
        names = {ident: container.name for ident, container in list(self._by_id.items())}
        return self._by_id[identity.resolve(reference, names)]

    def named(self, name: str) -> Container | None:
        """The container of that very name, or None."""
        return next((container for container in self if container.name == name), None)

    def create(self, name: str | None, body: dict[str, Any]) -> tuple[Container, list[str]]:
        """Make a container that does not run yet; returns it and warnings.

        Equivalent to: `docker create --name NAME … IMAGE COMMAND`.

        Raises:
            Refusal: the name is taken (409), there is no such image or network (404), or the
                request makes no sense (400).
        """
        engine = self._engine
        made: list[str] = []
        with engine.lock:
            container, warnings = creation.create(engine, name, body)
            engine.layers.hold(container.tree.layers)
            self._coming[container.id] = container
        try:
            with engine.lock:
                container.points = engine.volumes.provide(container.points, made)
            warnings += engine.volumes.fill(container)
        except BaseException:
            self._undo(container, made)
            raise
        with engine.lock:
            if not container.auto_remove:
                engine.volumes.keep(anonymous_names(container))
            self._by_id[container.id] = self._coming.pop(container.id)
        self.tell(container, "create")
        return container, warnings

    def _undo(self, container: Container, volumes: list[str]) -> None:
        """Leave nothing of a container that could not be made, nor of the volumes made for it."""
        engine = self._engine
        with engine.lock:
            del self._coming[container.id]
            container.output.close()
            engine.place.call(files.remove_trees, container.directory)
            engine.layers.release(container.tree.layers)
        engine.volumes.removal.finish(engine.volumes.removal.take_unused(volumes))

    def check_free(self, name: str) -> None:
        """Check that no container has a name.

        Raises:
            Refusal: one has it (409).
        """
        other = next((c for c in self.all_known() if c.name == name), None)
        if other is not None:
            raise identity.name_conflict(name, other.id)

    # While it runs

    def program(self, container: Container) -> Program:
        """Its first process.

        Raises:
            Refusal: it does not run (409).
        """
        program = container.program
        if program is None or not container.state.running:
            raise Refusal(f"container {container.id} is not running", 409)
        return program

    def pause(self, container: Container) -> None:
        """Let all its programs stand still. Equivalent to: `docker pause NAME`."""
        with self._engine.lock:
            program = self.program(container)
            if container.state.status == "paused":
                raise Refusal(f"container {container.id} is already paused", 409)
            self._engine.agent.call(None, confine.freeze, program.pid)
            container.change("paused")
        self.tell(container, "pause")

    def unpause(self, container: Container) -> None:
        """Let them go on. Equivalent to: `docker unpause NAME`."""
        with self._engine.lock:
            if container.state.status != "paused":
                raise Refusal(f"Container {container.id} is not paused", 409)
            self._engine.agent.call(None, confine.thaw, self.program(container).pid)
            container.change("running")
        self.tell(container, "unpause")

    def rename(self, container: Container, name: str) -> None:
        """Give it another name. Equivalent to: `docker rename OLD NEW`.

        Raises:
            Refusal: the name is taken (409), not valid, or its own (400).
        """
        name = name.removeprefix("/")
        with self._engine.lock:
            if not name:
                raise Refusal("Neither old nor new names may be empty", 400)
            if name == container.name:
                raise Refusal("Renaming a container with the same name as its current name", 400)
            try:
                identity.check_name(name)
                self.check_free(name)
            except Refusal as error:
                text = str(error).replace(f"({name})", f"(/{name})")
                raise Refusal(f"Error when allocating new name: {text}", error.status) from error
            before, container.name = container.name, name
            self._engine.plugging.renamed(container)
        self.tell(container, "rename", oldName=f"/{before}")

    # Its removal

    def remove(self, container: Container, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it with all that it wrote. Equivalent to: `docker rm NAME`.

        Args:
            container: Which.
            force: Whether it may run.
            volumes: Whether its anonymous volumes go too, if no other container has them: `-v`.

        Raises:
            Refusal: it runs, and `force` is not set (409).
        """
        with self._engine.lock:
            _check_removable(container, force=force)
            container.removing = container.stopping = True
        going: list[Job] = []
        try:
            with contextlib.suppress(Refusal):  # it does not run, or has ended just now
                self._engine.lives.kill(container)
        finally:
            with self._engine.lock:
                container.removing = False
                if not container.state.running:
                    going = self.drop(container, volumes=volumes)
        self._engine.volumes.removal.finish(going)

    def drop(self, container: Container, *, volumes: bool = False) -> list[Job]:
        """Forget a container that does not run, with its files, and its anonymous volumes if asked.

        Volumes that another container has stay.

        Returns:
            What deletes the files of the volumes.
        """
        if container.removed:
            return []
        engine = self._engine
        for execution in container.execs.values():
            engine.execs.forget(execution)
        container.output.close()
        engine.place.call(files.remove_trees, container.directory)
        self._by_id.pop(container.id, None)
        engine.layers.release(container.tree.layers)
        going = self._let_go(container, volumes=volumes)
        with container.changed:
            container.removed = True
            container.changed.notify_all()
        self.tell(container, "destroy")
        return going

    def _let_go(self, container: Container, *, volumes: bool) -> list[Job]:
        """Remove the anonymous volumes of a container that is not there any more, or keep them."""
        names = anonymous_names(container)
        if volumes:
            return self._engine.volumes.removal.take_unused(names)
        if container.auto_remove:
            self._engine.volumes.keep(names)
        return []

    def tell(self, container: Container, action: str, **more: str) -> None:
        """Tell whoever listens to events what was done with a container."""
        self._engine.events.tell("container", action, container.id, container.attributes(**more))


def _check_removable(container: Container, *, force: bool) -> None:
    """Refuse to remove what runs, unless that is wanted (moby daemon/delete.go)."""
    status = container.state.status
    if container.removing:
        raise Refusal(f"removal of container {container.name} is already in progress", 409)
    if force or not (container.state.running or status == "restarting"):
        return
    how = f"{status}: stop the container before removing or force remove"
    if status == "paused":
        how = "paused and must be unpaused first"
    raise Refusal(f'cannot remove container "/{container.name}": container is {how}', 409)
