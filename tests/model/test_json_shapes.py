"""JSON of the wrong shape is refused in one line."""

from __future__ import annotations

import pytest

from natlab.model.json_shapes import as_list, as_object, as_text, as_texts, parse_json
from natlab.model.refusal import Refusal


@pytest.mark.parametrize(
    ("check", "empty", "good", "bad", "wanted"),
    [
        (as_object, {}, {"a": 1}, [], "an object"),
        (as_list, [], [1], {}, "a list"),
        (as_text, "", "a", 1, "a string"),
        (as_texts, (), ["a"], ["a", 1], "a list of strings"),
    ],
)
def test_a_value_has_its_shape_or_is_null_or_is_refused(check, empty, good, bad, wanted):
    assert check("Key", None) == empty
    assert check("Key", good) == (tuple(good) if check is as_texts else good)
    with pytest.raises(Refusal, match=f"^invalid JSON: Key must be {wanted}$"):
        check("Key", bad)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", "[" * 10_000, b"1" * 10_000])
def test_what_is_no_json_is_refused(data):
    with pytest.raises(Refusal, match=r"^invalid JSON: a\\nfile cannot be read$"):
        parse_json("a\nfile", data)


def test_json_is_read():
    assert parse_json("file", b'{"a": [1]}') == {"a": [1]}
