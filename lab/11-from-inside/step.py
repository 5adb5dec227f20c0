"""Step 11: the host, by 127.0.0.1 as well, and the containers reach a published port."""

import errno

from natlab import Lab, tcp
from natlab.course import answers, check, container, expect, forwarding, plugged_in

TO_ITSELF = "ip saddr 172.17.0.2 ip daddr 172.17.0.2"
PUBLISHED = ("192.168.33.11", 49153)
RULES = f"""
flush chain ip natlab OUTPUT
flush chain ip natlab DOCKER
add rule ip natlab OUTPUT fib daddr type local counter jump DOCKER
add rule ip natlab OUTPUT counter comment "policy"
add rule ip natlab DOCKER tcp dport 49153 counter dnat to 172.17.0.2:8080
insert rule ip natlab POSTROUTING oifname docker0 fib saddr type local counter masquerade
insert rule ip natlab POSTROUTING {TO_ITSELF} tcp dport 8080 counter masquerade
add chain ip natlab raw-PREROUTING {{ type filter hook prerouting priority -300; }}
add rule ip natlab raw-PREROUTING iifname != lo ip daddr 127.0.0.0/8 counter drop
"""


def build(lab: Lab) -> None:
    """What `dockerd --userland-proxy=false` sets up."""
    host = lab.ubuntu1
    host.nft(RULES)
    host.network("docker0").set_hairpin(on=True)
    host.set_sysctl("net.ipv4.conf.docker0.route_localnet", 1)
    host.set_sysctl("net.bridge.bridge-nf-call-iptables", 1)


@check("ubuntu1 forwards, and no proxy stands at port 49153")
def no_proxy(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    try:
        lab.ubuntu1.listen(PUBLISHED[1]).close()
        listens = False
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        listens = True
    expect(
        not listens,
        expected="nobody listens at port 49153 of ubuntu1 itself: the kernel does the work",
        actual="a program listens there",
        hint="end the docker-proxy on ubuntu1: `ss -ltnp` has its PID, for `kill PID`",
    )
    return "nobody listens at port 49153 of ubuntu1 itself"


@check("outside reaches web, and web still sees who it is", needs=[no_proxy])
def from_outside(lab: Lab) -> str:
    probe = tcp(lab.outside, *PUBLISHED, server=container(lab, "web"), server_port=8080)
    if probe.arrived is None:
        hint = "in DOCKER, reached from PREROUTING: tcp dport 49153 dnat to 172.17.0.2:8080"
    else:
        hint = "masquerade towards docker0 only what ubuntu1 itself sends, or web to itself"
    return answers(probe, source="192.168.33.20", hint=hint)


@check("ubuntu1 reaches web through its own address", needs=[from_outside])
def own_address(lab: Lab) -> str:
    probe = tcp(lab.ubuntu1, *PUBLISHED, server=container(lab, "web"), server_port=8080)
    return answers(probe, hint="OUTPUT must jump to DOCKER, for addresses of this host")


@check("ubuntu1 reaches web at 127.0.0.1", needs=[own_address])
def loopback(lab: Lab) -> str:
    probe = tcp(lab.ubuntu1, "127.0.0.1", 49153, server=container(lab, "web"), server_port=8080)
    if probe.outcome == "refused":
        hint = "OUTPUT leaves out 127.0.0.0/8: without a proxy it must jump to DOCKER for that too"
    elif probe.source_seen == "127.0.0.1":
        hint = (
            "nobody answers to 127.0.0.1: masquerade what has a local source and leaves by docker0"
        )
    else:
        hint = "the answer comes in by docker0: sysctl -w net.ipv4.conf.docker0.route_localnet=1"
    return answers(probe, source="172.17.0.1", hint=hint)


@check("web reaches itself through its own published port", needs=[from_outside])
def own_port(lab: Lab) -> str:
    web = container(lab, "web")
    probe = tcp(web, *PUBLISHED, server=web, server_port=8080)
    port = lab.ubuntu1.link(plugged_in(web, "docker0"))
    if probe.outcome == "refused":
        hint = 'the rule must not leave out what comes in by docker0: no iifname != "docker0"'
    elif probe.arrived is None and not port.hairpin:
        hint = f"a port sends nothing back by itself: bridge link set dev {port.name} hairpin on"
    else:
        hint = (
            "web must not see its own address: masquerade ip saddr 172.17.0.2 ip daddr 172.17.0.2"
        )
    return answers(probe, source="172.17.0.1", hint=hint)


@check("db reaches web through the published port", needs=[own_port])
def neighbour(lab: Lab) -> str:
    probe = tcp(container(lab, "db"), *PUBLISHED, server=container(lab, "web"), server_port=8080)
    hint = (
        "web's answer takes the short way over the bridge, and nobody turns it back:"
        " sysctl -w net.bridge.bridge-nf-call-iptables=1"
    )
    return answers(probe, hint=hint)


CHECKS = [no_proxy, from_outside, own_address, loopback, own_port, neighbour]
