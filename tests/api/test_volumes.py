"""Volumes through docker-py and the real client: shared, backed up, kept, and refused."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
import time

import pytest
from docker import errors
from docker.types import Mount
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from natlab import DockerEngine
from natlab.daemon.volumes import volume_names
from natlab.model.mount_points import VOLUMES
from natlab.model.refusal import Refusal

PICTURE = (
    r"find . -printf '%p %y %m %U %G %s %t %n %l\n' | sort; find . -type f | sort | xargs md5sum"
)


def layer(*members):
    """A tar of `(name, bytes, fields)`; a directory if the bytes are None."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data, fields in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = (tarfile.DIRTYPE, 0o755) if data is None else (b"0", 0o644)
            info.size = len(data or b"")
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data or b""))
    out.seek(0)
    return out


@pytest.fixture
def host(lab):
    return lab.ubuntu1


def picture(host, name):
    """All that a volume's files are, as text."""
    return host.run(["sh", "-c", f"cd {VOLUMES}/{name}/_data && {PICTURE}"]).stdout


def anonymous_of(docker, container):
    """The name of a container's first volume."""
    return docker("inspect -f '{{(index .Mounts 0).Name}}'", container)


# The four commands of the article


def test_what_is_backed_up_is_restored_byte_for_byte(docker, host, tmp_path):
    docker("run -d -v /data --name DATA busybox sleep 1000")
    owner = "1000:2000" if os.geteuid() == 0 else "0:0"
    docker(
        "exec -w /data DATA sh -c",
        "set -e; mkdir -p sub/deep; echo text > file; head -c 100000 /dev/urandom > sub/bytes;"
        "ln file sub/same; ln -s ../file sub/link; ln -s /no/where dangling; mkfifo fifo;"
        "echo x > sub/script; chmod 4750 sub/script; chmod 600 sub/bytes; : > '-odd name ';"
        f"chown -h {owner} sub/link file . sub; chmod 4750 sub/script; chmod 3711 .;"
        "truncate -s 1M sub/deep/hole; echo end >> sub/deep/hole;"
        "find . -exec touch -h -d '2001-02-03 04:05:06' {} +",
    )
    source = anonymous_of(docker, "DATA")
    host.place.call(os.setxattr, f"{VOLUMES}/{source}/_data/file", "user.note", b"\0raw\xff")
    before = picture(host, source)
    printed = docker(
        f"run --rm --volumes-from DATA -v {tmp_path}:/backup busybox"
        " tar cvf /backup/backup.tar --xattrs /data"
    )
    assert "data/sub/deep/hole" in printed
    with tarfile.open(tmp_path / "backup.tar") as archive:
        assert archive.extractfile("data/file").read() == b"text\n"
    docker("run -d -v /data --name RESTORED busybox sleep 1000")
    docker(
        f"run --rm --volumes-from RESTORED -v {tmp_path}:/backup busybox"
        " tar xvf /backup/backup.tar --xattrs --xattrs-include=*"
    )
    target = anonymous_of(docker, "RESTORED")
    assert target != source
    assert picture(host, target) == before
    path = f"{VOLUMES}/{target}/_data/file"
    assert host.place.call(os.getxattr, path, "user.note") == b"\0raw\xff"
    assert picture(host, source) == before


def test_what_a_stopped_container_has_can_be_had_from_it(docker):
    docker("create --name DATA -v /one -v two:/two:ro busybox true")
    docker("run --rm -v two:/two busybox sh -c", "echo 2 > /two/file")
    docker("run --name middle --volumes-from DATA busybox sh -c", "echo 1 > /one/file")
    seen = docker("run --rm --volumes-from middle busybox sh -c", "cat /one/file /two/file")
    assert seen == "1\n2"
    assert docker.refused(
        "run --rm --volumes-from middle busybox sh -c", "touch /two/x", code=1
    ).endswith("Read-only file system")
    docker("rm -v DATA")
    assert docker("run --rm --volumes-from middle:ro busybox cat /one/file") == "1"
    docker("rm -v middle")
    assert docker("volume ls -q") == "two"


def test_a_volume_outlives_its_containers_and_the_engine_but_not_the_lab(lab, docker_for):
    with DockerEngine(lab.ubuntu1) as engine:
        docker = docker_for(engine)
        docker("volume create --label a=b data")
        docker("run --name one -v data:/data -v /more busybox sh -c", "echo kept > /data/file")
        docker("run -d --rm -v /gone busybox sleep 1000")
        made = docker("volume inspect data")
    with DockerEngine(lab.ubuntu1) as engine:
        docker = docker_for(engine)
        assert docker("volume inspect data") == made
        assert docker("run --rm -v data:/data busybox cat /data/file") == "kept"
        assert len(docker("volume ls -q").split()) == 2, "data, and the anonymous one of `one`"
    lab.clean()
    with DockerEngine(lab.ubuntu1) as engine:
        assert docker_for(engine)("volume ls -q") == ""


def test_volumes_that_are_kept_on_the_machine_outlive_the_lab(lab, docker_for, tmp_path):
    kept = tmp_path / "deep/volumes"
    with DockerEngine(lab.ubuntu1, volumes=kept) as engine:
        docker = docker_for(engine)
        docker("run --rm -v data:/data busybox sh -c", "echo kept > /data/file")
        assert (kept / "data/_data/file").read_text() == "kept\n"
        assert lab.ubuntu1.run(f"cat {VOLUMES}/data/_data/file").stdout == "kept\n"
        with pytest.raises(Exception, match=r"another engine has the volumes in .*/deep/volumes"):
            DockerEngine(lab.ubuntu2, volumes=kept)
    assert lab.ubuntu1.run(f"ls {VOLUMES}").stdout == ""
    with DockerEngine(lab.ubuntu1, volumes=kept) as engine:
        lab.clean()
    assert (kept / "data/_data/file").read_text() == "kept\n"
    with DockerEngine(lab.ubuntu2, volumes=kept) as engine:
        docker = docker_for(engine)
        assert docker("run --rm -v data:/data busybox cat /data/file") == "kept"
        docker("volume rm data")
    assert list(kept.iterdir()) == []


def test_volumes_cannot_be_kept_where_nothing_can_be_made(lab):
    with pytest.raises(Exception, match=r"no volumes can be had in /proc/volumes: No such file"):
        DockerEngine(lab.ubuntu1, volumes="/proc/volumes")


# An image's own


@pytest.fixture
def image(client):
    """An image that has files in /data, a VOLUME, and the machine's programs by a bind."""
    owner = {"uid": 33, "gid": 33, "mode": 0o2750, "mtime": 1_000_000_000}
    members = [
        *((name, None, {}) for name in ("usr", "etc", "file.d")),
        *((n, b"", {"type": tarfile.SYMTYPE, "linkname": f"usr/{n}"}) for n in ("bin", "lib")),
        ("lib64", b"", {"type": tarfile.SYMTYPE, "linkname": "usr/lib64"}),
        ("data", None, owner),
        ("data/file", b"of the image\n", {"mode": 0o640}),
        ("plain", b"a file\n", {}),
        ("big", None, {}),
        ("big/file", bytes(range(256)) * (1 << 14), {}),
    ]
    client.api.import_image(
        src=layer(*members), repository="mine", tag="1", changes=["VOLUME /data", 'CMD ["true"]']
    )
    return "mine:1"


USR = ("-v", "/usr:/usr:ro")


def test_an_images_volume_takes_what_is_there_with_owner_and_mode(docker, image, host):
    docker("create --name one", *USR, image)
    (mount,) = (m for m in json.loads(docker("inspect -f '{{json .Mounts}}' one")) if m.get("Name"))
    info = host.place.call(os.stat, mount["Source"])
    assert info.st_mode & 0o7777 == 0o2750
    assert (info.st_uid, info.st_gid) == ((33, 33) if os.geteuid() == 0 else (0, 0))
    assert info.st_mtime == 1_000_000_000
    assert mount["Destination"] == "/data"
    assert docker("run --rm --volumes-from one", image, "cat", "/data/file") == "of the image"
    assert json.loads(docker("inspect -f '{{json .Config.Volumes}}' one")) == {"/data": {}}
    docker("run --rm", *USR, image)
    assert docker("volume ls -q") == mount["Name"]


@pytest.mark.parametrize(
    "option", ["-v data:/data:nocopy", "--mount src=data,dst=/data,volume-nocopy"]
)
def test_nocopy_leaves_a_volume_empty(docker, image, option):
    assert docker(f"run --rm {option}", *USR, image, "ls", "-A", "/data") == ""
    assert docker("run --rm -v data:/data", *USR, image, "ls", "-A", "/data") == "file"


def test_a_bind_and_a_volume_of_another_container_take_nothing(docker, image, tmp_path):
    (tmp_path / "own").mkdir()
    docker(f"run --rm -v {tmp_path}/own:/data", *USR, image)
    assert list((tmp_path / "own").iterdir()) == []
    docker("create --name other -v data:/data busybox")
    docker("run --rm --volumes-from other", *USR, image)
    assert docker("run --rm --volumes-from other busybox ls /data") == ""


def test_a_files_place_takes_no_volume_and_nothing_is_left(docker, image):
    for option in ("-v data:/plain", "-v /plain"):
        assert docker.refused(f"create {option}", image, code=1) == (
            "cannot mount volume over existing file, file exists /plain"
        )
    assert docker("volume ls -q") == ""
    assert docker("ps -aq") == ""


def test_a_full_disk_leaves_no_container_and_no_volume(lab, docker_for, image_of):
    lab.ubuntu1.run(f"mkdir -p {VOLUMES}; mount -t tmpfs -o size=1m none {VOLUMES}", check=True)
    with DockerEngine(lab.ubuntu1) as engine:
        docker = docker_for(engine)
        image_of(engine)
        docker("volume create there")
        look = "cat /proc/self/mountinfo; ls -A /run/natlab/docker/containers"
        before = lab.ubuntu1.run(look).stdout
        for name in ("there", "data"):
            assert docker.refused(f"create -v {name}:/big -v /more mine:1", code=1) == (
                f"failed to populate volume: write {VOLUMES}/{name}/_data/file:"
                " no space left on device"
            )
            assert docker("volume ls -q") == "there"
            assert docker("ps -aq") == ""
        assert lab.ubuntu1.run(f"find {VOLUMES}/there/_data").stdout == f"{VOLUMES}/there/_data\n"
        assert lab.ubuntu1.run(look).stdout == before


def test_a_full_disk_has_no_half_of_a_volume(lab, docker_for):
    lab.ubuntu1.run(f"mkdir -p {VOLUMES}; mount -t tmpfs -o nr_inodes=3 none {VOLUMES}", check=True)
    with DockerEngine(lab.ubuntu1) as engine:
        docker = docker_for(engine)
        for line in ("volume create data", "create -v data:/data busybox true"):
            assert docker.refused(line, code=1) == (
                f"create data: error while creating volume root path '{VOLUMES}/data': mkdir"
                f" {VOLUMES}/data: no space left on device"
            )
        assert docker("volume ls -q") == ""
        assert docker("ps -aq") == ""
    assert lab.ubuntu1.run(f"ls -A {VOLUMES}").stdout == ""


@pytest.fixture
def image_of():
    """Give an engine the image `mine:1`, with a file of four megabytes in /big."""
    import docker

    def load(engine):
        client = docker.DockerClient(base_url=engine.url)
        big = ("big/file", b"x" * (4 << 20), {})
        client.api.import_image(
            src=layer(("big", None, {}), big), repository="mine", tag="1", changes=["CMD true"]
        )
        client.close()

    return load


# When something has vanished


def test_a_volume_that_was_taken_away_by_hand_starts_no_container(docker, host):
    docker("create --name one -v data:/data busybox true")
    host.run(f"rm -r {VOLUMES}/data", check=True)
    said = docker.refused("start one", code=1)
    assert f'error mounting "{VOLUMES}/data/_data" to rootfs at "/data": no such file' in said
    assert docker("inspect -f '{{.State.Status}}' one") == "created"
    docker("rm -v one")
    assert host.run("grep -c stage /proc/self/mountinfo").stdout == "0\n"


def test_a_directory_over_a_file_is_no_mount_and_the_message_says_what_to_look_at(docker, host):
    said = docker.refused("run --rm -v data:/etc/profile:nocopy busybox true", code=125)
    assert said.endswith(
        f'error mounting "{VOLUMES}/data/_data" to rootfs at "/etc/profile": not a directory:'
        " unknown: Are you trying to mount a directory onto a file (or vice-versa)? Check if the"
        " specified host path exists and is the expected type"
    )
    assert host.run("grep -c stage /proc/self/mountinfo").stdout == "0\n"


def test_memory_of_one_container_is_not_lent_to_another(docker):
    docker("create --name one --mount type=tmpfs,dst=/m --tmpfs /t -v /data busybox true")
    docker("create --name two --volumes-from one busybox true")
    assert docker("inspect -f '{{range .Mounts}}{{.Destination}}{{end}}' two") == "/data"


def test_containers_go_though_their_volumes_were_taken_away_by_hand(docker, host):
    docker("run -d --rm --name one -v /data -v data:/more busybox sleep 1000")
    docker("create --rm --name two -v /data busybox true")
    docker("create --name three -v /data -v data:/more busybox true")
    host.run(f"rm -r {VOLUMES}", check=True)
    docker("rm -f one")
    docker("rm two")
    docker("rm -v three")
    assert docker("ps -aq") == ""
    assert docker("volume ls -q") == ""
    assert docker.refused("volume rm data", code=1) == "get data: no such volume"


def test_a_binds_source_that_has_vanished_starts_no_container(docker, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    docker(f"create --name one --mount type=bind,src={source},dst=/data busybox true")
    source.rmdir()
    assert f"bind source path does not exist: {source}" in docker.refused("start one", code=1)
    assert not source.exists()


def test_a_single_file_that_is_replaced_by_rename_is_not_seen_inside(docker, tmp_path):
    one = tmp_path / "config"
    one.write_text("old\n")
    docker(f"run -d --name web -v {one}:/etc/config:ro busybox sleep 1000")
    with one.open("r+") as file:
        file.write("new")
    assert docker("exec web cat /etc/config") == "new"
    (tmp_path / "next").write_text("newer\n")
    (tmp_path / "next").rename(one)
    assert docker("exec web cat /etc/config") == "new"
    docker("restart -t 0 web")
    assert docker("exec web cat /etc/config") == "newer"


def test_who_asks_for_his_own_hosts_file_gets_it(docker, tmp_path):
    (tmp_path / "hosts").write_text("10.0.0.1 mine\n")
    assert docker(f"run --rm -v {tmp_path}/hosts:/etc/hosts:ro busybox cat /etc/hosts") == (
        "10.0.0.1 mine"
    )
    seen = docker(
        "run --rm -h me -v etc:/etc busybox sh -c", "tail -n 1 /etc/hosts; cat /etc/hostname"
    )
    assert seen.endswith("me\nme")


def test_read_only_holds_for_what_is_mounted_in_a_bind_too(docker, host, tmp_path):
    (tmp_path / "inner").mkdir()
    host.run(f"mount -t tmpfs none {tmp_path}/inner", check=True)
    for option in (f"-v {tmp_path}:/data:ro", f"--mount type=bind,src={tmp_path},dst=/data,ro"):
        for path in ("/data/x", "/data/inner/x"):
            said = docker.refused(f"run --rm {option} busybox touch {path}", code=1)
            assert said.endswith("Read-only file system")
    mount = f"--mount type=bind,src={tmp_path},dst=/data"
    docker(f"run --rm {mount},ro,bind-recursive=writable busybox touch /data/inner/x")
    assert docker(f"run --rm {mount},bind-recursive=disabled busybox ls /data/inner") == ""
    docker(f"run --rm -v {tmp_path}:/data busybox touch /data/inner/x")
    assert host.run(f"ls {tmp_path}/inner").stdout == "x\n"


def test_what_is_mounted_later_on_the_host_does_not_come_into_a_container(docker, host, tmp_path):
    (tmp_path / "late").mkdir()
    docker(f"run -d --name web -v {tmp_path}:/data busybox sleep 1000")
    host.run(f"mount -t tmpfs none {tmp_path}/late; touch {tmp_path}/late/x", check=True)
    assert docker("exec web ls /data/late") == ""


def test_a_removed_container_that_never_ran_leaves_its_volume_for_good(lab, docker_for):
    with DockerEngine(lab.ubuntu1) as engine:
        docker = docker_for(engine)
        docker("create --rm --name one -v /data busybox true")
        name = anonymous_of(docker, "one")
        docker("rm one")
    with DockerEngine(lab.ubuntu1) as engine:
        assert docker_for(engine)("volume ls -q") == name


def test_a_volume_in_which_somebody_has_mounted_something_outlives_rm(docker, host):
    docker("run -d --rm --name one -v /data busybox sleep 1000")
    name = anonymous_of(docker, "one")
    inner = f"{VOLUMES}/{name}/_data/inner"
    host.run(f"mkdir {inner} && mount -t tmpfs none {inner} && touch {inner}/kept", check=True)
    docker("rm -f one")
    assert host.run(f"ls {inner}").stdout == "kept\n"
    assert docker.refused(f"volume rm {name}", code=1) == (
        f"remove {name}: something is mounted in it: umount {inner} first"
    )
    host.run(f"umount {inner}", check=True)
    docker(f"volume rm {name}")


def test_an_engine_waits_for_what_it_is_deleting(lab, docker_for, caplog):
    with DockerEngine(lab.ubuntu1) as engine:
        fill = "seq -f /data/%.0f 20000 | xargs touch"
        docker_for(engine)("run --rm -v /data busybox sh -c", fill)
    assert lab.ubuntu1.run(f"ls -A {VOLUMES}").stdout == ""
    DockerEngine(lab.ubuntu1).close()
    assert "killed" not in caplog.text


# docker-py


def test_docker_py_makes_finds_and_removes_volumes(client):
    made = client.volumes.create("data", driver="local", labels={"a": "b"})
    assert (made.name, made.attrs["Labels"], made.attrs["Scope"]) == ("data", {"a": "b"}, "local")
    assert made.attrs["Mountpoint"] == f"{VOLUMES}/data/_data"
    assert client.volumes.create("data") == made
    assert [v.name for v in client.volumes.list(filters={"dangling": True})] == ["data"]
    assert len(client.volumes.create().name) == 64
    assert client.volumes.list(filters={"label": "nope"}) == []
    client.volumes.get("data").remove()
    with pytest.raises(errors.NotFound, match="get data: no such volume"):
        client.volumes.get("data")
    assert client.volumes.prune()["SpaceReclaimed"] == 0
    assert client.volumes.list() == []
    assert client.api.prune_builds()["SpaceReclaimed"] == 0


def test_docker_py_mounts_volumes_in_each_of_its_spellings(client):
    mounts = [Mount("/b", "two", labels={"x": "y"}), Mount("/c", None), Mount("/d", "", "tmpfs")]
    container = client.containers.create(
        "busybox", "true", volumes={"one": {"bind": "/a", "mode": "ro"}}, mounts=mounts
    )
    shown = {m["Destination"]: m for m in container.attrs["Mounts"]}
    assert (shown["/a"]["Name"], shown["/a"]["RW"], shown["/a"]["Mode"]) == ("one", False, "ro")
    assert (shown["/b"]["Name"], shown["/b"]["RW"], shown["/b"]["Mode"]) == ("two", True, "z")
    assert len(shown["/c"]["Name"]) == 64
    assert (shown["/d"]["Type"], shown["/d"]["Source"]) == ("tmpfs", "")
    assert client.volumes.get("two").attrs["Labels"] == {"x": "y"}
    container.remove(v=True)
    assert {v.name for v in client.volumes.list()} == {"one", "two"}


@pytest.mark.parametrize(
    "body",
    [
        {"Name": 1},
        {"Name": "x1", "Labels": []},
        {"Name": "x1", "Labels": {"a": 1}},
        {"Name": "a\0b"},
        {"DriverOpts": "size"},
    ],
)
def test_a_volume_of_the_wrong_shape_is_refused(client, body):
    response = client.api._post_json(client.api._url("/volumes/create"), data=body)
    assert response.status_code == 400
    assert response.json()["message"].startswith("invalid JSON: ")
    assert client.volumes.list() == []


def test_files_of_a_volume_are_copied_in_and_out_running_or_not(docker, tmp_path):
    (tmp_path / "file").write_text("text")
    docker("create --name one -v data:/data busybox sleep 1000")
    docker(f"cp {tmp_path}/file one:/data/file")
    assert docker("run --rm -v data:/x busybox cat /x/file") == "text"
    docker("start one")
    docker(f"cp one:/data/file {tmp_path}/back")
    assert (tmp_path / "back").read_text() == "text"
    assert docker("diff one") == "A /data", "what is in a volume is no change of the container's"
    docker("rm -f one")


def test_events_tell_what_becomes_of_volumes(docker):
    docker("run --name one -v data:/data:ro -v /more busybox true")
    docker("rm -v one")
    docker("volume rm data")
    said = docker(
        f"events --since 1h --until {time.time():.9f} -f type=volume --format",
        "{{.Action}} {{len .Actor.ID}} {{.Actor.Attributes.driver}}"
        ' {{index .Actor.Attributes "destination"}} {{index .Actor.Attributes "read/write"}}',
    )
    assert [line.rstrip() for line in said.splitlines()] == [
        "create 4 local",
        "create 64 local",
        "mount 4 local /data false",
        "mount 64 local /more true",
        "unmount 4 local",
        "unmount 64 local",
        "destroy 64 local",
        "destroy 4 local",
    ]


def test_two_that_copy_into_one_volume_at_once_do_it_once(client, image, host):
    client.volumes.create("data")
    found = []

    def create():
        found.append(client.containers.create(image, volumes=["data:/data"]))

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert host.run(f"ls -A {VOLUMES}/data {VOLUMES}/data/_data").stdout.split() == [
        *(f"{VOLUMES}/data:", "_data", "volume.json"),
        *(f"{VOLUMES}/data/_data:", "file"),
    ]


# Whatever is done, and in whatever order

WISH = st.fixed_dictionaries(
    {
        "named": st.lists(st.sampled_from(["n1", "n2", "n3"]), max_size=2, unique=True),
        "anonymous": st.integers(0, 2),
        "lent_by": st.none() | st.integers(0, 9),
    }
)
STEP = st.one_of(
    st.tuples(st.just("create"), WISH),
    st.tuples(st.just("run --rm"), WISH),
    st.tuples(st.sampled_from(["rm", "rm -v", "start"]), st.integers(0, 9)),
    st.tuples(st.sampled_from(["prune", "prune -a"]), st.none()),
    st.tuples(st.just("volume rm"), st.sampled_from(["n1", "n2", "n3"])),
)


class Story:
    """What an engine does, and beside it what it should have come to."""

    def __init__(self, engine) -> None:
        self.engine, self.volumes, self.containers = engine, set(), []
        self.anonymous = set()

    def pick(self, number):
        return self.containers[number % len(self.containers)] if self.containers else None

    def create(self, wish, **more):
        lender = None if wish["lent_by"] is None else self.pick(wish["lent_by"])
        body = {
            "Image": "busybox",
            "Cmd": ["true"],
            "Volumes": {f"/a{number}": {} for number in range(wish["anonymous"])},
            "HostConfig": {
                "Binds": [f"{name}:/{name}" for name in wish["named"]],
                "VolumesFrom": [lender.id] if lender else None,
                "NetworkMode": "none",
                **more,
            },
        }
        before = volume_names(lender) if lender else set()
        container, _ = self.engine.containers.create(None, body)
        names = volume_names(container)
        assert set(wish["named"]) <= names
        self.anonymous |= {name for name in names - before if len(name) == 64}
        self.volumes |= names
        self.containers.append(container)
        return container

    def used(self):
        return {name for container in self.containers for name in volume_names(container)}

    def gone(self, container, *, volumes):
        self.containers.remove(container)
        if volumes:
            self.volumes -= (volume_names(container) & self.anonymous) - self.used()

    def do(self, action, what):
        if action == "create":
            self.create(what)
        elif action == "run --rm":
            container = self.create(what, AutoRemove=True)
            self.engine.lives.start(container)
            self.engine.lives.await_end(container, 0)
            with self.engine.lock:  # its end has been dealt with
                assert container.removed
            self.gone(container, volumes=True)
        elif action.startswith("prune"):
            everything = action == "prune -a"
            wanted = (lambda _: True) if everything else lambda v: bool(v.labels)
            self.engine.volumes.removal.prune(wanted)
            self.volumes -= (self.volumes if everything else self.anonymous) - self.used()
        elif action == "volume rm":
            self.remove(what)
        elif (container := self.pick(what)) is None:
            return
        elif action == "start":
            runs = container.runs
            self.engine.lives.start(container)
            self.engine.lives.await_end(container, runs)
        else:
            volumes = action == "rm -v"
            self.engine.containers.remove(container, volumes=volumes)
            self.gone(container, volumes=volumes)

    def remove(self, name):
        if name in self.volumes - self.used():
            self.engine.volumes.removal.remove(name)
            self.volumes.discard(name)
            return
        with pytest.raises(Refusal) as caught:
            self.engine.volumes.removal.remove(name)
        assert caught.value.status == (409 if name in self.volumes else 404)

    def check(self):
        assert {volume.name for volume in self.engine.volumes.all()} == self.volumes
        assert self.used() <= self.volumes

    def end(self):
        for container in self.containers:
            self.engine.containers.remove(container, force=True)
        self.engine.volumes.removal.prune(lambda _: True)


@settings(
    max_examples=25,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEP, min_size=3, max_size=12))
def test_no_order_of_doing_loses_a_volume_that_is_used_or_leaves_one_that_should_have_gone(
    engine, steps
):
    story = Story(engine.engine)
    try:
        for action, what in steps:
            story.do(action, what)
            story.check()
    finally:
        story.end()
