"""What keeps packets away: icc, forwarding, the FORWARD policy."""

from parity.scenario import Flow, Scenario

ROUTE = (("outside", "ip route add 172.17.0.0/16 via 192.168.33.11"),)
WEB = "run -d --name web -p 8080:80 app"
TWO = "run -d --name two app"

SCENARIOS = (
    Scenario(
        "icc-off",
        "`--icc=false`: neighbours do not reach each other; a published port goes on working.",
        (WEB, TWO),
        ("web:80", "two:80", "outside:9000"),
        (
            Flow("two", "web:80"),
            Flow("web", "two:80"),
            Flow("two", "web", "icmp"),
            Flow("outside", "host:8080"),
            Flow("two", "host:8080"),
            Flow("web", "host:8080"),
            Flow("host", "web:80"),
            Flow("two", "outside:9000"),
        ),
        options=("--icc=false",),
    ),
    Scenario(
        "icc-off-link",
        "`--icc=false` and `--link`: the exposed ports of the linked one, one way.",
        ("run -d --name web app", "run -d --name two --link web:db app", "run -d --name three app"),
        ("web:8080", "web:80", "web:53/udp", "two:8080"),
        (
            Flow("two", "web:8080"),
            Flow("two", "web:80"),
            Flow("two", "web:53", "udp"),
            Flow("web", "two:8080"),
            Flow("three", "web:8080"),
            Flow("two", "web", "icmp"),
        ),
        options=("--icc=false",),
    ),
    Scenario(
        "icc-off-no-proxy",
        "`--icc=false --userland-proxy=false`: a published port from a neighbour.",
        (WEB, TWO),
        ("web:80",),
        (
            Flow("two", "host:8080"),
            Flow("two", "web:80"),
            Flow("web", "host:8080"),
            Flow("outside", "host:8080"),
            Flow("host", "localhost:8080"),
        ),
        options=("--icc=false", "--userland-proxy=false"),
    ),
    Scenario(
        "icc-off-own-network",
        "icc off for one network alone.",
        (
            "network create -o com.docker.network.bridge.enable_icc=false blue",
            "run -d --name web --network blue app",
            "run -d --name two --network blue app",
            "run -d --name three app",
            "run -d --name four app",
        ),
        ("web:80", "three:80"),
        (Flow("two", "web:80"), Flow("four", "three:80"), Flow("two", "web", "icmp")),
    ),
    Scenario(
        "forwarding-off-before",
        "Docker itself turned forwarding on: a route from the LAN straight to a container.",
        (WEB, TWO),
        ("web:80", "web:81", "two:80", "outside:9000"),
        (
            Flow("outside", "web:80"),
            Flow("outside", "web:81"),
            Flow("outside", "two:80"),
            Flow("outside", "two", "icmp"),
            Flow("outside", "docker0", "icmp"),
            Flow("two", "outside:9000"),
        ),
        before=ROUTE,
    ),
    Scenario(
        "forwarding-on-before",
        "Forwarding was on before the engine started: it leaves the FORWARD policy alone.",
        (WEB, TWO),
        ("web:80", "web:81", "two:80"),
        (
            Flow("outside", "web:80"),
            Flow("outside", "web:81"),
            Flow("outside", "two:80"),
            Flow("outside", "two", "icmp"),
        ),
        before=(*ROUTE, ("host", "sysctl -w net.ipv4.ip_forward=1")),
    ),
    Scenario(
        "forwarding-for-others",
        "A second LAN behind the host, which the engine's start cuts off.",
        (TWO,),
        ("ubuntu2:9000",),
        (Flow("outside", "10.7.0.2:9000"), Flow("outside", "10.7.0.2", "icmp")),
        before=(
            ("host", "ip addr add 10.7.0.1/24 dev eth0"),
            ("ubuntu2", "ip addr add 10.7.0.2/24 dev eth0"),
            ("ubuntu2", "ip route add 192.168.33.20 via 10.7.0.1"),
            ("outside", "ip route add 10.7.0.0/24 via 192.168.33.11"),
        ),
    ),
    Scenario(
        "forwarding-taken-away",
        "Somebody turns forwarding off afterwards.",
        (WEB, TWO),
        ("web:80", "outside:9000"),
        (
            Flow("outside", "host:8080"),
            Flow("web", "outside:9000"),
            Flow("host", "localhost:8080"),
            Flow("two", "web:80"),
            Flow("two", "host:8080"),
        ),
        after=(("host", "sysctl -w net.ipv4.ip_forward=0"),),
    ),
)
