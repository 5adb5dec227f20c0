"""Containers for tests: a lab host in a sandbox, and programs run in containers on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from natlab.kernel import confine, machine_made, namespaces, processes
from natlab.kernel.agent import Agent, Namespace
from natlab.kernel.waiting import readable
from natlab.kernel.wire import Fd

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAMS = (
    "sh",
    "cat",
    "ls",
    "id",
    "mkdir",
    "rm",
    "sleep",
    "stat",
    "touch",
    "env",
    "pwd",
    "ln",
    "chmod",
    "grep",
    "head",
    "wc",
)


@dataclass
class Ran:
    """How a program ended, and what it printed."""

    code: int
    out: str
    err: str = ""


class Live:
    """A program that runs in a container."""

    def __init__(self, agent: Agent, started: confine.Started, pipes: list[int]) -> None:
        self.agent, self.pid, self.terminal = agent, started.pid, started.terminal
        self.pidfd, (self.into, self.out, self.err) = started.pidfd, pipes

    def say(self, text: str) -> None:
        os.write(self.terminal.number if self.terminal else self.into, text.encode())

    def hear(self, wanted: str) -> str:
        """Read what it prints until a text is among it, or the end."""
        fd, heard = self.terminal.number if self.terminal else self.out, ""
        while wanted not in heard:
            data = _read(fd)
            if not data:
                break
            heard += data.decode()
        return heard

    def signal(self, number: int) -> None:
        signal.pidfd_send_signal(self.pidfd.number, number)

    def wait(self) -> Ran:
        self._close("into")
        out = self._drain(self.terminal.number if self.terminal else self.out)
        err = self._drain(self.err)
        readable([self.pidfd.number])
        code = self.agent.call(None, processes.exit_code, self.pid)
        self.close()
        return Ran(code, out, err)

    def _drain(self, fd: int) -> str:
        whole = b""
        while fd >= 0 and (data := _read(fd)):
            whole += data
        return whole.decode()

    def _close(self, name: str) -> None:
        if getattr(self, name) >= 0:
            os.close(getattr(self, name))
            setattr(self, name, -1)

    def close(self) -> None:
        for name in ("into", "out", "err"):
            self._close(name)
        self.pidfd.close()
        if self.terminal:
            self.terminal.close()


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # EIO: the last one at the other end of the terminal has gone
        return b""


class Box:
    """A lab host in a sandbox of its own, and containers on it."""

    def __init__(self, agent: Agent, image: Path) -> None:
        self.agent, self.image = agent, str(image)
        number = agent.call(None, machine_made.create_machine, "lab", {}, "127.0.0.1\tlocalhost\n")
        self.host = Namespace(agent, number)
        self.net = Namespace(agent, self.host.call(namespaces.create_net))
        self._lives: list[Live] = []

    def tree(self, *layers: str, name: str = "one") -> confine.Tree:
        """A tree over the machine's own, or other layers, with its changes in memory."""
        return confine.Tree(layers or ("/",), f"/run/test/{name}/up", f"/run/test/{name}/work")

    def spec(self, *argv: str, **options: object) -> confine.Confinement:
        options.setdefault("tree", self.tree())
        options.setdefault("network", self.net.number)
        env = {"PATH": PATH, **options.pop("env", {})}
        return confine.Confinement(argv=argv, env=env, **options)

    def start(self, *argv: str, **options: object) -> Live:
        spec = self.spec(*argv, **options)
        return self._live(spec.tty, lambda stdio: self.host.call(confine.start, spec, stdio))

    def run(self, *argv: str, **options: object) -> Ran:
        return self.start(*argv, **options).wait()

    def sh(self, script: str, **options: object) -> Ran:
        return self.run("sh", "-c", script, **options)

    def enter(self, live: Live, *argv: str, **options: object) -> Live:
        env = {"PATH": PATH, **options.pop("env", {})}
        entry = confine.Entry(argv=argv, env=env, **options)
        return self._live(
            entry.tty, lambda stdio: self.agent.call(None, confine.enter, live.pid, entry, stdio)
        )

    def _live(self, tty: bool, start: object) -> Live:
        if tty:
            live = Live(self.agent, start([]), [-1, -1, -1])
        else:
            theirs, ours = zip(*[os.pipe() for _ in range(3)], strict=True)
            theirs, ours = [theirs[0], ours[1], ours[2]], [ours[0], theirs[1], theirs[2]]
            try:
                live = Live(self.agent, start([Fd(fd) for fd in theirs]), ours)
            except BaseException:
                for fd in ours:
                    os.close(fd)
                raise
            finally:
                for fd in theirs:
                    os.close(fd)
        self._lives.append(live)
        return live

    def agent_descriptors(self) -> int:
        return len(self.agent.call(None, os.listdir, "/proc/self/fd"))

    def children(self) -> list[str]:
        """The children of the agent, by name and state: nothing should stay among them."""
        self.agent.call(None, processes.reap)
        pids = Path(f"/proc/{self.agent.pid}/task/{self.agent.pid}/children").read_text().split()
        return [Path(f"/proc/{pid}/stat").read_text().split(")")[0] for pid in pids]

    def end(self) -> None:
        for live in self._lives:
            with contextlib.suppress(OSError):
                live.signal(signal.SIGKILL)
            live.close()
        self.agent.close()


@pytest.fixture
def box(image):
    box = Box(Agent.start(), image)
    yield box
    box.end()


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """A small image of one layer: a shell, a few programs, two users."""
    root = tmp_path_factory.mktemp("image")
    root.chmod(0o755)
    for name in _PROGRAMS:
        _copy_program(root, shutil.which(name, path="/usr/bin:/bin"))
    (root / "bin").symlink_to("usr/bin")
    (root / "etc").mkdir()
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nwww:x:33:33::/srv/www:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nwww:x:33:\nlogs:x:44:www\n")
    (root / "etc/motd").write_text("hello\n")
    return root


def _copy_program(root: Path, program: str) -> None:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = [word for line in listed.splitlines() for word in line.split() if word[0] == "/"]
    for path in [f"/usr/bin/{Path(program).name}", *libraries]:
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


@pytest.fixture
def as_root():
    """Whether the tests run as root: an ordinary user has one uid only."""
    return os.geteuid() == 0
