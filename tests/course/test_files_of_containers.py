"""What checks say of a container's files: live writes that leave no trace, mounts, layers."""

from __future__ import annotations

import pytest

from natlab import Lab
from natlab.course import (
    Fail,
    appended,
    arrives,
    mounted_at,
    own_layer,
    place_on,
    reads,
    refused,
    residents,
    script,
    shown_inside,
    stays,
    union_root,
    written,
)

HINT = "do this"


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        yield lab


@pytest.fixture
def ubuntu1(lab):
    lab.clean()
    return lab.ubuntu1


@pytest.fixture
def web(ubuntu1):
    """A container by hand, with a directory of ubuntu1 at /data, and once more to be read only."""
    script(
        ubuntu1,
        """
        mkdir /srv/data
        enter="nsenter -m -t $(box web)"
        $enter mkdir /srv/web/root/data /srv/web/root/sealed /srv/web/root/memory
        $enter mount --bind /srv/data /srv/web/root/data
        $enter mount -o bind,ro /srv/data /srv/web/root/sealed
        $enter mount -t tmpfs none /srv/web/root/memory
        """,
    )
    [inside] = residents(ubuntu1.container("web"))
    return inside


def without_a_union(host, name):
    """A container whose program stands on a root without a union."""
    script(
        host,
        f"""
        mkdir /srv/usr
        cp -P /bin /lib* /srv
        ip netns add {name}
        ip netns exec {name} unshare --pid --mount --uts --ipc --fork sh -ec \
            'mount --bind /srv /srv; mount --rbind /usr /srv/usr; exec chroot /srv sleep infinity' \
            >/dev/null 2>&1 &
        until pid=$(pgrep -P $!) && nsenter -m -r -w -t $pid test ! -e /srv; do :; done
        """,
    )
    return host.container(name)


def state(host, directory):
    return host.run(["find", directory, "-printf", "%p %i %s %T@ %m\n"]).stdout


def test_a_live_write_arrives_and_leaves_no_trace(ubuntu1, web):
    before = state(ubuntu1, "/srv/data")
    said = arrives(web, "/data", ubuntu1, "/srv/data", hint=HINT)
    assert said == "what web writes in /data, ubuntu1 reads in /srv/data"
    assert state(ubuntu1, "/srv/data") == before


def test_a_live_write_that_does_not_arrive_is_a_fail(ubuntu1, web):
    with pytest.raises(Fail) as raised:
        arrives(web, "/", ubuntu1, "/srv/data", hint=HINT)
    assert (raised.value.actual, raised.value.hint) == ("it is not there", HINT)
    assert ubuntu1.run("ls -A /srv/data; ls /srv/web/upper/natlab-*").stdout == ""


def test_what_stays_is_told_from_what_is_seen_elsewhere(ubuntu1, web):
    said = stays(web, "/", ubuntu1, "/srv/data", hint=HINT)
    assert said == "what web writes in / is not in /srv/data of ubuntu1"
    with pytest.raises(Fail, match="it is there"):
        stays(web, "/data", ubuntu1, "/srv/data", hint=HINT)


def test_what_is_mounted_read_only_refuses_a_write_with_the_kernels_reason(web):
    said = refused(web, "/sealed", hint=HINT)
    assert said == "web cannot write in /sealed: Read-only file system"
    with pytest.raises(Fail, match="it can"):
        refused(web, "/data", hint=HINT)
    assert web.run("ls", "-A", "/data").stdout == ""


def test_where_nothing_can_be_written_the_fail_says_why(web):
    with pytest.raises(Fail, match="web can write in /sealed; found Read-only file system"):
        with written(web, "/sealed", hint=HINT):
            pytest.fail("it was written")
    with pytest.raises(Fail, match="web can write in /nowhere"):
        with written(web, "/nowhere", hint=HINT):
            pytest.fail("it was written")


def test_a_written_file_is_there_for_the_length_of_the_block(ubuntu1, web):
    with written(web, "/data", hint=HINT) as name:
        assert reads(ubuntu1, "/srv/data", name)
        assert not reads(ubuntu1, "/srv", name)
    assert not reads(ubuntu1, "/srv/data", name)


def test_a_line_at_the_end_of_a_file_is_taken_off_again(ubuntu1, web):
    ubuntu1.run("printf 'no end of line' >/srv/data/file", check=True)
    before = state(ubuntu1, "/srv/data/file")
    with appended(ubuntu1, "/srv/data/file") as words:
        assert words in web.read("/data/file")
    assert state(ubuntu1, "/srv/data/file") == before
    assert web.read("/data/file") == "no end of line"
    with (
        pytest.raises(Fail, match="ubuntu1 can write in /srv/data"),
        appended(ubuntu1, "/srv/data"),
    ):
        pytest.fail("it was written")


def test_a_mount_is_found_with_its_place_on_the_host(ubuntu1, web):
    data = mounted_at(web, "/data", hint=HINT)
    assert place_on(ubuntu1, data, hint=HINT) == "/srv/data"
    assert data.what == mounted_at(web, "/sealed", hint=HINT).what
    assert [data.read_only, mounted_at(web, "/sealed", hint=HINT).read_only] == [False, True]


def test_where_nothing_is_mounted_the_fail_names_what_is(web):
    with pytest.raises(Fail, match="its mounts are /, /data, /memory, /sealed, /usr"):
        mounted_at(web, "/var", hint=HINT)


def test_a_mount_of_the_containers_own_and_one_without_a_name_have_no_place(ubuntu1, web):
    with pytest.raises(Fail, match="a tmpfs of its own, which ubuntu1 does not see"):
        place_on(ubuntu1, mounted_at(web, "/memory", hint=HINT), hint=HINT)
    ubuntu1.run("rmdir /srv/data", check=True)
    with pytest.raises(Fail, match="/data was removed or replaced there"):
        place_on(ubuntu1, mounted_at(web, "/data", hint=HINT), hint=HINT)


def test_the_layer_in_which_writes_arrive_is_found_by_a_write(ubuntu1, web):
    assert own_layer(ubuntu1, web, hint=HINT) == "/srv/web/upper"
    assert own_layer(ubuntu1, web, "/etc", hint=HINT) == "/srv/web/upper/etc"
    assert own_layer(ubuntu1, web, "/data", hint=HINT) == "/srv/data"
    with pytest.raises(Fail, match="it is nowhere below /srv, /run, /var/lib/docker"):
        own_layer(ubuntu1, web, "/memory", hint=HINT)


def test_the_root_of_a_container_is_a_union_and_that_of_a_bare_process_is_not(ubuntu1, web):
    assert union_root(web, hint=HINT).kind == "overlay"
    [bare] = residents(without_a_union(ubuntu1, "bare"))
    with pytest.raises(Fail, match="the root of bare is an overlay; found it is tmpfs"):
        union_root(bare, hint=HINT)


def test_what_containers_have_mounted_is_known_by_its_place_on_the_host(ubuntu1, web):
    assert web.name == "web"
    assert shown_inside(ubuntu1)["/srv/data"] == "web"
    assert "/srv" not in shown_inside(ubuntu1)
