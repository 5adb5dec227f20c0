"""The seed's four kinds of traffic."""

from parity.scenario import Flow, Scenario

WEB = "run -d --name web -p 8080:80 app"
TWO = "run -d --name two app"

SCENARIOS = (
    Scenario(
        "neighbours",
        "Containers of docker0 reach each other with their own addresses, published or not.",
        (WEB, TWO),
        ("web:80", "two:80", "two:53/udp"),
        (
            Flow("two", "web:80"),
            Flow("web", "two:80"),
            Flow("web", "two:53", "udp"),
            Flow("web", "two", "icmp"),
            Flow("web", "two:81"),
            Flow("web", "two:54", "udp"),
            Flow("web", "172.17.0.9", "icmp"),
            Flow("web", "localhost:80"),
        ),
    ),
    Scenario(
        "container-and-host",
        "A container and its host: no rule of FORWARD, no NAT.",
        (WEB,),
        ("web:80", "web:53/udp", "host:9001", "host:9002/udp"),
        (
            Flow("host", "web:80"),
            Flow("host", "web:53", "udp"),
            Flow("host", "web", "icmp"),
            Flow("host", "web:81"),
            Flow("web", "host:9001"),
            Flow("web", "docker0:9001"),
            Flow("web", "docker0:9002", "udp"),
            Flow("web", "docker0", "icmp"),
            Flow("web", "host", "icmp"),
            Flow("web", "host:9009"),
        ),
    ),
    Scenario(
        "container-to-lan",
        "A container reaches the LAN with its host's address.",
        (WEB,),
        ("outside:9000", "outside:9000/udp", "ubuntu2:9000"),
        (
            Flow("web", "outside:9000"),
            Flow("web", "outside:9000", "udp"),
            Flow("web", "outside", "icmp"),
            Flow("web", "ubuntu2:9000"),
            Flow("web", "outside:9001"),
            Flow("web", "outside:9001", "udp"),
            Flow("web", "192.168.33.99:80"),
            Flow("web", "10.1.2.3:80"),
        ),
    ),
    Scenario(
        "lan-to-container",
        "The LAN reaches a published port; the container sees the real client.",
        (WEB, TWO),
        ("web:80", "two:80"),
        (
            Flow("outside", "host:8080"),
            Flow("ubuntu2", "host:8080"),
            Flow("outside", "host:80"),
            Flow("outside", "host:8081"),
            Flow("outside", "host", "icmp"),
            Flow("outside", "host:8080", sport=40000),
        ),
    ),
    Scenario(
        "lan-without-a-route",
        "Without a route the LAN cannot name a container's own address.",
        (WEB,),
        ("web:80",),
        (Flow("outside", "web:80"), Flow("outside", "web", "icmp")),
    ),
)
