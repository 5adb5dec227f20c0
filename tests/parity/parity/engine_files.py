"""Where a real engine's programs come from: the machine's own, or Debian's packages unpacked.

Nothing is installed: `apt-get download` and `dpkg-deb --extract` into a folder of the clone.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PACKAGES = ("docker.io", "containerd", "runc", "tini")
FOLDER = Path(os.environ.get("NATLAB_DOCKER_IO", Path(__file__).parents[3] / ".docker.io"))
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class MissingError(Exception):
    """No real engine can be had here; the message says why."""


@functools.cache
def path() -> str:
    """A PATH on which `dockerd`, its helpers and the `docker` client of its version are found.

    Raises:
        MissingError: there is no engine here.
    """
    if os.geteuid() != 0:
        raise MissingError("a real dockerd needs root")
    for program in ("iptables", "mount"):
        if shutil.which(program, path=_SYSTEM) is None:
            raise MissingError(f"a real dockerd needs {program}, which is not installed")
    if shutil.which("dockerd", path=_SYSTEM) and shutil.which("docker", path=_SYSTEM):
        return _SYSTEM
    if not (FOLDER / "usr/sbin/dockerd").exists():
        _unpack()
    return f"{FOLDER}/usr/sbin:{FOLDER}/usr/bin:{_SYSTEM}"


def _unpack() -> None:
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise MissingError(f"dockerd is not installed, and without {program} it cannot be had")
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".docker.io-", dir=FOLDER.parent) as made:
        got = subprocess.run(
            ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *PACKAGES],
            cwd=made,
            capture_output=True,
            text=True,
            check=False,
        )
        if got.returncode:
            said = got.stderr.strip().splitlines() or ["apt-get download failed"]
            raise MissingError(f"Debian's package docker.io cannot be had: {said[-1]}")
        tree = Path(made, "tree")
        for package in Path(made).glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, tree], check=True)
        tree.chmod(0o755)
        try:
            tree.rename(FOLDER)
        except OSError:  # another process was faster
            if not (FOLDER / "usr/sbin/dockerd").exists():
                raise


def missing() -> str:
    """What stands in the way of a real engine; empty if nothing does."""
    try:
        path()
    except MissingError as error:
        return str(error)
    return ""


def client() -> str:
    """The real `docker` client: that of the engine's version if it is there.

    Raises:
        MissingError: there is none.
    """
    try:
        found = shutil.which("docker", path=path())
    except MissingError:
        found = shutil.which("docker")
    if found is None:
        raise MissingError("there is no docker client on this machine")
    return found
