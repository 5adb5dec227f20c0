"""What becomes of flows when containers come and go."""

from parity.scenario import Flow, Scenario, Type

TWO = "run -d --name two app"
SENDER = Flow("outside", "host:5060", "udp", sport=5060, fresh=False)

SCENARIOS = (
    Scenario(
        "stop-and-start",
        "A stopped container's port is nobody's; it comes back with it.",
        ("run -d --name web -p 8080:80 app", TWO),
        ("web:80", "two:80"),
        (
            Flow("outside", "host:8080"),
            Type("stop web"),
            Flow("outside", "host:8080"),
            Flow("host", "localhost:8080"),
            Flow("two", "172.17.0.2", "icmp"),
            Type("start web"),
            Flow("outside", "host:8080"),
            Flow("two", "web:80"),
        ),
    ),
    Scenario(
        "udp-restart",
        "A udp sender with a fixed port goes on while its container restarts.",
        ("run -d --name web -p 5060:5060/udp app",),
        ("web:5060/udp",),
        (SENDER, Type("restart web"), SENDER, SENDER),
    ),
    Scenario(
        "udp-made-again",
        "The same while the container is removed and made again, with another address.",
        ("run -d --name web -p 5060:5060/udp app",),
        ("web:5060/udp", "two:5060/udp"),
        (
            SENDER,
            Type("rm -f web"),
            SENDER,
            Type("run -d --name first app"),
            Type("run -d --name two -p 5060:5060/udp app"),
            SENDER,
            SENDER,
        ),
    ),
    Scenario(
        "udp-without-proxy",
        "The same without a userland proxy.",
        ("run -d --name web -p 5060:5060/udp app",),
        ("web:5060/udp", "two:5060/udp"),
        (
            SENDER,
            Type("rm -f web"),
            SENDER,
            Type("run -d --name first app"),
            Type("run -d --name two -p 5060:5060/udp app"),
            SENDER,
        ),
        options=("--userland-proxy=false",),
    ),
    Scenario(
        "pause",
        "A paused container's kernel still answers: a connection is made, and nobody serves it.",
        ("run -d --name web -p 8080:80 app",),
        ("web:80",),
        (Type("pause web"), Flow("outside", "web", "icmp"), Flow("host", "web", "icmp")),
        before=(("outside", "ip route add 172.17.0.0/16 via 192.168.33.11"),),
    ),
    Scenario(
        "port-taken-over",
        "A removed container's port goes to another one.",
        ("run -d --name web -p 8080:80 app", TWO),
        ("web:80", "two:80", "three:80"),
        (
            Flow("outside", "host:8080", sport=40000),
            Type("rm -f web"),
            Type("run -d --name three -p 8080:80 app"),
            Flow("outside", "host:8080", sport=40001),
            Flow("two", "three:80"),
            Flow("two", "host:8080"),
        ),
    ),
    Scenario(
        "proxy-is-a-process",
        "With a proxy the host's own program cannot have the port: it is held.",
        ("run -d --name web -p 8080:80 app",),
        ("web:80",),
        (
            Type("! (exec 3<>/dev/tcp/127.0.0.1/8081) 2>/dev/null", "host"),
            Type("(exec 3<>/dev/tcp/127.0.0.1/8080)", "host"),
            Flow("outside", "host:8080"),
        ),
    ),
)
