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
- The protocol's column: iptables 1.8.9 prints numbers with `-n` (`0`, `6`, `17`), natlab prints
  the names that it printed before, and prints again since 1.8.10 (`all`, `tcp`, `udp`).
- `PREROUTING`, `OUTPUT`: the same rules, and they have counted the same.
- `INPUT`: natlab has no chain there, because Docker puts nothing in it; the listing shows the empty
  built-in that iptables always has.
- The policies' counters: iptables-nft shows 0 packets there whatever happened, because nftables
  does not count policies. natlab's chains end with a rule that counts; the view shows that.
- `MASQUERADE … !docker0  172.17.0.0/16`: the same, and it has counted the same.
- `MASQUERADE … 172.17.0.2  172.17.0.2  tcp dpt:8080` (and udp): for a container that reaches itself
  through its own published port. Without a userland proxy natlab has it too; with one nothing ever
  reaches it (`! -i docker0` below leaves such packets to the proxy), so natlab leaves it out, as
  the Docker of the first years did.
- `RETURN … docker0`: in 20.10 what comes from docker0 is left to the proxy, whatever port it is
  for. natlab has that rule as soon as there is a second network, where it matters. Docker 28 and
  the Docker of the first years have none.
- `DNAT`: the same rules, and they have counted the same. 20.10 publishes the ports of one container
  from the highest down, natlab and Docker 28 from the lowest up.
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
