"""`natlab engine`: a lab host's engine as a process of its own, found again by every command."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest


def url_of(natlab, host="ubuntu1"):
    said = natlab("engine", "env", "--host", host).stdout.strip()
    assert said.startswith("export DOCKER_HOST=unix:///"), said
    return said.removeprefix("export DOCKER_HOST=")


def ask(url, path="/_ping"):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(url.removeprefix("unix://"))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    return answer.decode()


def ended(pid):
    """Wait for the end of a process that is not ours."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], 10)[0])
    finally:
        os.close(pidfd)


def engine_pid(natlab):
    said = natlab("engine", "status").stdout
    return int(said.partition("(process ")[2].partition(")")[0])


def test_an_engine_is_started_once_answers_and_ends(lab):
    assert "no engine runs on ubuntu1" in lab("engine", "status", code=1).stdout
    assert "the engine of ubuntu1 runs:" in lab("engine", "start").stdout
    assert "runs already" in lab("engine", "start").stdout
    url = url_of(lab)
    assert "200 OK" in ask(url)
    mode = Path(url.removeprefix("unix://")).stat().st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert "docker0" in lab("status").stdout
    pid = engine_pid(lab)
    assert "has ended" in lab("engine", "stop").stdout
    assert ended(pid)
    assert not Path(url.removeprefix("unix://")).exists()
    assert "docker0" not in lab("status").stdout
    assert "no engine runs on ubuntu1" in lab("engine", "stop").stdout


def test_two_hosts_have_an_engine_each(lab):
    one, two = url_of(lab), url_of(lab, "ubuntu2")
    assert one != two
    assert '"Name":"ubuntu1"' in ask(one, "/info")
    assert '"Name":"ubuntu2"' in ask(two, "/info")


def test_the_engine_of_a_lab_that_goes_down_ends_with_it(lab):
    url, pid = url_of(lab), engine_pid(lab)
    lab("down")
    assert ended(pid)
    assert not Path(url.removeprefix("unix://")).exists()
    lab("up")  # the fixture takes it down again


def test_a_killed_engine_is_replaced_and_what_it_left_is_swept(lab):
    if shutil.which("docker") is None:
        pytest.skip("there is no docker client on this machine")
    url, pid = url_of(lab), engine_pid(lab)
    env = {**lab.env, "DOCKER_HOST": url}

    def docker(*words):
        done = subprocess.run(
            ["docker", *words], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    docker("network", "create", "mynet")
    docker("run", "-d", "--name", "web", "-P", "--network", "mynet", "myapp:v0.0.1")
    os.kill(pid, signal.SIGKILL)
    assert ended(pid)
    assert url_of(lab) == url
    assert docker("ps", "-aq") == ""
    assert docker("network", "ls", "-qf", "type=custom") == ""
    left = lab("status").stdout
    assert "web" not in left
    assert "br-" not in left
    again = docker("run", "-d", "--name", "web", "-P", "myapp:v0.0.1")
    assert docker("port", again, "8080") == "0.0.0.0:49153"


def test_a_host_that_is_not_there_is_named_with_the_nearest(lab):
    said = lab.error("engine", "start", "--host", "ubuntu3", code=2)
    assert "ubuntu1" in said
    assert "ubuntu3" in said


def test_without_a_lab_an_engine_cannot_be_started(natlab):
    for words in (("engine", "start"), ("engine", "env")):
        assert "`natlab up`" in natlab.error(*words, code=1)


def test_a_second_engine_on_one_host_is_refused(lab):
    url_of(lab)
    done = lab("exec", "ubuntu1", "--", "dockerd", code=1)
    assert done.stderr.strip() == (
        "dockerd: an engine runs on ubuntu1 already: end that one first, or use it"
    )
    for words in (("--nonsense",), ("--icc=perhaps",), ("-H", "tcp://0.0.0.0:2375")):
        done = lab("exec", "ubuntu2", "--", "dockerd", *words, code=2)
        assert len(done.stderr.strip().splitlines()) == 1
        assert done.stderr.startswith("dockerd: ")


def test_an_engine_without_proxy_and_icc_is_as_it_was_asked_for(lab):
    lab("engine", "start", "--no-icc", "--no-userland-proxy")
    url = url_of(lab)
    rules = lab("iptables", "-t", "filter", "-nvL").stdout
    assert any("DROP" in line and "docker0 docker0" in line for line in rules.splitlines()), rules
    assert "!127.0.0.0/8" not in lab("iptables", "-t", "nat", "-nvL").stdout
    assert "200 OK" in ask(url)


def docker_of(natlab, url):
    """The real client for an engine: what it prints."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker client on this machine")
    env = {**natlab.env, "DOCKER_HOST": url}

    def docker(*words):
        done = subprocess.run(
            ["docker", *words], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return docker


def test_volumes_outlive_the_engine_and_go_with_the_lab(lab):
    docker = docker_of(lab, url_of(lab))
    docker("run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "echo kept > /data/file")
    lab("engine", "stop")
    path = "/var/lib/docker/volumes/data/_data/file"
    assert lab("exec", "ubuntu1", "--", "cat", path).stdout == "kept\n"
    docker = docker_of(lab, url_of(lab))
    assert docker("run", "--rm", "-v", "data:/data", "busybox", "cat", "/data/file") == "kept"
    lab("down")
    lab("up")
    assert lab("exec", "ubuntu1", "--", "ls", "-A", "/var/lib/docker").stdout == ""


def test_kept_volumes_outlive_the_lab_in_this_users_data_directory(lab, tmp_path):
    home = {**lab.env, "NATLAB_DATA_DIR": "", "XDG_DATA_HOME": str(tmp_path / "data")}
    kept = tmp_path / "data/natlab"
    if os.geteuid() == 0:  # root's is /var/lib/natlab
        kept = tmp_path / "root"
        home["NATLAB_DATA_DIR"] = str(kept)
    lab.env = home
    lab("engine", "start", "--keep-volumes")
    docker = docker_of(lab, url_of(lab))
    docker("run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "echo kept > /data/file")
    own = kept / "volumes" / lab.name / "ubuntu1"
    assert (own / "data/_data/file").read_text() == "kept\n"
    assert (own / "data/_data/file").stat().st_uid == os.geteuid()
    lab("down")
    lab("up")
    lab("engine", "start", "--keep-volumes")
    docker = docker_of(lab, url_of(lab))
    assert docker("run", "--rm", "-v", "data:/data", "busybox", "cat", "/data/file") == "kept"
    lab("engine", "stop")
    lab("engine", "start")
    assert docker_of(lab, url_of(lab))("volume", "ls", "-q") == ""


def test_who_starts_the_next_engine_reads_what_a_killed_one_had_left(lab):
    docker = docker_of(lab, url_of(lab))
    docker("run", "-d", "--rm", "-v", "/data", "busybox", "sleep", "1000")
    pid = engine_pid(lab)
    os.kill(pid, signal.SIGKILL)
    assert ended(pid)
    said = lab("engine", "start").stderr.splitlines()
    assert said[0].startswith("an engine was killed here: took away its containers")
    assert said[1].startswith("an engine was killed here: took away volume ")
    assert len(said) == 2
