"""References are read and shown as Docker does, and lead to the image that Docker would take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.references import Reference, find_image, parse_reference
from natlab.model.refusal import Refusal

A, B, C = "sha256:" + "a" * 64, "sha256:" + "ab" * 32, "sha256:" + "c" * 64
SOME = "sha256:" + "0123456789abcdef" * 4
STORED = {
    A: ["alpine:latest", "localhost:5000/x:1"],
    B: ["team/app:v0.0.1", f"team/app@{SOME}"],
    C: ["cafe:latest"],
}

name = st.from_regex(r"[a-z0-9]{1,5}([._-][a-z0-9]{1,5}){0,3}", fullmatch=True)
tag = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True)
domain = st.sampled_from(["", "docker.io/", "localhost:5000/", "example.com/", "[::1]:80/"])


def outcome(call, *args):
    """Give what came out, the refusal if it was refused."""
    try:
        return call(*args)
    except Refusal as refusal:
        return refusal


def refused(call, *args):
    with pytest.raises(Refusal) as refusal:
        call(*args)
    return refusal.value.status, str(refusal.value)


@pytest.mark.parametrize(
    ("text", "domain", "path", "shown"),
    [
        ("alpine", "docker.io", "library/alpine", "alpine:latest"),
        ("alpine:3.20", "docker.io", "library/alpine", "alpine:3.20"),
        ("docker.io/alpine", "docker.io", "library/alpine", "alpine:latest"),
        ("docker.io/library/alpine", "docker.io", "library/alpine", "alpine:latest"),
        ("index.docker.io/library/alpine", "docker.io", "library/alpine", "alpine:latest"),
        ("library/a/b", "docker.io", "library/a/b", "library/a/b:latest"),
        ("team/app", "docker.io", "team/app", "team/app:latest"),
        ("localhost/app", "localhost", "app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000", "app", "localhost:5000/app:1"),
        ("ghcr.io/team/app", "ghcr.io", "team/app", "ghcr.io/team/app:latest"),
        ("Host/app", "Host", "app", "Host/app:latest"),
        ("myhost:5000", "docker.io", "library/myhost", "myhost:5000"),
        (f"alpine@{SOME}", "docker.io", "library/alpine", f"alpine@{SOME}"),
        (f"alpine:3@{SOME}", "docker.io", "library/alpine", f"alpine:3@{SOME}"),
        ("a__b---c.d", "docker.io", "library/a__b---c.d", "a__b---c.d:latest"),
    ],
)
def test_a_reference_is_written_out_and_shown_in_its_familiar_form(text, domain, path, shown):
    reference = parse_reference(text)
    assert (reference.domain, reference.path) == (domain, path)
    assert reference.full_name == f"{domain}/{path}"
    assert str(reference.tagged) == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        (" ", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a:", "invalid reference format"),
        (":a", "invalid reference format"),
        ("a:-b", "invalid reference format"),
        ("a@sha256:abc", "invalid reference format"),
        ("https://example.com/a", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("a:ä", "invalid reference format"),
        (
            "Foo",
            "invalid reference format: repository name (library/Foo) must be lowercase",
        ),
        (
            "team/Foo:1",
            "invalid reference format: repository name (team/Foo) must be lowercase",
        ),
        (
            "a" * 64,
            f"invalid repository name ({'a' * 64}), cannot specify 64-byte hexadecimal strings",
        ),
        ("a" * 250, "repository name must not be more than 255 characters"),
        (f"a@sha256:{'0' * 40}", "invalid checksum digest length"),
        (f"a@sha256:{'A' * 64}", "invalid checksum digest format"),
        (f"a@md5:{'0' * 32}", "unsupported digest algorithm"),
    ],
)
def test_a_malformed_reference_is_refused_in_dockers_words(text, message):
    assert refused(parse_reference, text) == (400, message)


@given(domain, name, st.none() | tag)
def test_what_is_shown_is_read_as_the_same_reference(domain, name, tag):
    text = f"{domain}{name}" + (f":{tag}" if tag else "")
    reference = parse_reference(text)
    assert parse_reference(str(reference)) == reference
    assert reference.tagged == reference.tagged.tagged


@given(st.text(max_size=30))
def test_any_text_is_a_reference_or_refused_with_400(text):
    result = outcome(parse_reference, text)
    assert isinstance(result, Reference) or result.status == 400


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("alpine", A),
        ("docker.io/library/alpine:latest", A),
        ("localhost:5000/x:1", A),
        ("team/app:v0.0.1", B),
        (f"team/app@{SOME}", B),
        (f"team/app:v9@{SOME}", B),
        (A, A),
        ("a" * 64, A),
        ("aa", A),
        ("sha256:aa", A),
        ("ababab", B),
        ("sha256:ababab", B),
        ("cafe", C),
    ],
)
def test_an_image_is_found_by_its_name_its_id_and_the_beginning_of_it(text, found):
    assert find_image(text, STORED) == found


def test_a_name_comes_before_an_id_that_begins_alike():
    assert find_image("cafe", {"sha256:cafe" + "0" * 60: [], C: ["cafe:latest"]}) == C


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nope", "nope:latest"),
        ("docker.io/library/nope:1", "nope:1"),
        ("team/app", "team/app:latest"),
        ("a", "a:latest"),
        ("sha256:a", "sha256:a"),
        ("d" * 64, f"sha256:{'d' * 64}"),
        (f"alpine@{SOME}", f"alpine@{SOME}"),
    ],
)
def test_what_no_image_or_several_images_answer_to_is_not_found(text, shown):
    assert refused(find_image, text, STORED) == (404, f"No such image: {shown}")


def test_a_malformed_name_of_an_image_is_refused_rather_than_not_found():
    assert refused(find_image, "a b", STORED) == (400, "invalid reference format")
