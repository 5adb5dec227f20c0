"""`docker logs`, `top`, `port`, `diff`, `events`: what is told of a container, or as it happens."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

from natlab.cli import docker_terminal as terminal
from natlab.cli.common import say
from natlab.cli.docker_call import Call, complain, container_path
from natlab.cli.docker_engine import filters, pieces
from natlab.errors import UsageError
from natlab.model.container_status import parse_since
from natlab.model.docker_events import event_json, event_line, event_view
from natlab.model.docker_frames import Frames
from natlab.model.docker_rows import natural
from natlab.model.docker_tabs import TOP, align
from natlab.model.go_template_run import Template
from natlab.model.go_tokens import TemplateError
from natlab.model.ports import host_and_port

_KINDS: Final = "CAD"
"""How `docker diff` marks what was changed, added, deleted."""


def logs(call: Call) -> int:
    """`docker logs`."""
    options, [name] = call.options, call.arguments
    found = call.api.get(container_path(name, "/json"))
    query = {
        "stdout": "1",
        "stderr": "1",
        "follow": "1" if options.on("follow") else "",
        "timestamps": "1" if options.on("timestamps") else "",
        "details": "1" if options.on("details") else "",
        "tail": options.text("tail"),
        "since": _moment(options.text("since")),
        "until": _moment(options.text("until")),
    }
    answer = call.api.ask("GET", container_path(found["Id"], "/logs"), query, stream=True)
    frames = Frames()
    for data in pieces(answer):
        if found["Config"]["Tty"]:
            terminal.write(1, data)
            continue
        for stream, text in frames.feed(data):
            terminal.write(stream, text)
    return 0


def _moment(text: str) -> str:
    """A time as the engine takes it: seconds since 1970, of `10m` or a date."""
    if not text:
        return ""
    now = time.time_ns()
    seconds, rest = divmod(parse_since(text, now), 10**9)
    return f"{seconds}.{rest:09}" if rest else str(seconds)


def top(call: Call) -> int:
    """`docker top`."""
    name, *words = call.arguments
    query = {"ps_args": " ".join(words)}
    found = call.api.get(container_path(name, "/top"), query)
    lines = [found["Titles"], *(found["Processes"] or ())]
    sys.stdout.write(align("".join("\t".join(line) + "\n" for line in lines), *TOP))
    return 0


def port(call: Call) -> int:
    """`docker port`."""
    name, *wanted = call.arguments
    found = call.api.get(container_path(name, "/json"))["NetworkSettings"]["Ports"] or {}
    if wanted:
        number, _, proto = wanted[0].partition("/")
        bindings = found.get(f"{number}/{proto or 'tcp'}")
        if not number.isdigit():
            raise UsageError(f"Error: invalid port ({wanted[0]}): give one like 80 or 53/udp")
        if not bindings:
            complain(f"Error: No public port '{wanted[0]}' published for {name}")
            return 1
        lines = [_bound(binding) for binding in bindings]
    else:
        lines = [f"{key} -> {_bound(b)}" for key in found for b in found[key] or ()]
    for line in sorted(lines, key=natural):
        say(line)
    return 0


def _bound(binding: dict[str, str]) -> str:
    from ipaddress import ip_address

    return host_and_port(ip_address(binding["HostIp"] or "0.0.0.0"), int(binding["HostPort"]))


def diff(call: Call) -> int:
    """`docker diff`."""
    for change in call.api.get(container_path(call.arguments[0], "/changes")) or ():
        say(f"{_KINDS[change['Kind']]} {change['Path']}")
    return 0


def events(call: Call) -> int:
    """`docker events`."""
    options = call.options
    form = options.text("format")
    try:
        template = Template("{{json .}}" if form == "json" else form) if form else None
    except TemplateError as error:
        complain(f"Error parsing format: {error}")
        return 64
    query = {
        "since": _moment(options.text("since")),
        "until": _moment(options.text("until")),
        "filters": filters(options.all("filter")),
    }
    answer = call.api.ask("GET", "/events", query, stream=True)
    for event in call.api.lines(answer):
        _tell(event, template, as_json=form == "json")
    return 0


def _tell(event: dict[str, Any], template: Template | None, *, as_json: bool) -> None:
    if as_json:
        say(event_json(event))
    elif template is None:
        say(event_line(event))
    else:
        say(template(event_view(event)))
    sys.stdout.flush()
