"""`fake_docker`: unmodified code that uses docker-py or the docker command works against it."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request

import docker
import pytest

from natlab import NatlabError, UsageError


def code_under_test() -> str:
    """What a program does that knows nothing of natlab."""
    client = docker.from_env()
    try:
        container = client.containers.run(
            "myapp:v0.0.1", detach=True, ports={"8080/tcp": 8000}, name="app"
        )
        container.reload()
        return container.attrs["NetworkSettings"]["IPAddress"]
    finally:
        client.close()


def test_code_that_uses_docker_py_finds_it_by_its_environment(fake_docker, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", fake_docker.url)
    assert code_under_test() == "172.17.0.2"
    [app] = fake_docker.client().containers.list()
    assert app.name == "app"


def test_the_docker_command_finds_it_by_its_environment(fake_docker, monkeypatch):
    if shutil.which("docker") is None:
        pytest.skip("there is no docker client on this machine")
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    done = subprocess.run(
        ["docker", "run", "--rm", "busybox", "echo", "hello"],
        env=fake_docker.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("hello\n", "")


def test_a_published_port_is_reached_from_a_block_inside(fake_docker):
    app = fake_docker.client().containers.run("myapp:v0.0.1", detach=True, ports={"8080/tcp": 8000})
    fake_docker.wait_for_port(app.name, 8080)
    with fake_docker.inside(), urllib.request.urlopen("http://127.0.0.1:8000/", timeout=5) as got:
        assert got.status == 200
    assert [rule.host_port for rule in fake_docker.rules.published] == ["8000"]


def test_its_environment_is_this_one_but_for_dockers_own(fake_docker):
    assert fake_docker.env["DOCKER_HOST"] == fake_docker.url
    plain = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    assert {**plain, "DOCKER_HOST": fake_docker.url} == fake_docker.env


def test_waiting_for_a_port_ends_with_the_time_or_without_a_container(fake_docker):
    fake_docker.client().containers.run("busybox", "sleep 100", detach=True, name="idle")
    with pytest.raises(NatlabError, match=r"idle listened at no port 80 within 0.02 s"):
        fake_docker.wait_for_port("idle", 80, timeout=0.02)
    with pytest.raises(UsageError, match="nonesuch"):
        fake_docker.wait_for_port("nonesuch", 80)


@pytest.mark.natlab(subnet="10.8.0.0/24", icc=True, mtu=1400)
def test_the_marker_shapes_its_docker0(fake_docker):
    network = fake_docker.client().networks.get("bridge").attrs
    assert network["IPAM"]["Config"][0]["Subnet"] == "10.8.0.0/24"
    assert network["Options"]["com.docker.network.driver.mtu"] == "1400"
