"""What `natlab docker` makes of `-v` and `--mount`: the words and answers of Docker's client 28."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model.docker_binds import volumes_and_binds
from natlab.model.docker_mounts import mount
from natlab.model.go_csv import fields

HERE = os.getcwd()  # noqa: PTH109 - what the client calls it


@pytest.mark.parametrize(
    ("text", "volumes", "binds"),
    [
        ("/data", ["/data"], []),
        ("data", ["data"], []),
        ("a", ["a"], []),
        ("/a:/b", [], ["/a:/b"]),
        ("data:/b:ro", [], ["data:/b:ro"]),
        ("~/a:/b", [], ["~/a:/b"]),
        (".:/b", [], [f"{HERE}:/b"]),
        ("./a:/b:z", [], [f"{HERE}/a:/b:z"]),
        ("..:/b", [], [f"{Path(HERE).parent}:/b"]),
        (".hidden:/b", [], [f"{HERE}/.hidden:/b"]),
        ("/a:b", [], ["/a:b"]),
        ("/a:/b:what,ever", [], ["/a:/b:what,ever"]),
        ("c:/x", ["c:/x"], []),
        ("c:/x:/y", [], ["c:/x:/y"]),
    ],
)
def test_what_the_client_makes_of_v(text, volumes, binds):
    assert volumes_and_binds([text]) == (volumes, binds)
    assert volumes_and_binds([text, text]) == (volumes, binds), "twice is once"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid empty volume spec"),
        (":/a", "invalid spec: :/a: empty section between colons"),
        ("/a:", "invalid spec: /a:: empty section between colons"),
        ("/a::", "invalid spec: /a::: empty section between colons"),
        ("/a::/b", "invalid spec: /a::/b: empty section between colons"),
        ("/a:/b:", "invalid spec: /a:/b:: empty section between colons"),
        ("/a:/b:ro:z", "invalid spec: /a:/b:ro:z: too many colons"),
    ],
)
def test_what_the_client_refuses_of_v(text, message):
    with pytest.raises(UsageError) as caught:
        volumes_and_binds([text])
    assert str(caught.value) == message


def made(kind, **more):
    return {"Type": kind, "Target": "/x", **more}


def options(**more):
    return {"Labels": {}, "DriverConfig": {}, **more}


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("dst=/x", made("volume")),
        ("DST=/x,Source=data", made("volume", Source="data")),
        ("type=BIND,src=/a,target=/x", made("bind", Source="/a")),
        ("type=bind,src=./a,destination=/x", made("bind", Source=f"{HERE}/a")),
        ("type=bind,src=.,dst=/x", made("bind", Source=HERE)),
        ("type=bind,src=a,dst=/x", made("bind", Source="a")),
        ('type=bind,"src=/a,b",dst=/x', made("bind", Source="/a,b")),
        ("dst=/x,ro", made("volume", ReadOnly=True)),
        ("dst=/x,readonly=T", made("volume", ReadOnly=True)),
        ("dst=/x,readonly=0", made("volume", ReadOnly=False)),
        ("dst=/x,consistency=Cached", made("volume", Consistency="cached")),
        ("dst=/x,volume-nocopy", made("volume", VolumeOptions=options(NoCopy=True))),
        (
            "dst=/x,volume-label=a=b,volume-label=c",
            made("volume", VolumeOptions=options(Labels={"a": "b", "c": ""})),
        ),
        (
            "dst=/x,volume-driver=d,volume-opt=a=b=c",
            made(
                "volume",
                VolumeOptions=options(DriverConfig={"Name": "d", "Options": {"a": "b=c"}}),
            ),
        ),
        ("dst=/x,volume-subpath=a", made("volume", VolumeOptions=options(Subpath="a"))),
        (
            "type=bind,src=/a,dst=/x,bind-recursive=disabled",
            made("bind", Source="/a", BindOptions={"NonRecursive": True}),
        ),
        (
            "type=bind,src=/a,dst=/x,ro,bind-recursive=writable",
            made("bind", Source="/a", ReadOnly=True, BindOptions={"ReadOnlyNonRecursive": True}),
        ),
        (
            "type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1777",
            made("tmpfs", TmpfsOptions={"SizeBytes": 1 << 20, "Mode": 0o1777}),
        ),
    ],
)
def test_what_the_client_makes_of_mount(text, item):
    assert mount(text) == item


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "EOF"),
        ("type=", "type is required"),
        ("type=bind,src=/a", "target is required"),
        ("dst", "invalid field 'dst' must be a key=value pair"),
        (",dst=/x", "invalid field '' must be a key=value pair"),
        ("dst=/x,WHAT=ever", "unexpected key 'what' in 'WHAT=ever'"),
        ("dst=/x,volume-what=ever", "unexpected key 'volume-what' in 'volume-what=ever'"),
        ("dst=/x,ro=perhaps", "invalid value for ro: perhaps"),
        ("dst=/x,readonly=", "invalid value for readonly: "),
        ("dst=/x,volume-nocopy=perhaps", "invalid value for volume-nocopy: perhaps"),
        ("type=tmpfs,dst=/x,tmpfs-size=much", "invalid value for tmpfs-size: much"),
        ("type=tmpfs,dst=/x,tmpfs-mode=999", "invalid value for tmpfs-mode: 999"),
        (
            "type=bind,src=/a,dst=/x,volume-nocopy",
            "cannot mix 'volume-*' options with mount type 'bind'",
        ),
        ("dst=/x,bind-propagation=x", "cannot mix 'bind-*' options with mount type 'volume'"),
        ("dst=/x,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
        (
            "type=bind,src=/a,dst=/x,bind-recursive=perhaps",
            (
                'invalid value for bind-recursive: perhaps (must be "enabled", "disabled",'
                ' "writable", or "readonly")'
            ),
        ),
        (
            "type=bind,src=/a,dst=/x,bind-recursive=writable",
            "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction",
        ),
        (
            "type=bind,src=/a,dst=/x,ro,bind-recursive=readonly",
            (
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be"
                " specified in conjunction"
            ),
        ),
        ('"type=bind', 'parse error on line 1, column 11: extraneous or missing " in quoted-field'),
        ('a"b', 'parse error on line 1, column 2: bare " in non-quoted-field'),
    ],
)
def test_what_the_client_refuses_of_mount(text, message):
    with pytest.raises(UsageError) as caught:
        mount(text)
    assert str(caught.value) == message


@given(st.lists(st.text(alphabet='a",=', max_size=5), min_size=1, max_size=4))
def test_fields_that_are_quoted_are_read_as_they_were(values):
    quoted = ['"' + value.replace('"', '""') + '"' for value in values]
    assert fields(",".join(quoted)) == values
