"""Step 19: the union of an image's directories and a container's own."""

from natlab import Lab
from natlab.course import (
    Resident,
    check,
    expect,
    own_layer,
    running,
    script,
    shell,
    stays,
    union_root,
)

IMAGE = """
mkdir -p /srv/base/etc /srv/base/usr /srv/base/dev /srv/base/proc /srv/app
cp -P /bin /sbin /lib* /srv/base
echo "a line of the image" >/srv/base/etc/motto
echo "hello from base" >/srv/base/welcome
echo "hello from app" >/srv/app/welcome
"""
BOTH = "mkdir /srv/both && cp -a /srv/base/. /srv/app/. /srv/both"
IMPORT = "tar -c -C /srv/both . | docker import - layered"
RUN = "docker run -d --name {} -v /usr:/usr:ro layered sleep infinity"
ONE, TWO = RUN.format("one"), RUN.format("two")
WRITES = "echo one was here >/note; rm /etc/motto; echo and one more >>/welcome"
HELLO = "hello from app"
NOTES = "find /srv /run /var/lib/docker -xdev -name note -type f -exec head -qn 1 {} +"


def build(lab: Lab) -> None:
    """The image, two containers of it, and what one of them writes."""
    script(
        lab.ubuntu1, f"{IMAGE}\n{BOTH}\n{IMPORT}\n{ONE}\n{TWO}\ndocker exec one sh -c '{WRITES}'"
    )


def both(lab: Lab) -> tuple[Resident, Resident]:
    """The two containers."""
    return running(lab, "one", ONE)[1], running(lab, "two", TWO)[1]


def again(name: str, what: str) -> str:
    """What to type in a container."""
    return f"in {name} (docker exec {name} sh, or nsenter): {what}"


@check("one and two are of one image, and each has a union of its own as its root")
def two_unions(lab: Lab) -> str:
    one, two = both(lab)
    roots = []
    for inside in (one, two):
        anew = f"docker rm -f {inside.name}, and then {RUN.format(inside.name)}"
        roots.append(union_root(inside, hint=f"by hand: mount -t overlay … before chroot; {anew}"))
        said = inside.read("/welcome").partition("\n")[0]
        expect(
            said == HELLO or (said and inside is one),
            expected=f"/welcome in {inside.name} is that of app: {HELLO}",
            actual=said or "there is none",
            hint=f"lowerdir=/srv/app:/srv/base, app first; with docker: {BOTH}; {IMPORT}; {anew}",
        )
    expect(
        roots[0].device != roots[1].device,
        expected="one and two have a union each",
        actual="both stand on the same one",
        hint="mount it twice, with an upper directory for each",
    )
    return f"one stands on the overlay {roots[0].device}, two on {roots[1].device}: {HELLO}"


@check("what one writes, neither two nor ubuntu1 sees in its own tree", needs=[two_unions])
def apart(lab: Lab) -> str:
    one, two = both(lab)
    hint = "give each container an upper directory of its own"
    stays(one, "/", lab.ubuntu1, "/", hint=hint)
    return f"{stays(one, '/', two, '/', hint=hint)}, nor in that of ubuntu1"


@check("the note that one has added lies in one's own layer, and two has none", needs=[apart])
def added(lab: Lab) -> str:
    one, two = both(lab)
    note = one.read("/note").strip()
    expect(
        note,
        expected="a file /note in one",
        actual="there is none, or it is empty",
        hint=again("one", 'echo "one was here" >/note'),
    )
    expect(
        two.run("test", "-e", "/note").returncode,
        expected="no /note in two",
        actual=f"it says: {two.read('/note').strip()}",
        hint=again("two", "rm /note"),
    )
    layer = own_layer(lab.ubuntu1, one, hint="keep the upper directory below /srv")
    there = lab.ubuntu1.run(["cat", f"{layer}/note"]).stdout.strip()
    expect(
        there == note,
        expected=f"the note of one is {layer}/note on ubuntu1",
        actual=there or "it is not there: something else is mounted at /note",
        hint=f"docker rm -f one, and then {ONE}",
    )
    return f"{note!r} is {layer}/note on ubuntu1"


@check("what one has removed is a whiteout there, and two still has it", needs=[apart])
def removed(lab: Lab) -> str:
    one, two = both(lab)
    expect(
        one.run("test", "-e", "/etc/motto").returncode,
        expected="no /etc/motto in one",
        actual="it is there",
        hint=again("one", "rm /etc/motto"),
    )
    expect(
        two.run("test", "-s", "/etc/motto").returncode == 0,
        expected="the image's /etc/motto in two",
        actual="two has none, or an empty one",
        hint=f"docker rm -f two, and then {TWO}",
    )
    layer = own_layer(lab.ubuntu1, one, hint="keep the upper directory below /srv")
    mark = lab.ubuntu1.run(["stat", "-c", "%F %t,%T", f"{layer}/etc/motto"]).stdout.strip()
    expect(
        mark == "character special file 0,0",
        expected=f"a character device 0,0 at {layer}/etc/motto",
        actual=mark or "nothing is there: the image itself has lost the file",
        hint=f"docker rm -f one, {ONE}, and then {again('one', 'rm /etc/motto')}",
    )
    return f"{layer}/etc/motto is a device 0,0: here is nothing, whatever lies below"


@check("what one has changed was copied up whole, and two has the image's", needs=[apart])
def changed(lab: Lab) -> str:
    one, two = both(lab)
    ours, theirs = one.read("/welcome"), two.read("/welcome")
    expect(
        ours.startswith(theirs) and ours != theirs,
        expected="/welcome in one has a line more than in two",
        actual="both are alike" if ours == theirs else "they have nothing in common",
        hint=again("one", 'echo "and one more" >>/welcome'),
    )
    layer = own_layer(lab.ubuntu1, one, hint="keep the upper directory below /srv")
    copied = lab.ubuntu1.run(["cat", f"{layer}/welcome"]).stdout
    expect(
        copied == ours,
        expected=f"all of it in {layer}/welcome on ubuntu1",
        actual=copied or "there is no such file: the image itself was changed",
        hint=f"docker rm -f one, {ONE}, and write once more",
    )
    return f"{layer}/welcome has all {len(ours)} bytes, those of the image first"


@check("of a container that was removed nothing is left", needs=[added])
def gone(lab: Lab) -> str:
    one, _ = both(lab)
    notes = shell(lab.ubuntu1, NOTES).stdout.splitlines()
    others = [note for note in notes if note != one.read("/note").strip()]
    expect(
        len(notes) == 1,
        expected="on all of ubuntu1 one file called note, that of one",
        actual=f"{len(notes)} of them; one says: {(others or notes)[-1]}",
        hint="what has ended is still there until it is removed: docker ps -a, docker rm brief;"
        " by hand: ip netns delete brief, rm -r /srv/brief",
    )
    return "the only note is that of one: what others wrote went with them"


CHECKS = [two_unions, apart, added, removed, changed, gone]
