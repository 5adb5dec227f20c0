"""An engine that is killed in the middle: volumes stay what they were, and the next tidies up."""

from __future__ import annotations

import logging

import pytest

from natlab import DockerEngine
from natlab.model.mount_points import VOLUMES

SERVE = """
import sys
from natlab.api.service import DockerEngine
from natlab.engine import keep
with keep.opened(sys.argv[1]) as lab:
    with DockerEngine(lab.ubuntu1, sys.argv[2]) as engine:
        print(engine.url, flush=True)
        sys.stdin.read()
"""
MANY = "seq -f /data/%.0f 30000 | xargs touch"


class Killable:
    """An engine in a process of its own, on a host of a lasting lab."""

    def __init__(self, host, process, docker_for):
        self.host, self.process = host, process
        self.env = {"DOCKER_HOST": process.stdout.readline().strip()}
        self.docker = docker_for(self)

    def await_file(self, pattern):
        """Wait until something of that name is among the volumes."""
        self.host.run(["sh", "-c", f"until ls -d {pattern}; do :; done"], timeout=30)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def engine(tmp_path, monkeypatch, script, docker_for):
    from natlab.engine import keep

    monkeypatch.setenv("NATLAB_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    keep.up("killed")
    with keep.opened("killed") as lab:
        yield Killable(lab.ubuntu1, script(SERVE, "killed", str(tmp_path / "sock")), docker_for)
    keep.down("killed")


@pytest.fixture
def again(engine, docker_for, caplog):
    """The next engine on that host, and what it said when it began."""
    started = []

    def start():
        with caplog.at_level(logging.WARNING):
            started.append(DockerEngine(engine.host))
        said = [record.getMessage() for record in caplog.records]
        return docker_for(started[-1]), [line for line in said if "volume" in line]

    yield start
    for one in started:
        one.close()


def test_a_copy_that_was_cut_off_is_taken_away_and_other_volumes_are_what_they_were(engine, again):
    docker, host = engine.docker, engine.host
    docker("run --rm -v kept:/data busybox sh -c", "echo kept > /data/file")
    docker("volume create empty")
    client = docker.start("create -v empty:/usr -v /lib/systemd -v kept:/data busybox")
    engine.await_file(f"{VOLUMES}/empty/.copying/lib")
    engine.kill()
    client.wait(timeout=30)
    docker, said = again()
    assert any("took away a copy into volume empty that was not complete" in s for s in said)
    assert any("which was to go with its container" in s for s in said)
    assert docker("volume ls -q").split() == ["empty", "kept"]
    assert (
        docker(
            "run --rm -v kept:/data -v empty:/empty:nocopy busybox sh -c",
            ("cat /data/file; ls -A /empty"),
        )
        == "kept"
    )
    assert host.run(f"ls -A {VOLUMES} {VOLUMES}/empty").stdout.split() == [
        *(f"{VOLUMES}:", "empty", "kept"),
        *(f"{VOLUMES}/empty:", "_data", "volume.json"),
    ]


def test_a_removal_that_was_cut_off_is_brought_to_its_end(engine, again):
    docker, host = engine.docker, engine.host
    docker("run --rm -v kept:/data busybox sh -c", "echo kept > /data/file")
    docker("run --rm -v going:/data busybox sh -c", MANY)
    client = docker.start("volume rm going")
    engine.await_file(f"{VOLUMES}/.natlab-going.*.gone")
    engine.kill()
    client.wait(timeout=30)
    docker, _ = again()
    assert docker("volume ls -q") == "kept"
    assert host.run(f"ls -A {VOLUMES}").stdout == "kept\n"
    assert docker("run --rm -v kept:/data busybox cat /data/file") == "kept"


def test_a_backup_that_was_cut_off_leaves_its_source_as_it_was(engine, again, tmp_path):
    docker = engine.docker
    docker("run --name DATA -v data:/data busybox sh -c", "head -c 300000 /dev/zero > /data/file")
    docker(
        f"run -d --volumes-from DATA -v {tmp_path}:/backup busybox sh -c",
        "tar cf - /data | (head -c 5000 > /backup/half.tar; mkdir /backup/half; sleep 1000)",
    )
    engine.await_file(f"{tmp_path}/half")
    engine.kill()
    docker, _ = again()
    assert (tmp_path / "half.tar").stat().st_size == 5000
    sums = docker("run --rm -v data:/data busybox sh -c", "find /data -type f | xargs cksum")
    assert sums.endswith(" 300000 /data/file")
    docker(f"run --rm -v data:/data -v {tmp_path}:/backup busybox tar cf /backup/backup.tar /data")
    assert (tmp_path / "backup.tar").stat().st_size > 300000


def test_anonymous_volumes_of_a_killed_engine_go_only_if_they_were_to_go(engine, again):
    docker = engine.docker
    docker("run -d --rm --name gone -v /data busybox sleep 1000")
    docker("run -d --name kept -v /data busybox sleep 1000")
    docker("run -d --rm --name lender -v /data busybox sleep 1000")
    docker("run -d --name borrower --volumes-from lender busybox sleep 1000")
    names = {
        name: docker("inspect -f '{{(index .Mounts 0).Name}}'", name) for name in ("kept", "lender")
    }
    engine.kill()
    docker, said = again()
    assert len(said) == 1
    assert sorted(docker("volume ls -q").split()) == sorted(names.values())
    docker("volume prune -f")
    assert docker("volume ls -q") == ""
