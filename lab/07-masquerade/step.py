"""Step 07: what containers send to the outside takes the host's address."""

from natlab import Lab, inject, ping, tcp
from natlab.course import answers, check, container, expect, forwarding

POOL_STRANGER = "172.17.0.200"


def build(lab: Lab) -> None:
    """One masquerade rule."""
    lab.ubuntu1.network("docker0").masquerade()


@check("ubuntu1 forwards")
def forwards(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    return "net.ipv4.ip_forward = 1"


@check("what web sends arrives outside with ubuntu1's address, and is answered", needs=[forwards])
def masqueraded(lab: Lab) -> str:
    hint = "on ubuntu1: a rule at postrouting: source 172.17.0.0/16, out not docker0, masquerade"
    web = container(lab, "web")
    said = answers(
        ping(web, "192.168.33.20", server=lab.outside), source="192.168.33.11", hint=hint
    )
    answers(tcp(web, "192.168.33.20", 8080, server=lab.outside), source="192.168.33.11", hint=hint)
    return said


@check("every container of the pool is masqueraded, not just web", needs=[masqueraded])
def whole_pool(lab: Lab) -> str:
    probe = ping(container(lab, "db"), "192.168.33.20", server=lab.outside)
    hint = "the rule must match the whole pool: 172.17.0.0/16"
    return answers(probe, source="192.168.33.11", hint=hint)


@check("the connection table holds both halves", needs=[masqueraded])
def remembered(lab: Lab) -> str:
    found = [
        entry
        for entry in lab.ubuntu1.conntrack()
        if entry.matches(src="172.17.0.2", dst="192.168.33.20", reply_dst="192.168.33.11")
    ]
    expect(
        found,
        expected="an entry from 172.17.0.2 whose answer is addressed to 192.168.33.11",
        actual=f"{len(lab.ubuntu1.conntrack())} entries, none like that",
        hint="send something from web to outside, then look at `conntrack -L` on ubuntu1",
    )
    return str(found[0])


@check("what stays on docker0 keeps its source", needs=[masqueraded])
def interface_test(lab: Lab) -> str:
    """A packet with a source of the pool that leaves by docker0: written raw, on the host."""
    arrived = inject(lab.ubuntu1, POOL_STRANGER, "172.17.0.2", receiver=container(lab, "web"))
    source = arrived.src if arrived else "nothing"
    expect(
        source == POOL_STRANGER,
        expected=f"a packet from {POOL_STRANGER} to web arrives with that source",
        actual=f"it arrives from {source}",
        hint='the rule must leave alone what goes out by docker0: oifname != "docker0"',
    )
    return f"from {POOL_STRANGER} to web: arrives unchanged"


CHECKS = [forwards, masqueraded, whole_pool, remembered, interface_test]
