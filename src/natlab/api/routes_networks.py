"""Networks: `docker network …`."""

from __future__ import annotations

import time

from natlab.api.http import Empty, Request, Response, Routes, json_response
from natlab.api.object_views import network_details
from natlab.daemon.creation import endpoint
from natlab.daemon.engine import Engine
from natlab.daemon.network import Network
from natlab.model.body_shapes import membership_body, network_body
from natlab.model.filters import Filters, parse_filters
from natlab.model.refusal import Refusal

_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")

routes: Routes[Engine] = Routes()


@routes.get("/networks")
def networks(engine: Engine, request: Request) -> Response:
    """`docker network ls`."""
    filters = parse_filters(request.query.text("filters"), _FILTERS)
    found = [network for network in engine.networks if _wanted(engine, network, filters)]
    return json_response([network_details(engine, network, verbose=False) for network in found])


def _wanted(engine: Engine, network: Network, filters: Filters) -> bool:
    checks = [
        filters.exact("driver", network.driver),
        filters.prefix("id", network.id),
        filters.labels("label", network.labels),
        filters.pattern("name", network.name),
        filters.exact("scope", "local"),
        filters.exact("type", "builtin" if network.predefined else "custom"),
    ]
    if "dangling" in filters:
        unused = network in engine.networks.unused()
        checks.append(unused == filters.flag("dangling", default=False))
    return all(checks)


@routes.get("/networks/{id}")
def network(engine: Engine, request: Request) -> Response:
    """`docker network inspect`."""
    return json_response(network_details(engine, engine.networks.find(request.params["id"])))


@routes.post("/networks/create")
def create(engine: Engine, request: Request) -> Response:
    """`docker network create`."""
    made = engine.networks.create(network_body(request.json()))
    return json_response({"Id": made.id, "Warning": ""}, 201)


@routes.post("/networks/{id}/connect")
def connect(engine: Engine, request: Request) -> Response:
    """`docker network connect`."""
    body = membership_body(request.json())
    found = engine.networks.find(request.params["id"])
    container = engine.containers.find(_container(body))
    engine.plugging.connect(container, endpoint(found, body.get("EndpointConfig") or {}))
    return Empty(200)


@routes.post("/networks/{id}/disconnect")
def disconnect(engine: Engine, request: Request) -> Response:
    """`docker network disconnect`."""
    body = membership_body(request.json())
    found = engine.networks.find(request.params["id"])
    engine.plugging.disconnect(engine.containers.find(_container(body)), found)
    return Empty(200)


def _container(body: dict[str, object]) -> str:
    name = body.get("Container")
    if not isinstance(name, str) or not name:
        raise Refusal("no container given: name one in the field Container")
    return name


@routes.delete("/networks/{id}")
def remove(engine: Engine, request: Request) -> Response:
    """`docker network rm`."""
    engine.networks.remove(engine.networks.find(request.params["id"]))
    return Empty()


@routes.post("/networks/prune")
def prune(engine: Engine, request: Request) -> Response:
    """`docker network prune`."""
    filters = parse_filters(request.query.text("filters"), ("until", "label", "label!"))
    until = filters.until(time.time_ns())
    removed = []
    for found in engine.networks.unused():
        young = until is not None and found.created > until
        if not young and filters.labels("label", found.labels):
            engine.networks.remove(found)
            removed.append(found.name)
    return json_response({"NetworksDeleted": removed or None})
