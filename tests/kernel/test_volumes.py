"""Volumes on a lab host: what is there, what is copied into them, and that nothing leads out."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from natlab.errors import ExecError
from natlab.kernel import copy_up, docker_root, files, rootfs, syscalls, volume_claim, volumes
from natlab.kernel.archives import finish
from natlab.kernel.confine import Mount
from natlab.model.mount_points import VOLUMES
from natlab.model.refusal import Refusal

NOW = 1_700_000_000_123_456_789


def here(path):
    """The names in a directory of the machine itself."""
    return {entry.name for entry in Path(path).iterdir()}


@pytest.fixture
def store(box):
    """The directory of volumes, claimed."""
    claim = box.host.call(volume_claim.settle)
    yield Store(box)
    claim.close()


class Store:
    """A lab host's volumes, and how a test looks at them."""

    def __init__(self, box) -> None:
        self.box, self.call = box, box.host.call

    def create(self, name, labels=None, **more):
        _, made = self.call(volumes.create, name, NOW, labels, **more)
        return made

    def names(self):
        return [volume.name for volume in self.call(volumes.list_all)]

    def fill(self, tree, *wanted):
        return finish(self.call(copy_up.fill, tree, wanted))

    def path(self, name, inner=""):
        return f"{VOLUMES}/{name}/_data{inner}"

    def stat(self, path):
        return self.call(os.stat, path, follow_symlinks=False)

    def mode(self, path):
        return stat.S_IMODE(self.stat(path).st_mode)

    def write(self, path, text="x"):
        self.call(files.write_all, {path: text})

    def read(self, path):
        return self.call(files.read_all, path).get(path)

    def list(self, path=VOLUMES):
        return sorted(self.call(os.listdir, path))

    def tree(self, layer):
        return self.box.tree(str(layer))


@pytest.fixture
def layer(tmp_path):
    """An image's layer, to be filled by a test."""
    path = tmp_path / "layer"
    path.mkdir()
    return path


# What is there


def test_a_lab_host_has_a_directory_of_its_own_and_the_machine_is_left_alone(box):
    before = Path("/var/lib/docker").exists(), here("/var/lib")
    assert box.host.call(os.listdir, "/var/lib/docker") == []
    box.host.call(files.write_all, {"/var/lib/docker/x": "", "/var/lib/docker/y/z": ""})
    shown = set(box.host.call(os.listdir, "/var/lib"))
    assert shown - here("/var/lib") <= {"docker"}
    assert (Path("/var/lib/docker").exists(), here("/var/lib")) == before
    box.host.call(docker_root.renew)
    assert box.host.call(os.listdir, "/var/lib/docker") == []


def test_a_container_of_the_machine_sees_the_machines_own_library(box):
    box.host.call(files.write_all, {"/var/lib/docker/secret": ""})
    ran = box.sh("ls -A /var/lib; touch /var/lib/mine && ls /var/lib/docker")
    assert "secret" not in ran.out
    assert here("/var/lib") <= set(ran.out.split())
    assert "mine" not in here("/var/lib")


def test_a_container_sees_no_volumes_where_the_machines_library_has_mounts(box):
    box.host.call(files.write_all, {"/var/lib/docker/secret": "", "/var/lib/mounted/below": ""})
    box.host.call(syscalls.mount, "none", "/var/lib/mounted", "tmpfs")
    box.host.call(files.write_all, {"/var/lib/mounted/file": ""})
    ran = box.sh("ls -A /var/lib/mounted; ls -A /var/lib/docker")
    assert "secret" not in ran.out + ran.err
    assert "file" in ran.out, "the mount is shown, or this test proves nothing"
    assert box.host.call(os.listdir, "/var/lib/docker") == ["secret"]


def test_where_no_overlay_can_be_had_the_library_is_bound_entry_by_entry(box):
    box.host.call(files.make_directories, "/run/test/library/docker")
    box.host.call(docker_root._bind_everything, "/run/test/library")
    shown = set(box.host.call(os.listdir, "/var/lib"))
    assert shown == here("/var/lib") | {"docker"}
    for name in shown & {"apt", "dpkg", "systemd"}:
        assert set(box.host.call(os.listdir, f"/var/lib/{name}")) == here(f"/var/lib/{name}")
    box.host.call(docker_root.furnish)
    box.host.call(files.write_all, {"/var/lib/docker/secret": ""})
    assert "secret" not in box.sh("ls -A /var/lib/docker; ls /var/lib").out


def test_a_volume_has_dockers_modes(store):
    assert store.create("data")
    assert store.mode(VOLUMES) == 0o701
    assert store.mode(f"{VOLUMES}/data") == 0o701
    assert store.mode(store.path("data")) == 0o755


def test_a_volume_is_made_once_and_found_with_its_labels(store):
    assert store.create("data", {"a": "b"})
    store.write(store.path("data", "/file"), "kept")
    assert not store.create("data", {"other": ""})
    assert store.call(volumes.find, "data") == volumes.Volume("data", NOW, {"a": "b"})
    assert store.read(store.path("data", "/file")) == "kept"
    assert store.call(volumes.find, "other") is None


def test_a_volume_made_by_hand_counts(store):
    store.call(files.make_directories, store.path("mine"))
    (found,) = store.call(volumes.list_all)
    assert (found.name, found.labels) == ("mine", None)
    assert not store.create("mine")


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"Labels": 1, "Created": "x"}', "\xff"])
def test_a_damaged_description_costs_a_volume_its_labels_only(store, text):
    store.create("data", {"a": "b"})
    store.write(f"{VOLUMES}/data/volume.json", text)
    found = store.call(volumes.find, "data")
    assert (found.name, found.labels) == ("data", None)


def test_what_is_no_volume_is_not_taken_for_one(store):
    store.call(os.mkdir, f"{VOLUMES}/empty")
    store.write(f"{VOLUMES}/file")
    store.write(f"{VOLUMES}/data-file/_data")
    store.call(os.symlink, "/etc", f"{VOLUMES}/link")
    store.call(files.make_directories, f"{VOLUMES}/inner", f"{VOLUMES}/.dotted/_data")
    store.call(os.symlink, "/etc", f"{VOLUMES}/inner/_data")
    assert store.names() == []
    for name in (*store.list(), "..", ".", "", "a/b", "/etc"):
        assert store.call(volumes.find, name) is None


def test_a_directory_of_volumes_that_was_taken_away_is_made_again(store):
    store.create("data")
    store.call(files.remove_trees, VOLUMES)
    assert store.names() == []
    assert store.create("data")
    assert store.call(volumes.empty_among, ["data"]) == ["data"]
    store.write(store.path("data", "/x"))
    assert store.call(volumes.empty_among, ["data"]) == []


def test_only_one_engine_has_the_volumes(box):
    claim = box.host.call(volume_claim.settle)
    with pytest.raises(BlockingIOError):
        box.host.call(volume_claim.settle)
    claim.close()
    box.host.call(volume_claim.settle).close()


def test_a_removed_volume_is_gone_with_all_that_is_in_it(store):
    store.create("data")
    store.create("other")
    store.write(store.path("data", "/a/b/c"))
    store.write(store.path("other", "/kept"), "kept")
    store.call(os.symlink, store.path("other"), store.path("data", "/link"))
    assert finish(store.call(volumes.measure, ("other",))) == {"other": 4}
    finish(store.call(volumes.remove, "data", "00000001"))
    assert store.list() == ["other"]
    assert store.read(store.path("other", "/kept")) == "kept"


def test_a_volume_in_which_a_person_has_mounted_something_is_not_removed(store):
    store.create("data")
    store.call(os.mkdir, store.path("data", "/inner"))
    store.call(syscalls.mount, "none", store.path("data", "/inner"), "tmpfs")
    with pytest.raises(Refusal, match=f"umount {VOLUMES}/data/_data/inner first") as caught:
        store.call(volumes.remove, "data", "00000001")
    assert caught.value.status == 409
    assert store.names() == ["data"]


def test_the_size_of_a_hard_linked_file_counts_once_and_a_hole_counts(store):
    store.create("data")
    store.write(store.path("data", "/one"), "12345")
    store.call(os.link, store.path("data", "/one"), store.path("data", "/two"))
    store.call(os.truncate, store.path("data", "/one"), 1000)
    assert finish(store.call(volumes.measure, ("data",))) == {"data": 1000}


# Copied from the image


def test_an_empty_volume_takes_what_the_image_has_as_it_is(store, layer):
    data = layer / "data"
    (data / "sub").mkdir(parents=True)
    (data / "file").write_text("text")
    (data / "sub/script").write_text("#!/bin/sh")
    (data / "sub/script").chmod(0o4755)
    os.link(data / "file", data / "sub/same")
    (data / "link").symlink_to("sub/script")
    (data / "dangling").symlink_to("/no/where")
    os.mkfifo(data / "fifo", 0o620)
    os.setxattr(data / "file", "user.note", b"\0raw\xff")
    os.setxattr(data / "sub", "user.note", b"dir")
    with (data / "sparse").open("wb") as file:
        file.seek(8 << 20)
        file.write(b"end")
        file.truncate(16 << 20)
    if os.geteuid() == 0:
        for path in (data, data / "sub/script", data / "link", data / "fifo"):
            os.chown(path, 1000, 2000, follow_symlinks=False)
        (data / "sub/script").chmod(0o4755)
    data.chmod(0o1733)
    for number, path in enumerate([data / "link", data / "file", data / "sub", data]):
        os.utime(path, ns=(NOW + number, NOW - number), follow_symlinks=False)
    store.create("v1")
    assert store.fill(store.tree(layer), ("/data", "v1")) == {"v1": []}
    for path in ("", *(f"/{p.relative_to(data)}" for p in data.rglob("*"))):
        there, here = store.stat(store.path("v1", path)), os.lstat(f"{data}{path}")
        for key in ("st_mode", "st_nlink", "st_mtime_ns"):
            assert getattr(there, key) == getattr(here, key), (path, key)
        owner = (here.st_uid, here.st_gid) if os.geteuid() == 0 else (0, 0)
        assert (there.st_uid, there.st_gid) == owner, path
        if not stat.S_ISDIR(here.st_mode):
            assert there.st_size == here.st_size, path
    assert store.read(store.path("v1", "/file")) == "text"
    assert store.call(os.getxattr, store.path("v1", "/file"), "user.note") == b"\0raw\xff"
    assert store.call(os.getxattr, store.path("v1", "/sub"), "user.note") == b"dir"
    one, two = (store.stat(store.path("v1", name)) for name in ("/file", "/sub/same"))
    assert one.st_ino == two.st_ino
    assert store.stat(store.path("v1", "/sparse")).st_blocks * 512 < 1 << 20
    assert store.call(os.readlink, store.path("v1", "/link")) == "sub/script"
    assert store.list(f"{VOLUMES}/v1") == ["_data", "volume.json"]


def test_an_empty_directory_gives_a_volume_its_owner_and_mode(store, layer):
    (layer / "data").mkdir()
    (layer / "data").chmod(0o2770)
    store.create("v1")
    store.fill(store.tree(layer), ("/data", "v1"))
    assert store.mode(store.path("v1")) == 0o2770


def test_a_volume_with_files_in_it_takes_nothing(store, layer):
    (layer / "data").mkdir(mode=0o700)
    (layer / "data/file").write_text("of the image")
    store.create("v1")
    store.write(store.path("v1", "/own"))
    store.fill(store.tree(layer), ("/data", "v1"))
    assert store.list(store.path("v1")) == ["own"]
    assert store.mode(store.path("v1")) == 0o755


def test_a_volume_where_the_image_has_nothing_stays_empty(store, layer):
    store.create("v1")
    assert store.fill(store.tree(layer), ("/data", "v1"), ("/a/b/c", "v1")) == {"v1": []}
    assert store.list(store.path("v1")) == []


def test_a_volume_over_a_file_of_the_image_is_refused(store, layer):
    (layer / "data").write_text("a file")
    store.create("v1")
    with pytest.raises(Refusal, match="cannot mount volume over existing file, file exists /data"):
        store.fill(store.tree(layer), ("/data", "v1"))
    assert store.list(f"{VOLUMES}/v1") == ["_data", "volume.json"]


def test_several_layers_are_copied_as_a_container_sees_them(box, store, tmp_path):
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for path, text in (("lower/data/a", "1"), ("lower/data/b", "1"), ("upper/data/b", "2")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    os.mknod(upper / "data/a", stat.S_IFCHR, 0)
    store.create("v1")
    store.fill(box.tree(str(upper), str(lower)), ("/data", "v1"))
    assert store.list(store.path("v1")) == ["b"]
    assert store.read(store.path("v1", "/b")) == "2"


def test_who_has_an_empty_volume_mounted_sees_what_is_copied_into_it(box, store, layer):
    (layer / "data").mkdir()
    (layer / "data/file").write_text("copied")
    store.create("v1")
    live = box.start("cat", mounts=(Mount("v1", "/v", kind="volume"),))
    store.fill(store.tree(layer), ("/data", "v1"))
    assert box.enter(live, "cat", "/v/file").wait().out == "copied"
    live.wait()


def test_what_this_user_may_not_make_or_read_is_left_out_and_named(store, layer):
    (layer / "data/closed").mkdir(parents=True)
    (layer / "data/file").write_text("text")
    if os.geteuid() == 0:
        os.mknod(layer / "data/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        store.create("v1")
        assert store.fill(store.tree(layer), ("/data", "v1")) == {"v1": []}
        assert store.stat(store.path("v1", "/null")).st_rdev == os.makedev(1, 3)
        return
    tree = store.box.tree("/")
    store.create("v1")
    left = store.fill(tree, ("/etc", "v1"))["v1"]
    assert "/etc/shadow" in left
    assert "shadow" not in store.list(store.path("v1"))
    assert "passwd" in store.list(store.path("v1"))


def copy_null(target):
    """For the agent: copy a device of the machine; what was left out."""
    source, into = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in ("/dev", target))
    copy = copy_up.Copy(into, "/dev", target)
    copy._entry(source, into, "null", "/null")
    os.close(source)
    os.close(into)
    return copy.left_out


def test_an_ordinary_user_is_told_of_a_device_that_was_not_copied(store):
    store.create("v1")
    left_out = store.call(copy_null, store.path("v1"))
    if os.geteuid() == 0:
        assert left_out == []
        assert store.stat(store.path("v1", "/null")).st_rdev == os.makedev(1, 3)
    else:
        assert left_out == ["/dev/null"]
        assert store.list(store.path("v1")) == []


# Nothing leads out


HOSTILE = {
    "to the root": "/",
    "far up": "../../../../../../../..",
    "to the volumes": VOLUMES,
    "through a process": "/proc/1/root",
    "to another's root": "/proc/self/root",
}


@pytest.mark.parametrize("target", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_link_in_an_image_leads_a_copy_nowhere_but_into_the_image(store, layer, target):
    (layer / "of-the-image").write_text("")
    (layer / "data").symlink_to(target)
    store.create("v1")
    store.create("v2")
    store.write(store.path("v2", "/secret"))
    store.fill(store.tree(layer), ("/data", "v1"))
    copied = store.list(store.path("v1"))
    assert "secret" not in copied
    assert "usr" not in copied
    assert copied == [] or "of-the-image" in copied


def test_a_link_that_is_copied_is_not_followed(store, layer):
    (layer / "data").mkdir()
    (layer / "data/shadow").symlink_to("/etc/passwd")
    (layer / "data/up").symlink_to("../../../../..")
    store.create("v1")
    store.fill(store.tree(layer), ("/data", "v1"))
    for name in ("shadow", "up"):
        assert stat.S_ISLNK(store.stat(store.path("v1", f"/{name}")).st_mode)


@pytest.mark.parametrize("target", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_link_in_an_image_leads_a_mount_nowhere_but_into_the_container(
    box, store, tmp_path, image, target
):
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "evil").symlink_to(target)
    store.create("v1")
    store.create("v2")
    store.write(store.path("v1", "/file"), "of the volume")
    mount = Mount("v1", "/evil/mnt", kind="volume")
    tree = box.tree(str(layer), str(image))
    if target.startswith("/proc"):  # such a link has no path, so it is not followed at all
        with pytest.raises(ExecError, match="invalid cross-device link"):
            box.run("cat", "/evil/mnt/file", tree=tree, mounts=(mount,))
    else:
        ran = box.run("cat", "/evil/mnt/file", tree=tree, mounts=(mount,))
        assert (ran.code, ran.out) == (0, "of the volume")
    assert store.list() == ["v1", "v2"]
    assert store.list(store.path("v2")) == []
    assert not store.call(os.path.lexists, "/mnt/file")


def test_a_link_in_a_volume_leads_another_mount_nowhere_but_into_the_container(box, store):
    store.create("v1")
    store.create("v2")
    store.call(os.symlink, "/../../../../srv", store.path("v1", "/sub"))
    store.write(store.path("v2", "/file"), "inner")
    mounts = (Mount("v1", "/v", kind="volume"), Mount("v2", "/v/sub", kind="volume"))
    assert box.run("cat", "/srv/file", mounts=mounts).out == "inner"
    assert store.list("/srv") == sorted(here("/srv"))


def test_a_volume_whose_directory_was_swapped_for_a_link_is_not_mounted(box, store):
    store.create("v1")
    store.call(os.rmdir, store.path("v1"))
    store.call(os.symlink, "/etc", store.path("v1"))
    with pytest.raises(ExecError, match=r'"/.*/v1/_data" to rootfs at "/v": too many l'):
        box.run("ls", "/v", mounts=(Mount("v1", "/v", kind="volume"),))


def test_a_subpath_stays_in_its_volume(box, store):
    store.create("v1")
    store.write(store.path("v1", "/a/b/file"), "deep")
    store.call(os.symlink, "/a", store.path("v1", "/link"))
    store.call(os.symlink, "../../../../../../../../etc", store.path("v1", "/out"))

    def seen(subpath):
        return box.run("ls", "/v", mounts=(Mount("v1", "/v", kind="volume", subpath=subpath),)).out

    assert seen("a/b") == "file\n"
    assert seen("link/b") == "file\n"
    for subpath in ("out", "nothing"):
        with pytest.raises(ExecError, match="no such file or directory"):
            seen(subpath)


@pytest.mark.usefixtures("store")
def test_a_volume_that_is_not_there_starts_no_container_and_leaves_no_mount(box):
    mounted = box.host.call(rootfs._mount_points)
    with pytest.raises(ExecError, match=r'"/.*/nope/_data" to rootfs at "/v": no such'):
        box.run("ls", mounts=(Mount("nope", "/v", kind="volume"),))
    assert box.host.call(rootfs._mount_points) == mounted
    assert box.children() == []


# When it goes wrong


@pytest.fixture
def small(box):
    """Volumes on a disk of a hundred pages and twenty files."""
    box.host.call(files.make_directories, VOLUMES)
    box.host.call(syscalls.mount, "none", VOLUMES, "tmpfs", data="size=400k,nr_inodes=20,mode=701")
    claim = box.host.call(volume_claim.settle)
    yield Store(box)
    claim.close()


def test_a_full_disk_leaves_no_half_copy(small, layer):
    (layer / "data/sub").mkdir(parents=True)
    (layer / "data/sub/a").write_bytes(b"a" * 1000)
    (layer / "data/sub/big").write_bytes(b"b" * (1 << 20))
    small.create("v1")
    with pytest.raises(Refusal) as caught:
        small.fill(small.tree(layer), ("/data", "v1"))
    assert caught.value.message == (
        f"failed to populate volume: write {VOLUMES}/v1/_data/sub/big: no space left on device"
    )
    assert small.list(f"{VOLUMES}/v1") == ["_data", "volume.json"]
    assert small.list(small.path("v1")) == []
    assert small.mode(small.path("v1")) == 0o755


def test_a_disk_with_no_room_for_a_volume_has_no_half_of_one(small):
    names = [f"volume{number}" for number in range(6)]  # three files each, beside the root
    for name in names:
        small.create(name)
    with pytest.raises(OSError, match="No space left"):
        small.create("one-more")
    assert small.names() == names
    assert small.list() == names


def test_a_killed_engines_leftovers_are_taken_away_and_nothing_else(store):
    for name in ("kept", "half", "whole", "loose"):
        store.create(name)
        store.write(store.path(name, "/file"), name)
    store.create("going", temporary=True)
    store.create("stays", temporary=True)
    store.call(volumes.keep, ["stays", "not-there"])
    store.write(f"{VOLUMES}/.natlab-coming.new/_data/x")
    store.write(f"{VOLUMES}/.natlab-gone.12345678.gone/_data/x")
    store.write(f"{VOLUMES}/half/.copying/deep/x")
    store.write(f"{VOLUMES}/whole/.ready/new")
    store.write(f"{VOLUMES}/whole/.ready/file", "an older one")
    store.call(os.chmod, f"{VOLUMES}/whole/.ready", 0o750)
    store.write(f"{VOLUMES}/.mine/_data/x")
    store.write(f"{VOLUMES}/.mine.new/_data/x")
    store.write(f"{VOLUMES}/notes.new")
    said = store.call(volume_claim.sweep)
    assert said == [
        "took away .natlab-coming.new, a volume that was being made",
        "took away .natlab-gone.12345678.gone, a volume that was being removed",
        "took away volume going, which was to go with its container",
        "took away a copy into volume half that was not complete",
        "brought a copy into volume whole to its end",
    ]
    assert store.list() == [
        ".mine",
        ".mine.new",
        "half",
        "kept",
        "loose",
        "notes.new",
        "stays",
        "whole",
    ]
    for name in ("kept", "half", "whole", "loose"):
        assert store.list(f"{VOLUMES}/{name}") == ["_data", "volume.json"]
        assert store.read(store.path(name, "/file")) == name
    assert store.list(store.path("whole")) == ["file", "new"]
    assert store.mode(store.path("whole")) == 0o750
    assert store.call(volume_claim.sweep) == []


def test_a_leftover_that_cannot_be_taken_away_is_named_and_is_in_nobodys_way(store):
    store.create("data")
    store.write(f"{VOLUMES}/.natlab-x.new/inner/file")
    store.call(syscalls.mount, "none", f"{VOLUMES}/.natlab-x.new/inner", "tmpfs")
    store.call(files.make_directories, f"{VOLUMES}/data/.copying")
    assert store.call(volume_claim.sweep) == [
        ".natlab-x.new cannot be tidied up: Device or resource busy",
        "took away a copy into volume data that was not complete",
    ]
    assert store.names() == ["data"]


def test_a_worker_that_is_killed_leaves_a_copy_that_the_next_engine_takes_away(store):
    store.create("data")
    job = store.call(copy_up.fill, store.box.tree("/"), [("/usr", "data")])
    while not store.call(os.path.isdir, f"{VOLUMES}/data/.copying"):
        pass
    store.box.agent.call(None, os.kill, job.pid, 9)
    with pytest.raises(Refusal, match="cut off"):
        finish(job)
    assert store.list(store.path("data")) == []
    assert store.call(volume_claim.sweep) == [
        "took away a copy into volume data that was not complete"
    ]
    assert store.list(f"{VOLUMES}/data") == ["_data", "volume.json"]
