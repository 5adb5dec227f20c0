"""Reading the text of `nft -a list ruleset`."""
# ruff: noqa: E101, E501 - listings stand here as nft prints them, with its tabs and long lines

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model.nft_rule import parse_rule
from natlab.model.nft_text import parse
from natlab.model.ruleset import Chain, Counter, Match, Raw, Ruleset, Translation, Verdict

# Printed by nft 1.0.6: the seed's rules, typed with iptables 1.8.9.
BY_IPTABLES = """\
# Warning: table ip nat is managed by iptables-nft, do not touch!
table ip nat { # handle 1
	chain DOCKER { # handle 1
		iifname != "docker0" tcp dport 49153 counter packets 2 bytes 104 dnat to 172.17.0.2:8080 # handle 8
	}

	chain PREROUTING { # handle 2
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local counter packets 2 bytes 104 jump DOCKER # handle 3
	}

	chain OUTPUT { # handle 4
		type nat hook output priority -100; policy accept;
		ip daddr != 127.0.0.0/8 fib daddr type local counter packets 0 bytes 0 jump DOCKER # handle 5
	}

	chain POSTROUTING { # handle 6
		type nat hook postrouting priority srcnat; policy accept;
		oifname != "docker0" ip saddr 172.17.0.0/16 counter packets 0 bytes 0 masquerade # handle 7
	}
}
"""

# Printed by nft 1.0.6: what a table may hold beside chains.
BY_NFT = """\
table inet mixed { # handle 1
	counter policy_postrouting { # handle 4
		packets 3 bytes 432
	}

	counter short { packets 1 bytes 60 }

	ct helper ftpstd { # handle 7
		type "ftp" protocol tcp
		l3proto inet
	}

	set blocked { # handle 8
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8, 172.16.0.1,
			     192.168.1.5-192.168.1.9 }
	}

	map published { # handle 10
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 49153 : 172.17.0.2 . 8080,
			     udp . 53 : 172.17.0.3 . 53 }
	}

	map bridges { # handle 11
		type ifname : verdict
		elements = { "br1" : goto other, "docker0" : jump DOCKER }
	}

	flowtable ft { # handle 12
		hook ingress priority filter
		devices = { lo }
	}

	chain DOCKER { # handle 1
		comment "published ports"
		iifname != "docker0" dnat ip to meta l4proto . th dport map @published # handle 13
		th dport 53 counter name "policy_postrouting" dnat ip to 10.0.0.1 # handle 16
		ct status dnat counter packets 0 bytes 0 accept comment "hello # handle 9 { x" # handle 17
	}

	chain other { # handle 2
	}

	chain post { # handle 90
		type nat hook postrouting priority srcnat + 5; policy accept;
		oifname vmap { "docker0" : jump other } # handle 95
		counter packets 5 bytes 300 comment "policy" # handle 97
	}

	chain fw { # handle 92
		type filter hook forward priority filter - 10; policy drop;
		iifname vmap @bridges # handle 93
	}
}
table ip asleep { # handle 3
	flags dormant
}
table bridge b { # handle 4
	chain x { # handle 1
		type filter hook forward priority filter; policy accept;
	}
}
table netdev n { # handle 5
	chain y { # handle 1
		type filter hook ingress device "lo" priority -5; policy accept;
	}
}
"""

SEED = parse(BY_IPTABLES)
MIXED = parse(BY_NFT)


def chain_of(ruleset: Ruleset, name: str) -> Chain:
    (found,) = (chain for _, chain in ruleset.chains(name))
    return found


def names(chains: tuple[Chain, ...]) -> list[str]:
    return [chain.name for chain in chains]


def test_the_table_of_iptables_nft_is_known_as_such():
    assert [(t.title, t.managed_by_iptables) for t in SEED.tables] == [("ip nat", True)]
    assert not any(table.managed_by_iptables for table in MIXED.tables)


def test_a_dnat_says_where_it_sends_the_packet():
    (rule,) = chain_of(SEED, "DOCKER").rules
    assert rule.dnat == ("172.17.0.2", 8080)
    assert rule.matches == (Match("iifname", "!=", "docker0"), Match("tcp dport", "==", "49153"))
    assert rule.counter == Counter(2, 104)
    assert rule.handle == 8


def test_a_masquerade_says_for_whom():
    (rule,) = chain_of(SEED, "POSTROUTING").rules
    assert rule.masquerades
    assert rule.dnat is None
    assert rule.match("ip saddr") == Match("ip saddr", "==", "172.17.0.0/16")
    assert rule.match("ip daddr") is None


def test_chains_are_found_by_the_hook_they_stand_at():
    assert [chain.name for _, chain in SEED.base_chains("prerouting", "nat")] == ["PREROUTING"]
    assert SEED.base_chains("prerouting", "filter") == ()
    assert SEED.base_chains("forward") == ()


def test_chains_of_one_hook_come_in_the_order_of_their_priority():
    text = "table ip a {\n" + "".join(
        f"chain c{i} {{\ntype filter hook input priority {p}; policy accept;\n}}\n"
        for i, p in enumerate(["security", "raw", "filter + 1", "filter"])
    )
    found = parse(text + "}").base_chains("input")
    assert [(c.name, c.priority) for _, c in found] == [
        ("c1", -300),
        ("c3", 0),
        ("c2", 1),
        ("c0", 50),
    ]


@pytest.mark.parametrize(
    ("chain", "priority"), [("post", 105), ("fw", -10), ("x", -200), ("y", -5), ("other", None)]
)
def test_named_priorities_are_numbers_in_each_family(chain, priority):
    assert chain_of(MIXED, chain).priority == priority


def test_a_jump_makes_a_chain_reachable_and_nothing_else_does():
    assert names(SEED.reachable(chain_of(SEED, "PREROUTING"))) == ["PREROUTING", "DOCKER"]
    assert names(SEED.reachable(chain_of(SEED, "POSTROUTING"))) == ["POSTROUTING"]


def test_verdict_maps_make_chains_reachable_too():
    assert names(MIXED.reachable(chain_of(MIXED, "post"))) == ["post", "other"]
    assert names(MIXED.reachable(chain_of(MIXED, "fw"))) == ["fw", "other", "DOCKER"]


def test_a_jump_that_stands_in_a_comment_leads_nowhere():
    text = 'table ip t {\nchain a {\naccept comment "jump b" # handle 1\n}\nchain b {\n}\n}'
    ruleset = parse(text)
    assert names(ruleset.reachable(chain_of(ruleset, "a"))) == ["a"]


def test_reachability_is_refused_for_a_chain_from_elsewhere():
    with pytest.raises(UsageError, match="chain DOCKER is not of this ruleset"):
        MIXED.reachable(chain_of(SEED, "DOCKER"))


def test_a_loop_of_jumps_ends():
    ruleset = parse("table ip t {\nchain a {\njump b\n}\nchain b {\njump a\n}\n}")
    assert names(ruleset.reachable(chain_of(ruleset, "a"))) == ["a", "b"]


def test_a_named_counter_is_read_where_it_is_kept():
    rule = chain_of(MIXED, "DOCKER").rules[1]
    assert rule.counter == Counter(3, 432, name="policy_postrouting")
    short = MIXED.tables[0].object("short")
    assert short is not None
    assert short.body == "packets 1 bytes 60"


def test_sets_and_maps_keep_their_elements():
    table = MIXED.tables[0]
    elements = {found.name: found.elements for found in table.objects}
    assert elements["blocked"] == ("10.0.0.0/8", "172.16.0.1", "192.168.1.5-192.168.1.9")
    assert elements["published"][0] == "tcp . 49153 : 172.17.0.2 . 8080"
    assert [found.kind for found in table.objects][:3] == ["counter", "counter", "ct helper"]


def test_a_comment_is_no_handle_and_no_brace():
    rule = chain_of(MIXED, "DOCKER").rules[2]
    assert (rule.comment, rule.handle) == ("hello # handle 9 { x", 17)
    assert rule.match("ct status") == Match("ct status", "==", "dnat")
    assert rule.verdict == Verdict("accept")
    assert rule.dnat is None


def test_a_chains_comment_is_not_a_rule():
    chain = chain_of(MIXED, "DOCKER")
    assert (chain.comment, len(chain.rules)) == ("published ports", 3)


def test_a_dnat_through_a_map_has_no_single_destination():
    rule = chain_of(MIXED, "DOCKER").rules[0]
    assert rule.translation == Translation("dnat", "meta l4proto . th dport map @published")
    assert rule.dnat is None


def test_a_dormant_table_says_so():
    table = MIXED.table("ip", "asleep")
    assert table is not None
    assert table.flags == "dormant"


def test_the_policys_counter_is_the_last_rule_of_a_base_chain():
    assert chain_of(MIXED, "post").policy_counter == Counter(5, 300)
    assert chain_of(SEED, "POSTROUTING").policy_counter is None


@pytest.mark.parametrize(
    "rules",
    [
        'counter comment "policy"\naccept',
        'counter accept comment "policy"',
        'ip saddr 10.0.0.1 counter comment "policy"',
        'counter comment "other"',
    ],
)
def test_only_a_bare_counting_last_rule_counts_for_the_policy(rules):
    hook = "type nat hook output priority 0; policy accept;"
    ruleset = parse(f"table ip t {{\nchain c {{\n{hook}\n{rules}\n}}\n}}")
    assert chain_of(ruleset, "c").policy_counter is None


def test_a_regular_chain_has_no_policy_to_count_for():
    ruleset = parse('table ip t {\nchain c {\ncounter comment "policy"\n}\n}')
    assert chain_of(ruleset, "c").policy_counter is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("ct state established,related accept", ("ct state", "==", "established,related")),
        ("ct state ! related,established accept", ("ct state", "!=", "related,established")),
        ("tcp flags ! fin,syn drop", ("tcp flags", "!", "fin,syn")),
        ("tcp flags syn / fin,syn drop", ("tcp flags", "==", "syn / fin,syn")),
        ("tcp dport { 80, 443 } accept", ("tcp dport", "==", "{ 80, 443 }")),
        ("tcp dport 1-100  counter packets 0 bytes 0", ("tcp dport", "==", "1-100")),
        ("th dport > 1024 accept", ("th dport", ">", "1024")),
        ("meta l4proto { tcp, udp }", ("meta l4proto", "==", "{ tcp, udp }")),
        ("meta nfproto ipv4 accept", ("meta nfproto", "==", "ipv4")),
        ("ip saddr & 255.0.255.0 == 10.0.0.0", ("ip saddr & 255.0.255.0", "==", "10.0.0.0")),
        ("fib saddr . iif oif missing drop", ("fib saddr . iif oif", "==", "missing")),
        ("fib daddr type { local, broadcast }", ("fib daddr type", "==", "{ local, broadcast }")),
        ("ct original proto-dst 53", ("ct original proto-dst", "==", "53")),
        ("ct original ip daddr 10.0.0.1 drop", ("ct original ip daddr", "==", "10.0.0.1")),
        ("icmp type redirect drop", ("icmp type", "==", "redirect")),
        ("ip saddr @blocked drop", ("ip saddr", "==", "@blocked")),
        ('iifname "eth*" drop', ("iifname", "==", "eth*")),
        ('meta hour "10:00"-"12:00" drop', ("meta hour", "==", '"10:00"-"12:00"')),
        ("@th,0,16 80 accept", ("@th,0,16", "==", "80")),
        (
            "ip saddr . tcp dport { 1.2.3.4 . 80 } drop",
            ("ip saddr . tcp dport", "==", "{ 1.2.3.4 . 80 }"),
        ),
    ],
)
def test_a_condition_is_key_operator_and_value(text, match):
    assert parse_rule(text).matches == (Match(*match),)


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("accept", Verdict("accept")),
        ("jump DOCKER", Verdict("jump", chain="DOCKER")),
        ("goto DOCKER-USER", Verdict("goto", chain="DOCKER-USER")),
        ("reject", Verdict("reject")),
        ("reject with tcp reset", Verdict("reject", reason="tcp reset")),
        (
            "reject with icmp type host-unreachable",
            Verdict("reject", reason="icmp host-unreachable"),
        ),
        ("masquerade", Translation("masquerade")),
        ("masquerade to :100-200 random", Translation("masquerade", ":100-200", ("random",))),
        ("masquerade fully-random", Translation("masquerade", None, ("fully-random",))),
        ("redirect to :99", Translation("redirect", ":99")),
        ("snat ip to 10.0.0.1", Translation("snat", "10.0.0.1")),
        (
            "dnat to 10.0.0.1:80 random,persistent",
            Translation("dnat", "10.0.0.1:80", ("random", "persistent")),
        ),
        ('log prefix "drop x" flags ip options', Raw('log prefix "drop x" flags ip options')),
        (
            "limit rate over 10/second burst 20 packets",
            Raw("limit rate over 10/second burst 20 packets"),
        ),
        ("meta mark set 0x00000005", Raw("meta mark set 0x00000005")),
        ("ct state vmap { new : drop }", Raw("ct state vmap { new : drop }")),
        ('xt target "CHECKSUM"', Raw('xt target "CHECKSUM"')),
        ("a thing of the future", Raw("a thing of the future")),
    ],
)
def test_a_statement_is_a_verdict_a_translation_or_kept_as_text(text, statement):
    assert parse_rule(f"{text} # handle 3").statements == (statement,)


def test_a_limit_does_not_swallow_the_condition_behind_it():
    rule = parse_rule("limit rate 3/minute ip saddr 10.0.0.1 accept")
    assert rule.matches == (Match("ip saddr", "==", "10.0.0.1"),)


@pytest.mark.parametrize(
    ("to", "destination"),
    [
        ("172.17.0.2:8080", ("172.17.0.2", 8080)),
        ("172.17.0.2", ("172.17.0.2", None)),
        ("[fd00::2]:80", ("fd00::2", 80)),
        ("fd00::2", ("fd00::2", None)),
        ("10.0.0.1-10.0.0.5", None),
        ("10.0.0.1:80-90", None),
        (":80", None),
        ("tcp dport map { 80 : 10.0.0.1 }", None),
    ],
)
def test_a_destination_is_one_address_or_none(to, destination):
    assert parse_rule(f"dnat to {to}").dnat == destination


def test_the_members_of_a_value_can_be_asked_for():
    assert Match("tcp dport", "==", "{ 80, 443 }").values == ("80", "443")
    assert Match("iifname", "==", '{ "a", "b" }').values == ("a", "b")
    assert Match("ct state", "==", "related,established").values == ("related", "established")
    assert Match("iifname", "==", "docker0").values == ("docker0",)


def test_a_rule_printed_over_several_lines_is_one_rule():
    text = "table ip t {\nchain c {\nip saddr { 10.0.0.1,\n   10.0.0.2 } drop # handle 4\n}\n}"
    (rule,) = chain_of(parse(text), "c").rules
    assert rule.match("ip saddr") == Match("ip saddr", "==", "{ 10.0.0.1, 10.0.0.2 }")
    assert rule.handle == 4


def test_a_listing_without_handles_is_read_too():
    ruleset = parse("table ip t {\n\tchain c {\n\t\taccept\n\t}\n}\n")
    assert [(t.handle, c.handle, r.handle) for t, c, r in ruleset.rules()] == [(None, None, None)]


def test_nothing_is_an_empty_ruleset():
    assert parse("") == Ruleset()


@pytest.mark.parametrize(
    "text",
    [
        "Error: Could not process rule: Operation not permitted",
        "table ip {\n}",
        "table ip t {\n\tnonsense\n}",
        "table ip t {\n\tchain a b {\n\t}\n}",
        "}",
    ],
)
def test_what_is_not_a_listing_is_refused_with_its_line(text):
    with pytest.raises(UsageError, match=r"^nft listing, line \d: .*pass the output of `nft -a"):
        parse(text)


def test_a_listing_that_breaks_off_is_refused():
    with pytest.raises(UsageError, match="ends at line 3 inside a block"):
        parse("table ip t {\n\tchain c {\n\t\taccept")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Match("ip saddr", "~", "x"),
        lambda: Counter(-1, 0),
        lambda: Verdict("perhaps"),
        lambda: Verdict("jump"),
        lambda: Verdict("accept", chain="x"),
        lambda: Translation("pat"),
        lambda: Chain("c", hook="input"),
    ],
)
def test_an_impossible_value_cannot_be_made(make):
    with pytest.raises(UsageError):
        make()


PRINTABLE = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=80)
VOCABULARY = (
    "accept drop jump goto dnat snat to masquerade redirect reject with counter packets bytes name "
    'comment "x" " { } ( ) , . / & | == != ! < ct state status original ip saddr tcp flags dport '
    "option maxseg size set vmap map fib daddr type @m meta l4proto log prefix level limit rate over "
    "3/minute burst 5 10.0.0.1 10.0.0.1:80 80 : random xt target iifname"
)
WORDS = st.lists(st.sampled_from(VOCABULARY.split()), max_size=14).map(" ".join)


@given(st.lists(st.one_of(PRINTABLE, WORDS), max_size=6))
def test_every_rule_line_survives(lines):
    lines = [line.strip() for line in lines]
    listed = "".join(f"\t\t{line} # handle {i}\n" for i, line in enumerate(lines, start=1))
    ruleset = parse(f"table ip t {{ # handle 1\n\tchain c {{ # handle 2\n{listed}\t}}\n}}\n")
    found = [(rule.text, rule.handle) for _, _, rule in ruleset.rules()]
    assert found == [(line, i) for i, line in enumerate(lines, start=1)]


@given(WORDS)
def test_no_word_of_a_rule_is_lost(text):
    rule = parse_rule(text)
    kept = " ".join([*(m.key + m.value for m in rule.matches), *map(str, rule.statements)])
    kept += f" {rule.comment} {rule.counter}"
    assert all(word in kept for word in ("maxseg", "iifname", "3/minute") if word in text.split())
