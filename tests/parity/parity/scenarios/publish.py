"""Every form of `-p` and `-P`, with the userland proxy."""

from parity.scenario import Flow, Scenario

TWO = "run -d --name two app"


def _everywhere(port: str, proto: str = "tcp") -> tuple[Flow, ...]:
    """From each kind of place to a port of the host."""
    return (
        Flow("outside", f"host:{port}", proto),
        Flow("host", f"host:{port}", proto),
        Flow("host", f"localhost:{port}", proto),
        Flow("two", f"host:{port}", proto),
        Flow("web", f"host:{port}", proto),
        Flow("two", f"docker0:{port}", proto),
        Flow("host", f"docker0:{port}", proto),
    )


SCENARIOS = (
    Scenario(
        "p-host-container",
        "`-p 80:8080`: one port at all addresses.",
        ("run -d --name web -p 80:8080 app", TWO),
        ("web:8080",),
        _everywhere("80"),
    ),
    Scenario(
        "p-container",
        "`-p 8080`: the engine chooses the port.",
        ("run -d --name web -p 8080 app", TWO),
        ("web:8080",),
        _everywhere("web/8080"),
    ),
    Scenario(
        "p-udp",
        "`-p 53:53/udp`: a datagram from each place.",
        ("run -d --name web -p 53:53/udp app", TWO),
        ("web:53/udp",),
        _everywhere("53", "udp"),
    ),
    Scenario(
        "p-tcp-and-udp",
        "tcp 53 and udp 53 are two ports.",
        ("run -d --name web -p 53:8080 -p 53:53/udp app", TWO),
        ("web:8080", "web:53/udp"),
        (Flow("outside", "host:53"), Flow("outside", "host:53", "udp"), Flow("two", "host:53")),
    ),
    Scenario(
        "p-localhost",
        "`-p 127.0.0.1:8080:80`: for the host alone.",
        ("run -d --name web -p 127.0.0.1:8080:80 app", TWO),
        ("web:80",),
        (
            Flow("host", "localhost:8080"),
            Flow("host", "host:8080"),
            Flow("outside", "host:8080"),
            Flow("two", "host:8080"),
            Flow("two", "docker0:8080"),
            Flow("two", "localhost:8080"),
        ),
    ),
    Scenario(
        "p-localhost-udp",
        "`-p 127.0.0.1:53:53/udp`: the same with datagrams.",
        ("run -d --name web -p 127.0.0.1:53:53/udp app", TWO),
        ("web:53/udp",),
        (
            Flow("host", "localhost:53", "udp"),
            Flow("host", "host:53", "udp"),
            Flow("outside", "host:53", "udp"),
        ),
    ),
    Scenario(
        "p-localhost-chosen-port",
        "`-p 127.0.0.1::80`: a chosen address, an automatic port.",
        ("run -d --name web -p 127.0.0.1::80 app", TWO),
        ("web:80",),
        (Flow("host", "localhost:web/80"), Flow("outside", "host:web/80")),
    ),
    Scenario(
        "p-address",
        "`-p 192.168.33.111:8080:80` on a host with two addresses.",
        ("run -d --name web -p 192.168.33.111:8080:80 app", TWO),
        ("web:80",),
        (
            Flow("outside", "host2:8080"),
            Flow("outside", "host:8080"),
            Flow("host", "host2:8080"),
            Flow("host", "host:8080"),
            Flow("host", "localhost:8080"),
            Flow("two", "host2:8080"),
            Flow("two", "host:8080"),
            Flow("web", "host2:8080"),
        ),
        before=(("host", "ip addr add 192.168.33.111/24 dev eth0"),),
    ),
    Scenario(
        "p-two-addresses",
        "The same port at two addresses leads to two containers.",
        (
            "run -d --name web -p 192.168.33.11:8080:80 app",
            "run -d --name two -p 192.168.33.111:8080:80 app",
        ),
        ("web:80", "two:80"),
        (
            Flow("outside", "host:8080"),
            Flow("outside", "host2:8080"),
            Flow("web", "host2:8080"),
            Flow("two", "host:8080"),
            Flow("host", "host2:8080"),
        ),
        before=(("host", "ip addr add 192.168.33.111/24 dev eth0"),),
    ),
    Scenario(
        "p-range",
        "`-p 7000-7002:80-82`: three ports at once.",
        ("run -d --name web -p 7000-7002:80-82 app",),
        ("web:80", "web:82"),
        (
            Flow("outside", "host:7000"),
            Flow("outside", "host:7001"),
            Flow("outside", "host:7002"),
            Flow("outside", "host:7003"),
        ),
    ),
    Scenario(
        "p-range-for-one",
        "`-p 7000-7005:80`: the first free port of a range.",
        (
            "run -d --name web -p 7000-7005:80 app",
            "run -d --name two -p 7000-7005:80 app",
        ),
        ("web:80", "two:80"),
        (
            Flow("outside", "host:web/80"),
            Flow("outside", "host:two/80"),
            Flow("outside", "host:7000"),
            Flow("outside", "host:7001"),
            Flow("web", "host:7001"),
        ),
    ),
    Scenario(
        "p-twice",
        "One port of a container published twice.",
        ("run -d --name web -p 8080:80 -p 8081:80 app", TWO),
        ("web:80",),
        (Flow("outside", "host:8080"), Flow("outside", "host:8081"), Flow("two", "host:8081")),
    ),
    Scenario(
        "P-all",
        "`-P`: what the image EXPOSEs, tcp and udp.",
        ("run -d --name web -P app", TWO),
        ("web:8080", "web:53/udp"),
        (
            Flow("outside", "host:web/8080"),
            Flow("outside", "host:web/53/udp", "udp"),
            Flow("two", "host:web/8080"),
            Flow("host", "localhost:web/8080"),
        ),
    ),
    Scenario(
        "P-expose",
        "`-P --expose 90-91`: and what the command line exposes.",
        ("run -d --name web -P --expose 90-91 app", "run -d --name two -P app"),
        ("web:90", "web:91", "two:8080"),
        (
            Flow("outside", "host:web/90"),
            Flow("outside", "host:web/91"),
            Flow("outside", "host:two/8080"),
            Flow("web", "host:two/8080"),
        ),
    ),
    Scenario(
        "p-nobody-listens",
        "A published port at which nobody listens.",
        ("run -d --name web -p 8080:80 -p 53:53/udp app", TWO),
        ("two:80",),
        (
            Flow("outside", "host:8080"),
            Flow("host", "host:8080"),
            Flow("host", "localhost:8080"),
            Flow("two", "host:8080"),
            Flow("outside", "host:53", "udp"),
        ),
    ),
)
