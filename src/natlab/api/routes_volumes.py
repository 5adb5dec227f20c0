"""Volumes: `docker volume ls`, `create`, `inspect`, `rm`, `prune`."""

from __future__ import annotations

from natlab.api.http import Empty, Request, Response, Routes, json_response
from natlab.api.object_views import volume_details
from natlab.daemon.engine import Engine
from natlab.kernel.volumes import Volume
from natlab.model.body_shapes import volume_body
from natlab.model.filters import Filters, parse_filters
from natlab.model.mount_points import LOCAL
from natlab.model.volume_names import ANONYMOUS

_LISTED = ("dangling", "driver", "label", "name")
_PRUNED = ("all", "label", "label!")

routes: Routes[Engine] = Routes()


@routes.get("/volumes")
def volumes(engine: Engine, request: Request) -> Response:
    """`docker volume ls`."""
    filters = parse_filters(request.query.text("filters"), _LISTED)
    filters.flag("dangling", default=True)
    found = [volume for volume in engine.volumes.all() if _listed(engine, volume, filters)]
    return json_response({"Volumes": list(map(volume_details, found)), "Warnings": None})


def _listed(engine: Engine, volume: Volume, filters: Filters) -> bool:
    return (
        filters.pattern("name", volume.name)
        and filters.exact("driver", LOCAL)
        and filters.labels("label", volume.labels or {})
        and (
            "dangling" not in filters
            or filters.flag("dangling", default=True) is not bool(engine.volumes.users(volume.name))
        )
    )


@routes.get("/volumes/{name}")
def volume(engine: Engine, request: Request) -> Response:
    """`docker volume inspect`."""
    return json_response(volume_details(engine.volumes.find(request.params["name"])))


@routes.post("/volumes/create")
def create(engine: Engine, request: Request) -> Response:
    """`docker volume create`."""
    body = volume_body(request.json())
    made, _ = engine.volumes.create(
        body.get("Name") or "",
        driver=body.get("Driver") or "",
        options=body.get("DriverOpts"),
        labels=body.get("Labels"),
    )
    return json_response(volume_details(made), 201)


@routes.delete("/volumes/{name}")
def remove(engine: Engine, request: Request) -> Response:
    """`docker volume rm`."""
    engine.volumes.removal.remove(request.params["name"], force=request.query.flag("force"))
    return Empty()


@routes.post("/volumes/prune")
def prune(engine: Engine, request: Request) -> Response:
    """`docker volume prune`: the anonymous ones that no container has, or with `all` every one."""
    filters = parse_filters(request.query.text("filters"), _PRUNED)
    everything = filters.flag("all", default=False)

    def wanted(volume: Volume) -> bool:
        labels = volume.labels or {}
        return (everything or ANONYMOUS in labels) and filters.labels("label", labels)

    removed, freed = engine.volumes.removal.prune(wanted)
    return json_response({"VolumesDeleted": removed, "SpaceReclaimed": freed})
