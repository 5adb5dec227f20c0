"""What a container sees as its root, what of its changes stays, and what is mounted in it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from natlab.errors import ExecError, NatlabError
from natlab.kernel import accounts, confine, files, overlays, syscalls
from natlab.kernel.confine import Mount

_OPAQUE = b"y"


@pytest.fixture
def layers(tmp_path, image):
    """Make layers above the image: `layers({"etc/motd": "text"}, …)`, the topmost first."""

    def make(*contents):
        made = []
        for number, content in enumerate(contents):
            layer = tmp_path / f"layer{number}"
            layer.mkdir()
            for name, text in content.items():
                path = layer / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if text is None:
                    overlays.make_whiteout(str(path))
                else:
                    path.write_text(text)
            made.append(str(layer))
        return [*made, str(image)]

    return make


def test_upper_layers_cover_lower_ones(box, layers):
    tree = box.tree(*layers({"etc/motd": "top"}, {"etc/motd": "middle", "etc/other": "other"}))
    assert box.run("cat", "/etc/motd", "/etc/other", tree=tree).out == "topother"
    assert "root:x:0" in box.run("cat", "/etc/passwd", tree=tree).out


def test_a_whiteout_takes_away_what_lies_below(box, layers):
    tree = box.tree(*layers({"etc/motd": None}))
    assert "motd" not in box.run("ls", "/etc", tree=tree).out


def test_an_opaque_directory_hides_the_one_below(box, layers):
    made = layers({"etc/only": "x"})
    overlays.make_opaque(f"{made[0]}/etc")
    assert box.run("ls", "/etc", tree=box.tree(*made)).out.split() == ["only"]


@pytest.mark.parametrize("below", ["image", "machine"])
def test_layers_lie_over_the_machines_own_tree_in_the_same_way(box, layers, below):
    made = layers(
        {"app/run": "run", "usr/share/natlab/x": "top", "etc/motd": "m", "srv/a": "b"},
        {"usr/share/natlab/y": "low", "run/kept": "k", "opt": "now a file"},
    )
    if below == "machine":
        made[-1] = "/"
    ran = box.sh(
        "cat /app/run /usr/share/natlab/x /usr/share/natlab/y /etc/motd /srv/a /run/kept /opt;"
        "ls /usr/bin/cat",
        tree=box.tree(*made),
    )
    assert ran == type(ran)(0, "runtoplowmbknow a file/usr/bin/cat\n", "")


def test_a_layer_hides_a_directory_of_the_machine(box, layers):
    made = layers({"srv/only": "x", "media": None, "opt/x": "y"})
    made[-1] = "/"
    overlays.make_opaque(f"{made[0]}/opt")
    ran = box.sh("ls -d /media; ls /opt", tree=box.tree(*made))
    assert ran.out == "x\n"
    assert "No such file" in ran.err


@pytest.mark.parametrize("below", ["image", "machine"])
def test_what_was_written_is_there_at_the_next_start_and_nowhere_else(box, below):
    lower = box.image if below == "image" else "/"
    script = (
        "echo a > /new; mkdir -p /dir/sub; echo b > /dir/sub/x; echo c > /etc/new; echo d >"
        " /usr/bin/new; echo e > /tmp/new; rm /etc/passwd; ln -s /etc/new /link"
    )
    assert box.sh(script, tree=box.tree(lower)).err == ""
    look = "cat /new /dir/sub/x /etc/new /usr/bin/new /tmp/new /link; ls /etc/passwd"
    again = box.sh(look, tree=box.tree(lower))
    assert again.out.split() == ["a", "b", "c", "d", "e", "c"]
    assert "No such file" in again.err
    other = box.sh(f"{look}; ls -d /etc/passwd", tree=box.tree(lower, name="two"))
    assert other.out.split() == ["/etc/passwd"] * 2
    assert not Path("/etc/new").exists()


def test_with_its_upper_directory_a_containers_changes_are_gone(box):
    box.sh("echo a > /new; echo b > /etc/new")
    box.host.call(files.remove_trees, "/run/test")
    assert box.sh("ls /new /etc/new").out == ""


def test_the_machines_directories_are_the_containers_own_two_levels_deep(box):
    script = "touch /etc/x /var/lib/x /usr/local/x /srv/x /opt/x /var/log/x && mkdir /var/y"
    assert box.sh(script) == type(box.sh("true"))(0, "", "")


def test_paths_with_colons_commas_and_backslashes_are_only_paths(box, tmp_path, image):
    odd = tmp_path / "a:b,c\\d e"
    odd.mkdir()
    (odd / "odd").write_text("odd")
    tree = confine.Tree((str(odd), str(image)), "/run/u:p,1\\/up", "/run/u:p,1\\/work")
    assert box.sh("cat /odd; echo x > /y; cat /y", tree=tree).out == "oddx\n"


def test_a_hundred_layers_are_mounted(box, layers):
    made = layers(*[{f"n/{number}": "x"} for number in range(100)])
    assert len(box.run("ls", "/n", tree=box.tree(*made)).out.split()) == 100


def test_no_layer_at_all_is_an_empty_tree(box):
    empty = confine.Tree((), "/run/test/e/up", "/run/test/e/work")
    with pytest.raises(ExecError, match="executable file not found"):
        box.run("sh", tree=empty)


def test_a_missing_layer_is_named(box):
    with pytest.raises(NatlabError, match="/run/nothing"):
        box.run("sh", tree=box.tree("/run/nothing"))
    assert box.children() == []


def test_a_read_only_root_takes_nothing_but_its_mounts_do(box):
    for tree in (box.tree(), box.tree(box.image, name="two")):
        ran = box.sh(
            "touch /x; touch /etc/x; touch /usr/x; touch /dev/shm/x /data/x && echo fine",
            read_only=True,
            tree=tree,
            mounts=(Mount("", "/data", kind="tmpfs"),),
        )
        assert ran.out == "fine\n"
        assert ran.err.count("Read-only file system") == 3


def test_it_has_the_usual_devices_and_they_work(box):
    script = (
        "for d in null zero full random urandom tty; do stat -c '%n %F' /dev/$d; done;"
        "echo gone > /dev/null; head -c 3 /dev/zero | wc -c; ls / > /dev/full;"
        "ls /dev; stat -c %a /dev/shm /dev; echo o > /dev/stdout;"
        "echo e > /dev/stderr; ls -d /dev/fd/0"
    )
    ran = box.sh(script)
    assert ran.out.count("character special file") == 6
    assert "No space left on device" in ran.err
    assert ran.out.split()[-4:] == ["1777", "755", "o", "/dev/fd/0"]
    assert ran.err.endswith("e\n")
    assert {"ptmx", "pts", "mqueue", "shm", "fd", "stdin"} <= set(ran.out.split())


def test_the_size_of_shared_memory_is_the_one_asked_for(box):
    ran = box.sh("grep /dev/shm /proc/mounts", shm_size=1 << 20)
    assert "size=1024k" in ran.out
    assert "nosuid,nodev,noexec" in ran.out


def test_a_directory_and_a_file_of_the_host_are_mounted(box):
    box.host.call(files.write_all, {"/run/data/a": "first", "/run/one": "file"})
    mounts = (Mount("/run/data", "/srv/data"), Mount("/run/one", "/etc/deep/one"))
    ran = box.sh("cat /srv/data/a /etc/deep/one; echo new > /srv/data/b", mounts=mounts)
    assert ran.out == "firstfile"
    assert box.host.call(files.read_all, "/run/data/b") == {"/run/data/b": "new\n"}


def test_a_read_only_mount_and_all_below_it_takes_nothing(box):
    box.host.call(files.make_directories, "/run/data/sub")
    box.host.call(syscalls.mount, "none", "/run/data/sub", "tmpfs", syscalls.MS_NOSUID)
    mounts = (Mount("/run/data", "/data", read_only=True),)
    ran = box.sh("touch /data/x; touch /data/sub/x", mounts=mounts)
    assert ran.err.count("Read-only file system") == 2
    assert box.host.call(os.access, "/run/data/sub", os.W_OK), "it is writable outside"


def test_a_mount_of_the_machines_own_files_can_be_read_only(box):
    ran = box.sh(
        "ls /host/usr/bin/sh; touch /host/x", mounts=(Mount("/", "/host", read_only=True),)
    )
    assert ran.out == "/host/usr/bin/sh\n"
    assert "Read-only file system" in ran.err


def test_a_memory_file_system_is_mounted_with_its_options(box):
    mounts = (
        Mount("", "/a", kind="tmpfs", options="size=64k,mode=700"),
        Mount("", "/b", kind="tmpfs", options="exec,ro"),
    )
    ran = box.sh("stat -c %a /a /b; grep -E ' /[ab] ' /proc/mounts; touch /b/x", mounts=mounts)
    assert ran.out.split()[:2] == ["700", "1777"]
    assert "/a tmpfs rw,nosuid,nodev,noexec,relatime,size=64k,mode=700" in ran.out
    assert "/b tmpfs ro,nosuid,nodev,relatime" in ran.out
    assert "Read-only" in ran.err


def test_mounts_are_made_in_the_order_given_one_within_another(box):
    box.host.call(files.write_all, {"/run/inner/x": "x"})
    mounts = (Mount("", "/a", kind="tmpfs"), Mount("/run/inner", "/a/b/c"))
    assert box.run("cat", "/a/b/c/x", mounts=mounts).out == "x"


def test_links_on_the_way_to_a_mount_stay_in_the_container(box, layers):
    made = layers({})
    for name, target in {
        "absolute": "/run/outside",
        "climbing": "../../../../../run/outside",
        "loop": "loop",
        "chain": "absolute/deeper",
    }.items():
        Path(made[0], name).symlink_to(target)
    box.host.call(files.make_directories, "/run/outside")
    box.host.call(files.write_all, {"/run/data/x": "x"})
    tree = box.tree(*made)
    mounts = tuple(Mount("/run/data", f"/{name}/m") for name in ("absolute", "climbing", "chain"))
    ran = box.sh("cat /run/outside/m/x /run/outside/deeper/m/x", tree=tree, mounts=mounts)
    assert ran.out == "xx"
    assert box.host.call(files.list_directory, "/run/outside") == []
    with pytest.raises(ExecError, match=r'to rootfs at "/loop/m": too many levels'):
        box.run("true", tree=tree, mounts=(Mount("/run/data", "/loop/m"),))


def test_proc_and_dev_as_links_in_an_image_lead_nowhere_else(box, layers):
    made = layers({"elsewhere/x": "y"})
    Path(made[0], "proc").symlink_to("/elsewhere")
    Path(made[0], "dev").symlink_to("../../../../../../dev2")
    mounts = box.host.call(files.read_all, "/proc/mounts")
    ran = box.sh("ls -d /elsewhere/1 /dev2/null; ls /elsewhere", tree=box.tree(*made))
    assert ran.out.split()[:2] == ["/dev2/null", "/elsewhere/1"]
    assert box.host.call(files.read_all, "/proc/mounts") == mounts


def test_a_mount_that_cannot_be_made_is_named(box):
    with pytest.raises(ExecError) as refused:
        box.run("true", mounts=(Mount("/run/nothing", "/data"),))
    assert str(refused.value) == (
        'invalid mount config for type "bind": bind source path does not exist: /run/nothing'
    )
    box.host.call(files.write_all, {"/run/file": ""})
    with pytest.raises(
        ExecError, match='error mounting "/run/file" to rootfs at "/etc": not a dir'
    ):
        box.run("true", mounts=(Mount("/run/file", "/etc"),))


def test_a_directory_of_the_machine_with_mounts_in_it_is_shown_with_them(box):
    box.host.call(syscalls.mount, "none", "/usr/games", "tmpfs")
    box.host.call(files.write_all, {"/usr/games/play": "played"})
    ran = box.sh("cat /usr/games/play; touch /usr/games/x /usr/local/x /usr/x; ls /usr/bin/env")
    assert ran == type(ran)(0, "played/usr/bin/env\n", "")
    assert box.sh("ls /usr/games/x /usr/local/x /usr/x").code == 0
    assert box.host.call(files.list_directory, "/usr/games") == ["play"]


def test_what_has_mounts_deeper_down_is_read_only(box):
    box.host.call(syscalls.mount, "none", "/usr/share/doc", "tmpfs")
    box.host.call(files.write_all, {"/usr/share/doc/x": "read"})
    ran = box.sh("cat /usr/share/doc/x; touch /usr/share/doc/y; touch /usr/local/share/y")
    assert ran.out == "read"
    assert ran.err.count("Read-only file system") == 1
    assert ran.err.count("cannot touch") == 1


def test_nothing_of_it_is_mounted_on_the_host(box):
    before = box.host.call(files.read_all, "/proc/mounts")
    live = box.start("sh", "-c", "echo up; read x")
    live.hear("up")
    assert box.host.call(files.read_all, "/proc/mounts") == before
    assert box.host.call(files.list_directory, "/run/natlab/stage") == []


def test_the_old_root_cannot_be_reached(box):
    ran = box.sh("ls -d /proc/1/root/run/test /../run/test; grep -c stage /proc/self/mountinfo")
    assert ran.out.split() == ["0"]


_ACCOUNTS = (
    "root:x:0:0:r:/root:/bin/sh\nwww:x:33:33::/srv:/bin/sh\n7:x:99:9::/seven:\nbad\n#c:x:1:1::/:\n"
)
_GROUP = "root:x:0:\nwww:x:33:\nlogs:x:44:root,www\nadm:x:4:www\nodd:x:y:www\n"


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("", (0, 0, (44,), "/root")),
        ("root", (0, 0, (44,), "/root")),
        ("0", (0, 0, (44,), "/root")),
        ("www", (33, 33, (44, 4), "/srv")),
        ("33", (33, 33, (44, 4), "/srv")),
        ("www:logs", (33, 44, (), "/srv")),
        ("www:1", (33, 1, (), "/srv")),
        ("1000", (1000, 0, (), "/")),
        ("1000:1000", (1000, 1000, (), "/")),
        (":logs", (0, 44, (), "/root")),
        ("7", (99, 9, (), "/seven")),
    ],
)
def test_a_user_is_found_as_docker_finds_it(user, account):
    found = accounts.resolve(user, _ACCOUNTS, _GROUP)
    assert (found.uid, found.gid, found.groups, found.home) == account
    if not user:
        assert accounts.resolve("", "", "") == accounts.Account(0, 0, (), "/")


@pytest.mark.parametrize("user", ["foo", "-1", "9999999999", "www:foo", "1:-1", "#c"])
def test_a_user_that_cannot_be_is_refused(user):
    with pytest.raises(ExecError, match=r"^(unable to find (user|group)|uids and gids)"):
        accounts.resolve(user, _ACCOUNTS, _GROUP)


def test_groups_are_added_by_number_and_by_name():
    assert accounts.additional(("logs", "7", "44"), _GROUP) == (44, 7, 44)
    for name in ("nowhere", "", "-1"):
        with pytest.raises(ExecError, match=r"^(Unable to find group|uids and gids)"):
            accounts.additional((name,), _GROUP)


def test_whiteouts_are_one_form_for_everybody(tmp_path):
    overlays.make_whiteout(str(tmp_path / "gone"))
    info = (tmp_path / "gone").lstat()
    assert stat.S_ISCHR(info.st_mode)
    assert overlays.is_whiteout(str(tmp_path / "gone"), info)
    (tmp_path / "dir").mkdir()
    assert not overlays.is_opaque(str(tmp_path / "dir"))
    overlays.make_opaque(str(tmp_path / "dir"))
    assert os.getxattr(tmp_path / "dir", "user.overlay.opaque") == _OPAQUE
    assert overlays.is_opaque(str(tmp_path / "dir"))


def test_a_path_is_found_while_others_rename(tmp_path):
    for name in ("a", "b", "busy"):
        (tmp_path / name).mkdir()
    (tmp_path / "busy" / "0").touch()
    script = "import os, sys; os.chdir(sys.argv[1]); print(flush=True)\n"
    script += "while True: os.rename('0', '1'); os.rename('1', '0')"
    command = [sys.executable, "-c", script, str(tmp_path / "busy")]
    root = os.open(tmp_path, os.O_PATH)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as renaming:
        renaming.stdout.readline()
        try:
            for _ in range(20_000):
                os.close(syscalls.open_in_root(root, "a/../b/../a/../b", os.O_PATH))
        finally:
            renaming.kill()
            os.close(root)
