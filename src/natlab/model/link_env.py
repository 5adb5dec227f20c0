"""Links: what `--link` says, and the variables that the container gets from it.

    DB_PORT=tcp://172.17.0.2:5432                the first port: tcp before others, then the lowest
    DB_PORT_5432_TCP=tcp://172.17.0.2:5432       and …_ADDR, …_PORT, …_PROTO for each port
    DB_PORT_5432_TCP_PORT_START=5432             and …_START, …_END, …_PORT_END for runs of ports
    DB_NAME=/web/db
    DB_ENV_POSTGRES_USER=app                     each variable of the target but HOME and PATH

Links are of the default network; in others, names are resolved (moby daemon/links).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from natlab.model.addresses import Address
from natlab.model.names import one_line
from natlab.model.publish import Exposed
from natlab.model.refusal import Refusal

_RUN: Final = 3
"""How many ports in a row make a run: two do not (moby `nextContiguous`)."""
_LEFT_OUT: Final = frozenset({"HOME", "PATH"})


@dataclass(frozen=True)
class Link:
    """A wish to reach a container under a name.

    Attributes:
        target: The other container's name or id.
        alias: What it is called in this one.
    """

    target: str
    alias: str


def parse_link(text: str) -> Link:
    """Read the value of a link: `db`, `db:database`, or as inspect shows it `/db:/web/database`.

    Equivalent to: `docker run --link TEXT` (moby opts.ParseLink).

    Raises:
        Refusal: `empty string specified for links`, `bad format for links: a:b:c`.
    """
    if not text:
        raise Refusal("empty string specified for links")
    target, colon, alias = text.partition(":")
    if ":" in alias:
        raise Refusal(f"bad format for links: {one_line(text)}")
    if not colon:
        return Link(text, text)
    if target.startswith("/"):
        return Link(target[1:], alias.rpartition("/")[2])
    return Link(target, alias)


def link_env(
    name: str, alias: str, address: Address, ports: Iterable[Exposed], env: Iterable[str] = ()
) -> tuple[str, ...]:
    """Give the variables that a link adds to a container, in Docker's order.

    Args:
        name: The container that gets them.
        alias: What the other one is called in it.
        address: The other one's address.
        ports: The ports that the other one exposes.
        env: The other one's own variables: `NAME=value`.
    """
    prefix = alias.rpartition("/")[2].upper().replace("-", "_")
    ordered = sorted(set(ports), key=lambda port: (port.proto != "tcp", port.proto, port.port))
    pairs = [variable.partition("=") for variable in env]
    return (
        *_port_variables(prefix, address, ordered),
        f"{prefix}_NAME=/{name.removeprefix('/')}/{alias}",
        *(f"{prefix}_ENV_{k}={value}" for k, eq, value in pairs if eq and k not in _LEFT_OUT),
    )


def _port_variables(prefix: str, address: Address, ports: list[Exposed]) -> Iterator[str]:
    if ports:
        yield f"{prefix}_PORT={_url(address, ports[0])}"
    runs = _runs(ports)
    for run in runs:
        for port in run:
            start = f"{prefix}_PORT_{port.port}_{port.proto.upper()}"
            yield f"{start}={_url(address, port)}"
            yield f"{start}_ADDR={address}"
            yield f"{start}_PORT={port.port}"
            yield f"{start}_PROTO={port.proto}"
        if len(run) >= _RUN:
            start = f"{prefix}_PORT_{run[0].port}_{run[0].proto.upper()}"
            yield f"{start}_START={_url(address, run[0])}"
            yield f"{start}_PORT_START={run[0].port}"
            yield f"{start}_END={_url(address, run[-1])}"
            yield f"{start}_PORT_END={run[-1].port}"


def _runs(ports: list[Exposed]) -> list[list[Exposed]]:
    """Put ports together whose numbers follow each other."""
    runs: list[list[Exposed]] = []
    for port in ports:
        last = runs[-1][-1] if runs else None
        if last and last.proto == port.proto and last.port + 1 == port.port:
            runs[-1].append(port)
        else:
            runs.append([port])
    return runs


def _url(address: Address, port: Exposed) -> str:
    return f"{port.proto}://{address}:{port.port}"
