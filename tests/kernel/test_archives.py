"""Archives in and out of images and containers, and that nothing in them leads anywhere else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import signal
import stat
import tarfile
from pathlib import Path

import pytest

from natlab.errors import NatlabError
from natlab.kernel import archives, files, overlays
from natlab.kernel.archives import Change, RootRef
from natlab.kernel.confine import Mount
from natlab.kernel.wire import Fd
from natlab.model.refusal import Refusal


def entry(name, data=None, **fields):
    """A member of an archive; a directory if there is no data and no other kind."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.REGTYPE if data is not None else tarfile.DIRTYPE
    info.mode = 0o644 if data is not None else 0o755
    info.size = len(data or b"")
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar(*entries):
    """An archive of those members, as bytes."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, None if data is None else io.BytesIO(data))
    return whole.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    return entry(name, type=kind, linkname=target)


@pytest.fixture
def memory():
    """A file in memory with that content: `memory(data)` is its descriptor."""
    opened = []

    def make(data=b""):
        fd = os.memfd_create("archive")
        os.write(fd, data) if data else None
        os.lseek(fd, 0, os.SEEK_SET)
        opened.append(fd)
        return fd

    yield make
    for fd in opened:
        os.close(fd)


@pytest.fixture
def layer(box, memory, tmp_path):
    """Unpack an archive as a layer: `layer(data)` is its directory."""
    target = tmp_path / "layer"

    def unpack(data):
        job = box.host.call(archives.unpack_layer, Fd(memory(data)), str(target))
        archives.finish(job)
        return target

    return unpack


@pytest.fixture
def put(box, memory):
    """Unpack an archive in a container: `put(root, path, data)`."""

    def unpack(root, path, data, **options):
        return archives.finish(
            box.host.call(archives.unpack, root, path, Fd(memory(data)), **options)
        )

    return unpack


@pytest.fixture
def get(box, memory):
    """Pack a path of a container: `get(root, path)` is an open archive."""

    def pack(root, path):
        out = memory()
        archives.finish(box.host.call(archives.pack, root, path, Fd(out)))
        return _opened(out)

    return pack


def _opened(fd):
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(os.dup(fd), "rb") as file:
        return tarfile.open(fileobj=io.BytesIO(file.read()))


def names(archive):
    return [member.name for member in archive]


@pytest.fixture(params=["running", "stopped"])
def root(request, box):
    """A container's files, over the small image: of one that runs, or of one that does not."""
    tree = box.tree(box.image)
    if request.param == "stopped":
        return RootRef("web", tree=tree)
    live = box.start("sh", "-c", "echo up; read x", tree=tree)
    live.hear("up")
    return RootRef("web", pid=live.pid, tree=tree)


def look(box, root, script):
    """Run a script where the container's files are."""
    if root.pid:
        live = next(live for live in box._lives if live.pid == root.pid)
        return box.enter(live, "sh", "-c", script).wait().out
    return box.sh(script, tree=root.tree, mounts=root.mounts).out


# Layers


@pytest.mark.parametrize("press", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_layer_is_unpacked_with_modes_times_and_links(layer, press):
    made = layer(
        press(
            tar(
                entry("./", mode=0o711),
                entry("bin/", mode=0o755, mtime=1000),
                entry("bin/su", b"program", mode=0o4755, mtime=1234.5),
                link("sbin", "bin"),
                link("absolute", "/etc/motd"),
                link("bin/same", "bin/su", tarfile.LNKTYPE),
                entry("pipe", type=tarfile.FIFOTYPE, mode=0o600),
                entry("deep/er/file", b""),
            )
        )
    )
    assert stat.S_IMODE(made.stat().st_mode) == 0o711
    assert (made / "sbin/su").read_bytes() == b"program"
    assert stat.S_IMODE((made / "bin/su").stat().st_mode) == 0o4755
    assert (made / "bin/su").stat().st_mtime == 1234.5
    assert (made / "bin").stat().st_mtime == 1000
    assert (made / "bin/same").samefile(made / "bin/su")
    assert (made / "absolute").readlink() == Path("/etc/motd")
    assert (made / "pipe").is_fifo()
    assert (made / "deep/er/file").read_bytes() == b""


def test_the_size_of_a_layer_is_that_of_its_files(box, memory, tmp_path):
    data = tar(entry("a", b"12345"), entry("b"), entry("b/c", b"678"))
    job = box.host.call(archives.unpack_layer, Fd(memory(data)), str(tmp_path / "layer"))
    assert archives.finish(job) == {"size": 8}


def test_owners_are_kept_where_one_may(layer, as_root):
    made = layer(tar(entry("a", b"", uid=33, gid=44), link("l", "a")))
    assert (made / "a").stat().st_uid == (33 if as_root else os.geteuid())
    assert (made / "a").stat().st_gid == (44 if as_root else os.getegid())


def test_attributes_of_users_are_kept_and_the_overlays_own_are_not(layer):
    made = layer(
        tar(
            entry(
                "a",
                b"x",
                pax_headers={
                    "SCHILY.xattr.user.natlab": "v\udcff",
                    "SCHILY.xattr.user.overlay.opaque": "y",
                    "SCHILY.xattr.trusted.overlay.opaque": "y",
                },
            )
        )
    )
    assert os.listxattr(made / "a") == ["user.natlab"]
    assert os.getxattr(made / "a", "user.natlab") == b"v\xff"


def test_a_sparse_file_has_the_right_content_and_takes_no_room(layer, tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(8 << 20)
        file.write(b"end")
    os.system(f"cd {tmp_path} && tar --sparse -cf sparse.tar sparse")  # noqa: S605
    made = layer((tmp_path / "sparse.tar").read_bytes()) / "sparse"
    assert made.stat().st_size == (8 << 20) + 3
    assert made.stat().st_blocks < 1000
    assert made.read_bytes() == (tmp_path / "sparse").read_bytes()


def test_the_whiteouts_of_an_image_become_the_overlays(box, layer):
    made = layer(
        tar(
            entry("etc/.wh.motd", b""),
            entry("usr/bin/.wh..wh..opq", b""),
            entry("usr/bin/ls-only", b""),
            entry(".wh..wh.plnk", b""),
        )
    )
    assert overlays.is_opaque(str(made / "usr/bin"))
    assert not (made / ".wh..wh.plnk").exists()
    tree = box.tree(str(made), box.image)
    listed = archives.finish(box.host.call(archives.stat_path, RootRef("w", tree=tree), "/etc"))
    assert listed["name"] == "etc"
    with pytest.raises(Refusal, match="Could not find the file /etc/motd in container w"):
        archives.finish(box.host.call(archives.stat_path, RootRef("w", tree=tree), "/etc/motd"))
    with pytest.raises(Refusal):
        archives.finish(box.host.call(archives.stat_path, RootRef("w", tree=tree), "/usr/bin/sh"))


def test_a_later_member_replaces_an_earlier_one(box, put, root):
    members = (
        entry("a", b"file"),
        entry("a"),
        entry("a/in", b"x"),
        entry("b"),
        entry("b/gone", b"x"),
        entry("b", b"now a file"),
        link("c", "a"),
        entry("c", b"no link"),
    )
    put(root, "/", tar(*members))
    said = look(box, root, "cd /; cat a/in; echo; cat b; echo; test ! -L c; cat c")
    assert said == "x\nnow a file\nno link"


@pytest.mark.parametrize("again", ["a", "./a"])
def test_a_name_stands_once_in_a_layer(layer, again):
    with pytest.raises(Refusal, match="duplicates of file paths not supported"):
        layer(tar(entry("a", b"first"), entry(again, b"second")))


TRICKS = {
    "a climbing name": ([entry("../out", b"x")], '"../out" is outside of "/"'),
    "a name that climbs later": ([entry("a/../../out", b"x")], '"a/../../out" is outside of "/"'),
    "an absolute name": ([entry("/out", b"x")], '"/out" is outside of "/"'),
    "a climbing link": ([link("l", "../out")], 'invalid symlink "l" -> "../out"'),
    "a link that climbs further": (
        [link("a/l", "../../out")],
        'invalid symlink "a/l" -> "../../out"',
    ),
    "a climbing hard link": (
        [link("h", "../out", tarfile.LNKTYPE)],
        'invalid hardlink "h" -> "../out"',
    ),
    "an absolute hard link": (
        [link("h", "/etc/passwd", tarfile.LNKTYPE)],
        'invalid hardlink "h" -> "/etc/passwd"',
    ),
    "a character device": (
        [entry("dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
        'device nodes are not unpacked, and "dev/null" is one: leave it out',
    ),
    "a block device": (
        [entry("dev/vda", type=tarfile.BLKTYPE, devmajor=8)],
        'device nodes are not unpacked, and "dev/vda" is one: leave it out',
    ),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_member_that_leads_out_is_refused_by_name(layer, tmp_path, trick):
    members, message = TRICKS[trick]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Refusal) as refused:
        layer(tar(entry("fine", b"x"), *members))
    assert refused.value.message == message
    assert refused.value.status == 400
    assert sorted(tmp_path.iterdir()) == [*before, tmp_path / "layer"]


def test_links_in_the_way_lead_to_places_in_the_tree(layer, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    made = layer(
        tar(
            entry(str(outside).lstrip("/")),
            link("l", str(outside)),
            entry("l/x", b"x"),
            link("etc", "/"),
            entry("etc/passwd2", b"x"),
            link("h", "etc/passwd2", tarfile.LNKTYPE),
        )
    )
    assert list(outside.iterdir()) == []
    assert (made / "passwd2").read_bytes() == b"x"
    assert (made / str(outside).lstrip("/") / "x").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"nonsense " * 100, "archive/tar: invalid tar header"),
        (b"", "unexpected EOF"),
        (tar(entry("a", b"x" * 5000))[:2000], "unexpected EOF"),
        (tar(entry("a", b"x" * 5000))[:700], "unexpected EOF"),
        (tar(entry("a", b"x"))[:1024] + b"y" * 512, "archive/tar: invalid tar header"),
        (tar(entry("a", b"x"))[:1300], "unexpected EOF"),
        (gzip.compress(tar(entry("a", os.urandom(5000))))[:3000], "EOF|end-of-stream"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "compressed with zstd"),
    ],
    ids=[
        "nonsense",
        "empty",
        "cut file",
        "cut early",
        "bad header",
        "cut header",
        "cut gzip",
        "zstd",
    ],
)
def test_a_damaged_archive_is_said_to_be_one(layer, data, message):
    with pytest.raises(Refusal, match=message) as refused:
        layer(data)
    assert refused.value.status == 400


# docker cp


def test_a_file_comes_out_under_its_own_name(root, get):
    archive = get(root, "/etc/motd")
    assert names(archive) == ["motd"]
    assert archive.extractfile("motd").read() == b"hello\n"
    assert archive.getmember("motd").mtime > 0


def test_a_directory_comes_out_with_all_that_is_in_it(root, get, put):
    put(
        root,
        "/",
        tar(
            entry("d", mode=0o700, mtime=5),
            entry("d/a", b"1", mode=0o4711, mtime=7.25),
            entry("d/e", pax_headers={"SCHILY.xattr.user.natlab": "v"}),
            link("d/h", "d/a", tarfile.LNKTYPE),
            link("d/l", "/etc"),
            entry("d/p", type=tarfile.FIFOTYPE),
        ),
    )
    archive = get(root, "/d")
    assert names(archive) == ["d", "d/a", "d/e", "d/h", "d/l", "d/p"]
    assert (archive.getmember("d").mode, archive.getmember("d").mtime) == (0o700, 5)
    assert (archive.getmember("d/a").mode, archive.getmember("d/a").mtime) == (0o4711, 7.25)
    assert archive.getmember("d/h").islnk()
    assert archive.getmember("d/h").linkname == "d/a"
    assert archive.getmember("d/l").linkname == "/etc"
    assert archive.getmember("d/p").isfifo()
    assert archive.getmember("d/e").pax_headers["SCHILY.xattr.user.natlab"] == "v"


def test_a_link_is_followed_only_when_the_path_says_so(root, get, put):
    put(root, "/", tar(link("l", "d"), entry("d"), entry("d/x", b"x")))
    assert [(m.name, m.linkname) for m in get(root, "/l")] == [("l", "d")]
    assert names(get(root, "/l/")) == ["l", "l/x"]
    assert names(get(root, "/l/.")) == [".", "x"]
    assert names(get(root, "l/x")) == ["x"], "and a path without a slash begins at the root"
    assert names(get(root, "/etc/../l/./x")) == ["x"]


def test_the_whole_root_comes_out_from_its_slash_on(root, get):
    found = names(get(root, "/"))
    assert found[0] == ""
    assert "/etc/motd" in found
    assert not [name for name in found if name.startswith("/proc/")]


def test_a_path_is_looked_at_as_docker_shows_it(box, root, put):
    put(
        root,
        "/",
        tar(
            entry("d", mode=0o1777),
            entry("f", b"12345", mode=0o6755, mtime=3),
            link("l", "d/../f"),
            entry("p", type=tarfile.FIFOTYPE, mode=0o600),
        ),
    )

    def seen(path):
        return archives.PathStat(**archives.finish(box.host.call(archives.stat_path, root, path)))

    assert seen("/d").mode == 1 << 31 | 1 << 20 | 0o777
    assert seen("/f") == archives.PathStat("f", 5, 1 << 23 | 1 << 22 | 0o755, 3_000_000_000, "")
    assert seen("/l").mode == 1 << 27 | 0o777
    assert seen("/l").link_target == "/f"
    assert seen("/p").mode == 1 << 25 | 0o600
    assert (seen("/").name, seen("/d/").name, seen("/d/.").name) == ("/", "d", ".")


@pytest.mark.parametrize("path", ["/nothing", "/etc/nothing/x", "/nothing/", "nothing/."])
def test_a_path_that_is_not_there_is_said_in_dockers_words(box, root, get, put, path):
    for ask in (
        lambda: get(root, path),
        lambda: put(root, path, tar()),
        lambda: archives.finish(box.host.call(archives.stat_path, root, path)),
    ):
        with pytest.raises(Refusal) as refused:
            ask()
        assert refused.value.message == f"Could not find the file {path} in container web"
        assert refused.value.status == 404


def test_an_archive_is_unpacked_into_a_directory_only(root, put):
    with pytest.raises(Refusal) as refused:
        put(root, "/etc/motd", tar())
    assert (refused.value.message, refused.value.status) == (
        "extraction point is not a directory",
        400,
    )


def test_what_is_put_in_is_seen_in_the_container(box, root, put):
    put(root, "/etc", tar(entry("new/x", b"hello\n"), entry("motd", b"changed\n")))
    assert look(box, root, "cat /etc/new/x /etc/motd; ls /etc") == (
        "hello\nchanged\ngroup\nhostname\nhosts\nmotd\nnew\npasswd\nresolv.conf\n"
    )


def test_it_goes_where_a_link_leads_and_no_further_than_the_container(box, root, put):
    put(root, "/", tar(link("out", "/run"), entry("run")))
    put(root, "/out", tar(entry("x", b"x")))
    assert look(box, root, "ls /run") == "x\n"
    assert "x" not in box.host.call(os.listdir, "/run")


@pytest.mark.parametrize("trick", TRICKS)
def test_a_member_that_leads_out_is_refused_in_a_container_too(root, put, trick):
    members, message = TRICKS[trick]
    with pytest.raises(Refusal) as refused:
        put(root, "/etc", tar(*members))
    assert refused.value.message == message.replace('of "/"', 'of "/etc"')


def test_a_directory_and_another_thing_do_not_replace_each_other_if_told_so(root, put):
    put(root, "/", tar(entry("d"), entry("f", b"x")))
    with pytest.raises(Refusal) as refused:
        put(root, "/", tar(entry("d", b"x")), no_overwrite=True)
    assert refused.value.message == 'cannot overwrite directory "/d" with non-directory "/"'
    with pytest.raises(Refusal) as refused:
        put(root, "/", tar(entry("f")), no_overwrite=True)
    assert refused.value.message == 'cannot overwrite non-directory "/f" with directory "/"'
    put(root, "/", tar(entry("d", b"x"), entry("f")))


def test_all_of_it_belongs_to_the_owner_asked_for(box, root, put, as_root):
    owner = (33, 33) if as_root else (0, 0)
    put(
        root, "/", tar(entry("f", b"x", uid=7, gid=7), link("l", "f", tarfile.SYMTYPE)), owner=owner
    )
    assert look(box, root, "stat -c '%u %g' /f /l") == "{0} {0}\n{0} {0}\n".format(owner[0])


def test_mounts_of_a_container_are_part_of_it(box, get, put):
    box.host.call(files.write_all, {"/run/data/a": "a"})
    mounts = (Mount("/run/data", "/data"),)
    stopped = RootRef("web", tree=box.tree(box.image), mounts=mounts)
    live = box.start(
        "sh", "-c", "echo up; read x", tree=box.tree(box.image, name="2"), mounts=mounts
    )
    live.hear("up")
    for number, ref in enumerate((stopped, RootRef("web", pid=live.pid))):
        assert "data/a" in names(get(ref, "/data"))
        put(ref, "/data", tar(entry(f"new{number}", b"x")))
    assert box.host.call(files.list_directory, "/run/data") == ["a", "new0", "new1"]


def test_a_read_only_container_takes_nothing(box, put):
    tree = box.tree(box.image)
    live = box.start("sh", "-c", "echo up; read x", tree=tree, read_only=True)
    live.hear("up")
    for ref in (
        RootRef("web", pid=live.pid),
        RootRef("web", tree=box.tree(box.image, name="2"), read_only=True),
    ):
        with pytest.raises(Refusal, match="container rootfs is marked read-only"):
            put(ref, "/etc", tar(entry("x", b"x")))


def test_a_container_that_has_ended_is_said_to_have(box):
    with pytest.raises(NatlabError, match="container web has ended: try again"):
        box.host.call(archives.stat_path, RootRef("web", pid=999999), "/")


def test_the_whole_tree_is_exported_less_what_is_mounted_in_it(box, memory):
    box.host.call(files.write_all, {"/run/data/a": "a"})
    mounts = (Mount("/run/data", "/data"),)
    live = box.start("sh", "-c", "echo up; read x", tree=box.tree(box.image), mounts=mounts)
    live.hear("up")
    for ref in (
        RootRef("web", pid=live.pid, mounts=mounts),
        RootRef("web", tree=box.tree(box.image, name="2"), mounts=mounts),
    ):
        out = memory()
        archives.finish(box.host.call(archives.export, ref, Fd(out)))
        found = names(_opened(out))
        assert {"bin", "data", "dev", "etc", "etc/motd", "proc", "sys", "usr/bin/sh"} <= set(found)
        assert not [name for name in found if name.startswith(("data/", "dev/", "proc/", "sys/"))]


def test_an_exported_tree_is_a_layer_again(box, memory, layer):
    box.sh("echo kept > /kept; rm /etc/motd", tree=box.tree(box.image))
    out = memory()
    ref = RootRef("web", tree=box.tree(box.image))
    archives.finish(box.host.call(archives.export, ref, Fd(out)))
    with os.fdopen(os.dup(out), "rb") as file:
        file.seek(0)
        made = layer(file.read())
    ran = box.sh("cat /kept; ls /etc", tree=box.tree(str(made), name="again"))
    assert ran.out == "kept\ngroup\nhostname\nhosts\npasswd\nresolv.conf\n"


# The machine's own tree


def test_files_of_a_tree_over_the_machines_come_and_go_like_any(box, get, put):
    stopped = RootRef("web", tree=box.tree())
    put(stopped, "/etc", tar(entry("natlab-x", b"x")))
    put(stopped, "/", tar(entry("top", b"t")))
    live = box.start("sh", "-c", "cat /etc/natlab-x /top; read x")
    assert live.hear("t") == "xt"
    assert names(get(RootRef("web", pid=live.pid), "/etc/natlab-x")) == ["natlab-x"]
    assert not Path("/etc/natlab-x").exists()


# Workers


def test_a_large_archive_goes_through_pipes_without_holding_up_the_agent(box, root):
    data = os.urandom(3 << 20)
    reader, writer = os.pipe()
    job = box.host.call(archives.unpack, root, "/", Fd(reader))
    os.close(reader)
    assert box.agent.call(None, abs, -1) == 1, "the agent answers meanwhile"
    with os.fdopen(writer, "wb") as file:
        file.write(tar(entry("big", data)))
    archives.finish(job)
    reader, writer = os.pipe()
    job = box.host.call(archives.pack, root, "/big", Fd(writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as file, tarfile.open(fileobj=file, mode="r|") as archive:
        assert archive.extractfile(archive.next()).read() == data
    assert archives.finish(job)["size"] == len(data)


def test_a_reader_that_goes_away_ends_the_worker(box, root):
    reader, writer = os.pipe()
    job = box.host.call(archives.pack, root, "/usr", Fd(writer))
    os.close(writer)
    os.close(reader)
    with pytest.raises(Refusal, match="broken pipe"):
        archives.finish(job)


def test_a_worker_that_is_killed_is_noticed(box, root):
    reader, writer = os.pipe()
    job = box.host.call(archives.unpack, root, "/", Fd(reader))
    os.close(reader)
    signal.pidfd_send_signal(job.pidfd.number, signal.SIGKILL)
    with pytest.raises(Refusal, match="cut off: try again"):
        archives.finish(job)
    os.close(writer)


def test_workers_leave_no_descriptor_process_or_mount(box, root, get, put):
    get(root, "/etc")
    mounts = box.host.call(files.read_all, "/proc/mounts")
    before, children = box.agent_descriptors(), len(box.children())
    for number in range(10):
        put(root, "/", tar(entry(f"x{number}", b"x")))
        get(root, "/etc")
        with pytest.raises(Refusal):
            get(root, "/nothing")
    assert box.agent_descriptors() == before
    assert box.host.call(files.read_all, "/proc/mounts") == mounts
    assert len(box.children()) == children


def test_workers_end_with_the_agent(box, root, family):
    reader, writer = os.pipe()
    job = box.host.call(archives.unpack, root, "/", Fd(reader))
    os.close(reader)
    with family(box.agent.pid) as members:
        os.kill(box.agent.pid, signal.SIGKILL)
        assert members.all_end()
    with pytest.raises(Refusal, match="cut off"):
        archives.finish(job)
    os.close(writer)


# docker diff


@pytest.mark.parametrize("below", ["image", "machine"])
def test_changes_are_found_as_docker_diff_shows_them(box, below):
    tree = box.tree(box.image) if below == "image" else box.tree(box.image, "/")
    box.sh(
        "echo x > /etc/new; echo changed > /etc/motd; rm /etc/group; mkdir -p /a/b; touch /a/b/c;"
        "touch /top; chmod 700 /usr/bin; cat /etc/passwd",
        tree=tree,
    )
    assert box.host.call(archives.changes, tree) == [
        Change("/a", archives.ADDED),
        Change("/a/b", archives.ADDED),
        Change("/a/b/c", archives.ADDED),
        Change("/etc", archives.MODIFIED),
        Change("/etc/group", archives.DELETED),
        Change("/etc/motd", archives.MODIFIED),
        Change("/etc/new", archives.ADDED),
        Change("/top", archives.ADDED),
        Change("/usr", archives.MODIFIED),
        Change("/usr/bin", archives.MODIFIED),
    ]


def test_a_container_that_has_changed_nothing_has_no_changes(box):
    for tree in (box.tree(), box.tree(box.image, name="two")):
        box.run("true" if tree.shows_machine else "ls", tree=tree)
        assert box.host.call(archives.changes, tree) == []


def test_a_directory_that_was_made_anew_has_lost_what_was_in_it(box):
    tree = box.tree(box.image)
    box.sh("rm -r /etc; mkdir /etc; echo x > /etc/motd", tree=tree)
    assert box.host.call(archives.changes, tree) == [
        Change("/etc", archives.MODIFIED),
        Change("/etc/group", archives.DELETED),
        Change("/etc/motd", archives.MODIFIED),
        Change("/etc/passwd", archives.DELETED),
    ]


def test_both_forms_of_a_whiteout_are_understood(box):
    tree = box.tree(box.image)
    up = Path(tree.upper, "etc")
    box.host.call(files.write_all, {str(up / "motd"): "", str(up / "group"): ""})
    box.host.call(os.setxattr, str(up / "motd"), "user.overlay.whiteout", b"y")
    found = box.host.call(archives.changes, tree)
    assert Change("/etc/motd", archives.DELETED) in found
    assert Change("/etc/group", archives.MODIFIED) in found
