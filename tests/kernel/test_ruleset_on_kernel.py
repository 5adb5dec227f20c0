"""Our listing beside the real one: the same kernel, read by `nft` and by `iptables`.

Everything happens in user, network and mount namespaces that end with the command that made them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from natlab.model.iptables_view import listing
from natlab.model.nft_text import parse
from natlab.model.ruleset import Counter, Ruleset

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
SPLIT = "-- next listing --"

SEED = """
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 49153 -j DNAT --to-destination 172.17.0.2:8080
"""
SEED_BY_NFT = """
nft -f - <<'END'
table ip natlab {
    chain DOCKER {
        iifname != "docker0" tcp dport 49153 counter dnat to 172.17.0.2:8080
    }
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter jump DOCKER
        counter comment "policy"
    }
    chain OUTPUT {
        type nat hook output priority -100; policy accept;
        ip daddr != 127.0.0.0/8 fib daddr type local counter jump DOCKER
        counter comment "policy"
    }
    chain POSTROUTING {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 172.17.0.0/16 oifname != "docker0" counter masquerade
        counter comment "policy"
    }
}
END
"""

# Rules of Docker and its neighbours; nft's text holds everything that iptables prints of them.
NAT_RULES = """
-A PREROUTING -p tcp --dport 1:100 -j REDIRECT --to-ports 99
-A PREROUTING -p udp --dport 53 -d 10.0.0.1 -j DNAT --to-destination 172.17.0.2
-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:80-90 --random --persistent
-A PREROUTING -m addrtype --dst-type LOCAL,BROADCAST -j RETURN
-A POSTROUTING -p tcp -s 172.17.0.2 -d 172.17.0.2 --dport 80 -j MASQUERADE
-A POSTROUTING -p tcp -j SNAT --to-source 10.0.0.1-10.0.0.5:100-200
-A POSTROUTING -p tcp -j MASQUERADE --to-ports 100-200
-A POSTROUTING -j MASQUERADE --random-fully
-A OUTPUT -c 123456 123456789012 -j RETURN
-A OUTPUT -c 99999 1234567 -p icmp -j ACCEPT
-A OUTPUT -c 100500 9999999 -j ACCEPT
"""
FILTER_RULES = """
-P FORWARD DROP
-N DOCKER-ISOLATION-STAGE-1
-N DOCKER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -g DOCKER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack ! --ctstate NEW,INVALID -j ACCEPT
-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT
-A FORWARD -m conntrack --ctstatus SEEN_REPLY,ASSURED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD ! -i br-0123456789ab -o eth+ -j ACCEPT
-A FORWARD -p tcp --sport 80 --dport 1024: -j REJECT
-A FORWARD -p tcp ! --dport 80 -j REJECT --reject-with tcp-reset
-A FORWARD -j REJECT --reject-with icmp-proto-unreachable
-A FORWARD -p tcp -m multiport --dports 80,443:500 -j LOG --log-prefix "x y: "
-A FORWARD -p udp -m multiport ! --sports 80,443
-A FORWARD -j LOG --log-level info --log-ip-options --log-tcp-options
-A FORWARD -p tcp --syn -j DROP
-A FORWARD -p tcp ! --syn -j DROP
-A FORWARD -p tcp --tcp-flags ALL NONE -j DROP
-A FORWARD -p icmp --icmp-type echo-request -j ACCEPT
-A FORWARD -p icmp ! --icmp-type echo-reply -j ACCEPT
-A FORWARD -p sctp --dport 9 -j DROP
-A FORWARD -p 47 -j DROP
-A FORWARD ! -p tcp -j DROP
-A FORWARD ! -s 10.0.0.0/24 -d 192.168.100.100 -j DROP
-A FORWARD -s 10.0.0.0/255.0.255.0 -j DROP
-A FORWARD -m iprange ! --dst-range 10.0.0.1-10.0.0.9
-A FORWARD -m mark ! --mark 0x1/0xff -j MARK --set-mark 5
-A FORWARD -m limit --limit 10/sec --limit-burst 20 -j ACCEPT
-A FORWARD -m pkttype --pkt-type broadcast -j ACCEPT
-A FORWARD -f -j ACCEPT
-A DOCKER -j RETURN
"""
# What the kernel must hold for a listing with everything that a table can have.
ALL_OF_NFT = """
nft -f - <<'END'
table inet zoo {
    counter visitors { }
    set blocked {
        type ipv4_addr; flags interval
        elements = { 10.0.0.0/8, 192.168.1.1, 192.168.1.5-192.168.1.9, 192.168.2.1, 192.168.2.3 }
    }
    map published {
        type inet_proto . inet_service : ipv4_addr . inet_service
        elements = { tcp . 49153 : 172.17.0.2 . 8080, udp . 53 : 172.17.0.3 . 53 }
    }
    chain DOCKER {
        comment "published ports"
        iifname != "docker0" dnat ip to meta l4proto . th dport map @published
        ct status dnat counter accept comment "hello # handle 9 { x"
        meta nfproto ipv4 meta l4proto { tcp, udp } th dport 53 counter name "visitors" drop
        ip saddr . tcp dport { 1.2.3.4 . 80, 1.2.3.5 . 90-100 } drop
        ip saddr { 1.1.1.1, 2.2.2.2, 3.3.3.3, 4.4.4.4, 5.5.5.5, 6.6.6.6, 7.7.7.7, 8.8.8.8 } accept
        tcp flags & (fin | syn | rst | ack) == syn counter drop
        fib saddr . iif oif missing drop
        limit rate over 10/second burst 20 packets log prefix "x y" level info drop
        tcp option maxseg size set rt mtu
        ip saddr @blocked ip frag-off & 0x1fff != 0 meta mark set meta mark or 0x10
        reject with icmp type host-unreachable
    }
    chain guard { counter return; }
    map verdicts {
        type ifname : verdict
        elements = { "docker0" : jump guard }
    }
    chain post {
        type nat hook postrouting priority srcnat + 5; policy accept;
        ct state vmap { established : accept, invalid : drop }
        meta l4proto tcp masquerade to :1000-2000 random
    }
    chain watch {
        type filter hook forward priority -7; policy drop;
        iifname vmap @verdicts
    }
}
table ip asleep { flags dormant; }
END
"""


@dataclass(frozen=True)
class Readings:
    """What stood in one namespace: nft's text, and what each further command printed."""

    ruleset: Ruleset
    nft: str
    printed: tuple[str, ...]


def in_a_fresh_namespace(setup: str, *commands: str) -> Readings:
    """Run a setup and then commands in namespaces of their own, and read the rules there."""
    script = "\n".join(["set -e", "ip link set lo up", setup, f"echo '{SPLIT}'"])
    for command in ("nft -a list ruleset 2>&1", *commands):
        script += f"\n{command}\necho '{SPLIT}'"
    done = subprocess.run(
        ["unshare", "-Urmnpf", "--kill-child", "bash", "-c", script],
        env={"PATH": PATH, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _, nft, *printed = done.stdout.split(f"{SPLIT}\n")
    return Readings(parse(nft), nft, tuple(printed[:-1]))


def iptables(table: str, rules: str) -> str:
    return "\n".join(f"iptables -t {table} {rule}" for rule in rules.strip().splitlines())


PROTOCOLS = {"0": "all", "1": "icmp", "6": "tcp", "17": "udp", "132": "sctp"}


def with_names_of_protocols(text: str) -> str:
    """Newer iptables prints protocols as numbers with -n; older ones, and the seed, their names."""
    column = re.compile(r"(?<=[ !])(0|1|6|17|132) +(?=(?:--|-f|!f) )")
    return "\n".join(
        column.sub(lambda found: f"{PROTOCOLS[found[1]]:<5}", line, count=1)
        for line in text.split("\n")
    )


@pytest.fixture(autouse=True)
def _needs_the_real_tools() -> None:
    for tool in ("unshare", "nft", "iptables"):
        if shutil.which(tool, path=PATH) is None:
            pytest.skip(f"{tool} is not installed")
    tried = subprocess.run(
        ["unshare", "-Urmn", "nft", "list", "ruleset"],
        env={"PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode != 0:
        pytest.skip(f"no user and network namespaces with nft here: {tried.stderr.strip()}")
    version = subprocess.run(
        ["iptables", "-V"], env={"PATH": PATH}, capture_output=True, text=True, check=True
    )
    if "nf_tables" not in version.stdout:
        pytest.skip(f"iptables does not store its rules in nft tables: {version.stdout.strip()}")


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("-nvL", {}),
    ("-nL", {"verbose": False}),
    ("-nvL --line-numbers", {"line_numbers": True}),
    ("-nvxL", {"exact": True}),
    ("-nvxL --line-numbers", {"exact": True, "line_numbers": True}),
    ("-nL --line-numbers", {"verbose": False, "line_numbers": True}),
]


@pytest.mark.parametrize(
    ("table", "setup"),
    [
        ("nat", SEED),
        ("nat", iptables("nat", NAT_RULES)),
        ("filter", iptables("filter", FILTER_RULES)),
        ("raw", "iptables -t raw -A PREROUTING -d 172.17.0.2 ! -i docker0 -j DROP"),
        ("raw", "iptables -t raw -A PREROUTING -j CT --notrack"),
        ("mangle", "iptables -t mangle -A OUTPUT -j ACCEPT"),
        ("nat", "iptables -t nat -N FRESH"),
        ("filter", ""),
    ],
    ids=["seed", "nat", "filter", "raw", "notrack", "mangle", "only-a-chain", "nothing"],
)
def test_our_listing_is_that_of_iptables_byte_for_byte(table, setup):
    commands = [f"iptables -t {table} {option}" for option, _ in OPTIONS]
    readings = in_a_fresh_namespace(setup, *commands)
    for printed, (_, options) in zip(readings.printed, OPTIONS, strict=True):
        ours = listing(readings.ruleset, table, **options)
        assert ours.split("\n") == with_names_of_protocols(printed).split("\n")


def test_the_seeds_rules_read_alike_whichever_tool_typed_them():
    by_iptables = in_a_fresh_namespace(SEED)
    by_nft = in_a_fresh_namespace(SEED_BY_NFT)
    assert listing(by_nft.ruleset, "nat") == listing(by_iptables.ruleset, "nat")
    for readings in (by_iptables, by_nft):
        rules = [rule for _, _, rule in readings.ruleset.rules()]
        assert [rule.dnat for rule in rules if rule.dnat] == [("172.17.0.2", 8080)]
        assert sum(rule.masquerades for rule in rules) == 1


def test_both_tools_side_by_side_are_listed_one_after_the_other():
    readings = in_a_fresh_namespace(SEED + SEED_BY_NFT)
    text = listing(readings.ruleset, "nat")
    assert re.findall(r"^# table (.*)$", text, re.MULTILINE) == ["ip nat", "ip natlab"]
    assert [t.managed_by_iptables for t in readings.ruleset.tables] == [True, False]
    first, second = text.split("\n# table ip natlab\n")
    assert first.removeprefix("# table ip nat\n") == second


def test_what_meets_the_policy_is_counted_by_the_last_rule():
    one_datagram = "echo -n hello > /dev/udp/127.0.0.1/9"
    text = listing(in_a_fresh_namespace(SEED_BY_NFT + one_datagram).ruleset, "nat")
    assert "Chain OUTPUT (policy ACCEPT 1 packets, 33 bytes)" in text
    assert "Chain POSTROUTING (policy ACCEPT 1 packets, 33 bytes)" in text
    assert "Chain PREROUTING (policy ACCEPT 0 packets, 0 bytes)" in text


def test_a_syn_without_timestamps_is_counted_as_52_bytes_by_the_dnat():
    one_connection = """
ip addr add 192.168.33.11/24 dev lo
ip addr add 172.17.0.2/32 dev lo
sysctl -qw net.ipv4.tcp_timestamps=0
(exec 3<>/dev/tcp/192.168.33.11/49153) 2>/dev/null || true
"""
    ruleset = in_a_fresh_namespace(SEED + one_connection).ruleset
    (counter,) = [rule.counter for _, _, rule in ruleset.rules() if rule.dnat]
    assert counter == Counter(packets=1, bytes=52)


@pytest.mark.parametrize(
    "setup",
    [ALL_OF_NFT, iptables("filter", FILTER_RULES), iptables("nat", NAT_RULES)],
    ids=["nft", "filter", "nat"],
)
def test_every_rule_that_the_kernel_lists_is_read(setup):
    readings = in_a_fresh_namespace(setup)
    lines = re.findall(r"^\t\t(.*) # handle (\d+)$", readings.nft, re.MULTILINE)
    found = [(rule.text, str(rule.handle)) for _, _, rule in readings.ruleset.rules()]
    assert len(found) > 10
    assert found == [(text.strip(), handle) for text, handle in lines]


def test_what_a_table_holds_beside_its_rules_is_read_too():
    ruleset = in_a_fresh_namespace(ALL_OF_NFT).ruleset
    zoo, asleep = ruleset.tables
    assert asleep.flags == "dormant"
    assert {(found.kind, found.name) for found in zoo.objects} == {
        ("counter", "visitors"),
        ("set", "blocked"),
        ("map", "published"),
        ("map", "verdicts"),
    }
    blocked = zoo.object("blocked")
    assert blocked is not None
    assert len(blocked.elements) == 5
    watch, post = (zoo.chain(name) for name in ("watch", "post"))
    assert watch is not None
    assert post is not None
    assert (watch.hook, watch.priority, watch.policy, post.priority) == ("forward", -7, "drop", 105)
    assert [chain.name for chain in zoo.reachable(watch)] == ["watch", "guard"]
