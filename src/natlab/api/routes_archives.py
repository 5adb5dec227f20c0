"""Files of containers as tar archives: `docker cp`, `docker export`, `docker diff`."""

from __future__ import annotations

import base64
import json
from typing import Final

from natlab.api.http import TAR_TYPE, Empty, Request, Response, Routes, Stream, json_response
from natlab.api.routes_containers import named
from natlab.daemon import copying
from natlab.daemon.container import Container
from natlab.daemon.engine import Engine
from natlab.model.container_status import format_time
from natlab.model.refusal import Refusal

_STAT: Final = "X-Docker-Container-Path-Stat"

routes: Routes[Engine] = Routes()


def _path(request: Request) -> str:
    path = request.query.text("path")
    if not path:
        raise Refusal("bad parameter: path cannot be empty")
    if "\0" in path:
        raise Refusal("bad parameter: path has a NUL character in it")
    return path


def _stat_header(engine: Engine, container: Container, path: str, called: str) -> dict[str, str]:
    found = copying.stat(engine, container, path, called)
    value = {
        "name": found.name,
        "size": found.size,
        "mode": found.mode,
        "mtime": format_time(found.mtime),
        "linkTarget": found.link_target,
    }
    return {_STAT: base64.b64encode(json.dumps(value).encode()).decode()}


@routes.head("/containers/{id}/archive")
def stat(engine: Engine, request: Request) -> Response:
    """What is at a path: asked by `docker cp` first."""
    header = _stat_header(engine, named(engine, request), _path(request), request.params["id"])
    return Empty(200, headers=header)


@routes.get("/containers/{id}/archive")
def read(engine: Engine, request: Request) -> Response:
    """`docker cp NAME:PATH …`."""
    container, path, called = named(engine, request), _path(request), request.params["id"]
    header = _stat_header(engine, container, path, called)
    return Stream(copying.read(engine, container, path, called), TAR_TYPE, headers=header)


@routes.put("/containers/{id}/archive")
def write(engine: Engine, request: Request) -> Response:
    """`docker cp … NAME:PATH`."""
    keep_kinds = request.query.flag("noOverwriteDirNonDir")
    copying.write(
        engine,
        named(engine, request),
        _path(request),
        request.chunks(),
        no_overwrite=keep_kinds,
        called=request.params["id"],
    )
    return Empty(200)


@routes.get("/containers/{id}/export")
def export(engine: Engine, request: Request) -> Response:
    """`docker export`."""
    return Stream(copying.export(engine, named(engine, request)), TAR_TYPE)


@routes.get("/containers/{id}/changes")
def changes(engine: Engine, request: Request) -> Response:
    """`docker diff`."""
    found = copying.changes(engine, named(engine, request))
    return json_response([{"Path": one.path, "Kind": one.kind} for one in found] or None)
