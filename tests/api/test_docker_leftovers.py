"""What is left when an engine ends, as it should or by SIGKILL: nothing."""

from __future__ import annotations

import gc
import logging
import os
import threading
from pathlib import Path

import pytest

from natlab import DockerEngine

IDLE = "busybox sleep 1000"
WARM, TIMES = 2, 6


def busy(docker):
    """A bit of everything, left running."""
    docker("network create mynet")
    docker("network create --internal inner")
    docker(f"run -d --name web -P --expose 80 --network mynet {IDLE}")
    docker(f"run -d --name db -p 53:53/udp -p 127.0.0.1:5432:5432 {IDLE}")
    docker(f"run -d --name linked --link db {IDLE}")
    docker(f"run -d --name joined --network container:web {IDLE}")
    docker(f"run -d --name hosts --network host {IDLE}")
    docker(f"run -d --name alone --network none --tmpfs /scratch {IDLE}")
    docker("network connect inner web")
    docker("run -d --name looping --restart always busybox false")
    docker("run --name over busybox true")
    docker("exec -d web sleep 1000")
    docker("pause alone")


def on_host(host):
    """What stands on a lab host."""
    return {
        "containers": host.container_names(),
        "links": sorted(link.name for link in host.links()),
        "rules": [
            (table.title, chain.name, rule.matches, rule.statements)
            for table, chain, rule in host.ruleset().rules()
        ],
        "files": host.run("find /run/natlab /run/docker.sock 2>/dev/null; true").stdout,
        "sockets": host.run("ss -Hlnptu").stdout,
        "routes": host.run("ip route").stdout.replace(" linkdown", ""),
        "mounts": host.run("cat /proc/mounts").stdout,
    }


def held(lab):
    """What this process and its agent hold."""
    gc.collect()
    agent = lab.agent
    pids = [name for name in agent.call(None, os.listdir, "/proc") if name.isdigit()]
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "agent's descriptors": len(agent.call(None, os.listdir, "/proc/self/fd")),
        "programs": sorted(agent.call(None, _names, pids)),
    }


def _names(pids):
    return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]


def test_an_engine_that_ends_leaves_nothing(lab, docker_for, machine):
    before, untouched = on_host(lab.ubuntu1), machine()
    untouched.pop("temporary files")  # others make some, too
    with DockerEngine(lab.ubuntu1) as engine:
        busy(docker_for(engine))
        assert engine.path.is_socket()
    after = on_host(lab.ubuntu1)
    assert after == before
    assert not engine.path.exists()
    assert untouched.items() <= machine().items()


def test_engines_by_turns_hold_no_more_than_one(lab, docker_for):
    for turn in range(TIMES):
        with DockerEngine(lab.ubuntu1) as engine:
            docker = docker_for(engine)
            busy(docker)
            docker("rm -f web db")
            docker.close()
        del engine
        if turn == WARM:
            first = held(lab)
    assert held(lab) == first


def test_removed_containers_leave_an_engine_as_it_was(lab, docker):
    def turn():
        busy(docker)
        docker("rm -f web db linked joined hosts alone looping over")
        docker("network rm mynet inner")
        return {**held(lab), **on_host(lab.ubuntu1)}

    for _ in range(WARM):
        turn()
    first = turn()
    for _ in range(WARM):
        now = turn()
        assert {key: now[key] for key in now if now[key] != first[key]} == {}, first


def test_nothing_half_made_is_left_of_a_refused_start(lab, docker):
    docker("network create --subnet 10.1.0.0/24 mynet")
    docker(f"run -d --name holder --network mynet --ip 10.1.0.5 -p 80:80 {IDLE}")
    before = on_host(lab.ubuntu1)
    for line in (
        "run -d --network mynet -p 81:80 -p 80:80 busybox true",
        "run -d --network mynet --ip 10.1.0.5 -p 81:80 busybox true",
        "run -d --network mynet -p 81:80 busybox missing",
        "run -d --network mynet -p 81:80 -u nobody-here busybox true",
        "run -d --network mynet -p 81:80 -p 10.9.9.9:82:80 busybox true",
        "run -d --network mynet --network nowhere -p 81:80 busybox true",
    ):
        docker.run(line)
        after = on_host(lab.ubuntu1)
        docker("container prune -f")
        assert {**after, "files": ""} == {**before, "files": ""}, line
        assert on_host(lab.ubuntu1) == before, line
    docker(f"run -d --network mynet -p 81:80 {IDLE}")


_SERVE = """
import sys
from natlab.api.service import DockerEngine
from natlab.engine import keep
with keep.opened(sys.argv[1]) as lab:
    with DockerEngine(lab.ubuntu1, sys.argv[2]) as engine:
        print(engine.url, flush=True)
        sys.stdin.read()
"""


class Url:
    """What `docker_for` needs of an engine in another process."""

    def __init__(self, process):
        self.env = {"DOCKER_HOST": process.stdout.readline().strip()}


_OWN = """
import sys
from natlab import DockerEngine, Lab
with Lab() as lab, DockerEngine(lab.ubuntu1) as engine:
    print(engine.url, flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_leaves_no_file_of_its_engine(script, docker_for, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process = script(_OWN)
    url = Url(process)
    docker_for(url)(f"run -d -P {IDLE}")
    path = Path(url.env["DOCKER_HOST"].removeprefix("unix://"))
    assert path.is_socket()
    assert path.stat().st_mode & 0o777 == 0o600
    process.kill()
    process.wait()
    assert not path.exists()
    assert list(temporary.iterdir()) == []


@pytest.fixture
def lasting(tmp_path, monkeypatch):
    """A lasting lab: its name."""
    from natlab.engine import keep

    monkeypatch.setenv("NATLAB_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    keep.up("leftovers")
    yield "leftovers"
    keep.down("leftovers")


def test_a_killed_engine_takes_its_containers_along_and_the_next_one_sweeps(
    lasting, script, docker_for, caplog, tmp_path
):
    from natlab.engine import keep

    with keep.opened(lasting) as lab:
        host = lab.ubuntu1
        before = on_host(host)
        host.add_container("mine")
        process = script(_SERVE, lasting, str(tmp_path / "sock"))
        docker = docker_for(Url(process))
        busy(docker)
        docker("rename db store")
        sleepers = "pgrep -cx sleep"
        assert int(host.run(sleepers).stdout) >= 6
        process.kill()
        process.wait()
        host.run("while pgrep -x sleep; do :; done", timeout=20)
        assert "web" in host.container_names(), "names are left: nobody could take them away"
        with caplog.at_level(logging.WARNING), DockerEngine(host) as engine:
            assert "an engine was killed here" in caplog.text
            assert host.container_names() == ["mine"]
            again = docker_for(engine)
            assert again("ps -aq") == ""
            busy(again)
        host.container("mine").remove()
        after = on_host(host)
        assert after == before
