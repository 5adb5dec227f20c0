"""A real dockerd, in namespaces of its own: the machine's network and mounts stay as they are."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

_START = """
mount --make-rprivate / && mount -t tmpfs none /run && ip link set lo up &&
ip link add eth0 type veth peer name peer0 && ip addr add 192.0.2.2/24 dev eth0 &&
ip link set eth0 up && ip link set peer0 up &&
exec dockerd --data-root "$1/data" --exec-root /run/dk --pidfile /run/dk.pid \
    -H "unix://$1/docker.sock" --storage-driver overlay2
"""
_READY = "API listen on"


def missing() -> str:
    """What stands in the way of a real engine; empty if nothing does."""
    if os.geteuid() != 0:
        return "a real dockerd needs root"
    if shutil.which("dockerd") is None:
        return "dockerd is not installed (Debian's package docker.io has it)"
    return ""


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start it, and end it with the block; gives what belongs into `DOCKER_HOST`."""
    with tempfile.TemporaryDirectory(prefix="natlab-dockerd-") as directory:
        process = subprocess.Popen(
            ["unshare", "-nm", "sh", "-c", _START, "sh", directory],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        with process:
            said = []
            try:
                for line in process.stderr:
                    said.append(line)
                    if _READY in line:
                        break
                else:
                    raise SystemExit("dockerd did not start:\n" + "".join(said[-5:]))
                drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
                with drain:
                    try:
                        yield f"unix://{directory}/docker.sock"
                    finally:
                        process.send_signal(signal.SIGTERM)
                        process.wait()
            finally:
                if process.poll() is None:
                    process.kill()


def tree(*programs: str) -> bytes:
    """A tar with programs of this machine and the libraries that they need."""
    wanted = {shutil.which(program) or program for program in programs}
    for program in list(wanted):
        said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        wanted |= {word for line in said.splitlines() for word in line.split() if word[0] == "/"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(wanted):
            data = Path(path).resolve().read_bytes()
            info = tarfile.TarInfo(path.lstrip("/"))
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()
