"""A real dockerd as a program of a lab host: all around it is the lab that natlab's own has."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from natlab.engine.host import Host
from parity import engine_files

_numbers = itertools.count()
_GROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def running(host: Host, options: Sequence[str] = ()) -> Iterator[str]:
    """Start it on a lab host, and end it with the block; gives what belongs into `DOCKER_HOST`."""
    path = engine_files.path()
    group = f"natlab-parity-{os.getpid()}-{next(_numbers)}"
    host.run(["sh", "-ec", _control_groups()], check=True)
    with tempfile.TemporaryDirectory(prefix="natlab-dockerd-") as directory:
        url = f"unix://{directory}/docker.sock"
        dockerd = host.start(
            [
                *("dockerd", "-H", url, "--data-root", "/run/docker-data"),
                *("--exec-root", "/run/docker-exec", "--pidfile", "/run/dockerd.pid"),
                *("--storage-driver", "overlay2", "--log-level", "info"),
                *("--cgroup-parent", f"/{group}", *options),
            ],
            env={"PATH": path},
        )
        try:
            _until_it_listens(dockerd, Path(directory, "docker.sock"))
            yield url
        finally:
            dockerd.signal(signal.SIGTERM)
            dockerd.wait(30)
            dockerd.close()
            _remove_control_group(group)


def _until_it_listens(dockerd, socket: Path) -> None:
    """Its socket is there before it answers; a client that connects by then just waits."""
    dockerd.wait_for("API listen on", timeout=60)
    assert socket.exists()


def _mounts() -> Iterator[tuple[str, str, str]]:
    """The machine's control groups: file system, options, directory."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, directory, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            own = [word for word in options.split(",") if word not in ("rw", "ro", "relatime")]
            kept = [word for word in own if kind == "cgroup" and not word.startswith("no")]
            yield kind, ",".join(kept) or "rw", directory


def _control_groups() -> str:
    """The commands that show a lab host the machine's control groups, which dockerd looks for."""
    mounts = list(_mounts())
    commands = []
    if [directory for _, _, directory in mounts] != [str(_GROUPS)]:
        commands.append(f"mount -t tmpfs none {_GROUPS}")
    for kind, options, directory in mounts:
        commands.append(f"mkdir -p {directory} && mount -t {kind} -o {options} none {directory}")
    return "\n".join(commands)


def _remove_control_group(group: str) -> None:
    for _, _, directory in _mounts():
        root = Path(directory, group)
        for below, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(below)  # noqa: PTH106 - as os.walk gives it
