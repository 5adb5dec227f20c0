"""The light kind of container: a network namespace of its own, and the host's files."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from natlab.engine import calling, process
from natlab.engine.log import Log
from natlab.engine.node import Node
from natlab.engine.process import Completed, Process
from natlab.errors import UsageError
from natlab.testing.container import Runnable


class Light:
    """A program or callable in a container that is a network namespace and nothing else."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._log = Log()
        self._call: calling.Call | None = None
        self._process: Process

    def begin(self, what: Runnable, args: Sequence[Any], env: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            NatlabError: there is no such program.
            UsageError: the callable cannot be sent.
        """
        try:
            if callable(what):
                self._call = calling.start(
                    self._node.place, what, args, env=env, output=self._log.writer
                )
                self._process = self._call.process
            else:
                argv = _argv(what, args)
                self._process = process.start(
                    self._node.place, argv, env=env, output=self._log.writer
                )
        except BaseException:
            self._log.close()
            raise
        self._log.begun()

    def wait(self, timeout: float) -> Any:
        """See `Program`."""
        __tracebackhide__ = True
        return self._call.result(timeout) if self._call else self._process.wait(timeout)

    def wait_for(self, text: str, timeout: float) -> str:
        """See `Program`."""
        return self._log.wait_for(text, self._process, timeout)

    def logs(self) -> str:
        """See `Program`."""
        return self._log.text()

    def ends_within(self, seconds: float) -> bool:
        """See `Program`."""
        return not self._process.running or bool(self._process.end_or([], seconds))

    def execute(
        self, what: Runnable, args: Sequence[Any], env: Mapping[str, str], timeout: float
    ) -> Any:
        """See `Program`."""
        __tracebackhide__ = True
        if callable(what):
            return self._node.call(what, *args, env=env, timeout=timeout)
        done: Completed = self._node.run(_argv(what, args), env=env, timeout=timeout)
        return done

    def kill(self) -> None:
        """See `Program`."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._log.close)
            stack.callback((self._call or self._process).close)
            stack.callback(self._process.kill)

    @property
    def failure(self) -> str | None:
        """See `Program`."""
        return self._call.failure if self._call and not self._call.asked else None


def _argv(what: str | Sequence[str], args: Sequence[Any]) -> list[str]:
    if args:
        raise UsageError("only a Python callable takes arguments: put a program's into its list")
    argv = ["sh", "-c", what] if isinstance(what, str) else [str(word) for word in what]
    if not argv or not argv[0]:
        raise UsageError("docker_host.run: no command given: name a program, or give a callable")
    return argv
