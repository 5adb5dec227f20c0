"""`dockerd` on a lab host: natlab's engine as a program that a person starts there.

    dockerd [-H unix://PATH] [--icc=false] [--userland-proxy=false]

It owns the containers of the host on which it is started, and ends with SIGTERM.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from natlab.api.lifetime import Lifetime
from natlab.api.service import DockerEngine
from natlab.engine.host import Host
from natlab.errors import NatlabError, UsageError
from natlab.kernel import namespaces
from natlab.kernel.agent import Agent, Namespace

SOCKET: Final = "/run/docker.sock"
"""Where Docker clients look for it: /var/run is /run."""


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"dockerd: {message}: see `dockerd --help`")


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Options(prog="dockerd", description="natlab's Docker engine, for this lab host")
    parser.add_argument("-H", "--host", default=f"unix://{SOCKET}", help="where it listens")
    for name, says in (
        ("--icc", "whether containers of docker0 reach each other"),
        ("--userland-proxy", "whether published ports get a userland proxy"),
    ):
        parser.add_argument(name, type=_flag, nargs="?", const=True, default=True, help=says)
    options = parser.parse_args(arguments)
    if not options.host.startswith("unix:///"):
        raise UsageError(
            f"dockerd: {options.host} is no unix socket: give one like unix://{SOCKET}"
        )
    return options


def serve(arguments: Sequence[str]) -> None:
    """Be the engine of the host on which this process stands, until SIGTERM.

    Raises:
        NatlabError: an engine runs here already, or something of it cannot be had.
    """
    options = _options(arguments)
    lifetime = Lifetime()
    agent = Agent.join(os.getpid())
    try:
        place = Namespace(agent, agent.call(None, namespaces.here))
        host = Host(socket.gethostname(), place, userland_proxy=options.userland_proxy)
        path = Path(options.host.removeprefix("unix://"))
        with DockerEngine(host, path, icc=options.icc):
            print(f"API listen on {path}", flush=True)  # noqa: T201 - as dockerd says it
            lifetime.wait(agent)
    finally:
        agent.close()


def main() -> None:
    """Run it; one clear line for every error."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        serve(sys.argv[1:])
    except NatlabError as error:
        print(f"dockerd: {error}", file=sys.stderr)  # noqa: T201 - the program's one error line
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
