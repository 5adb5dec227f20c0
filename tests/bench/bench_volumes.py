"""Volumes: their throughput against the bare directory, and a container's start with twenty.

    make bench

What is compared is measured in one run, in turn. The directory, the volume and the container's own
files are on one file system; a volume is a mount and nothing more, so its ratio is 1 within noise.
"""

from __future__ import annotations

import contextlib
import operator
import re
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent))

import real_engine
from bench_engine import Client, timed

from natlab import DockerEngine, Lab
from natlab.engine.host import Host

ROUNDS = 15
WARM = 2
MEGABYTES = 128
MANY = 20
DIRECTORY = "/var/lib/docker/volumes/bench/_data"
SECONDS = re.compile(r"copied, ([0-9.]+) s")

Dd = Callable[..., str]
Name = TypeVar("Name")


def dd(run: Dd, path: str) -> tuple[float, float]:
    """Megabytes in a second that a program writes to a file there, and reads from it."""
    file = f"{path}/file"
    rates = []
    for way in (
        ("if=/dev/zero", f"of={file}", "bs=1M", f"count={MEGABYTES}", "conv=notrunc"),
        (f"if={file}", "of=/dev/null", "bs=1M"),
    ):
        found = SECONDS.search(run("sh", "-c", f"dd {' '.join(way)} 2>&1"))
        if found is None:
            raise SystemExit(f"dd says nothing of seconds in {path}")
        rates.append(MEGABYTES / float(found[1]))
    return rates[0], rates[1]


def throughput(host: Host, docker: Client) -> None:
    """Print how fast a volume, its bare directory and a container's own files are."""
    docker("run", "-d", "--name", "bench", "-v", "bench:/volume", "host", "sleep", "10000")

    def inside(*words: str) -> str:
        return docker("exec", "bench", *words)

    def outside(*words: str) -> str:
        return host.run(list(words), check=True).stdout

    places: dict[str, tuple[Dd, str]] = {
        "directory": (outside, DIRECTORY),
        "volume": (inside, "/volume"),
        "own files": (inside, "/var/tmp"),  # noqa: S108 - in a container
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
    for name in rotating(list(places)):
        run, path = places[name]
        found[name].append(dd(run, path))
    for position, verb in enumerate(("write", "read")):
        rates = {name: [both[position] for both in pairs[WARM:]] for name, pairs in found.items()}
        text = ", ".join(
            f"{name} {statistics.median(own):.0f} MB/s (ratio {ratio(own, rates['directory']):.2f})"
            for name, own in rates.items()
        )
        print(f"{verb} {MEGABYTES} MB (medians of {ROUNDS} rounds): {text}")
    docker("rm", "-f", "bench")


def rotating(names: list[Name]) -> Iterator[Name]:
    """Each name once a round, another one first each time: who comes first pays for warming up."""
    for number in range(WARM + ROUNDS):
        first = number % len(names)
        yield from names[first:] + names[:first]


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' own ratios."""
    return statistics.median(map(operator.truediv, ours, theirs))


def starts(clients: dict[str, Client]) -> None:
    """Print how long `docker run --rm` takes with no volume, and with twenty."""
    many = [word for number in range(MANY) for word in ("-v", f"v{number}:/mnt/{number}")]

    def run(*options: str) -> Callable[[Client], None]:
        return lambda client: print(end=client("run", "--rm", *options, "host", "true"))

    times: dict[tuple[str, int], list[float]] = {(n, c): [] for n in clients for c in (0, MANY)}
    for kind in rotating(list(times)):
        name, count = kind
        times[kind].append(timed(run(*(many if count else [])), clients[name]))
    for name in clients:
        none, twenty = (times[name, count][WARM:] for count in (0, MANY))
        print(
            f"docker run --rm host true (medians of {ROUNDS} rounds): {name}"
            f" {statistics.median(none) * 1000:.0f} ms without a volume,"
            f" {statistics.median(twenty) * 1000:.0f} ms with {MANY},"
            f" ratio {ratio(twenty, none):.2f}"
        )


def main() -> None:
    """Measure, with whatever is there."""
    binary = shutil.which("docker")
    if binary is None:
        print("volumes: there is no docker client on this machine, so nothing to time")
        return
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab({"ubuntu1": "192.168.33.11/24"}))
        ours = Client(binary, stack.enter_context(DockerEngine(lab.ubuntu1)).url)
        throughput(lab.ubuntu1, ours)
        clients = {"natlab": ours}
        if not real_engine.missing():
            real = Client(binary, stack.enter_context(real_engine.running()))
            real("import", "-", "host", stdin=real_engine.tree("true", "sleep"))
            clients["dockerd"] = real
        starts(clients)


if __name__ == "__main__":
    main()
