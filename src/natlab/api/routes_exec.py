"""Programs started in a running container: `docker exec`."""

from __future__ import annotations

import contextlib

from natlab.api.http import Channel, Empty, Hijack, Request, Response, Routes, json_response
from natlab.api.routes_containers import named
from natlab.api.routes_streams import talk_over
from natlab.api.streams import STDERR, STDOUT, frame
from natlab.daemon.engine import Engine
from natlab.daemon.execs import Exec
from natlab.errors import NatlabError
from natlab.model.body_shapes import exec_body
from natlab.model.refusal import Refusal

routes: Routes[Engine] = Routes()


@routes.post("/containers/{id}/exec")
def create_exec(engine: Engine, request: Request) -> Response:
    """Get ready for `docker exec`."""
    made = engine.execs.create(named(engine, request), exec_body(request.json()))
    return json_response({"Id": made.id}, 201)


@routes.post("/exec/{id}/start")
def start_exec(engine: Engine, request: Request) -> Response:
    """`docker exec`."""
    execution, body = engine.execs.find(request.params["id"]), exec_body(request.json())
    wanted = execution.body
    if body.get("Detach"):
        execution.output.close()  # nobody will read it
        engine.execs.start(execution, stdin=False)
        return Empty(200)
    reader = execution.output.reader(follow=True)
    streams = {
        number
        for number, key in ((STDOUT, "AttachStdout"), (STDERR, "AttachStderr"))
        if wanted.get(key) or execution.tty
    }

    def feed(channel: Channel) -> None:
        _feed_exec(channel, execution)

    def talk(channel: Channel) -> None:
        try:
            engine.execs.start(execution, stdin=bool(wanted.get("AttachStdin")))
        except NatlabError as error:
            _say(channel, f"{error}\r\n".encode(), tty=execution.tty)
            return
        attached = feed if wanted.get("AttachStdin") else None
        try:
            talk_over(channel, reader, streams, tty=execution.tty, feed=attached)
        finally:
            execution.output.close()

    return Hijack(talk, multiplexed=not execution.tty)


def _say(channel: Channel, text: bytes, *, tty: bool) -> None:
    """Why a program could not be run: the client sees it as its output, as with Docker."""
    with contextlib.suppress(OSError):
        channel.send(text if tty else frame(STDOUT, text))


def _feed_exec(channel: Channel, execution: Exec) -> None:
    program = execution.program
    while program is not None and (data := channel.receive()):
        if not program.write(data):
            return
    if program is not None and not program.tty:
        program.close_input()


@routes.post("/exec/{id}/resize")
def resize_exec(engine: Engine, request: Request) -> Response:
    """Tell the terminal of an exec how large it is."""
    execution = engine.execs.find(request.params["id"])
    rows, columns = (request.query.number(key, 0) or 0 for key in ("h", "w"))
    if execution.program is None:
        raise Refusal(f"exec {execution.id} is not running", 409)
    execution.program.resize(rows, columns)
    return Empty(200)


@routes.get("/exec/{id}/json")
def inspect_exec(engine: Engine, request: Request) -> Response:
    """What became of an exec: its exit code."""
    execution = engine.execs.find(request.params["id"])
    path, *args = execution.argv
    return json_response(
        {
            "ID": execution.id,
            "Running": execution.running,
            "ExitCode": execution.exit_code,
            "ProcessConfig": {
                "tty": execution.tty,
                "entrypoint": path,
                "arguments": args,
                "privileged": bool(execution.body.get("Privileged")),
                "user": execution.body.get("User") or "",
            },
            "OpenStdin": bool(execution.body.get("AttachStdin")),
            "OpenStderr": bool(execution.body.get("AttachStderr")),
            "OpenStdout": bool(execution.body.get("AttachStdout")),
            "CanRemove": not execution.running,
            "ContainerID": execution.container.id,
            "DetachKeys": "",
            "Pid": execution.pid if execution.running else 0,
        }
    )
