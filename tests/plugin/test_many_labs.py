"""Two thousand labs up and down in one process: what it holds at the end is what it held early."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import ordinary_user
import pytest

from natlab import DockerHost

LABS = 200 if ordinary_user.AGAIN in os.environ else 2000
"""The kernel takes namespaces down at its own pace: once in a run is enough of them."""
WARM = 50


def one_lab():
    with DockerHost() as host:
        host.run("exec sleep 1000", publish=80)
        return host.lab.agent


def held(agent):
    gc.collect()
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "tasks": len(list(Path("/proc/self/task").iterdir())),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(),
        "agent's descriptors": len(agent.call(None, os.listdir, "/proc/self/fd")),
        "agent's mounts": len(agent.call(None, Path.read_text, Path("/proc/mounts")).splitlines()),
        "programs": [name for name in agent.call(None, os.listdir, "/proc") if name.isdigit()],
    }


def resident(statm):
    return int(statm.split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)


def memory(agent):
    """Megabytes of this process and of its agent."""
    statm = Path("/proc/self/statm")
    return resident(statm.read_text()), resident(agent.call(None, Path.read_text, statm))


@pytest.mark.timeout(600)
def test_two_thousand_labs_hold_no_more_than_fifty():
    for _ in range(WARM):
        agent = one_lab()
    before, (own, agents) = held(agent), memory(agent)
    for _ in range(LABS - WARM):
        agent = one_lab()
    assert held(agent) == before
    own_after, agents_after = memory(agent)
    assert own_after < own + 4
    assert agents_after < agents + 4
