"""The small programs on every lab host: myapp, docker-proxy, and tcpdump for whoever runs it."""

from __future__ import annotations

import os
import shutil
import socket
import threading

import pytest

from natlab import tcp, udp


@pytest.fixture
def web(lab):
    web = lab.ubuntu1.add_container("web")
    lab.ubuntu1.add_docker0().attach(web)
    return web


def received(sock):
    """All that comes until the peer is done."""
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_myapp_tells_who_asked(lab, web):
    with web.start("myapp 8080 --udp") as app:
        app.wait_for("myapp listens on 0.0.0.0:8080")
        with lab.ubuntu1.connect(str(web.ip), 8080) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = received(client).decode()
        head, _, body = answer.partition("\r\n\r\n")
        assert head.startswith("HTTP/1.0 200 OK\r\n")
        assert f"Content-Length: {len(body)}" in head
        assert body.startswith("ubuntu1 saw 172.17.0.1:")
        assert body.endswith(" ask 172.17.0.2:8080/tcp\n")
        with lab.ubuntu1.socket(kind=socket.SOCK_DGRAM) as client:
            client.settimeout(2)
            client.sendto(b"?", (str(web.ip), 8080))
            assert client.recv(1024).decode().endswith("ask 172.17.0.2:8080/udp\n")
        assert "/udp" in app.wait_for("/udp")


def test_myapp_answers_who_says_nothing_and_goes_on_after_who_leaves(lab, web):
    with web.start("myapp --name me") as app:
        app.wait_for("listens")
        with lab.ubuntu1.connect(str(web.ip), 8080, timeout=5) as silent:
            assert received(silent).startswith(b"me saw 172.17.0.1:")
        leaver = lab.ubuntu1.connect(str(web.ip), 8080)
        leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        leaver.close()
        assert tcp(lab.ubuntu1, str(web.ip), 8080, server=web).outcome == "answered"


def test_myapp_names_the_port_that_is_taken(web):
    with web.listen(8080):
        done = web.run("myapp")
    assert (done.returncode, done.stderr) == (
        1,
        "myapp: cannot listen on 0.0.0.0:8080: Address already in use\n",
    )


def proxy(lab, web, proto="tcp"):
    started = lab.ubuntu1.start(
        f"docker-proxy -proto {proto} -host-ip 0.0.0.0 -host-port 80"
        f" -container-ip {web.ip} -container-port 8080"
    )
    started.wait_for("ready")
    return started


def test_the_proxy_carries_half_closed_connections_to_their_end(lab, web):
    with proxy(lab, web), web.listen(8080) as listener:
        with lab.outside.connect("192.168.33.11", 80) as client:
            server, peer = listener.accept()
            with server:
                client.sendall(b"question")
                client.shutdown(socket.SHUT_WR)
                assert received(server) == b"question"
                server.sendall(b"answer")
                server.shutdown(socket.SHUT_WR)
                assert received(client) == b"answer"
            assert peer[0] == "172.17.0.1"


def test_the_proxy_carries_a_megabyte_each_way_at_once(lab, web):
    up, down, arrived = os.urandom(1 << 20), os.urandom(1 << 20), {}
    with proxy(lab, web), web.listen(8080) as listener:
        with lab.outside.connect("192.168.33.11", 80, timeout=10) as client:
            server, _ = listener.accept()

            def push(sock, data):
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)

            def pull(name, sock):
                arrived[name] = received(sock)

            with server:
                work = [
                    threading.Thread(target=push, args=(client, up)),
                    threading.Thread(target=push, args=(server, down)),
                    threading.Thread(target=pull, args=("up", server)),
                    threading.Thread(target=pull, args=("down", client)),
                ]
                for thread in work:
                    thread.start()
                for thread in work:
                    thread.join()
    assert arrived == {"up": up, "down": down}


def test_the_proxy_ends_a_connection_that_the_container_refuses_or_breaks(lab, web):
    with proxy(lab, web):
        with lab.outside.connect("192.168.33.11", 80) as client:
            assert received(client) == b""
        with web.listen(8080) as listener:
            with lab.outside.connect("192.168.33.11", 80) as client:
                server, _ = listener.accept()
                server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                server.close()
                assert received(client) == b""


def test_the_proxy_gives_each_udp_client_its_own_answers(lab, web):
    with proxy(lab, web, "udp"), web.start("myapp 8080 --udp") as app:
        app.wait_for("listens")
        seen = set()
        with (
            lab.outside.socket(kind=socket.SOCK_DGRAM) as one,
            lab.ubuntu2.socket(kind=socket.SOCK_DGRAM) as other,
        ):
            for client in (one, other, one):
                client.settimeout(5)
                client.sendto(b"?", ("192.168.33.11", 80))
                answer, sender = client.recvfrom(1024)
                assert sender == ("192.168.33.11", 80)
                seen.add(answer.decode().split()[2])
        assert len(seen) == 2, "one port of the bridge's address for each client"
        assert {address.split(":")[0] for address in seen} == {"172.17.0.1"}


def test_the_proxy_goes_on_after_a_container_that_refused_datagrams(lab, web):
    with proxy(lab, web, "udp"):
        with web.capture() as at_web, lab.outside.socket(kind=socket.SOCK_DGRAM) as client:
            client.sendto(b"?", ("192.168.33.11", 80))
            assert at_web.wait_for(lambda packet: packet.proto == "icmp"), "web refuses"
        again = udp(lab.outside, "192.168.33.11", 80, server=web, server_port=8080)
        assert again.outcome == "answered"


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_the_proxy_names_the_port_that_is_taken(lab, web, proto):
    with proxy(lab, web, proto):
        done = lab.ubuntu1.run(
            f"docker-proxy -proto {proto} -host-port 80 -container-ip {web.ip} -container-port 1"
        )
    assert done.returncode == 1
    assert done.stderr == (
        f"docker-proxy: failed to bind host port 0.0.0.0:80/{proto}: address already in use\n"
    )


@pytest.mark.parametrize(
    "arguments", ["", "-host-port 80", "-host-port 80 -container-ip", "-proto sctp", "-x y"]
)
def test_the_proxy_tells_how_it_is_called(lab, arguments):
    done = lab.ubuntu1.run(f"docker-proxy {arguments}")
    assert done.returncode == 1
    assert done.stderr.startswith("usage: docker-proxy [-use-listen-fd] [-proto tcp|udp]")


def test_tcpdump_runs_for_whoever_owns_the_lab(lab):
    if shutil.which("tcpdump", path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        assert "sudo apt-get install tcpdump" in lab.ubuntu1.run("tcpdump").stderr
        pytest.skip("tcpdump is not installed: sudo apt-get install tcpdump")
    with lab.ubuntu1.start("tcpdump -lni eth0 icmp") as dump:
        dump.wait_for("listening on eth0")
        lab.outside.run("ping -c 1 192.168.33.11", check=True)
        assert "192.168.33.20 > 192.168.33.11: ICMP echo request" in dump.wait_for("echo reply")


def test_box_makes_a_container_by_hand_and_runs_commands_in_it(lab):
    host = lab.ubuntu1
    number = host.run(["box", "web"], check=True).stdout.strip()
    assert host.container_names() == ["web"]
    assert host.run(["box", "web", "sh", "-c", "echo mine >/note; pwd; ls -d /srv"]).stdout == "/\n"
    assert host.run(["cat", "/srv/web/upper/note"]).stdout == "mine\n"
    assert f"NSpid:\t{number}\t1\n" in host.run(["cat", f"/proc/{number}/status"]).stdout
    assert host.run(["ls", "/srv/web/root"]).stdout == ""
    lab.clean()
    assert host.run(["ls", "/srv"]).stdout == ""


def test_what_is_mounted_in_a_box_is_mounted_there_alone(lab):
    host = lab.ubuntu1
    number = host.run(["box", "web"], check=True).stdout.strip()
    host.run("mkdir /srv/data; echo theirs >/srv/data/file", check=True)
    enter = ["nsenter", "-m", "-t", number]
    host.run([*enter, "mkdir", "/srv/web/root/data"], check=True)
    host.run([*enter, "mount", "--bind", "/srv/data", "/srv/web/root/data"], check=True)
    assert host.run(["box", "web", "cat", "/data/file"]).stdout == "theirs\n"
    assert host.run(["ls", "/srv/web/root", "/srv/web/upper/data"]).stdout.split() == [
        "/srv/web/root:",
        "/srv/web/upper/data:",
    ]


def test_box_says_how_it_is_called_and_that_a_name_is_taken(lab):
    host = lab.ubuntu1
    assert host.run(["box"]).stderr == "usage: box NAME [COMMAND…]\n"
    host.run(["box", "web"], check=True)
    again = host.run(["box", "web"])
    assert again.returncode != 0
    assert "File exists" in again.stderr
    assert host.run(["box", "web", "false"]).returncode == 1
    assert host.run(["box", "other", "true"]).returncode != 0
