"""`natlab docker`: files and images, out and in."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from natlab.cli.docker_tar import pack
from natlab.cli.docker_untar import unpack
from natlab.errors import UsageError


def test_the_cidfile_has_the_id_and_is_not_overwritten(asked, tmp_path):
    file = tmp_path / "cid"
    code, out, _ = asked(f"create --cidfile {file} busybox")
    assert (code, out) == (0, f"{file.read_text()}\n")
    code, _, err = asked(f"create --cidfile {file} busybox")
    assert code == 1
    assert err.startswith("container ID file found, make sure the other container isn't running")


def test_images_go_out_and_come_back(asked, tmp_path):
    tree = tmp_path / "tree.tar"
    with tarfile.open(tree, "w") as tar:
        tar.addfile(tarfile.TarInfo("empty"), io.BytesIO())
    code, out, _ = asked(f"import -c 'CMD [\"x\"]' -m made {tree} mine:1")
    assert code == 0
    assert out.startswith("sha256:")
    assert asked("inspect -f {{.Config.Cmd}}{{.Comment}} mine:1")[1] == "[x]made\n"
    assert asked(f"save -o {tmp_path}/saved.tar mine:1") == (0, "", "")
    assert asked("rmi mine:1")[0] == 0
    assert asked(f"load -i {tmp_path}/saved.tar") == (0, "Loaded image: mine:1\n", "")
    assert asked("image rm mine:1")[1].startswith("Untagged: mine:1\nDeleted: sha256:")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved.tar", "tree.tar"]


def test_a_file_that_is_not_there_is_told_in_one_line(asked, tmp_path):
    missing = tmp_path / "missing"
    said = f"open {missing}: no such file or directory\n"
    assert asked(f"load -i {missing}") == (1, "", said)
    assert asked(f"import {missing} x") == (1, "", said)
    assert asked(f"cp {missing} x:/")[2] == f"lstat {missing}: no such file or directory\n"


def _tree(path):
    """What is below a directory: modes, contents, targets."""
    found = {}
    for one in sorted(path.rglob("*")):
        if one.is_symlink():
            found[str(one.relative_to(path))] = str(one.readlink())
        else:
            mode = one.stat().st_mode & 0o777
            found[str(one.relative_to(path))] = (mode, one.read_bytes() if one.is_file() else None)
    return found


@pytest.fixture
def files(tmp_path):
    """A directory with a bit of everything."""
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "file").write_bytes(b"x" * 70000)
    (source / "deep" / "tool").write_text("#!/bin/sh\n")
    (source / "deep" / "tool").chmod(0o755)
    (source / "link").symlink_to("deep/tool")
    (source / "away").symlink_to("deep")
    return source


@pytest.mark.parametrize(
    "way",
    [
        ("{source} web:/tmp", "web:/tmp/source {place}", ""),
        ("{source}/. web:/tmp", "web:/tmp/. {place}", ""),
        ("{source} web:/tmp/other", "web:/tmp/other/. {place}", ""),
        ("{source}/ web:/tmp/other", "web:/tmp/other {place}/inside", "inside"),
    ],
)
def test_a_tree_goes_into_a_container_and_back(asked, files, tmp_path, way):
    there, back, landed = way
    place = tmp_path / "place"
    if "/." in back or landed:
        place.mkdir()
    assert asked("create --name web busybox")[0] == 0
    try:
        assert asked(f"cp {there}".format(source=files)) == (0, "", "")
        assert asked(f"cp {back}".format(place=place)) == (0, "", "")
    finally:
        asked("rm -f web")
    assert _tree(place / landed) == _tree(files)


def test_a_file_is_copied_under_its_own_or_another_name(asked, files, tmp_path):
    assert asked("create --name web busybox")[0] == 0
    try:
        assert asked(f"cp {files}/file web:/tmp") == (0, "", "")
        assert asked(f"cp -L {files}/link web:/tmp/named") == (0, "", "")
        assert asked(f"cp web:/tmp/file {tmp_path}/back") == (0, "", "")
        assert asked(f"cp web:/tmp/named {tmp_path}") == (0, "", "")
        assert asked(f"cp web:/tmp/file {tmp_path}/none/x")[2].startswith("invalid output path")
        assert asked(f"cp web:/tmp/file {tmp_path}/none/") == (1, "", "no such directory\n")
        assert asked(f"cp web:/tmp {tmp_path}/back") == (1, "", "cannot copy directory\n")
        assert asked(f"cp {files} web:/tmp/file") == (1, "", "cannot copy directory\n")
    finally:
        asked("rm -f web")
    assert (tmp_path / "back").read_bytes() == (files / "file").read_bytes()
    assert (tmp_path / "named").read_text() == "#!/bin/sh\n"


def test_an_archive_goes_in_and_out_by_standard_streams(run, files):
    archive = b"".join(pack(str(files), "base", follow=False, owners=False))
    assert run("create --name web busybox")[0] == 0
    assert run("cp - web:/tmp", stdin=archive) == (0, b"", b"")
    code, out, _ = run("cp web:/tmp/base -")
    assert code == 0
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        assert "base/deep/tool" in tar.getnames()
        assert {member.uid for member in tar} == {0}


def _archive(*members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return [file.getvalue()]


@pytest.mark.parametrize(
    "members",
    [
        [("base/../../out", tarfile.REGTYPE, "")],
        [("base", tarfile.SYMTYPE, ".."), ("base/out", tarfile.REGTYPE, "")],
        [
            ("base", tarfile.DIRTYPE, ""),
            ("base/up", tarfile.SYMTYPE, "/etc"),
            ("base/up/out", tarfile.REGTYPE, ""),
        ],
        [("base", tarfile.LNKTYPE, "base/../../../out")],
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_nothing_of_an_archive_lands_outside(tmp_path, members, inside):
    place = tmp_path / "a" / "place"
    place.parent.mkdir()
    if inside:
        place.mkdir()
    (tmp_path / "out").write_text("precious")
    with pytest.raises(UsageError):
        unpack(_archive(*members), place, inside=inside, owners=False)
    assert (tmp_path / "out").read_text() == "precious"
    assert not Path("/etc/out").exists()
