"""The course on a real engine: what to type there so that a step's own checks find what they seek.

The checks know containers as entries of /run/netns. For a container of Docker's, a person links
that name to its first process's namespace, as Docker's old documentation says; so do these.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import shlex
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from natlab import Lab
from natlab.course import checks, manifest
from natlab.course.checks import Result
from natlab.programs import myapp_source
from parity import image
from parity.sides import Side, side

PORTS = ("host", 'sysctl -w net.ipv4.ip_local_port_range="49153 65535"')
"""Docker takes automatic ports from there: so it begins where it did in the seed's day."""
BRIDGED = ("host", "sysctl -w net.bridge.bridge-nf-call-iptables=1")
"""What every machine with br_netfilter has; 20.10 does not turn it on without a proxy."""
_MACHINE = "-v /usr:/usr:ro"


@dataclass(frozen=True)
class Recipe:
    """A step's end, with Docker's commands.

    Attributes:
        step: Its number.
        docker: What to type for the client.
        names: The containers that get a name in /run/netns.
        options: dockerd's.
        before: What is typed at nodes before it starts.
        after: The same at the end.
        without: Checks that no Docker can pass, with the reason.
    """

    step: str
    docker: tuple[str, ...]
    names: tuple[str, ...] = ("web", "db")
    options: tuple[str, ...] = ()
    before: tuple[tuple[str, str], ...] = ()
    after: tuple[tuple[str, str], ...] = ()
    without: tuple[tuple[str, str], ...] = ()
    built: tuple[str, ...] = ()
    """Steps that are built by their own `build`, with the docker client on the host."""


_TWICE = (
    "python3 -c 'import socket\nfor _ in range(2):"
    ' socket.create_connection(("192.168.33.11", 49153)).close()\''
)
_LISTENING = "nc -lk 8080 >/dev/null 2>&1 & until ss -Hltn | grep -q :8080; do :; done"
_WAITS = """CMD ["sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]"""
_HOLDS = "dockerd holds published ports itself, so that no program of the host gets them"
_LATER = "192.168.33.111:49155:8080"
"""Named, because 20.10 counts automatic ports of each address from the beginning."""
_PRUNES = "20.10 prunes named volumes too; since API 1.42 only those without a name"
_DNS = "--dns 192.168.33.20"
_API = "run -d --name api --network shop --network-alias service"
_NAME_SERVER = (
    f"python3 -c {shlex.quote(manifest.load().step('17')._module.NAME_SERVER)} >/dev/null 2>&1 &"
    " until ss -Hlun sport = :53 | grep -q .; do :; done"
)
_TOOLS = (
    *("sh", "sleep", "cat", "ls", "tar", "find", "stat", "head", "tail", "grep", "sort", "mkdir"),
    *("rm", "mv", "cp", "ln", "chmod", "chown", "touch", "hostname", "env", "true", "id", "df"),
    *(
        "sha256sum",
        "readlink",
        "wc",
        "cut",
        "tr",
        "sed",
        "mknod",
        "mkfifo",
        "dd",
        "uname",
        "od",
        "test",
    ),
)
_SOCKET = ("-H", "unix:///run/docker.sock")
_WEB, _DB = "run -d --name web", "run -d --name db"

RECIPES = (
    Recipe("05", (f"{_WEB} bare", f"{_DB} bare")),
    Recipe("07", (f"{_WEB} bare", f"{_DB} bare")),
    Recipe("08", (f"{_WEB} -p 8080 bare", f"{_DB} bare")),
    Recipe(
        "09",
        (f"{_WEB} -p 8080 bare", f"{_DB} bare"),
        before=(PORTS, ("outside", "sysctl -w net.ipv4.tcp_timestamps=0")),
        after=(("web", _LISTENING), ("outside", _TWICE)),
    ),
    Recipe(
        "10",
        (
            f"{_WEB} -p 8080 -p 80:8080 -p 192.168.33.11:8000:8080 -p 53:53/tcp bare",
            f"{_DB} -p 8080 -p 192.168.33.111:8000:8080 -p {_LATER} -p 53:53/udp bare",
        ),
        before=(PORTS, ("host", "ip addr add 192.168.33.111/24 dev eth0")),
    ),
    Recipe(
        "11",
        (f"{_WEB} -p 8080 bare", f"{_DB} bare"),
        options=("--userland-proxy=false",),
        before=(PORTS, BRIDGED),
        without=(("ubuntu1 forwards, and no proxy stands at port 49153", _HOLDS),),
    ),
    Recipe(
        "12",
        (f"{_WEB} --expose 80 bare", f"{_DB} --link web bare"),
        options=("--icc=false",),
    ),
    Recipe(
        "14",
        (
            f"{_WEB} bare",
            f"{_DB} bare",
            "network create --subnet 192.168.5.0/24 -o com.docker.network.bridge.name=bridge0 five",
            "run -d --name app --network five bare",
        ),
        ("web", "db", "app"),
    ),
    Recipe("16", (f"run -d --name any -P {_MACHINE} myapp:v0.0.1",), ("any",)),
    Recipe(
        "17",
        (
            f"{_DB} -h db.example {_DNS} {_MACHINE} myapp:v0.0.1",
            f"{_WEB} --link db:database {_DNS} {_MACHINE} myapp:v0.0.1",
            "network create shop",
            f"{_API} {_DNS} {_MACHINE} myapp:v0.0.1",
            f"run -d --name client --network shop {_DNS} {_MACHINE} bare",
        ),
        ("db", "web", "api", "client"),
        before=(PORTS, ("outside", _NAME_SERVER)),
    ),
    Recipe(
        "18",
        (
            f"run -d --name pod -p 80:8080 {_MACHINE} bare",
            f"run -d --name app --network container:pod {_MACHINE} myapp:v0.0.1",
            f"run -d --name quiet --network none {_MACHINE} bare",
            f"run -d --name open --network host {_MACHINE} myapp:v0.0.1",
        ),
        ("pod", "quiet"),
    ),
    *(Recipe(number, (), (), built=(number,)) for number in ("19", "20", "22", "23")),
    Recipe("21", (), (), built=("20", "21")),
    Recipe(
        "24",
        (),
        (),
        built=("24",),
        without=(
            ("the volume keep has what a container wrote that is gone", _PRUNES),
            ("every other volume is one that a running container has", _PRUNES),
        ),
    ),
)
"""Without an equivalent are 06 (before any rule of Docker's), 13 (plain routes past Docker's
rules), 15 (no bridge)."""


@contextlib.contextmanager
def solved(recipe: Recipe) -> Iterator[Lab]:
    """A lab whose ubuntu1 has a real engine, at the step's end."""
    before = recipe.before or (PORTS,)
    options = (*recipe.options, *(_SOCKET if recipe.built else ()))
    with side("docker", options=options, before=before) as made:
        made.docker(f"import -c {shlex.quote(_WAITS)} - bare", stdin=_tree())
        changes = "-c 'EXPOSE 8080' -c 'CMD [\"/usr/bin/python3\", \"/myapp\"]'"
        made.docker(f"import {changes} - myapp:v0.0.1", stdin=_tree())
        if recipe.built:
            made.docker("import -c 'CMD [\"sh\"]' - busybox", stdin=image.tree(_TOOLS))
        for number in recipe.built:
            manifest.load().step(number).build(made.lab)
        for line in recipe.docker:
            made.docker(line if _MACHINE in line else line.replace(" bare", f" {_MACHINE} bare"))
        names = made.docker("ps --format '{{.Names}}'").split() if recipe.built else recipe.names
        for name in names:
            _name(made, name)
        for where, line in recipe.after:
            made.type(where, line)
        if "myapp" in " ".join(recipe.docker):
            made.type("host", _until_it_listens(recipe))
        yield made.lab


def _until_it_listens(recipe: Recipe) -> str:
    """Wait for myapp in the first container, and on the host where one stands there."""
    nodes = [
        f"ip netns exec {recipe.names[0]}",
        *(["env"] if "--network host" in str(recipe) else []),
    ]
    return "\n".join(f"until {node} ss -Hltn | grep -q :8080; do :; done" for node in nodes)


def _name(made: Side, name: str) -> None:
    """`ln -s /proc/PID/ns/net /run/netns/NAME`, as one does by hand."""
    pid = made.inspect(name)["State"]["Pid"]
    made.type("host", f"ln -s /proc/{pid}/ns/net /run/netns/{name}")


def _tree() -> bytes:
    """An image that has nothing but links to where the machine's /usr will be, and myapp."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("bin", "sbin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
        data = myapp_source().encode()
        program = tarfile.TarInfo("myapp")
        program.size, program.mode = len(data), 0o755
        archive.addfile(program, io.BytesIO(data))
    return out.getvalue()


def results(recipe: Recipe) -> list[Result]:
    """What the step's own checks say."""
    excused = dict(recipe.without)
    wanted = [
        dataclasses.replace(one, needs=tuple(title for title in one.needs if title not in excused))
        for one in manifest.load().step(recipe.step).checks
        if one.title not in excused
    ]
    with solved(recipe) as lab:
        return checks.run(wanted, lab)
