"""A scenario as data: how the hosts are made, what is typed, and which packets are sent then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Proto = Literal["tcp", "udp", "icmp"]


@dataclass(frozen=True)
class Flow:
    """One exchange.

    Attributes:
        frm: The node that begins: `outside`, `host`, `ubuntu2`, or a container.
        to: Address and port. An address is a node's name, `localhost`, `docker0`, `host2` (the
            host's second address), `CONTAINER@NETWORK`, or digits. The port may be
            `CONTAINER/8080`: where that one is published.
        proto: tcp, udp or icmp (then without a port).
        sport: The port it comes from; the kernel chooses unless given.
        size: Bytes of payload; icmp is sent with DF.
        times: How many exchanges, one after the other.
        fresh: Whether the host's connection table is emptied before.
    """

    frm: str
    to: str
    proto: Proto = "tcp"
    sport: int = 0
    size: int = 12
    times: int = 1
    fresh: bool = True

    def __str__(self) -> str:
        extra = "".join(
            f" {word}"
            for word, there in (
                (f"from port {self.sport}", self.sport),
                (f"{self.size} bytes", self.size != 12),
                (f"{self.times} times", self.times != 1),
                ("again", not self.fresh),
            )
            if there
        )
        return f"{self.proto} {self.frm} → {self.to}{extra}"


@dataclass(frozen=True)
class Type:
    """Something typed between two flows: at `on`, or with `docker` if that is empty."""

    line: str
    on: str = ""


@dataclass(frozen=True)
class Scenario:
    """One topology and its flows.

    Attributes:
        name: Short, without spaces.
        about: What it shows, in a sentence.
        docker: Lines for the docker client. `app` is an image that does nothing, EXPOSEs 8080.
        serve: Where something answers: `NODE:PORT` or `NODE:PORT/udp`.
        steps: Flows, and what is typed between them.
        options: The daemon's options.
        before: What is typed at nodes before the engine starts: (node, command).
        after: The same, after the containers have started.
    """

    name: str
    about: str
    docker: tuple[str, ...]
    serve: tuple[str, ...]
    steps: tuple[Flow | Type, ...]
    options: tuple[str, ...] = ()
    before: tuple[tuple[str, str], ...] = ()
    after: tuple[tuple[str, str], ...] = ()

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The flows alone."""
        return tuple(step for step in self.steps if isinstance(step, Flow))
