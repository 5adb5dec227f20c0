"""Step 21: containers that share the volumes of another one."""

from natlab import Lab
from natlab.course import (
    Resident,
    arrives,
    bind_by_hand,
    check,
    docker,
    expect,
    mounted_at,
    reads,
    refused,
    running,
    stays,
    written,
)

OWNER, TARGETS = "Volume_Container", ("/var/volume1", "/var/volume2")
RUN = f"docker run -d -v /var/volume1 -v /var/volume2 --name {OWNER} busybox sleep infinity"
FROM = "docker run -d --volumes-from Volume_Container{} --name {} busybox sleep infinity"
APP, READER = FROM.format("", "App_Container"), FROM.format(":ro", "Reader_Container")
APP_ANEW = (
    f"docker rm -f App_Container, and then {APP}; by hand:"
    f" {bind_by_hand('App_Container', 'DIRECTORY', TARGETS[0])}, and so on"
)
READER_ANEW = (
    f"docker rm -f Reader_Container, and then {READER}; by hand: the same with `mount -o bind,ro`"
)


def build(lab: Lab) -> None:
    """The seed's second command, and the same for a reader."""
    docker(lab.ubuntu1, *(command.removeprefix("docker ") for command in (APP, READER)))


def owner(lab: Lab) -> Resident:
    """The container whose volumes they are."""
    return running(lab, OWNER, f"{RUN} (as in step 20)")[1]


def app(lab: Lab) -> Resident:
    """The one that shares them."""
    return running(lab, "App_Container", f"{APP} (by hand: box App_Container)")[1]


def reader(lab: Lab) -> Resident:
    """The one that may only read."""
    return running(lab, "Reader_Container", f"{READER} (by hand: box Reader_Container)")[1]


def same_mounts(first: Resident, second: Resident, hint: str) -> str:
    """Both have the same directories at the same places."""
    told = []
    for target in TARGETS:
        ours = mounted_at(first, target, hint=f"{RUN} (as in step 20)")
        theirs = mounted_at(second, target, hint=hint)
        expect(
            ours.what == theirs.what,
            expected=f"{second.name} has at {target} what {first.name} has: {ours.root}",
            actual=f"another directory: {theirs.root} of the file system {theirs.device}",
            hint=hint,
        )
        told.append(f"{target} is {ours.root} of the file system {ours.device} in both")
    return "; ".join(told)


@check("App_Container has the volumes of Volume_Container, at the same places")
def same_volumes(lab: Lab) -> str:
    return same_mounts(owner(lab), app(lab), APP_ANEW)


@check("what one writes there the other reads, both ways", needs=[same_volumes])
def same_data(lab: Lab) -> str:
    first, second = owner(lab), app(lab)
    told = []
    for target in TARGETS:
        arrives(second, target, first, target, hint=APP_ANEW)
        told.append(arrives(first, target, second, target, hint=APP_ANEW))
    return f"{'; '.join(told)}; and the other way round"


@check("and that is all they share: each has a root of its own", needs=[same_volumes])
def own_roots(lab: Lab) -> str:
    first, second = owner(lab), app(lab)
    hint = f"share the volumes, and not the whole tree: {APP_ANEW}"
    stays(second, "/", first, "/", hint=hint)
    return stays(first, "/", second, "/", hint=hint)


@check("Reader_Container has them too, and can read what the others write", needs=[same_data])
def read_by_a_third(lab: Lab) -> str:
    first, second, third = owner(lab), app(lab), reader(lab)
    told = same_mounts(first, third, READER_ANEW)
    for target in TARGETS:
        with written(second, target, hint=APP_ANEW) as name:
            expect(
                reads(third, target, name),
                expected=f"Reader_Container reads in {target} what App_Container writes",
                actual="it does not find it",
                hint=READER_ANEW,
            )
    return told


@check("and it cannot write there", needs=[read_by_a_third])
def read_only(lab: Lab) -> str:
    return "; ".join(refused(reader(lab), target, hint=READER_ANEW) for target in TARGETS)


CHECKS = [same_volumes, same_data, own_roots, read_by_a_third, read_only]
