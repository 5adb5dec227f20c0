"""Step 23: a named volume, a directory of the host, and two single files in one container."""

from natlab import Lab
from natlab.course import (
    MountPoint,
    Resident,
    appended,
    arrives,
    bind_by_hand,
    check,
    expect,
    mounted_at,
    place_on,
    running,
    script,
)

SITE, EDITED, REPLACED = "/srv/site", "/srv/edited", "/srv/replaced"
MADE = """
mkdir /srv/site
echo "the first page" >/srv/site/index.html
echo "first words" >/srv/edited
echo "first words" >/srv/replaced
"""
VOLUMES = f"-v shelf:/shelf -v {SITE}:/site -v {EDITED}:/edited -v {REPLACED}:/replaced"
RUN = f"docker run -d --name files {VOLUMES} busybox sleep infinity"
ANEW = f"docker rm -f files, and then {RUN}"
CHANGED = """
echo "second words" >>/srv/edited
sed -i s/first/second/ /srv/replaced /srv/site/index.html
"""


def build(lab: Lab) -> None:
    """The files, the container that has them mounted, and the changes from outside."""
    script(lab.ubuntu1, f"{MADE}docker volume create shelf\n{RUN}{CHANGED}")


def files(lab: Lab) -> Resident:
    """The container."""
    return running(lab, "files", f"{RUN} (by hand: box files)")[1]


def mount_it(source: str, target: str) -> str:
    """How it is mounted, in both ways."""
    return f"{bind_by_hand('files', source, target)}; with docker: {ANEW}"


def mounted_file(lab: Lab, target: str, source: str) -> tuple[Resident, MountPoint]:
    """A single file is mounted at a place in the container."""
    inside = files(lab)
    hint = f"mount the file before you change it: {mount_it(source, target)}"
    mount = mounted_at(inside, target, hint=hint)
    expect(
        inside.run("test", "-f", target).returncode == 0,
        expected=f"{target} in the container is a file",
        actual="it is a directory: -v makes one where the host has nothing",
        hint=f"rmdir {source}, make the file, and then {ANEW}",
    )
    return inside, mount


@check("the volume shelf is a directory of ubuntu1: written here, read there")
def named_volume(lab: Lab) -> str:
    inside = files(lab)
    hint = mount_it("/srv/volumes/shelf", "/shelf")
    place = place_on(lab.ubuntu1, mounted_at(inside, "/shelf", hint=hint), hint=hint)
    expect(
        "shelf" in place.split("/"),
        expected="the volume at /shelf is called shelf",
        actual=f"it lies in {place}",
        hint=f"a name stands before the colon, -v shelf:/shelf: {ANEW}",
    )
    arrives(lab.ubuntu1, place, inside, "/shelf", hint=hint)
    return arrives(inside, "/shelf", lab.ubuntu1, place, hint=hint)


@check("ubuntu1's own /srv/site is at /site: written here, read there")
def host_directory(lab: Lab) -> str:
    inside = files(lab)
    hint = mount_it(SITE, "/site")
    place = place_on(lab.ubuntu1, mounted_at(inside, "/site", hint=hint), hint=hint)
    expect(
        place == SITE,
        expected=f"at /site the directory {SITE} of ubuntu1",
        actual=f"it is {place}",
        hint=f"a path begins with /, -v {SITE}:/site: {ANEW}",
    )
    arrives(lab.ubuntu1, SITE, inside, "/site", hint=hint)
    return arrives(inside, "/site", lab.ubuntu1, SITE, hint=hint)


@check("a page that was replaced in that directory is the new one inside", needs=[host_directory])
def looked_up_anew(lab: Lab) -> str:
    ours = lab.ubuntu1.run(["cat", f"{SITE}/index.html"]).stdout
    theirs = files(lab).read("/site/index.html")
    expect(
        ours and "first" not in ours,
        expected=f"{SITE}/index.html was replaced after the container began",
        actual=ours.strip() or "there is none",
        hint=f"on ubuntu1: sed -i s/first/second/ {SITE}/index.html",
    )
    expect(
        ours == theirs,
        expected=f"inside it reads: {ours.strip()}",
        actual=theirs.strip() or "nothing",
        hint=f"mount the directory, and not a file in it: {ANEW}",
    )
    return f"inside and outside it reads: {ours.strip()}"


@check("the file that was edited in place is one file, inside and outside")
def in_place(lab: Lab) -> str:
    inside, mount = mounted_file(lab, "/edited", EDITED)
    expect(
        not mount.deleted,
        expected=f"{EDITED} is the file that the container began with",
        actual="it was replaced by another one",
        hint=f"mount it anew ({ANEW}), and then: echo second words >>{EDITED}",
    )
    lines = lab.ubuntu1.run(["cat", EDITED]).stdout.splitlines()
    expect(
        len(lines) > 1,
        expected=f"a second line in {EDITED}",
        actual="; ".join(lines) or "it has none",
        hint=f"on ubuntu1: echo second words >>{EDITED}",
    )
    with appended(lab.ubuntu1, EDITED) as words:
        expect(
            words in inside.read("/edited"),
            expected=f"what ubuntu1 writes in {EDITED} is in /edited at once",
            actual="it is not there",
            hint=f"it is another file: {ANEW}",
        )
    return f"ubuntu1 writes in {EDITED}, and it is in /edited: {len(lines)} lines in both"


@check("the file that was replaced by a rename is another one outside: inside the old one stays")
def by_rename(lab: Lab) -> str:
    inside, mount = mounted_file(lab, "/replaced", REPLACED)
    there = lab.ubuntu1.run(["cat", REPLACED])
    expect(
        there.returncode == 0,
        expected=f"a file {REPLACED} on ubuntu1",
        actual="there is none",
        hint=f"echo second words >{REPLACED}.new; mv {REPLACED}.new {REPLACED}",
    )
    expect(
        mount.deleted,
        expected="the file that is mounted at /replaced has no name on ubuntu1 any more",
        actual=f"it is {mount.root} of the file system {mount.device}: one and the same file still",
        hint=f"after the container has begun, on ubuntu1: sed -i s/first/second/ {REPLACED}",
    )
    with appended(lab.ubuntu1, REPLACED) as words:
        expect(
            words not in inside.read("/replaced"),
            expected=f"what ubuntu1 writes in {REPLACED} is not in /replaced",
            actual="it is there",
            hint=ANEW,
        )
    names = inside.run("stat", "-c", "%h", "/replaced").stdout.strip()
    ours = there.stdout.splitlines()[:1]
    theirs = inside.read("/replaced").splitlines()[:1]
    return f"inside {theirs}, a file with {names} names; outside {ours}"


CHECKS = [named_volume, host_directory, looked_up_anew, in_place, by_rename]
