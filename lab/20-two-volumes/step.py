"""Step 20: a container with two volumes."""

from natlab import Lab
from natlab.course import (
    Resident,
    arrives,
    bind_by_hand,
    check,
    docker,
    expect,
    mounted_at,
    own_layer,
    place_on,
    running,
    stays,
    union_root,
)

NAME, TARGETS = "Volume_Container", ("/var/volume1", "/var/volume2")
RUN = f"docker run -d -v /var/volume1 -v /var/volume2 --name {NAME} busybox sleep infinity"
ANEW = f"docker rm -f {NAME}, and then {RUN}"


def build(lab: Lab) -> None:
    """The seed's command, in today's spelling."""
    docker(lab.ubuntu1, RUN.removeprefix("docker "))


def mount_it(target: str) -> str:
    """How a volume comes there, in both ways."""
    return f"{bind_by_hand(NAME, 'DIRECTORY', target)}; with docker: {ANEW}"


def owner(lab: Lab) -> Resident:
    """The container that has the volumes."""
    return running(lab, NAME, f"{RUN} (by hand: box {NAME})")[1]


@check("at /var/volume1 and at /var/volume2 something else than the union is mounted")
def two_mounts(lab: Lab) -> str:
    inside = owner(lab)
    root = union_root(inside, hint=ANEW)
    told = []
    for target in TARGETS:
        mount = mounted_at(inside, target, hint=mount_it(target))
        expect(
            mount.kind != "overlay" and mount.device != root.device,
            expected=f"at {target} a directory that is not of the union",
            actual="it is a piece of the union",
            hint=mount_it(target),
        )
        told.append(f"{target} is {mount.root} of the file system {mount.device} ({mount.kind})")
    return "; ".join(told)


@check("each of the two is a directory of ubuntu1: written here, read there", needs=[two_mounts])
def of_the_host(lab: Lab) -> str:
    inside = owner(lab)
    told = []
    for target in TARGETS:
        mount = mounted_at(inside, target, hint=ANEW)
        place = place_on(lab.ubuntu1, mount, hint=f"a volume is a directory of ubuntu1: {ANEW}")
        hint = f"is {place} mounted at {target}, and not read-only? {ANEW}"
        arrives(lab.ubuntu1, place, inside, target, hint=hint)
        told.append(arrives(inside, target, lab.ubuntu1, place, hint=hint))
    return "; ".join(told)


@check("they are two: what is written in one is not in the other", needs=[of_the_host])
def two_directories(lab: Lab) -> str:
    inside = owner(lab)
    first, second = TARGETS
    hint = f"one directory is mounted twice; take two: {ANEW}"
    stays(inside, second, inside, first, hint=hint)
    return stays(inside, first, inside, second, hint=hint)


@check("what is written beside them lies in the container's own layer", needs=[two_mounts])
def beside(lab: Lab) -> str:
    inside = owner(lab)
    hint = f"/var itself must be of the union: {ANEW}"
    layer = own_layer(lab.ubuntu1, inside, "/var", hint=hint)
    for target in TARGETS:
        place = place_on(lab.ubuntu1, mounted_at(inside, target, hint=ANEW), hint=ANEW)
        expect(
            not f"{place}/".startswith(f"{layer}/"),
            expected=f"the directory of {target} is not in the container's own layer",
            actual=f"it is {place}, and the layer has {layer}",
            hint=f"keep a volume where it outlives the container, as in /srv/volumes: {ANEW}",
        )
    return f"what {NAME} writes in /var is in {layer} of ubuntu1, and no volume is in there"


CHECKS = [two_mounts, of_the_host, two_directories, beside]
