"""Networks with `--ipv6`, made by the unmodified `docker` client, judged by live traffic."""

from __future__ import annotations

import json

import pytest

from natlab import DockerEngine, Lab

OUTSIDE, HOST = "fd00:33::20", "fd00:33::11"
IDLE = "busybox sleep 1000"
MINE = "network create --ipv6 --subnet fd00:7::/64 --gateway fd00:7::9 --subnet 10.7.0.0/24 mine"


@pytest.fixture
def lan():
    """A lab whose LAN has both families."""
    with Lab() as lab:
        lab.outside.configure("eth0", f"{OUTSIDE}/64")
        lab.ubuntu1.configure("eth0", f"{HOST}/64")
        yield lab


@pytest.fixture
def docker(lan, docker_for):
    with DockerEngine(lan.ubuntu1) as engine:
        yield docker_for(engine)


def shown(docker, what, form):
    return json.loads(docker(f"inspect -f '{{{{json {form}}}}}' {what}"))


def test_a_network_with_ipv6_is_made_as_it_was_asked_for(lan, docker):
    docker(MINE)
    assert shown(docker, "mine", ".EnableIPv6") is True
    assert shown(docker, "mine", ".IPAM.Config") == [
        {"Subnet": "10.7.0.0/24", "Gateway": "10.7.0.1"},
        {"Subnet": "fd00:7::/64", "Gateway": "fd00:7::9"},
    ]
    docker(f"run -d --name web --network mine {IDLE}")
    docker(f"run -d --name db --network mine --ip6 fd00:7::53 {IDLE}")
    there = shown(docker, "web", ".NetworkSettings.Networks.mine")
    assert there["GlobalIPv6Address"] == "fd00:7::1"
    assert there["GlobalIPv6PrefixLen"] == 64
    assert there["IPv6Gateway"] == "fd00:7::9"
    assert shown(docker, "db", ".NetworkSettings.Networks.mine.IPAMConfig") == {
        "IPv6Address": "fd00:7::53"
    }
    members = shown(docker, "mine", ".Containers").values()
    assert {m["Name"]: m["IPv6Address"] for m in members} == {
        "web": "fd00:7::1/64",
        "db": "fd00:7::53/64",
    }
    hosts = docker("exec web cat /etc/hosts").splitlines()[-2:]
    assert [line.split("\t")[0] for line in hosts] == ["10.7.0.2", "fd00:7::1"]
    docker("rm -f web db")
    docker("network rm mine")
    assert "mine" not in docker("network ls")
    assert "fd00:7::" not in lan.ubuntu1.run("ip -6 route; nft list ruleset").stdout


def test_names_have_addresses_of_both_families(docker):
    docker(MINE)
    docker(f"run -d --name web --network mine {IDLE}")
    docker(f"run -d --name db --network mine --ip6 fd00:7::53 {IDLE}")
    for family, address in (("v4", "10.7.0.3"), ("v6", "fd00:7::53")):
        assert docker(f"exec web getent ah{'osts' + family} db").split()[0] == address
    assert docker("exec web getent hosts fd00:7::53").split()[1] == "db.mine"


def test_a_subnet_is_picked_where_none_was_asked_for(docker):
    docker("network create --ipv6 one")
    docker("network create --ipv6 two")
    one, two = (shown(docker, name, ".IPAM.Config")[1]["Subnet"] for name in ("one", "two"))
    assert one.startswith("fd")
    assert one.endswith("/64")
    assert one != two


def test_ports_are_published_at_both_families(docker):
    docker(MINE)
    docker("run -d --name web --network mine -p 8080:8080 -p 127.0.0.1:81:81 myapp:v0.0.1")
    assert docker("port web").splitlines() == [
        *("81/tcp -> 127.0.0.1:81", "8080/tcp -> 0.0.0.0:8080", "8080/tcp -> [::]:8080")
    ]
    ports = docker("ps --format '{{.Ports}}'").strip()
    assert ports == "127.0.0.1:81->81/tcp, 0.0.0.0:8080->8080/tcp, [::]:8080->8080/tcp"
    assert docker("run --rm --network mine busybox ping -6 -c1 -W2 web")
    docker(f"run -d --name other -p 80:80 {IDLE}")
    assert docker("port other").splitlines() == ["80/tcp -> 0.0.0.0:80"]
    docker("network connect mine other")
    docker("restart -t 0 web")
    docker("network disconnect mine web")
    assert docker("port web") == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--subnet fd00:7::/64", "Pool overlaps with other one on this address space"),
        ("--subnet fd00:8::/64 --gateway fd00:9::1", "no matching subnet for gateway fd00:9::1"),
    ],
)
def test_a_wrong_network_is_refused_in_one_line(lan, docker, line, said):
    docker(MINE)
    done = docker.run(f"network create --ipv6 {line} other")
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "other" not in docker("network ls")
    assert len(lan.ubuntu1.networks()) == 2


def test_an_address_outside_of_the_subnet_is_refused(docker):
    docker(MINE)
    done = docker.run(f"run -d --network mine --ip6 fd00:8::5 {IDLE}")
    assert "no configured subnet or ip-range contain the IP address fd00:8::5" in done.stderr
    done = docker.run(f"run -d --network mine --ip6 nonsense {IDLE}")
    assert "nonsense" in done.stderr
