"""Labs up and down by the hundred: what the caller and its agent hold stays as it was."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

from natlab import Lab, tcp

LABS = 200
WARM = 20


def once():
    with Lab() as lab:
        docker0 = lab.ubuntu1.add_docker0()
        web = lab.ubuntu1.add_container("web")
        docker0.attach(web)
        lab.ubuntu1.publish(web, "8080")
        web.start("sleep 1000")  # nobody ends it: the lab does
        lab.ubuntu1.run("true")
        assert tcp(lab.outside, "192.168.33.11", 49153, server=web, server_port=8080).arrived
        return lab.agent


@pytest.mark.timeout(300)
def test_two_hundred_labs_leave_no_more_than_twenty():
    for _ in range(WARM):
        agent = once()
    before, memory = held(agent), resident(agent)
    for _ in range(LABS - WARM):
        agent = once()
    assert held(agent) == before
    assert resident(agent) < memory + 4 * 1024 * 1024


def held(agent):
    gc.collect()
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "tasks": len(list(Path("/proc/self/task").iterdir())),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(),
        "agent's descriptors": len(agent.call(None, os.listdir, "/proc/self/fd")),
        "agent's tasks": len(agent.call(None, os.listdir, "/proc/self/task")),
        "agent's mounts": len(agent.call(None, Path.read_text, Path("/proc/mounts")).splitlines()),
        "namespaces": len(namespaces(agent)),
        "programs": [name for name in agent.call(None, os.listdir, "/proc") if name.isdigit()],
    }


def namespaces(agent):
    """The network namespaces of whatever runs in the agent's sandbox, itself included."""
    pids = [name for name in agent.call(None, os.listdir, "/proc") if name.isdigit()]
    return {str(agent.call(None, Path.readlink, Path(f"/proc/{pid}/ns/net"))) for pid in pids}


def resident(agent):
    """The agent's memory in bytes."""
    pages = agent.call(None, Path.read_text, Path("/proc/self/statm")).split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")
