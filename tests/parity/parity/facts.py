"""What is not packets: what clients print, files and environments in containers, refusals."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from natlab.errors import NatlabError
from parity.running import Both, Pair
from parity.scenario import Scenario
from parity.sides import Side

_EVERYWHERE = 6
"""How many lines every hosts file begins with."""
Kind = Literal["docker", "inspect", "network", "in", "api", "host"]


@dataclass(frozen=True)
class Ask:
    """One question to both sides; the answers are compared as text.

    Attributes:
        kind: `docker` runs the client; `inspect` and `network` read one field of what docker-py
            inspects; `in` runs a command in a container; `api` sends one request and looks at
            status and message; `host` types at the host.
        what: The client's line, the field (`web NetworkSettings.IPAddress`), the command
            (`web cat /etc/hosts`), or the request (`GET /containers/x/json`, with a body
            behind it).
    """

    kind: Kind
    what: str

    def __str__(self) -> str:
        return f"{'docker ' if self.kind == 'docker' else ''}{self.what}" + (
            f" ({self.kind})" if self.kind != "docker" else ""
        )


@dataclass(frozen=True)
class Facts:
    """One set-up and the questions that are asked then, in order."""

    name: str
    about: str
    docker: tuple[str, ...]
    asks: tuple[Ask, ...]
    options: tuple[str, ...] = ()
    before: tuple[tuple[str, str], ...] = ()


def run(facts: Facts) -> list[Pair]:
    """Ask both sides everything."""
    scenario = Scenario(
        facts.name, facts.about, facts.docker, (), (), facts.options, before=facts.before
    )
    try:
        with Both(scenario) as both:
            both.run()
            return [
                Pair(facts.name, str(ask), *both.each(answer, both.sides, [ask] * 2))
                for ask in facts.asks
            ]
    except (RuntimeError, NatlabError) as error:
        return [Pair(facts.name, str(a), "", f"not made: {error}") for a in facts.asks]


def answer(side: Side, ask: Ask) -> str:
    """What a side answers, less what is accidental: ids, times, MAC addresses."""
    return plain(
        {"docker": _docker, "in": _in, "api": _api, "host": _host}.get(ask.kind, _field)(side, ask)
    )


def _links_sorted(text: str) -> str:
    """A hosts file whose own lines are in order: links come as Go's map gives them."""
    lines = text.splitlines()
    return "\n".join([*lines[:_EVERYWHERE], *sorted(lines[_EVERYWHERE:])])


def _docker(side: Side, ask: Ask) -> str:
    done = side.try_docker(ask.what)
    if ask.what.startswith("port "):  # the client prints a map's entries as they come
        return "\n".join(sorted(done.stdout.splitlines())) + done.stderr
    error = done.stderr.partition("\nSee 'docker ")[0].strip()
    if "{{range .Mounts}}" in ask.what:  # Go's map again
        return ";".join(sorted(plain(done.stdout).split(";")))
    if ask.what.startswith("volume ls"):
        return "\n".join(sorted(plain(done.stdout).splitlines()))
    if ask.what.endswith("cat /etc/hosts") and not done.returncode:
        return _links_sorted(done.stdout)
    return f"{done.stdout.strip()}{f' [{done.returncode}] {error}' if done.returncode else ''}"


def _in(side: Side, ask: Ask) -> str:
    name, _, command = ask.what.partition(" ")
    done = side.try_docker(f"exec {name} {command}")
    if command == "cat /etc/hosts":
        return _links_sorted(done.stdout)
    return done.stdout + done.stderr


def _host(side: Side, ask: Ask) -> str:
    return side.host.run(ask.what).stdout


def _field(side: Side, ask: Ask) -> str:
    name, _, path = ask.what.partition(" ")
    with side.api() as client:
        look = client.api.inspect_container if ask.kind == "inspect" else client.api.inspect_network
        value: Any = look(name)
    for key in path.split("."):
        value = value.get(key, "(no such field)") if isinstance(value, dict) else value
    if path == "HostConfig.Links" and value:
        value = sorted(value)  # they come as Go's map gives them
    return json.dumps(without_ipv6(value), indent=1, sort_keys=True)


def without_ipv6(value: Any) -> Any:
    """Less what is bound at `::` beside `0.0.0.0`."""
    if isinstance(value, dict):
        return {key: without_ipv6(v) for key, v in value.items()}
    if isinstance(value, list):
        kept = (v for v in value if not (isinstance(v, dict) and v.get("HostIp") == "::"))
        return [without_ipv6(v) for v in kept]
    return value


def _api(side: Side, ask: Ask) -> str:
    method, path, *body = ask.what.split(" ", 2)
    with side.api() as client:
        got = client.api.request(
            method,
            f"{client.api.base_url}/v1.41{path}",
            data=body[0] if body else None,
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        text = got.text if got.status_code >= 400 else ""
    with contextlib.suppress(ValueError):
        text = json.loads(text).get("message", text)
    return f"{got.status_code} {text}".strip()


_ACCIDENTAL = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "ID64"),
    (re.compile(r"\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{12}\b"), "ID12"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z\b"), "TIME"),
    (re.compile(r"\b(\d+|a|an|About an?|Less than a) (second|minute)s?( ago)?"), r"SOME TIME\3"),
    (re.compile(r"veth[0-9a-f]{7}"), "VETH"),
    (re.compile(r"(, )?\[?::\]?:\d+(-\d+)?->\d+(-\d+)?/\w+"), ""),
    (re.compile(r"^:::\d+\n?", re.MULTILINE), ""),
    (re.compile(r"^\S+ -> (:::|\[::\]:)\d+\n?", re.MULTILINE), ""),
)


def plain(text: str) -> str:
    """Less what is accidental, and less what is bound at `::` beside `0.0.0.0`."""
    for pattern, instead in _ACCIDENTAL:
        text = pattern.sub(instead, text)
    return text.strip()
