"""Whatever ends a run, nothing of its labs is left on the machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

WORKERS = 8
TESTS = 200 * WORKERS

SAME_SUBNET = f"""
import pytest

@pytest.mark.parametrize("n", range({TESTS}))
def test_it(docker_host, n):
    web = docker_host.run("exec sleep 1000", publish="8080:80")
    assert (web.ip, web.port(80)) == ("172.17.0.2", 8080)
    assert str(docker_host.docker0.subnet) == "172.17.0.0/16"
"""

HANGING = """
import os, threading
import pytest

@pytest.mark.parametrize("n", range(4))
def test_it(docker_host, fake_docker, n):
    web = docker_host.run("exec sleep 1000", publish="8080:80")
    fake_docker.client().containers.run("busybox", "sleep 1000", detach=True)
    docker_host.run(lambda: threading.Event().wait())
    capture = docker_host.capture()
    print("up", flush=True)
    with open(f"up-{os.getpid()}", "w") as file:
        file.write(str(docker_host.lab.agent.pid))
    os.rename(f"up-{os.getpid()}", f"ready-{os.getpid()}")
    threading.Event().wait()
"""


def everything(folder: Path) -> dict[str, object]:
    """What of the machine a lab could leave something in: processes, namespaces, links, files."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return {
        "mounts": [line for line in mounts if "natlab" in line or "netns" in line],
        "links": re.findall(r"^\d+: ([^:@]+)", links, re.MULTILINE),
        "names": sorted(path.name for path in Path("/run/netns").glob("*")),
        "temporary files": sorted(path.name for path in folder.glob("natlab-*")),
    }


@pytest.fixture
def own_tmp(tmp_path_factory, monkeypatch):
    """Temporary files of the run alone, in a place with a short name."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.mark.timeout(300)
def test_eight_workers_with_two_hundred_tests_and_one_subnet(suite, own_tmp):
    before = everything(own_tmp)
    done = suite(SAME_SUBNET, "-n", str(WORKERS), "-q")
    done.assert_outcomes(passed=TESTS)
    assert everything(own_tmp) == before


def wait_until_up(folder: Path, process, workers: int, family) -> None:
    """Wait until that many workers have their labs up."""
    deadline = time.monotonic() + 60
    while len(list(folder.glob("ready-*"))) < workers:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)  # nobody tells that a file is there; not a race: it is only waited for
    assert family


@pytest.mark.parametrize("ending", ["kill the run", "interrupt", "kill a worker", "terminate"])
def test_a_run_that_is_ended_leaves_nothing(begun_suite, pytester, own_tmp, family, ending):
    before = everything(own_tmp)
    process = begun_suite(HANGING, "-n", "2", "-x", "--maxfail=1", "-q")
    wait_until_up(pytester.path, process, 2, family)
    workers = [int(path.name.removeprefix("ready-")) for path in pytester.path.glob("ready-*")]
    with family(process.pid) as members:
        assert len(members.pids) > 8
        if ending == "kill a worker":
            with family(workers[0]) as lab:
                assert len(lab.pids) > 2
                os.kill(workers[0], signal.SIGKILL)
                assert lab.all_end()
            os.killpg(process.pid, signal.SIGKILL)
        elif ending == "kill the run":
            os.kill(process.pid, signal.SIGKILL)
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
        elif ending == "interrupt":
            os.killpg(process.pid, signal.SIGINT)
        else:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)
        assert members.all_end()
    assert everything(own_tmp) == before


def test_ctrl_c_in_a_run_without_workers_leaves_nothing(begun_suite, pytester, own_tmp, family):
    before = everything(own_tmp)
    process = begun_suite(HANGING, "-q")
    wait_until_up(pytester.path, process, 1, family)
    with family(process.pid) as members:
        os.kill(process.pid, signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=60)[0]
        assert members.all_end()
    assert everything(own_tmp) == before
