"""Docker's tables: columns, templates, sizes, and the lines of its lists."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model.docker_image_rows import DISK_USAGE, IMAGES, disk_rows, history_row, image_rows
from natlab.model.docker_rows import CONTAINERS, container_row, go_time, natural, network_row
from natlab.model.docker_table import Listing
from natlab.model.docker_tabs import TOP, align
from natlab.model.go_quote import bytes_size, ellipsis, human_size, indented, quote, unquote
from natlab.model.go_template_run import Row

NOW = 1_700_000_000 * 10**9
CONTAINER = {
    "Id": "ab" * 32,
    "Names": ["/web", "/db/other"],
    "Image": "busybox",
    "ImageID": f"sha256:{'cd' * 32}",
    "Command": "sh -c 'echo \"one\" two three'",
    "Created": 1_700_000_000 - 90,
    "Ports": [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 53, "Type": "udp"},
    ],
    "Labels": {"b": "2", "a.c-d": "1"},
    "State": "running",
    "Status": "Up 2 minutes",
    "NetworkSettings": {"Networks": {"two": {}, "one": {}}},
    "Mounts": [{"Type": "bind", "Source": "/a/very/long/path/indeed"}],
}


def test_columns_are_as_wide_as_their_widest_cell():
    assert align("A\tBB\tC\nlonger than ten\tb\tc\n") == (
        "A                 BB        C\nlonger than ten   b         c\n"
    )
    assert align("UID\tCMD\n0\tsh\n", *TOP) == "UID                 CMD\n0                   sh\n"
    assert align("a\tb\nalone\nlonger cell\tb") == "a         b\nalone\nlonger cell   b"
    assert align("") == ""


@given(st.lists(st.lists(st.text(alphabet="ab é", max_size=15), min_size=1, max_size=4)))
def test_cells_keep_their_order_and_begin_in_line(rows):
    lines = align("\n".join("\t".join(row) for row in rows)).split("\n")
    for row, line in zip(rows, lines, strict=False):
        assert line.replace(" ", "") == "".join(row).replace(" ", "")
    if rows and len({len(row) for row in rows}) == 1:
        assert len({len(line) - len(row[-1]) for row, line in zip(rows, lines, strict=True)}) == 1


def test_a_container_is_listed_as_docker_lists_it():
    row = container_row(CONTAINER, NOW)
    assert CONTAINERS.text([row]) == (
        "CONTAINER ID   IMAGE     COMMAND                    CREATED              "
        "STATUS         PORTS                          NAMES\n"
        'abababababab   busybox   "sh -c \'echo \\"one\\" t…"   About a minute ago   '
        "Up 2 minutes   53/udp, 0.0.0.0:8080->80/tcp   web\n"
    )
    assert CONTAINERS.text([row], quiet=True) == "abababababab\n"
    form = "table {{.Labels}}\\t{{.Label `a.c-d`}}\\t{{.Networks}}\\t{{.Mounts}}"
    assert CONTAINERS.text([row], form) == (
        "LABELS        c d       NETWORKS   MOUNTS\na.c-d=1,b=2   1         one,two    "
        "/a/very/long/p…\n"
    )
    whole = container_row(CONTAINER, NOW, trunc=False)
    assert whole["ID"] == "ab" * 32
    assert whole["Names"] == "web,db/other"
    assert whole["Command"] == quote(CONTAINER["Command"])
    assert json.loads(CONTAINERS.text([row], "json"))["RunningFor"] == "About a minute ago"


def test_an_image_without_a_name_is_shown_by_its_id():
    by_id = {**CONTAINER, "Image": CONTAINER["ImageID"]}
    assert container_row(by_id, NOW)["Image"] == "cd" * 6
    assert container_row({**CONTAINER, "Image": ""}, NOW)["Image"] == "<no image>"
    sized = {**CONTAINER, "SizeRw": 1500, "SizeRootFs": 2_000_000}
    assert container_row(sized, NOW)["Size"] == "1.5kB (virtual 2MB)"


def test_an_image_has_a_line_for_each_of_its_names():
    found = {
        "Id": f"sha256:{'ef' * 32}",
        "RepoTags": ["a:1", "localhost:5000/b:2"],
        "RepoDigests": ["a@sha256:1", "c@sha256:2"],
        "Created": 1_700_000_000 - 7200,
        "Size": 12_345_678,
        "SharedSize": -1,
        "Containers": -1,
    }
    names = [(r["Repository"], r["Tag"], r["Digest"]) for r in image_rows(found, NOW)]
    assert names == [
        ("a", "1", "<none>"),
        ("localhost:5000/b", "2", "<none>"),
        ("c", "<none>", "<none>"),
    ]
    names = [(r["Tag"], r["Digest"]) for r in image_rows(found, NOW, digests=True)]
    assert names == [("1", "sha256:1"), ("2", "<none>"), ("<none>", "sha256:2")]
    bare = {**found, "RepoTags": [], "RepoDigests": []}
    assert IMAGES.text(list(image_rows(bare, NOW))).splitlines()[1] == (
        "<none>       <none>    efefefefefef   2 hours ago   12.3MB"
    )


def test_networks_and_history_and_disk_usage_are_listed():
    found = {
        "Id": "12" * 32,
        "Name": "n",
        "Driver": "bridge",
        "Scope": "local",
        "EnableIPv4": True,
        "Created": "2023-11-14T22:13:20.5Z",
        "Labels": {},
    }
    row = network_row(found)
    assert (row["ID"], row["IPv4"], row["IPv6"]) == ("12" * 6, "true", "false")
    assert row["CreatedAt"] == "2023-11-14 22:13:20.5 +0000 UTC"
    step = {"Id": "<missing>", "Created": 1_700_000_000, "CreatedBy": "x\t" * 40, "Size": 1500}
    assert history_row(step, NOW)["CreatedBy"] == "x " * 22 + "…"
    assert history_row(step, NOW, human=False)["Size"] == "1500"
    assert history_row(step, NOW, human=False)["CreatedSince"] == "2023-11-14T22:13:20Z"
    usage = {
        "LayersSize": 3904,
        "Images": [{"Size": 3904, "SharedSize": -1, "Containers": 1}],
        "Containers": [
            {"State": "running", "SizeRw": 1000},
            {"State": "exited", "SizeRw": 3000},
        ],
    }
    assert DISK_USAGE.text(disk_rows(usage)).splitlines()[1:3] == [
        "Images          1         1         3.904kB   3.904kB (100%)",
        "Containers      2         1         4kB       3kB (75%)",
    ]


def test_a_wrong_template_of_a_list_is_told():
    listing = Listing("{{.A}}", {"A": "TITLE"}, "{{.A}}")
    assert listing.text([]) == "TITLE\n"
    assert listing.text([], "{{.A}}") == ""
    assert listing.text([Row(A="x")], "table") == "TITLE\nx\n"
    assert listing.text([Row(A="x")], "{{.A}}\\n{{.A}}") == "x\nx\n"
    with pytest.raises(UsageError, match="failed to parse template: template: :1: unclosed"):
        listing.text([], "{{.A")
    with pytest.raises(UsageError, match="failed to execute template: template: :1:2: executing"):
        listing.text([Row(A="x")], "{{.B}}")


@pytest.mark.parametrize(
    ("size", "decimal", "binary"),
    [
        (0, "0B", "0B"),
        (999, "999B", "999B"),
        (1000, "1kB", "1000B"),
        (1024, "1.024kB", "1KiB"),
        (3904, "3.904kB", "3.812KiB"),
        (25_277_640_704, "25.28GB", "23.54GiB"),
    ],
)
def test_sizes_are_said_as_docker_says_them(size, decimal, binary):
    assert (human_size(size), bytes_size(size)) == (decimal, binary)


def test_text_is_quoted_and_cut_as_go_does():
    assert quote('a"b\\c\n\t\x01é\u200b') == '"a\\"b\\\\c\\n\\t\\x01é\\u200b"'
    assert unquote(r'"a\"b\n"') == 'a"b\n'
    assert unquote("`a\\n`") == "a\\n"
    with pytest.raises(UsageError):
        unquote(r'"\q"')
    assert [ellipsis("abcdef", width) for width in (6, 5, 1)] == ["abcdef", "abcd…", "a"]
    assert sorted(["n10", "n2", "n"], key=natural) == ["n", "n2", "n10"]
    assert go_time(NOW) == "2023-11-14 22:13:20 +0000 UTC"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
)


@given(_JSON)
def test_json_is_laid_out_as_indent_does(value):
    assert indented(json.dumps(value)) == json.dumps(value, indent=4)
    assert indented(json.dumps(value, indent=2)) == json.dumps(value, indent=4)
