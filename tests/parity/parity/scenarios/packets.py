"""Sizes, fragments, and many connections from one port."""

from parity.scenario import Flow, Scenario

WEB = "run -d --name web -p 8080:80 -p 53:53/udp app"
TWO = "run -d --name two app"

SCENARIOS = (
    Scenario(
        "sizes",
        "Whole packets, and such as are too large to go uncut.",
        (WEB, TWO),
        ("web:53/udp", "two:53/udp", "outside:9000/udp"),
        (
            Flow("web", "outside", "icmp", size=1472),
            Flow("web", "outside", "icmp", size=1473),
            Flow("two", "web", "icmp", size=1472),
            Flow("web", "outside:9000", "udp", size=4000),
            Flow("outside", "host:53", "udp", size=4000),
            Flow("two", "web:53", "udp", size=4000),
            Flow("two", "host:53", "udp", size=4000),
            Flow("host", "localhost:53", "udp", size=4000),
        ),
    ),
    Scenario(
        "small-mtu",
        "A network with an MTU of 1400: the host says that a packet is too large.",
        (
            "network create -o com.docker.network.driver.mtu=1400 blue",
            "run -d --name web --network blue -p 8080:80 -p 53:53/udp app",
            "run -d --name two --network blue app",
        ),
        ("web:80", "web:53/udp", "outside:9000/udp"),
        (
            Flow("web", "outside", "icmp", size=1372),
            Flow("web", "outside", "icmp", size=1373),
            Flow("two", "web", "icmp", size=1372),
            Flow("host", "web", "icmp", size=1373),
            Flow("outside", "host:53", "udp", size=1440),
            Flow("web", "outside:9000", "udp", size=4000),
            Flow("outside", "host:8080"),
        ),
    ),
    Scenario(
        "one-source-port",
        "Many connections from one source port, one after the other.",
        ("run -d --name web -p 8080:80 -p 8081:81 app",),
        ("web:80", "web:81"),
        (
            Flow("outside", "host:8080", sport=40000),
            Flow("outside", "host:8081", sport=40000, fresh=False),
            Flow("host", "host:8080", sport=40000),
            Flow("host", "localhost:8080", sport=40000),
            Flow("outside", "host:8080", times=20),
        ),
    ),
    Scenario(
        "two-from-one-port",
        "Two containers use one source port towards one server: the second one's is rewritten.",
        ("run -d --name web app", TWO),
        ("outside:9000/udp", "outside:9001/udp"),
        (
            Flow("web", "outside:9000", "udp", sport=40000),
            Flow("two", "outside:9000", "udp", sport=40000, fresh=False),
            Flow("two", "outside:9001", "udp", sport=40000, fresh=False),
            Flow("host", "outside:9000", "udp", sport=40000, fresh=False),
        ),
    ),
)
