"""Programs started in a running container: `docker exec`."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from natlab.daemon import running
from natlab.daemon.container import Container
from natlab.daemon.linking import check_running
from natlab.daemon.output import Output
from natlab.daemon.program import Program, why_not_run
from natlab.errors import ExecError
from natlab.kernel import confine
from natlab.model import identity
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


@dataclass(eq=False)
class Exec:
    """One program that is, was, or will be run in a container."""

    id: str
    container: Container
    argv: tuple[str, ...]
    body: Mapping[str, Any]
    output: Output = field(default_factory=Output)
    program: Program | None = None
    exit_code: int | None = None
    pid: int = 0
    begun: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def tty(self) -> bool:
        """Whether it has a terminal."""
        return bool(self.body.get("Tty"))

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.program is not None

    @property
    def attributes(self) -> dict[str, str]:
        """What events say of it besides."""
        return {"execID": self.id}

    def ended(self, code: int) -> None:
        """Note its end."""
        with self.changed:
            self.exit_code, self.program = code, None
            self.output.end()
            self.changed.notify_all()

    def container_ended(self) -> None:
        """Its container has ended, and it with it: the kernel has seen to that."""
        if not self.begun:
            self.output.close()


class Execs:
    """Every exec of an engine. Docker forgets them with their containers; so does natlab."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_id: dict[str, Exec] = {}

    def find(self, ident: str) -> Exec:
        """One by its id.

        Raises:
            Refusal: `No such exec instance: X` (404).
        """
        found = self._by_id.get(ident)
        if found is None:
            raise Refusal(f"No such exec instance: {ident}", 404)
        return found

    def create(self, container: Container, body: Mapping[str, Any]) -> Exec:
        """Get ready to run a program.

        Raises:
            Refusal: the container does not run or is paused (409), no command (400), or a
                container that it is linked to does not run (500).
        """
        argv = body.get("Cmd")
        if not isinstance(argv, list) or not argv or not all(isinstance(a, str) for a in argv):
            raise Refusal("No exec command specified")
        self._check_running(container)
        check_running(container)
        execution = Exec(identity.new_id(os.urandom(32)), container, tuple(argv), body)
        self._by_id[execution.id] = execution
        container.execs[execution.id] = execution
        self._tell(execution, f"exec_create: {' '.join(argv)}")
        return execution

    def _check_running(self, container: Container) -> None:
        self._engine.containers.program(container)
        if container.state.status == "paused":
            raise Refusal(
                f"container {container.id} is paused, unpause the container before exec", 409
            )

    def start(self, execution: Exec, *, stdin: bool) -> None:
        """Run it. Equivalent to: `docker exec NAME COMMAND`.

        Raises:
            Refusal: it was run already (409), or the program cannot be run (400).
        """
        engine, container = self._engine, execution.container
        with engine.lock:
            if execution.begun:
                raise Refusal(f"exec {execution.id} has already been started", 409)
            self._check_running(container)
            first = engine.containers.program(container)
            entry = running.entry(container, execution.argv, execution.body)
            execution.begun = True
            execution.output.begin()
            try:
                program = Program(
                    engine.agent,
                    engine.pump,
                    execution.output,
                    lambda stdio: engine.agent.call(None, confine.enter, first.pid, entry, stdio),
                    tty=execution.tty,
                    stdin=stdin,
                    ended=lambda code: self._ended(execution, code),
                )
            except ExecError as error:
                execution.ended(error.code)
                raise Refusal(why_not_run(error, exec_in_it=True), 400) from error
            execution.pid = program.pid
            execution.program = program
        self._tell(execution, f"exec_start: {' '.join(execution.argv)}")

    def _ended(self, execution: Exec, code: int) -> None:
        with self._engine.lock:
            execution.ended(code)
        self._tell(execution, "exec_die", exitCode=str(code))

    def forget(self, execution: Exec) -> None:
        """Drop it, with its container."""
        self._by_id.pop(execution.id, None)
        execution.output.close()

    def _tell(self, execution: Exec, action: str, **more: str) -> None:
        container = execution.container
        attributes = container.attributes(**execution.attributes, **more)
        self._engine.events.tell("container", action, container.id, attributes)
