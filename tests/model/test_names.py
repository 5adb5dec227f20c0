"""Names are taken or refused as by Docker and the kernel; a slip of the pen is understood."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model import names


@pytest.mark.parametrize("name", ["web", "db_1", "a.b-c", "0afe24ab86b8", "w2"])
def test_docker_takes_these_container_names(name):
    assert names.check_container_name(name) == name


def test_the_slash_of_the_api_is_not_part_of_the_name():
    assert names.check_container_name("/web") == "web"


@pytest.mark.parametrize("name", ["", "a", "-web", ".web", "we b", "web\n", "wéb", "//web", "a/b"])
def test_docker_refuses_these_container_names_in_its_own_words(name):
    with pytest.raises(UsageError) as refusal:
        names.check_container_name(name)
    text = str(refusal.value)
    assert text.startswith("Invalid container name (")
    assert text.endswith("), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["lo", "docker0", "br-0afe24ab86b8", "veth1234567", "eth0.100", "x"]
)
def test_the_kernel_takes_these_interface_names(name):
    assert names.check_interface_name(name) == name


def test_an_interface_name_over_15_characters_is_told_its_length():
    with pytest.raises(UsageError, match="has 16 characters: the kernel takes at most 15, choose"):
        names.check_interface_name("veth-web-ubuntu1")


def test_the_kernel_counts_bytes_where_letters_have_two():
    with pytest.raises(UsageError, match="has 16 bytes"):
        names.check_interface_name("é" * 8)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a\tb", "a:1", "veth%d", "a\0"])
def test_what_the_kernel_refuses_as_an_interface_name_is_refused_before_it(name):
    with pytest.raises(UsageError, match=r"interface name .*(give|choose|use) "):
        names.check_interface_name(name)


def refusal_of(name):
    try:
        names.check_interface_name(name)
    except UsageError as refusal:
        return str(refusal)
    return ""


@pytest.mark.parametrize("name", ["é", "a\x7f", "a\u2028"])
def test_an_interface_name_that_a_listing_would_garble_is_refused(name):
    with pytest.raises(UsageError, match=r"use letters, digits, '-', '_' and '\.'$"):
        names.check_interface_name(name)


@given(st.text() | st.text(st.sampled_from("ab0-_./:% \n"), min_size=1, max_size=16))
def test_an_interface_name_passes_just_when_it_is_short_and_plain(name):
    taken = 1 <= len(name.encode()) <= 15 and name not in {".", ".."}
    taken = taken and all("!" <= c <= "~" and c not in "/:%" for c in name)
    assert bool(refusal_of(name)) != taken
    assert len(refusal_of(name).splitlines()) <= 1


@pytest.mark.parametrize("name", ["lab", "class-3_b.2", "7", "x" * 32])
def test_a_lab_may_be_called_so(name):
    assert names.check_lab_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "-lab", "a b", "lab\n", "x" * 33])
def test_a_lab_name_cannot_lead_out_of_its_directory_or_over_a_sockets_path(name):
    with pytest.raises(UsageError, match="lab name"):
        names.check_lab_name(name)


@given(st.text())
def test_a_veth_name_is_always_one_the_kernel_takes_and_depends_on_the_seed_alone(seed):
    name = names.veth_name(seed)
    assert names.check_interface_name(name) == name
    assert name == names.veth_name(seed)
    assert len(name) == 11
    assert int(name.removeprefix("veth"), 16) >= 0


@given(st.lists(st.uuids(), unique=True, min_size=2, max_size=50))
def test_different_seeds_give_different_veths(seeds):
    assert len({names.veth_name(str(seed)) for seed in seeds}) == len(seeds)


def test_a_bridge_is_named_by_twelve_digits_of_the_networks_id():
    assert names.bridge_name("0afe24ab86b8" + "f" * 52) == "br-0afe24ab86b8"


@pytest.mark.parametrize(
    "network_id", ["", "0afe24ab86b", "0AFE24AB86B8", "web-network-1", "0afe24ab86b8\n"]
)
def test_what_is_no_network_id_names_no_bridge(network_id):
    with pytest.raises(UsageError, match="12 or more hex digits"):
        names.bridge_name(network_id)


def test_the_nearest_name_comes_first():
    assert names.nearest("wbe", ["db", "web", "cache"]) == ("web",)
    assert names.nearest("ubuntu", ["ubuntu1", "outside", "ubuntu2"]) == ("ubuntu2", "ubuntu1")
    assert names.nearest("WEB", ["web"]) == ("web",)
    assert names.nearest("zzz", ["web"]) == ()


@given(st.text(min_size=1), st.lists(st.text()))
def test_only_known_names_are_suggested_each_once(word, known):
    close = names.nearest(word, known)
    assert set(close) <= set(known)
    assert len(set(close)) == len(close) <= 3


@given(st.text(min_size=1), st.lists(st.text()))
def test_the_name_itself_is_the_nearest(word, known):
    assume(all(name.casefold() != word.casefold() for name in known))
    assert names.nearest(word, [*known, word])[0] == word


def test_an_unknown_name_is_answered_with_the_likely_one():
    error = names.unknown("container", "wbe", ["db", "web"], place="on ubuntu1")
    assert str(error) == 'no container "wbe" on ubuntu1: did you mean "web"?'
    assert isinstance(error, UsageError)


def test_two_likely_names_are_both_offered():
    error = names.unknown("host", "ubuntu", ["ubuntu1", "ubuntu2", "outside"])
    assert str(error) == 'no host "ubuntu": did you mean "ubuntu2" or "ubuntu1"?'


def test_when_nothing_is_near_what_there_is_is_listed_in_order():
    error = names.unknown("container", "zzzz", ["web", "db", "cache"], place="on ubuntu1")
    assert str(error) == 'no container "zzzz" on ubuntu1: there are "cache", "db" and "web"'
    assert (
        str(names.unknown("host", "zzzz", ["outside"])) == 'no host "zzzz": there is only "outside"'
    )


def test_a_long_list_is_cut():
    error = names.unknown("step", "zzzz", [f"{n:02}" for n in range(1, 16)])
    assert str(error).endswith('"07", "08" and 7 more')


def test_when_there_is_nothing_the_hint_says_how_to_make_one():
    error = names.unknown("lab", "lab", [], hint="start it with `natlab up`")
    assert str(error) == 'no lab "lab": there is none yet; start it with `natlab up`'
    assert str(names.unknown("lab", "x", ())) == 'no lab "x": there is none'


@given(st.text())
@example("a\nb\x1b[2J\u2028c")
def test_no_name_can_break_the_line_or_reach_the_terminal(word):
    shown = names.one_line(word)
    assert shown.isprintable()
    assert len(str(names.unknown("host", word, ["web"])).splitlines()) == 1
