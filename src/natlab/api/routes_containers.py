"""Containers, the requests that are answered at once: `docker create`, `ps`, `stop`."""

from __future__ import annotations

import time

from natlab.api.container_views import TITLES, details, process_row, shown_ports, summary
from natlab.api.http import Empty, Request, Response, Routes, json_response
from natlab.daemon.container import Container
from natlab.daemon.engine import Engine
from natlab.kernel import confine
from natlab.model.body_shapes import container_body
from natlab.model.filters import Filters, parse_filters
from natlab.model.port_bindings import exposed_ports
from natlab.model.publish import Exposed
from natlab.model.references import parse_reference
from natlab.model.refusal import Refusal

_FILTERS = (
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
)

_STATUSES = ("created", "dead", "exited", "paused", "removing", "restarting", "running")

routes: Routes[Engine] = Routes()


def named(engine: Engine, request: Request) -> Container:
    """The container that a request's path names."""
    return engine.containers.find(request.params["id"])


@routes.get("/containers/json")
def containers(engine: Engine, request: Request) -> Response:
    """`docker ps`."""
    query = request.query
    filters = parse_filters(query.text("filters"), _FILTERS)
    for status in filters.get("status"):
        if status not in _STATUSES:
            raise Refusal(f"Unrecognised filter value for status: {status}")
    everything = query.flag("all") or "status" in filters or "exited" in filters
    limit = query.number("limit", -1) or -1
    now = time.time_ns()
    found = sorted(engine.containers, key=lambda c: c.created, reverse=True)
    found = [c for c in found if _wanted(engine, c, filters)]
    if limit > 0:
        found = found[:limit]
    elif not everything:
        found = [c for c in found if c.state.running or c.state.status == "restarting"]
    return json_response([summary(container, now) for container in found])


def _wanted(engine: Engine, container: Container, filters: Filters) -> bool:
    networks = [e.network for e in container.endpoints.values()]
    checks = [
        filters.pattern("name", container.name, f"/{container.name}"),
        filters.prefix("id", container.id),
        filters.labels("label", container.effective.labels),
        filters.exact("status", container.state.status),
        filters.exact("network", *(n.name for n in networks), *(n.id for n in networks)),
        filters.exact("is-task", "false", "0"),
    ]
    if "exited" in filters:
        over = container.state.status == "exited" and container.state.finished
        checks.append(bool(over) and filters.exact("exited", str(container.state.exit_code)))
    if "ancestor" in filters:
        checks.append(_descends(container, filters))
    for key in ("before", "since"):
        for reference in filters.get(key):
            other = engine.containers.find(reference)
            older = container.created < other.created
            checks.append(older if key == "before" else container.created > other.created)
    if "volume" in filters:
        points = [point for point in container.points if point.shown]
        places = [place for p in points for place in (p.name or p.source, p.target)]
        checks.append(filters.exact("volume", *places))
    if "publish" in filters or "expose" in filters:
        checks.append(_has_port(container, filters))
    return all(checks)


def _has_port(container: Container, filters: Filters) -> bool:
    """Whether `docker ps` shows one of the ports: published on the host, or the container's own."""
    published, own = (set(exposed_ports(filters.get(key))) for key in ("publish", "expose"))
    return any(
        Exposed(row[key], row["Type"]) in wanted
        for row in shown_ports(container)
        for key, wanted in (("PublicPort", published), ("PrivatePort", own))
        if key in row
    )


def _descends(container: Container, filters: Filters) -> bool:
    image, names = container.image, set(container.image.tags)
    for text in filters.get("ancestor"):
        if image.id.removeprefix("sha256:").startswith(text.removeprefix("sha256:")):
            return True
        if str(parse_reference(text).tagged) in names:
            return True
    return False


@routes.post("/containers/create")
def create(engine: Engine, request: Request) -> Response:
    """`docker create`."""
    body = container_body(request.json())
    made, warnings = engine.containers.create(request.query.text("name") or None, body)
    return json_response({"Id": made.id, "Warnings": warnings}, 201)


@routes.get("/containers/{id}/json")
def inspect(engine: Engine, request: Request) -> Response:
    """`docker inspect`."""
    return json_response(details(engine, named(engine, request)))


@routes.post("/containers/{id}/start")
def start(engine: Engine, request: Request) -> Response:
    """`docker start`."""
    return Empty(204 if engine.lives.start(named(engine, request)) else 304)


@routes.post("/containers/{id}/stop")
def stop(engine: Engine, request: Request) -> Response:
    """`docker stop`."""
    grace = request.query.number("t")
    return Empty(204 if engine.lives.stop(named(engine, request), grace) else 304)


@routes.post("/containers/{id}/restart")
def restart(engine: Engine, request: Request) -> Response:
    """`docker restart`."""
    engine.lives.restart(named(engine, request), request.query.number("t"))
    return Empty()


@routes.post("/containers/{id}/kill")
def kill(engine: Engine, request: Request) -> Response:
    """`docker kill`."""
    try:
        engine.lives.kill(named(engine, request), request.query.text("signal"))
    except Refusal as error:
        called = request.params["id"]
        raise Refusal(f"cannot kill container: {called}: {error}", error.status) from error
    return Empty()


@routes.post("/containers/{id}/pause")
def pause(engine: Engine, request: Request) -> Response:
    """`docker pause`."""
    engine.containers.pause(named(engine, request))
    return Empty()


@routes.post("/containers/{id}/unpause")
def unpause(engine: Engine, request: Request) -> Response:
    """`docker unpause`."""
    engine.containers.unpause(named(engine, request))
    return Empty()


@routes.post("/containers/{id}/rename")
def rename(engine: Engine, request: Request) -> Response:
    """`docker rename`."""
    engine.containers.rename(named(engine, request), request.query.text("name"))
    return Empty()


@routes.delete("/containers/{id}")
def remove(engine: Engine, request: Request) -> Response:
    """`docker rm`."""
    query = request.query
    engine.containers.remove(
        named(engine, request), force=query.flag("force"), volumes=query.flag("v")
    )
    return Empty()


@routes.post("/containers/prune")
def prune(engine: Engine, request: Request) -> Response:
    """`docker container prune`."""
    filters = parse_filters(request.query.text("filters"), ("until", "label", "label!"))
    until = filters.until(time.time_ns())
    removed = []
    for container in engine.containers:
        old = until is None or container.created <= until
        over = container.state.status in ("created", "exited", "dead")
        if over and old and filters.labels("label", container.effective.labels):
            engine.containers.remove(container)
            removed.append(container.id)
    return json_response({"ContainersDeleted": removed or None, "SpaceReclaimed": 0})


@routes.post("/containers/{id}/resize")
def resize(engine: Engine, request: Request) -> Response:
    """Tell the terminal of a container how large it is."""
    rows, columns = (request.query.number(key, 0) or 0 for key in ("h", "w"))
    container = named(engine, request)
    engine.containers.program(container).resize(rows, columns)
    engine.containers.tell(container, "resize", height=str(rows), width=str(columns))
    return Empty(200)


@routes.get("/containers/{id}/top")
def top(engine: Engine, request: Request) -> Response:
    """`docker top`: the container's processes."""
    container = named(engine, request)
    program = engine.containers.program(container)
    engine.containers.tell(container, "top")
    found = engine.agent.call(None, confine.processes_of, program.pid)
    return json_response({"Titles": TITLES, "Processes": [process_row(p) for p in found]})
