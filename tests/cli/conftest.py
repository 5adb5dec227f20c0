"""A natlab command line with a journal and a progress file of its own; and `natlab docker`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from natlab import DockerEngine, Lab
from natlab.cli import docker

SRC = Path(__file__).resolve().parents[2] / "src"
CLIENT = [sys.executable, "-m", "natlab", "docker"]


@dataclass
class CommandLine:
    """Runs `natlab` as a person would, with a lab name that nobody else uses."""

    env: dict[str, str]
    name: str

    def __call__(self, *words: str, code: int = 0, **kwargs) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "natlab", *words],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            stdin=subprocess.DEVNULL,
            **kwargs,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr + done.stdout, done.stderr + done.stdout
        return done

    def error(self, *words: str, code: int, **kwargs) -> str:
        """The one line with which a command is refused."""
        return self.one_line(self(*words, code=code, **kwargs).stderr)

    @staticmethod
    def one_line(text: str) -> str:
        """The single line that an error may have."""
        lines = text.strip().splitlines()
        assert len(lines) == 1, text
        assert lines[0].startswith("natlab: ")
        return lines[0]

    def popen(self, *words: str, **kwargs) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "natlab", *words],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            **kwargs,
        )

    def keeper(self) -> int:
        found = re.search(
            rf"^{self.name}: up, kept by process (\d+)", self("status").stdout, re.MULTILINE
        )
        assert found
        return int(found[1])


@pytest.fixture
def natlab(tmp_path):
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    env = {
        **os.environ,
        "PYTHONPATH": str(SRC),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "NATLAB_RUNTIME_DIR": str(runtime),
        "NATLAB_NAME": f"t{uuid.uuid4().hex[:10]}",
    }
    for name in ("NATLAB_INSIDE", "PYTHONUNBUFFERED"):
        env.pop(name, None)
    return CommandLine(env, env["NATLAB_NAME"])


@pytest.fixture
def lab(natlab):
    natlab("up")
    yield natlab
    natlab_down = subprocess.run(
        [sys.executable, "-m", "natlab", "down"], env=natlab.env, capture_output=True, check=False
    )
    assert natlab_down.returncode in (0, 1), natlab_down.stderr


@pytest.fixture(scope="module")
def engine():
    with Lab() as lab, DockerEngine(lab.ubuntu1) as engine:
        yield engine


class Client(subprocess.Popen):
    """A client as a process of its own, which does not outlive its block."""

    def __exit__(self, *trouble) -> None:
        self.kill()
        super().__exit__(*trouble)


@pytest.fixture
def client(engine, natlab):
    """Runs the client as a process of its own; leaves no container behind."""
    env = {**natlab.env, "DOCKER_HOST": engine.url}

    def start(line, *more, **options):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        words = [*CLIENT, *shlex.split(line), *more]
        return Client(words, env=env, **{**pipes, **options})

    yield start
    for container in list(engine.engine.containers):
        engine.engine.containers.remove(container, force=True)


@pytest.fixture
def run(client):
    """Run the client to its end: its exit code, output and complaints."""

    def run(line, *more, stdin=b"", **options):
        with client(line, *more, **options) as process:
            out, err = process.communicate(stdin, timeout=60)
        return process.returncode, out, err

    return run


@pytest.fixture
def asked(engine, capfd):
    """Run the client in this process: its exit code, output and complaints."""

    def asked(line, *more):
        capfd.readouterr()
        code = docker.main(["-H", engine.url, *shlex.split(line), *more])
        return code, *capfd.readouterr()

    return asked
