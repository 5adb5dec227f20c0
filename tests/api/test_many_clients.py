"""Many clients at once, clients that vanish, and requests that make no sense."""

from __future__ import annotations

import contextlib
import gc
import http.client
import os
import socket
import tempfile
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker as docker_py
import pytest
from docker import errors

from natlab.api.service import DockerEngine

CLIENTS = 8
CONTAINERS = 50
RUNS = 200
WARM = 20
SLACK = 8 << 20
UPLOAD = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
"""The beginning of a body that never ends."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def engine(lab, tmp_path, monkeypatch):
    """The engine of ubuntu1, with its temporary files in a place of their own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with DockerEngine(lab.ubuntu1) as engine:
        yield engine


@pytest.fixture
def clients(engine):
    """Clients for several threads, each with connections of its own."""
    made = [docker_py.DockerClient(base_url=engine.url, timeout=60) for _ in range(CLIENTS)]
    yield made
    for client in made:
        client.close()
    gc.collect()


def held(engine):
    """What this process and the lab's agent hold, whatever the clients did."""
    gc.collect()
    agent = engine.engine.agent
    pids = [name for name in agent.call(None, os.listdir, "/proc") if name.isdigit()]
    host = engine.engine.host
    return {
        "descriptors": sorted(targets()),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "agent's descriptors": len(agent.call(None, os.listdir, "/proc/self/fd")),
        "agent's mounts": len(agent.call(None, Path.read_text, Path("/proc/mounts")).splitlines()),
        "programs": len(pids),
        "names": host.run("ls /run/netns").stdout,
        "links": host.run("ls /sys/class/net").stdout,
        "files": host.run("find /run/natlab/docker | sort").stdout,
        "temporary files": sorted(str(p) for p in Path(tempfile.gettempdir()).rglob("*")),
    }


def targets():
    """What descriptors lead to, less the numbers that differ each time."""
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of this very listing
            yield str(link.readlink()).partition(":")[0].partition("#")[0]


def resident():
    """Bytes of memory of this process, in which the engine lives."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_fifty_containers_of_eight_clients_have_addresses_and_ports_of_their_own(clients, engine):
    def start(number):
        client = clients[number % CLIENTS]
        container = client.containers.run(
            "myapp:v0.0.1", detach=True, publish_all_ports=True, name=f"c{number}"
        )
        container.reload()
        return container

    warm = start(0)
    warm.remove(force=True)
    before = settled(engine, clients)
    with ThreadPoolExecutor(CLIENTS) as pool:
        made = list(pool.map(start, range(CONTAINERS)))
        settings = [container.attrs["NetworkSettings"] for container in made]
        assert len({told["IPAddress"] for told in settings}) == CONTAINERS
        assert len({told["MacAddress"] for told in settings}) == CONTAINERS
        ports = {told["Ports"]["8080/tcp"][0]["HostPort"] for told in settings}
        assert ports == {str(port) for port in range(49154, 49154 + CONTAINERS)}
        assert len(clients[0].containers.list()) == CONTAINERS
        for _ in pool.map(lambda container: container.remove(force=True), made):
            pass
    assert not clients[0].containers.list(all=True)
    assert settled(engine, clients) == before


def settled(engine, clients):
    """What is held when the clients' connections, and the threads for them, have ended.

    Connections are taken in order: when one more is answered, all before it have their threads.
    """
    for client in clients:
        client.close()
    exchange(engine, b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    for thread in threading.enumerate():
        if thread.name == "natlab-api-client":
            thread.join(timeout=20)
    return held(engine)


def test_clients_at_odds_get_one_winner_each(clients):
    barrier = threading.Barrier(CLIENTS)

    def create(client):
        barrier.wait()
        try:
            return client.containers.create("busybox", "true", name="same").id
        except errors.APIError as error:
            return error.status_code

    with ThreadPoolExecutor(CLIENTS) as pool:
        said = list(pool.map(create, clients))
        assert said.count(409) == CLIENTS - 1
        made = [ident for ident in said if ident != 409]
        container = clients[0].containers.get("same")
        assert container.id == made[0]

        def remove(client):
            barrier.wait()
            try:
                client.containers.get(made[0]).remove(force=True)
            except errors.APIError as error:
                return error.status_code
            return 204

        assert set(pool.map(remove, clients)) <= {204, 404, 409}
    assert clients[0].containers.list(all=True) == []


def test_networks_made_at_once_do_not_overlap(clients):
    with ThreadPoolExecutor(CLIENTS) as pool:
        made = list(pool.map(lambda c: c.networks.create(f"n{id(c)}"), clients))
        subnets = {network.attrs["IPAM"]["Config"][0]["Subnet"] for network in made}
        assert len(subnets) == CLIENTS
        list(pool.map(lambda network: network.remove(), made))
    assert len(clients[0].networks.list()) == 3


def test_two_hundred_runs_leave_no_more_than_twenty(client, engine):
    def once():
        assert client.containers.run("host", "true", remove=True) == b""

    for _ in range(WARM):
        once()
    before, memory = settled(engine, [client]), resident()
    for _ in range(RUNS - WARM):
        once()
    assert settled(engine, [client]) == before
    assert resident() < memory + SLACK


def test_clients_that_vanish_in_the_middle_leave_nothing(client, engine):
    container = client.containers.run(
        "busybox", ["sh", "-c", "while echo line; do sleep 0.01; done"], detach=True, name="web"
    )
    quiet = client.containers.run("busybox", "cat", detach=True, stdin_open=True, name="quiet")
    before = settled(engine, [client])
    paths = [("GET", f"/containers/{name}/logs?stdout=1&follow=1") for name in ("web", "quiet")]
    paths += [
        ("GET", "/events"),
        ("POST", "/containers/web/wait"),
        ("POST", "/containers/quiet/wait?condition=next-exit"),
        ("POST", "/containers/web/attach?stream=1&stdout=1&stdin=1"),
        ("POST", "/containers/quiet/attach?stream=1&stdout=1&stdin=1&logs=1"),
        ("GET", "/containers/web/archive?path=/usr/bin"),
        ("PUT", "/containers/web/archive?path=/srv"),
        ("POST", "/images/load"),
        ("POST", "/images/create?fromSrc=-&repo=x"),
    ]
    uploads = {
        "/containers/web/archive?path=/srv",
        "/images/load",
        "/images/create?fromSrc=-&repo=x",
    }
    for method, path in paths:
        for cut_after in (0, 1, 200):
            with talking(engine) as sock:
                body = UPLOAD if path in uploads else "Content-Length: 0\r\n\r\n"
                sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{body}".encode())
                if cut_after and path not in uploads:
                    assert sock.recv(cut_after)
    assert settled(engine, [client]) == before
    for left in (container, quiet):
        left.reload()
        assert left.status == "running"


def talking(engine):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(str(engine.path))
    return sock


def exchange(engine, request: bytes) -> tuple[int, str]:
    """Status and body of the answer to some bytes."""
    with talking(engine) as sock:
        with contextlib.suppress(BrokenPipeError):
            sock.sendall(request)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        return answer.status, answer.read().decode()


def request(method, path, *, body=b"", kind="application/json", **headers) -> bytes:
    fields = {"Host": "x", "Content-Type": kind, "Content-Length": len(body), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


CREATE = "/containers/create"
ODD = {
    "cut JSON": (request("POST", CREATE, body=b'{"Image":'), 400),
    "a list": (request("POST", CREATE, body=b"[]"), 400),
    "a number": (request("POST", CREATE, body=b"7"), 400),
    "no text": (request("POST", CREATE, body=b"\xff\xfe"), 400),
    "NaN": (request("POST", CREATE, body=b'{"Image": NaN}'), 400),
    "deep": (request("POST", CREATE, body=b"[" * 100_000), 400),
    "surrogate": (request("POST", CREATE, body=b'{"Image": "\\ud800"}'), 400),
    "NUL": (request("POST", CREATE, body=b'{"Image": "a\\u0000b"}'), 400),
    "other type": (request("POST", CREATE, body=b"{}", kind="text/plain"), 400),
    "nothing": (request("POST", CREATE, body=b"{}"), 400),
    "long name": (request("POST", f"{CREATE}?name={'x' * 5000}", body=b'{"Image":"host"}'), 400),
    "dots": (request("GET", "/containers/../json"), 404),
    "escaped dots": (request("GET", "/containers/..%2f..%2fetc/json"), 404),
    "slash": (request("GET", "/containers/%2f/json"), 404),
    "NUL in a path": (request("GET", "/containers/a%00b/json"), 400),
    "NUL in a query": (request("GET", "/containers/json?filters=%00"), 400),
    "bad escape": (request("GET", "/containers/%zz/json"), 400),
    "no UTF-8": (request("GET", "/containers/%ff/json"), 400),
    "long path": (request("GET", f"/containers/{'x' * 30_000}/json"), 404),
    "long head": (request("GET", "/info", Cookie="x" * 200_000), 431),
    "no page": (request("GET", "/nothing"), 404),
    "wrong method": (request("DELETE", "/version"), 405),
    "odd method": (request("BREW", "/version"), 405),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "old version": (request("GET", "/v1.1/info"), 400),
    "new version": (request("GET", "/v9.9/info"), 400),
    "filters": (request("GET", "/containers/json?filters=["), 400),
    "unknown filter": (
        request("GET", '/containers/json?filters={"x":["y"]}'.replace('"', "%22")),
        400,
    ),
    "limit": (request("GET", "/containers/json?limit=many"), 400),
    "two lengths": (
        b"POST /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        400,
    ),
    "bad chunk": (
        request("POST", CREATE).partition(b"Content-Length")[0]
        + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_request_gets_one_line_and_the_engine_lives_on(client, engine, name):
    data, status = ODD[name]
    got, text = exchange(engine, data)
    assert got == status, text
    assert text.startswith('{"message":')
    assert "internal error" not in text
    assert "Traceback" not in text
    assert client.ping()
    assert client.containers.list(all=True) == []


WRONG_SHAPES = [
    {"HostConfig": []},
    {"HostConfig": {"PortBindings": []}},
    {"HostConfig": {"PortBindings": {"80/tcp": {}}}},
    {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 80}]}}},
    {"HostConfig": {"PortBindings": {"x": []}}},
    {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}},
    {"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "nowhere"}]}}},
    {"HostConfig": {"Binds": "x"}},
    {"HostConfig": {"Binds": [7]}},
    {"HostConfig": {"Binds": {"a": "b"}}},
    {"HostConfig": {"Mounts": [7]}},
    {"HostConfig": {"Mounts": {"a": "b"}}},
    {"HostConfig": {"Tmpfs": ["/x"]}},
    {"HostConfig": {"RestartPolicy": "always"}},
    {"HostConfig": {"RestartPolicy": {"Name": "sometimes"}}},
    {"HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": "x"}}},
    {"HostConfig": {"NetworkMode": 7}},
    {"HostConfig": {"Links": "x"}},
    {"HostConfig": {"Links": [7]}},
    {"HostConfig": {"ExtraHosts": [7]}},
    {"HostConfig": {"ExtraHosts": ["x"]}},
    {"HostConfig": {"Dns": ["nowhere"]}},
    {"HostConfig": {"Dns": 7}},
    {"HostConfig": {"CapAdd": "ALL"}},
    {"HostConfig": {"CapAdd": [7]}},
    {"HostConfig": {"ShmSize": "x"}},
    {"HostConfig": {"ShmSize": -5}},
    {"HostConfig": {"Sysctls": ["x"]}},
    {"HostConfig": {"LogConfig": 7}},
    {"HostConfig": {"ConsoleSize": ["x", "y"]}},
    {"HostConfig": {"ConsoleSize": 7}},
    {"NetworkingConfig": []},
    {"NetworkingConfig": {"EndpointsConfig": []}},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": 7}}},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"IPAMConfig": 7}}}},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": 7}}}},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"GwPriority": "x"}}}},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": 7}}}},
    {"Cmd": {"a": 1}},
    {"Cmd": [7]},
    {"Entrypoint": 7},
    {"Env": "A=1"},
    {"Env": [7]},
    {"Labels": ["a"]},
    {"Labels": {"a": 7}},
    {"ExposedPorts": ["80"]},
    {"ExposedPorts": {"x": {}}},
    {"Hostname": 7},
    {"Hostname": "a b"},
    {"User": 7},
    {"WorkingDir": 7},
    {"StopSignal": "NOPE"},
    {"StopSignal": 7},
    {"StopTimeout": "x"},
    {"MacAddress": "x"},
    {"MacAddress": "01:00:5e:00:00:01"},
    {"MacAddress": "00:00:00:00:00:00"},
    {"Hostname": "x" * 300},
    {"Domainname": "x" * 300},
    {"Cmd": ["x" * 300_000]},
    {"WorkingDir": "/" + "x" * 300},
    {"WorkingDir": "/etc/passwd"},
    {"User": "nobody-there"},
    {"User": "-1"},
    {"User": "99999999999"},
    {"HostConfig": {"Binds": ["/nonesuch:/x"]}},
    {"HostConfig": {"Binds": ["/etc:/etc/passwd"]}},
    {"HostConfig": {"Binds": ["/etc/passwd:/etc"]}},
    {"HostConfig": {"Binds": ["/etc:/" + "x" * 300]}},
    {"HostConfig": {"Tmpfs": {"x": ""}}},
    {"HostConfig": {"Tmpfs": {"/x": "size=lots"}}},
    {"HostConfig": {"Tmpfs": {"/x": "nonesuch"}}},
    {"HostConfig": {"Sysctls": {"net.nonesuch": "1"}}},
    {"HostConfig": {"Sysctls": {"../../etc/passwd": "1"}}},
    {"HostConfig": {"Sysctls": {"kernel.hostname": "x"}}},
    {"HostConfig": {"CapAdd": ["NONESUCH"]}},
    {"HostConfig": {"ShmSize": 1 << 62}},
    {"HostConfig": {"DnsSearch": ["a b"]}},
    {"Image": 7},
    {"Tty": "x"},
]


@pytest.mark.parametrize("body", WRONG_SHAPES, ids=str)
def test_a_value_of_the_wrong_shape_is_a_bad_request_and_never_an_internal_error(
    client, engine, body
):
    """Refused at creation, or at the latest at the start, and nothing is left of it."""
    api = client.api
    made = api._post_json(
        api._url("/containers/create"), data={"Image": "host", "Cmd": ["true"], **body}
    )
    if made.status_code == 201:
        started = api._post(api._url("/containers/{0}/start", made.json()["Id"]))
        assert started.status_code in (204, 400, 500), started.text
        assert "internal error" not in started.text
        api.remove_container(made.json()["Id"], force=True)
    else:
        assert made.status_code in (400, 404, 501), made.text
        assert "\n" not in made.json()["message"]
    assert client.containers.list(all=True) == []
    assert client.ping()
    assert engine.engine.host.run("ls /run/netns").stdout == ""


WRONG_NETWORKS = [
    {"Name": 7},
    {"Driver": 7},
    {"Internal": "yes"},
    {"Options": []},
    {"Options": {"com.docker.network.bridge.name": "a/b"}},
    {"Options": {"com.docker.network.bridge.name": "x" * 50}},
    {"Options": {"com.docker.network.bridge.name": "lo"}},
    {"Options": {"com.docker.network.driver.mtu": "large"}},
    {"Options": {"com.docker.network.driver.mtu": "-1"}},
    {"Options": {"com.docker.network.driver.mtu": "99999999999"}},
    {"Labels": {"a": 7}},
    {"EnableIPv6": True, "IPAM": {"Config": [{"Subnet": "fd00::/129"}]}},
    {"EnableIPv6": True, "IPAM": {"Config": [{"Subnet": "fd00::/64", "Gateway": "fe00::1"}]}},
    {"IPAM": []},
    {"IPAM": {"Config": {}}},
    {"IPAM": {"Config": [7]}},
    {"IPAM": {"Config": [{"Subnet": "nowhere"}]}},
    {"IPAM": {"Config": [{"Subnet": "10.0.0.0/99"}]}},
    {"IPAM": {"Config": [{"Subnet": "10.0.0.1/32"}]}},
    {"IPAM": {"Config": [{"Subnet": "0.0.0.0/0"}]}},
    {"IPAM": {"Config": [{"Gateway": "10.0.0.1"}]}},
    {"IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.1.1"}]}},
    {"IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "Gateway": "x"}]}},
    {"IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "IPRange": "10.0.1.0/25"}]}},
    {"IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "IPRange": "x"}]}},
    {"IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "AuxiliaryAddresses": {"a": "x"}}]}},
    {"IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "AuxiliaryAddresses": {"a": "10.9.9.9"}}]}},
    {"IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "AuxiliaryAddresses": {"a": "10.0.0.1"}}]}},
]


@pytest.mark.parametrize("body", WRONG_NETWORKS, ids=str)
def test_a_wrong_network_is_refused_in_one_line_and_leaves_nothing(client, engine, body):
    api = client.api
    before = engine.engine.host.run("ls /sys/class/net").stdout
    said = api._post_json(api._url("/networks/create"), data={"Name": "net", **body})
    assert said.status_code in (400, 403, 404, 409, 501), said.text
    assert "internal error" not in said.text
    assert "\n" not in said.json()["message"]
    assert engine.engine.host.run("ls /sys/class/net").stdout == before
    assert len(client.networks.list()) == 3
