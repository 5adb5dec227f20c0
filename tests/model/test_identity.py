"""Ids and names mean what they mean to Docker."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.identity import (
    check_name,
    name_conflict,
    new_id,
    random_name,
    resolve,
    short_id,
)
from natlab.model.refusal import Refusal

WEB, DB, ODD = "ab" + "0" * 62, "ac" + "0" * 62, "f" * 64
NAMES = {WEB: "web", DB: "db", ODD: "ab"}


def seeded(seed):
    return random.Random(seed)  # noqa: S311 - names are no secret


def refused(call, *args):
    with pytest.raises(Refusal) as refusal:
        call(*args)
    return refusal.value.status, str(refusal.value)


def test_an_id_is_made_of_32_random_bytes():
    assert new_id(bytes(range(40))) == bytes(range(32)).hex()
    with pytest.raises(ValueError, match="needs 32 random bytes"):
        new_id(b"few")


def test_a_short_id_has_12_digits_and_no_algorithm():
    assert short_id(WEB) == "ab0000000000"
    assert short_id(f"sha256:{WEB}") == "ab0000000000"


@pytest.mark.parametrize(
    ("text", "found"),
    [(WEB, WEB), ("web", WEB), ("/web", WEB), ("ac", DB), (DB[:12], DB), ("f", ODD), ("ab", ODD)],
)
def test_an_object_is_found_by_id_name_or_the_beginning_of_its_id(text, found):
    assert resolve(text, NAMES) == found


def test_a_full_id_comes_before_a_name():
    assert resolve(WEB, {WEB: "web", DB: WEB}) == WEB


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("we", "container", "No such container: we"),
        ("", "container", "No such container: "),
        ("a\nb", "container", r"No such container: a\nb"),
        ("we", "network", "network we not found"),
        ("/web", "network", "network /web not found"),
        ("ab0", "exec", "No such exec instance: ab0"),
    ],
)
def test_what_nothing_answers_to_is_not_found(text, kind, message):
    assert refused(resolve, text, NAMES, kind) == (404, message)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("container", "multiple IDs found with provided prefix: a"),
        ("network", "network a is ambiguous (2 matches found based on ID prefix)"),
    ],
)
def test_the_beginning_of_several_ids_is_ambiguous(kind, message):
    assert refused(resolve, "a", NAMES, kind) == (400, message)


def test_a_name_of_several_networks_is_ambiguous():
    names = {WEB: "net", DB: "net"}
    message = "network net is ambiguous (2 matches found on name)"
    assert refused(resolve, "net", names, "network") == (400, message)


@given(st.sets(st.binary(min_size=32, max_size=32), min_size=1, max_size=8), st.data())
def test_every_object_is_found_by_its_full_id(raw, data):
    names = {new_id(one): "" for one in raw}
    ident = data.draw(st.sampled_from(sorted(names)))
    assert resolve(ident, names) == ident
    length = data.draw(st.integers(1, 64))
    alike = [one for one in names if one.startswith(ident[:length])]
    if len(alike) == 1:
        assert resolve(ident[:length], names) == ident


@given(st.integers())
def test_a_drawn_name_is_valid_and_the_same_for_the_same_seed(seed):
    name = random_name(seeded(seed))
    assert check_name(name) == name
    assert name != "boring_wozniak"
    assert name == random_name(seeded(seed))


def test_a_name_that_is_taken_is_drawn_again_with_a_digit():
    first = random_name(seeded(1))
    second = random_name(seeded(1), {first})
    assert second != first
    assert second[-1].isdigit()


def test_when_every_name_is_taken_12_digits_are_the_name():
    class Everything(set):
        def __contains__(self, _):
            return True

    name = random_name(seeded(1), Everything())
    assert len(bytes.fromhex(name)) == 6


def test_steve_wozniak_is_never_boring():
    class Drawn(random.Random):
        def __init__(self):
            super().__init__(1)
            self.words = ["boring", "wozniak", "boring", "curie"]

        def choice(self, seq):
            assert self.words[0] in seq
            return self.words.pop(0)

    assert random_name(Drawn()) == "boring_curie"


@pytest.mark.parametrize(
    ("name", "bare"), [("web", "web"), ("/web", "web"), ("a.b-c_1", "a.b-c_1")]
)
def test_a_valid_name_is_given_back_without_its_slash(name, bare):
    assert check_name(name) == bare


@pytest.mark.parametrize("name", ["", "a", "-ab", "a b", "//ab", "ä1"])
def test_an_invalid_name_is_refused_in_dockers_words(name):
    text = f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    assert refused(check_name, name) == (400, text)


@pytest.mark.parametrize("name", ["web", "/web"])
def test_a_name_that_is_in_use_is_a_conflict_in_dockers_words(name):
    refusal = name_conflict(name, WEB)
    assert refusal.status == 409
    assert str(refusal) == (
        f'Conflict. The container name "/web" is already in use by container "{WEB}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
