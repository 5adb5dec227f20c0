"""The grammar of `docker run -v`, `--mount`, `--tmpfs` and `--volumes-from`, as moby has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.mount_modes import is_mode
from natlab.model.mount_order import gather
from natlab.model.mount_points import MountPoint
from natlab.model.mount_specs import (
    parse_bind,
    parse_mount,
    parse_tmpfs,
    parse_volume,
    parse_volumes_from,
)
from natlab.model.refusal import Refusal
from natlab.model.volume_names import check_driver, check_volume_name

ROOT = "invalid specification: destination can't be '/'"


def bind(target, source, mode="", propagation="rprivate", **more):
    return MountPoint(
        "bind", target, source=source, mode=mode, propagation=propagation, made=True, **more
    )


def volume(target, name, mode="z", **more):
    return MountPoint(
        "volume", target, name=name, named=bool(name), mode=mode, **{"copies": True, **more}
    )


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("/srv:/data", bind("/data", "/srv")),
        ("/srv:/data:ro", bind("/data", "/srv", "ro", read_only=True)),
        ("/srv:/data:rw", bind("/data", "/srv", "rw")),
        ("/srv:/data:z", bind("/data", "/srv", "z")),
        ("/srv:/data:ro,Z", bind("/data", "/srv", "ro,Z", read_only=True)),
        ("/srv:/data:rw,rslave", bind("/data", "/srv", "rw,rslave", "rslave")),
        ("/srv:/data:shared", bind("/data", "/srv", "shared", "shared")),
        ("/srv:/data:private", bind("/data", "/srv", "private", "private")),
        ("/srv:/data:cached", bind("/data", "/srv", "cached")),
        ("/srv:/data:consistent,ro", bind("/data", "/srv", "consistent,ro", read_only=True)),
        ("/srv:/data:", bind("/data", "/srv")),
        ("/srv/:/data/", bind("/data", "/srv")),
        ("/srv/../etc:/a//b/./c/..", bind("/a/b", "/etc")),
        ("//srv:/data", bind("/data", "/srv")),
        ("/:/host", bind("/host", "/")),
        ("/a b:/c d", bind("/c d", "/a b")),
        ("data:/data", volume("/data", "data")),
        ("data:/data:ro", volume("/data", "data", "ro", read_only=True)),
        ("data:/data:nocopy", volume("/data", "data", "nocopy", copies=False)),
        (
            "data:/data:ro,nocopy",
            volume("/data", "data", "ro,nocopy", read_only=True, copies=False),
        ),
        ("data:/data:Z", volume("/data", "data", "Z")),
        ("ro:/data", volume("/data", "ro")),
        ("a.b-c_d:/data", volume("/data", "a.b-c_d")),
        # Which names are a volume's is not the grammar's business.
        ("foo/bar:/data", volume("/data", "foo/bar")),
        ("..:/data", volume("/data", "..")),
        ("/only", volume("/only", "")),
    ],
)
def test_what_v_means(text, point):
    assert parse_bind(text) == point


def spec(text, rest=""):
    return f"invalid volume specification: '{text}'{rest}"


def config(kind, rest):
    return f': invalid mount config for type "{kind}": {rest}'


def relative(path):
    return f"invalid mount path: '{path}' mount path must be absolute"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", spec("")),
        (":", spec(":")),
        (":/data", spec(":/data")),
        ("::", spec("::")),
        ("/srv:", spec("/srv:")),
        ("/srv:ro", spec("/srv:ro")),
        ("/srv:rw,z", spec("/srv:rw,z")),
        ("data:nocopy", spec("data:nocopy")),
        ("data:", spec("data:")),
        ("/srv:/data:ro:rw", spec("/srv:/data:ro:rw")),
        ("a:b:c:d:e", spec("a:b:c:d:e")),
        ("/srv:/data:sometimes", "invalid mode: sometimes"),
        ("/srv:/data:RO", "invalid mode: RO"),
        ("/srv:/data:ro,", "invalid mode: ro,"),
        ("/srv:/data:ro,rw", "invalid mode: ro,rw"),
        ("/srv:/data:ro,ro", "invalid mode: ro,ro"),
        ("/srv:/data:z,Z", "invalid mode: z,Z"),
        ("/srv:/data:slave,shared", "invalid mode: slave,shared"),
        ("/srv:/data:cached,delegated", "invalid mode: cached,delegated"),
        ("/srv:/data:/more", "invalid mode: /more"),
        ("/srv:/data: ro", "invalid mode:  ro"),
        ("/srv:data", spec("/srv:data", config("bind", relative("data")))),
        ("/srv:./data:ro", spec("/srv:./data:ro", config("bind", relative("./data")))),
        ("data:data", spec("data:data", config("volume", relative("data")))),
        ("only", spec("only", config("volume", relative("only")))),
        ("/srv:/", spec("/srv:/", config("bind", ROOT))),
        ("/srv://", spec("/srv://", config("bind", ROOT))),
        ("/srv:/a/..", spec("/srv:/a/..", config("bind", ROOT))),
        ("data:/", spec("data:/", config("volume", ROOT))),
        ("/", spec("/", config("volume", ROOT))),
        (
            "/srv::ro",
            spec("/srv::ro", config("bind", "field Target must not be empty")),
        ),
        (
            "/srv:/data:nocopy",
            spec("/srv:/data:nocopy", config("bind", "field VolumeOptions must not be specified")),
        ),
        (
            "data:/data:rslave",
            spec("data:/data:rslave", config("volume", "field BindOptions must not be specified")),
        ),
    ],
)
def test_what_v_refuses(text, message):
    with pytest.raises(Refusal) as caught:
        parse_bind(text)
    assert (caught.value.message, caught.value.status) == (message, 400)


def mount(kind="", **fields):
    return {"Type": kind, "Target": "/data", **fields}


@pytest.mark.parametrize(
    ("item", "point"),
    [
        (mount("bind", Source="/srv"), MountPoint("bind", "/data", "/srv", propagation="rprivate")),
        (
            mount("bind", Source="/srv/.", ReadOnly=True),
            MountPoint("bind", "/data", "/srv", propagation="rprivate", read_only=True),
        ),
        (
            mount("bind", Source="/srv", BindOptions={"Propagation": "rshared"}),
            MountPoint("bind", "/data", "/srv", propagation="rshared"),
        ),
        (
            mount("bind", Source="/srv", BindOptions={"CreateMountpoint": True}),
            MountPoint("bind", "/data", "/srv", propagation="rprivate", made=True),
        ),
        (
            mount("bind", Source="/srv", ReadOnly=True, BindOptions={"ReadOnlyNonRecursive": True}),
            MountPoint("bind", "/data", "/srv", propagation="rprivate", read_only=True, deep=False),
        ),
        (
            mount("bind", Source="/srv", BindOptions={"NonRecursive": True}),
            MountPoint("bind", "/data", "/srv", propagation="rprivate", recursive=False),
        ),
        (mount("volume"), volume("/data", "")),
        (mount("volume", Source="data"), volume("/data", "data")),
        (mount("volume", Source="data", ReadOnly=True), volume("/data", "data", read_only=True)),
        (
            mount("volume", Source="data", VolumeOptions={"NoCopy": True}),
            volume("/data", "data", copies=False),
        ),
        (
            mount("volume", Source="data", VolumeOptions={"Labels": {"a": "b"}}),
            volume("/data", "data", labels={"a": "b"}),
        ),
        (
            mount("volume", Source="data", VolumeOptions={"DriverConfig": {"Name": "nfs"}}),
            volume("/data", "data", driver="nfs"),
        ),
        (
            mount("volume", Source="data", VolumeOptions={"Subpath": "a/b"}),
            volume("/data", "data", subpath="a/b", copies=False),
        ),
        (mount("tmpfs"), MountPoint("tmpfs", "/data")),
        (
            mount("tmpfs", TmpfsOptions={"SizeBytes": 64 << 20, "Mode": 0o1770}),
            MountPoint("tmpfs", "/data", options="mode=1770,size=64m"),
        ),
        (
            mount("tmpfs", TmpfsOptions={"SizeBytes": 1000}, ReadOnly=True),
            MountPoint("tmpfs", "/data", options="ro,size=1000", read_only=True),
        ),
        (
            mount("tmpfs", TmpfsOptions={"Options": [["exec"]]}),
            MountPoint("tmpfs", "/data", options="exec"),
        ),
    ],
)
def test_what_mount_means(item, point):
    assert parse_mount(item) == point


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (mount("bind"), "field Source must not be empty"),
        (mount("bind", Source="srv"), relative("srv")),
        (mount("bind", Source="/srv", Target=""), "field Target must not be empty"),
        (mount("bind", Source="/srv", Target="/"), ROOT),
        (mount("bind", Source="/srv", Target="data"), relative("data")),
        (
            mount("bind", Source="/srv", BindOptions={"Propagation": "never"}),
            "invalid propagation mode: never",
        ),
        (
            mount("bind", Source="/srv", VolumeOptions={}),
            "field VolumeOptions must not be specified",
        ),
        (mount("bind", Source="/srv", TmpfsOptions={}), "field TmpfsOptions must not be specified"),
        (mount("volume", Source="x", BindOptions={}), "field BindOptions must not be specified"),
        (mount("volume", Target="./x"), relative("./x")),
        (
            mount("volume", VolumeOptions={"Subpath": "a"}),
            "must not set Subpath when using anonymous volumes",
        ),
        (
            mount("volume", Source="x", VolumeOptions={"Subpath": "../a"}),
            "subpath must be a relative path within the volume",
        ),
        (
            mount("volume", Source="x", VolumeOptions={"Subpath": "/a"}),
            "subpath must be a relative path within the volume",
        ),
        (mount("tmpfs", Source="/srv"), "field Source must not be specified"),
        (mount("tmpfs", VolumeOptions={}), "field VolumeOptions must not be specified"),
        (mount("tmpfs", TmpfsOptions={"Options": [["uid", "1"]]}), "invalid option: uid"),
        (mount("tmpfs", TmpfsOptions={"Options": [[]]}), "invalid option array length"),
        (mount("", Source="/srv"), "mount type unknown"),
        (mount("Volume"), "mount type unknown"),
    ],
)
def test_what_mount_refuses(item, message):
    with pytest.raises(Refusal) as caught:
        parse_mount(item)
    kind = item["Type"]
    assert caught.value.message == f'invalid mount config for type "{kind}": {message}'
    assert caught.value.status == 400


@pytest.mark.parametrize("kind", ["image", "npipe", "cluster"])
def test_a_kind_that_natlab_has_not_is_named(kind):
    with pytest.raises(Refusal, match=f"natlab has no mounts of type {kind}: bind, ") as caught:
        parse_mount(mount(kind, Source="busybox"))
    assert caught.value.status == 501


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("web", ("web", False)),
        ("web:", ("web", False)),
        ("web:ro", ("web", True)),
        ("web:rw", ("web", False)),
        ("web:z,ro", ("web", True)),
    ],
)
def test_what_volumes_from_means(text, found):
    assert parse_volumes_from(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "volumes-from specification cannot be an empty string"),
        ("web:what", "invalid mode: what"),
        ("web:nocopy", "invalid mode: nocopy"),
        ("web:rslave", "invalid mode: rslave"),
        ("web:ro:rw", "invalid mode: ro:rw"),
    ],
)
def test_what_volumes_from_refuses(text, message):
    with pytest.raises(Refusal) as caught:
        parse_volumes_from(text)
    assert caught.value.message == message


def test_a_tmpfs_is_not_shown_and_may_be_read_only():
    assert parse_tmpfs("/run/", "size=1m,ro") == MountPoint(
        "tmpfs", "/run", options="size=1m,ro", read_only=True, shown=False
    )
    with pytest.raises(Refusal, match="destination can't be '/'"):
        parse_tmpfs("/", "")
    with pytest.raises(Refusal, match="'run' mount path must be absolute"):
        parse_tmpfs("run", "")


def test_what_tmpfs_takes_and_refuses():
    options = "defaults,noatime,size=1m,mode=700,uid=0,nr_inodes=5,exec"
    assert parse_tmpfs("/run", options).options == options
    for word in ("foo", "foo=1", "size", "", "RO"):
        with pytest.raises(Refusal) as caught:
            parse_tmpfs("/run", f"ro,{word}")
        shown = " ".join(f'"{part}"' for part in word.split("="))
        assert caught.value.message == f"invalid tmpfs option [{shown}]"


def test_a_volume_without_a_name_is_nobodys():
    assert parse_volume("/data/") == MountPoint("volume", "/data", copies=True)
    with pytest.raises(Refusal, match="invalid volume specification: 'data': invalid mount config"):
        parse_volume("data")


# Together


def targets(points):
    return [point.target for point in points]


def test_parents_are_mounted_before_what_lies_in_them():
    points = gather({"Binds": ["/a:/x/y/z", "b1:/x"], "Tmpfs": {"/x/y": ""}}, ["/w/v", "/u"])
    assert targets(points) == ["/u", "/x", "/w/v", "/x/y", "/x/y/z"]


def test_what_comes_later_overrides_what_another_container_lends():
    lent = [volume("/a", "one"), volume("/b", "one"), volume("/c", "one"), volume("/d", "one")]
    wishes = {
        "Binds": ["two:/b"],
        "Mounts": [{"Type": "volume", "Source": "three", "Target": "/c"}],
    }
    names = {p.target: p.name for p in gather(wishes, ["/a", "/b", "/e"], lent)}
    assert names == {"/a": "one", "/b": "two", "/c": "three", "/d": "one", "/e": ""}


def test_of_two_that_lend_the_same_place_the_later_one_counts():
    lent = [volume("/a", "one"), volume("/a", "two")]
    assert [p.name for p in gather({}, [], lent)] == ["two"]


def test_an_images_volume_gives_way_to_whatever_is_there():
    for wishes in ({"Binds": ["/srv:/data"]}, {"Tmpfs": {"/data": ""}}):
        (point,) = gather(wishes, ["/data"])
        assert point.kind != "volume"


@pytest.mark.parametrize(
    "wishes",
    [
        {"Binds": ["/a:/x", "/b:/x"]},
        {"Binds": ["/a:/x", "/b:/x/"]},
        {"Binds": ["/a:/x"], "Tmpfs": {"/x": ""}},
        {"Binds": ["/a:/x"], "Mounts": [{"Type": "tmpfs", "Target": "/x"}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/x"}, {"Type": "volume", "Target": "/x"}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/x"}], "Tmpfs": {"/x": ""}},
    ],
)
def test_two_mounts_at_one_place_are_refused(wishes):
    with pytest.raises(Refusal) as caught:
        gather(wishes, [])
    assert (caught.value.message, caught.value.status) == ("Duplicate mount point: /x", 400)


def test_what_is_lent_is_never_copied_into_and_never_more_writable():
    point = volume("/a", "one", "ro", read_only=True)
    assert point.lent(read_only=False) == volume("/a", "one", "", read_only=True, copies=False)
    assert volume("/a", "one").lent(read_only=True).read_only


# Names and drivers


@pytest.mark.parametrize("name", ["ab", "A1", "0.-_", "a" * 232])
def test_a_volumes_name_may_be(name):
    assert check_volume_name(name) == name


@pytest.mark.parametrize("name", ["..", ".a", "-a", "a/b", "../x", "a b", "a\nb", "/abs", "ä1"])
def test_a_volumes_name_that_would_lead_elsewhere_is_refused(name):
    with pytest.raises(Refusal, match="includes invalid characters for a local volume name"):
        check_volume_name(name)


def test_a_volumes_name_has_two_characters_or_more_and_not_too_many():
    with pytest.raises(Refusal, match="create x: volume name is too short, names should be at"):
        check_volume_name("x")
    with pytest.raises(Refusal, match="has 233 characters: give it at most 232"):
        check_volume_name("a" * 233)


@pytest.mark.parametrize(
    ("driver", "options", "message", "status"),
    [
        ("nfs", {}, 'create x1: error looking up volume plugin nfs: plugin "nfs" not found', 404),
        ("local", {"foo": "bar"}, 'create x1: invalid option: "foo"', 400),
        ("", {"type": "tmpfs"}, "natlab's volumes are directories and take no driver options", 501),
    ],
)
def test_a_driver_that_natlab_has_not_is_refused(driver, options, message, status):
    with pytest.raises(Refusal) as caught:
        check_driver("x1", driver, options)
    assert caught.value.message.startswith(message)
    assert caught.value.status == status
    check_driver("x1", "local", {})


# Whatever is typed


@given(st.text(alphabet="/:.roz,ab", max_size=20))
def test_any_text_is_a_mount_or_a_clear_refusal(text):
    point, error = tried(text)
    if point is None:
        assert error.status == 400
        assert error.message.startswith(("invalid volume specification: ", "invalid mode: "))
        return
    assert point.target.startswith("/")
    assert ".." not in point.target.split("/")
    assert point.target != "/"
    assert (point.kind == "bind") == (text.startswith("/") and ":" in text)


def tried(text):
    try:
        return parse_bind(text), None
    except Refusal as error:
        return None, error


@given(st.lists(st.sampled_from(["ro", "rw", "z", "Z", "nocopy", "shared", "slave", "cached"])))
def test_a_mode_has_one_word_of_each_kind(words):
    kinds = {"ro": 1, "rw": 1, "z": 2, "Z": 2, "nocopy": 3, "shared": 4, "slave": 4, "cached": 5}
    found = [kinds[word] for word in words]
    assert is_mode(",".join(words)) == (len(found) == len(set(found)))
