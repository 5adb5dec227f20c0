from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from natlab.model.draw_journey import table, verdict
from natlab.model.journey import Flow, Journey, Stage
from natlab.model.rewrite import Rewrite, Side

SYN = "IP 192.168.33.20.40000 > 192.168.33.11.49153: Flags [S], length 0"
INSIDE = "IP 192.168.33.20.40000 > 172.17.0.2.8080: Flags [S], length 0"
RESET = "IP 192.168.33.11.49153 > 192.168.33.20.40000: Flags [R.], length 0"
FLOW = Flow("outside", "tcp", "192.168.33.11", 49153, sport=40000)
DNAT = Rewrite("destination", Side("192.168.33.11", 49153), Side("172.17.0.2", 8080))


def stage(kind: str, node: str = "ubuntu1", way: str = "forward", **values: object) -> Stage:
    return Stage(way=way, node=node, kind=kind, **values)  # type: ignore[arg-type]


OUT = stage("interface", "outside", interface="eth0", direction="out", packet=SYN)
IN = stage("interface", interface="eth0", direction="in", packet=SYN)
BACK = stage("interface", "ubuntu1", "back", interface="eth0", direction="out", packet=RESET)
HOME = stage("interface", "outside", "back", interface="eth0", direction="in", packet=RESET)


def told(outcome: str, *stages: Stage, note: str | None = None) -> Journey:
    end = stage("end", "outside", verdict=outcome, note=note)
    return Journey(flow=FLOW, outcome=outcome, verdict=outcome, stages=(*stages, end))


def test_a_table_has_both_ways_and_names_each_node_once_a_stay():
    assert table(told("refused", OUT, IN, BACK, HOME)).splitlines() == [
        "outside → 192.168.33.11:49153 (tcp)",
        "",
        "there",
        "  outside   out eth0  192.168.33.20:40000 → 192.168.33.11:49153 SYN",
        "  ubuntu1   in eth0   192.168.33.20:40000 → 192.168.33.11:49153 SYN",
        "",
        "back",
        "  ubuntu1   out eth0  192.168.33.11:49153 → 192.168.33.20:40000 RST ACK",
        "  outside   in eth0   192.168.33.11:49153 → 192.168.33.20:40000 RST ACK",
        "",
        "refused by ubuntu1: nobody listens there, a reset came back",
    ]


def test_a_rewrite_is_marked():
    drawn = table(told("no answer", IN, stage("rewrite", rewrite=DNAT, packet=INSIDE)))
    assert "          » REWRITE  destination 192.168.33.11:49153 → 172.17.0.2:8080" in drawn


def test_a_rule_that_only_counts_is_left_out():
    counting = stage("rule", chain="FORWARD", rule='counter comment "policy"', verdict="continue")
    real = stage("rule", chain="FORWARD", rule="counter accept", verdict="accept")
    drawn = table(told("no answer", IN, counting, real))
    assert "policy" not in drawn
    assert "FORWARD: counter accept" in drawn


def test_a_lost_packets_verdict_says_where_it_was_and_what_was_there():
    lost = told("no answer", OUT, IN, note="forwarding is off on ubuntu1")
    assert verdict(lost) == (
        "no answer: last seen entering ubuntu1 by eth0"
        " as 192.168.33.20:40000 → 192.168.33.11:49153; forwarding is off on ubuntu1"
    )


def test_a_lost_answers_verdict_says_that_it_was_the_answer():
    said = verdict(told("no answer", OUT, IN, BACK))
    assert said.startswith("no answer: the answer was last seen leaving ubuntu1 by eth0 as ")


def test_an_answer_from_somebody_else_is_told_from_no_answer():
    said = verdict(told("no answer", OUT, IN, BACK, HOME))
    assert said == "no answer: one came, but from 192.168.33.11:49153, who was not asked"


def test_a_rule_that_refuses_is_named():
    reject = stage("rule", chain="FORWARD", rule="tcp dport 8080 reject", verdict="drop")
    said = verdict(told("refused", OUT, IN, reject, BACK, HOME))
    assert said == "refused on ubuntu1 by the rule `tcp dport 8080 reject` in FORWARD"


def test_a_journey_that_never_began_says_so():
    assert verdict(told("no answer", note="outside has no route to 10.0.0.1")) == (
        "no answer: nothing left outside; outside has no route to 10.0.0.1"
    )


WORDS = st.text("abcdefgh", min_size=1, max_size=12)


@given(st.lists(st.lists(WORDS, min_size=1, max_size=30)), st.integers(60, 160))
def test_no_line_is_wider_than_asked_and_no_word_is_lost(rules, width):
    stages = [stage("rule", chain="X", rule=" ".join(words)) for words in rules]
    drawn = table(told("no answer", *stages), width)
    assert all(len(line) <= width for line in drawn.splitlines())
    assert [w for words in rules for w in words] == [
        w for w in drawn.partition("there")[2].split() if set(w) <= set("abcdefgh")
    ][: sum(map(len, rules))]
