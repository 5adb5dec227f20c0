"""Step 02: a container, as far as its network goes, is a network namespace."""

from natlab import Lab, Node, ping, tcp
from natlab.course import answers, check, container, expect, is_up

UNUSED = {"ipip", "sit", "gre", "gretap", "erspan", "vti", "ip6tnl", "ip6gre", "ip6gretap", "vti6"}
"""Kinds of interface that some kernels put into every new namespace, down and without use."""


def build(lab: Lab) -> None:
    """A namespace with a name; its loopback is up."""
    web = lab.ubuntu1.add_container("web")
    web.set_up("lo")


@check("ubuntu1 has a container web, with a network of its own")
def exists(lab: Lab) -> str:
    web = container(lab, "web")
    mine, its = _namespace(lab.ubuntu1), _namespace(web)
    expect(
        mine != its,
        expected="web is a namespace of its own",
        actual=f"web is ubuntu1's own, {its}",
        hint="on ubuntu1: rm or `ip netns delete` the name web, then ip netns add web",
    )
    return f"web is {its}, ubuntu1 is {mine}"


def _namespace(node: Node) -> str:
    return node.run(["readlink", "/proc/self/ns/net"], check=True).stdout.strip()


@check("web has nothing but lo", needs=[exists])
def alone(lab: Lab) -> str:
    web = container(lab, "web")
    found = [link for link in web.links() if link.kind not in UNUSED]
    extra = [link.name for link in found if link.name != "lo"]
    expect(
        not extra,
        expected="web has lo, and no other interface",
        actual=f"web has {', '.join(link.name for link in found)}",
        hint=f"the cable comes in step 04: ip -n web link delete {' '.join(extra[:1])}",
    )
    probe = ping(web, "192.168.33.20", timeout=0.5)
    expect(
        probe.outcome == "unreachable",
        expected="from web, the LAN is unreachable",
        actual=str(probe),
        hint="look at `ip -n web route`: it should be empty",
    )
    return f"lo and nothing else; {probe}"


@check("web talks to itself: its lo is up", needs=[exists])
def loopback(lab: Lab) -> str:
    web = container(lab, "web")
    is_up(web, "lo")
    hint = "look at `ip -n web addr show lo` and `ip netns exec web nft list ruleset`"
    return answers(ping(web, "127.0.0.1", server=web), source="127.0.0.1", hint=hint)


@check("a server in web is at web's 127.0.0.1, and not at ubuntu1's", needs=[exists, loopback])
def two_localhosts(lab: Lab) -> str:
    web = container(lab, "web")
    hint = "look at `ip netns exec web ip addr` and `ip netns exec web nft list ruleset`"
    inside = answers(tcp(web, "127.0.0.1", 8080, server=web), source="127.0.0.1", hint=hint)
    across = tcp(lab.ubuntu1, "127.0.0.1", 8080, server=web, timeout=0.5)
    expect(
        across.arrived is None,
        expected="127.0.0.1 of ubuntu1 does not lead into web",
        actual=str(across),
        hint="look at `nft list ruleset` on ubuntu1: something carries its loopback into web",
    )
    return f"{inside}; {across}"


CHECKS = [exists, alone, loopback, two_localhosts]
