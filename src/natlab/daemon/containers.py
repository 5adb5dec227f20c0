"""The life of containers: started, stopped, killed, paused, renamed, removed."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from natlab.daemon import creation, running
from natlab.daemon.container import Container
from natlab.daemon.program import Program
from natlab.errors import ExecError, NatlabError
from natlab.kernel import confine, files
from natlab.model import identity, signals
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

_GRACE: Final = 10
"""Seconds that `docker stop` waits before it kills, unless told otherwise."""
_FIRST_BACKOFF: Final = 0.1
_LONGEST_BACKOFF: Final = 60.0


class Containers:
    """Every container of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_id: dict[str, Container] = {}

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._by_id.values()))

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

    # Beginning

    def create(self, name: str | None, body: dict[str, Any]) -> tuple[Container, list[str]]:
        """Make a container that does not run yet; returns it and warnings.

        Equivalent to: `docker create --name NAME … IMAGE COMMAND`.

        Raises:
            Refusal: the name is taken (409), there is no such image or network (404), or the
                request makes no sense (400).
        """
        engine = self._engine
        with engine.lock:
            container, warnings = creation.create(engine, name, body)
            engine.layers.hold(container.tree.layers)
            self._by_id[container.id] = container
        self._tell(container, "create")
        return container, warnings

    def check_free(self, name: str) -> None:
        """Check that no container has a name.

        Raises:
            Refusal: one has it (409).
        """
        other = self.named(name)
        if other is not None:
            raise identity.name_conflict(name, other.id)

    def start(self, container: Container) -> bool:
        """Start it; False if it runs already. Equivalent to: `docker start NAME`.

        Raises:
            Refusal: it is paused or being removed (409), or its program cannot be run (400).
            NatlabError: its network or ports cannot be had; the message is Docker's.
        """
        with self._engine.lock:
            if container.state.status == "paused":
                raise Refusal("cannot start a paused container, try unpause instead", 409)
            if container.removed or container.state.status == "removing":
                raise Refusal("container is marked for removal and cannot be started", 409)
            if container.state.running:
                return False
            self._start(container)
        self._tell(container, "start")
        return True

    def _start(self, container: Container) -> None:
        engine = self._engine
        container.stopping = False
        container.output.begin()
        try:
            with contextlib.ExitStack() as undo:
                undo.callback(engine.plugging.unplug, container)
                engine.plugging.plug(container)
                running.write_files(engine, container)
                self._run(container)
                undo.pop_all()
        except ExecError as error:
            self._failed(container, str(error), error.code)
            raise Refusal(f"failed to create task for container: {error}", 400) from error
        except NatlabError as error:
            self._failed(container, str(error), 128)
            raise
        container.state.error = ""
        container.state.exit_code = 0
        container.state.started = time.time_ns()
        container.state.finished = 0
        container.change("running")

    def _run(self, container: Container) -> None:
        engine = self._engine
        spec = running.confinement(engine, container)
        container.program = Program(
            engine.agent,
            engine.pump,
            container.output,
            lambda stdio: engine.place.call(confine.start, spec, stdio),
            tty=container.tty,
            stdin=container.open_stdin,
            ended=lambda code: self._ended(container, code),
        )

    def _failed(self, container: Container, error: str, code: int) -> None:
        container.output.end()
        container.state.error = error
        container.state.exit_code = code
        with container.changed:
            container.runs += 1
            container.changed.notify_all()
        if container.auto_remove:
            self._remove(container)

    # Its end

    def _ended(self, container: Container, code: int) -> None:
        engine = self._engine
        with engine.lock:
            for execution in container.execs.values():
                execution.container_ended()
            engine.plugging.unplug(container)
            container.output.end()
            container.ended(code)
            self._tell(container, "die", exitCode=str(code))
            if self._restarts(container, code):
                self._restart_later(container)
            elif container.auto_remove:
                self._remove(container)

    def _restarts(self, container: Container, code: int) -> bool:
        policy = container.host_config.get("RestartPolicy") or {}
        if container.stopping or self._engine.closing:
            return False
        limit = policy.get("MaximumRetryCount") or 0
        return policy.get("Name") in ("always", "unless-stopped") or (
            policy.get("Name") == "on-failure"
            and code != 0
            and (not limit or container.restarts < limit)
        )

    def _restart_later(self, container: Container) -> None:
        """Docker waits 0.1 s, and twice as long each time (moby `restartmanager`)."""
        container.restarts += 1
        container.change("restarting")
        delay = min(_FIRST_BACKOFF * 2 ** (container.restarts - 1), _LONGEST_BACKOFF)
        self._engine.after(delay, lambda: self._start_again(container))

    def _start_again(self, container: Container) -> None:
        with self._engine.lock:
            if container.state.status != "restarting" or container.stopping:
                return
            with contextlib.suppress(NatlabError):
                self._start(container)
                self._tell(container, "start")

    def stop(self, container: Container, grace: float | None = None) -> bool:
        """Ask it to end, and kill it after a while; False if it does not run.

        Equivalent to: `docker stop --time GRACE NAME`.

        Args:
            container: Which.
            grace: Seconds; negative: wait for ever; None: 10, or the container's own.
        """
        if grace is None:
            own = container.body.get("StopTimeout")
            grace = _GRACE if own is None else own
        with self._engine.lock:
            if container.state.status == "restarting":
                container.stopping = True
                container.change("exited")
                return True
            if not container.state.running:
                return False
            container.stopping = True
            number = signals.parse_signal(
                container.body.get("StopSignal") or container.effective.stop_signal
            )
            run, program = container.runs, container.program
        if container.state.status == "paused":
            self.unpause(container)
        self._signal(container, program, number)
        if not self.await_end(container, run, None if grace < 0 else grace):
            self._signal(container, program, signal.SIGKILL)
            self.await_end(container, run)
        self._tell(container, "stop")
        return True

    def kill(self, container: Container, text: str = "SIGKILL") -> None:
        """Send it a signal. Equivalent to: `docker kill --signal TEXT NAME`.

        Raises:
            Refusal: no such signal (400), or it does not run (409).
        """
        number = signals.parse_signal(text or "SIGKILL")
        with self._engine.lock:
            program, run = container.program, container.runs
            if program is None or not container.state.running:
                raise Refusal(
                    f"cannot kill container: {container.id}: container {container.id}"
                    " is not running",
                    409,
                )
            if number in (signal.SIGKILL, signal.SIGTERM):
                container.stopping = True
        self._signal(container, program, number)
        if number == signal.SIGKILL:
            self.await_end(container, run)

    def _signal(self, container: Container, program: Program | None, number: int) -> None:
        if program is not None:
            program.signal(number)
            self._tell(container, "kill", signal=str(int(number)))

    def await_end(self, container: Container, run: int, timeout: float | None = None) -> bool:
        """Wait until the run of that number is over; False if it still goes on after a while."""
        with container.changed:
            return container.changed.wait_for(
                lambda: container.runs > run or container.removed, timeout
            )

    def restart(self, container: Container, grace: float | None = None) -> None:
        """Stop it if it runs, and start it. Equivalent to: `docker restart NAME`."""
        self.stop(container, grace)
        self.start(container)
        self._tell(container, "restart")

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
        self._tell(container, "pause")

    def unpause(self, container: Container) -> None:
        """Let them go on. Equivalent to: `docker unpause NAME`."""
        with self._engine.lock:
            if container.state.status != "paused":
                raise Refusal(f"Container {container.id} is not paused", 409)
            self._engine.agent.call(None, confine.thaw, self.program(container).pid)
            container.change("running")
        self._tell(container, "unpause")

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
            identity.check_name(name)
            self.check_free(name)
            before, container.name = container.name, name
            self._engine.plugging.renamed(container)
        self._tell(container, "rename", oldName=f"/{before}")

    # Its removal

    def remove(self, container: Container, *, force: bool = False) -> None:
        """Remove it with all that it wrote. Equivalent to: `docker rm NAME`.

        Raises:
            Refusal: it runs, and `force` is not set (409).
        """
        if container.state.running or container.state.status == "restarting":
            if not force:
                how = "paused" if container.state.status == "paused" else "running"
                raise Refusal(
                    f'cannot remove container "{container.name}": container is {how}:'
                    " stop the container before removing or force remove",
                    409,
                )
            if container.state.status == "restarting":
                self.stop(container)
            else:
                with contextlib.suppress(Refusal):  # it has ended just now
                    self.kill(container)
        with self._engine.lock:
            self._remove(container)

    def _remove(self, container: Container) -> None:
        if container.removed:
            return
        engine = self._engine
        for execution in container.execs.values():
            engine.execs.forget(execution)
        container.output.close()
        engine.place.call(files.remove_trees, container.directory)
        self._by_id.pop(container.id, None)
        engine.layers.release(container.tree.layers)
        with container.changed:
            container.removed = True
            container.changed.notify_all()
        self._tell(container, "destroy")

    def _tell(self, container: Container, action: str, **more: str) -> None:
        self._engine.events.tell("container", action, container.id, container.attributes(**more))
