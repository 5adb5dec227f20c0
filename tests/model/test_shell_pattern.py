"""Patterns of the shell fit what Go's path.Match fits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.refusal import Refusal
from natlab.model.shell_pattern import compile_pattern


def outcome(call, *args):
    """Give what came out, the refusal if it was refused."""
    try:
        return call(*args)
    except Refusal as refusal:
        return refusal


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*c", "abc", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a?b", "a/b", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("[a.]", ".", True),
        ("a.c", "abc", False),
        ("", "", True),
        ("a]", "a]", True),
    ],
)
def test_a_pattern_fits_the_whole_text_or_not(pattern, text, fits):
    assert bool(compile_pattern(pattern).fullmatch(text)) is fits


@pytest.mark.parametrize("pattern", ["[", "[]a]", "[^]", "a[", "[a", "a\\", "[z-a]"])
def test_a_malformed_pattern_is_refused(pattern):
    with pytest.raises(Refusal, match="syntax error in pattern"):
        compile_pattern(pattern)


@given(st.text(alphabet="ab[]^-*?\\/|&~.", max_size=10))
def test_any_pattern_is_read_or_refused(pattern):
    result = outcome(compile_pattern, pattern)
    assert isinstance(result, re.Pattern) or str(result) == "syntax error in pattern"


@given(st.text(max_size=20))
def test_a_text_without_signs_fits_itself(text):
    plain = "".join(f"\\{c}" if c in "*?[\\" else c for c in text)
    assert compile_pattern(plain).fullmatch(text)
