"""All of the Engine API that natlab has, and a sentence for what it has not."""

from __future__ import annotations

from typing import Final

from natlab.api import (
    routes_archives,
    routes_containers,
    routes_images,
    routes_networks,
    routes_streams,
    routes_system,
)
from natlab.api.http import Routes
from natlab.daemon.engine import Engine

_MISSING: Final = {
    "natlab does not build images: use docker import, or docker load of one built elsewhere": (
        ("POST", "/build"),
        ("POST", "/build/prune"),
        ("POST", "/session"),
        ("POST", "/grpc"),
    ),
    "natlab does not commit containers: use docker export and docker import": (
        ("POST", "/commit"),
    ),
    "natlab has no swarm: it is one host's engine": (
        ("GET", "/swarm"),
        ("POST", "/swarm/init"),
        ("POST", "/swarm/join"),
        ("GET", "/services"),
        ("POST", "/services/create"),
        ("GET", "/tasks"),
        ("GET", "/nodes"),
        ("GET", "/secrets"),
        ("GET", "/configs"),
    ),
    "natlab has no plugins": (("GET", "/plugins"),),
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
    ),
    "natlab does not attach by websocket: use POST /containers/{id}/attach": (
        ("GET", "/containers/{id}/attach/ws"),
    ),
    "natlab has no volumes yet: give a directory of the lab host instead": (
        ("POST", "/volumes/create"),
        ("GET", "/volumes/{name}"),
        ("DELETE", "/volumes/{name}"),
    ),
}


def all_routes() -> Routes[Engine]:
    """Every route there is."""
    table: Routes[Engine] = Routes()
    for module in (
        routes_system,
        routes_containers,
        routes_streams,
        routes_archives,
        routes_images,
        routes_networks,
    ):
        table.include(module.routes)
    for sentence, paths in _MISSING.items():
        for method, path in paths:
            table.missing(method, path, sentence)
    return table
