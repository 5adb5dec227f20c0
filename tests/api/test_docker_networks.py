"""Networks as the unmodified `docker` client makes them, judged by live traffic."""

from __future__ import annotations

import socket

import pytest

from natlab import DockerEngine, http, ping, tcp, udp
from natlab.model.iptables_view import listing

HOST, LAN_CLIENT, BRIDGE = "192.168.33.11", "192.168.33.20", "172.17.0.1"
IDLE = "busybox sleep 1000"


def said(docker, name, text):
    """Wait until a container has printed a text."""
    with docker.start(f"logs -f {name}") as logs:
        printed = b""
        while text.encode() not in printed:
            chunk = logs.stdout.read1()
            assert chunk, f"{name} ended before it said {text!r}: {printed!r}"
            printed += chunk
        logs.kill()


def rules(lab):
    return listing(lab.ubuntu1.ruleset(), "nat")


def test_the_seeds_transcript(lab, docker):
    web = docker("run -d -P myapp:v0.0.1")
    row = docker("ps").splitlines()[1]
    assert row.startswith(web[:12])
    assert "myapp:v0.0.1" in row
    assert "0.0.0.0:49153->8080/tcp" in row
    addresses = [line for line in docker(f"inspect {web}").splitlines() if "IPAddress" in line]
    assert {line.strip() for line in addresses} == {
        '"IPAddress": "172.17.0.2",',
        '"SecondaryIPAddresses": null,',
    }
    shown = rules(lab)
    assert "MASQUERADE  all  --  *      !docker0  172.17.0.0/16        0.0.0.0/0" in shown
    assert (
        "DNAT       tcp  --  !docker0 *       0.0.0.0/0            0.0.0.0/0"
        "            tcp dpt:49153 to:172.17.0.2:8080"
    ) in shown
    said(docker, web, "listen")
    name = docker(f"inspect -f '{{{{.Name}}}}' {web}").removeprefix("/")
    probe = http(
        lab.outside, f"http://{HOST}:49153/", server=lab.ubuntu1.container(name), server_port=8080
    )
    assert (probe.status, probe.source_seen) == (200, LAN_CLIENT)
    assert f"{web[:12]} saw {LAN_CLIENT}:" in probe.body
    docker(f"rm -f {web}")
    assert "49153" not in rules(lab)
    assert docker("run -d -P myapp:v0.0.1") != web
    assert "dpt:49154 to:172.17.0.2:8080" in rules(lab)


def test_each_client_of_a_published_port_is_seen_as_docker_has_it(lab, docker):
    docker(f"run -d --name web -p 80:8080 {IDLE}")
    docker(f"run -d --name db {IDLE}")
    docker(f"run -d --name far --network host {IDLE}")
    web, db = lab.ubuntu1.container("web"), lab.ubuntu1.container("db")
    for client, address, port, source in [
        (lab.outside, HOST, 80, LAN_CLIENT),
        (lab.ubuntu1, "127.0.0.1", 80, BRIDGE),
        (lab.ubuntu1, HOST, 80, HOST),
        (lab.ubuntu1, "172.17.0.2", 8080, BRIDGE),
        (db, "172.17.0.2", 8080, "172.17.0.3"),
        (db, HOST, 80, BRIDGE),
        (web, HOST, 80, BRIDGE),
    ]:
        probe = tcp(client, address, port, server=web, server_port=8080)
        assert (probe.outcome, probe.source_seen) == ("answered", source), (client, address)
    out = tcp(web, LAN_CLIENT, 7777, server=lab.outside)
    assert (out.outcome, out.source_seen) == ("answered", HOST)


def test_names_and_aliases_are_found_on_a_network_of_ones_own(docker):
    docker("network create mynet")
    docker(f"run -d --name db --network mynet --network-alias database -h dbhost {IDLE}")
    docker(f"run -d --name web --network mynet {IDLE}")
    short = docker("inspect -f '{{.Id}}' db")[:12]
    for name in ("db", "database", "dbhost", short, "db.mynet", "DB"):
        assert docker(f"exec web getent hosts {name}").split()[0] == "172.18.0.2", name
    docker("exec web getent hosts nobody", code=2)
    assert docker("exec web getent hosts 172.18.0.2").split() == ["172.18.0.2", "db.mynet"]
    docker("rename db store")
    assert docker("exec web getent hosts store").split()[0] == "172.18.0.2"
    docker("exec web getent hosts db", code=2)
    docker("rm -f store")
    docker("exec web getent hosts store database", code=2)


def test_names_are_not_found_on_the_default_network(docker):
    docker(f"run -d --name db {IDLE}")
    docker("run --rm busybox getent hosts db", code=2)
    assert "127.0.0.11" not in docker("run --rm busybox cat /etc/resolv.conf")


def test_networks_are_kept_apart(lab, docker):
    docker("network create one")
    docker("network create two")
    docker(f"run -d --name web --network one -p 80:8080 {IDLE}")
    docker(f"run -d --name db --network two {IDLE}")
    web, db = lab.ubuntu1.container("web"), lab.ubuntu1.container("db")
    assert tcp(db, "172.18.0.2", 8080, server=web).outcome == "no answer"
    assert "default via 172.19.0.1" in docker("exec db ip route")
    docker("network connect one db")
    assert "default via 172.18.0.1" in docker("exec db ip route"), "the first by name"
    assert tcp(db, "172.18.0.2", 8080, server=web).outcome == "answered"
    docker("network disconnect one db")
    assert "default via 172.19.0.1" in docker("exec db ip route")
    assert tcp(db, "172.18.0.2", 8080, server=web).outcome in ("no answer", "unreachable")


def test_an_internal_network_has_no_way_out_and_none_in(lab, docker):
    docker("network create --internal inner")
    docker(f"run -d --name db --network inner -p 80:8080 {IDLE}")
    docker(f"run -d --name web --network inner {IDLE}")
    web, db = lab.ubuntu1.container("web"), lab.ubuntu1.container("db")
    assert tcp(web, "172.18.0.2", 8080, server=db).outcome == "answered"
    assert docker("exec web getent hosts db").split()[0] == "172.18.0.2"
    assert tcp(web, LAN_CLIENT, 7777, server=lab.outside).outcome == "unreachable"
    assert tcp(lab.outside, HOST, 80, server=db, server_port=8080).outcome == "refused"
    assert docker("ps -f name=db --format '{{.Ports}}'") == "8080/tcp", "exposed only"
    assert "default" not in docker("exec web ip route")


def test_a_connected_network_takes_over_ports_and_route_as_priorities_say(lab, docker):
    docker("network create --internal inner")
    docker("network create outer")
    docker(f"run -d --name web --network inner -p 80:8080 {IDLE}")
    web = lab.ubuntu1.container("web")
    assert tcp(lab.outside, HOST, 80, server=web, server_port=8080).outcome == "refused"
    docker("network connect outer web")
    assert docker("port web") == "8080/tcp -> 0.0.0.0:80"
    assert "default via 172.19.0.1 dev eth1" in docker("exec web ip route")
    probe = tcp(lab.outside, HOST, 80, server=web, server_port=8080)
    assert (probe.outcome, probe.source_seen) == ("answered", LAN_CLIENT)
    assert tcp(web, LAN_CLIENT, 7777, server=lab.outside).source_seen == HOST
    docker("network disconnect outer web")
    assert docker("port web") == ""
    assert "default" not in docker("exec web ip route")
    assert tcp(lab.outside, HOST, 80, server=web, server_port=8080).outcome == "refused"


def test_two_networks_on_one_container_from_its_start(lab, docker):
    docker("network create alpha")
    docker("network create beta")
    docker(f"run -d --name web --network beta --network alpha -p 80:8080 {IDLE}")
    web = lab.ubuntu1.container("web")
    assert "default via 172.18.0.1" in docker("exec web ip route"), "alpha, the first by name"
    assert docker("exec web cat /etc/hosts").splitlines()[-2:] == [
        f"{address}\t{docker('exec web hostname')}" for address in ("172.19.0.2", "172.18.0.2")
    ]
    assert tcp(lab.outside, HOST, 80, server=web, server_port=8080).arrived
    docker("network disconnect alpha web")
    assert "default via 172.19.0.1" in docker("exec web ip route")
    assert tcp(lab.outside, HOST, 80, server=web, server_port=8080).arrived
    assert docker("exec web cat /etc/hosts").splitlines()[-1].startswith("172.19.0.2\t")


def test_a_container_of_no_network_and_one_of_the_hosts(lab, docker):
    docker(f"run -d --name alone --network none {IDLE}")
    alone = lab.ubuntu1.container("alone")
    assert tcp(alone, HOST, 80, server=lab.ubuntu1).outcome == "unreachable"
    assert "alone" not in docker("network inspect bridge")
    docker("run -d --name web --network host myapp:v0.0.1")
    said(docker, "web", "listen")
    probe = http(lab.outside, f"http://{HOST}:8080/", server=lab.ubuntu1)
    assert (probe.status, probe.source_seen) == (200, LAN_CLIENT)
    docker("network connect bridge alone")
    assert docker("inspect -f '{{.NetworkSettings.IPAddress}}' alone") == "172.17.0.2"
    docker.refused("network connect bridge web")
    docker.refused("network disconnect host web")


def test_a_container_in_anothers_network_shares_its_ports(lab, docker):
    docker(f"run -d --name donor -p 80:8080 {IDLE}")
    docker("run -d --name web --network container:donor myapp:v0.0.1")
    said(docker, "web", "listen")
    donor = lab.ubuntu1.container("donor")
    probe = http(lab.outside, f"http://{HOST}:80/", server=donor, server_port=8080)
    assert (probe.status, probe.source_seen) == (200, LAN_CLIENT)
    assert docker("exec web cat /etc/hosts") == docker("exec donor cat /etc/hosts")


@pytest.fixture
def strict(lab, docker_for):
    """The client of an engine with `--icc=false`."""
    with DockerEngine(lab.ubuntu1, icc=False) as engine:
        yield docker_for(engine)


def test_without_icc_a_link_is_the_only_way(lab, strict):
    strict(f"run -d --name db --expose 5432 -e PASSWORD=x -e HOME=/x {IDLE}")
    strict(f"run -d --name stranger {IDLE}")
    strict(f"run -d --name web --link db:database {IDLE}")
    db, web, stranger = (lab.ubuntu1.container(name) for name in ("db", "web", "stranger"))
    assert tcp(web, "172.17.0.2", 5432, server=db).outcome == "answered"
    assert tcp(web, "172.17.0.2", 5433, server=db).outcome == "no answer"
    assert tcp(stranger, "172.17.0.2", 5432, server=db).outcome == "no answer"
    assert not ping(stranger, "172.17.0.2", server=db).arrived
    assert strict("exec web getent hosts database").split() == [
        "172.17.0.2",
        "database",
        strict("inspect -f '{{.Id}}' db")[:12],
        "db",
    ]
    env = strict("exec web env").splitlines()
    assert {
        "DATABASE_PORT=tcp://172.17.0.2:5432",
        "DATABASE_PORT_5432_TCP_ADDR=172.17.0.2",
        "DATABASE_NAME=/web/database",
        "DATABASE_ENV_PASSWORD=x",
    } <= set(env)
    assert not any(line.startswith("DATABASE_ENV_HOME") for line in env)


def test_a_link_follows_the_other_container_to_its_new_address(lab, strict):
    strict(f"run -d --name db --expose 5432 {IDLE}")
    strict(f"run -d --name web --link db {IDLE}")
    strict("stop -t 0 db")
    before = listing(lab.ubuntu1.ruleset(), "filter")
    assert "172.17.0.3" not in before, "nothing is open towards nobody"
    strict(f"run -d --name squatter {IDLE}")
    strict("start db")
    assert strict("inspect -f '{{.NetworkSettings.IPAddress}}' db") == "172.17.0.4"
    assert strict("exec web getent hosts db").split()[0] == "172.17.0.4"
    web = lab.ubuntu1.container("web")
    assert tcp(web, "172.17.0.4", 5432, server=lab.ubuntu1.container("db")).outcome == "answered"
    squatter = lab.ubuntu1.container("squatter")
    assert tcp(web, "172.17.0.2", 5432, server=squatter).outcome == "no answer"
    strict("rm -f db")
    strict("restart -t 0 web")
    assert "db" not in strict("exec web cat /etc/hosts").split()
    strict(f"create --name db {IDLE}")
    assert strict.refused("run --rm --name app --link db busybox true", code=125) == (
        "Cannot link to a non running container: /db AS /app/db"
    )
    strict("rm -f web")
    assert "5432" not in listing(lab.ubuntu1.ruleset(), "filter")


def test_icc_can_be_off_in_one_network(lab, docker):
    docker("network create -o com.docker.network.bridge.enable_icc=false quiet")
    for name in ("one", "two"):
        docker(f"run -d --name {name} --network quiet {IDLE}")
    one, two = (lab.ubuntu1.container(name) for name in ("one", "two"))
    assert tcp(one, "172.18.0.3", 80, server=two).outcome == "no answer"
    assert tcp(one, LAN_CLIENT, 7777, server=lab.outside).source_seen == HOST


def test_a_stopped_container_gets_its_ports_and_an_address_again(lab, docker):
    docker(f"run -d --name first -P --expose 80 {IDLE}")
    docker(f"run -d --name second -p 81:80 {IDLE}")
    docker("stop -t 0 first second")
    assert docker("inspect -f '{{.NetworkSettings.IPAddress}}' first second") == "\n"
    docker("start second first")
    assert docker("inspect -f '{{.NetworkSettings.IPAddress}}' first second") == (
        "172.17.0.3\n172.17.0.2"
    )
    assert docker("port second") == "80/tcp -> 0.0.0.0:81"
    assert docker("port first") == "80/tcp -> 0.0.0.0:49154", "an automatic port grows (moby 34310)"
    second = lab.ubuntu1.container("second")
    assert tcp(lab.outside, HOST, 81, server=second, server_port=80).source_seen == LAN_CLIENT


def test_a_chosen_address_stays_over_a_restart(docker):
    docker("network create --subnet 10.1.0.0/16 fixed")
    docker(f"run -d --name web --network fixed --ip 10.1.0.9 {IDLE}")
    docker("restart -t 0 web")
    assert docker("exec web hostname -I").strip() == "10.1.0.9"


def test_a_udp_sender_reaches_the_new_container_at_once(lab, docker):
    docker(f"run -d --name sip -p 5060:5060/udp {IDLE}")
    with lab.outside.socket(kind=socket.SOCK_DGRAM) as sender:
        sender.bind((LAN_CLIENT, 5060))
        for name in ("sip", "next"):
            server = lab.ubuntu1.container(name)
            with server.socket(kind=socket.SOCK_DGRAM) as listener:
                listener.bind(("0.0.0.0", 5060))
                listener.settimeout(5)
                sender.sendto(name.encode(), (HOST, 5060))
                assert listener.recvfrom(64) == (name.encode(), (LAN_CLIENT, 5060))
            if name == "sip":
                docker("rm -f sip")
                sender.sendto(b"to nobody", (HOST, 5060))
                docker(f"run -d --name next -p 5060:5060/udp {IDLE}")
    server = lab.ubuntu1.container("next")
    assert udp(lab.outside, HOST, 5060, server=server).source_seen == LAN_CLIENT


def test_a_port_of_a_program_of_the_host_is_refused_in_dockers_words(lab, docker):
    with lab.ubuntu1.socket() as held:
        held.bind(("0.0.0.0", 8080))
        held.listen()
        text = docker.refused("run -d --name web -p 8080:80 busybox sleep 9", code=125)
        assert text.startswith("failed to set up container networking: driver failed")
        assert text.endswith("failed to bind host port 0.0.0.0:8080/tcp: address already in use")
    assert docker("ps -q") == ""
    assert lab.ubuntu1.container_names() == [], "nothing half-made"
    assert "8080" not in rules(lab)
    docker("start web")
    assert docker("port web") == "80/tcp -> 0.0.0.0:8080"
