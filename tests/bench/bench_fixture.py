"""What a test pays for the fixtures, beside the raw kernel floor and beside other tools.

    make bench

Each line is a ratio of two sides that were measured in one run, in turn, and prints both. Where
another tool is not there, its line says what to install.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bench_attach
import floor_host
import real_engine
from bench_engine import Client

from natlab import DockerHost, FakeDocker, Lab
from natlab.kernel import batch

HERE = Path(__file__).resolve().parent
ROUNDS = 31
OTHERS_ROUNDS = 7


def say(what: str, ours: float, other: float, *, unit: str, goal: str, name: str) -> None:
    """One line: both sides, their ratio, and the goal."""
    ratio = ours / other
    print(
        f"{what}: natlab {ours:.2f} {unit}, {name} {other:.2f} {unit}, ratio {ratio:.2f} ({goal})"
    )


def milliseconds(function: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1000


# One host with docker0 and one published container


def host_up_and_down() -> None:
    """What a test with `docker_host` pays, less the program in the container."""
    with DockerHost() as host:
        host.docker0.add_container("web", "8080")


def against_the_floor() -> float:
    """The same on the kernel alone; returns natlab's median in milliseconds."""
    with Lab({"a": "10.0.0.1/24"}) as lab:
        for _ in range(3):
            host_up_and_down()
        rounds = [
            (milliseconds(host_up_and_down), lab.agent.call(None, floor_host.rounds, 1)[0] * 1000)
            for _ in range(ROUNDS)
        ]
        ours, raw = zip(*rounds, strict=True)
        say(
            "a host with docker0 and a published container, up and down",
            statistics.median(ours),
            statistics.median(raw),
            unit="ms",
            goal="goal: at most 15 ms, and 1.5",
            name="floor",
        )
        print(f"  at best: natlab {min(ours):.2f} ms, floor {min(raw):.2f} ms,", end=" ")
        print(f"ratio {min(ours) / min(raw):.2f}")
        where_it_goes(lab)
    return statistics.median(ours)


def where_it_goes(lab: Lab) -> None:
    """Split a round: the calling process, waking the agent, the agent's work."""
    plain, times = lab.agent.call, []

    def timed(*args, **kwargs):
        began = time.perf_counter()
        try:
            return plain(*args, **kwargs)
        finally:
            times.append((time.perf_counter() - began) * 1000)

    lab.agent.call = timed
    try:
        totals = [milliseconds(host_up_and_down) for _ in range(ROUNDS)]
    finally:
        del lab.agent.call
    calls = len(times) // ROUNDS
    empty = statistics.median(
        milliseconds(lambda: lab.agent.call(None, batch.together, [])) for _ in range(50)
    )
    inside = sum(times) / ROUNDS
    print(
        f"  of it: {sum(totals) / ROUNDS - inside:.2f} ms in the calling process, {calls} round"
        f" trips of {empty:.2f} ms, {inside - calls * empty:.2f} ms of work in the agent (means)"
    )


def against_docker(ours: float) -> None:
    """`docker run -d -p` and `docker rm -f` on a real engine, and on natlab's."""
    binary = shutil.which("docker")
    if binary is None or (reason := real_engine.missing()):
        print(f"docker run -d -p: {reason if binary else 'no docker client is installed'}")
        return

    def once(client: Client) -> None:
        client("rm", "-f", client("run", "-d", "-p", "8080", "host", "sleep", "1000"))

    with real_engine.running() as url, FakeDocker() as fake:
        real, mine = Client(binary, url), Client(binary, fake.url)
        real("import", "-", "host", stdin=real_engine.tree("sleep"))
        rounds = [
            (milliseconds(lambda: once(real)), milliseconds(lambda: once(mine)))
            for _ in range(OTHERS_ROUNDS + 1)
        ][1:]
    docker, engine = (statistics.median(side) for side in zip(*rounds, strict=True))
    print(
        f"docker run -d -p and rm -f: dockerd {docker:.0f} ms, natlab's engine {engine:.0f} ms,"
        f" docker_host {ours:.1f} ms: {docker / ours:.0f} times faster (goal: 20)"
    )


def against(name: str, command: list[str], needs: str, ours: float, goal: int) -> None:
    """Another tool's own host, in namespaces of its own."""
    if os.geteuid() != 0:
        print(f"{name}: needs root")
        return
    start = 'mount --make-rprivate / && mount -t tmpfs none /run && ip link set lo up && exec "$@"'
    done = subprocess.run(
        ["unshare", "-nm", "sh", "-c", start, "sh", *command, str(OTHERS_ROUNDS)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"{name}: not to be had here ({needs})")
        return
    rounds = [tuple(map(float, line.split())) for line in done.stdout.splitlines() if line]
    up, down = (statistics.median(side) * 1000 for side in zip(*rounds, strict=True))
    print(
        f"{name}, one host: {up:.0f} ms up, {down:.0f} ms down, docker_host {ours:.1f} ms:"
        f" {(up + down) / ours:.0f} times faster (goal: {goal})"
    )


# Many containers


def one_more() -> None:
    """What a container costs when there are few, and when a bridge is nearly full."""
    with DockerHost() as host:
        add = host.docker0.add_container
        times = [milliseconds(functools.partial(add, f"c{n}", "80")) for n in range(1010)]
    raw = [seconds * 1000 for seconds in bench_attach.floor_times(1010)]
    few, many = statistics.median(times[5:25]), statistics.median(times[985:1005])
    goal = "goal: at most 1.3"
    say("one container more, of 1,000", many, few, unit="ms", goal=goal, name="of 10")
    few, many = statistics.median(raw[5:25]), statistics.median(raw[985:1005])
    print(f"  the kernel alone: {many:.2f} ms and {few:.2f} ms, ratio {many / few:.2f}")


# Traffic


def serve(port: int) -> None:
    """Accept connections, and close them, for ever."""
    import socket

    with socket.create_server(("", port), backlog=4096) as listener:
        while True:
            peer, _ = listener.accept()
            peer.close()


def connect_often(address: str, port: int, seconds: float) -> float:
    """New connections a second."""
    import socket
    import struct
    import time

    reset = struct.pack("ii", 1, 0)
    count, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            sock.connect((address, port))
        count += 1
    return count / spent


LINEAR = """
table ip linear {{
chain before {{
type nat hook prerouting priority -150;
fib daddr type local jump ports
}}
chain ports {{
{rules}
}}
}}
"""


@contextlib.contextmanager
def publishing(count: int, *, linear: bool = False) -> Iterator[tuple[DockerHost, int]]:
    """A server behind the last of so many published ports; one rule after the other, if asked.

    That is how Docker's chain of DNAT rules is passed.
    """
    with DockerHost() as host:
        last = 10000 + count - 1
        spec = f"10000-{last}:20000-{last + 10000}" if count > 1 else "10000:20000"
        web = host.run(serve, last + 10000, publish=() if linear else spec)
        web.wait_for_port(last + 10000)
        if linear:
            rules = (
                f'iifname != "docker0" tcp dport {port} counter dnat to {web.ip}:{port + 10000}'
                for port in range(10000, last + 1)
            )
            host.node.nft(LINEAR.format(rules="\n".join(rules)))
        yield host, last


def rate(count: int, *, linear: bool = False) -> float:
    """New connections a second, from outside through the last published port."""
    with publishing(count, linear=linear) as (host, port):
        host.outside.call(connect_often, host.ip, port, 0.1)
        return host.outside.call(connect_often, host.ip, port, 1.0)


def many_ports() -> None:
    """One published port, a thousand, and a thousand as Docker's chain has them."""
    rounds = [(rate(1), rate(1000), rate(1000, linear=True)) for _ in range(3)]
    one, many, chain = (statistics.median(side) for side in zip(*rounds, strict=True))
    what = "new connections with 1,000 published ports"
    say(what, many, one, unit="a second", goal="goal: at least 0.9", name="with one")
    say(what, many, chain, unit="a second", goal="goal: at least 1.7", name="by a linear chain")


def receive(port: int, size: int) -> None:
    """Take so many bytes."""
    import socket

    with socket.create_server(("", port)) as listener:
        while True:
            peer, _ = listener.accept()
            with peer:
                buffer, left = bytearray(1 << 20), size
                while left > 0:
                    left -= peer.recv_into(buffer) or left
                peer.sendall(b".")


def send(address: str, port: int, size: int) -> float:
    """Gigabits a second."""
    import socket
    import time

    with socket.create_connection((address, port)) as sock:
        chunk, began = bytes(1 << 20), time.perf_counter()
        for _ in range(size >> 20):
            sock.sendall(chunk)
        sock.recv(1)
        return size * 8 / (time.perf_counter() - began) / 1e9


def bulk() -> None:
    """Bytes through a published port, and routed plainly to the container's own address."""
    size = 512 << 20
    with DockerHost() as host:
        web = host.run(receive, 80, size, publish="8000:80")
        web.wait_for_port(80)
        host.outside.add_route("172.17.0.0/16", via=host.ip)
        rounds = [
            (
                host.outside.call(send, host.ip, 8000, size),
                host.outside.call(send, web.ip, 80, size),
            )
            for _ in range(5)
        ]
    published, routed = (statistics.median(side) for side in zip(*rounds, strict=True))
    goal = "goal: at least 0.95"
    what = "bulk through a published port"
    say(what, published, routed, unit="Gbit/s", goal=goal, name="plain routing")


# A run that uses none of it


def importing() -> None:
    """What loading the plugin takes, beyond pytest itself."""
    code = (
        "import pytest, time; t = time.perf_counter(); import natlab.pytest_plugin;"
        "print((time.perf_counter() - t) * 1000)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(7)
    ]
    print(f"plugin import beyond pytest: {statistics.median(times):.1f} ms (goal: at most 10 ms)")


def main() -> None:
    """All of it."""
    importing()
    ours = against_the_floor()
    against_docker(ours)
    script = str(HERE / "others_mininet.py")
    against("Mininet", ["/usr/bin/python3", script], "Debian's package mininet", ours, 5)
    script = str(HERE / "others_dummynet.py")
    against("dummynet", [sys.executable, script], "pip install dummynet", ours, 50)
    one_more()
    many_ports()
    bulk()


if __name__ == "__main__":
    main()
