"""Step 08: a port of the host leads to a port of a container."""

from collections.abc import Iterator

from natlab import Host, Lab, tcp
from natlab.course import Fail, answers, check, container, expect, forwarding

WEB = "172.17.0.2"
TARGET = (WEB, 8080)
HOOKS = {"prerouting": "what comes in from the network", "output": "what ubuntu1 itself sends"}
LOCAL = "`fib daddr type local` (nft), `-m addrtype --dst-type LOCAL` (iptables)"
RULE = "iif not docker0, tcp dport 49153, dnat to 172.17.0.2:8080"


def build(lab: Lab) -> None:
    """One published port: DNAT in the chain DOCKER, reached from PREROUTING and OUTPUT."""
    lab.ubuntu1.publish(lab.ubuntu1.container("web"), "8080", proxy=False)


def next_thing(host: Host) -> str:
    """What to do about a port that does not lead to web, from the DNAT rules that are there."""
    rules = [rule for _, _, rule in host.ruleset().rules() if rule.dnat]
    if not rules:
        return f"on ubuntu1, in a chain DOCKER: {RULE}; and jump there from PREROUTING"
    last = rules[-1]
    if last.dnat != TARGET:
        to, port = last.dnat or ("", None)
        wrong = f"the rule leads to {to} port {port or 'unchanged'}"
        return f"{wrong}; web is {WEB}, its program listens at 8080"
    matched = last.match("tcp dport")
    if matched is None or matched.value != "49153":
        seen = matched.value if matched else "any"
        return f"the rule matches tcp dport {seen}; the published port is 49153"
    return "the rule is there: does PREROUTING jump to its chain, for addresses of this host?"


@check("ubuntu1 forwards")
def forwards(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    return "net.ipv4.ip_forward = 1"


@check("outside reaches web at 192.168.33.11:49153, and web sees who it is", needs=[forwards])
def from_outside(lab: Lab) -> str:
    web = container(lab, "web")
    probe = tcp(lab.outside, "192.168.33.11", 49153, server=web, server_port=8080)
    return answers(probe, source="192.168.33.20", hint=next_thing(lab.ubuntu1))


@check("ubuntu1 reaches web through its own address", needs=[from_outside])
def from_the_host(lab: Lab) -> str:
    web = container(lab, "web")
    probe = tcp(lab.ubuntu1, "192.168.33.11", 49153, server=web, server_port=8080)
    hint = "what the host itself sends passes no PREROUTING: jump to DOCKER from OUTPUT as well"
    return answers(probe, source="192.168.33.11", hint=hint)


@check("port 49153 of other machines is left alone", needs=[from_outside])
def local_only(lab: Lab) -> str:
    hint = f"jump to DOCKER only for addresses of this host: {LOCAL}"
    for client in (lab.ubuntu1, container(lab, "web")):
        probe = tcp(client, "192.168.33.20", 49153, server=lab.outside)
        answers(probe, source="192.168.33.11", hint=hint)
    return "ubuntu1 and web both reach port 49153 of outside itself"


@check("what comes in by docker0 is not rewritten", needs=[from_outside])
def not_from_docker0(lab: Lab) -> str:
    web, db = container(lab, "web"), container(lab, "db")
    probe = tcp(db, "192.168.33.11", 49153, server=web, server_port=8080, timeout=0.5)
    expect(
        probe.source_seen != str(db.ip),
        expected=f"no packet from {db.ip} arrives at web by way of 192.168.33.11:49153",
        actual=str(probe),
        hint='the rule must leave out what comes in by docker0: iifname != "docker0"',
    )
    return f"{probe.proto} {probe.client} → {probe.target}: no rule turns it towards web"


@check("PREROUTING and OUTPUT both lead to a chain DOCKER", needs=[from_outside])
def chain_docker(lab: Lab) -> str:
    for hook, whose in HOOKS.items():
        ways = list(ways_from(lab.ubuntu1, hook))
        if not ways:
            raise Fail(
                expected=f"a way from a nat chain at {hook} to a chain DOCKER with web's rule",
                actual="no chain there jumps to such a chain",
                hint=f"{whose} passes {hook.upper()}: jump to DOCKER, and keep the rule in DOCKER",
            )
        expect(
            all("daddr" in way for way in ways),
            expected=f"{hook.upper()} jumps to DOCKER for addresses of ubuntu1 only",
            actual=ways[0],
            hint=f"the jump needs a condition: {LOCAL}",
        )
    return "prerouting → DOCKER and output → DOCKER, for addresses of ubuntu1"


def ways_from(host: Host, hook: str) -> Iterator[str]:
    """The rules on each way from a hook's nat chains to web's rule in DOCKER, as one text."""
    for table, base in host.ruleset().base_chains(hook, "nat"):
        waiting = [(base, "", [base.name])]
        while waiting:
            chain, text, passed = waiting.pop()
            for rule in chain.rules:
                if chain.name == "DOCKER" and rule.dnat == TARGET:
                    yield f"{text}{rule.text}"
                for name in table.targets(rule):
                    target = table.chain(name)
                    if target is not None and name not in passed:
                        waiting.append((target, f"{text}{rule.text} → ", [*passed, name]))


CHECKS = [forwards, from_outside, from_the_host, local_only, not_from_docker0, chain_docker]
