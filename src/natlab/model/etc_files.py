"""The three files that Docker writes over the image's: /etc/hostname, /etc/hosts, /etc/resolv.conf.

In the default network a container asks the host's name servers, and knows the containers that it
is linked to by its hosts file. In a user-defined network it asks 127.0.0.11, where the engine
answers with the names of the network's containers and passes on the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from natlab.model.addresses import Address
from natlab.model.names import one_line
from natlab.model.refusal import Refusal

EMBEDDED: Final = ip_address("127.0.0.11")
"""Where the engine's own name server answers, in every user-defined network."""

HOST_GATEWAY: Final = "host-gateway"
"""What stands for the host's address in `--add-host name:host-gateway`."""

_FALLBACK: Final = (ip_address("8.8.8.8"), ip_address("8.8.4.4"))
_NDOTS: Final = "ndots"
_KNOWN: Final = ("nameserver", "search", "domain", "options")
_EVERYWHERE: Final = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::", "ip6-localnet"),
    ("ff00::", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)
_IPV4: Final = 4


@dataclass(frozen=True)
class HostsLine:
    """A line of the hosts file: an address and its names, such as those of a link."""

    address: Address
    names: tuple[str, ...]

    @classmethod
    def of_link(cls, address: Address, alias: str, hostname: str, name: str) -> HostsLine:
        """Make the line of a link: the alias, the target's host name, its name if it differs.

        Equivalent to: what `docker run --link NAME:ALIAS` adds to /etc/hosts.
        """
        return cls(address, (alias, hostname) if alias == name else (alias, hostname, name))


@dataclass(frozen=True)
class Resolv:
    """A resolv.conf, and whom an engine's own name server asks.

    Attributes:
        text: The file.
        upstreams: The name servers of the host or of `--dns`, the host's loopback ones too:
            the host itself must ask those.
    """

    text: str
    upstreams: tuple[Address, ...]


def hostname_file(hostname: str) -> str:
    """Write /etc/hostname; a domain of `--domainname` is not in it (moby BuildHostnameFile).

    Equivalent to: `docker run --hostname HOSTNAME`.
    """
    return f"{hostname}\n"


def hosts_file(
    hostname: str,
    addresses: Iterable[Address] = (),
    *,
    domainname: str = "",
    extra: Iterable[str] = (),
    links: Iterable[HostsLine] = (),
    gateway: Address | None = None,
) -> str:
    """Write /etc/hosts: what is everywhere, extra hosts, links, then the container itself.

    A host name with a domain gives the full name and then its first part (moby libnetwork
    etchosts).

    Equivalent to: `docker run --hostname HOSTNAME --add-host EXTRA --link NAME:ALIAS`.

    Args:
        hostname: The container's host name, with or without a domain.
        addresses: The container's addresses, one a network.
        domainname: The domain, if it is not in the host name.
        extra: `name:ip`, where the ip may be `host-gateway`.
        links: The lines of linked containers.
        gateway: What `host-gateway` stands for.

    Raises:
        Refusal: `bad format for add-host: "x"`, `invalid IP address in add-host: "x"`,
            `unable to derive the IP value for host-gateway`.
    """
    full = f"{hostname}.{domainname}" if domainname else hostname
    first, dot, _ = full.partition(".")
    own = f"{full} {first}" if dot else full
    lines = [
        *_EVERYWHERE,
        *(_extra_host(text, gateway) for text in extra),
        *((str(link.address), " ".join(link.names)) for link in links),
        *((str(address), own) for address in addresses),
    ]
    return "".join(f"{address}\t{names}\n" for address, names in lines)


def resolv_conf(
    host_text: str,
    *,
    embedded: bool = False,
    servers: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Resolv:
    """Write /etc/resolv.conf from the host's and from what the run asked for.

    In the default network the host's loopback and IPv6 servers are left out, and 8.8.8.8 and
    8.8.4.4 stand in when none is left; servers of `--dns` stay as they are (moby libnetwork
    resolvconf).

    Equivalent to: `docker run --dns SERVER --dns-search DOMAIN --dns-option OPTION`.

    Args:
        host_text: The host's /etc/resolv.conf.
        embedded: The container is in a user-defined network.
        servers: They replace the host's.
        search: They replace the host's search domains; `.` alone leaves none.
        options: They replace the host's options.

    Raises:
        Refusal: `bad nameserver address x: ParseAddr("x"): unable to parse IP`.
    """
    conf = _read(host_text)
    if servers:
        conf = replace(conf, servers=tuple(_server(text) for text in servers))
    if search:
        conf = replace(conf, search=tuple(domain for domain in search if domain != "."))
    if options:
        conf = replace(conf, options=tuple(options))
    if embedded:
        changed = replace(conf, servers=(EMBEDDED,), options=_with_ndots(conf.options))
        return Resolv(_write(changed), conf.servers)
    if not servers:
        usable = tuple(s for s in conf.servers if s.version == _IPV4 and not s.is_loopback)
        conf = replace(conf, servers=usable or _FALLBACK)
    return Resolv(_write(conf), conf.servers)


@dataclass(frozen=True)
class _Conf:
    servers: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    other: tuple[str, ...] = ()


def _read(text: str) -> _Conf:
    conf = _Conf()
    for line in text.splitlines():
        key, *values = line.split() or ("#",)
        if key[0] in "#;" or (not values and key in _KNOWN):
            continue
        if key == "nameserver":
            server = _address(values[0])
            conf = replace(conf, servers=conf.servers + ((server,) if server else ()))
        elif key in ("search", "domain"):
            conf = replace(conf, search=tuple(values))
        elif key == "options":
            conf = replace(conf, options=conf.options + tuple(values))
        else:
            conf = replace(conf, other=(*conf.other, line))
    return conf


def _write(conf: _Conf) -> str:
    lines = [f"nameserver {server}" for server in conf.servers]
    if conf.search:
        lines.append(f"search {' '.join(conf.search)}")
    if conf.options:
        lines.append(f"options {' '.join(conf.options)}")
    return "".join(f"{line}\n" for line in [*lines, *conf.other])


def _with_ndots(options: tuple[str, ...]) -> tuple[str, ...]:
    """Add `ndots:0` unless an ndots that is a number stands there."""
    kept = tuple(option for option in options if _is_usable(option))
    if any(option.partition(":")[0] == _NDOTS for option in kept):
        return kept
    return (*kept, f"{_NDOTS}:0")


def _is_usable(option: str) -> bool:
    name, _, value = option.partition(":")
    return name != _NDOTS or (value.isascii() and value.isdigit())


def _server(text: str) -> Address:
    server = _address(text)
    if server is None:
        shown = one_line(text)
        raise Refusal(f'bad nameserver address {shown}: ParseAddr("{shown}"): unable to parse IP')
    return server


def _extra_host(text: str, gateway: Address | None) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not name or not colon:
        raise Refusal(f'bad format for add-host: "{one_line(text)}"')
    if value == HOST_GATEWAY:
        if gateway is None:
            raise Refusal("unable to derive the IP value for host-gateway")
        return str(gateway), name
    if _address(value) is None:
        raise Refusal(f'invalid IP address in add-host: "{one_line(value)}"')
    return value, name


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
