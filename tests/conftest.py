"""What every test may ask for: labs that are up, and gone again after the test."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Self

import ordinary_user
import pytest

from natlab import Lab

INSTALLED = "natlab" in {each.name for each in entry_points(group="pytest11")}
"""Whether the plugin is loaded by itself; from a source tree that is not installed, it is not."""

pytest_plugins = ["pytester", *([] if INSTALLED else ["natlab.pytest_plugin"])]

SRC = Path(__file__).parents[1] / "src"


def pytest_collection_modifyitems(items):
    """What waits for the ordinary user's run comes last."""
    items.sort(key=lambda item: item.path.parent.name == "ordinary")


@pytest.fixture(scope="session", autouse=True)
def ordinary_run(request):
    """The ordinary user's run, begun with the first test if its results are asked for."""
    asked = any(item.path.parent.name == "ordinary" for item in request.session.items)
    if not asked or os.geteuid() != 0 or ordinary_user.AGAIN in os.environ:
        yield None
        return
    if shutil.which("setpriv") is None or shutil.which("setsid") is None:
        pytest.exit("setpriv and setsid are missing: sudo apt-get install util-linux", 1)
    run = ordinary_user.Run(Path(tempfile.mkdtemp(prefix="natlab-")))
    yield run
    run.end()


@pytest.fixture
def terminal():
    """A terminal as a person sits at: our end, and the one to be handed to a client."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def lab():
    """The classroom: outside, ubuntu1 and ubuntu2 on one LAN, bare."""
    with Lab() as lab:
        yield lab


@pytest.fixture
def lab_without_proxy():
    """The same, without Docker's userland proxy."""
    with Lab(userland_proxy=False) as lab:
        yield lab


@pytest.fixture
def script(tmp_path):
    """Start a Python program of the test's own that uses natlab, in a process of its own."""
    started = []

    def start(text: str, *arguments: str) -> subprocess.Popen[str]:
        path = tmp_path / f"script{len(started)}.py"
        path.write_text(text)
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path), *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SRC), *filter(None, sys.path)])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


class Family:
    """A process and everything below it, watched by pidfd from the moment it was asked for."""

    def __init__(self, pid: int) -> None:
        self.pids = _descendants(pid)
        self._pidfds = [os.pidfd_open(member) for member in self.pids]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pidfd in self._pidfds:
            os.close(pidfd)

    def all_end(self, timeout: float = 10.0) -> bool:
        """Wait until every one of them has ended."""
        deadline = time.monotonic() + timeout
        for pidfd in self._pidfds:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return False
        return True


def _descendants(pid: int) -> list[int]:
    """A process's children and theirs, the process left out."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    found = [int(child) for child in children]
    return [member for child in found for member in (child, *_descendants(child))]


@pytest.fixture
def family():
    """Watch a process's descendants: `with family(pid) as members: … members.all_end()`."""
    return Family


@pytest.fixture
def descendants():
    """The pids below a process: `descendants(pid)`."""
    return _descendants


@pytest.fixture
def descriptors():
    """How many descriptors this process has open: `descriptors()`."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))


_CHANGING = re.compile(r"^net\.netfilter\.nf_conntrack_count = .*\n", re.MULTILINE)
_LIFETIMES = re.compile(r"(valid_lft|preferred_lft) \d+sec|expires \d+sec")
_LOOKS = {
    "addresses": "ip -d addr",
    "routes": "ip -4 route show table all; ip -6 route show table all",
    "rules": "ip rule; ip -6 rule",
    "names": "ls -lA /run/netns /var/run/netns 2>&1 || true",
    "settings": "sysctl -a -r '^net' 2>/dev/null || true",
    "mounts": "cat /proc/mounts",
    "hostname": "hostname; cat /etc/hosts /etc/resolv.conf",
    # Its own, not those of the ordinary user's run beside it; and where that user's journal is.
    "temporary files": f"ls -A {tempfile.gettempdir()} | grep -i natlab || true",
    "journal": "ls -d /tmp/natlab-$UID 2>/dev/null || true",
    "ruleset": "nft list ruleset",
}


def machine_facts() -> dict[str, str]:
    """What the machine itself holds, less what changes of its own accord."""
    found = {}
    for name, command in _LOOKS.items():
        if name == "ruleset" and (os.geteuid() != 0 or shutil.which("nft") is None):
            continue
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[name] = _LIFETIMES.sub("", _CHANGING.sub("", done.stdout))
    return found


@pytest.fixture
def machine():
    """Look at the machine: `before = machine()`, and later `assert machine() == before`."""
    return machine_facts
