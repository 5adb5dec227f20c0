"""Paths, versions, queries, bodies and frames: what a request is understood as."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.api.body import RequestBody
from natlab.api.errors import ApiError, status_of
from natlab.api.heads import hijack_head
from natlab.api.http import MULTIPLEXED_STREAM, RAW_STREAM, Query, Request, Routes
from natlab.api.request import MAX_JSON
from natlab.api.streams import STDERR, STDOUT, frame
from natlab.api.target import check_version, parse_target
from natlab.errors import NatlabError, UnsupportedError, UsageError
from natlab.model.refusal import Refusal


def table(*entries: str) -> Routes[None]:
    routes: Routes[None] = Routes()
    for entry in entries:
        method, template = entry.split()
        routes.on(method, template)(lambda _context, _request, entry=entry: entry)
    return routes


def answer(routes: Routes[None], method: str, path: str) -> tuple[str, dict[str, str]]:
    handler, params = routes.find(method, parse_target(path).segments)
    return handler(None, None), params


def refusal(function, *arguments) -> ApiError:
    with pytest.raises(ApiError) as caught:
        function(*arguments)
    return caught.value


def request(body: bytes = b"", **headers: str) -> Request:
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)] + [b""]
    return Request(
        method="POST",
        segments=("x",),
        api_version=None,
        query=Query({}),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=RequestBody(iter(pieces).__next__, expected=bool(body)),
        gone=None,
    )


def as_json(text: str | bytes, content_type: str = "application/json") -> dict:
    body = text.encode() if isinstance(text, str) else text
    return request(body, content_type=content_type).json()


# Routes


def test_a_placeholder_takes_one_segment() -> None:
    routes = table("GET /containers/{id}/json")
    assert answer(routes, "GET", "/v1.51/containers/web/json")[1] == {"id": "web"}
    assert refusal(answer, routes, "GET", "/containers/a/b/json").status == 404
    assert refusal(answer, routes, "GET", "/containers//json").status == 404


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/images/busybox/json", "busybox"),
        ("/images/a/b:1/json", "a/b:1"),
        ("/images/a%2Fb:1/json", "a/b:1"),
        ("/images/reg:5000/a/json/json", "reg:5000/a/json"),
        ("/images/a@sha256:12/json", "a@sha256:12"),
        ("/v1.41/images/%61/json", "a"),
    ],
)
def test_an_image_name_may_have_slashes(path, name) -> None:
    routes = table("GET /images/{name:path}/json", "GET /images/json")
    assert answer(routes, "GET", path) == ("GET /images/{name:path}/json", {"name": name})


@pytest.mark.parametrize("order", [1, -1])
def test_a_literal_wins_whatever_the_order(order) -> None:
    routes = table(*["GET /images/{name}", "GET /images/json"][::order])
    assert answer(routes, "GET", "/images/json")[0] == "GET /images/json"
    assert answer(routes, "GET", "/images/other")[1] == {"name": "other"}


def test_head_falls_back_to_get() -> None:
    routes = table("GET /info", "GET /_ping", "HEAD /_ping")
    assert answer(routes, "HEAD", "/info")[0] == "GET /info"
    assert answer(routes, "HEAD", "/_ping")[0] == "HEAD /_ping"


def test_another_method_is_refused_with_those_that_are_allowed() -> None:
    error = refusal(answer, table("GET /a/{b}", "DELETE /a/{b}"), "PATCH", "/v1.44/a/x")
    assert (error.status, str(error)) == (405, "method not allowed: PATCH /a/x")
    assert error.headers == {"Allow": "DELETE, GET, HEAD"}


def test_an_unknown_path_is_not_found_with_dockers_words() -> None:
    for path in ("/", "//", "/v1.41", "/v1.41/", "/info/", "//info", "/v1.41/v1.41/info", "*", ""):
        error = refusal(answer, table("GET /info"), "GET", path)
        assert (error.status, str(error)) == (404, "page not found")


def test_a_path_is_decoded_once_and_never_normalised() -> None:
    routes = table("GET /containers/{id}/json", "GET /info")
    assert answer(routes, "GET", "/containers/%2e%2e/json")[1] == {"id": ".."}
    assert answer(routes, "GET", "/containers/%252e/json")[1] == {"id": "%2e"}
    assert answer(routes, "GET", "/containers/..%2f..%2finfo/json")[1] == {"id": "../../info"}
    assert refusal(answer, routes, "GET", "/containers/../info").status == 404
    assert refusal(answer, routes, "GET", "/./info").status == 404


@pytest.mark.parametrize("path", ["/a%00b", "/a%", "/a%zz", "/a%2", "/%ff", "/%c0%af"])
def test_a_broken_escape_or_a_nul_is_a_bad_request(path) -> None:
    assert refusal(parse_target, path).status == 400


@given(st.text(alphabet=st.characters(codec="ascii", min_codepoint=33, max_codepoint=126)))
def test_any_target_is_understood_or_refused(text) -> None:
    try:
        target = parse_target("/" + text)
        Query.parse(target.query)
    except ApiError as error:
        assert error.status in {400, 404}  # noqa: PT017 - either outcome is fine


def test_what_is_missing_says_why() -> None:
    routes: Routes[None] = Routes()
    routes.missing("POST", "/swarm/init", "natlab has no swarm: use networks of one host")
    error = refusal(answer, routes, "POST", "/swarm/init")
    assert (error.status, str(error)) == (501, "natlab has no swarm: use networks of one host")


def test_tables_are_joined_and_a_route_is_there_once() -> None:
    routes, more = table("GET /a"), table("GET /b")
    routes.include(more)
    assert answer(routes, "GET", "/b")[0] == "GET /b"
    with pytest.raises(ValueError, match="GET /b is there twice"):
        routes.include(more)


@pytest.mark.parametrize("template", ["info", "/{a:path}/{b:path}"])
def test_a_template_that_cannot_be_told_apart_is_refused(template) -> None:
    with pytest.raises(ValueError, match="route"):
        table(f"GET {template}")


# Versions


def test_the_version_is_taken_off_and_kept() -> None:
    assert parse_target("/v1.41/info").api_version == (1, 41)
    assert parse_target("/info").api_version is None
    assert parse_target("/v1.41/info").segments == parse_target("/info").segments == ("info",)


@pytest.mark.parametrize("version", [None, (1, 24), (1, 44), (1, 51)])
def test_versions_in_the_range_are_spoken(version) -> None:
    check_version(version)


def test_a_version_out_of_range_is_refused_with_dockers_words() -> None:
    old, new = refusal(check_version, (1, 10)), refusal(check_version, (1, 99))
    assert (old.status, new.status) == (400, 400)
    assert str(old) == (
        "client version 1.10 is too old. Minimum supported API version is 1.24, "
        "please upgrade your client to a newer version"
    )
    assert str(new) == "client version 1.99 is too new. Maximum supported API version is 1.51"


def test_a_handler_can_ask_for_the_clients_age() -> None:
    asked = request()
    assert not asked.before(1, 42)
    asked.api_version = (1, 9)
    assert asked.before(1, 42)


# Queries


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        *((no, False) for no in ("", "0", "no", "False", "NONE", " 0 ")),
        *((yes, True) for yes in ("1", "true", "yes", "off", "2")),
    ],
)
def test_a_flag_means_what_docker_takes_it_for(value, meant) -> None:
    assert Query({"all": [value]}).flag("all", default=not meant) is meant


def test_what_is_not_asked_for_has_its_default() -> None:
    query = Query.parse("t=&b")
    assert (query.text("name"), query.text("name", "x")) == ("", "x")
    assert query.flag("name", default=True)
    assert not query.flag("name")
    assert (query.number("name"), query.number("t", 10)) == (None, 10)
    assert query.values("name") == []
    assert "b" in query
    assert "name" not in query


def test_a_query_keeps_every_value_in_order() -> None:
    query = Query.parse("a=1&b=x%26y&a=2+3&h=-1")
    assert query.values("a") == ["1", "2 3"]
    assert (query.text("a"), query.text("b"), query.number("h")) == ("1", "x&y", -1)


def test_a_number_that_is_none_is_refused() -> None:
    error = refusal(Query.parse("t=soon").number, "t")
    assert (error.status, str(error)) == (400, "invalid value for t: 'soon' is no whole number")
    assert refusal(Query.parse("t=" + "9" * 5000).number, "t").status == 400


def test_a_query_that_is_no_text_is_refused() -> None:
    assert refusal(Query.parse, "a=%ff").status == 400


# Bodies


def test_a_json_object_is_read() -> None:
    assert as_json('{"Image": "busybox", "\\ud83d\\ude00": null}') == {
        "Image": "busybox",
        "\U0001f600": None,
    }
    assert as_json("{}", "Application/JSON; charset=utf-8") == {}


def test_no_body_is_an_empty_object() -> None:
    assert request().json() == as_json("") == as_json("null") == {}


@pytest.mark.parametrize("content_type", ["text/plain", "application/jsonx", "application/x-tar"])
def test_another_content_type_is_refused_with_dockers_words(content_type) -> None:
    error = refusal(as_json, "{}", content_type)
    assert (error.status, str(error)) == (
        400,
        f"unsupported Content-Type header ({content_type}): must be 'application/json'",
    )
    assert refusal(request(b"{}").json).status == 400


@pytest.mark.parametrize(
    "text",
    [
        *("{", "{}x", "[]", '"a"', "1", "true", "NaN", '{"a": NaN}', '{"a": -Infinity}'),
        *(b"\xff", b"\0", '{"a": "\\ud800"}', '{"a": ' + "9" * 5000 + "}"),
        *("[" * 100_000, '{"a":' * 100_000),
    ],
)
def test_malformed_json_is_a_bad_request_in_one_line(text) -> None:
    error = refusal(as_json, text)
    assert error.status == 400
    assert str(error).startswith("invalid JSON: ")
    assert len(str(error).splitlines()) == 1


def test_json_may_be_as_large_as_the_limit_and_no_larger() -> None:
    room = MAX_JSON - len('{"a":""}')
    assert len(as_json(json.dumps({"a": "x" * room}, separators=(",", ":")))["a"]) == room
    error = refusal(as_json, json.dumps({"a": "x" * (room + 1)}, separators=(",", ":")))
    assert (error.status, str(error)) == (
        413,
        "request body too large: the limit is 8388608 bytes",
    )


# Errors and frames


def test_an_error_has_the_status_that_docker_gives_it() -> None:
    assert status_of(ApiError(418, "")) == 418
    assert status_of(Refusal("No such container: web", 404)) == 404
    assert status_of(UsageError()) == 400
    assert status_of(UnsupportedError()) == 501
    assert status_of(NatlabError()) == 500


def test_a_frame_has_its_kind_and_length_before_it() -> None:
    assert frame(STDOUT, b"hi\n") == b"\1\0\0\0\0\0\0\3hi\n"
    assert frame(STDERR, b"x" * 258)[:8] == b"\2\0\0\0\0\0\1\2"
    assert frame(STDOUT, b"") == b"\1\0\0\0\0\0\0\0"


@pytest.mark.parametrize(
    ("upgrade", "multiplexed", "first", "kind"),
    [
        (True, True, b"HTTP/1.1 101 UPGRADED", MULTIPLEXED_STREAM),
        (True, False, b"HTTP/1.1 101 UPGRADED", RAW_STREAM),
        (False, True, b"HTTP/1.1 200 OK", RAW_STREAM),
        (False, False, b"HTTP/1.1 200 OK", RAW_STREAM),
    ],
)
def test_a_hijacked_connection_names_its_stream_as_docker_does(
    upgrade, multiplexed, first, kind
) -> None:
    lines = hijack_head(upgrade=upgrade, multiplexed=multiplexed).split(b"\r\n")
    assert lines[0] == first
    assert f"Content-Type: {kind}".encode() in lines
    assert (b"Upgrade: tcp" in lines) is upgrade
    assert lines[-2:] == [b"", b""]
