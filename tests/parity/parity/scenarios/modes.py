"""`--network` none, host and container:X."""

from parity.scenario import Flow, Scenario

SCENARIOS = (
    Scenario(
        "net-none",
        "`--network none`: only its own loopback.",
        ("run -d --name web --network none app", "run -d --name two app"),
        ("web:80", "outside:9000"),
        (
            Flow("web", "localhost:80"),
            Flow("web", "outside:9000"),
            Flow("web", "docker0:80"),
            Flow("web", "docker0", "icmp"),
        ),
    ),
    Scenario(
        "net-host",
        "`--network host`: the host's own ports.",
        ("run -d --name web --network host app", "run -d --name two -p 8080:80 app"),
        ("web:9001", "two:80", "outside:9000"),
        (
            Flow("outside", "host:9001"),
            Flow("two", "host:9001"),
            Flow("web", "outside:9000"),
            Flow("web", "two:80"),
            Flow("web", "localhost:8080"),
            Flow("host", "localhost:9001"),
        ),
    ),
    Scenario(
        "net-container",
        "`--network container:X`: two containers, one network namespace.",
        (
            "run -d --name pod -p 8080:80 app",
            "run -d --name web --network container:pod app",
            "run -d --name two app",
        ),
        ("web:80", "outside:9000", "pod:81"),
        (
            Flow("outside", "host:8080"),
            Flow("two", "pod:80"),
            Flow("web", "localhost:81"),
            Flow("pod", "localhost:80"),
            Flow("web", "outside:9000"),
            Flow("web", "host:8080"),
        ),
    ),
)
