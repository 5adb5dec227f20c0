"""Run and remove containers with the real `docker` command: natlab's engine and Docker's own.

    make bench

In each round the client runs the same commands against both engines, in turn. Printed are
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

    def remove(self, ident: str) -> None:
        """Remove a container that runs."""
        self("rm", "-f", ident)


LEAVING: dict[str, tuple[str, ...]] = {
    "docker run -d": ("run", "-d", "host", "sleep", "1000"),
    "docker run -d -P": ("run", "-d", "-P", "--expose", "80", "host", "sleep", "1000"),
}
"""Commands that leave a container behind; its removal is timed apart."""
ONCE = ("run", "--rm", "host", "true")


def timed(command: Callable[[], str | None]) -> tuple[float, str]:
    """Milliseconds that it takes, and what it printed."""
    began = time.perf_counter()
    said = command()
    return (time.perf_counter() - began) * 1000, said or ""


def round_of(client: Client) -> dict[str, float]:
    """How long each command takes, once."""
    found = {"docker run --rm": timed(lambda: client(*ONCE))[0]}
    for line, words in LEAVING.items():
        found[line], ident = timed(lambda words=words: client(*words))
        found[f"docker rm -f of {line.removeprefix('docker ')}"], _ = timed(
            lambda ident=ident: client.remove(ident)
        )
    return found


def compare(ours: Client, real: Client | None) -> None:
    """Print the medians of each command."""
    clients = [client for client in (ours, real) if client]
    rounds = [[round_of(client) for client in clients] for _ in range(WARM + ROUNDS)][WARM:]
    for line in rounds[0][0]:
        medians = [
            statistics.median(found[number][line] for found in rounds)
            for number in range(len(clients))
        ]
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
