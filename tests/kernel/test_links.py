"""Links, addresses, routes, neighbours and bridge tables, value by value what `ip -j` says."""

from __future__ import annotations

import json

import pytest

from natlab import NatlabError, UsageError, ping


@pytest.fixture
def host(lab):
    """ubuntu1 with a docker0, two containers and some traffic."""
    docker0 = lab.ubuntu1.add_docker0()
    for name in ("web", "db"):
        docker0.attach(lab.ubuntu1.add_container(name))
    assert ping(lab.node("web"), "172.17.0.3").outcome == "answered"
    assert ping(lab.ubuntu1, "192.168.33.20").outcome == "answered"
    return lab.ubuntu1


def said(node, command):
    return json.loads(node.run(command, check=True).stdout)


@pytest.mark.parametrize("name", ["ubuntu1", "web"])
@pytest.mark.usefixtures("host")
def test_links_are_those_of_ip_addr(lab, name):
    node = lab.node(name)
    expected = {
        entry["ifname"]: (
            entry["ifindex"],
            entry.get("linkinfo", {}).get("info_kind", "loopback"),
            entry["address"],
            entry["mtu"],
            "UP" in entry["flags"],
            "LOWER_UP" in entry["flags"],
            entry.get("master"),
            entry.get("link_index"),
            {f"{a['local']}/{a['prefixlen']}" for a in entry["addr_info"]},
        )
        for entry in said(node, "ip -d -j addr")
    }
    found = {
        link.name: (
            link.index,
            link.kind,
            link.mac,
            link.mtu,
            link.up,
            link.carrier,
            link.master,
            link.peer_index,
            {str(address) for address in link.addresses},
        )
        for link in node.links()
    }
    assert found == expected


def test_bridge_ports_tell_hairpin_and_isolated(lab, host):
    port = lab.node("web").host_end
    assert (host.link(port).hairpin, host.link(port).isolated) == (False, False)
    host.run(f"bridge link set dev {port} hairpin on isolated on", check=True)
    assert (host.link(port).hairpin, host.link(port).isolated) == (True, True)


def test_routes_are_those_of_ip_route_in_every_table(host):
    host.run(
        "ip route add 10.1.0.0/16 via 192.168.33.20 table 100; ip route add blackhole 10.2.0.0/16;"
        "ip route add default via 192.168.33.12; ip route add unreachable 10.3.0.0/16 table 5000;"
        "ip route add 10.4.0.1 dev eth0 src 192.168.33.11",
        check=True,
    )
    expected = {
        (
            route["dst"]
            if "/" in route["dst"] or route["dst"] == "default"
            else f"{route['dst']}/32",
            route.get("dev"),
            route.get("gateway"),
            route.get("table", "main"),
            route.get("type", "unicast"),
            route.get("prefsrc"),
        )
        for route in said(host, "ip -4 -j route show table all")
        if route.get("table") != "local"
    }
    found = {
        (r.dst, r.dev, r.gateway, r.table_name, r.kind, r.source)
        for r in host.routes()
        if r.table != 255
    }
    assert found == expected


def test_a_route_lookup_is_that_of_ip_route_get(host):
    for destination in ("172.17.0.2", "192.168.33.20"):
        (expected,) = said(host, f"ip -j route get {destination}")
        found = host.route_to(destination)
        assert (found.dev, found.source) == (expected["dev"], expected["prefsrc"])
    assert host.route_to("8.8.8.8") is None


def test_neighbours_are_those_of_ip_neigh(host):
    host.run("ip neigh add 192.168.33.99 lladdr 02:00:00:00:00:99 dev eth0", check=True)
    passing = dict.fromkeys(("stale", "delay", "probe"), "reachable")  # may change as we look
    expected = set()
    for entry in said(host, "ip -4 -j neigh"):
        state = entry["state"][0].lower()
        expected.add((entry["dst"], entry.get("lladdr"), entry["dev"], passing.get(state, state)))
    found = {(n.address, n.mac, n.dev, passing.get(n.state, n.state)) for n in host.neighbours()}
    assert found == expected
    assert ("192.168.33.99", "02:00:00:00:00:99", "eth0", "permanent") in found


def test_the_forwarding_table_is_that_of_bridge_fdb(lab, host):
    expected = {
        (entry["mac"], entry["ifname"], entry["state"] == "permanent")
        for entry in said(host, "bridge -j fdb show br docker0")
        if entry.get("master") == "docker0"
    }
    found = {(e.mac, e.port, e.permanent) for e in host.network().forwarding_table()}
    assert found == expected
    assert ("02:42:ac:11:00:02", lab.node("web").host_end, False) in found


def test_changes_are_made_and_refused_in_plain_words(host):
    host.add_route("10.0.0.0/8", via="192.168.33.20")
    with pytest.raises(NatlabError, match=r"route 10\.0\.0\.0/8 on ubuntu1: File exists"):
        host.add_route("10.0.0.0/8", via="192.168.33.20")
    host.delete_route("10.0.0.0/8")
    with pytest.raises(NatlabError, match=r"route 10\.0\.0\.0/8 on ubuntu1: No such process"):
        host.delete_route("10.0.0.0/8")
    with pytest.raises(NatlabError, match="eth9 on ubuntu1: no interface eth9"):
        host.set_up("eth9")
    host.delete_link("eth9")
    with pytest.raises(UsageError, match='no interface "eth9" on ubuntu1'):
        host.capture("eth9")


def test_settings_are_those_of_sysctl(host):
    assert host.sysctl("net.ipv4.ip_forward") == "1"
    assert host.sysctl("net/ipv4/ip_forward") == "1"
    assert host.sysctl("net.no.such") is None
    host.set_sysctl("net.ipv4.conf.eth0.rp_filter", 1)
    assert host.run("sysctl -n net.ipv4.conf.eth0.rp_filter").stdout == "1\n"
    with pytest.raises(NatlabError, match=r"sysctl net\.no\.such=1 on ubuntu1: No such file"):
        host.set_sysctl("net.no.such", 1)
    with pytest.raises(NatlabError, match="ip_forward=many on ubuntu1: Invalid argument"):
        host.set_sysctl("net.ipv4.ip_forward", "many")


def test_sys_shows_the_nodes_own_interfaces_where_the_kernel_lets_it(host):
    names = host.run("ls /sys/class/net").stdout.split()
    if "none /sys sysfs" not in host.run("cat /proc/mounts").stdout:
        pytest.skip("this kernel lets no fresh /sys be mounted here")
    assert {link.name for link in host.links()} <= set(names)
