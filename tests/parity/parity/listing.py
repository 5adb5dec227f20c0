"""The two listings of the NAT table, beside each other and explained line by line."""

from __future__ import annotations

from natlab.model.iptables_view import listing
from parity.flows import Servers, observe
from parity.running import Both
from parity.scenario import Flow, Scenario

SCENARIO = Scenario(
    "listing",
    "The seed's own: one container with one published port, reached from the LAN.",
    ("run -d --name web -P app",),
    ("web:8080", "outside:9000"),
    (Flow("outside", "host:web/8080"), Flow("web", "outside:9000")),
)

_EXPLAINED = """
- `PREROUTING`, `OUTPUT`: the same rules. natlab prints no `0` for what has counted nothing in
  another place than iptables does, and both write `ADDRTYPE match dst-type LOCAL`.
- `INPUT`: natlab has no chain there, because nothing of Docker's stands in it; the listing shows
  the empty built-in that iptables always has.
- The policies' counters: iptables-nft shows 0 packets there whatever happened, because nftables
  does not count policies. natlab's chains end with a rule that counts; the view shows that.
- `MASQUERADE  all … !docker0  172.17.0.0/16`: the same, and it has counted the same.
- `MASQUERADE  tcp … 172.17.0.2  172.17.0.2`: for a container that reaches itself through its own
  published port. Without a userland proxy natlab has it too; with one, nothing ever reaches it
  (`! -i docker0` below leaves such packets to the proxy), so natlab leaves it out, as the seed's
  listing does.
- `RETURN  all  docker0`: in 20.10 what comes from docker0 is left to the proxy, whatever port it
  is for. natlab has that rule as soon as there is a second network, where it matters; the seed's
  Docker, and Docker 28, have none.
- `DNAT`: the same rule, the same counters. The order of rules for several ports is that of their
  publishing on both sides.
"""


def page_part() -> str:
    """The part of the page."""
    docker, natlab = tables()
    return (
        "## `iptables -nvL -t nat`, twice\n\n"
        "One container with `-P`; one connection from the LAN, one to it.\n\n"
        f"The real engine, `iptables -nvL -t nat`:\n\n```\n{docker.rstrip()}\n```\n\n"
        f"natlab, `natlab iptables -nvL -t nat`:\n\n```\n{natlab.rstrip()}\n```\n\n"
        f"Line by line:\n{_EXPLAINED}"
    )


def tables() -> list[str]:
    """What either side lists after the same two flows."""
    with Both(SCENARIO) as both:
        both.each(both.make, both.sides)
        for made in both.sides:
            with Servers(made, SCENARIO.serve) as servers:
                for flow in SCENARIO.flows:
                    observe(made, flow, servers)
        docker, natlab = both.sides
        return [
            docker.host.run("iptables -nvL -t nat", check=True).stdout,
            listing(natlab.host.ruleset(), "nat"),
        ]
