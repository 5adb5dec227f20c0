"""Images: `docker images`, `pull`, `import`, `load`, `save`, `tag`, `rmi`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from natlab.api.http import TAR_TYPE, Empty, Request, Response, Routes, Stream, json_response
from natlab.api.object_views import image_details, image_history, image_summary
from natlab.daemon.engine import Engine
from natlab.daemon.image import Image
from natlab.model.filters import Filters, parse_filters
from natlab.model.references import parse_reference
from natlab.model.refusal import Refusal

_FILTERS = ("before", "dangling", "label", "reference", "since", "until")

routes: Routes[Engine] = Routes()


@routes.get("/images/json")
def images(engine: Engine, request: Request) -> Response:
    """`docker images`."""
    filters = parse_filters(request.query.text("filters"), _FILTERS)
    found = sorted(engine.images, key=lambda image: image.created, reverse=True)
    return json_response([image_summary(engine, i) for i in found if _wanted(engine, i, filters)])


def _wanted(engine: Engine, image: Image, filters: Filters) -> bool:
    checks = [filters.labels("label", image.config.labels)]
    if "dangling" in filters:
        checks.append(bool(not image.tags) == filters.flag("dangling", default=False))
    if "reference" in filters:
        names = {*image.tags, *(tag.rpartition(":")[0] for tag in image.tags)}
        checks.append(filters.glob("reference", *names))
    for key in ("before", "since"):
        for reference in filters.get(key):
            other = engine.images.find(reference).created
            checks.append(image.created < other if key == "before" else image.created > other)
    until = filters.until(time.time_ns())
    if until is not None:
        checks.append(image.created <= until)
    return all(checks)


@routes.get("/images/{name:path}/json")
def inspect(engine: Engine, request: Request) -> Response:
    """`docker image inspect`."""
    return json_response(image_details(engine.images.find(request.params["name"])))


@routes.get("/images/{name:path}/history")
def history(engine: Engine, request: Request) -> Response:
    """`docker history`."""
    return json_response(image_history(engine.images.find(request.params["name"])))


@routes.post("/images/create")
def create(engine: Engine, request: Request) -> Response:
    """`docker pull` and `docker import`."""
    query = request.query
    source = query.text("fromSrc")
    if source:
        if source != "-":
            raise Refusal(
                f"natlab does not fetch {source}: fetch it yourself, and give docker import the"
                " file or `-`"
            )
        name, tag = query.text("repo"), query.text("tag")
        image = engine.transfer.import_tree(
            request.chunks(),
            f"{name}:{tag}" if name and tag else name,
            changes=query.values("changes"),
            message=query.text("message"),
        )
        return Stream(_lines([{"status": image.id}]))
    return Stream(_lines(_pulled(engine, query.text("fromImage"), query.text("tag"))))


def _pulled(engine: Engine, name: str, tag: str) -> list[dict[str, Any]]:
    """What `docker pull` says of an image that is there; the others are nowhere to be had."""
    text = f"{name}@{tag}" if ":" in tag else f"{name}:{tag}" if tag else name
    reference = parse_reference(text).tagged
    new = engine.images.pull(text)
    how = "Downloaded newer image" if new else "Image is up to date"
    return [
        {"status": f"Pulling from {reference.path}", "id": reference.tag or reference.digest},
        {"status": f"Digest: {engine.images.find(str(reference)).id}"},
        {"status": f"Status: {how} for {reference}"},
    ]


@routes.post("/images/load")
def load(engine: Engine, request: Request) -> Response:
    """`docker load`."""
    lines = []
    for image, tags in engine.transfer.load(request.chunks()):
        names = [f"Loaded image: {tag}\n" for tag in tags] or [f"Loaded image ID: {image.id}\n"]
        lines += [{"stream": name} for name in names]
    return Stream(_lines(lines))


def _lines(values: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    for value in values:
        yield json.dumps(value).encode() + b"\r\n"


@routes.get("/images/get")
def save(engine: Engine, request: Request) -> Response:
    """`docker save` of several images."""
    return _saved(engine, request.query.values("names"))


@routes.get("/images/{name:path}/get")
def save_one(engine: Engine, request: Request) -> Response:
    """`docker save` of one image."""
    return _saved(engine, [request.params["name"]])


def _saved(engine: Engine, names: Iterable[str]) -> Response:
    chosen: dict[Image, list[str]] = {}
    for name in names:
        for image, tags in engine.images.named(name):
            known = chosen.setdefault(image, [])
            known += [tag for tag in tags if tag not in known]
    if not chosen:
        raise Refusal("no image given: name one")
    items = engine.transfer.save(list(chosen.items()))
    return Stream(items, TAR_TYPE, on_close=items.close)


@routes.post("/images/{name:path}/tag")
def tag(engine: Engine, request: Request) -> Response:
    """`docker tag`."""
    image = engine.images.find(request.params["name"])
    engine.images.tag(image, request.query.text("repo"), request.query.text("tag"))
    return Empty(201)


@routes.delete("/images/{name:path}")
def remove(engine: Engine, request: Request) -> Response:
    """`docker rmi`."""
    done = engine.images.remove(request.params["name"], force=request.query.flag("force"))
    return json_response(done)


@routes.post("/images/prune")
def prune(engine: Engine, request: Request) -> Response:
    """`docker image prune`."""
    filters = parse_filters(request.query.text("filters"), ("dangling", "label", "label!", "until"))
    until = filters.until(time.time_ns())

    def wanted(image: Image) -> bool:
        old = until is None or image.created <= until
        return old and filters.labels("label", image.config.labels)

    all_unused = not filters.flag("dangling", default=True)
    done, freed = engine.images.prune(wanted, all_unused=all_unused)
    return json_response({"ImagesDeleted": done or None, "SpaceReclaimed": freed})
