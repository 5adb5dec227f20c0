"""Step 12: containers of one bridge are kept apart, but for one linked port."""

from natlab import Lab, Probe, ping, tcp
from natlab.course import answers, check, container, dropped

WEB, DB, LINKED, OTHER = "172.17.0.2", "172.17.0.3", 80, 8080
UBUNTU1, OUTSIDE = "192.168.33.11", "192.168.33.20"


def build(lab: Lab) -> None:
    """`--icc=false`, and db linked to web's port 80."""
    docker0 = lab.ubuntu1.network("docker0")
    docker0.icc = False
    docker0.forward()
    docker0.link(lab.ubuntu1.container("db"), lab.ubuntu1.container("web"), LINKED)


def drops_in_forward(lab: Lab) -> bool:
    """Whether anything that is forwarded on ubuntu1 is refused: by a rule, or by a policy."""
    ruleset = lab.ubuntu1.ruleset()
    chains = [chain for _, chain in ruleset.base_chains("forward", "filter")]
    rules = [rule for base in chains for each in ruleset.reachable(base) for rule in each.rules]
    refusing = [rule for rule in rules if rule.verdict and rule.verdict.kind in ("drop", "reject")]
    return bool(refusing) or any(chain.policy == "drop" for chain in chains)


def how_to_cut(lab: Lab) -> str:
    """What is missing so that neighbours are kept apart."""
    if not drops_in_forward(lab):
        return "on ubuntu1: a rule in FORWARD: in by docker0, out by docker0, drop"
    if lab.ubuntu1.sysctl("net.bridge.bridge-nf-call-iptables") is None:
        return "bridge-nf-call-iptables is not there: modprobe br_netfilter on the real machine"
    if lab.ubuntu1.sysctl("net.bridge.bridge-nf-call-iptables") == "0":
        return (
            "FORWARD does not see what the bridge passes on:"
            " on ubuntu1: sysctl -w net.bridge.bridge-nf-call-iptables=1"
        )
    return "the drop must be for every protocol, in FORWARD: in by docker0, out by docker0"


@check("a ping between web and db is dropped on the way, in both directions")
def cut(lab: Lab) -> str:
    web, db = container(lab, "web"), container(lab, "db")
    hint = how_to_cut(lab)
    there = dropped(ping(db, WEB, server=web, timeout=0.5), hint=hint)
    back = dropped(ping(web, DB, server=db, timeout=0.5), hint=hint)
    return f"{there}; {back}"


def how_to_link(lab: Lab, probe: Probe) -> str:
    """What is missing so that db reaches the linked port."""
    if probe.arrived:
        return (
            f"the question reaches web, and its answer is dropped: accept tcp from {WEB}"
            f" port {LINKED} to {DB} as well, above the drop"
        )
    if any(
        rule.verdict
        and rule.verdict.kind == "accept"
        and any(m.key == "tcp dport" and str(LINKED) in m.values for m in rule.matches)
        and any(m.key == "ip daddr" and m.value == WEB for m in rule.matches)
        for _, _, rule in lab.ubuntu1.ruleset().rules()
    ):
        return (
            "the first rule that matches decides: put the accept above the drop,"
            " in the same chain (nft insert rule, iptables -I)"
        )
    return f"above the drop: accept tcp from {DB} to {WEB}, destination port {LINKED}"


@check("db reaches the linked port 80 of web, with its own address", needs=[cut])
def linked(lab: Lab) -> str:
    probe = tcp(container(lab, "db"), WEB, LINKED, server=container(lab, "web"), timeout=0.5)
    return answers(probe, source=DB, hint=how_to_link(lab, probe))


@check("db reaches no other port of web", needs=[linked])
def only_that_port(lab: Lab) -> str:
    probe = tcp(container(lab, "db"), WEB, OTHER, server=container(lab, "web"), timeout=0.5)
    return dropped(probe, hint=f"the accept for the link must name the port: tcp dport {LINKED}")


@check("web does not reach db: a link leads one way", needs=[linked])
def one_way(lab: Lab) -> str:
    probe = tcp(container(lab, "web"), DB, LINKED, server=container(lab, "db"), timeout=0.5)
    return dropped(
        probe, hint=f"web may answer db, from source port {LINKED}, and not ask it anything"
    )


@check("web and db still reach the outside", needs=[cut])
def outside(lab: Lab) -> str:
    hint = "drop only what leaves by docker0 again: in by docker0, *out by docker0*"
    probes = [ping(container(lab, name), OUTSIDE, server=lab.outside) for name in ("web", "db")]
    return "; ".join(answers(probe, source=UBUNTU1, hint=hint) for probe in probes)


CHECKS = [cut, linked, only_that_port, one_way, outside]
