"""natlab: rebuild Docker's default network by hand, and check every step of it.

from natlab import Lab

with Lab() as lab:
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    lab.ubuntu1.publish(web, "8080")
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from natlab.errors import LabGoneError, NatlabError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from natlab.engine.capture import Capture
    from natlab.engine.container import Container
    from natlab.engine.host import Host
    from natlab.engine.lab import Lab
    from natlab.engine.network import Network
    from natlab.engine.node import Node
    from natlab.engine.probe import Probe, inject, ping, tcp, udp
    from natlab.engine.probe_http import HttpProbe, http

try:
    __version__ = version("natlab")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0"

_HOMES = {
    "Capture": "capture",
    "Container": "container",
    "Host": "host",
    "HttpProbe": "probe_http",
    "Lab": "lab",
    "Network": "network",
    "Node": "node",
    "Probe": "probe",
    "http": "probe_http",
    "inject": "probe",
    "ping": "probe",
    "tcp": "probe",
    "udp": "probe",
}

__all__ = [
    "Capture",
    "Container",
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
    if name not in _HOMES:
        raise AttributeError(f"module 'natlab' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"natlab.engine.{_HOMES[name]}"), name)
