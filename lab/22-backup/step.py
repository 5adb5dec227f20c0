"""Step 22: a volume, its archive on the host, and a second volume made of that."""

from natlab import Lab
from natlab.course import (
    Resident,
    bind_by_hand,
    check,
    expect,
    mounted_at,
    running,
    script,
    shell,
    stays,
    union_root,
)

VOLUME, ARCHIVE = "/data", "/srv/backup.tar"
DATA = "docker run -d -v /data --name DATA busybox sleep infinity"
RESTORED = "docker run -d -v /data --name RESTORED busybox sleep infinity"
WITH_TAR = "docker run --rm --volumes-from {} -v /srv:/backup busybox tar {} /backup/backup.tar"
BACKUP = f"{WITH_TAR.format('DATA', 'cf')} /data"
RESTORE = WITH_TAR.format("RESTORED", "xf")
RESTORE_ANEW = (
    f"docker rm -f RESTORED, then {RESTORED}, and then {RESTORE};"
    f" by hand: {bind_by_hand('RESTORED', 'DIRECTORY', VOLUME)}, and then"
    f" box RESTORED tar xf - <{ARCHIVE}"
)
FILL = """
mkdir /data/letters
echo "to be kept" >/data/letters/first
ln /data/letters/first /data/letters/same
ln -s letters/first /data/latest
chmod 600 /data/letters/first
touch -d 2014-06-09 /data/letters/first
chmod 1770 /data
chown 33:33 /data 2>/dev/null || :
"""
NAMES = "cd / && find data -type d -printf '%p/\\n' -o -print | LC_ALL=C sort"
LIST = (
    "cd /data && find . -mindepth 1 -printf '%P %y mode %m owner %U:%G time %Ts links %n %l\\n'"
    " | sed 's/^\\(.* d .*\\) links .*/\\1/' | LC_ALL=C sort"
    " && find . -type f -exec sha256sum {} + | LC_ALL=C sort -k 2"
)
"""Directories count their links as the file system likes."""


def build(lab: Lab) -> None:
    """Fill a volume, pack it, and unpack it into another one."""
    filled = f"docker exec -i DATA sh <<'END'{FILL}END"
    script(lab.ubuntu1, f"{DATA}\n{filled}\n{BACKUP}\n{RESTORED}\n{RESTORE}")


def data(lab: Lab) -> Resident:
    """The container with the volume."""
    return running(lab, "DATA", f"{DATA} (by hand: box DATA)")[1]


def restored(lab: Lab) -> Resident:
    """The one with the other volume."""
    return running(lab, "RESTORED", f"{RESTORED} (by hand: box RESTORED)")[1]


def own_directory(inside: Resident) -> str:
    """Mode, owner and group of a volume's own directory."""
    return inside.run("stat", "-c", "mode %a, owner %u:%g", VOLUME).stdout.strip()


@check("DATA has a volume at /data, with files in it and a mode of its own")
def filled(lab: Lab) -> str:
    inside = data(lab)
    by_hand = bind_by_hand("DATA", "DIRECTORY", VOLUME)
    mounted_at(inside, VOLUME, hint=f"{by_hand}; with docker: docker rm -f DATA, and then {DATA}")
    files = inside.run("find", VOLUME, "-type", "f").stdout.split()
    expect(
        files,
        expected="files in /data of DATA",
        actual="there is none",
        hint="fill it: docker exec -i DATA sh </srv/fill (by hand: box DATA sh </srv/fill)",
    )
    mode = own_directory(inside)
    expect(
        not mode.startswith("mode 755,"),
        expected="/data of DATA has another mode than a new volume has",
        actual=mode,
        hint="in DATA: chmod 1770 /data, and make the backup after that",
    )
    return f"/data of DATA has {len(files)} files, and {mode}"


@check("/srv/backup.tar on ubuntu1 holds all of it, as it is now", needs=[filled])
def archived(lab: Lab) -> str:
    inside = data(lab)
    hint = f"on ubuntu1: {BACKUP} (by hand: box DATA tar cf - /data >{ARCHIVE})"
    listed = lab.ubuntu1.run(f"LC_ALL=C tar tf {ARCHIVE} | LC_ALL=C sort")
    expect(
        listed.stdout,
        expected=f"an archive {ARCHIVE} on ubuntu1",
        actual=listed.stderr.strip() or "there is nothing in it",
        hint=hint,
    )
    there, packed = (text.splitlines() for text in (shell(inside, NAMES).stdout, listed.stdout))
    wrong = sorted(set(there) ^ set(packed))
    expect(
        not wrong,
        expected=f"the archive has the names that /data has: {', '.join(there)}",
        actual=f"only in {'/data' if wrong and wrong[0] in there else 'the archive'}: "
        f"{', '.join(wrong)}",
        hint=hint,
    )
    compare = f"exec nsenter -t {inside.pid} -m --root --wd tar df - <{ARCHIVE}"
    compared = lab.ubuntu1.run(compare, env={"LC_ALL": "C"})
    said = (compared.stdout + compared.stderr).strip().splitlines()
    expect(
        compared.returncode == 0,
        expected="tar finds no difference between the archive and /data",
        actual="; ".join(said),
        hint=f"something was changed after the backup: {hint}",
    )
    return f"{ARCHIVE} has {len(packed)} entries, and tar finds no difference to /data"


@check("RESTORED has a volume of its own at /data", needs=[filled])
def another_volume(lab: Lab) -> str:
    inside, other = data(lab), restored(lab)
    hint = RESTORE_ANEW
    ours, theirs = (mounted_at(one, VOLUME, hint=hint) for one in (inside, other))
    expect(
        theirs.device != union_root(other, hint=hint).device,
        expected="/data of RESTORED is not of the union",
        actual="it is a piece of it",
        hint=hint,
    )
    expect(
        theirs.what != ours.what,
        expected="/data of RESTORED is another directory than that of DATA",
        actual=f"both have {ours.root} of the file system {ours.device}",
        hint=hint,
    )
    stayed = stays(inside, VOLUME, other, VOLUME, hint=hint)
    return f"{theirs.root} there, {ours.root} here: {stayed}"


@check(
    "all that is in it is as in DATA: contents, modes, owners, times, links",
    needs=[archived, another_volume],
)
def brought_back(lab: Lab) -> str:
    ours, theirs = (
        shell(inside, LIST).stdout.splitlines() for inside in (data(lab), restored(lab))
    )
    missing = [line for line in ours if line not in theirs]
    added = [line for line in theirs if line not in ours]
    expect(
        not missing and not added,
        expected=f"in /data of RESTORED: {'; '.join(missing) or 'what DATA has, and no more'}",
        actual="; ".join(added) or "it is not there",
        hint=f"unpack the archive as root, from /: {RESTORE_ANEW}",
    )
    return f"{len(ours)} lines of find and sha256sum, and not one differs"


@check("and so is the volume's own directory", needs=[brought_back])
def root_directory(lab: Lab) -> str:
    ours, theirs = own_directory(data(lab)), own_directory(restored(lab))
    expect(
        ours == theirs,
        expected=f"/data of RESTORED has {ours}",
        actual=theirs,
        hint=f"the entry data/ of the archive carries it, unpack that too: {RESTORE_ANEW}",
    )
    return f"/data itself has {theirs}"


CHECKS = [filled, archived, another_volume, brought_back, root_directory]
