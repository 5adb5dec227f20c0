"""All of the Engine API that natlab has, and a sentence for what it has not."""

from __future__ import annotations

from typing import Final

from natlab.api import (
    routes_archives,
    routes_containers,
    routes_exec,
    routes_images,
    routes_networks,
    routes_none,
    routes_streams,
    routes_system,
    routes_volumes,
)
from natlab.api.http import Routes
from natlab.daemon.engine import Engine

_ANY: Final = ("GET", "POST", "PUT", "DELETE")

_MISSING: Final = {
    "natlab does not build images: use docker import, or docker load of one built elsewhere": (
        ("POST", "/build"),
        ("POST", "/session"),
        ("POST", "/grpc"),
    ),
    "natlab does not commit containers: use docker export and docker import": (
        ("POST", "/commit"),
    ),
    "natlab has no swarm: it is one host's engine": tuple(
        (method, path)
        for name in ("swarm", "services", "tasks", "nodes", "secrets", "configs")
        for path in (f"/{name}", f"/{name}/{{rest:path}}")
        for method in _ANY
    ),
    "natlab has no plugins": (
        ("GET", "/plugins"),
        ("GET", "/plugins/privileges"),
        ("POST", "/plugins/{rest:path}"),
        ("DELETE", "/plugins/{rest:path}"),
    ),
    "natlab has no registry: use docker import or docker load": (
        ("GET", "/images/search"),
        ("POST", "/images/{name:path}/push"),
        ("GET", "/distribution/{name:path}/json"),
    ),
    "natlab measures no resources of containers: it makes no control groups": (
        ("GET", "/containers/{id}/stats"),
        ("POST", "/containers/{id}/update"),
    ),
    "natlab has no checkpoints": (
        ("GET", "/containers/{id}/checkpoints"),
        ("POST", "/containers/{id}/checkpoints"),
        ("DELETE", "/containers/{id}/checkpoints/{name}"),
    ),
    "natlab does not attach by websocket: use POST /containers/{id}/attach": (
        ("GET", "/containers/{id}/attach/ws"),
    ),
}


def all_routes() -> Routes[Engine]:
    """Every route there is."""
    table: Routes[Engine] = Routes()
    for module in (
        routes_system,
        routes_containers,
        routes_streams,
        routes_exec,
        routes_archives,
        routes_images,
        routes_networks,
        routes_volumes,
        routes_none,
    ):
        table.include(module.routes)
    for sentence, paths in _MISSING.items():
        for method, path in paths:
            table.missing(method, path, sentence)
    return table
