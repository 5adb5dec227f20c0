"""docker-py, unmodified: networks."""

from __future__ import annotations

import docker
import pytest
from docker import errors
from docker.types import IPAMConfig, IPAMPool

from natlab import DockerEngine, tcp

SLEEP = ["sleep", "1000"]


def ipam(subnet, **more):
    return IPAMConfig(pool_configs=[IPAMPool(subnet=subnet, **more)])


def address(container, network):
    container.reload()
    return container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]


def test_the_three_networks_of_docker_are_there(client):
    networks = {network.name: network for network in client.networks.list()}
    assert set(networks) == {"bridge", "host", "none"}
    bridge = networks["bridge"].attrs
    assert bridge["IPAM"]["Config"] == [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]
    assert bridge["Options"]["com.docker.network.bridge.name"] == "docker0"
    for network in networks.values():
        with pytest.raises(errors.APIError) as caught:
            network.remove()
        assert caught.value.status_code == 403
        assert "is a pre-defined network and cannot be removed" in caught.value.explanation


def test_a_network_is_made_as_it_was_asked_for(client, lab):
    made = client.networks.create(
        "front",
        driver="bridge",
        ipam=ipam("10.20.0.0/24", gateway="10.20.0.254", iprange="10.20.0.128/25"),
        labels={"tier": "web"},
        options={"com.docker.network.bridge.name": "front0"},
        internal=True,
        attachable=True,
    )
    made.reload()
    told = made.attrs
    assert told["IPAM"]["Config"] == [
        {"Subnet": "10.20.0.0/24", "IPRange": "10.20.0.128/25", "Gateway": "10.20.0.254"}
    ]
    assert (told["Internal"], told["Attachable"], told["Scope"]) == (True, True, "local")
    assert told["Labels"] == {"tier": "web"}
    assert "front0" in [network.bridge for network in lab.ubuntu1.networks()]
    container = client.containers.run("busybox", SLEEP, detach=True, network="front")
    assert address(container, "front") == "10.20.0.128"
    made.reload()
    assert made.containers == [container]
    with pytest.raises(errors.APIError, match="has active endpoints"):
        made.remove()
    container.remove(force=True)
    made.remove()
    assert "front0" not in [network.bridge for network in lab.ubuntu1.networks()]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"name": "bridge"}, 403, "operation is not permitted on predefined bridge network"),
        ({"name": "a/b"}, 400, ""),
        ({"name": ""}, 400, ""),
        ({"name": "x", "driver": "overlay"}, 404, "could not find plugin overlay"),
        ({"name": "x", "ipam": ipam("172.17.0.0/24")}, 403, "Pool overlaps with other one on this"),
        ({"name": "x", "ipam": ipam("10.0.0.0/33")}, 400, "10.0.0.0/33"),
        ({"name": "x", "ipam": ipam("10.0.0.0/24", gateway="10.9.0.1")}, 400, "10.9.0.1"),
    ],
    ids=str,
)
def test_a_wrong_network_is_refused_in_one_line(client, options, status, message):
    with pytest.raises(errors.APIError) as caught:
        client.networks.create(**options)
    assert caught.value.status_code == status, caught.value.explanation
    assert message in caught.value.explanation
    assert "\n" not in caught.value.explanation
    assert len(client.networks.list()) == 3


def test_a_name_is_given_once(client):
    client.networks.create("front")
    with pytest.raises(errors.APIError, match="network with name front already exists") as caught:
        client.networks.create("front")
    assert caught.value.status_code == 409


def test_containers_join_and_leave_while_they_run(client):
    front = client.networks.create("front", ipam=ipam("10.20.0.0/24"))
    web = client.containers.run("busybox", SLEEP, detach=True, name="web")
    other = client.containers.run("busybox", SLEEP, detach=True, name="other", network="front")
    front.connect(web, aliases=["site"], ipv4_address="10.20.0.77")
    assert address(web, "front") == "10.20.0.77"
    assert "site" in web.attrs["NetworkSettings"]["Networks"]["front"]["Aliases"]
    for name in ("web", "site"):
        assert other.exec_run(["getent", "hosts", name]).output.split()[0] == b"10.20.0.77"
    with pytest.raises(errors.APIError, match="already exists in network front"):
        front.connect(web)
    front.disconnect(web)
    web.reload()
    assert list(web.attrs["NetworkSettings"]["Networks"]) == ["bridge"]
    with pytest.raises(errors.APIError, match="is not connected to"):
        front.disconnect(web)
    with pytest.raises(errors.NotFound, match="No such container: ghost"):
        front.connect("ghost")


def test_networks_are_found_listed_and_pruned(client):
    front = client.networks.create("front", labels={"tier": "web"})
    back = client.networks.create("back")
    assert client.networks.get("front") == client.networks.get(front.id[:10]) == front
    with pytest.raises(errors.NotFound, match="network ghost not found"):
        client.networks.get("ghost")
    assert client.networks.list(names=["front"]) == [front]
    assert client.networks.list(ids=[back.id]) == [back]
    assert client.networks.list(filters={"label": "tier=web"}) == [front]
    assert client.networks.list(filters={"type": "custom"}) == [front, back]
    assert client.networks.list(names=["front"], greedy=True)[0].attrs["Containers"] == {}
    assert client.networks.prune(filters={"label!": ["tier"]}) == {"NetworksDeleted": ["back"]}
    assert client.networks.prune() == {"NetworksDeleted": ["front"]}
    assert client.networks.prune() == {"NetworksDeleted": None}


def test_ports_of_a_network_are_published_at_the_address_that_it_names(client):
    options = {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"}
    client.networks.create("local", options=options)
    run = {"detach": True, "network": "local"}
    own = client.containers.run("busybox", SLEEP, ports={"80/tcp": 8000}, **run)
    named = client.containers.run(
        "busybox", SLEEP, ports={"80/tcp": ("192.168.33.11", 8000)}, **run
    )
    for container, ip in ((own, "127.0.0.1"), (named, "192.168.33.11")):
        container.reload()
        assert container.ports["80/tcp"] == [{"HostIp": ip, "HostPort": "8000"}]


def test_a_gateway_lies_in_the_part_from_which_containers_get_addresses(client):
    client.networks.create("ranged", ipam=ipam("10.6.0.0/24", iprange="10.6.0.128/25"))
    web = client.containers.run("busybox", SLEEP, detach=True, network="ranged")
    assert address(web, "ranged") == "10.6.0.129"
    assert web.attrs["NetworkSettings"]["Networks"]["ranged"]["Gateway"] == "10.6.0.128"


def test_a_container_has_no_ipv6_address(client):
    web = client.containers.run("busybox", SLEEP, detach=True)
    assert web.exec_run("cat /proc/net/if_inet6").output == b""


def test_a_full_network_is_named(client):
    made = client.networks.create("small", ipam=ipam("10.5.0.0/30"))
    client.containers.run("busybox", SLEEP, detach=True, network="small")
    with pytest.raises(errors.APIError) as caught:
        client.containers.run("busybox", SLEEP, detach=True, network="small")
    assert f"no available IPv4 addresses on this network's address pools: small ({made.id})" in str(
        caught.value
    )


def test_an_engine_that_turned_forwarding_on_drops_what_is_not_its_own(lab):
    host = lab.ubuntu1
    lab.outside.add_route("172.17.0.0/16", "192.168.33.11")
    with DockerEngine(host) as engine:
        client = docker.DockerClient(base_url=engine.url)
        client.containers.run("busybox", SLEEP, detach=True, name="web")
        client.close()
        web = host.container("web")
        assert tcp(lab.outside, "172.17.0.2", 80, server=web, timeout=0.5).arrived is None
        assert host.forwarding
    assert not host.forwarding
    assert host.nft("list ruleset") == ""


def test_where_forwarding_was_on_before_an_engine_leaves_it_and_the_policy_alone(lab):
    host = lab.ubuntu1
    host.forwarding = True
    lab.outside.add_route("172.17.0.0/16", "192.168.33.11")
    with DockerEngine(host) as engine:
        client = docker.DockerClient(base_url=engine.url)
        client.containers.run("busybox", SLEEP, detach=True, name="web")
        client.close()
        web = host.container("web")
        assert tcp(lab.outside, "172.17.0.2", 80, server=web).outcome == "answered"
    assert host.forwarding


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hostname": "x"}, "hostname and the network mode"),
        ({"dns": ["192.0.2.1"]}, "dns and the network mode"),
        ({"extra_hosts": {"db": "10.0.0.1"}}, "custom host-to-IP mapping and the network mode"),
        ({"mac_address": "02:42:ac:11:00:09"}, "mac-address and the network mode"),
        ({"ports": {"80/tcp": 80}}, "port publishing and the container type network mode"),
    ],
    ids=str,
)
def test_a_shared_network_has_no_settings_of_its_own(client, options, text):
    client.containers.run("busybox", SLEEP, detach=True, name="web")
    with pytest.raises(errors.APIError, match=f"conflicting options: {text}"):
        client.containers.create("busybox", SLEEP, network_mode="container:web", **options)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"Name": "nonesuch"}, "unknown policy 'nonesuch'; use one of"),
        ({"Name": "always", "MaximumRetryCount": 3}, "can only be used with 'on-failure'"),
    ],
    ids=str,
)
def test_a_restart_policy_that_makes_no_sense_is_refused(client, policy, text):
    with pytest.raises(errors.APIError, match=f"invalid restart policy: .*{text}"):
        client.containers.create("busybox", SLEEP, restart_policy=policy)
