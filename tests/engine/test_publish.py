"""Publishing: every form of `-p`, Docker's own words when it is refused, and taking it back."""

from __future__ import annotations

import re

import pytest

from natlab import NatlabError, UsageError, tcp, udp
from natlab.model import iptables_view
from natlab.model.ports import PortRange

HOST = "192.168.33.11"


@pytest.fixture
def web(lab):
    web = lab.ubuntu1.add_container("web")
    lab.ubuntu1.add_docker0().attach(web)
    return web


def shown(published):
    return [str(item) for item in published]


def counted(host):
    return host.nft("list table ip natlab")


def table(host):
    """The rules without what they have counted."""
    return re.sub(r"packets \d+ bytes \d+", "", counted(host))


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["8080"], ["8080/tcp -> 0.0.0.0:49153"]),
        (["80:8080"], ["8080/tcp -> 0.0.0.0:80"]),
        (["127.0.0.1:80:8080"], ["8080/tcp -> 127.0.0.1:80"]),
        ([f"{HOST}::8080"], [f"8080/tcp -> {HOST}:49153"]),
        (["53:53/udp"], ["53/udp -> 0.0.0.0:53"]),
        (["53:53", "53:53/udp"], ["53/tcp -> 0.0.0.0:53", "53/udp -> 0.0.0.0:53"]),
        (["8000-8001:80-81"], ["80/tcp -> 0.0.0.0:8000", "81/tcp -> 0.0.0.0:8001"]),
        (["8000-8010:80"], ["80/tcp -> 0.0.0.0:8000"]),
        (["7000", "49153:8080"], ["7000/tcp -> 0.0.0.0:49154", "8080/tcp -> 0.0.0.0:49153"]),
        (["9:9/sctp"], ["9/sctp -> 0.0.0.0:9"]),
    ],
)
def test_every_form_is_published_and_read_back_from_the_kernel(lab, web, specs, expected):
    published = lab.ubuntu1.publish(web, *specs)
    assert shown(published) == expected
    assert set(lab.ubuntu1.published()) == {(item, web.ip) for item in published}


def test_a_published_port_answers_at_the_address_that_was_asked_for_and_no_other(lab, web):
    lab.ubuntu1.publish(web, f"{HOST}:80:8080", "127.0.0.1:81:8081")
    assert tcp(lab.outside, HOST, 80, server=web, server_port=8080).outcome == "answered"
    assert tcp(lab.outside, HOST, 81, server=web, server_port=8081).outcome == "refused"
    assert tcp(lab.ubuntu1, "127.0.0.1", 80, server=web, server_port=8080).outcome == "refused"
    assert tcp(lab.ubuntu1, "127.0.0.1", 81, server=web, server_port=8081).outcome == "answered"


def test_udp_and_tcp_of_one_number_lead_to_their_own_servers(lab, web):
    lab.ubuntu1.publish(web, "53:53", "53:53/udp")
    for probe in (tcp, udp):
        result = probe(lab.outside, HOST, 53, server=web)
        assert (result.outcome, result.source_seen) == ("answered", "192.168.33.20")
        assert probe(lab.ubuntu1, "127.0.0.1", 53, server=web).source_seen == "172.17.0.1"


def test_a_port_that_a_container_holds_is_refused_in_dockers_words(lab, web):
    lab.ubuntu1.publish(web, "8080:80")
    with pytest.raises(NatlabError) as refused:
        lab.ubuntu1.publish(web, "8080:81")
    assert str(refused.value) == "Bind for 0.0.0.0:8080 failed: port is already allocated"


def test_a_port_that_a_rule_made_by_hand_holds_is_refused_too(lab, web):
    lab.ubuntu1.nft("add rule ip natlab DOCKER tcp dport 8080 dnat to 172.17.0.2:80")
    with pytest.raises(NatlabError, match=r"^Bind for 0\.0\.0\.0:8080 failed: port is already"):
        lab.ubuntu1.publish(web, "8080:81")
    lab.ubuntu1.nft("flush chain ip natlab DOCKER")
    assert shown(lab.ubuntu1.publish(web, "8080:81")) == ["81/tcp -> 0.0.0.0:8080"]


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_port_that_a_program_holds_is_refused_in_dockers_words(lab, web, proto):
    option = " --udp" if proto == "udp" else ""
    with lab.ubuntu1.start(f"myapp 8080{option}") as program:
        program.wait_for("listens")
        with pytest.raises(NatlabError) as refused:
            lab.ubuntu1.publish(web, f"8080:80/{proto}")
    message = f"failed to bind host port 0.0.0.0:8080/{proto}: address already in use"
    assert str(refused.value) == message


def test_an_automatic_port_passes_over_what_a_program_holds(lab, web):
    with lab.ubuntu1.listen(49153):
        assert lab.ubuntu1.publish(web, "80")[0].host_port == 49154


def test_an_address_that_the_host_does_not_have_is_named(lab, web):
    with pytest.raises(
        NatlabError, match=r"10\.9\.9\.9:80/tcp: cannot assign .* \(ubuntu1 has no address 10\.9"
    ):
        lab.ubuntu1.publish(web, "10.9.9.9:80:80")


def test_an_ipv6_address_is_refused_before_anything_is_done(lab, web):
    before = table(lab.ubuntu1)
    with pytest.raises(UsageError, match="an IPv4 address only"):
        lab.ubuntu1.publish(web, "80:80", "[::1]:81:81")
    assert table(lab.ubuntu1) == before


def test_the_range_is_used_up_in_dockers_words(lab, web):
    few = type(lab)({"solo": "10.1.0.1/24"}, port_range=PortRange(50000, 50001))
    with few:
        web = few.solo.add_container("web")
        few.solo.add_docker0().attach(web)
        few.solo.publish(web, "1", "2")
        with pytest.raises(NatlabError, match=r"^all ports are allocated$"):
            few.solo.publish(web, "3")


def test_all_are_published_or_none(lab, web):
    lab.ubuntu1.publish(web, "8080:80")
    rules, programs = table(lab.ubuntu1), lab.ubuntu1.run("pgrep -fc docker_proxy").stdout
    with pytest.raises(NatlabError, match="8080 failed"):
        lab.ubuntu1.publish(web, "9090:90", "91", "8080:81")
    assert table(lab.ubuntu1) == rules
    assert lab.ubuntu1.run("pgrep -fc docker_proxy").stdout == programs
    published = lab.ubuntu1.publish(web, "9090:90", "91")
    assert shown(published) == ["90/tcp -> 0.0.0.0:9090", "91/tcp -> 0.0.0.0:49153"]


def test_what_nft_refuses_leaves_no_proxy_behind(lab, web):
    lab.ubuntu1.nft("delete table ip natlab; add table ip natlab")
    with pytest.raises(NatlabError, match="none was applied"):
        lab.ubuntu1.publish(web, "8080:80")
    assert lab.ubuntu1.run("pgrep -f docker_proxy").stdout == ""


def test_unpublishing_closes_the_port_and_frees_its_number(lab, web):
    before = table(lab.ubuntu1)
    (port,) = lab.ubuntu1.publish(web, "8080:80")
    lab.ubuntu1.unpublish(web, port)
    assert tcp(lab.outside, HOST, 8080, server=web, server_port=80).outcome == "refused"
    assert table(lab.ubuntu1) == before
    assert lab.ubuntu1.published() == ()
    lab.ubuntu1.publish(web, "8080:80")


def test_one_of_two_ports_to_the_same_place_may_go(lab, web):
    first, second = lab.ubuntu1.publish(web, "8080:80", "9090:80")
    lab.ubuntu1.nft("chain ip natlab FORWARD { policy drop; }")
    lab.ubuntu1.unpublish(web, first)
    assert tcp(lab.outside, HOST, second.host_port, server=web, server_port=80).outcome == (
        "answered"
    )


def test_automatic_ports_grow_and_do_not_come_back_at_once(lab, web):
    (first,) = lab.ubuntu1.publish(web, "80")
    lab.ubuntu1.unpublish(web, first)
    assert lab.ubuntu1.publish(web, "80")[0].host_port == first.host_port + 1


def hits(host):
    """How many packets each rule that rewrites has met, by the rule's handle."""
    found = re.findall(
        r"counter packets (\d+) .*(?:dnat|masquerade).* # handle (\d+)", counted(host)
    )
    return {handle: int(packets) for packets, handle in found if packets != "0"}


def test_publishing_keeps_the_counters_of_other_rules(lab_without_proxy):
    host = lab_without_proxy.ubuntu1
    web = host.add_container("web")
    host.add_docker0().attach(web)
    host.publish(web, "8080")
    assert tcp(lab_without_proxy.outside, HOST, 49153, server=web, server_port=8080).arrived
    assert tcp(host, "127.0.0.1", 49153, server=web, server_port=8080).arrived
    before = hits(host)
    host.publish(web, "8081")
    assert len(before) >= 2
    after = hits(host)  # a late packet may be counted as well, but nothing begins anew
    assert all(after.get(handle, 0) >= packets for handle, packets in before.items())


def test_what_stands_once_is_added_once(lab_without_proxy):
    host = lab_without_proxy.ubuntu1
    web = host.add_container("web")
    host.add_docker0().attach(web)
    host.publish(web, "8080", "127.0.0.1:8000:8080")
    host.publish(web, "9000:8080")
    rules = [
        (chain.name, str(rule.matches), rule.dnat) for _, chain, rule in host.ruleset().rules()
    ]
    repeated = [rule for rule in rules if rules.count(rule) > 1 and rule[1] != "()"]
    assert repeated == []
    assert [chain for chain, *_ in rules].count("raw-PREROUTING") == 1


def test_a_container_without_an_address_cannot_be_published(lab):
    bare = lab.ubuntu1.add_container("bare")
    with pytest.raises(NatlabError, match="bare has no IPv4 address on eth0: attach it"):
        lab.ubuntu1.publish(bare, "80")


def test_many_ports_answer_alike_and_are_listed_like_a_few(lab_without_proxy):
    lab = lab_without_proxy
    host = lab.ubuntu1
    web = host.add_container("web")
    host.add_docker0().attach(web)
    published = host.publish(web, "1000-1039:80-119", f"{HOST}:2000:81", "127.0.0.1:2000:81")
    assert set(host.published()) == {(item, web.ip) for item in published}
    for client, address, port, inside in (
        *((lab.outside, HOST, 1000, 80), (lab.outside, HOST, 1039, 119)),
        *((lab.outside, HOST, 2000, 81), (host, "127.0.0.1", 2000, 81), (web, HOST, 1039, 119)),
    ):
        assert tcp(client, address, port, server=web, server_port=inside).outcome == "answered"
    assert tcp(lab.outside, HOST, 1040, server=web, server_port=80).outcome == "refused"
    rows = re.findall(r"^ *([0-9]+) .* DNAT .* tcp dpt:(1[0-9]{3})", listing(host), re.MULTILINE)
    assert len(rows) == 40
    assert [port for packets, port in rows if packets != "0"] == ["1039", "1000"]


def listing(host):
    return iptables_view.listing(host.ruleset(), "nat")


def test_many_ports_are_taken_back_as_they_were_published(lab_without_proxy):
    host = lab_without_proxy.ubuntu1
    web = host.add_container("web")
    host.add_docker0().attach(web)
    few = host.publish(web, "500")
    many = host.publish(web, "1000-1039:80-119")
    again = host.publish(web, "1100-1104:80-84")
    host.publishing.forget()
    (last,) = host.publish(web, "1200:80")
    host.unpublish(web, *again, many[0])
    assert {item for item, _ in host.published()} == {*few, *many[1:], last}
    assert tcp(host, HOST, 1200, server=web, server_port=80).outcome == "answered"
    host.unpublish_all(web.ip)
    assert host.published() == ()
    assert "172.17.0.2" not in table(host)
