"""Signals are read as Docker reads them."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.refusal import Refusal
from natlab.model.signals import parse_signal

NAMED = sorted(s for s in signal.Signals if s.name not in ("SIGRTMIN", "SIGRTMAX"))


def outcome(call, *args):
    """Give what came out, the refusal if it was refused."""
    try:
        return call(*args)
    except Refusal as refusal:
        return refusal


@pytest.mark.parametrize("number", NAMED, ids=str)
def test_a_signal_has_the_number_that_this_kernel_gives_it(number):
    assert parse_signal(number.name) == number
    assert parse_signal(number.name.removeprefix("SIG").lower()) == number
    assert parse_signal(str(int(number))) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("rtmin", 34),
        ("RTMIN+3", 37),
        ("SIGRTMIN+15", 49),
        ("rtmax-14", 50),
        ("SigRtMax", 64),
        ("34", 34),
        ("+9", 9),
        ("015", 15),
    ],
)
def test_real_time_signals_and_odd_numbers_are_taken(text, number):
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "foo", "SIG", "SIGSIGTERM", "RTMIN+16", "9.0", " 9"])
def test_what_is_no_signal_is_refused_in_dockers_words(text):
    with pytest.raises(Refusal) as refusal:
        parse_signal(text)
    assert str(refusal.value) == f"invalid signal: {text}"
    assert refusal.value.status == 400


@pytest.mark.parametrize("text", ["-9", "32", "33", "65", "99999"])
def test_a_number_that_linux_does_not_have_is_refused(text):
    with pytest.raises(Refusal) as refusal:
        parse_signal(text)
    assert str(refusal.value) == f"the linux daemon does not support signal {text}"


@given(st.text(max_size=12))
def test_any_text_is_a_signal_or_refused(text):
    result = outcome(parse_signal, text)
    assert "\n" not in str(result) if isinstance(result, Refusal) else 1 <= result <= 64
