"""The machine on which a lab runs is, byte for byte, what it was before."""

from __future__ import annotations

import pytest

from natlab import Lab, tcp


def busy_life():
    """Everything that changes a kernel: networks, published ports, messes, a clean-up."""
    with Lab(userland_proxy=False) as lab:
        for host in (lab.ubuntu1, lab.ubuntu2):
            docker0 = host.add_docker0(icc=False)
            web = host.add_container("web")
            docker0.attach(web)
            host.publish(web, "80:8080", "53/udp", "127.0.0.1:81:81")
        assert tcp(
            lab.outside, "192.168.33.12", 80, server=lab.node("ubuntu2/web"), server_port=8080
        ).arrived
        lab.ubuntu1.run(
            "ip netns add x; ip netns exec x true; ip route add 10.0.0.0/8 via 192.168.33.20;"
            "ip rule add pref 9 lookup 9; nft add table inet mine; hostname other;"
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.tcp_timestamps=0;"
            "iptables -t nat -A POSTROUTING -j MASQUERADE || true; mount -t tmpfs none /mnt"
        )
        lab.clean()


def test_rules_links_routes_settings_and_mounts_are_what_they_were(machine):
    busy_life()  # what the kernel loads on first use is loaded now
    before = machine()
    busy_life()
    assert machine() == before


def test_no_route_or_rule_lets_a_lab_out(lab):
    """Nothing of the machine is reachable from inside: the LAN ends at its own edge."""
    done = lab.ubuntu1.run("ip -br link")
    assert {line.split("@")[0].split()[0] for line in done.stdout.splitlines()} == {"lo", "eth0"}
    assert lab.ubuntu1.route_to("8.8.8.8") is None
    assert lab.ubuntu1.run("ls /proc | grep -c '^[0-9]'").returncode == 0
    with pytest.raises(ConnectionRefusedError):
        lab.ubuntu1.connect("127.0.0.1", 22)
