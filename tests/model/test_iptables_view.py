"""Printing a ruleset as `iptables -nvL` does."""
# ruff: noqa: E501 - listings stand here as nft and iptables print them

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model.iptables_view import listing, place_of
from natlab.model.nft_text import parse
from natlab.model.ruleset import Chain

# natlab's own table: NAT and filter chains in one, each policy counted by a last rule.
NATLAB = """\
table ip natlab { # handle 1
	chain PREROUTING { # handle 1
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local counter packets 2 bytes 104 jump DOCKER # handle 6
		counter packets 0 bytes 0 comment "policy" # handle 7
	}

	chain OUTPUT { # handle 2
		type nat hook output priority -100; policy accept;
		ip daddr != 127.0.0.0/8 fib daddr type local counter packets 0 bytes 0 jump DOCKER # handle 8
		counter packets 3 bytes 432 comment "policy" # handle 9
	}

	chain POSTROUTING { # handle 3
		type nat hook postrouting priority srcnat; policy accept;
		oifname != "docker0" ip saddr 172.17.0.0/16 counter packets 0 bytes 0 masquerade # handle 10
		counter packets 3 bytes 432 comment "policy" # handle 11
	}

	chain FORWARD { # handle 4
		type filter hook forward priority filter; policy drop;
		oifname "docker0" ct state established,related counter packets 12 bytes 1024 accept # handle 12
		iifname "docker0" oifname != "docker0" accept # handle 13
		counter packets 1 bytes 60 comment "policy" # handle 14
	}

	chain DOCKER { # handle 5
		iifname != "docker0" tcp dport 49153 counter packets 2 bytes 104 dnat to 172.17.0.2:8080 # handle 15
	}
}
"""
MYNAT = """\
table ip mynat { # handle 2
	chain post { # handle 1
		type nat hook postrouting priority srcnat; policy accept;
		counter packets 1 bytes 84 snat to 192.168.33.11 # handle 2
	}
}
"""
TITLES = " pkts bytes target     prot opt in     out     source               destination         "
SEED_ROWS = (
    "    0     0 MASQUERADE  all  --  *      !docker0  172.17.0.0/16        0.0.0.0/0           ",
    "    2   104 DNAT       tcp  --  !docker0 *       0.0.0.0/0            0.0.0.0/0            tcp dpt:49153 to:172.17.0.2:8080",
)


def row(rule: str, **options: bool) -> str:
    """What is printed for one rule that stands alone at the forward hook."""
    base = "type filter hook forward priority filter; policy accept;"
    ruleset = parse(f"table ip t {{\nchain FORWARD {{\n{base}\n{rule} # handle 1\n}}\n}}")
    lines = listing(ruleset, "filter", **options).splitlines()
    return lines[lines.index(next(x for x in lines if x.startswith("Chain FORWARD"))) + 2]


def extras(rule: str) -> str:
    """What is printed after the address columns."""
    printed = row(rule)
    wider = max(0, len(printed[12:].split(" ")[0]) - len("target   "))
    return printed[len(TITLES) + wider :]


def test_the_seeds_listing_is_printed_column_for_column():
    assert listing(parse(NATLAB), "nat") == (
        "Chain PREROUTING (policy ACCEPT 0 packets, 0 bytes)\n"
        f"{TITLES}\n"
        "    2   104 DOCKER     all  --  *      *       0.0.0.0/0            0.0.0.0/0            ADDRTYPE match dst-type LOCAL\n"
        "\n"
        "Chain INPUT (policy ACCEPT 0 packets, 0 bytes)\n"
        f"{TITLES}\n"
        "\n"
        "Chain OUTPUT (policy ACCEPT 3 packets, 432 bytes)\n"
        f"{TITLES}\n"
        "    0     0 DOCKER     all  --  *      *       0.0.0.0/0           !127.0.0.0/8          ADDRTYPE match dst-type LOCAL\n"
        "\n"
        "Chain POSTROUTING (policy ACCEPT 3 packets, 432 bytes)\n"
        f"{TITLES}\n"
        f"{SEED_ROWS[0]}\n"
        "\n"
        "Chain DOCKER (2 references)\n"
        f"{TITLES}\n"
        f"{SEED_ROWS[1]}\n"
    )


def test_one_nft_table_is_shared_out_among_the_tables_of_iptables():
    assert listing(parse(NATLAB), "filter") == (
        "Chain INPUT (policy ACCEPT 0 packets, 0 bytes)\n"
        f"{TITLES}\n"
        "\n"
        "Chain FORWARD (policy DROP 1 packets, 60 bytes)\n"
        f"{TITLES}\n"
        "   12  1024 ACCEPT     all  --  *      docker0  0.0.0.0/0            0.0.0.0/0            ctstate RELATED,ESTABLISHED\n"
        "    -     - ACCEPT     all  --  docker0 !docker0  0.0.0.0/0            0.0.0.0/0           \n"
        "\n"
        "Chain OUTPUT (policy ACCEPT 0 packets, 0 bytes)\n"
        f"{TITLES}\n"
    )


def test_an_empty_machine_still_has_the_built_in_chains():
    found = re.findall(r"^Chain (\S+) \(policy ACCEPT", listing(parse(""), "mangle"), re.MULTILINE)
    assert found == ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]
    assert listing(parse(""), "raw").count("Chain ") == 2


def test_two_tables_with_chains_for_one_view_are_told_apart():
    text = listing(parse(NATLAB + MYNAT), "nat")
    natlab, mynat = text.split("\n# table ip mynat\n")
    assert natlab.startswith("# table ip natlab\nChain PREROUTING")
    assert natlab.endswith("to:172.17.0.2:8080\n")
    assert "Chain post (hook postrouting, policy ACCEPT 0 packets, 0 bytes)" in mynat
    assert "# table" not in listing(parse(NATLAB + MYNAT), "filter")


def test_a_base_chain_of_another_name_takes_the_place_of_the_built_in():
    text = listing(parse(MYNAT), "nat")
    assert text.splitlines()[-3:] == [
        "Chain post (hook postrouting, policy ACCEPT 0 packets, 0 bytes)",
        TITLES,
        "    1    84 SNAT       all  --  *      *       0.0.0.0/0            0.0.0.0/0            to:192.168.33.11",
    ]
    assert "Chain POSTROUTING" not in text


def test_a_built_in_name_at_the_wrong_hook_is_shown_for_what_it_is():
    ruleset = parse(MYNAT.replace("chain post ", "chain PREROUTING "))
    assert "Chain PREROUTING (hook postrouting, policy ACCEPT" in listing(ruleset, "nat")


def test_rules_for_ipv6_only_tables_are_left_out():
    assert "SNAT" not in listing(parse(MYNAT.replace("table ip ", "table ip6 ")), "nat")
    assert "SNAT" in listing(parse(MYNAT.replace("table ip ", "table inet ")), "nat")


def test_without_v_there_are_no_counters_and_no_interfaces():
    text = listing(parse(NATLAB), "nat", verbose=False)
    assert "Chain POSTROUTING (policy ACCEPT)\n" in text
    assert "target     prot opt source               destination         \n" in text
    assert text.endswith(
        "DNAT       tcp  --  0.0.0.0/0            0.0.0.0/0            tcp dpt:49153 to:172.17.0.2:8080\n"
    )


def test_rules_can_be_numbered():
    text = listing(parse(NATLAB), "filter", line_numbers=True)
    assert f"num  {TITLES}\n1       12  1024 ACCEPT " in text
    assert "\n2        -     - ACCEPT " in text


def test_without_n_a_wildcard_is_a_word():
    assert row("drop", numeric=False) == (
        "    -     - DROP       all  --  any    any     anywhere             anywhere            "
    )


@pytest.mark.parametrize(
    ("count", "printed"),
    [
        (99_999, "99999"),
        (100_000, " 100K"),
        (100_499, " 100K"),
        (100_500, " 101K"),
        (9_999_499, "9999K"),
        (9_999_500, "  10M"),
        (123_456_789_012, " 123G"),
        (2**63, "9223372T"),
    ],
)
def test_big_numbers_are_rounded_as_iptables_rounds_them(count, printed):
    rule = f"counter packets {count} bytes 7 drop"
    assert row(rule).startswith(f"{printed}     7 DROP")
    assert row(rule, exact=True).startswith(f"{count:>8}        7 DROP")


@given(st.integers(0, 2**64 - 1))
def test_a_rounded_number_is_near_the_real_one(count):
    (printed,) = re.findall(r"^ *(\d+[KMGT]?) ", row(f"counter packets {count} bytes 7 drop"))
    unit = "KMGT".find(printed[-1]) + 1
    shown = int(printed.rstrip("KMGT")) * 1000**unit
    assert abs(shown - count) <= (0 if unit == 0 else 0.051 * count)  # no fewer than 10 units


@pytest.mark.parametrize(
    ("rule", "columns"),
    [
        ('iifname "eth*" drop', "DROP       all  --  eth+   *       0.0.0.0/0            0.0.0.0/0 "),
        ('iif "lo" oif != "lo" drop', "DROP       all  --  lo     !lo     0.0.0.0/0            0.0.0.0/0 "),
        ("ip saddr != 10.0.0.0/24 drop", "DROP       all  --  *      *      !10.0.0.0/24          0.0.0.0/0 "),
        ("ip saddr & 255.0.255.0 == 10.0.0.0 drop", "DROP       all  --  *      *       10.0.0.0/255.0.255.0  0.0.0.0/0"),
        ("meta l4proto != tcp drop", "DROP      !tcp  --  *      * "),
        ("ip protocol icmp drop", "DROP       icmp --  *      * "),
        ("meta l4proto gre drop", "DROP       47   --  *      * "),
        ("meta l4proto tcp ip protocol tcp drop", "DROP       tcp  --  *      * "),
        ("ip frag-off & 8191 != 0 drop", "DROP       all  -f  *      * "),
        ("udp dport 53 drop", "DROP       udp  --  *      * "),
        ("icmp type echo-request drop", "DROP       icmp --  *      * "),
        ("meta l4proto { tcp, udp } drop", "DROP       all  --  *      * "),
        ("jump DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-1  all  --  * "),
        ("tcp dport 80", "           tcp  --  *      * "),
    ],
)  # fmt: skip
def test_what_has_a_column_stands_in_it(rule, columns):
    assert row(rule).startswith(f"    -     - {columns}")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("tcp sport 80 tcp dport 1024-65535 accept", " tcp spt:80 dpts:1024:65535"),
        ("tcp dport != 80 accept", " tcp dpt:!80"),
        ("tcp dport > 1023 accept", " tcp dpts:1024:65535"),
        ("tcp dport { 80, 443-500 } accept", " multiport dports 80,443:500"),
        ("tcp dport @ports accept", " tcp dport @ports"),
        ("tcp flags syn / fin,syn,rst,ack drop", " tcp flags:0x17/0x02"),
        ("tcp flags ! fin,syn drop", " tcp flags:0x03/0x00"),
        ("tcp flags fin,syn drop", " tcp flags fin,syn"),
        ("icmp type echo-request accept", " icmptype 8"),
        ("icmp type != 8 accept", " icmp !type 8"),
        ("fib daddr type != local accept", " ADDRTYPE match dst-type !LOCAL"),
        ("fib saddr type { local, broadcast } accept", " ADDRTYPE match src-type LOCAL,BROADCAST"),
        ("ct state { established, new } accept", " ctstate NEW,ESTABLISHED"),
        ("ct state != established accept", " ! ctstate ESTABLISHED"),
        ("ct status dnat accept", " ctstate DNAT"),
        ("ct status assured,seen-reply accept", " ctstatus SEEN_REPLY,ASSURED"),
        ("ip saddr 10.0.0.1-10.0.0.9 accept", " source IP range 10.0.0.1-10.0.0.9"),
        ("ip daddr { 10.0.0.1, 10.0.0.2 } accept", " ip daddr { 10.0.0.1, 10.0.0.2 }"),
        ("ip saddr 10.0.0.0/8 ip saddr != 10.0.0.1 accept", " ip saddr != 10.0.0.1"),
        ("meta mark & 0x000000ff == 0x00000001 accept", " mark match 0x1/0xff"),
        ("limit rate 3/minute accept", " limit: avg 3/min burst 5"),
        ("limit rate over 3/minute drop", " limit rate over 3/minute"),
        ("meta nfproto ipv4 accept", ""),
        ('tcp dport 80 accept comment "web"', " tcp dpt:80 /* web */"),
        ("reject", " reject-with icmp-port-unreachable"),
        ("reject with tcp reset", " reject-with tcp-reset"),
        ("reject with icmp type prot-unreachable", " reject-with icmp-proto-unreachable"),
        ("goto elsewhere", "[goto] "),
        ("dnat to 10.0.0.1:80 random", " to:10.0.0.1:80 random"),
        ("masquerade to :100-200", " masq ports: 100-200"),
        ("masquerade fully-random", " random-fully"),
        ("redirect to :99", " redir ports 99"),
        ('log prefix "x y"', ' LOG flags 0 level 4 prefix "x y"'),
        ("meta mark set 0x00000005", " MARK set 0x5"),
        ("iifname vmap @bridges", " iifname vmap @bridges"),
        ("meta hour 10 accept", " meta hour 10"),
    ],
)
def test_the_rest_is_told_in_iptables_words_or_else_in_nfts(rule, told):
    assert extras(rule) == told


def test_a_rule_that_logs_and_drops_is_a_drop_that_tells_of_the_log():
    printed = row('log prefix "x" counter packets 1 bytes 60 drop')
    assert printed.startswith("    1    60 DROP ")
    assert printed.endswith(' LOG flags 0 level 4 prefix "x"')


@pytest.mark.parametrize(
    ("chain_type", "hook", "priority", "place"),
    [
        ("nat", "input", 100, "nat"),
        ("filter", "forward", 0, "filter"),
        ("filter", "forward", 7, "filter"),
        ("filter", "forward", 50, None),
        ("filter", "prerouting", -300, "raw"),
        ("filter", "input", -300, None),
        ("filter", "postrouting", -150, "mangle"),
        ("route", "output", -150, "mangle"),
        ("filter", "prerouting", 0, None),
        ("filter", "ingress", 0, None),
    ],
)
def test_a_base_chain_has_its_place_by_type_hook_and_priority(chain_type, hook, priority, place):
    chain = Chain("c", type=chain_type, hook=hook, priority=priority, policy="accept")
    assert place_of(chain) == place


def test_a_chain_that_nothing_leads_to_is_shown_by_what_it_does():
    orphan = "chain LOST {\ntcp dport 80 dnat to 10.0.0.1\n}\n"
    ruleset = parse(NATLAB.rstrip().removesuffix("}") + orphan + "}")
    assert "Chain LOST (0 references)" in listing(ruleset, "nat")
    assert "Chain LOST" not in listing(ruleset, "filter")


def test_a_table_without_base_chains_is_placed_by_its_name():
    ruleset = parse("table ip nat {\nchain FRESH {\n}\n}")
    assert "Chain FRESH (0 references)" in listing(ruleset, "nat")
    assert "FRESH" not in listing(ruleset, "filter")


def test_chains_of_ones_own_come_last_in_the_order_of_their_names():
    rules = "".join(f"jump {name}\n" for name in "bCa")
    chains = "".join(f"chain {name} {{\n}}\n" for name in "bCa")
    base = "type nat hook prerouting priority dstnat; policy accept;"
    text = listing(parse(f"table ip t {{\nchain x {{\n{base}\n{rules}}}\n{chains}}}"), "nat")
    assert re.findall(r"^Chain (\w+) \(1 ref", text, re.MULTILINE) == ["C", "a", "b"]


def test_a_table_that_iptables_does_not_have_is_refused():
    with pytest.raises(UsageError, match="iptables has no table 'security'; choose one of filter"):
        listing(parse(""), "security")  # type: ignore[arg-type]


VOCABULARY = (
    "accept jump DOCKER tcp dport flags ! != & {1,2} syn 80 ip saddr 10.0.0.1 ct state status new "
    "limit rate log level meta mark 007 0x1 set icmp type redirect dnat to :80 / fib daddr local @x "
    '- reject with counter iifname " sport'
)
WORDS = st.lists(st.sampled_from(VOCABULARY.split()), max_size=12).map(" ".join)


@given(WORDS)
def test_any_rule_can_be_printed_on_one_line(rule):
    assert len(row(f"oifname docker0 {rule}", line_numbers=True).splitlines()) == 1
