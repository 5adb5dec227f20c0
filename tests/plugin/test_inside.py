"""`with node.inside()`: a block's sockets live in a node; other threads notice nothing."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from natlab import NatlabError

PLAIN = socket.socket.__init__


@pytest.fixture
def web(docker_host):
    made = docker_host.run(["myapp", "8080"], publish=8080)
    made.wait_for_port(8080)
    return made


def own_address(to: str = "192.0.2.1") -> str:
    """The address that a new socket would speak from; empty where there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((to, 9))
        except OSError:
            return ""
        return sock.getsockname()[0]


def test_code_that_knows_nothing_of_natlab_connects_from_there(docker_host, web):
    url = f"http://{docker_host.ip}:{web.port(8080)}/"
    with docker_host.outside.inside(), urllib.request.urlopen(url, timeout=5) as answer:
        assert answer.status == 200
    assert socket.socket.__init__ is PLAIN


def test_a_server_in_a_block_serves_there(docker_host, web):
    with web.inside():
        server = socket.create_server(("", 80))
    with server, docker_host.connect(web.ip, 80) as client:
        peer, (address, _) = server.accept()
        with peer:
            assert (address, client.getpeername()) == ("172.17.0.1", (web.ip, 80))


def test_blocks_nest_and_end(docker_host, web):
    with web.inside():
        assert own_address() == web.ip
        with docker_host.inside():
            assert own_address(web.ip) == "172.17.0.1"
        assert own_address() == web.ip
    assert own_address() != web.ip
    assert socket.socket.__init__ is PLAIN


def test_a_block_that_fails_ends_too(web):
    with pytest.raises(KeyError), web.inside():
        raise KeyError
    assert socket.socket.__init__ is PLAIN


def test_another_thread_is_not_inside_and_each_may_be_elsewhere(docker_host):
    nodes = [docker_host.run("sleep 100") for _ in range(4)]
    together = threading.Barrier(len(nodes) + 1)

    def look(node):
        with node.inside():
            together.wait()
            return own_address()

    with ThreadPoolExecutor(len(nodes) + 1) as pool, nodes[0].inside():
        inside = [pool.submit(look, node) for node in nodes]
        plain = pool.submit(lambda: together.wait() >= 0 and own_address())
        assert [each.result() for each in inside] == [node.ip for node in nodes]
        assert plain.result() not in {node.ip for node in nodes}


def test_asyncio_tasks_stand_where_they_were_started(docker_host):
    one, two = docker_host.run("sleep 100"), docker_host.run("sleep 100")

    async def look(node):
        with node.inside():
            await asyncio.sleep(0)
            return own_address()

    async def both():
        return await asyncio.gather(look(one), look(two))

    assert asyncio.run(both()) == [one.ip, two.ip]


def test_asyncio_connects_and_serves_from_a_block(docker_host, web):
    async def exchange():
        async def answer(_, writer):
            writer.write(writer.get_extra_info("peername")[0].encode())
            writer.close()

        with web.inside():
            server = await asyncio.start_server(answer, "0.0.0.0", 80)
        with docker_host.inside():
            reader, writer = await asyncio.open_connection(web.ip, 80)
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return said

    assert asyncio.run(exchange()) == b"172.17.0.1"


def test_unix_sockets_and_pairs_stay_the_process_own(docker_host):
    with docker_host.inside():
        left, right = socket.socketpair()
        with left, right:
            left.sendall(b"x")
            assert right.recv(1) == b"x"


def test_a_block_in_a_container_that_was_removed_says_so(docker_host):
    gone = docker_host.run("sleep 100")
    gone.remove()
    with gone.inside(), pytest.raises(NatlabError, match="that container was removed"):
        socket.socket()
    assert socket.socket.__init__ is PLAIN
