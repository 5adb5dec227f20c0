"""The lives of containers: started, stopped, killed, and started again where that was asked for."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING, Final

from natlab.daemon import running
from natlab.daemon.container import Container
from natlab.daemon.mounts import make_sources
from natlab.daemon.program import Program, why_not_run
from natlab.errors import ExecError, NatlabError
from natlab.kernel import confine
from natlab.model import signals
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

_GRACE: Final = 10
"""Seconds that `docker stop` waits before it kills, unless told otherwise."""
_FIRST_BACKOFF: Final = 0.1
_LONGEST_BACKOFF: Final = 60.0


class Lives:
    """Starts and ends the containers of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self, container: Container) -> bool:
        """Start it; False if it runs already. Equivalent to: `docker start NAME`.

        Raises:
            Refusal: it is paused or being removed (409), or its program cannot be run (400).
            NatlabError: its network or ports cannot be had; the message is Docker's.
        """
        with self._engine.lock:
            if container.state.status == "paused":
                raise Refusal("cannot start a paused container, try unpause instead", 409)
            if container.removed or container.removing:
                raise Refusal("container is marked for removal and cannot be started", 409)
            if container.state.running:
                return False
            self._start(container)
            self._engine.containers.tell(container, "start")
        return True

    def _start(self, container: Container) -> None:
        engine = self._engine
        container.stopping = False
        container.output.begin()
        try:
            with contextlib.ExitStack() as undo:
                undo.callback(engine.plugging.unplug, container)
                make_sources(engine, container)
                engine.plugging.plug(container)
                running.write_files(engine, container)
                engine.volumes.tell_mounted(container)
                undo.callback(engine.volumes.tell_unmounted, container)
                self._run(container)
                undo.pop_all()
        except ExecError as error:
            self._failed(container, str(error), error.code)
            raise Refusal(why_not_run(error), 400) from error
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
        engine = self._engine
        container.output.end()
        container.state.error = error
        container.state.exit_code = code
        with container.changed:
            container.runs += 1
            container.changed.notify_all()
        if container.auto_remove:
            engine.volumes.removal.leave(engine.containers.drop(container, volumes=True))

    # Its end

    def _ended(self, container: Container, code: int) -> None:
        engine = self._engine
        with engine.lock:
            for execution in container.execs.values():
                execution.container_ended()
            engine.plugging.unplug(container)
            container.output.end()
            container.ended(code)
            self._engine.containers.tell(container, "die", exitCode=str(code))
            engine.volumes.tell_unmounted(container)
            if self._restarts(container, code):
                self._restart_later(container)
            elif container.auto_remove:
                engine.volumes.removal.leave(engine.containers.drop(container, volumes=True))

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
            if container.state.status != "restarting" or container.stopping or container.removed:
                return
            with contextlib.suppress(NatlabError):
                self._start(container)
                self._engine.containers.tell(container, "start")

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
            self._engine.containers.unpause(container)
        self._signal(container, program, number)
        if not self.await_end(container, run, None if grace < 0 else grace):
            self._signal(container, program, signal.SIGKILL)
            self.await_end(container, run)
        self._engine.containers.tell(container, "stop")
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
                raise Refusal(f"container {container.id} is not running", 409)
            if number in (signal.SIGKILL, signal.SIGTERM):
                container.stopping = True
        self._signal(container, program, number)
        if number == signal.SIGKILL:
            self.await_end(container, run)

    def _signal(self, container: Container, program: Program | None, number: int) -> None:
        if program is not None:
            program.signal(number)
            self._engine.containers.tell(container, "kill", signal=str(int(number)))

    def await_end(self, container: Container, run: int, timeout: float | None = None) -> bool:
        """Wait until the run of that number is over; False if it still goes on after a while."""
        with container.changed:
            return container.changed.wait_for(
                lambda: container.runs > run or container.removed, timeout
            )

    def restart(self, container: Container, grace: float | None = None) -> None:
        """Stop it if it runs, and start it. Equivalent to: `docker restart NAME`.

        Raises:
            Refusal: `Cannot restart container NAME: …` (500), whatever the reason is.
        """
        try:
            self.stop(container, grace)
            self.start(container)
        except Refusal as error:
            raise Refusal(f"Cannot restart container {container.name}: {error}", 500) from error
        self._engine.containers.tell(container, "restart")
