"""Containers, the requests that last: `docker wait`, `logs`, `attach`."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator

from natlab.api.http import (
    MULTIPLEXED_STREAM,
    RAW_STREAM,
    Channel,
    Hijack,
    Request,
    Response,
    Routes,
    Stream,
)
from natlab.api.routes_containers import named
from natlab.api.streams import STDERR, STDOUT, frame
from natlab.daemon.container import Container
from natlab.daemon.engine import Engine
from natlab.daemon.output import Chunk, Reader, lines
from natlab.daemon.program import Program
from natlab.model.container_status import format_time, parse_since
from natlab.model.refusal import Refusal

routes: Routes[Engine] = Routes()


@routes.post("/containers/{id}/wait")
def wait(engine: Engine, request: Request) -> Response:
    """`docker wait`: the answer's head leaves at once, since `docker run` waits for it."""
    container = named(engine, request)
    condition = request.query.text("condition") or "not-running"
    if condition not in ("not-running", "next-exit", "removed"):
        raise Refusal(f'invalid condition: "{condition}"')
    runs = container.runs
    request.gone.call(lambda: _wake(container))

    def over() -> bool:
        if condition == "removed" or request.gone.is_set():
            return container.removed or request.gone.is_set()
        if condition == "next-exit":
            return container.runs > runs or container.removed
        return container.state.status in ("exited", "created", "dead") or container.removed

    def items() -> Iterator[bytes]:
        with container.changed:
            container.changed.wait_for(over)
        yield json.dumps({"StatusCode": container.state.exit_code}).encode() + b"\n"

    return Stream(items())


def _wake(container: Container) -> None:
    with container.changed:
        container.changed.notify_all()


@routes.get("/containers/{id}/logs")
def logs(engine: Engine, request: Request) -> Response:
    """`docker logs`."""
    container, query = named(engine, request), request.query
    streams = _streams(request)
    if not streams:
        raise Refusal("Bad parameters: you must choose at least one stream")
    now = time.time_ns()
    since, until = (
        parse_since(text, now) if (text := query.text(key)) not in ("", "0") else None
        for key in ("since", "until")
    )
    tail = _tail(query.text("tail"))
    follow = query.flag("follow") and (container.state.running)
    reader = container.output.reader(follow=follow)
    request.gone.call(reader.stop)
    stamped = query.flag("timestamps")

    def items() -> Iterator[bytes]:
        for line in _tailed(reader, container, tail):
            if line.stream not in streams or (since and line.time < since):
                continue
            if until and line.time > until:
                return
            data = (
                f"{format_time(line.time, fixed=True)} ".encode() + line.data
                if stamped
                else line.data
            )
            yield data if container.tty else frame(line.stream, data)

    kind = RAW_STREAM if container.tty else MULTIPLEXED_STREAM
    return Stream(items(), kind, on_close=reader.stop)


def _tail(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _tailed(reader: Reader, container: Container, tail: int | None) -> Iterator[Chunk]:
    """By lines; of those that are there now only the last ones, if so asked."""
    there = lines(iter(container.output.reader(follow=False))) if tail is not None else ()
    skipped = max(0, sum(1 for _ in there) - (tail or 0)) if tail is not None else 0
    return itertools.islice(lines(iter(reader)), skipped, None)


def _streams(request: Request) -> set[int]:
    wanted = {STDOUT: "stdout", STDERR: "stderr"}
    return {number for number, name in wanted.items() if request.query.flag(name)}


@routes.post("/containers/{id}/attach")
def attach(engine: Engine, request: Request) -> Response:
    """`docker attach`, and what `docker run` does before it starts a container."""
    container, query = named(engine, request), request.query
    if container.state.status == "paused":
        raise Refusal(
            f"container {container.id} is paused, unpause the container before attach", 409
        )
    streams = _streams(request)
    following = query.flag("stream")
    position = 0 if query.flag("logs") else container.output.size
    reader = container.output.reader(position, follow=following)
    stdin = following and query.flag("stdin") and container.open_stdin

    def talk(channel: Channel) -> None:
        engine.containers.tell(container, "attach")
        talk_over(channel, reader, streams, tty=container.tty, feed=feed if stdin else None)

    def feed(channel: Channel) -> None:
        _feed(channel, container)

    return Hijack(talk, multiplexed=not container.tty)


def talk_over(
    channel: Channel,
    reader: Reader,
    streams: set[int],
    *,
    tty: bool,
    feed: Callable[[Channel], None] | None,
) -> None:
    """Send output until its end or the client's; input is fed from a thread of its own."""
    channel.gone.call(reader.stop)
    if feed is not None:
        threading.Thread(target=feed, args=(channel,), daemon=True, name="natlab-stdin").start()
    try:
        for chunk in reader:
            if chunk.stream in streams:
                channel.send(chunk.data if tty else frame(chunk.stream, chunk.data))
    except OSError:
        return
    finally:
        reader.stop()


def _feed(channel: Channel, container: Container) -> None:
    """Hand input on; at its end the program's input ends too, if that was asked for."""
    program = None
    while data := channel.receive():
        program = program or _program(container, channel)
        if program is None or not program.write(data):
            return
    program = program or _program(container, channel)
    if program is not None and container.body.get("StdinOnce") and not program.tty:
        program.close_input()


def _program(container: Container, channel: Channel) -> Program | None:
    """The program of a container, which may be about to be started only."""
    channel.gone.call(lambda: _wake(container))
    runs = container.runs
    with container.changed:
        container.changed.wait_for(
            lambda: (
                container.program is not None
                or container.runs > runs
                or container.removed
                or channel.gone.is_set()
            )
        )
        return container.program
