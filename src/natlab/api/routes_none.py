"""What an engine of natlab has none of, where a client needs an answer all the same.

`docker inspect NAME` looks for plugins too before it says that there is no such
object, and `docker system prune` tidies up the builder's cache.
"""

from __future__ import annotations

from natlab.api.http import Request, Response, Routes, json_response
from natlab.daemon.engine import Engine
from natlab.model.refusal import Refusal

routes: Routes[Engine] = Routes()


@routes.post("/build/prune")
def prune_builds(_engine: Engine, _request: Request) -> Response:
    """`docker builder prune`."""
    return json_response({"CachesDeleted": None, "SpaceReclaimed": 0})


@routes.get("/plugins/{name:path}/json")
def plugin(_engine: Engine, request: Request) -> Response:
    """`docker plugin inspect`."""
    raise Refusal(f'plugin "{request.params["name"]}" not found', 404)
