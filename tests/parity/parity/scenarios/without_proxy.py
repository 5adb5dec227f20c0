"""The same without the userland proxy: hairpin, route_localnet and masquerade instead."""

from parity.scenario import Flow, Scenario

OFF = ("--userland-proxy=false",)
TWO = "run -d --name two app"

SCENARIOS = (
    Scenario(
        "no-proxy-tcp",
        "A published port from each place, without a proxy.",
        ("run -d --name web -p 8080:80 app", TWO),
        ("web:80",),
        (
            Flow("outside", "host:8080"),
            Flow("host", "host:8080"),
            Flow("host", "localhost:8080"),
            Flow("two", "host:8080"),
            Flow("web", "host:8080"),
            Flow("two", "docker0:8080"),
            Flow("host", "web:80"),
            Flow("two", "web:80"),
            Flow("web", "localhost:80"),
        ),
        options=OFF,
    ),
    Scenario(
        "no-proxy-udp",
        "The same with datagrams.",
        ("run -d --name web -p 53:53/udp app", TWO),
        ("web:53/udp",),
        (
            Flow("outside", "host:53", "udp"),
            Flow("host", "host:53", "udp"),
            Flow("host", "localhost:53", "udp"),
            Flow("two", "host:53", "udp"),
            Flow("web", "host:53", "udp"),
        ),
        options=OFF,
    ),
    Scenario(
        "no-proxy-localhost",
        "`-p 127.0.0.1:8080:80` without a proxy.",
        ("run -d --name web -p 127.0.0.1:8080:80 app", TWO),
        ("web:80",),
        (
            Flow("host", "localhost:8080"),
            Flow("host", "host:8080"),
            Flow("outside", "host:8080"),
            Flow("two", "host:8080"),
        ),
        options=OFF,
    ),
    Scenario(
        "no-proxy-address",
        "A chosen host address without a proxy.",
        ("run -d --name web -p 192.168.33.111:8080:80 app", TWO),
        ("web:80",),
        (
            Flow("outside", "host2:8080"),
            Flow("outside", "host:8080"),
            Flow("two", "host2:8080"),
            Flow("web", "host2:8080"),
            Flow("host", "host2:8080"),
        ),
        options=OFF,
        before=(("host", "ip addr add 192.168.33.111/24 dev eth0"),),
    ),
    Scenario(
        "no-proxy-other-bridge",
        "Another bridge's published port without a proxy.",
        (
            "network create blue",
            "run -d --name web -p 8080:80 --network blue app",
            TWO,
        ),
        ("web:80",),
        (
            Flow("two", "host:8080"),
            Flow("two", "web:80"),
            Flow("outside", "host:8080"),
            Flow("host", "localhost:8080"),
            Flow("web", "host:8080"),
        ),
        options=OFF,
    ),
    Scenario(
        "no-proxy-nobody-listens",
        "A published port at which nobody listens, without a proxy.",
        ("run -d --name web -p 8080:80 app", TWO),
        ("two:80",),
        (Flow("outside", "host:8080"), Flow("host", "localhost:8080"), Flow("two", "host:8080")),
        options=OFF,
    ),
    Scenario(
        "no-proxy-bridged",
        "Without a proxy, on a host that filters bridged frames, as one with br_netfilter does.",
        ("run -d --name web -p 8080:80 -p 53:53/udp app", TWO),
        ("web:80", "web:53/udp"),
        (
            Flow("two", "host:8080"),
            Flow("two", "docker0:8080"),
            Flow("web", "host:8080"),
            Flow("two", "web:80"),
            Flow("two", "host:53", "udp"),
            Flow("two", "host:8081"),
        ),
        options=OFF,
        before=(("host", "sysctl -w net.bridge.bridge-nf-call-iptables=1"),),
    ),
)
