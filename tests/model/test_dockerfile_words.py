"""Words of a Dockerfile are split, unquoted and filled in as the builder does it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.dockerfile_words import expand, instructions, json_words, split_words
from natlab.model.refusal import Refusal

ENV = {"A": "one", "EMPTY": "", "LONG_1": "x y"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CMD a", ["CMD a"]),
        ("  CMD a  \n\n# no\nUSER b", ["CMD a", "USER b"]),
        ("ENV A=1 \\\n  B=2 \\\n# between\n\n  C=3", ["ENV A=1   B=2   C=3"]),
        ("CMD a \\", ["CMD a"]),
        ("", []),
    ],
)
def test_lines_are_joined_and_comments_dropped(text, found):
    assert list(instructions(text)) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b  c", ("a", "b", "c")),
        ("a=\"1 2\" b='3 4' c=5\\ 6", ('a="1 2"', "b='3 4'", "c=5\\ 6")),
        ("a='it\\'", ("a='it\\'",)),
        ('a="x\\" y" b', ('a="x\\" y"', "b")),
        ("", ()),
        ("a\\", ("a\\",)),
    ],
)
def test_words_end_at_white_space_outside_quotes(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("a", "a"),
        ("$A", "one"),
        ("${A}", "one"),
        ("$Ab", ""),
        ("${A}b", "oneb"),
        ("$LONG_1", "x y"),
        ("${NOPE:-$A}", "one"),
        ("${EMPTY:-x}", "x"),
        ("${A:-x}", "one"),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ('"$A"', "one"),
        ("'$A'", "$A"),
        ("\\$A", "$A"),
        ("'\\$A'", "\\$A"),
        ('"\\$A \\" \\n"', '$A " \\n'),
        ("a'b'\"c\"", "abc"),
        ("$", "$"),
        ("5$", "5$"),
        ("$1", "$1"),
        ("'it\"s'", 'it"s'),
    ],
)
def test_a_word_is_unquoted_and_filled_in(word, value):
    assert expand(word, ENV) == value


@pytest.mark.parametrize("word", ["'a", '"a', "${", "${}", "${A", "${A!x}"])
def test_a_word_that_does_not_end_is_refused(word):
    with pytest.raises(Refusal, match="failed to process"):
        expand(word, ENV)


@given(st.text(max_size=20))
def test_a_quoted_text_comes_out_as_it_was(text):
    quoted = '"' + "".join(f"\\{c}" if c in '"$\\' else c for c in text) + '"'
    assert expand(quoted, ENV) == text
    assert split_words(quoted) == (quoted,)


@pytest.mark.parametrize(
    ("text", "words"), [('["a", "b"]', ("a", "b")), ("[]", ()), ("a", None), ("[a]", None)]
)
def test_a_json_list_is_read_and_all_else_is_none(text, words):
    assert json_words(text) == words
