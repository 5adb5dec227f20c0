"""The names a route is written with.

routes: Routes[Engine] = Routes()

@routes.get("/containers/{id}/json")
def inspect(engine: Engine, request: Request) -> Response:
    return json_response(engine.containers.find(request.params["id"]).inspect())
"""

from natlab.api.channel import Channel
from natlab.api.errors import ApiError
from natlab.api.gone import Gone
from natlab.api.query import Query
from natlab.api.request import Request
from natlab.api.response import (
    JSON_TYPE,
    MULTIPLEXED_STREAM,
    RAW_STREAM,
    TAR_TYPE,
    Body,
    Empty,
    Hijack,
    Response,
    Stream,
    json_response,
    text_response,
)
from natlab.api.routing import Handler, Routes
from natlab.api.server import Server

__all__ = [
    "JSON_TYPE",
    "MULTIPLEXED_STREAM",
    "RAW_STREAM",
    "TAR_TYPE",
    "ApiError",
    "Body",
    "Channel",
    "Empty",
    "Gone",
    "Handler",
    "Hijack",
    "Query",
    "Request",
    "Response",
    "Routes",
    "Server",
    "Stream",
    "json_response",
    "text_response",
]
