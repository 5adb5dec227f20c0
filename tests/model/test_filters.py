"""Filters are read as Docker reads them, and let pass what Docker lets pass."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.filters import Filters, parse_filters
from natlab.model.refusal import Refusal

NOW = 1_714_550_400_000_000_000


def refused(call, *args, **kwargs):
    with pytest.raises(Refusal) as refusal:
        call(*args, **kwargs)
    return refusal.value.status, str(refusal.value)


def filters(**fields):
    return Filters({key: tuple(values) for key, values in fields.items()})


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (None, {}),
        ("", {}),
        ("{}", {}),
        ("null", {}),
        ('{"name":{"web":true,"db":true}}', {"name": ("web", "db")}),
        ('{"name":["web","db","web"]}', {"name": ("web", "db")}),
        ('{"name":{"web":false}}', {"name": ()}),
        ('{"name":null}', {"name": ()}),
        ('{"name":["web"],"id":{"ab":true}}', {"name": ("web",), "id": ("ab",)}),
    ],
)
def test_both_ways_of_writing_filters_are_read(text, fields):
    assert parse_filters(text, ["name", "id"]).fields == fields


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "1", '"name"', '{"name":"web"}', '{"name":[1]}', '{"name":{"web":1}}', "[" * 5000],
)
def test_what_is_malformed_is_an_invalid_filter(text):
    assert refused(parse_filters, text, ["name"]) == (400, "invalid filter")


def test_an_unknown_filter_is_named():
    assert refused(parse_filters, '{"foo":["x"]}', ["name"]) == (400, "invalid filter 'foo'")


@given(st.dictionaries(st.text(max_size=5), st.lists(st.text(max_size=5), unique=True), max_size=4))
def test_both_ways_of_writing_filters_mean_the_same(fields):
    new = json.dumps({key: dict.fromkeys(values, True) for key, values in fields.items()})
    old = json.dumps(fields)
    assert parse_filters(new, fields) == parse_filters(old, fields)


def test_a_key_that_is_not_given_lets_everything_pass():
    none = Filters()
    assert "name" not in none
    assert none.get("name") == ()
    assert none.exact("name", "web")
    assert none.exact("name")
    assert none.prefix("id", "ab")
    assert none.pattern("name", "web")
    assert none.glob("reference", "alpine:3")
    assert none.labels("label", {})
    assert none.flag("dangling", default=True)
    assert none.until(NOW) is None


def test_an_exact_filter_takes_one_of_its_values():
    driver = filters(driver=["bridge", "host"])
    assert driver.exact("driver", "host")
    assert driver.exact("driver", "null", "bridge")
    assert not driver.exact("driver", "bri")
    assert not driver.exact("driver")


def test_a_prefix_filter_takes_what_begins_so():
    ident = filters(id=["ab", "cd"])
    assert ident.prefix("id", "abcdef")
    assert ident.prefix("id", "cd")
    assert not ident.prefix("id", "b")


@pytest.mark.parametrize(
    ("pattern", "passes"),
    [
        ("web", True),
        ("we", True),
        ("^/web$", True),
        ("^web$", True),
        ("b1?$", True),
        ("wob", False),
    ],
)
def test_a_pattern_is_a_regular_expression_over_the_names(pattern, passes):
    assert filters(name=[pattern]).pattern("name", "web", "/web") is passes


def test_a_pattern_that_is_no_regular_expression_is_compared_as_it_stands():
    assert filters(name=["a["]).pattern("name", "a[")
    assert not filters(name=["a["]).pattern("name", "ab")


@pytest.mark.parametrize(
    ("pattern", "passes"),
    [
        ("myapp", True),
        ("myapp:v1", True),
        ("my*", True),
        ("*:v?", True),
        ("*:v[0-9]", True),
        ("*:v[^0-9]", False),
        ("app", False),
        ("*:v?.", False),
    ],
)
def test_a_glob_fits_the_whole_reference(pattern, passes):
    assert filters(reference=[pattern]).glob("reference", "myapp:v1", "myapp") is passes


def test_a_glob_is_refused_when_it_is_malformed():
    wrong = filters(reference=["[a"])
    assert refused(wrong.glob, "reference", "a") == (400, "syntax error in pattern")


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (["app"], True),
        (["app=web"], True),
        (["app=web", "tier"], True),
        (["app=db"], False),
        (["app", "nope"], False),
        (["tier="], True),
        (["app="], False),
    ],
)
def test_all_labels_must_be_there(wanted, passes):
    assert filters(label=wanted).labels("label", {"app": "web", "tier": ""}) is passes


def test_a_negated_label_keeps_away_what_has_it():
    wanted = Filters({"label!": ("keep",)})
    assert wanted.labels("label", {"other": ""})
    assert not wanted.labels("label", {"keep": "yes"})


@pytest.mark.parametrize(
    ("value", "means"), [("true", True), ("1", True), ("false", False), ("0", False)]
)
def test_a_flag_is_yes_or_no(value, means):
    assert filters(dangling=[value]).flag("dangling", default=not means) is means


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["maybe"], "invalid filter 'dangling=[maybe]'"),
        (["true", "0"], "invalid filter 'dangling=[true 0]'"),
        ([], "invalid filter 'dangling'"),
    ],
)
def test_a_flag_that_is_neither_yes_nor_no_is_refused(values, message):
    wrong = filters(dangling=values)
    assert refused(wrong.flag, "dangling", default=False) == (400, message)


def test_until_is_a_moment_or_a_duration_before_now():
    assert filters(until=["10m"]).until(NOW) == NOW - 600 * 10**9
    assert filters(until=["1714550000"]).until(NOW) == 1_714_550_000 * 10**9


def test_until_may_be_given_once():
    twice = filters(until=["1m", "2m"])
    assert refused(twice.until, NOW) == (400, "more than one until filter specified")
