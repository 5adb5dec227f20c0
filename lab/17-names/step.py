"""Step 17: names of containers: their own, through a link, and from a name server."""

from natlab import Lab, tcp
from natlab.course import (
    Resident,
    answers,
    check,
    docker,
    expect,
    forwarding,
    running,
    until_it_listens,
)

OUTSIDE, SERVES, LISTENS = "192.168.33.20", "outside.example", 8080
EMBEDDED = "127.0.0.11"
OWN_NAME = "db.example"
FILES = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
DNS = f"--dns {OUTSIDE}"
DB = f"docker run -d --name db -h {OWN_NAME} {DNS} myapp:v0.0.1"
WEB = f"docker run -d --name web --link db:database {DNS} myapp:v0.0.1"
NETWORK = "docker network create shop"
API = f"docker run -d --name api --network shop --network-alias service {DNS} myapp:v0.0.1"
CLIENT = f"docker run -d --name client --network shop {DNS} busybox sleep infinity"

NAME_SERVER = r"""
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("192.168.33.20", 53))
while True:
    query, asker = sock.recvfrom(512)
    end = query.index(b"\0", 12) + 1
    known = query[12:end] == b"\7outside\7example\0"
    hit = known and query[end : end + 2] == b"\0\1"
    head = query[:2] + (b"\x81\x80" if known else b"\x81\x83") + bytes([0, 1, 0, hit]) + bytes(4)
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("192.168.33.20")
    sock.sendto(head + query[12 : end + 4] + record * hit, asker)
"""
"""The one of the README."""


def build(lab: Lab) -> None:
    """A name server on outside; db, and web with a link to it; api and client in a network."""
    lab.outside.start(["python3", "-c", NAME_SERVER]).close()
    lab.outside.run("until ss -Hlun sport = :53 | grep -q .; do :; done", check=True)
    commands = (DB, WEB, NETWORK, API, CLIENT)
    docker(lab.ubuntu1, *(command.removeprefix("docker ") for command in commands))
    for name in ("db", "api"):
        until_it_listens(lab.ubuntu1, lab.ubuntu1.container(name).ip, LISTENS)


@check("db is called db.example: for the kernel, in its files, and for itself")
def own_name(lab: Lab) -> str:
    db, inside = running(lab, "db", DB)
    anew = f"docker rm -f db, and then {DB}"
    for told, what in (
        (inside.run("uname", "-n").stdout.strip(), "the host name of its UTS namespace"),
        (inside.read("/etc/hostname").strip(), "/etc/hostname"),
    ):
        expect(told == OWN_NAME, expected=f"{what} is {OWN_NAME}", actual=told, hint=anew)
    missing = sorted(set(FILES) - inside.mounted())
    expect(
        not missing,
        expected="hostname, hosts and resolv.conf are mounted over those of the image",
        actual=f"{', '.join(missing)} is the image's",
        hint=anew,
    )
    found = inside.finds(OWN_NAME)
    expect(
        found == str(db.ip),
        expected=f"{OWN_NAME} is {db.ip} in db's hosts file",
        actual=found or "it does not find that name",
        hint=f"the last line of /etc/hosts was its own: {anew}",
    )
    return f"{OWN_NAME} is {found}, in files of db's own"


@check("web finds db by the link's name, database, wherever db is now", needs=[own_name])
def by_link(lab: Lab) -> str:
    db, _ = running(lab, "db", DB)
    web, inside = running(lab, "web", WEB)
    found = inside.finds("database")
    expect(
        found == str(db.ip),
        expected=f"database is {db.ip} for web",
        actual=found or "web does not find that name",
        hint=f"the line of a link is written by the engine: docker rm -f web, and then {WEB}",
    )
    probe = tcp(web, str(db.ip), LISTENS, server=db)
    return f"database is {found}: {answers(probe, source=str(web.ip), hint='docker logs db')}"


@check("web has what it must know of db in its environment", needs=[by_link])
def by_environment(lab: Lab) -> str:
    _, inside = running(lab, "web", WEB)
    variables = inside.environment()
    port = variables.get(f"DATABASE_PORT_{LISTENS}_TCP", "")
    expect(
        port.startswith("tcp://172.17.") and port.endswith(f":{LISTENS}"),
        expected=f"DATABASE_PORT_{LISTENS}_TCP is tcp://172.17.…:{LISTENS}",
        actual=port or ", ".join(sorted(variables)),
        hint=f"a link gives both, a line and variables: docker rm -f web, and then {WEB}",
    )
    return f"DATABASE_PORT_{LISTENS}_TCP={port}, where db was when web began"


@check("docker0 has no names: db does not find web", needs=[by_link])
def no_names(lab: Lab) -> str:
    _, inside = running(lab, "db", DB)
    unknown(inside, "web", f"a link leads one way: docker rm -f db web, and then {DB}; {WEB}")
    return "db does not know the name web: a link leads one way"


def unknown(inside: Resident, name: str, hint: str) -> None:
    """The name says nothing to it."""
    found = inside.finds(name)
    expect(
        found is None,
        expected=f"the name {name} is not known there",
        actual=f"it is {found}",
        hint=hint,
    )


@check("on a network of your own every container is found by its name, at 127.0.0.11")
def embedded(lab: Lab) -> str:
    start = f"({NETWORK}, if it is not there)"
    api, _ = running(lab, "api", f"{API} {start}")
    client, inside = running(lab, "client", f"{CLIENT} {start}")
    servers = [
        line.split()[1]
        for line in inside.read("/etc/resolv.conf").splitlines()
        if line.startswith("nameserver ")
    ]
    expect(
        servers == [EMBEDDED],
        expected=f"client asks {EMBEDDED}, and nobody else",
        actual=", ".join(servers) or "nobody",
        hint=f"docker0 has no name server: docker rm -f client, and then {CLIENT}",
    )
    same_address(inside, "api", str(api.ip), f"docker rm -f api, and then {API}")
    expect(
        "api" not in inside.read("/etc/hosts").split(),
        expected="client has api's name from the name server",
        actual="it is in client's hosts file",
        hint=f"without --add-host: docker rm -f client, and then {CLIENT}",
    )
    probe = tcp(client, str(api.ip), LISTENS, server=api)
    return f"api is {api.ip}: {answers(probe, source=str(client.ip), hint='docker logs api')}"


def same_address(inside: Resident, name: str, address: str, hint: str) -> None:
    """The name leads where it should."""
    found = inside.finds(name)
    expect(
        found == address,
        expected=f"{name} is {address} for client",
        actual=found or f"client does not find {name}",
        hint=hint,
    )


@check("and by its alias: service is api too", needs=[embedded])
def by_alias(lab: Lab) -> str:
    api, _ = running(lab, "api", API)
    _, inside = running(lab, "client", CLIENT)
    same_address(inside, "service", str(api.ip), f"docker rm -f api, and then {API}")
    return f"service is {api.ip}, and so is api"


@check("a name ends with its network: client does not find db", needs=[embedded, own_name])
def ends_with_it(lab: Lab) -> str:
    _, inside = running(lab, "client", CLIENT)
    unknown(inside, "db", "keep db and client in different networks: docker network disconnect")
    return "client knows api and service, and no db"


@check("what 127.0.0.11 does not know it asks the outside", needs=[embedded])
def asked_on(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    _, inside = running(lab, "client", CLIENT)
    serves = lab.outside.run(["ss", "-Hlun", "sport = :53"]).stdout
    anew = f"docker rm -f client, and then {CLIENT}"
    hint = anew if serves else "nobody serves names on outside: start the README's name server"
    same_address(inside, SERVES, OUTSIDE, hint)
    return f"{SERVES} is {OUTSIDE}, says the name server on outside"


CHECKS = [
    own_name,
    by_link,
    by_environment,
    no_names,
    embedded,
    by_alias,
    ends_with_it,
    asked_on,
]
