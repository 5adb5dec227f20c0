"""The name server at 127.0.0.11: asked from inside a container, by sockets and by glibc."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from ipaddress import IPv4Address

import pytest
from dnslib import EDNS0, QTYPE, RCODE, RR, TXT, A, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from natlab.daemon import dns_container
from natlab.daemon.dns import Resolver, Upstream
from natlab.daemon.dns_loop import Loop
from natlab.daemon.dns_stream import Stream
from natlab.errors import NatlabError

SERVER = ("127.0.0.11", 53)
OUTSIDE = "192.168.33.20"
PATIENCE = 10.0


class Names:
    """What the container of these tests knows."""

    def __init__(self) -> None:
        self.table = {
            "web": ["172.17.0.2"],
            "web.net1": ["172.17.0.2"],
            "api": ["172.17.0.2", "172.17.0.3"],
        }

    def addresses(self, name):
        return [IPv4Address(text) for text in self.table.get(name, [])]

    def name_of(self, address):
        return "web.net1" if str(address) == "172.17.0.2" else None


class World:
    """A real name server somewhere else, which answers as a test tells it to."""

    def __init__(self, node, *, port: int = 53, address: str = OUTSIDE) -> None:
        self.udp, self.tcp = node.socket(kind=socket.SOCK_DGRAM), node.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for sock in (self.udp, self.tcp):
            sock.settimeout(PATIENCE)
        self.udp.bind((address, port))
        self.tcp.bind((address, port))
        self.tcp.listen()
        self.heard: list[tuple[tuple[str, int], DNSRecord, bytes]] = []
        self.answer = lambda query: [with_answer(query, "192.0.2.80")]
        self._threads = [threading.Thread(target=t) for t in (self._udp, self._tcp)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.udp.sendto(b"", self.udp.getsockname())
        self.tcp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self.udp.close()
        self.tcp.close()

    def _udp(self):
        with contextlib.suppress(OSError):
            while True:
                packet, client = self.udp.recvfrom(65535)
                if not packet:
                    return
                for reply in self._reply(client, packet):
                    self.udp.sendto(reply, client)

    def _tcp(self):
        with contextlib.suppress(OSError):
            while True:
                conn, client = self.tcp.accept()
                with conn:
                    for reply in self._reply(client, receive(conn)):
                        send(conn, reply)

    def _reply(self, client, packet):
        query = DNSRecord.parse(packet)
        self.heard.append((client, query, packet))
        return self.answer(query)


def with_answer(query: DNSRecord, *addresses: str, **header) -> bytes:
    made = DNSHeader(id=query.header.id, bitmap=0, qr=1, ra=1, **header)
    record = DNSRecord(made, q=query.q)
    for address in addresses:
        record.add_answer(RR(query.q.qname, QTYPE.A, ttl=60, rdata=A(address)))
    return bytes(record.pack())


def send(sock, packet: bytes) -> None:
    sock.sendall(len(packet).to_bytes(2, "big") + packet)


def receive(sock) -> bytes:
    return exactly(sock, int.from_bytes(exactly(sock, 2), "big"))


def exactly(sock, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise EOFError(f"closed after {len(data)} bytes")
        data += chunk
    return data


def question(name: str, kind: str = "A", number: int = 7) -> DNSRecord:
    return DNSRecord(DNSHeader(id=number), q=DNSQuestion(name, getattr(QTYPE, kind)))


def ask(node, name: str, kind: str = "A") -> DNSRecord:
    """Ask over UDP, as a program in the container does."""
    with udp(node) as sock:
        sock.send(question(name, kind).pack())
        return DNSRecord.parse(sock.recv(65535))


def udp(node) -> socket.socket:
    sock = node.socket(kind=socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.connect(SERVER)
    return sock


def ask_tcp(node, name: str, kind: str = "A") -> DNSRecord:
    with node.connect(*SERVER, timeout=PATIENCE) as sock:
        send(sock, question(name, kind).pack())
        return DNSRecord.parse(receive(sock))


def values(record: DNSRecord) -> list[str]:
    return [str(rr.rdata) for rr in record.rr]


def code(record: DNSRecord) -> str:
    return str(RCODE.get(record.header.rcode))


@pytest.fixture
def host(lab):
    lab.ubuntu1.add_docker0()
    return lab.ubuntu1


@pytest.fixture
def web(host):
    return host.network().add_container("web")


@pytest.fixture
def resolver():
    with Resolver(timeout=0.5) as resolver:
        yield resolver


@pytest.fixture
def world(lab):
    with World(lab.outside) as world:
        yield world


@pytest.fixture
def outside(host, world):
    """The world's name server, asked from the host."""
    assert world.udp.getsockname() == (OUTSIDE, 53)
    return Upstream(OUTSIDE, host.place)


# What it knows itself


def test_a_name_is_answered_over_udp_and_tcp(web, resolver):
    resolver.attach(web.place, Names())
    for asked in (ask, ask_tcp):
        reply = asked(web, "WEB.net1")
        assert values(reply) == ["172.17.0.2"]
        assert reply.rr[0].ttl == 600
        assert reply.header.id == 7


def test_an_alias_of_several_containers_has_all_addresses_in_changing_order(web, resolver):
    resolver.attach(web.place, Names())
    orders = {tuple(values(ask(web, "api"))) for _ in range(60)}
    assert orders == {("172.17.0.2", "172.17.0.3"), ("172.17.0.3", "172.17.0.2")}


def test_a_known_name_has_no_ipv6_address_and_says_so(web, resolver, world, outside):
    resolver.attach(web.place, Names(), [outside])
    reply = ask(web, "web", "AAAA")
    assert (code(reply), reply.rr) == ("NOERROR", [])
    assert world.heard == []


def test_an_address_has_the_name_of_its_container(web, resolver):
    resolver.attach(web.place, Names())
    assert values(ask(web, "2.0.17.172.in-addr.arpa", "PTR")) == ["web.net1."]


def test_a_name_is_looked_up_anew_for_each_query(web, resolver):
    names = Names()
    resolver.attach(web.place, names)
    assert code(ask(web, "late")) == "SERVFAIL"
    names.table["late"] = ["172.17.0.9"]
    assert values(ask(web, "late")) == ["172.17.0.9"]


def test_glibc_finds_names_aliases_and_reverse_names(web, resolver):
    resolver.attach(web.place, Names())
    script = (
        "printf 'nameserver 127.0.0.11\\noptions ndots:0\\n' > /run/resolv.test;"
        "mount --bind /run/resolv.test /etc/resolv.conf;"
        "getent hosts web; getent ahostsv4 api; getent hosts 172.17.0.2; getent hosts nobody"
    )
    done = web.run(["unshare", "-m", "bash", "-c", script])
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["172.17.0.2", "web"]
    assert {line[0] for line in lines[1:-1]} == {"172.17.0.2", "172.17.0.3"}
    assert lines[-1] == ["172.17.0.2", "web.net1"]
    assert done.returncode == 2


def test_an_answer_too_long_for_a_datagram_is_cut_and_comes_whole_over_tcp(web, resolver):
    names = Names()
    names.table["big"] = [f"172.17.1.{n}" for n in range(200)]
    resolver.attach(web.place, names)
    reply = ask(web, "big")
    assert reply.header.tc == 1
    assert 0 < len(reply.rr) < 200
    assert len(ask_tcp(web, "big").rr) == 200


def test_two_containers_each_have_their_own_view(host, web, resolver):
    other = host.network().add_container("other")
    theirs = Names()
    theirs.table = {"db": ["172.17.0.8"]}
    resolver.attach(web.place, Names())
    resolver.attach(other.place, theirs)
    assert values(ask(web, "web")) == ["172.17.0.2"]
    assert values(ask(other, "db")) == ["172.17.0.8"]
    assert code(ask(web, "db")) == code(ask(other, "web")) == "SERVFAIL"


# Beside a program's own port 53


def test_a_program_of_the_container_may_have_port_53_itself(web, resolver):
    with web.socket(kind=socket.SOCK_DGRAM) as own, web.listen(53, "0.0.0.0") as listening:
        own.bind(("0.0.0.0", 53))
        resolver.attach(web.place, Names())
        assert values(ask(web, "web")) == ["172.17.0.2"]
        assert values(ask_tcp(web, "web")) == ["172.17.0.2"]
        with web.socket(kind=socket.SOCK_DGRAM) as client:
            client.sendto(b"mine", ("127.0.0.1", 53))
            own.settimeout(PATIENCE)
            assert own.recv(10) == b"mine"
        with web.connect("127.0.0.1", 53) as client:
            listening.settimeout(PATIENCE)
            listening.accept()[0].close()
            assert client.recv(1) == b""


def test_the_rules_are_there_under_dockers_names_and_go_with_it(web, resolver):
    attachment = resolver.attach(web.place, Names())
    listing = web.nft("list ruleset")
    assert "chain DOCKER_OUTPUT" in listing
    assert "chain DOCKER_POSTROUTING" in listing
    attachment.close()
    assert web.nft("list ruleset") == ""


def test_a_second_one_in_the_same_container_takes_the_first_ones_place(web, resolver):
    other = Names()
    other.table = {"web": ["10.0.0.1"]}
    resolver.attach(web.place, Names())
    resolver.attach(web.place, other)
    assert values(ask(web, "web")) == ["10.0.0.1"]


def test_a_program_that_keeps_its_socket_is_answered_by_the_next_one_too(web, resolver):
    with udp(web) as sock:

        def asked():
            sock.send(question("web").pack())
            return values(DNSRecord.parse(sock.recv(512)))

        first = resolver.attach(web.place, Names())
        assert asked() == ["172.17.0.2"]
        first.close()
        sock.send(question("web").pack())
        with pytest.raises(ConnectionRefusedError):
            sock.recv(512)
        resolver.attach(web.place, Names())
        assert asked() == ["172.17.0.2"]


# What it passes on


def test_an_unknown_name_is_asked_of_the_world_from_the_hosts_address(
    host, web, resolver, world, outside
):
    resolver.attach(web.place, Names(), [outside])
    reply = ask(web, "example.com")
    assert values(reply) == ["192.0.2.80"]
    assert reply.header.id == 7
    (client, _), query, _ = world.heard[0]
    assert client == str(host.ip)
    assert str(query.q.qname) == "example.com."


def test_a_name_without_a_dot_is_passed_on_unless_the_user_set_ndots(web, resolver, world, outside):
    resolver.attach(web.place, Names(), [outside])
    assert values(ask(web, "printer")) == ["192.0.2.80"]
    resolver.attach(web.place, Names(), [outside], ndots=True)
    reply = ask(web, "printer")
    assert (code(reply), reply.rr) == ("NOERROR", [])
    assert len(world.heard) == 1


def test_an_edns_record_reaches_the_world_as_it_is(web, resolver, world, outside):
    resolver.attach(web.place, Names(), [outside])
    query = question("example.com")
    query.add_ar(EDNS0(udp_len=1400, flags="do"))
    with udp(web) as sock:
        sock.send(query.pack())
        sock.recv(65535)
    assert world.heard[0][2][2:] == bytes(query.pack())[2:]


def test_records_of_any_kind_are_passed_on(web, resolver, world, outside):
    def text(query):
        record = DNSRecord.parse(with_answer(query))
        record.add_answer(RR(query.q.qname, QTYPE.TXT, rdata=TXT("hello")))
        return [bytes(record.pack())]

    world.answer = text
    resolver.attach(web.place, Names(), [outside])
    assert values(ask(web, "web", "TXT")) == ['"hello"']


def test_a_truncated_answer_is_asked_again_over_tcp(web, resolver, world, outside):
    over_tcp = [f"192.0.2.{n}" for n in range(1, 200)]
    world.answer = lambda query: [with_answer(query, tc=1)]
    resolver.attach(web.place, Names(), [outside])
    assert ask(web, "example.com").header.tc == 1
    world.answer = lambda query: [with_answer(query, *over_tcp)]
    assert values(ask_tcp(web, "example.com")) == over_tcp


def test_a_server_that_never_answers_is_given_up_for_the_next(lab, web, resolver, outside):
    dead = lab.ubuntu2.socket(kind=socket.SOCK_DGRAM)
    with dead:
        dead.bind((str(lab.ubuntu2.ip), 5353))
        silent = Upstream(str(lab.ubuntu2.ip), outside.place, 5353)
        resolver.attach(web.place, Names(), [silent, outside])
        assert values(ask(web, "example.com")) == ["192.0.2.80"]
        dead.settimeout(PATIENCE)
        assert dead.recv(512)


@pytest.mark.parametrize("asked", [ask, ask_tcp])
def test_a_server_that_refuses_connections_is_left_at_once(lab, web, outside, asked):
    nobody = Upstream(str(lab.ubuntu2.ip), outside.place, 5353)
    with Resolver(timeout=2 * PATIENCE) as patient:
        patient.attach(web.place, Names(), [nobody, outside])
        assert values(asked(web, "example.com")) == ["192.0.2.80"]


@pytest.mark.parametrize("asked", [ask, ask_tcp])
def test_a_server_without_a_route_is_left_at_once(web, outside, asked):
    nowhere = Upstream("203.0.113.9", outside.place)
    with Resolver(timeout=2 * PATIENCE) as patient:
        patient.attach(web.place, Names(), [nowhere, outside])
        assert values(asked(web, "example.com")) == ["192.0.2.80"]


@pytest.mark.parametrize("rcode_and_asked", [(2, 2), (5, 2), (3, 1)])
def test_a_server_that_fails_is_not_the_last_word_but_no_such_name_is(
    web, resolver, world, outside, rcode_and_asked
):
    rcode, asked = rcode_and_asked
    world.answer = lambda query: [with_answer(query, rcode=rcode)]
    resolver.attach(web.place, Names(), [outside, outside])
    reply = ask(web, "example.com")
    assert code(reply) == ("NXDOMAIN" if rcode == 3 else "SERVFAIL")
    assert len(world.heard) == asked


@pytest.mark.parametrize("asked", [ask, ask_tcp])
def test_answers_to_other_questions_and_ids_are_not_believed(web, resolver, world, outside, asked):
    def forged(query):
        other = DNSRecord(DNSHeader(id=query.header.id), q=DNSQuestion("evil.example"))
        wrong = DNSRecord(DNSHeader(id=query.header.id ^ 1), q=query.q)
        return [
            with_answer(other, "6.6.6.6"),
            with_answer(wrong, "6.6.6.6"),
            b"junk",
            with_answer(query, "192.0.2.80"),
        ]

    world.answer = forged
    resolver.attach(web.place, Names(), [outside])
    assert values(asked(web, "example.com")) == ["192.0.2.80"]


def test_an_answer_from_another_address_is_not_believed(lab, web, resolver, world, outside):
    with lab.ubuntu2.socket(kind=socket.SOCK_DGRAM) as liar:

        def lie(query):
            liar.sendto(with_answer(query, "6.6.6.6"), world.heard[-1][0])
            return []

        world.answer = lie
        resolver.attach(web.place, Names(), [outside])
        assert code(ask(web, "example.com")) == "SERVFAIL"
        assert len(world.heard) == 1


def test_without_servers_unknown_names_fail(web, resolver):
    resolver.attach(web.place, Names())
    assert code(ask(web, "example.com")) == "SERVFAIL"
    assert code(ask_tcp(web, "example.com")) == "SERVFAIL"


def test_an_internal_container_asks_nobody_from_the_host_until_it_may(
    web, resolver, world, outside
):
    attachment = resolver.attach(web.place, Names(), [outside], forward=False)
    assert code(ask(web, "example.com")) == "SERVFAIL"
    assert world.heard == []
    attachment.forward = True
    assert values(ask(web, "example.com")) == ["192.0.2.80"]


def test_a_server_of_the_user_is_asked_from_the_container_itself(host, web, resolver):
    other = host.network().add_container("other")
    with World(other, address=str(other.ip)) as world:
        resolver.attach(web.place, Names(), [Upstream(str(other.ip))], forward=False)
        assert values(ask(web, "example.com")) == ["192.0.2.80"]
        assert world.heard[0][0][0] == str(web.ip)


def test_it_asks_neither_itself_nor_ipv6_servers(web, resolver):
    looked_up = []

    class Counting(Names):
        def addresses(self, name):
            looked_up.append(name)
            return []

    resolver.attach(web.place, Counting(), [Upstream("127.0.0.11"), Upstream("::1")])
    assert code(ask(web, "example.com")) == "SERVFAIL"
    assert looked_up == ["example.com"]


def test_a_thousand_queries_are_on_their_way_at_once_and_each_gets_its_answer(web, world, outside):
    waiting = []
    coming, going = threading.Semaphore(100), threading.Semaphore(100)  # no buffer overflows

    def hold(query):
        waiting.append(query)
        coming.release()
        for held in reversed(waiting if len(waiting) == 1000 else []):
            going.acquire(timeout=PATIENCE)
            yield with_answer(held, address_of(str(held.q.qname)))

    def address_of(name):
        return "10.9.{}.{}".format(*divmod(int(name.split(".")[0][1:]), 256))

    world.answer = hold
    with Resolver(timeout=2 * PATIENCE) as patient, udp(web) as sock:
        patient.attach(web.place, Names(), [outside])
        for number in range(1000):
            assert coming.acquire(timeout=PATIENCE)
            sock.send(question(f"n{number}.example", number=number).pack())
        replies = []
        for _ in range(1000):
            replies.append(DNSRecord.parse(sock.recv(65535)))
            going.release()
    assert len(waiting) == 1000
    assert {r.header.id for r in replies} == set(range(1000))
    assert all(values(r) == [address_of(f"n{r.header.id}")] for r in replies)


def test_more_queries_than_docker_has_on_its_way_are_refused(
    web, resolver, world, outside, monkeypatch
):
    monkeypatch.setattr(dns_container, "MOST_QUERIES", 3)
    world.answer = lambda _: []
    resolver.attach(web.place, Names(), [outside])
    with udp(web) as sock:
        for number in range(4):
            sock.send(question("example.com", number=number).pack())
        replies = [DNSRecord.parse(sock.recv(512)) for _ in range(4)]
    assert [(r.header.id, code(r)) for r in replies[:1]] == [(3, "REFUSED")]
    assert {code(r) for r in replies[1:]} == {"SERVFAIL"}
    assert values(ask(web, "web")) == ["172.17.0.2"]


# Over TCP


def test_one_connection_carries_many_queries_at_once(web, resolver, outside):
    resolver.attach(web.place, Names(), [outside])
    with web.connect(*SERVER, timeout=PATIENCE) as sock:
        packets = [question("web" if n % 2 else "example.com", number=n).pack() for n in range(40)]
        sock.sendall(b"".join(len(p).to_bytes(2, "big") + bytes(p) for p in packets))
        replies = [DNSRecord.parse(receive(sock)) for _ in packets]
    assert {r.header.id for r in replies} == set(range(40))
    assert all(values(r) == ["172.17.0.2" if r.header.id % 2 else "192.0.2.80"] for r in replies)


def test_a_query_that_comes_byte_by_byte_is_answered(web, resolver):
    resolver.attach(web.place, Names())
    packet = question("web").pack()
    with web.connect(*SERVER, timeout=PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in len(packet).to_bytes(2, "big") + packet:
            sock.sendall(bytes([byte]))
        assert values(DNSRecord.parse(receive(sock))) == ["172.17.0.2"]


def test_who_has_said_all_still_gets_the_answer_and_then_the_end(web, resolver, outside):
    resolver.attach(web.place, Names(), [outside])
    with web.connect(*SERVER, timeout=PATIENCE) as sock:
        send(sock, question("example.com").pack())
        sock.shutdown(socket.SHUT_WR)
        assert values(DNSRecord.parse(receive(sock))) == ["192.0.2.80"]
        assert sock.recv(1) == b""


def test_a_silent_connection_is_closed(web, resolver, monkeypatch):
    monkeypatch.setattr(dns_container, "IDLE", 0.1)
    resolver.attach(web.place, Names())
    with web.connect(*SERVER, timeout=PATIENCE) as sock:
        assert sock.recv(1) == b""


def test_a_client_that_reads_nothing_stops_nobody_else_and_gets_all_in_the_end(web, resolver):
    names = Names()
    names.table["big"] = [f"172.17.1.{n}" for n in range(250)]
    resolver.attach(web.place, names)
    packet = bytes(question("big").pack())
    with web.connect(*SERVER, timeout=PATIENCE) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.sendall((len(packet).to_bytes(2, "big") + packet) * 300)
        assert values(ask(web, "web")) == ["172.17.0.2"]
        assert {len(DNSRecord.parse(receive(sock)).rr) for _ in range(300)} == {250}


def test_no_more_answers_are_made_than_the_client_takes():
    waiting = []
    loop = Loop("test-stream")
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(PATIENCE)

    def heard(_):
        waiting.append(len(stream._going))
        stream.send(b"x" * 60000)

    with loop.lock:
        stream = Stream(loop, ours, heard, lambda: None, idle=PATIENCE)
    theirs.sendall(b"\0\1?" * 100)
    for _ in range(100):
        assert receive(theirs) == b"x" * 60000
    with loop.lock:
        stream.close()
    loop.close()
    theirs.close()
    assert len(waiting) == 100
    assert 0 < max(waiting) < 1 << 18


def test_one_connection_too_many_is_closed(web, resolver, monkeypatch):
    monkeypatch.setattr(dns_container, "MOST_CONNECTIONS", 1)
    resolver.attach(web.place, Names())
    with web.connect(*SERVER, timeout=PATIENCE) as first:
        send(first, question("web").pack())
        receive(first)
        with web.connect(*SERVER, timeout=PATIENCE) as second:
            assert second.recv(1) == b""
        send(first, question("web").pack())
        assert receive(first)


# What goes wrong


def test_a_view_that_breaks_is_a_failure_in_the_answer_and_in_the_log(web, resolver, caplog):
    class Broken(Names):
        def addresses(self, name):
            if name == "boom":
                raise RuntimeError("no such table")
            return super().addresses(name)

    resolver.attach(web.place, Broken())
    with caplog.at_level(logging.ERROR, "natlab.daemon"):
        assert code(ask(web, "boom")) == "SERVFAIL"
    assert "cannot look up A boom" in caplog.text
    assert values(ask(web, "web")) == ["172.17.0.2"]


def test_a_view_may_wait_for_a_lock_that_is_held_while_its_container_goes(web, resolver):
    lock, asked = threading.Lock(), threading.Event()

    class Locked(Names):
        def addresses(self, name):
            asked.set()
            with lock:
                return super().addresses(name)

    attachment = resolver.attach(web.place, Locked())
    with udp(web) as sock:
        with lock:
            sock.send(question("web").pack())
            assert asked.wait(PATIENCE)
            attachment.close()
        resolver.attach(web.place, Names())
    assert values(ask(web, "web")) == ["172.17.0.2"]


@pytest.mark.parametrize("packet", [question("web").pack()[:20], question("web").pack()[:13]])
def test_a_broken_query_is_told_so_over_udp_and_tcp(web, resolver, packet):
    resolver.attach(web.place, Names())
    with udp(web) as sock:
        sock.send(packet)
        assert code(DNSRecord.parse(sock.recv(512))) == "FORMERR"
    with web.connect(*SERVER, timeout=PATIENCE) as sock:
        send(sock, packet)
        assert code(DNSRecord.parse(receive(sock))) == "FORMERR"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.binary(max_size=80), max_size=8), st.binary(max_size=300))
def test_no_noise_ends_it(web, resolver, datagrams, stream):
    with contextlib.ExitStack() as after:
        after.callback(resolver.attach(web.place, Names()).close)
        with udp(web) as sock:
            for datagram in datagrams:
                sock.send(datagram)
        with web.connect(*SERVER, timeout=PATIENCE) as sock:
            sock.sendall(stream)
        assert values(ask(web, "web")) == ["172.17.0.2"]
        assert values(ask_tcp(web, "web")) == ["172.17.0.2"]


def test_where_it_cannot_listen_it_says_why_and_leaves_nothing(web, resolver, outside, descriptors):
    web.run("ip addr flush dev lo", check=True)
    before = descriptors()
    with pytest.raises(NatlabError, match=r"no name server can listen at 127\.0\.0\.11 .* `lo` up"):
        resolver.attach(web.place, Names(), [outside])
    assert descriptors() == before


# What is left


def test_nothing_is_left_of_it_when_it_closes(web, world, outside, descriptors):
    before, threads = descriptors(), set(threading.enumerate())
    resolver = Resolver(timeout=PATIENCE)
    attachment = resolver.attach(web.place, Names(), [outside, outside, Upstream(OUTSIDE)])
    assert values(ask(web, "example.com")) == ["192.0.2.80"]
    assert values(ask_tcp(web, "example.com")) == ["192.0.2.80"]
    world.answer = lambda _: []
    with udp(web) as one, web.connect(*SERVER, timeout=PATIENCE) as two:
        one.send(question("example.com").pack())
        send(two, question("web").pack())
        receive(two)
        attachment.close()
        attachment.close()
        assert two.recv(1) == b""
    resolver.close()
    resolver.close()
    assert descriptors() == before
    assert set(threading.enumerate()) == threads


def test_the_resolver_closes_what_is_still_attached(web, outside, descriptors):
    before = descriptors()
    with Resolver() as resolver:
        resolver.attach(web.place, Names(), [outside])
    assert descriptors() == before
    assert web.nft("list ruleset") == ""
    with pytest.raises(NatlabError, match="name server was closed"):
        resolver.attach(web.place, Names(), [outside])
    assert descriptors() == before


def test_a_query_of_a_closed_container_goes_no_further(lab, web, resolver, world, outside):
    other = lab.ubuntu1.network().add_container("other")
    with World(lab.ubuntu2, address=str(lab.ubuntu2.ip)) as silent, udp(web) as sock:
        heard = threading.Event()
        silent.answer = lambda _: [heard.set()][1:]
        servers = [Upstream(str(lab.ubuntu2.ip), outside.place), outside]
        attachment = resolver.attach(web.place, Names(), servers)
        resolver.attach(other.place, Names(), servers)
        sock.send(question("first.example").pack())
        assert heard.wait(PATIENCE)
        attachment.close()
        assert values(ask(other, "second.example")) == ["192.0.2.80"]
    assert [str(query.q.qname) for _, query, _ in world.heard] == ["second.example."]


def test_a_container_that_is_gone_already_is_closed_quietly(host, web, resolver, outside):
    attachment = resolver.attach(web.place, Names(), [outside])
    web.remove()
    attachment.close()
    other = host.network().add_container("other")
    resolver.attach(other.place, Names(), [outside])
    assert values(ask(other, "web")) == ["172.17.0.2"]


def test_many_threads_attach_and_close_while_queries_come(host, resolver, outside):
    containers = [host.network().add_container(f"c{n}") for n in range(3)]
    broken = []

    def live(node):
        try:
            for _ in range(5):
                attachment = resolver.attach(node.place, Names(), [outside])
                assert values(ask(node, "web")) == ["172.17.0.2"]
                assert values(ask(node, "example.com")) == ["192.0.2.80"]
                assert values(ask_tcp(node, "example.com")) == ["192.0.2.80"]
                attachment.close()
        except BaseException as error:
            broken.append(error)
            raise

    threads = [threading.Thread(target=live, args=(node,)) for node in containers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
