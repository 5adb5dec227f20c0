"""An engine on a lab host, and clients for it."""

from __future__ import annotations

import contextlib
import gc
import os
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from natlab.api.service import DockerEngine


@pytest.fixture
def engine(lab):
    """The Docker engine of ubuntu1."""
    with DockerEngine(lab.ubuntu1) as engine:
        yield engine


@pytest.fixture
def client(engine):
    """docker-py, as `docker.from_env()` gives it where `DOCKER_HOST` is set."""
    import docker

    client = docker.DockerClient(base_url=engine.url, timeout=30)
    yield client
    client.close()
    with warnings.catch_warnings():  # docker-py does not close connections that were upgraded
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def ended():
    """End a stream of docker-py's: `ended(logs)`; its own `close` leaves the descriptor open."""

    def end(stream) -> None:
        stream.close()
        stream._response.close()

    return end


class Docker:
    """The unmodified `docker` command: `docker("run --rm host true")` gives what it printed."""

    def __init__(self, binary: str, env: dict[str, str]) -> None:
        self.binary, self.env = binary, {**os.environ, **env}
        self.started: list[subprocess.Popen[bytes]] = []

    def run(self, line: str, *more: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it to its end: a line as a shell splits it, then words as they are."""
        return subprocess.run(
            [self.binary, *shlex.split(line), *more],
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def __call__(self, line: str, *more: str, stdin: str = "", code: int = 0) -> str:
        """What it printed, without the last newline; it must end with that exit code."""
        done = self.run(line, *more, stdin=stdin)
        assert done.returncode == code, f"docker {line}: {done.returncode}\n{done.stderr}"
        return done.stdout.removesuffix("\n")

    def refused(self, line: str, *more: str, stdin: str = "", code: int = 1) -> str:
        """What it complained of, less what every complaint has before and after it."""
        done = self.run(line, *more, stdin=stdin)
        assert done.returncode == code, f"docker {line}: {done.returncode}\n{done.stderr}"
        text = done.stderr.partition("\n\nRun 'docker ")[0].removeprefix("docker: ")
        return text.strip().removeprefix("Error response from daemon: ")

    def start(self, line: str, *more: str, **options) -> subprocess.Popen[bytes]:
        """Start it and go on; its input and output are pipes unless told otherwise."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        words = [self.binary, *shlex.split(line), *more]
        client = subprocess.Popen(words, env=self.env, **{**pipes, **options})
        self.started.append(client)
        return client

    def close(self) -> None:
        """End every client that still runs."""
        for client in self.started:
            with client:
                client.kill()


@pytest.fixture
def docker_for(tmp_path):
    """The `docker` command for any engine: `docker_for(engine)`."""
    beside = Path(sys.executable).with_name("docker")
    binary = shutil.which("docker") or (str(beside) if beside.exists() else None)
    if binary is None:
        pytest.skip("there is no docker client on this machine")
    own = {"DOCKER_CONFIG": str(tmp_path), "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    with contextlib.ExitStack() as made:

        def client_of(engine) -> Docker:
            return made.enter_context(contextlib.closing(Docker(binary, {**own, **engine.env})))

        yield client_of


@pytest.fixture
def docker(engine, docker_for):
    """The `docker` command for the engine of ubuntu1."""
    return docker_for(engine)
