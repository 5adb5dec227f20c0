"""`docker version` and `docker info`."""

from __future__ import annotations

import sys
from typing import Any

from natlab.cli.docker_call import FROM_DAEMON, Call, complain
from natlab.cli.docker_wire import EngineError, UnreachableError
from natlab.model.docker_info import client_version, info_text, version_text
from natlab.model.go_template_run import Template
from natlab.model.go_tokens import TemplateError
from natlab.release import VERSION

_BAD_TEMPLATE = 64


def version(call: Call) -> int:
    """`docker version`."""
    failed, server = "", None
    try:
        server = call.api.get("/version")
    except EngineError as error:
        failed = f"{FROM_DAEMON}{error.message}"
    except UnreachableError as error:
        failed = str(error)
    api = "" if server is None else call.api.client.api_version
    client = client_version(VERSION, api)
    form = call.options.text("format")
    code = _through(form, {"Client": client, "Server": server}, "version") if form else 0
    if not form:
        sys.stdout.write(version_text(client, server))
    if failed:
        complain(failed)
    return int(bool(failed)) or code


def info(call: Call) -> int:
    """`docker info`."""
    found: dict[str, Any] = call.api.get("/info")
    found["ClientInfo"] = {"Debug": False, "Context": "default", "Version": VERSION}
    form = call.options.text("format")
    if form:
        return _through(form, found, "")
    sys.stdout.write(info_text(found))
    return 0


def _through(form: str, value: Any, name: str) -> int:
    """Print a value through a template."""
    try:
        template = Template("{{json .}}" if form == "json" else form, name)
    except TemplateError as error:
        complain(f"template parsing error: {error}")
        return _BAD_TEMPLATE
    try:
        sys.stdout.write(f"{template(value)}\n")
    except TemplateError as error:
        sys.stdout.write("\n")
        complain(str(error))
        return 1
    return 0
