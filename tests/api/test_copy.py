"""Files in and out of containers, and what is refused on the way."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from pathlib import Path

import pytest
from docker import errors

SLEEP = ["sleep", "1000"]
DEEP = 1 << 20


def tar(*members):
    """A tar of `TarInfo`s with what is in them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def entry(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def folder(name, **fields):
    return entry(name, type=tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def link(name, target, kind=tarfile.SYMTYPE):
    return entry(name, type=kind, linkname=target)


def unpacked(pieces):
    """What came out, by name: `(type, contents or target)`."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            found[member.name] = file.read() if file else member.linkname or None
    return found


@pytest.fixture(params=["running", "stopped", "created"])
def container(request, client):
    """A container in each state in which files may be copied."""
    container = client.containers.create("busybox", SLEEP, name="web")
    if request.param != "created":
        container.start()
    if request.param == "stopped":
        container.kill()
    container.reload()
    return container


@pytest.fixture
def web(client):
    """A container that runs."""
    return client.containers.run("busybox", SLEEP, detach=True, name="web")


def tree(directory):
    """All names below a directory with their kinds and sizes."""
    found = [(path, path.lstat()) for path in directory.rglob("*")]
    return sorted((str(path), stat.S_IFMT(info.st_mode), info.st_size) for path, info in found)


# In and out


def test_a_file_goes_in_and_comes_out_the_same(container):
    data = bytes(range(256)) * 4096
    assert container.put_archive("/srv", tar(entry("f", data, mode=0o640, mtime=1_700_000_000)))
    pieces, told = container.get_archive("/srv/f")
    assert unpacked(pieces) == {"f": data}
    assert (told["name"], told["size"], told["linkTarget"]) == ("f", len(data), "")
    assert told["mode"] & 0o777 == 0o640
    assert told["mtime"] == "2023-11-14T22:13:20Z"
    assert {"Path": "/srv/f", "Kind": 1} in container.diff()


def test_a_directory_goes_in_with_all_that_is_in_it(container):
    inner = tar(
        folder("d"),
        entry("d/f", b"1"),
        folder("d/empty"),
        link("d/link", "f"),
        link("d/up", "../other"),
        link("d/abs", "/etc/hostname"),
        entry("d/f2", b"2" * DEEP),
        link("d/hard", "d/f", tarfile.LNKTYPE),
    )
    assert container.put_archive("/opt", inner)
    pieces, told = container.get_archive("/opt/d")
    assert told["mode"] & (1 << 31)
    found = unpacked(pieces)
    assert found.pop("d/f2") == b"2" * DEEP
    assert found.pop("d/f") in (b"1", "d/hard")
    assert found.pop("d/hard") in (b"1", "d/f")
    assert found == {
        "d": None,
        "d/empty": None,
        "d/link": "f",
        "d/up": "../other",
        "d/abs": "/etc/hostname",
    }


def test_what_was_put_into_a_stopped_container_is_there_when_it_runs(client):
    container = client.containers.create("busybox", ["cat", "/srv/f"])
    assert container.put_archive("/srv", tar(entry("f", b"hello\n")))
    container.start()
    container.wait()
    assert container.logs() == b"hello\n"
    assert container.put_archive("/srv", tar(entry("f", b"again\n")))
    container.start()
    container.wait()
    assert container.logs() == b"hello\nagain\n"


def test_what_a_program_wrote_comes_out_of_a_container_that_has_ended(client):
    container = client.containers.create("busybox", ["sh", "-c", "echo hi > /srv/f"])
    container.start()
    container.wait()
    assert unpacked(container.get_archive("/srv/f")[0]) == {"f": b"hi\n"}


def test_a_link_is_told_and_followed_as_docker_does(web):
    assert web.put_archive("/srv", tar(folder("d"), entry("d/f", b"1"), link("l", "d")))
    pieces, told = web.get_archive("/srv/l")
    assert unpacked(pieces) == {"l": "d"}
    assert (told["name"], told["linkTarget"]) == ("l", "/srv/d")
    assert told["mode"] & (1 << 27)
    assert "l/f" in unpacked(web.get_archive("/srv/l/")[0])
    assert web.put_archive("/srv/l", tar(entry("g", b"2")))
    assert web.exec_run(["cat", "/srv/d/g"]).output == b"2"


def test_mounted_directories_take_part(client, engine):
    host = engine.engine.host
    host.run("mkdir -p /run/shared && echo one > /run/shared/f")
    container = client.containers.create("busybox", SLEEP, volumes=["/run/shared:/srv/shared"])
    assert unpacked(container.get_archive("/srv/shared/f")[0]) == {"f": b"one\n"}
    assert container.put_archive("/srv/shared", tar(entry("g", b"two\n")))
    assert host.run("cat /run/shared/g").stdout == "two\n"


def test_a_read_only_container_takes_nothing(client):
    container = client.containers.run("busybox", SLEEP, detach=True, read_only=True)
    with pytest.raises(errors.APIError, match="container rootfs is marked read-only"):
        container.put_archive("/srv", tar(entry("f", b"1")))
    container.kill()
    with pytest.raises(errors.APIError, match="container rootfs is marked read-only"):
        container.put_archive("/srv", tar(entry("f", b"1")))


def test_a_container_exports_its_whole_tree(client, tmp_path):
    shell = tar(folder("bin"), entry("bin/none", b"x"), folder("etc"), entry("etc/f", b"1"))
    client.api.import_image(src=io.BytesIO(shell), repository="small")
    container = client.containers.create("small", "/bin/none")
    assert container.put_archive("/", tar(folder("srv"), entry("srv/new", b"2")))
    found = unpacked(container.export())
    assert (found["etc/f"], found["srv/new"]) == (b"1", b"2")
    assert {"proc", "sys", "dev"} <= set(found)
    assert not [name for name in found if name.startswith(("proc/", "sys/"))]
    assert tmp_path


# What is not there


def test_what_is_not_there_is_told_in_dockers_words(container):
    with pytest.raises(errors.NotFound) as caught:
        container.get_archive("/nope")
    assert caught.value.explanation == f"Could not find the file /nope in container {container.id}"
    with pytest.raises(errors.NotFound, match="Could not find the file /nope in container"):
        container.put_archive("/nope", tar(entry("f")))
    with pytest.raises(errors.APIError, match="extraction point is not a directory") as caught:
        container.put_archive("/etc/passwd", tar(entry("f")))
    assert caught.value.status_code == 400
    with pytest.raises(errors.APIError, match=r"path cannot be empty|bad parameter"):
        container.get_archive("")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no archive" * 100, "archive/tar: invalid tar header"),
        (tar(entry("f", b"x" * 5000))[:3000], "unexpected EOF"),
    ],
    ids=["text", "cut"],
)
def test_a_damaged_archive_is_one_line(web, data, message):
    with pytest.raises(errors.APIError, match=message) as caught:
        web.put_archive("/srv", data)
    assert caught.value.status_code == 400
    assert web.exec_run("true").exit_code == 0


# What leads out


OUT = "natlab-must-not-be-here"

LEADING_OUT = {
    "dots": [entry(f"../../../../{OUT}", b"x")],
    "inner dots": [folder("a"), entry(f"a/../../../../{OUT}", b"x")],
    "absolute name": [entry(f"/{OUT}", b"x")],
    "link up": [link("up", "../../../../.."), entry(f"up/{OUT}", b"x")],
    "absolute link": [link("abs", "/"), entry(f"abs/{OUT}", b"x")],
    "link to proc": [link("p", "/proc/1/root"), entry(f"p/{OUT}", b"x")],
    "link to self": [link("p", "/proc/self/root"), entry(f"p/{OUT}", b"x")],
    "link to cwd": [link("p", "/proc/self/cwd"), entry(f"p/{OUT}", b"x")],
    "hard link": [link("h", "../../etc/passwd", tarfile.LNKTYPE), entry("h", b"x")],
    "absolute hard link": [link("h", "/etc/passwd", tarfile.LNKTYPE)],
    "character device": [entry("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "block device": [entry("dev", type=tarfile.BLKTYPE, devmajor=7, devminor=0)],
}


@pytest.mark.parametrize("name", LEADING_OUT)
def test_nothing_leads_out_of_a_container(client, container, engine, name):
    host = engine.engine.host
    look = f"find / -maxdepth 3 -name '{OUT}' 2>/dev/null; find /run -name '{OUT}'; cat /etc/passwd"
    before = host.run(look, check=False).stdout
    machine = Path("/etc/passwd").read_bytes(), sorted(Path("/").iterdir())
    said = client.api._put(
        client.api._url("/containers/{0}/archive", container.id),
        params={"path": "/srv"},
        data=tar(*LEADING_OUT[name]),
    )
    if said.status_code == 200:
        assert "link" in name  # it may lead anywhere inside
    else:
        assert said.status_code in (400, 403, 500)
        assert "\n" not in said.json()["message"]
        assert "internal error" not in said.json()["message"]
    after = host.run(look, check=False).stdout
    made = [line for line in after.splitlines() if line not in before.splitlines()]
    assert all("/run/natlab/docker/containers/" in line for line in made)
    assert (Path("/etc/passwd").read_bytes(), sorted(Path("/").iterdir())) == machine


@pytest.mark.parametrize("name", ["dots", "inner dots", "absolute name", "character device"])
def test_an_archive_that_leads_out_is_refused_in_one_clear_line(web, name):
    with pytest.raises(errors.APIError) as caught:
        web.put_archive("/srv", tar(*LEADING_OUT[name]))
    assert caught.value.status_code == 400
    wanted = "device nodes are not unpacked" if "device" in name else "is outside of"
    assert wanted in caught.value.explanation


def test_reading_follows_links_inside_of_the_container_only(web, engine):
    engine.engine.host.run("mkdir -p /run/secret && echo no > /run/secret/f")
    assert web.put_archive("/srv", tar(link("l", "/run/secret")))
    assert web.exec_run(["ln", "-s", "../../../run/secret", "/srv/up"]).exit_code == 0
    for path in (
        "/srv/l/f",
        "/srv/up/f",
        "/srv/../../../run/secret/f",
        "/proc/1/root/run/secret/f",
    ):
        with pytest.raises(errors.NotFound):
            web.get_archive(path)


def test_a_directory_does_not_replace_a_file_unless_that_is_wanted(web, client):
    assert web.put_archive("/srv", tar(entry("x", b"1")))
    response = client.api._put(
        client.api._url("/containers/{0}/archive", "web"),
        params={"path": "/srv", "noOverwriteDirNonDir": "true"},
        data=tar(folder("x")),
    )
    assert response.status_code == 400
    assert "cannot overwrite non-directory" in response.json()["message"]
    assert web.put_archive("/srv", tar(folder("x")))
    assert web.exec_run(["test", "-d", "/srv/x"]).exit_code == 0


# The real client


@pytest.fixture
def here(tmp_path):
    """A directory with something to copy."""
    (tmp_path / "f").write_text("one\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "g").write_text("two\n")
    (tmp_path / "l").symlink_to("f")
    return tmp_path


def test_docker_cp_goes_both_ways(docker, container, here):
    docker(f"cp {here}/f web:/srv/f")
    docker(f"cp {here}/f web:/srv/")
    docker(f"cp {here}/f web:/srv/renamed")
    docker(f"cp {here}/d web:/srv")
    docker(f"cp {here}/d/. web:/srv/into", code=0 if container else 1)
    docker(f"cp {here}/l web:/srv/l")
    docker(f"cp -L {here}/l web:/srv/followed")
    out = here / "out"
    docker(f"cp web:/srv {out}")
    assert tree(out) == sorted(
        [
            *((str(out / name), stat.S_IFREG, 4) for name in ("f", "renamed", "followed")),
            *(
                (str(out / name), stat.S_IFDIR, (out / name).stat().st_size)
                for name in ("d", "into")
            ),
            *((str(out / name / "g"), stat.S_IFREG, 4) for name in ("d", "into")),
            (str(out / "l"), stat.S_IFLNK, 1),
        ]
    )
    docker(f"cp web:/srv/f {out}/f2")
    assert (out / "f2").read_text() == "one\n"


def test_docker_cp_speaks_tar_with_a_dash(docker, web, here):
    data = tar(entry("x", b"hi\n"))
    done = docker.start("cp - web:/srv").communicate(data)
    assert done == (b"", b"")
    assert web.exec_run(["cat", "/srv/x"]).output == b"hi\n"
    out, _ = docker.start("cp web:/srv/x -").communicate()
    assert unpacked([out]) == {"x": b"hi\n"}
    assert here


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cp {here}/f web:/nope/", "no such directory"),
        ("cp {here}/f web:/nope/f", "Could not find the file /nope in container web"),
        ("cp web:/nope {here}", "Could not find the file /nope in container web"),
        ("cp {here}/f ghost:/srv", "No such container: ghost"),
        ("cp ghost:/srv {here}", "No such container: ghost"),
        ("cp {here}/d web:/etc/passwd", "cannot copy directory"),
        ("cp {here}/f web:/etc/passwd/", "no such directory"),
        ("cp web:/etc/hostname {here}/nope/", "no such directory"),
    ],
)
def test_docker_cp_complains_as_it_always_does(docker, web, here, line, said):
    assert said in docker.refused(line.format(here=here))
    assert web.exec_run("true").exit_code == 0


def test_docker_diff_tells_what_was_copied(docker, web, here):
    docker(f"cp {here}/d web:/opt/d")
    assert docker("diff web").splitlines() == ["C /opt", "A /opt/d", "A /opt/d/g"]
    assert json.dumps(web.diff())
