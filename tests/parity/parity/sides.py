"""The two sides: a lab whose ubuntu1 has a real dockerd, and one whose ubuntu1 has natlab's."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import docker

from natlab import DockerEngine, Lab
from natlab.engine.node import Node
from natlab.kernel import namespaces
from natlab.kernel.agent import Namespace
from parity import engine_files, image, real

Name = Literal["docker", "natlab"]
NAMES: tuple[Name, ...] = ("docker", "natlab")
HOSTS = {"outside": "outside", "host": "ubuntu1", "ubuntu2": "ubuntu2"}

QUIET = "sysctl -w net.ipv4.igmp_link_local_mcast_reports=0"
"""No host reports groups of its own accord: rules would count that between two looks."""


@dataclass
class Side:
    """A lab with an engine on ubuntu1, and a client for it."""

    name: Name
    lab: Lab
    url: str
    config: str
    _nodes: dict[str, tuple[int, Node]] = field(default_factory=dict)

    @property
    def host(self):
        """The lab host with the engine."""
        return self.lab.ubuntu1

    def try_docker(self, line: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Run the `docker` client to its end."""
        done = subprocess.run(
            [engine_files.client(), *shlex.split(line)],
            env={**os.environ, "DOCKER_HOST": self.url, "DOCKER_CONFIG": self.config, "TZ": "UTC"},
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def docker(self, line: str, stdin: bytes = b"") -> str:
        """What the client prints; it must succeed."""
        done = self.try_docker(line, stdin)
        if done.returncode:
            raise RuntimeError(f"{self.name}: docker {line}: {done.stderr.strip()}")
        return done.stdout.strip()

    @contextlib.contextmanager
    def api(self) -> Iterator[docker.DockerClient]:
        """docker-py for this engine."""
        client = docker.DockerClient(base_url=self.url, timeout=60)
        try:
            yield client
        finally:
            client.close()

    def inspect(self, name: str) -> dict:
        """What the engine tells of a container."""
        with self.api() as client:
            return client.api.inspect_container(name)

    def type(self, where: str, line: str) -> None:
        """Type a line for a shell at a node; it must succeed."""
        self.node(where).run(line, check=True)

    def node(self, name: str) -> Node:
        """A lab host, or a container by its first process: the same way on both sides."""
        if name in HOSTS:
            return self.lab.host(HOSTS[name])
        pid = self.inspect(name)["State"]["Pid"]
        known = self._nodes.get(name)
        if known and known[0] == pid:
            return known[1]
        if known:
            known[1].place.close()
        agent = self.host.place.agent
        number = agent.call(self.host.place.number, namespaces.open_named, f"/proc/{pid}/ns/net")
        self._nodes[name] = pid, Node(name, Namespace(agent, number))
        return self._nodes[name][1]

    def close(self) -> None:
        """Let go of the containers' namespaces."""
        for _, node in self._nodes.values():
            node.place.close()
        self._nodes.clear()

    def prepare(self, name: str = "app", *more: str) -> None:
        """Give it an image: `app`, or one with another name and more changes."""
        changes = (*image.CHANGES, *more)
        words = [word for change in changes for word in ("-c", shlex.quote(change))]
        self.docker(f"import {' '.join(words)} - {name}", stdin=image.tree())


@contextlib.contextmanager
def side(
    name: Name, *, options: Sequence[str] = (), before: Sequence[tuple[str, str]] = ()
) -> Iterator[Side]:
    """One side, up and ready; gone at the end of the block."""
    proxy = "--userland-proxy=false" not in options
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab(userland_proxy=proxy, port_range=None))
        config = stack.enter_context(tempfile.TemporaryDirectory(prefix="natlab-parity-"))
        made = Side(name, lab, "", config)
        stack.callback(made.close)
        for where in HOSTS:
            made.type(where, QUIET)
        for where, line in before:
            made.type(where, line)
        made.url = stack.enter_context(_engine(made, options))
        made.prepare()
        yield made


@contextlib.contextmanager
def _engine(made: Side, options: Sequence[str]) -> Iterator[str]:
    if made.name == "docker":
        with real.running(made.host, options) as made.url:
            try:
                yield made.url
            finally:  # dockerd would wait 10 s for what does not heed SIGTERM
                if running := made.try_docker("ps -q").stdout.split():
                    made.try_docker(f"kill {' '.join(running)}")
        return
    unknown = set(options) - {"--userland-proxy=false", "--icc=false"}
    if unknown:
        raise RuntimeError(f"natlab's engine has no option {', '.join(sorted(unknown))}")
    with DockerEngine(made.host, icc="--icc=false" not in options) as engine:
        yield engine.url
