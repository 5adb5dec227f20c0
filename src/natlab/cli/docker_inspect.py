"""`docker inspect`, and the same for containers, images, networks and volumes."""

from __future__ import annotations

import json
import sys
from typing import Final

from natlab.cli.docker_call import FROM_DAEMON, Call, complain, container_path, part
from natlab.cli.docker_wire import EngineError
from natlab.errors import UsageError
from natlab.model.go_quote import indented
from natlab.model.go_template_run import Template
from natlab.model.go_tokens import TemplateError
from natlab.model.names import one_line

_BAD_TEMPLATE: Final = 64
_NOT_FOUND: Final = 404
_KINDS: Final = ("container", "image", "network", "volume")
_OTHERS: Final = ("config", "node", "plugin", "secret", "service", "task")


def inspect(call: Call) -> int:
    """`docker inspect`: whatever has the name."""
    kind = call.options.text("type")
    if kind and kind not in (*_KINDS, *_OTHERS):
        known = ", ".join(f'"{name}"' for name in sorted((*_KINDS, *_OTHERS)))
        raise UsageError(f'unknown type: "{one_line(kind)}": must be one of {known}')
    return _inspect(call, (kind,) if kind else _KINDS)


def inspect_containers(call: Call) -> int:
    """`docker container inspect`."""
    return _inspect(call, ("container",))


def inspect_images(call: Call) -> int:
    """`docker image inspect`."""
    return _inspect(call, ("image",))


def inspect_networks(call: Call) -> int:
    """`docker network inspect`."""
    return _inspect(call, ("network",))


def inspect_volumes(call: Call) -> int:
    """`docker volume inspect`."""
    return _inspect(call, ("volume",))


def _inspect(call: Call, kinds: tuple[str, ...]) -> int:
    form = call.options.text("format")
    try:
        template = Template("{{json .}}" if form == "json" else form) if form else None
    except TemplateError as error:
        complain(f"template parsing error: {error}")
        return _BAD_TEMPLATE
    found, failed = [], []
    for name in call.arguments:
        try:
            found.append(_raw(call, kinds, name))
        except EngineError as error:
            failed.append(f"{FROM_DAEMON}{error.message}" if len(kinds) == 1 else error.message)
    if template is None:
        together = ",".join(found)
        sys.stdout.write(f"{indented(f'[{together}]')}\n")
    else:
        failed += _filled(template, found)
    for text in failed:
        complain(text)
    return int(bool(failed))


def _filled(template: Template, found: list[str]) -> list[str]:
    """Print each through the template; what went wrong."""
    lines, failed = [], []
    for raw in found:
        try:
            lines.append(template(json.loads(raw)))
        except TemplateError as error:
            failed.append(f"template parsing error: {error}")
    sys.stdout.write("".join(f"{line}\n" for line in lines or [""]))
    return failed


def _raw(call: Call, kinds: tuple[str, ...], name: str) -> str:
    """What the engine answers for the first kind of thing that has the name."""
    size = {"size": "1"} if call.options.on("size") else {}
    error = EngineError("", _NOT_FOUND)
    for kind in kinds:
        try:
            return call.api.ask("GET", _path(kind, name), size if kind == "container" else {}).text
        except EngineError as failed:
            if failed.status != _NOT_FOUND:
                raise
            error = failed
    if len(kinds) > 1:
        raise EngineError(f"Error: No such object: {name}", _NOT_FOUND)
    raise error


def _path(kind: str, name: str) -> str:
    if kind == "container":
        return container_path(name, "/json")
    if kind == "image":
        return f"/images/{part(name)}/json"
    if kind in ("network", "volume"):
        return f"/{kind}s/{part(name)}"
    return f"/{kind}s/{part(name)}" + ("/json" if kind == "plugin" else "")
