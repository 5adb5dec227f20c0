"""Step 09: the seed's listing, made again and read row for row."""

from natlab import Host, Lab, tcp
from natlab.course import Fail, check, container, expect, iptables_listing

TARGET = ("172.17.0.2", 8080)
AGAIN = "write the rules again (they then count from zero), and connect exactly twice"
MASQUERADE = "MASQUERADE all -- * !docker0 172.17.0.0/16 0.0.0.0/0"
DNAT = "DNAT tcp -- !docker0 * 0.0.0.0/0 0.0.0.0/0 tcp dpt:49153 to:172.17.0.2:8080"


def build(lab: Lab) -> None:
    """Two connections from outside, each begun by a SYN without the timestamps option."""
    lab.outside.set_sysctl("net.ipv4.tcp_timestamps", 0)
    with lab.ubuntu1.container("web").listen(8080):
        for _ in range(2):
            lab.outside.connect("192.168.33.11", 49153).close()


def counted(host: Host) -> tuple[int, int]:
    """Packets and bytes that the rule for web has counted."""
    rules = [rule for _, _, rule in host.ruleset().rules() if rule.dnat == TARGET]
    if not rules:
        raise Fail(
            expected="a rule that sends port 49153 to 172.17.0.2:8080",
            actual="there is none",
            hint="write the seed's rules on ubuntu1, as the README has them (or `natlab reset 09`)",
        )
    counts = [(one.packets, one.bytes) for rule in rules if (one := rule.counter) is not None]
    if not counts:
        raise Fail(
            expected="a rule that counts",
            actual=f"`{rules[0].text}` has no counter",
            hint=f"nft counts only where it is told to: `counter` before `dnat`; {AGAIN}",
        )
    return max(counts)


@check("a SYN from outside has 52 bytes: 20 of IP, 20 of TCP, 12 of options")
def small_syn(lab: Lab) -> str:
    """Seen on a connection to a port that nobody published: the rule does not count it."""
    with lab.ubuntu1.capture("eth0") as seen:
        knock(lab, port=49154)
        sizes = [len(one.frame) - 14 for one in seen.collect() if one.packet.dport == 49154]
    expect(
        sizes and sizes[0] == 52,
        expected="a SYN of 52 bytes",
        actual=f"{sizes[0]} bytes" if sizes else "no SYN came",
        hint="12 bytes more are the timestamps: on outside, sysctl -w net.ipv4.tcp_timestamps=0",
    )
    return f"a SYN from outside to 192.168.33.11:49154 has {sizes[0]} bytes"


def knock(lab: Lab, port: int) -> str:
    """Connect from outside to a port that is not published."""
    web = container(lab, "web")
    probe = tcp(lab.outside, "192.168.33.11", port, server=web, timeout=0.5)
    expect(
        probe.arrived is None and probe.outcome == "refused",
        expected=f"192.168.33.11:{port} is refused: only 49153 is published",
        actual=str(probe),
        hint=f"no rule should match port {port}: {AGAIN}",
    )
    return str(probe)


@check("DNAT counted 2 packets, 104 bytes: two connections, one SYN each", needs=[small_syn])
def two_connections(lab: Lab) -> str:
    packets, size = counted(lab.ubuntu1)
    hints = {
        0: "twice, from outside: curl http://192.168.33.11:49153/",
        1: "once more, from outside: curl http://192.168.33.11:49153/",
        2: f"bigger SYNs carried timestamps: {AGAIN}",
    }
    expect(
        (packets, size) == (2, 104),
        expected="2 packets, 104 bytes",
        actual=f"{packets} packets, {size} bytes",
        hint=hints.get(packets, f"that was more than two connections: {AGAIN}"),
    )
    return f"{packets} packets, {size} bytes: {size // packets} bytes a connection"


@check("a connection to another port leaves the counter alone", needs=[two_connections])
def selective(lab: Lab) -> str:
    before = counted(lab.ubuntu1)
    said = knock(lab, port=49154)
    expect(
        counted(lab.ubuntu1) == before,
        expected="the counter of DNAT stays as it is",
        actual="{} packets, {} bytes".format(*counted(lab.ubuntu1)),
        hint=f"the rule must match tcp dport 49153 and nothing else: {AGAIN}",
    )
    return f"{said}; DNAT still says {before[0]} {before[1]}"


@check("the rows are the seed's, and DOCKER has 2 references", needs=[two_connections])
def row_for_row(lab: Lab) -> str:
    chains = rows(iptables_listing(lab.ubuntu1))
    for chain, row in (("POSTROUTING", MASQUERADE), ("DOCKER", DNAT)):
        found = [columns for heading, columns in chains if heading.startswith(f"Chain {chain} ")]
        expect(
            row in found,
            expected=f"in chain {chain}: {row}",
            actual="; ".join(found) or "no row",
            hint=f"compare with the seed's listing, column by column: {AGAIN}",
        )
    headings = [heading for heading, _ in chains if heading.startswith("Chain DOCKER ")]
    expect(
        "Chain DOCKER (2 references)" in headings,
        expected="Chain DOCKER (2 references)",
        actual=headings[0],
        hint="one jump in PREROUTING and one in OUTPUT lead to DOCKER: count them with the listing",
    )
    return f"{MASQUERADE}; {DNAT}; 2 references"


def rows(listing: str) -> list[tuple[str, str]]:
    """Each rule's chain heading, and its columns from `target` on, one space between them."""
    found, heading = [], ""
    for line in listing.splitlines():
        if line.startswith("Chain "):
            heading = line
        elif line.split()[:1] not in ([], ["pkts"], ["#"]):
            found.append((heading, " ".join(line.split()[2:])))
    return found


CHECKS = [small_syn, two_connections, selective, row_for_row]
