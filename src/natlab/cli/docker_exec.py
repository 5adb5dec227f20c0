"""`docker exec`."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from natlab.cli import docker_terminal as terminal
from natlab.cli.docker_call import FROM_DAEMON, Call, complain, container_path, read_lines
from natlab.cli.docker_run import TROUBLE, start_code
from natlab.cli.docker_talk import Talk
from natlab.cli.docker_wire import EngineError
from natlab.model.docker_body import variables
from natlab.model.docker_frames import Keys


def execute(call: Call) -> int:
    """`docker exec`."""
    options = call.options
    name, *argv = call.arguments
    detach, tty = options.on("detach"), options.on("tty")
    stdin = options.on("interactive") and not detach
    if stdin and tty and not terminal.is_terminal():
        complain("the input device is not a TTY")
        return 1
    size = list(terminal.size())
    body = {
        "User": options.text("user"),
        "Privileged": options.on("privileged"),
        "Tty": tty,
        "ConsoleSize": size if tty else None,
        "AttachStdin": stdin,
        "AttachStdout": not detach,
        "AttachStderr": not detach,
        "DetachKeys": options.text("detach-keys"),
        "Env": variables(options, os.environ, read_lines),
        "WorkingDir": options.text("workdir"),
        "Cmd": argv,
    }
    ident = call.api.post(container_path(name, "/exec"), body=body)["Id"]
    start = {"Detach": detach, "Tty": tty, "ConsoleSize": size if tty else None}
    if detach:
        call.api.post(f"/exec/{ident}/start", body=start)
        return 0
    return _attached(call, ident, start, stdin=stdin)


def _attached(call: Call, ident: str, start: dict[str, Any], *, stdin: bool) -> int:
    """Run it with the person's streams; its exit code."""
    api, tty = call.api, start["Tty"]

    def resize(number: int = signal.SIGWINCH) -> None:
        rows, columns = terminal.size()
        if number == signal.SIGWINCH and tty and rows:
            with contextlib.suppress(EngineError):  # it has ended already
                api.post(f"/exec/{ident}/resize", {"h": str(rows), "w": str(columns)})

    keys = Keys(call.options.text("detach-keys")) if tty and stdin else None
    try:
        stream = api.exchange(f"/exec/{ident}/start", body=start, upgrade=True)
    except EngineError as error:
        complain(f"{FROM_DAEMON}{error.message}")
        failure = start_code(error.message)
        return 1 if failure == TROUBLE else failure
    with contextlib.closing(stream), terminal.signals(terminal.RESIZED) as signals:
        talk = Talk(stream, tty, stdin, None, resize, keys)
        with terminal.raw(wanted=tty and stdin):
            resize()
            talk.run(signals)
    if talk.detached:
        complain("read escape sequence")
        return 0
    code: int = api.get(f"/exec/{ident}/json")["ExitCode"]
    return code
