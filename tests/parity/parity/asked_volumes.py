"""Questions about volumes: what is copied up, what wins, what is removed, what is refused.

`stored` is the image `app` with `VOLUME /data`; in both, /data has one file.
"""

from __future__ import annotations

from parity.facts import Ask, Facts

_MOUNT = "'{{range .Mounts}}{{.Type}} {{.Destination}} {{.Mode}} {{.RW}} {{.Propagation}};{{end}}'"
_NAMES = "'{{range .Mounts}}{{if gt 60 (len .Name)}}{{.Name}}{{end}} {{.Destination}};{{end}}'"


def _docker(*lines: str) -> tuple[Ask, ...]:
    return tuple(Ask("docker", line) for line in lines)


COPY_UP = Facts(
    "volumes-copy-up",
    "What a new volume has in it: the image's files, or not.",
    (
        "run -d --name anonymous -v /data app",
        "run -d --name named -v vol:/data app",
        "run -d --name again -v vol:/other app",
        "run -d --name bare -v bare:/data:nocopy app",
        "run -d --name stored stored",
        "run -d --name deeper -v deep:/new/place app",
    ),
    _docker(
        "exec anonymous ls /data",
        "exec anonymous cat /data/file",
        "exec named ls /data",
        "exec again ls /other",
        "exec bare ls /data",
        "exec stored ls /data",
        "exec deeper ls /new/place",
        "exec named sh -c 'echo new > /data/file'",
        "exec again cat /other/file",
        "rm -f named again",
        "run --rm -v vol:/data app cat /data/file",
        "run --rm --mount type=volume,src=mounted,dst=/data app ls /data",
        "run --rm --mount type=volume,src=mounted2,dst=/data,volume-nocopy app ls /data",
        "run --rm -v vol:/data:ro app sh -c 'echo x > /data/y || echo refused'",
        "run --rm -v /no/such/dir:/data app ls /data",
        "run --rm --mount type=bind,src=/no/such/dir2,dst=/data app ls /data",
        f"inspect -f {_MOUNT} anonymous",
        f"inspect -f {_MOUNT} bare",
        f"inspect -f {_NAMES} stored",
        f"inspect -f {_NAMES} deeper",
        "volume ls --format '{{.Driver}} {{.Name}}' --filter name=bare",
        "volume inspect -f '{{.Name}} {{.Driver}} {{.Scope}} {{json .Options}}' bare",
    ),
)

PRECEDENCE = Facts(
    "volumes-precedence",
    "Which mount wins at one place, and what --volumes-from brings.",
    (
        "create --name source -v vol:/data -v other:/more -v ro:/fixed:ro app",
        "run -d --name from --volumes-from source app",
        "run -d --name readonly --volumes-from source:ro app",
        "run -d --name over --volumes-from source -v mine:/data app",
        "run -d --name both -v one:/data --mount type=volume,src=two,dst=/more app",
        "run -d --name stored -v named:/data stored",
        "run -d --name nested -v inner:/data/deep -v outer:/data app",
    ),
    _docker(
        *(
            f"inspect -f {what} {name}"
            for name in ("source", "from", "readonly", "over", "both", "stored", "nested")
            for what in (_NAMES, _MOUNT)
        ),
        "exec over ls /data",
        "exec from ls /data",
        "exec readonly sh -c 'echo x > /data/y || echo refused'",
        "exec from sh -c 'echo x > /fixed/y || echo refused'",
        "exec nested ls /data",
    ),
)

REMOVAL = Facts(
    "volumes-removal",
    "Which volumes go with a container, and which stay.",
    (
        "volume create kept",
        "volume create -d local --label tier=data labelled",
        "run -d --name anonymous -v /data app",
        "run -d --name named -v kept:/data app",
        "run -d --name gone -v /data stored",
    ),
    _docker(
        "volume rm kept",
        "volume rm -f kept",
        "volume rm nonesuch",
        "volume rm -f nonesuch",
        "volume inspect nonesuch",
        "stop named",
        "volume rm kept",
        "rm named",
        "volume ls --filter name=kept --format '{{.Name}}'",
        "volume rm kept",
        "volume ls -q",
        "rm -fv anonymous",
        "volume ls -q",
        "rm -f gone",
        "volume ls -q",
        "volume ls -q --filter dangling=true",
        "volume ls -q --filter dangling=false",
        "volume ls -q --filter label=tier=data",
        "run --rm -v /data -v stays:/more app true",
        "volume ls -q",
        "volume create stays",
        "volume create -d nonesuch x",
        "volume create 'a b'",
        "volume create a",
        "volume prune -f --filter label=tier=none",
        "volume ls -q",
        "volume inspect -f '{{json .Labels}}' labelled",
    ),
)

REFUSED = Facts(
    "volumes-refused",
    "Mounts that are refused, and in which words.",
    (),
    _docker(
        "run --rm -v a:b:c:d app true",
        "run --rm -v vol:/data:nonsense app true",
        "run --rm -v vol:data app true",
        "run --rm -v vol:/ app true",
        "run --rm -v / app true",
        "run --rm -v one:/x -v two:/x app true",
        "run --rm -v foo/bar:/x app true",
        "run --rm -v ./foo:/x app true",
        "run --rm -v :/x app true",
        "run --rm -v a:/x app true",
        "run --rm -v vol:/x:ro,rw app true",
        "run --rm -v /tmp:/x:z app true",
        "run --rm --volumes-from nonesuch app true",
        "run --rm --volumes-from x:nonsense app true",
        "run --rm --mount type=nonsense,dst=/x app true",
        "run --rm --mount type=volume,src=vol app true",
        "run --rm --mount type=volume,src=vol,dst=x app true",
        "run --rm --mount type=bind,dst=/x app true",
        "run --rm --mount type=bind,src=x,dst=/x app true",
        "run --rm --mount type=tmpfs,src=x,dst=/x app true",
        "run --rm --tmpfs /x app ls /x",
        "run --rm --tmpfs x app true",
    ),
)

ALL = (COPY_UP, PRECEDENCE, REMOVAL, REFUSED)
