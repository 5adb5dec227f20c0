"""When a container goes: its rules, its veth, its proxy, its programs and its connections go."""

from __future__ import annotations

import select
import socket
import threading

import pytest

from natlab import LabGoneError, NatlabError, tcp, udp

HOST = "192.168.33.11"


def with_web(lab, *specs):
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    lab.ubuntu1.publish(web, *specs)
    return docker0, web


def test_rules_veth_proxy_programs_and_name_are_taken_away(lab):
    docker0, web = with_web(lab, "80:80", "81:80", "53:53/udp")
    program = web.start("myapp 80")
    program.wait_for("listens")
    veth = web.host_end
    web.remove()
    assert lab.ubuntu1.published() == ()
    assert "172.17.0.2" not in lab.ubuntu1.nft("list ruleset")
    assert lab.ubuntu1.find_link(veth) is None
    assert lab.ubuntu1.containers() == docker0.containers() == []
    assert lab.ubuntu1.run("pgrep -f docker_proxy").stdout == ""
    assert program.wait() == -9
    assert tcp(lab.outside, HOST, 80, server=lab.ubuntu1, server_port=9).outcome == "refused"


def test_a_proxy_that_another_process_started_ends_too(lab):
    _, web = with_web(lab)
    by_hand = (
        "-proto tcp -host-ip 0.0.0.0 -host-port 80 -container-ip 172.17.0.2 -container-port 80"
    )
    with lab.ubuntu1.start(f"docker-proxy {by_hand}") as proxy:
        proxy.wait_for("ready")
        lab.ubuntu1.nft(
            'add rule ip natlab DOCKER iifname != "docker0" tcp dport 80 dnat to 172.17.0.2:80'
        )
        web.remove()
        assert proxy.wait() == -9


def test_what_a_removed_container_is_asked_says_that_it_is_gone(lab):
    _, web = with_web(lab)
    web.remove()
    with pytest.raises(LabGoneError, match="that container was removed"):
        web.links()
    assert lab.ubuntu1.find_container("web") is None


def test_its_connections_are_forgotten_and_those_of_others_stay(lab):
    docker0, web = with_web(lab, "80:80")
    db = lab.ubuntu1.add_container("db")
    docker0.attach(db)
    assert tcp(web, "192.168.33.20", 80, server=lab.outside).outcome == "answered"
    assert tcp(db, "192.168.33.20", 80, server=lab.outside).outcome == "answered"
    assert tcp(lab.outside, HOST, 80, server=web).outcome == "answered"
    web.remove()
    sources = {str(e.original.src) for e in lab.ubuntu1.conntrack() if e.proto == "tcp"}
    assert sources == {"172.17.0.3"}


class Sender:
    """Sends datagrams from one port without a pause, whatever comes back."""

    def __init__(self, node, port):
        self.sock = node.socket(kind=socket.SOCK_DGRAM)
        self.sock.bind(("0.0.0.0", 5060))
        self.target = (HOST, port)
        self.go_on = threading.Event()
        self.thread = threading.Thread(target=self.send)

    def send(self):
        while not self.go_on.wait(0.01):
            try:
                self.sock.sendto(b"still here", self.target)
            except ConnectionRefusedError:
                continue

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.go_on.set()
        self.thread.join()
        self.sock.close()


def first_sender(node, port, timeout=2.0):
    """Listen, and tell whose datagram comes first."""
    with node.socket(kind=socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", port))
        if not select.select([server], [], [], timeout)[0]:
            return None
        return server.recvfrom(64)[1]


@pytest.mark.parametrize("proxy", [True, False])
def test_a_udp_sender_with_a_fixed_port_reaches_the_new_container_at_once(request, proxy):
    lab = request.getfixturevalue("lab" if proxy else "lab_without_proxy")
    docker0, web = with_web(lab, "5060:5060/udp")
    with Sender(lab.outside, 5060):
        assert first_sender(web, 5060) == ("192.168.33.20", 5060)
        web.remove()
        with lab.ubuntu1.capture("eth0") as seen:  # in between, the host itself is asked
            assert seen.wait_for(lambda packet: packet.dport == 5060)
        taker = lab.ubuntu1.add_container("taker")  # takes .2, so the new one has another address
        docker0.attach(taker)
        again = lab.ubuntu1.add_container("web")
        assert str(docker0.attach(again)) == "172.17.0.3"
        lab.ubuntu1.publish(again, "5060:5060/udp")
        assert first_sender(again, 5060) == ("192.168.33.20", 5060)


def test_a_udp_flow_through_a_published_port_is_answered_from_that_port(lab):
    _, web = with_web(lab, "5060:5061/udp")
    probe = udp(lab.outside, HOST, 5060, server=web, server_port=5061)
    assert (probe.outcome, probe.peer) == ("answered", HOST)


def test_a_closed_lab_says_so():
    from natlab import Lab

    with Lab() as lab:
        web = lab.ubuntu1.add_container("web")
        host = lab.ubuntu1
    for ask in (web.links, host.links, lambda: host.add_container("db")):
        with pytest.raises(NatlabError, match="or its lab closed"):
            ask()
    with pytest.raises(AttributeError, match="no host 'ubuntu1' in this lab: there is none"):
        lab.ubuntu1  # noqa: B018 - asking is the point
    lab.close()
