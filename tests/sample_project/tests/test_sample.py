from sample_project import my_address, serve


def test_the_service_sees_clients_through_nat(docker_host):
    web = docker_host.run(serve, 8080, publish="80:8080")
    web.wait_for_port(8080)
    with docker_host.outside.inside():
        assert my_address(docker_host.ip, 80) == "192.168.33.20"
    assert web.ip == "10.44.0.2"


def test_clients_are_masqueraded(docker_host):
    outside = docker_host.outside
    with outside.listen(8080) as listener:
        asking = docker_host.run(my_address, str(outside.ip), 8080)
        peer, (address, _) = listener.accept()
        with peer:
            peer.sendall(address.encode())
    assert asking.wait() == docker_host.ip
