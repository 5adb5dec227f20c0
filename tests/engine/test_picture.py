"""A dozen lines rebuild the seed's whole picture, and live traffic proves it."""

from __future__ import annotations

import natlab
from natlab import Lab, ping, tcp


def test_a_dozen_lines_rebuild_the_picture():
    with Lab() as lab:
        docker0 = lab.ubuntu1.add_docker0()
        web = lab.ubuntu1.add_container("web")
        docker0.attach(web)
        (port,) = lab.ubuntu1.publish(web, "8080")
        comes_in = tcp(lab.outside, "192.168.33.11", port.host_port, server=web, server_port=8080)
        goes_out = tcp(web, "192.168.33.20", 80, server=lab.outside)

        assert str(web.ip) == "172.17.0.2"
        assert port.host_port == 49153
        assert (comes_in.outcome, comes_in.source_seen) == ("answered", "192.168.33.20")
        assert (goes_out.outcome, goes_out.source_seen) == ("answered", "192.168.33.11")


def test_both_hosts_may_have_the_same_docker0(lab):
    for host in (lab.ubuntu1, lab.ubuntu2):
        web = host.add_container("web")
        host.add_docker0().attach(web)
        host.publish(web, "8080")
    web1, web2 = lab.node("ubuntu1/web"), lab.node("ubuntu2/web")
    assert web1.ip == web2.ip
    across = tcp(web1, "192.168.33.12", 49153, server=web2, server_port=8080)
    assert (across.outcome, across.source_seen) == ("answered", "192.168.33.11")


def test_the_hosts_hold_nothing_else_at_first(lab):
    for host in lab.hosts.values():
        assert [link.name for link in host.links()] == ["lo", "eth0"]
        assert not host.forwarding
        assert list(host.ruleset().rules()) == []
        assert [route.dst for route in host.routes()] == ["192.168.33.0/24"]
        assert host.containers() == []
        assert host.networks() == []


def test_hosts_of_one_lan_reach_each_other_and_have_names(lab):
    assert ping(lab.outside, "192.168.33.11", server=lab.ubuntu1).source_seen == "192.168.33.20"
    assert lab.ubuntu1.run(["hostname"]).stdout == "ubuntu1\n"
    assert "192.168.33.20\toutside" in lab.ubuntu1.run(["cat", "/etc/hosts"]).stdout


def test_ip_netns_lists_the_containers_of_one_host_only(lab):
    lab.ubuntu1.add_container("web")
    assert lab.ubuntu1.run("ip netns list").stdout.split() == ["web"]
    assert lab.ubuntu2.run("ip netns list").stdout == ""


def test_every_public_name_is_there_and_no_other():
    assert {name for name in natlab.__all__ if getattr(natlab, name, None) is None} == set()
    assert not hasattr(natlab, "nothing")
