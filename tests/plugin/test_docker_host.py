"""`docker_host`: containers that run programs, their ports, logs, ends and names."""

from __future__ import annotations

import subprocess
import threading

import pytest

from natlab import DockerHost, Lab, NatlabError, UsageError
from natlab.testing.settings import Settings


def test_a_published_port_leads_to_the_program_in_the_container(docker_host):
    web = docker_host.run(["myapp", "8080"], publish=8080)
    web.wait_for_port(8080)
    assert (web.ip, web.port(8080)) == ("172.17.0.2", 49153)
    from_outside = docker_host.outside.http_get(f"http://{docker_host.ip}:49153/")
    from_the_host = docker_host.http_get("http://127.0.0.1:49153/")
    from_itself = web.http_get(f"http://{docker_host.ip}:49153/")
    assert {from_outside.status, from_the_host.status, from_itself.status} == {200}


@pytest.mark.parametrize(
    ("publish", "ports"),
    [
        (8080, {(8080, "tcp"): 49153}),
        ("80:8080", {(8080, "tcp"): 80}),
        (["53:53/udp", 8080], {(53, "udp"): 53, (8080, "tcp"): 49153}),
        ("8000-8001:80-81", {(80, "tcp"): 8000, (81, "tcp"): 8001}),
    ],
)
def test_publish_takes_what_docker_run_takes(docker_host, publish, ports):
    made = docker_host.run("sleep 100", publish=publish)
    assert {key: made.port(*key) for key in ports} == ports


def test_publish_true_publishes_what_is_exposed_and_expose_alone_does_not(docker_host):
    both = docker_host.run("sleep 100", expose=[80, "53/udp"], publish=True)
    assert both.port(80) > 49152
    assert both.port(53, "udp") > 49152
    exposed = docker_host.run("sleep 100", expose=80)
    with pytest.raises(UsageError, match=r"publishes no port 80/tcp \(it is exposed, not publish"):
        exposed.port(80)
    with pytest.raises(UsageError, match="publishes what is exposed, and nothing is: add expose="):
        docker_host.run("sleep 100", publish=True)


def test_a_taken_port_is_refused_in_dockers_words_and_nothing_is_left_of_the_container(docker_host):
    docker_host.run("sleep 100", publish="80:8080")
    with pytest.raises(NatlabError, match=r"Bind for 0.0.0.0:80 failed: port is already allocated"):
        docker_host.run("sleep 100", publish="80:8080", name="second")
    assert docker_host.node.container_names() == ["c1"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"publish": "nonsense"}, "invalid containerPort: nonsense"),
        ({"publish": [3.5]}, "3.5 is no port: give one like 8080"),
        ({"publish": "70000"}, "invalid containerPort: 70000"),
        ({"expose": "80:80"}, "invalid port format for --expose"),
        ({"name": "no/slash"}, "no/slash"),
    ],
)
def test_an_argument_that_makes_no_sense_is_one_clear_error(docker_host, wrong, message):
    with pytest.raises(UsageError, match=message):
        docker_host.run("sleep 100", **wrong)
    assert docker_host.node.container_names() == []


def test_a_program_that_is_not_there_is_named_and_leaves_no_container(docker_host):
    with pytest.raises(NatlabError, match="no program `nonesuch` here"):
        docker_host.run(["nonesuch"], publish=80)
    with pytest.raises(UsageError, match="no command given"):
        docker_host.run([])
    assert docker_host.node.container_names() == []
    assert docker_host.rules.published == ()


def test_logs_have_both_outputs_as_they_came_and_any_amount_of_them(docker_host):
    talker = docker_host.run("echo one; echo two >&2; echo three > /dev/stderr; seq 200000")
    assert talker.wait() == 0
    said = talker.logs()
    assert said.startswith("one\ntwo\nthree\n1\n2\n")
    assert said.endswith("199999\n200000\n")


def test_wait_for_a_text_that_never_comes_tells_what_was_said(docker_host):
    with pytest.raises(NatlabError, match=r"did not print 'ready' before it ended: only this"):
        docker_host.run("echo only this").wait_for("ready")
    with pytest.raises(NatlabError, match=r"did not print 'ready' within 0.01 s: it printed noth"):
        docker_host.run("sleep 100").wait_for("ready", timeout=0.01)


def test_wait_for_a_port_ends_with_the_program_or_the_time(docker_host):
    with pytest.raises(NatlabError, match="c1 ended and listened at no port 80: sorry"):
        docker_host.run("echo sorry").wait_for_port(80)
    with pytest.raises(NatlabError, match=r"c2 listened at no port 80 within 0.02 s"):
        docker_host.run("sleep 100").wait_for_port(80, timeout=0.02)


def test_wait_gives_the_exit_code_and_kill_ends_a_program(docker_host):
    assert docker_host.run("exit 7").wait() == 7
    sleeper = docker_host.run("sleep 100")
    with pytest.raises(NatlabError, match=r"still runs after 0\.01 s"):
        sleeper.wait(timeout=0.01)
    sleeper.kill()
    assert docker_host.node.container_names() == ["c1", "c2"]


def test_exec_runs_a_program_beside_the_containers_own(docker_host):
    web = docker_host.run("sleep 100", env={"A": "1"})
    done = web.exec("ip -br addr show eth0; echo $A; exit 3", env={"A": "2"})
    assert "172.17.0.2/16" in done.stdout
    assert done.stdout.endswith("2\n")
    assert done.returncode == 3


def test_env_reaches_the_program(docker_host):
    made = docker_host.run("echo $COLOUR", env={"COLOUR": "blue"})
    made.wait()
    assert made.logs() == "blue\n"


def test_a_removed_containers_port_and_name_are_free_again(docker_host):
    docker_host.run("sleep 100", publish="80:8080", name="web").remove()
    again = docker_host.run("sleep 100", publish="80:8080", name="web")
    assert docker_host.containers == [again]


def test_containers_talk_to_each_other(docker_host):
    server = docker_host.run(["myapp", "8080"])
    server.wait_for_port(8080)
    client = docker_host.run("sleep 100")
    assert client.http_get(f"http://{server.ip}:8080/").status == 200
    assert client.exec(["curl", "-s", f"http://{server.ip}:8080/"]).returncode == 0


def test_a_socket_that_listens_in_a_container_serves_from_a_thread_of_the_test(docker_host):
    web = docker_host.run("sleep 100", publish=80)
    with web.listen(80) as listener:

        def answer():
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"hello")

        answers = threading.Thread(target=answer)
        answers.start()
        with docker_host.outside.connect(docker_host.ip, web.port(80)) as sock:
            assert sock.recv(5) == b"hello"
        answers.join()


def test_facts_are_read_from_the_kernel(docker_host):
    web = docker_host.run(["myapp", "8080"], publish="80:8080")
    web.wait_for_port(8080)
    with docker_host.capture("docker0") as seen:
        docker_host.outside.http_get(f"http://{docker_host.ip}/")
        syn = seen.wait_for(lambda packet: packet.flags == "S")
    assert (syn.src, syn.dst, syn.dport) == ("192.168.33.20", web.ip, 8080)
    [published] = docker_host.rules.published
    assert (published.host_port, published.to, published.to_port) == ("80", web.ip, 8080)
    assert "masquerade 172.17.0.0/16 out of !docker0" in str(docker_host.rules)
    entries = [entry for entry in docker_host.conntrack() if entry.dnat]
    assert entries
    assert str(entries[0].dnat.after) == f"{web.ip}:8080"
    trip = docker_host.journey("outside", docker_host.ip, 80)
    assert trip.outcome == "answered"


def test_volumes_go_through_the_docker_engine(docker_host, tmp_path):
    (tmp_path / "file").write_text("from the test\n")
    reader = docker_host.run(
        "cat /data/file; sleep 100", volumes=f"{tmp_path}:/data:ro", publish="80:80"
    )
    assert reader.wait_for("from the test") == "from the test\n"
    assert (reader.ip, reader.port(80)) == ("172.17.0.2", 80)
    assert reader.exec("cat /data/file").stdout == "from the test\n"
    beside = docker_host.run("sleep 100")
    assert beside.exec(["ping", "-c1", "-W2", reader.ip]).returncode == 0
    with pytest.raises(UsageError, match="a Python callable runs in a container without volumes"):
        docker_host.run(print, volumes=f"{tmp_path}:/data")


def test_an_image_that_is_not_there_is_refused_in_dockers_words(docker_host):
    with pytest.raises(NatlabError, match=r"docker_host.run: .*nonesuch"):
        docker_host.run("true", image="nonesuch")
    assert docker_host.run("exit 4", image="busybox").wait() == 4


def test_use_after_close_names_the_fixture():
    host = DockerHost()
    host.close()
    host.close()
    for use in (lambda: host.run("true"), lambda: host.rules, lambda: host.connect("1.1.1.1", 1)):
        with pytest.raises(NatlabError, match="docker_host was closed when its test ended"):
            use()


def test_library_use_without_pytest():
    with Lab() as lab, DockerHost(lab, "ubuntu2") as host:
        web = host.run(["myapp", "8080"], publish=8080)
        web.wait_for_port(8080)
        assert lab.outside.http_get(f"http://192.168.33.12:{web.port(8080)}/").status == 200
        host.close()
        assert lab.ubuntu2.container_names() == []
        assert lab.ubuntu2.rules.published == ()


def test_settings_shape_the_host():
    wish = Settings(subnet="10.9.0.0/24", port_range="5000-5001", mtu=1400)
    with DockerHost(settings=wish) as host:
        one, two = host.run("sleep 9", publish=80), host.run("sleep 9", publish=80)
        assert (one.ip, one.port(80), two.port(80)) == ("10.9.0.2", 5000, 5001)
        assert one.node.link("eth0").mtu == 1400
        with pytest.raises(NatlabError, match="all ports are allocated"):
            host.run("sleep 9", publish=80)


def test_a_subnet_that_collides_with_the_lan_is_refused_and_leaves_nothing():
    with pytest.raises(NatlabError, match=r"subnet 192.168.33.0/25 overlaps the route"):
        DockerHost(settings=Settings(subnet="192.168.33.0/25"))


def test_the_test_process_is_where_it_was(docker_host):
    docker_host.run("sleep 100", publish=80)
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    assert "docker0" not in links or "veth" not in links
