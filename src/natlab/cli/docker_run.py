"""`docker run`, `create`, `start` and `attach`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from natlab.cli import docker_terminal as terminal
from natlab.cli.common import say
from natlab.cli.docker_call import FROM_DAEMON, Call, complain, container_path, read_lines
from natlab.cli.docker_images import fetch
from natlab.cli.docker_session import Session
from natlab.cli.docker_wire import EngineError, UnreachableError
from natlab.errors import UsageError
from natlab.model.docker_body import creation
from natlab.model.docker_frames import Keys
from natlab.model.names import one_line
from natlab.model.references import parse_reference
from natlab.model.refusal import Refusal

TROUBLE, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
"""Docker's exit codes where no program ran: refused, it cannot be run, it is not there."""

_NO_SUCH_PROGRAM: Final = ("executable file not found", "no such file or directory")
_CANNOT_RUN: Final = ("permission denied", "is a directory")
_PULL: Final = ("always", "missing", "never")
_HTTP_NOT_FOUND: Final = 404


def start_code(message: str) -> int:
    """Docker's exit code for a program that could not be started."""
    if any(text in message for text in _NO_SUCH_PROGRAM):
        return NOT_FOUND
    if any(text in message for text in _CANNOT_RUN):
        return NOT_EXECUTABLE
    return TROUBLE


def _with_help(call: Call, text: str, code: int = TROUBLE) -> int:
    complain(f"docker: {text}\n\nRun 'docker {call.command.name} --help' for more information")
    return code


def _body(call: Call) -> dict[str, Any]:
    image, *argv = call.arguments
    if not image.startswith("sha256:"):
        parse_reference(image)
    pull = call.options.text("pull") or "missing"
    if pull not in _PULL:
        raise UsageError(
            f"invalid pull option: '{one_line(pull)}': must be one of"
            ' "always", "missing" or "never"'
        )
    body = creation(call.options, image, argv, os.environ, read_lines)
    body["HostConfig"]["ConsoleSize"] = list(terminal.size())
    return body


def _create(call: Call, body: dict[str, Any]) -> str:
    """Create the container, its image fetched if need be; its id."""
    options, image = call.options, body["Image"]
    pull = options.text("pull") or "missing"
    cidfile = options.text("cidfile")
    if cidfile and Path(cidfile).exists():
        raise UsageError(
            "container ID file found, make sure the other container isn't running or delete"
            f" {cidfile}"
        )
    if pull == "always":
        fetch(call, image, quiet=options.on("quiet"))
    query = {"name": options.text("name"), "platform": options.text("platform")}
    try:
        answer = call.api.post("/containers/create", query, body)
    except EngineError as error:
        if error.status != _HTTP_NOT_FOUND or pull == "never" or "image" not in error.message:
            raise
        complain(f"Unable to find image '{parse_reference(image).tagged}' locally")
        fetch(call, image, quiet=options.on("quiet"))
        answer = call.api.post("/containers/create", query, body)
    for warning in answer.get("Warnings") or ():
        complain(f"WARNING: {warning}")
    ident: str = answer["Id"]
    if cidfile:
        Path(cidfile).write_text(ident, encoding="ascii")
    return ident


def create(call: Call) -> int:
    """`docker create`."""
    try:
        body = _body(call)
    except (UsageError, Refusal) as error:
        return _with_help(call, str(error))
    say(_create(call, body))
    return 0


def run(call: Call) -> int:
    """`docker run`."""
    options = call.options
    try:
        body = _body(call)
        Keys(options.text("detach-keys"))
        if trouble := _trouble(call, body):
            complain(trouble)
            return 1
        ident = _create(call, body)
        if not body["AttachStdout"] and not body["AttachStderr"]:
            say(ident)
        if options.on("detach"):
            call.api.post(container_path(ident, "/start"))
            return 0
        return _foreground(call, body, ident)
    except EngineError as error:
        return _with_help(call, f"{FROM_DAEMON}{error.message}", start_code(error.message))
    except (UnreachableError, UsageError, Refusal, OSError) as error:
        return _with_help(call, str(error))


def _trouble(call: Call, body: dict[str, Any]) -> str:
    """What is in the way of the streams that are wanted; a detached container gets none."""
    if call.options.on("detach"):
        if call.options.all("attach"):
            return "conflicting options: cannot specify both --attach and --detach"
        body.update(AttachStdin=False, AttachStdout=False, AttachStderr=False, StdinOnce=False)
    elif body["Tty"] and body["AttachStdin"] and not terminal.is_terminal():
        return "the input device is not a TTY"
    return ""


def _foreground(call: Call, body: dict[str, Any], ident: str) -> int:
    """Run a container with the person's streams; its exit code."""
    streams = {name: body[f"Attach{name.capitalize()}"] for name in ("stdin", "stdout", "stderr")}
    with _session(call, ident, tty=body["Tty"]) as session:
        session.attach(streams)
        session.await_end("removed" if call.options.on("rm") else "next-exit")
        try:
            call.api.post(container_path(ident, "/start"))
        except EngineError:
            session.abandon(removed=call.options.on("rm"))
            raise
        return session.talk()


def _session(call: Call, ident: str, *, tty: bool) -> Session:
    options = call.options
    keys = Keys(options.text("detach-keys"))
    return Session(call.api, ident, keys, tty=tty, proxy=bool(options.get("sig-proxy", True)))


def start(call: Call) -> int:
    """`docker start`."""
    options = call.options
    if options.on("attach") or options.on("interactive"):
        if len(call.arguments) > 1:
            complain("you cannot start and attach multiple containers at once")
            return 1
        return _start_attached(call, call.arguments[0])
    failed = []
    for name in call.arguments:
        try:
            call.api.post(container_path(name, "/start"))
        except EngineError as error:
            complain(f"{FROM_DAEMON}{error.message}")
            failed.append(name)
        else:
            say(name)
    if failed:
        complain(f"Error: failed to start containers: {', '.join(failed)}")
    return int(bool(failed))


def _start_attached(call: Call, name: str) -> int:
    found = call.api.get(container_path(name, "/json"))
    config, options = found["Config"], call.options
    stdin = options.on("interactive") and config["OpenStdin"]
    ident = found["Id"]
    with _session(call, ident, tty=config["Tty"]) as session:
        session.attach({"stdin": stdin, "stdout": True, "stderr": True})
        session.await_end("removed" if found["HostConfig"]["AutoRemove"] else "next-exit")
        call.api.post(container_path(ident, "/start"))
        return session.talk()


def attach(call: Call) -> int:
    """`docker attach`."""
    options = call.options
    found = call.api.get(container_path(call.arguments[0], "/json"))
    state, config = found["State"], found["Config"]
    for key, text in (
        ("Running", "You cannot attach to a stopped container, start it first"),
        ("Paused", "You cannot attach to a paused container, unpause it first"),
        ("Restarting", "You cannot attach to a restarting container, wait until it is running"),
    ):
        if state[key] is (key != "Running"):
            complain(text)
            return 1
    stdin = config["OpenStdin"] and not options.on("no-stdin")
    if stdin and config["Tty"] and not terminal.is_terminal():
        complain("the input device is not a TTY")
        return 1
    ident = found["Id"]
    with _session(call, ident, tty=config["Tty"]) as session:
        session.await_end("")
        session.attach({"stdin": stdin, "stdout": True, "stderr": True})
        return session.talk()
