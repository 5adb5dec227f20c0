"""Step 24: of four volumes the two are left that should be."""

from pathlib import PurePath

from natlab import Lab
from natlab.course import (
    Resident,
    arrives,
    bind_by_hand,
    check,
    expect,
    mounted_at,
    place_on,
    running,
    script,
    shown_inside,
)

HOLDER = "docker run -d --name holder -v /held busybox sleep infinity"
WRITES = "echo thrown away >/scratch/thrown-away; echo kept >/keep/kept"
KEEP = f"docker run --rm -v /scratch -v keep:/keep busybox sh -c '{WRITES}'"
DONE = f"""
{KEEP}
docker run -d --name leaver -v /left busybox sleep infinity
docker exec leaver sh -c 'echo left behind >/left/left-behind'
docker rm -f leaver
{HOLDER}
docker exec holder sh -c 'echo in use >/held/in-use'
docker volume prune -f
"""
GONE = ("thrown-away", "left-behind")
DATA = "_data"


def build(lab: Lab) -> None:
    """Containers come and go, and then what nobody has is cleared away."""
    script(lab.ubuntu1, DONE)


def holder(lab: Lab) -> Resident:
    """The container whose volume is in use."""
    return running(lab, "holder", f"{HOLDER} (by hand: box holder)")[1]


def held(lab: Lab) -> PurePath:
    """Where on ubuntu1 that volume is."""
    anew = (
        f"docker rm -f -v holder, and then {HOLDER};"
        f" by hand: {bind_by_hand('holder', 'DIRECTORY', '/held')}"
    )
    mount = mounted_at(holder(lab), "/held", hint=anew)
    return PurePath(place_on(lab.ubuntu1, mount, hint=anew))


def store(lab: Lab) -> PurePath:
    """The directory in which all volumes are: DIRECTORY/ID/_data, or by hand DIRECTORY/NAME."""
    place = held(lab)
    return place.parent.parent if place.name == DATA else place.parent


def volumes(lab: Lab) -> dict[str, PurePath]:
    """The volumes that are there, by name, each with the directory of its files."""
    there = store(lab)
    look = ["find", str(there), "-mindepth", "1", "-maxdepth", "2", "-type", "d"]
    found = [PurePath(line) for line in lab.ubuntu1.run(look).stdout.splitlines()]
    plain = {path.name: path for path in found if path.parent == there}
    return plain | {path.parent.name: path for path in found if path.name == DATA}


def users(lab: Lab) -> dict[str, str | None]:
    """Each volume by name, and a container that has it mounted, or None."""
    shown = shown_inside(lab.ubuntu1)
    return {volume: shown.get(str(path)) for volume, path in volumes(lab).items()}


@check("holder has a volume at /held, and it is in use: written here, read there")
def in_use(lab: Lab) -> str:
    place = held(lab)
    hint = f"docker rm -f -v holder, and then {HOLDER}"
    arrives(lab.ubuntu1, str(place), holder(lab), "/held", hint=hint)
    return arrives(holder(lab), "/held", lab.ubuntu1, str(place), hint=hint)


@check("the volume keep has what a container wrote that is gone", needs=[in_use])
def kept(lab: Lab) -> str:
    there = volumes(lab)
    expect(
        "keep" in there,
        expected=f"a volume keep in {store(lab)}",
        actual=f"there are {', '.join(sorted(there))}",
        hint=f"{KEEP} (prune --all, and volume rm, take it away)",
    )
    said = lab.ubuntu1.run(["cat", f"{there['keep']}/kept"]).stdout.strip()
    expect(
        said,
        expected=f"a file kept in {there['keep']}",
        actual="there is none, or it is empty",
        hint=KEEP,
    )
    user = users(lab)["keep"]
    expect(
        user is None,
        expected="no container has keep mounted",
        actual=f"{user} has",
        hint=f"remove that one, keep stays: docker rm -f {user}",
    )
    return f"{there['keep']}/kept says {said!r}, and nobody has it mounted"


@check("every other volume is one that a running container has", needs=[kept])
def no_other(lab: Lab) -> str:
    idle = [name for name, user in users(lab).items() if user is None and name != "keep"]
    expect(
        not idle,
        expected="besides keep only volumes that a running container has mounted",
        actual=f"nobody has {', '.join(idle)} mounted",
        hint="remove containers that have ended (docker ps -a, docker rm), and then:"
        " docker volume prune -f (for one with a name: docker volume rm NAME; by hand: rm -r)",
    )
    told = [f"{name} by {user}" for name, user in users(lab).items() if user]
    return f"in use: {', '.join(told)}"


@check("what the others wrote is nowhere on ubuntu1", needs=[no_other])
def nothing_left(lab: Lab) -> str:
    names = ["(", "-name", GONE[0], "-o", "-name", GONE[1], ")"]
    look = ["find", "/srv", "/run", "/var/lib/docker", "-xdev", *names]
    found = lab.ubuntu1.run(look).stdout.split()
    expect(
        not found,
        expected=f"no file {' or '.join(GONE)} on ubuntu1",
        actual=", ".join(found),
        hint="it was written beside the volume, and its container is still there: docker ps -a;"
        " by hand: rm -r the container's directory in /srv",
    )
    return f"no {' and no '.join(GONE)} in any layer or volume"


CHECKS = [in_use, kept, no_other, nothing_left]
