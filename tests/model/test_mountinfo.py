"""What is mounted where, read from the kernel's own lines."""

from __future__ import annotations

import pytest

from natlab.model import mountinfo

TEXT = """\
453 361 0:105 / / rw,relatime - overlay overlay rw,lowerdir=/base,upperdir=/upper
454 453 0:108 / /proc rw,nosuid - proc proc rw
475 453 0:61 /volumes/a/_data /var/volume1 rw,nosuid shared:2 master:1 - tmpfs none rw,mode=755
476 453 0:61 /volumes/b\\040c /mnt/a\\040b ro,nosuid - tmpfs none rw
477 453 0:61 /conf//deleted /conf rw - tmpfs none rw
478 453 0:62 / /late rw - tmpfs none ro
479 478 0:63 / /late rw - tmpfs none rw
"""


@pytest.fixture
def mounts():
    return mountinfo.parse(TEXT)


def test_a_line_becomes_a_mount_with_all_that_it_says(mounts):
    assert mounts[0] == mountinfo.MountPoint(
        number=453,
        device="0:105",
        root="/",
        target="/",
        options=frozenset({"rw", "relatime"}),
        kind="overlay",
        source="overlay",
        of_the_whole=("rw", "lowerdir=/base", "upperdir=/upper"),
    )


def test_tags_between_the_options_and_the_dash_are_passed_over(mounts):
    assert (mounts[2].target, mounts[2].kind) == ("/var/volume1", "tmpfs")


def test_what_the_kernel_writes_as_numbers_is_read_as_characters(mounts):
    assert (mounts[3].root, mounts[3].target) == ("/volumes/b c", "/mnt/a b")


def test_a_mount_is_read_only_by_itself_or_with_its_file_system(mounts):
    assert [mount.read_only for mount in mounts] == [False, False, False, True, False, True, False]


def test_a_mount_of_what_was_removed_says_so(mounts):
    assert [mount.target for mount in mounts if mount.deleted] == ["/conf"]


def test_of_two_mounts_at_one_place_the_later_one_shows(mounts):
    found = mountinfo.at(mounts, "/late")
    assert found is not None
    assert found.number == 479
    assert mountinfo.at(mounts, "/var") is None


def test_an_empty_text_and_a_line_cut_short_hold_no_mount():
    assert mountinfo.parse("") == []
    assert mountinfo.parse("453 361 0:105 / / rw") == []


def mount(device, root, target):
    [made] = mountinfo.parse(f"1 1 {device} {root} {target} rw - tmpfs none rw")
    return made


@pytest.mark.parametrize(
    ("root", "here", "found"),
    [
        ("/volumes/a/_data", ("0:61", "/", "/var/lib/docker"), "/var/lib/docker/volumes/a/_data"),
        ("/volumes/a", ("0:61", "/volumes", "/v"), "/v/a"),
        ("/volumes", ("0:61", "/volumes", "/v"), "/v"),
        ("/", ("0:61", "/", "/"), "/"),
        ("/a", ("0:61", "/", "/"), "/a"),
        ("/volumes-of-others", ("0:61", "/volumes", "/v"), None),
        ("/volumes", ("0:61", "/volumes/a", "/v"), None),
        ("/volumes", ("0:62", "/", "/v"), None),
    ],
)
def test_what_is_mounted_there_is_found_here(root, here, found):
    assert mountinfo.path_to(mount("0:61", root, "/x"), [mount(*here)]) == found


def test_two_mounts_of_one_directory_show_the_same():
    assert mount("0:61", "/a", "/x").what == mount("0:61", "/a", "/y").what
    assert mount("0:61", "/a", "/x").what != mount("0:61", "/b", "/x").what
