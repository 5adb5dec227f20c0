"""A host goes back to its first state, whatever a person did to it."""

from __future__ import annotations

import re

from natlab import tcp

MESS = """
ip link add docker0 type bridge
ip addr add 172.17.0.1/16 dev docker0
ip netns add web
ip link add veth0 type veth peer name eth0 netns web
ip rule add from 10.0.0.0/8 lookup 5000 priority 100
ip rule del priority 32767
ip route add blackhole 10.9.0.0/16 table 5000
ip route add unreachable 10.8.0.0/16
ip addr add 10.0.0.1/32 dev lo
ip neigh add 192.168.33.99 lladdr 02:00:00:00:00:99 dev eth0
ip link set eth0 mtu 1400
ip link add vlan5 link eth0 type vlan id 5 || true
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.eth0.route_localnet=1 net.ipv4.tcp_timestamps=0
sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.proxy_arp=1
nft add table inet mine
iptables -t nat -A POSTROUTING -j MASQUERADE || true
iptables -P FORWARD DROP || true
tc qdisc add dev eth0 root pfifo || true
hostname somebody
echo 10.1.1.1 wrong >>/etc/hosts
echo nameserver 10.1.1.1 >/etc/resolv.conf
setsid sleep 1000 >/dev/null 2>&1 &
myapp 8080 >/dev/null 2>&1 &
mkdir -p /srv/data /srv/there
mount --bind /srv/data /srv/there
mount -t tmpfs none /run/lock || mount -t tmpfs none /srv/there
touch /srv/.hidden /srv/there/file
"""

LOOK = """
ip -o link | sed 's/@[^ ]* / /; s/^[0-9]*: //'
ip -4 -o addr | sed 's/^[0-9]*: //'
ip -4 route show table all
ip rule
ip neigh show nud permanent
tc qdisc
nft list ruleset
ip netns list
ls -A /run/netns
hostname
cat /etc/hosts /etc/resolv.conf
find /srv
cut -d' ' -f 5 /proc/self/mountinfo | sort
sysctl -a -r '^net\\.ipv4\\.(ip_forward|conf|tcp_timestamps)' 2>/dev/null
pgrep -c 'sleep|myapp|python'
true
"""


def state(host):
    return host.run(LOOK).stdout


def test_a_host_that_was_messed_up_is_as_it_was_at_first(lab):
    before = state(lab.ubuntu1)
    done = lab.ubuntu1.run(MESS)
    assert state(lab.ubuntu1) != before, done.stderr
    lab.clean()
    assert state(lab.ubuntu1) == before
    assert tcp(lab.outside, "192.168.33.11", 80, server=lab.ubuntu1).outcome == "answered"


def test_a_host_whose_eth0_went_elsewhere_gets_it_back(lab):
    before = state(lab.ubuntu1)
    for command in ("ip link del eth0", "ip netns add x; ip link set eth0 netns x"):
        lab.ubuntu1.run(command, check=True)
        lab.clean()
        assert state(lab.ubuntu1) == before
        assert tcp(lab.outside, "192.168.33.11", 80, server=lab.ubuntu1).outcome == "answered"


def test_what_the_library_made_goes_as_well_and_can_be_made_again(lab):
    before = state(lab.ubuntu1)
    for _ in range(2):
        docker0 = lab.ubuntu1.add_docker0()
        web = lab.ubuntu1.add_container("web")
        docker0.attach(web)
        assert lab.ubuntu1.publish(web, "80")[0].host_port == 49153
        lab.clean()
        assert re.sub(r"\s+", " ", state(lab.ubuntu1)) == re.sub(r"\s+", " ", before)
        assert lab.containers() == []


def test_cleaning_a_clean_lab_changes_nothing(lab):
    before = state(lab.ubuntu2)
    lab.clean()
    assert state(lab.ubuntu2) == before
