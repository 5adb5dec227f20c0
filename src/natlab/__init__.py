"""natlab: rebuild Docker's default network by hand, and check every step of it.

from natlab import Lab

with Lab() as lab:
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    lab.ubuntu1.publish(web, "8080")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from natlab.errors import LabGoneError, NatlabError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from natlab.api.service import DockerEngine
    from natlab.engine.capture import Capture
    from natlab.engine.container import Container
    from natlab.engine.host import Host
    from natlab.engine.lab import Lab
    from natlab.engine.network import Network
    from natlab.engine.node import Node
    from natlab.engine.probe import Probe, inject, ping, tcp, udp
    from natlab.engine.probe_http import HttpProbe, http
    from natlab.testing.docker_host import DockerHost
    from natlab.testing.fake_docker import FakeDocker

_HOMES = {
    "Capture": "engine.capture",
    "Container": "engine.container",
    "DockerEngine": "api.service",
    "DockerHost": "testing.docker_host",
    "FakeDocker": "testing.fake_docker",
    "Host": "engine.host",
    "HttpProbe": "engine.probe_http",
    "Lab": "engine.lab",
    "Network": "engine.network",
    "Node": "engine.node",
    "Probe": "engine.probe",
    "http": "engine.probe_http",
    "inject": "engine.probe",
    "ping": "engine.probe",
    "tcp": "engine.probe",
    "udp": "engine.probe",
}

__all__ = [
    "Capture",
    "Container",
    "DockerEngine",
    "DockerHost",
    "FakeDocker",
    "Host",
    "HttpProbe",
    "Lab",
    "LabGoneError",
    "NatlabError",
    "Network",
    "Node",
    "Probe",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "http",
    "inject",
    "ping",
    "tcp",
    "udp",
]


def __getattr__(name: str) -> Any:
    """Load the engine when it is first needed: `natlab --help` does without it."""
    if name == "__version__":
        from natlab.release import VERSION

        return VERSION
    if name not in _HOMES:
        raise AttributeError(f"module 'natlab' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"natlab.{_HOMES[name]}"), name)
