"""What differs on purpose: natlab follows a newer Docker than the one that it is compared with.

Each entry is strict: it says what has to stand on either side, so that an answer that changes on
one side alone is a difference again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from parity.running import Pair


@dataclass(frozen=True)
class Purpose:
    """Why something differs, and where that is written."""

    name: str
    reason: str
    source: str


@dataclass(frozen=True)
class Rewording:
    """Docker's older answer becomes natlab's by this change of its text."""

    purpose: Purpose
    pattern: str
    instead: str | Callable[[re.Match[str]], str]
    where: str = ""
    """Only for questions in which this is found."""

    def apply(self, pair: Pair, text: str) -> str:
        """The text after the change."""
        if not re.search(self.where, f"{pair.scenario}: {pair.what}"):
            return text
        return re.sub(self.pattern, self.instead, text, flags=re.MULTILINE)


@dataclass(frozen=True)
class FlowDiffers:
    """A flow's outcome on either side, as text, and the fields in which they may differ."""

    purpose: Purpose
    where: str
    fields: tuple[str, ...]
    docker: str = ""
    natlab: str = ""


def _why(name: str, reason: str, source: str) -> Purpose:
    return Purpose(name, reason, source)


SMALL_LETTERS = _why(
    "errors begin with a small letter",
    "Docker's errors begin with a small letter since 23.0 to 25.0, and some say more.",
    "moby, api/server and container/state.go; natlab has the texts of 28",
)
NETWORK_SET_UP = _why(
    "what failed is named",
    "Docker 28 says that it failed while the container's network was set up.",
    "moby 28, daemon/start.go",
)
HOSTS_FILE = _why(
    "addresses in /etc/hosts",
    "Docker writes IPv6 addresses in their short form since it holds them as numbers.",
    "moby 28, libnetwork/etchosts",
)
RESOLV_CONF = _why(
    "the order of resolv.conf",
    "Docker writes name servers first since it puts the file together anew (26.0).",
    "moby 26, libnetwork/internal/resolvconf",
)
INTERNAL = _why(
    "internal networks have no default route",
    "Without a route a program is told at once that there is no way out; in 20.10 its packets"
    " were dropped, and reached the host's other addresses.",
    "moby 25.0 (commit cbc2a71); CVE-2024-29018",
)
BRIDGED = _why(
    "bridged frames pass FORWARD without a proxy",
    "Without a proxy the answers between two containers of one bridge must pass conntrack;"
    " Docker turns bridge-nf-call-iptables on for that since 27.3.",
    "moby 48676 (issue 48664)",
)
UDP_STALE = _why(
    "udp flows are looked at anew",
    "Entries of the connection table that were made while nobody had the port are forgotten when"
    " it is published, so a sender that goes on reaches the new container, with its own address.",
    "moby 44742 (23.0), which fixed 8795 and 44688",
)
ACCEPT_FIRST = _why(
    "which ACCEPT counts later packets",
    "natlab has the order of Docker 1.3: a published port's ACCEPT stands above the rule for"
    " established connections, so it also counts a connection's later packets. Both accept.",
    "moby 1.3, pkg/iptables",
)
PORT_ORDER = _why(
    "automatic ports go up with the container's ports",
    "20.10 gives the ports of one container out from its highest port down; Docker sorts by"
    " container port since.",
    "moby 28, bridge/port_mapping_linux.go, sortAndNormPBs",
)
POOLS = _why(
    "the first free subnet",
    "20.10 goes on behind the subnet given out last; Docker takes the first free one since 27.",
    "moby 27, libnetwork/ipams/defaultipam",
)
GATEWAY_SHOWN = _why(
    "the gateway is always shown",
    "20.10 shows a network's gateway only if it was named or the engine chose the subnet.",
    "moby 28, network inspect",
)
NETWORK_MODE = _why(
    "NetworkMode",
    "What clients call `default` is shown as what it is, `bridge`, since 26.",
    "moby 26, daemon/container.go",
)
ALIASES = _why(
    "aliases are those that were asked for",
    "The short id is among DNSNames, no longer among Aliases, since API 1.45.",
    "Engine API, version history, 1.45",
)
LINK_PORT = _why(
    "a link's first port is tcp",
    "Docker prefers tcp for ALIAS_PORT since 23.0; 20.10 takes the lowest number.",
    "moby 23, daemon/links, withTCPPriority",
)
STATUS_CODES = _why(
    "the client's mistakes are 400",
    "20.10 answers some malformed requests with 500.",
    "moby, errdefs.InvalidParameter since 23.0 to 25.0",
)
POOL_OVERLAPS = _why(
    "overlapping subnets",
    "Docker says that the request for the pool was invalid.",
    "moby 27, libnetwork/ipams",
)
ACTIVE = _why(
    "who is in a network",
    "Docker names the containers that are still in a network.",
    "moby 28, libnetwork/error.go",
)
NETWORK_NAMES = _why(
    "names of networks are checked",
    "Names have the letters of containers' names; one name is given once (API 1.44).",
    "moby 25 to 28, daemon/network.go",
)
EXEC_CODE = _why(
    "exec of a program that is not there",
    "Its exit code is 127 as in a shell, and as `docker run` has always had it.",
    "Docker's reference, docker run, exit status",
)
ENDPOINT = _why(
    "addresses are checked when they are asked for",
    "Docker checks addresses of endpoints before it makes the container since 25.0.",
    "moby 25, api/types/network/endpoint.go",
)
PROXY_TEXT = _why(
    "who holds a port",
    "Docker binds the port itself since 28, so it is no longer the proxy that fails.",
    "moby 28, bridge/port_mapping_linux.go",
)
IMAGE_TEXT = _why(
    "an image that is not there", "Docker says it once since 23.0.", "moby 23, daemon/images"
)
DRIVERS = _why(
    "a driver that is not there",
    "Docker says where it looked.",
    "moby 28, libnetwork/controller.go",
)
OWN_WORDS = _why(
    "malformed requests in natlab's words",
    "The texts of Go's parsers are not Docker's own; natlab says what is wrong in its words.",
    "natlab",
)

RUNTIME = _why(
    "the runtime's texts",
    "natlab has the texts of runc 1.2 and Docker 28. That client takes `is a directory` for 126 as"
    " well; the older one here says 125.",
    "moby 24, daemon/start.go; runc 1.2; docker/cli 28, container/run.go",
)
MOUNT_PATHS = _why(
    "where something may be mounted",
    "natlab refuses what 20.10 lets pass: over the whole tree, where the program then fails, and"
    " at paths that are not absolute.",
    "natlab; moby 28 refuses the first",
)

_LOWER = (
    "Container ID64 is",
    "Cannot kill container",
    "Config cannot be empty",
    "No command specified",
    "Invalid filter",
)


def _not_absolute(spec: str) -> str:
    return (
        f"[125] docker: Error response from daemon: invalid volume specification: '{spec}': invalid"
        f" mount config for type \"volume\": invalid mount path: '{spec}' mount path must be"
        " absolute."
    )


REWORDINGS = (
    Rewording(HOSTS_FILE, r"^(fe|ff)00::0\t", r"\g<1>00::\t", "/etc/hosts"),
    Rewording(
        RESOLV_CONF,
        r"^(search [^\n]*)\n((?:nameserver [^\n]*\n?)+)",
        lambda m: f"{m[2].rstrip()}\n{m[1]}\n",
        "/etc/resolv.conf",
    ),
    Rewording(
        RESOLV_CONF,
        r"\A(options [^\n]*)\n+((?:nameserver [^\n]*\n?)+)",
        lambda m: f"{m[2].rstrip()}\n{m[1]}\n",
        "/etc/resolv.conf",
    ),
    Rewording(
        PROXY_TEXT,
        r"Error starting userland proxy: listen tcp4 127.0.0.1:8080: bind: address already in use",
        "Bind for 0.0.0.0:8080 failed: port is already allocated",
    ),
    Rewording(
        PROXY_TEXT,
        r"Error starting userland proxy: listen tcp4 (\S+): bind: ",
        r"failed to bind host port \1/tcp: ",
    ),
    Rewording(
        NETWORK_SET_UP,
        r"(docker: Error response from daemon: )"
        r"(network \S+ not found|driver failed prog|Address already in use|no available IPv4)",
        r"\1failed to set up container networking: \2",
    ),
    Rewording(SMALL_LETTERS, "|".join(_LOWER), lambda m: m[0][0].lower() + m[0][1:]),
    Rewording(SMALL_LETTERS, r"(kill container: made: )Container", r"\1container"),
    Rewording(SMALL_LETTERS, "Invalid signal: ", "cannot kill container: web: invalid signal: "),
    Rewording(
        SMALL_LETTERS,
        r"You cannot remove a running container ID64\. Stop the container before attempting removal"
        " or force remove",
        'cannot remove container "/web": container is running: stop the container before removing'
        " or force remove",
    ),
    Rewording(
        SMALL_LETTERS,
        r"invalid restart policy 'nonesuch'",
        "invalid restart policy: unknown policy 'nonesuch'; use one of 'no', 'always',"
        " 'on-failure', or 'unless-stopped'",
    ),
    Rewording(
        SMALL_LETTERS,
        r"maximum retry count cannot be used with restart policy 'always'",
        "invalid restart policy: maximum retry count can only be used with 'on-failure'",
    ),
    Rewording(SMALL_LETTERS, "pathcannot", "path cannot"),
    Rewording(POOL_OVERLAPS, "Pool overlaps", "invalid pool request: Pool overlaps"),
    Rewording(
        ACTIVE,
        r"network blue id ID64 has active endpoints",
        'network blue has active endpoints (name:"NAME" id:"ID12")',
    ),
    Rewording(
        DRIVERS,
        'plugin "nonesuch" not found',
        "could not find plugin nonesuch in v1 plugin registry: plugin not found",
    ),
    Rewording(EXEC_CODE, r"\[126\]", "[127]", "exec web nonesuch"),
    Rewording(EXEC_CODE, r"(found in \$PATH: unknown) \[126\]", r"\1 [127]"),
    Rewording(
        RUNTIME,
        r"failed to create shim task: (.*unable to start container process: )(exec: \"nonesuch\")",
        r"failed to create task for container: failed to create shim task: \1error during container"
        r" init: \2",
    ),
    Rewording(
        RUNTIME,
        r"\[126\] (.*daemon: )failed to create shim task: (.*process: )exec: \"/data\": permission"
        " denied",
        r"[125] \1failed to create task for container: failed to create shim task: \2error during"
        r' container init: exec: "/data": is a directory',
    ),
    Rewording(
        NETWORK_SET_UP,
        "(docker: Error response from daemon: )(No such container: nonesuch)",
        r"\1joining network namespace of container: \2",
        "network container:nonesuch",
    ),
    Rewording(
        MOUNT_PATHS,
        r"(?s)\A.*OCI runtime create failed.*\Z",
        "[125] docker: Error response from daemon: invalid volume specification: '/': invalid mount"
        " config for type \"volume\": invalid specification: destination can't be '/'.",
        "-v / app",
    ),
    Rewording(
        MOUNT_PATHS,
        r"\A\Z",
        _not_absolute(":/x"),
        "-v :/x app",
    ),
    Rewording(MOUNT_PATHS, r"\A\Z", _not_absolute("a:/x"), "-v a:/x app"),
    Rewording(IMAGE_TEXT, "no such image: nonesuch: No such", "No such"),
    Rewording(
        NETWORK_NAMES,
        r"^ID64$",
        "[1] Error response from daemon: invalid network name 'a b': only"
        " [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        "network create 'a b'",
    ),
    Rewording(NETWORK_NAMES, r"\na b$", "", "network prune"),
    Rewording(
        NETWORK_NAMES,
        "^500 invalid name:",
        "400 invalid network name '': only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    ),
    Rewording(
        NETWORK_NAMES,
        "^201$",
        "409 network with name green already exists",
        r'create \{"Name": "green"\}',
    ),
    Rewording(
        ENDPOINT,
        r"(ID64 )?(\[125\] docker: Error response from daemon: )Invalid address \S+ It does not"
        r" belong to any of this network's subnets",
        r"\2invalid config for network small: invalid endpoint settings:\nno configured subnet or"
        r" ip-range contain the IP address 10.9.0.3",
        "--network small",
    ),
    Rewording(
        ENDPOINT,
        r"ID64 (\[125\] docker: Error response from daemon: )user specified",
        r"\1invalid config for network one: invalid endpoint settings:\nuser specified",
        "--network one",
    ),
    Rewording(
        ENDPOINT,
        r"Invalid address (\S+): It does not belong to any of this network's subnets",
        r"invalid endpoint settings:\nno configured subnet or ip-range contain the IP address \1",
        "network connect",
    ),
    Rewording(ENDPOINT, r"Invalid IPv4 address: (\S+)\)", r"invalid IPv4 address: \1"),
    Rewording(POOLS, r"172\.20\.0\.0/16", "172.19.0.0/16", "three$"),
    Rewording(POOLS, r"172\.21\.0\.0/16", "172.20.0.0/16", "four$"),
    Rewording(
        GATEWAY_SHOWN,
        r'^( \{\n)(  "Subnet": "10\.5)',
        r'\1  "Gateway": "10.5.0.1",\n\2',
        "small IPAM",
    ),
    Rewording(
        GATEWAY_SHOWN,
        r'^(  "IPRange": )',
        r'  "Gateway": "10.6.0.128",\n\1',
        "ranged IPAM",
    ),
    Rewording(
        GATEWAY_SHOWN,
        r'^(\s+)"Subnet": "172\.17\.0\.0/16"',
        r'\1"Gateway": "172.17.0.1",\n\1"Subnet": "172.17.0.0/16"',
        "bridge IPAM",
    ),
    Rewording(GATEWAY_SHOWN, '"Options": null', '"Options": {}', "bridge IPAM"),
    Rewording(NETWORK_MODE, '"default"', '"bridge"', "HostConfig.NetworkMode"),
    Rewording(ALIASES, r',\n "ID12"', "", "Aliases"),
    Rewording(LINK_PORT, r"^udp://(\S+):53$", r"tcp://\1:8080", "[{]DB_PORT-"),
    Rewording(LINK_PORT, r"^udp://(\S+):53$", r"tcp://\1:90", "(MY_ALIAS|STORE)_PORT-"),
    Rewording(STATUS_CODES, "^500 (Container ID64 is not paused)", r"409 \1"),
    Rewording(
        STATUS_CODES, "^500 container ID64 is not paused", "409 Container ID64 is not paused"
    ),
    Rewording(STATUS_CODES, "^500 (container ID64 is not connected to)", r"403 \1"),
    Rewording(STATUS_CODES, "^200$", '400 invalid condition: "nonsense"', "condition=nonsense"),
    Rewording(OWN_WORDS, "^500 invalid character .*", "400 invalid filter", "filters=nonsense"),
    Rewording(
        OWN_WORDS,
        "^500 strconv.*",
        "400 invalid value for limit: 'x' is no whole number",
        "limit=x",
    ),
    Rewording(
        OWN_WORDS,
        "^500 invalid character .*",
        "400 invalid JSON: Expecting value: line 1 column 1 (char 0)",
        "create nonsense",
    ),
    Rewording(
        OWN_WORDS,
        "^500 EOF$",
        "400 config cannot be empty in order to create a container",
        "containers/create",
    ),
    Rewording(
        OWN_WORDS,
        "Invalid subnet nonsense : invalid CIDR address: nonsense",
        "invalid network config: invalid subnet nonsense: give one like 10.1.0.0/16",
    ),
)

_ALL = ("outcome", "server", "source", "port", "answered_by", "conntrack", "nat", "filter")

FLOWS = (
    FlowDiffers(INTERNAL, r"^internal: .* (outside|host)(:|$)", _ALL, "", "unreachable"),
    FlowDiffers(
        BRIDGED, "^no-proxy-(tcp|address): tcp two → (host2?|docker0):", _ALL, "dropped", "answered"
    ),
    FlowDiffers(
        BRIDGED, "^no-proxy-nobody-listens: tcp two", ("outcome", "conntrack"), "dropped", "refused"
    ),
    FlowDiffers(BRIDGED, "^no-proxy-tcp: tcp two → web:80", ("conntrack", "filter"), "answered"),
    FlowDiffers(BRIDGED, "^no-proxy-udp: udp two → host", ("answered_by", "conntrack"), "answered"),
    FlowDiffers(UDP_STALE, "^udp-made-again: .* again", _ALL, "answered", "answered"),
    FlowDiffers(UDP_STALE, "^udp-without-proxy: .* again", _ALL, "dropped", "answered"),
    FlowDiffers(ACCEPT_FIRST, "^udp-restart: .* again", ("filter",), "answered", "answered"),
    FlowDiffers(PORT_ORDER, "^P-expose: .*host:web/", ("conntrack", "nat"), "answered", "answered"),
)


@dataclass(frozen=True)
class NotYet:
    """What a real engine does and natlab does not: it is not compared."""

    what: str
    needs: str


NOT_YET = (
    NotYet(
        "IPv6: networks with `--ipv6`, fixed IPv6 subnets, ports published at `[::]`",
        "flows of that family, and an engine with `--ip6tables`: natlab has these networks (its own"
        " tests send through them), but nobody has compared them. The hosts have IPv6 off here.",
    ),
    NotYet(
        "`dockerd --bip`, `--ip`, `--mtu`, `--fixed-cidr`, `--bridge`, `--ip-forward=false`",
        "options of natlab's `dockerd`; networks of one's own have their counterparts (`--subnet`,"
        " `--ip-range`, the options `host_binding_ipv4` and `mtu`), which are compared.",
    ),
)


def purposes(pair: Pair) -> tuple[Purpose, ...]:
    """Why the sides of a pair differ on purpose; none if they are equal, or if nobody wants it."""
    if not pair.differing:
        return ()
    if isinstance(pair.docker, str) or isinstance(pair.natlab, str):
        return _reworded(pair)
    for entry in FLOWS:
        if (
            re.search(entry.where, f"{pair.scenario}: {pair.what}")
            and set(pair.differing) <= set(entry.fields)
            and entry.docker in pair.docker.outcome
            and entry.natlab in pair.natlab.outcome
        ):
            return (entry.purpose,)
    return ()


def _reworded(pair: Pair) -> tuple[Purpose, ...]:
    text, why = str(pair.docker), []
    for entry in REWORDINGS:
        changed = entry.apply(pair, text)
        if changed != text:
            text = changed
            why.append(entry.purpose)
    wanted = re.sub(r'name:"\w+"', 'name:"NAME"', str(pair.natlab))
    same = text.strip() == wanted.strip()
    return tuple(dict.fromkeys(why)) if same else ()
