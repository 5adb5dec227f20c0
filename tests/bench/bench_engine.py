"""Run and remove containers with the real `docker` command: natlab's engine and Docker's own.

    make bench

In each round the client runs the same two commands against both engines, in turn. Printed are
the medians and the ratio; where there is no dockerd, natlab's medians alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import real_engine

from natlab import DockerEngine, Lab

ROUNDS = 21
WARM = 3


class Client:
    """The `docker` command for one engine."""

    def __init__(self, binary: str, url: str) -> None:
        self._binary = binary
        self._env = {**os.environ, "DOCKER_HOST": url}

    def __call__(self, *words: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            [self._binary, *words], env=self._env, input=stdin, capture_output=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"docker {' '.join(words)}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def run_once(self) -> None:
        """Run a container that ends at once."""
        self("run", "--rm", "host", "true")

    def run_and_remove(self) -> None:
        """Run one that goes on, and remove it."""
        self("rm", "-f", self("run", "-d", "host", "sleep", "1000"))


COMMANDS: dict[str, Callable[[Client], None]] = {
    "docker run --rm host true": Client.run_once,
    "docker run -d + docker rm -f": Client.run_and_remove,
}


def timed(command: Callable[[Client], None], client: Client) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    command(client)
    return time.perf_counter() - began


def compare(ours: Client, real: Client | None) -> None:
    """Print the medians of each command."""
    for line, command in COMMANDS.items():
        found: dict[Client, list[float]] = {client: [] for client in (ours, real) if client}
        for number in range(WARM + ROUNDS):
            for client, times in found.items():
                seconds = timed(command, client)
                if number >= WARM:
                    times.append(seconds)
        medians = [statistics.median(times) * 1000 for times in found.values()]
        text = f"{line} (median of {ROUNDS} rounds): natlab {medians[0]:.0f} ms"
        if real is not None:
            text += f", dockerd {medians[1]:.0f} ms, ratio {medians[0] / medians[1]:.2f}"
        print(text)


def main() -> None:
    """Compare, with whatever is there."""
    binary = shutil.which("docker")
    if binary is None:
        print("engines: there is no docker client on this machine, so nothing to time")
        return
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab({"ubuntu1": "192.168.33.11/24"}))
        ours = Client(binary, stack.enter_context(DockerEngine(lab.ubuntu1)).url)
        real = None
        if reason := real_engine.missing():
            print(f"engines: no engine to compare with: {reason}")
        else:
            real = Client(binary, stack.enter_context(real_engine.running()))
            print(f"engines: natlab and dockerd {real('version', '-f', '{{.Server.Version}}')}")
            real("import", "-", "host", stdin=real_engine.tree("true", "sleep"))
        compare(ours, real)


if __name__ == "__main__":
    main()
