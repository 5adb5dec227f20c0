"""Docker's lists: `docker ps`, `images`, `network ls`, `volume ls`, `history`, `system df`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from natlab.cli.docker_call import Call, part
from natlab.cli.docker_engine import filters
from natlab.model import docker_image_rows as images_rows
from natlab.model import docker_rows as rows
from natlab.model.docker_table import Listing
from natlab.model.go_template_run import Row


def _print(call: Call, listing: Listing, found: Sequence[Row]) -> int:
    options = call.options
    sys.stdout.write(listing.text(found, options.text("format"), quiet=options.on("quiet")))
    return 0


def containers(call: Call) -> int:
    """`docker ps`."""
    options = call.options
    last = 1 if options.on("latest") else options.get("last", -1)
    with_size = options.on("size") or "{{.Size}}" in options.text("format").replace(" ", "")
    query = {
        "all": "1" if options.on("all") else "",
        "limit": str(last) if last > 0 else "",
        "size": "1" if with_size else "",
        "filters": filters(options.all("filter")),
    }
    found = call.api.get("/containers/json", query)
    now, trunc = time.time_ns(), not options.on("no-trunc")
    listing = rows.CONTAINERS_WITH_SIZE if options.on("size") else rows.CONTAINERS
    return _print(call, listing, [rows.container_row(one, now, trunc=trunc) for one in found])


def images(call: Call) -> int:
    """`docker images`."""
    options = call.options
    wanted = [*options.all("filter"), *(("reference", name) for name in call.arguments)]
    query = {"all": "1" if options.on("all") else "", "filters": filters(wanted)}
    found = call.api.get("/images/json", query)
    digests = options.on("digests") or "{{.Digest}}" in options.text("format").replace(" ", "")
    now, trunc = time.time_ns(), not options.on("no-trunc")
    listing = images_rows.IMAGES_WITH_DIGESTS if options.on("digests") else images_rows.IMAGES
    lines = [
        row
        for image in found
        for row in images_rows.image_rows(image, now, trunc=trunc, digests=digests)
    ]
    return _print(call, listing, lines)


def history(call: Call) -> int:
    """`docker history`."""
    options = call.options
    found = call.api.get(f"/images/{part(call.arguments[0])}/history")
    now, trunc = time.time_ns(), not options.on("no-trunc")
    human = bool(options.get("human", True))
    lines = [images_rows.history_row(step, now, trunc=trunc, human=human) for step in found]
    return _print(call, images_rows.HISTORY, lines)


def networks(call: Call) -> int:
    """`docker network ls`."""
    found = call.api.get("/networks", {"filters": filters(call.options.all("filter"))})
    trunc = not call.options.on("no-trunc")
    found.sort(key=lambda network: rows.natural(network["Name"]))
    return _print(call, rows.NETWORKS, [rows.network_row(one, trunc=trunc) for one in found])


def volumes(call: Call) -> int:
    """`docker volume ls`."""
    answer = call.api.get("/volumes", {"filters": filters(call.options.all("filter"))})
    found = sorted(answer["Volumes"] or (), key=lambda volume: rows.natural(volume["Name"]))
    return _print(call, rows.VOLUMES, [rows.volume_row(one) for one in found])


def disk_usage(call: Call) -> int:
    """`docker system df`."""
    found = call.api.get("/system/df")
    if call.options.on("verbose"):
        sys.stdout.write(images_rows.disk_details(found, time.time_ns()))
        return 0
    return _print(call, images_rows.DISK_USAGE, images_rows.disk_rows(found))
