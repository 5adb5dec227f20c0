"""docker-py, unmodified: the engine itself, and the life of containers."""

from __future__ import annotations

import json
import re

import pytest
from docker import errors
from docker.types import LogConfig, Mount, Ulimit

from natlab import http
from natlab.release import VERSION

HEX = re.compile(r"[0-9a-f]{64}")
SLEEP = ["sleep", "1000"]
ALWAYS = {"Name": "always"}


def test_ping_version_info_and_disk_usage_are_told(client):
    assert client.ping()
    version = client.version()
    assert (version["Version"], version["ApiVersion"]) == (VERSION, "1.51")
    assert client.api._version == "1.51"
    client.containers.create("host", "true")
    info = client.info()
    assert (info["Containers"], info["ContainersRunning"], info["ContainersStopped"]) == (1, 0, 1)
    assert (info["Name"], info["OSType"], info["Driver"]) == ("ubuntu1", "linux", "overlay2")
    usage = client.df()
    assert len(usage["Containers"]) == 1
    assert {tag for image in usage["Images"] for tag in image["RepoTags"]} == {
        *("busybox:latest", "host:latest", "myapp:v0.0.1"),
        *("ubuntu14.04:latest", "ubuntu:14.04"),
    }


def test_a_run_in_the_foreground_returns_what_was_printed(client, ended):
    both = "echo out; echo err >&2"
    command = ["sh", "-c", both]
    assert client.containers.run("busybox", command, remove=True) == b"out\n"
    only_err = client.containers.run("busybox", command, stdout=False, stderr=True, remove=True)
    assert only_err == b"err\n"
    mixed = client.containers.run("busybox", command, stdout=True, stderr=True, remove=True)
    assert sorted(mixed.split()) == [b"err", b"out"]
    pieces = client.containers.run("busybox", ["echo", "hi"], stream=True, remove=True)
    assert b"".join(pieces) == b"hi\n"
    ended(pieces)
    assert client.containers.list(all=True) == []


def test_a_run_that_fails_raises_container_error_with_all_of_its_fields(client):
    command = ["sh", "-c", "echo no >&2; exit 3"]
    with pytest.raises(errors.ContainerError) as caught:
        client.containers.run("busybox", command)
    error = caught.value
    assert (error.exit_status, error.command, error.image) == (3, command, "busybox")
    assert error.stderr == b"no\n"
    error.container.reload()
    assert error.container.status == "exited"
    with pytest.raises(errors.ContainerError):
        client.containers.run("busybox", ["false"], remove=True)
    assert client.containers.list(all=True) == [error.container]


def test_a_program_that_is_not_there_is_an_error_and_leaves_a_created_container(client):
    with pytest.raises(errors.APIError, match=r'exec: "nonesuch": executable file not found'):
        client.containers.run("busybox", ["nonesuch"])
    (left,) = client.containers.list(all=True)
    assert (left.status, left.attrs["State"]["ExitCode"]) == ("created", 127)


def test_an_image_that_is_nowhere_raises_image_not_found(client):
    with pytest.raises(errors.ImageNotFound, match="pull access denied for nonesuch"):
        client.containers.run("nonesuch", "true")


def test_auto_remove_takes_a_detached_container_away_at_its_end(client, ended):
    container = client.containers.run("busybox", ["sh", "-c", "read x"], **stdin(), **auto())
    assert container.attrs["HostConfig"]["AutoRemove"] is True
    events = client.events(decode=True, filters={"event": "destroy"})
    container.kill()
    assert next(events)["Actor"]["ID"] == container.id
    ended(events)
    with pytest.raises(errors.NotFound, match=f"No such container: {container.id}"):
        container.reload()


def stdin():
    return {"stdin_open": True}


def auto():
    return {"auto_remove": True, "detach": True}


def printed(client, command, **options):
    return client.containers.run("busybox", ["sh", "-c", command], remove=True, **options).decode()


@pytest.mark.parametrize(
    ("options", "command", "expected"),
    [
        ({"environment": {"A": "1", "B": "x y"}}, 'echo "$A|$B"', "1|x y\n"),
        ({"environment": ["A=1=2", "C"]}, 'echo "$A|$C"', "1=2|\n"),
        ({"working_dir": "/usr/lib"}, "pwd", "/usr/lib\n"),
        ({"working_dir": "/new/place"}, "pwd", "/new/place\n"),
        ({"hostname": "web1", "domainname": "example.org"}, "hostname", "web1\n"),
        ({"hostname": "web1"}, "cat /etc/hostname; grep -c web1 /etc/hosts", "web1\n1\n"),
        ({"extra_hosts": {"db": "10.9.8.7"}}, "grep -w db /etc/hosts", "10.9.8.7\tdb\n"),
        (
            {"dns": ["192.0.2.1"], "dns_search": ["lan"], "dns_opt": ["ndots:2"]},
            "grep -v '^#' /etc/resolv.conf | grep .",
            "nameserver 192.0.2.1\nsearch lan\noptions ndots:2\n",
        ),
        ({"tty": True}, "test -t 0 -a -t 1 && echo $TERM", "xterm\r\n"),
        ({"read_only": True}, "touch /x 2>/dev/null || echo no", "no\n"),
        ({"tmpfs": {"/scratch": "size=1m"}}, "stat -f -c %T /scratch", "tmpfs\n"),
        ({"network_mode": "none"}, "ls /sys/class/net", "lo\n"),
        ({"network": "none"}, "ls /sys/class/net", "lo\n"),
        ({"network_mode": "host"}, "hostname", "ubuntu1\n"),
        ({"user": "root"}, "id -un", "root\n"),
        ({"user": "0:0"}, "id -u; id -g", "0\n0\n"),
        (
            {"sysctls": {"net.ipv4.ip_default_ttl": "42"}},
            "sysctl -n net.ipv4.ip_default_ttl",
            "42\n",
        ),
        ({"cap_drop": ["ALL"]}, "grep CapEff /proc/self/status", "CapEff:\t0000000000000000\n"),
        ({"shm_size": "1m"}, "df -k --output=size /dev/shm | tail -1 | tr -d ' '", "1024\n"),
        (
            {"mac_address": "02:42:ac:11:aa:bb"},
            "cat /sys/class/net/eth0/address",
            "02:42:ac:11:aa:bb\n",
        ),
    ],
    ids=str,
)
def test_a_run_option_does_what_it_says(client, options, command, expected):
    assert printed(client, command, **options) == expected


def test_an_entrypoint_comes_before_the_command(client):
    out = client.containers.run("busybox", ["b"], entrypoint=["echo", "a"], remove=True)
    assert out == b"a b\n"


def test_a_directory_of_the_lab_host_is_mounted_and_may_be_read_only(client, engine):
    place = engine.engine.place
    engine.engine.host.run("mkdir -p /run/data && echo one > /run/data/f")
    volumes = {"/run/data": {"bind": "/data", "mode": "rw"}}
    assert printed(client, "cat /data/f; echo two > /data/g", volumes=volumes) == "one\n"
    assert engine.engine.host.run("cat /run/data/g").stdout == "two\n"
    refused = "touch /data/h 2>/dev/null || echo no"
    assert printed(client, refused, volumes=["/run/data:/data:ro"]) == "no\n"
    mount = Mount("/data", "/run/data", type="bind", read_only=True)
    assert printed(client, refused, mounts=[mount]) == "no\n"
    assert place


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"volumes": ["a b:/data"]}, 400, 'create a b: "a b" includes invalid characters for a'),
        ({"volumes_from": ["nobody"]}, 400, "No such container: nobody"),
        ({"volumes": ["data:/data"], "volume_driver": "nfs"}, 404, 'plugin "nfs" not found'),
        ({"volumes": ["/srv:data"]}, 400, "invalid mount path: 'data' mount path must be absolute"),
        ({"volumes": ["/srv:/"]}, 400, "invalid specification: destination can't be '/'"),
        ({"name": "a b"}, 400, "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are"),
        ({"name": "../x"}, 400, "Invalid container name (../x)"),
        ({"working_dir": "usr"}, 400, "the working directory 'usr' is invalid, it needs to be an"),
        ({"ports": {"80": 99999}}, 400, ""),
        ({"auto_remove": True, "restart_policy": ALWAYS}, 400, "can't create 'AutoRemove' contain"),
    ],
    ids=str,
)
def test_a_wrong_wish_is_refused_in_one_line_and_leaves_nothing(client, options, status, message):
    with pytest.raises(errors.APIError) as caught:
        client.containers.create("busybox", "true", **options)
    assert caught.value.status_code == status
    assert message in caught.value.explanation
    assert "\n" not in caught.value.explanation
    assert client.containers.list(all=True) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "nonesuch"}, "network nonesuch not found"),
        ({"network_mode": "container:nonesuch"}, "No such container: nonesuch"),
    ],
    ids=str,
)
def test_a_network_that_is_not_there_is_told_at_the_start(client, options, message):
    container = client.containers.create("busybox", "true", **options)
    with pytest.raises(errors.APIError, match=message):
        container.start()
    container.remove()


def test_published_ports_are_shown_and_lead_to_the_container(client, ended, lab):
    container = client.containers.run(
        "myapp:v0.0.1", detach=True, ports={"8080/tcp": ("192.168.33.11", 8000), "53/udp": None}
    )
    logs = container.logs(stream=True)
    assert b"listens on" in next(logs)
    ended(logs)
    container.reload()
    assert container.ports["8080/tcp"] == [{"HostIp": "192.168.33.11", "HostPort": "8000"}]
    assert container.ports["53/udp"][0]["HostPort"] == "49153"
    server = lab.ubuntu1.find_container(container.name)
    answer = http(lab.outside, "http://192.168.33.11:8000/", server=server, server_port=8080)
    assert "saw 192.168.33.20:" in answer.body


def test_a_container_is_found_listed_and_told(client):
    labels = {"tier": "web", "empty": ""}
    web = client.containers.run("busybox", SLEEP, detach=True, name="web", labels=labels)
    client.containers.create("busybox", "true", name="database", labels=["tier"])
    web.reload()
    assert client.containers.get("web") == client.containers.get(web.short_id) == web
    assert HEX.fullmatch(web.id)
    assert (web.name, web.status, web.labels["tier"]) == ("web", "running", "web")
    assert web.image.tags == ["busybox:latest"]
    assert json.dumps(web.attrs)

    def listed(**options):
        return [container.name for container in client.containers.list(**options)]

    assert listed() == ["web"]
    assert listed(all=True) == ["database", "web"]
    assert listed(limit=1) == ["database"]
    for filters, expected in [
        ({"name": "we"}, ["web"]),
        ({"name": "^data"}, ["database"]),
        ({"id": web.id[:10]}, ["web"]),
        ({"label": "tier"}, ["database", "web"]),
        ({"label": "tier=web"}, ["web"]),
        ({"label": ["tier", "empty"]}, ["web"]),
        ({"status": "created"}, ["database"]),
        ({"status": ["created", "running"]}, ["database", "web"]),
        ({"ancestor": "busybox"}, ["database", "web"]),
        ({"ancestor": "host"}, []),
        ({"network": "bridge"}, ["database", "web"]),
        ({"exited": 0}, []),
        ({"before": "database"}, ["web"]),
        ({"since": "web"}, ["database"]),
    ]:
        assert listed(all=True, filters=filters) == expected, filters
    assert client.containers.list(sparse=True)[0].id == web.id
    with pytest.raises(errors.APIError, match="invalid filter 'colour'"):
        client.containers.list(filters={"colour": "red"})


def test_a_container_lives_through_every_state(client):
    container = client.containers.create("busybox", SLEEP, name="web")
    assert container.status == "created"

    def status():
        container.reload()
        return container.status

    container.start()
    container.start()
    assert status() == "running"
    container.pause()
    assert status() == "paused"
    with pytest.raises(errors.APIError, match="is already paused"):
        container.pause()
    container.unpause()
    assert status() == "running"
    pid = container.attrs["State"]["Pid"]
    container.restart(timeout=0)
    assert status() == "running"
    assert container.attrs["State"]["Pid"] != pid
    with pytest.raises(errors.APIError, match="container is running: stop the container before"):
        container.remove()
    container.stop(timeout=0)
    assert status() == "exited"
    assert container.attrs["State"]["ExitCode"] == 137
    container.stop()
    with pytest.raises(errors.APIError, match=f"container {container.id} is not running"):
        container.kill()
    container.rename("site")
    assert status() == "exited"
    assert container.name == "site"
    with pytest.raises(errors.NotFound):
        client.containers.get("web")
    container.remove(v=True)
    with pytest.raises(errors.NotFound):
        container.reload()


def test_a_name_conflict_is_told_in_dockers_words(client):
    first = client.containers.create("busybox", "true", name="web")
    with pytest.raises(errors.APIError) as caught:
        client.containers.create("busybox", "true", name="web")
    assert caught.value.status_code == 409
    assert caught.value.explanation == (
        f'Conflict. The container name "/web" is already in use by container "{first.id}".'
        " You have to remove (or rename) that container to be able to reuse that name."
    )
    second = client.containers.create("busybox", "true", name="other")
    with pytest.raises(errors.APIError, match="is already in use by container"):
        second.rename("web")


def test_waiting_gives_the_exit_code_and_times_out(client):
    container = client.containers.run(
        "busybox", ["sh", "-c", "read x; exit 5"], **stdin(), detach=1
    )
    with pytest.raises(Exception, match="Read timed out"):
        container.wait(timeout=0.3)
    container.kill("TERM")
    container.kill()
    assert container.wait()["StatusCode"] == 137
    assert container.wait(condition="not-running")["StatusCode"] == 137
    with pytest.raises(errors.APIError, match='invalid condition: "never"'):
        container.wait(condition="never")


def test_top_diff_and_resize_answer(client):
    container = client.containers.run(
        "busybox", ["sh", "-c", "touch /srv/x; sleep 1000"], tty=True, detach=True
    )
    client.containers.run("busybox", ["true"], remove=True)
    result = container.exec_run(["sh", "-c", "until test -e /srv/x; do :; done"])
    assert result.exit_code == 0
    top = container.top()
    assert top["Titles"][0] == "UID"
    assert any("sleep 1000" in " ".join(row) for row in top["Processes"])
    assert {"Path": "/srv/x", "Kind": 1} in container.diff()
    container.resize(40, 120)
    assert container.exec_run("stty size < /dev/pts/0").exit_code in (0, 1)


def test_what_natlab_has_not_is_refused_in_one_sentence(client, tmp_path):
    container = client.containers.create("busybox", "true")
    (tmp_path / "Dockerfile").write_text("FROM busybox\n")
    for call, words in [
        (lambda: container.stats(stream=False), "natlab measures no resources"),
        (lambda: container.update(mem_limit="1g"), "natlab measures no resources"),
        (lambda: container.commit("mine"), "natlab does not commit containers"),
        (lambda: client.images.build(path=str(tmp_path)), "natlab does not build images"),
        (lambda: client.images.push("busybox"), "natlab has no registry"),
        (lambda: client.images.search("busybox"), "natlab has no registry"),
        (lambda: client.images.get_registry_data("busybox"), "natlab has no registry"),
        (lambda: client.login("me", "secret"), "natlab has no registry"),
        (
            lambda: client.volumes.create("data", driver_opts={"type": "nfs"}),
            "natlab's volumes are directories and take no driver options",
        ),
        (client.api.init_swarm, "natlab has no swarm"),
        (lambda: client.swarm.attrs, "natlab has no swarm"),
        (client.api.leave_swarm, "natlab has no swarm"),
        (client.services.list, "natlab has no swarm"),
        (lambda: client.services.get("web"), "natlab has no swarm"),
        (client.nodes.list, "natlab has no swarm"),
        (client.secrets.list, "natlab has no swarm"),
        (client.configs.list, "natlab has no swarm"),
        (client.plugins.list, "natlab has no plugins"),
        (lambda: client.plugins.install("x"), "natlab has no plugins"),
    ]:
        with pytest.raises(errors.APIError) as caught:
            call()
        assert caught.value.status_code == 501, words
        assert words in caught.value.explanation
        assert "\n" not in caught.value.explanation


def test_pruning_removes_what_does_not_run(client):
    running = client.containers.run("busybox", SLEEP, detach=True)
    kept = client.containers.create("busybox", "true", labels={"keep": "1"})
    gone = client.containers.create("busybox", "true")
    assert client.containers.prune(filters={"label!": ["keep"]})["ContainersDeleted"] == [gone.id]
    assert client.containers.list(all=True) == [kept, running]
    assert client.containers.prune()["ContainersDeleted"] == [kept.id]


def test_the_low_level_client_creates_with_a_host_config(client):
    api = client.api
    config = api.create_host_config(
        port_bindings={80: ("127.0.0.1", 8080), "81/udp": None},
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
        log_config=LogConfig(type=LogConfig.types.JSON, config={"max-size": "1m"}),
        ulimits=[Ulimit(name="nofile", soft=64, hard=64)],
        mem_limit="64m",
        init=True,
        cap_add=["NET_ADMIN"],
        links={},
    )
    made = api.create_container(
        *("busybox", SLEEP),
        name="low",
        ports=[80, (81, "udp")],
        host_config=config,
        stop_signal="SIGKILL",
        networking_config=api.create_networking_config({"bridge": api.create_endpoint_config()}),
    )
    api.start(made)
    told = api.inspect_container(made)
    assert told["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert told["HostConfig"]["Memory"] == 64 << 20
    assert told["NetworkSettings"]["Ports"]["80/tcp"] == [
        {"HostIp": "127.0.0.1", "HostPort": "8080"}
    ]
    assert api.port(made, 80) == [{"HostIp": "127.0.0.1", "HostPort": "8080"}]
    assert api.containers(quiet=True) == [{"Id": made["Id"]}]
    api.stop(made)
    assert api.wait(made)["StatusCode"] == 137
    api.remove_container(made)
