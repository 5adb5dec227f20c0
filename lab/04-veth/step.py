"""Step 04: a veth pair joins the container and the bridge."""

from natlab import Lab, ping
from natlab.course import answers, check, container, default_route, has_address, is_up, plugged_in


def build(lab: Lab) -> None:
    """The four steps of networking a container, by the library."""
    docker0 = lab.ubuntu1.network("docker0")
    docker0.attach(lab.ubuntu1.container("web"), "172.17.0.2")


@check("one end of the veth pair is a port of docker0, the other is eth0 in web")
def cable(lab: Lab) -> str:
    host_end = plugged_in(container(lab, "web"), "docker0")
    return f"{host_end} on ubuntu1 is a port of docker0, and its peer is eth0 in web"


@check("web has 172.17.0.2/16 on eth0, up, and a default route to the bridge", needs=[cable])
def addressed(lab: Lab) -> str:
    web = container(lab, "web")
    is_up(web, "eth0")
    has_address(web, "eth0", "172.17.0.2/16")
    default_route(web, "172.17.0.1")
    return "172.17.0.2/16 on eth0, default via 172.17.0.1"


@check("the host reaches the container, from the bridge's address", needs=[addressed])
def host_to_container(lab: Lab) -> str:
    web = container(lab, "web")
    probe = ping(lab.ubuntu1, "172.17.0.2", server=web)
    return answers(probe, source="172.17.0.1", hint="look at `bridge link` and `ip -n web addr`")


@check("the container reaches its host", needs=[addressed])
def container_to_host(lab: Lab) -> str:
    web = container(lab, "web")
    probe = ping(web, "172.17.0.1", server=lab.ubuntu1)
    return answers(probe, source="172.17.0.2", hint="is docker0 up, with 172.17.0.1/16?")


CHECKS = [cable, addressed, host_to_container, container_to_host]
