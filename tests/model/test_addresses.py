"""A network gets a subnet that nothing overlaps, a container the lowest address that is free."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from natlab.errors import NatlabError, UsageError
from natlab.model.addresses import (
    DEFAULT_POOLS,
    AddressPool,
    Route,
    check_subnet,
    mac_for,
    overlap,
    pick_subnet,
    pick_subnet6,
)

DOCKER0 = IPv4Network("172.17.0.0/16")


def networks():
    """Give any IPv4 network from /1 to /32."""
    return st.builds(
        lambda address, bits: IPv4Network((address, bits), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(1, 32),
    )


def test_the_gateway_is_1_and_the_first_container_2():
    pool = AddressPool(DOCKER0)
    assert pool.gateway == IPv4Address("172.17.0.1")
    assert pool.allocate() == IPv4Address("172.17.0.2")
    assert pool.allocate() == IPv4Address("172.17.0.3")


def test_a_freed_2_is_reused_at_once():
    pool = AddressPool(DOCKER0)
    second, third = pool.allocate(), pool.allocate()
    pool.release(second)
    assert pool.allocate() == second
    assert pool.allocated == (second, third)


def test_a_requested_address_is_passed_over_later():
    pool = AddressPool(DOCKER0)
    assert pool.allocate(IPv4Address("172.17.0.3")) == IPv4Address("172.17.0.3")
    assert [str(pool.allocate()) for _ in range(2)] == ["172.17.0.2", "172.17.0.4"]


def test_a_gateway_elsewhere_leaves_1_to_a_container():
    pool = AddressPool(IPv4Network("192.168.5.0/24"), IPv4Address("192.168.5.254"))
    assert pool.allocate() == IPv4Address("192.168.5.1")


@pytest.mark.parametrize("taken", ["172.17.0.0", "172.17.0.1", "172.17.0.2", "172.17.255.255"])
def test_a_taken_or_reserved_address_is_refused_in_dockers_words(taken):
    pool = AddressPool(DOCKER0)
    pool.allocate()
    with pytest.raises(UsageError, match=rf"^Address already in use \({taken} in 172.17.0.0/16: "):
        pool.allocate(IPv4Address(taken))


def test_an_address_of_another_subnet_is_refused_in_dockers_words():
    message = r"^no configured subnet or ip-range contain the IP address 10.9.9.9 \(choose one in "
    with pytest.raises(UsageError, match=message):
        AddressPool(DOCKER0).allocate(IPv4Address("10.9.9.9"))


def test_a_full_pool_says_so_and_goes_on_after_a_release():
    pool = AddressPool(IPv4Network("10.0.0.0/29"))
    taken = [pool.allocate() for _ in range(5)]
    with pytest.raises(NatlabError, match=r"^no available addresses on this pool \(10.0.0.0/29 "):
        pool.allocate()
    pool.release(taken[2])
    assert pool.allocate() == taken[2]


def test_the_whole_default_network_can_be_handed_out():
    pool = AddressPool(DOCKER0)
    handed_out = [pool.allocate() for _ in range(65533)]
    assert len(set(handed_out)) == 65533
    with pytest.raises(NatlabError, match="no available addresses on this pool"):
        pool.allocate()


def test_the_ends_of_a_network_and_its_gateway_are_reserved():
    reserved = AddressPool(IPv4Network("10.0.0.0/29")).reserved
    assert {str(address) for address in reserved} == {"10.0.0.0", "10.0.0.1", "10.0.0.7"}


@pytest.mark.parametrize("address", ["172.17.0.1", "172.17.0.0", "10.0.0.1"])
def test_what_no_container_had_cannot_be_released(address):
    with pytest.raises(UsageError):
        AddressPool(DOCKER0).release(IPv4Address(address))


def test_releasing_twice_does_no_harm():
    pool = AddressPool(DOCKER0)
    address = pool.allocate()
    pool.release(address)
    pool.release(address)
    assert pool.allocated == ()


@pytest.mark.parametrize("subnet", ["10.0.0.0/31", "2001:db8::/127"])
def test_a_subnet_of_two_addresses_has_a_gateway_and_a_container(subnet):
    network = ip_network(subnet)
    pool = AddressPool(network)
    assert pool.gateway == network[1]
    assert pool.allocate() == network[0]
    with pytest.raises(NatlabError, match="no available addresses"):
        pool.allocate()


@pytest.mark.parametrize("subnet", ["10.0.0.1/32", "2001:db8::1/128"])
def test_a_subnet_of_one_address_is_refused(subnet):
    with pytest.raises(UsageError, match=r"has no room .* choose /(31|127) or larger"):
        AddressPool(ip_network(subnet))


def test_a_gateway_outside_is_refused_in_dockers_words():
    message = "^invalid gateway 10.1.0.1: parent subnet 10.0.0.0/24 doesn't contain this address$"
    with pytest.raises(UsageError, match=message):
        AddressPool(IPv4Network("10.0.0.0/24"), IPv4Address("10.1.0.1"))


@pytest.mark.parametrize("gateway", ["10.0.0.0", "10.0.0.255"])
def test_a_gateway_that_is_no_host_is_refused(gateway):
    with pytest.raises(UsageError, match=r"invalid gateway .* choose 10\.0\.0\.1"):
        AddressPool(IPv4Network("10.0.0.0/24"), IPv4Address(gateway))


def test_an_ipv6_pool_of_2_to_the_64_answers_like_a_small_one():
    pool = AddressPool(IPv6Network("2001:db8::/64"))
    assert pool.gateway == IPv6Address("2001:db8::1")
    assert pool.allocate() == IPv6Address("2001:db8::2")
    last = IPv6Address("2001:db8::ffff:ffff:ffff:ffff")
    assert pool.allocate(last) == last, "IPv6 has no broadcast address"
    assert pool.allocate() == IPv6Address("2001:db8::3")


class PoolAgainstASet(RuleBasedStateMachine):
    """The pool does what the plainest model does: the smallest host that is not in a set."""

    addresses = Bundle("addresses")

    def __init__(self):
        super().__init__()
        self.subnet = IPv4Network("10.0.0.0/28")
        self.pool = AddressPool(self.subnet, IPv4Address("10.0.0.5"))
        self.hosts = set(self.subnet.hosts()) - {self.pool.gateway}
        self.taken = set()

    @rule(target=addresses)
    def take_the_next(self):
        free = self.hosts - self.taken
        if not free:
            with pytest.raises(NatlabError, match="no available addresses"):
                self.pool.allocate()
            return self.pool.gateway
        address = self.pool.allocate()
        assert address == min(free)
        self.taken.add(address)
        return address

    @rule(target=addresses, offset=st.integers(0, 15))
    def ask_for_one(self, offset):
        address = self.subnet[offset]
        if address in self.hosts - self.taken:
            assert self.pool.allocate(address) == address
            self.taken.add(address)
        else:
            with pytest.raises(UsageError, match="Address already in use"):
                self.pool.allocate(address)
        return address

    @rule(address=consumes(addresses))
    def give_back(self, address):
        if address in self.hosts:
            self.pool.release(address)
            self.taken.discard(address)

    @invariant()
    def both_agree(self):
        assert self.pool.allocated == tuple(sorted(self.taken))


TestPoolAgainstASet = PoolAgainstASet.TestCase


def test_the_default_pools_are_dockers():
    assert len(DEFAULT_POOLS) == 15 + 16
    assert str(DEFAULT_POOLS[0]) == "172.17.0.0/16"
    assert str(DEFAULT_POOLS[14]) == "172.31.0.0/16"
    assert str(DEFAULT_POOLS[15]) == "192.168.0.0/20"
    assert str(DEFAULT_POOLS[-1]) == "192.168.240.0/20"


def test_the_first_network_of_a_host_is_172_17():
    assert pick_subnet([]) == DOCKER0


def test_a_second_network_takes_the_next_subnet():
    assert pick_subnet([DOCKER0]) == IPv4Network("172.18.0.0/16")


def test_an_on_link_route_is_avoided():
    vpn = Route(IPv4Network("172.16.0.0/14"), "tun0", table="vpn")
    assert pick_subnet([vpn]) == IPv4Network("172.20.0.0/16")


@pytest.mark.parametrize(
    "harmless",
    [
        Route(DOCKER0, "eth0", via=IPv4Address("192.168.33.12")),
        Route(IPv4Network("0.0.0.0/0"), "ppp0"),
        IPv6Network("2001:db8::/32"),
    ],
    ids=["through a router", "default", "IPv6"],
)
def test_a_route_that_is_nobodys_neighbourhood_is_not_avoided(harmless):
    assert pick_subnet([harmless]) == DOCKER0


def test_a_pool_that_holds_a_name_server_is_avoided():
    servers = [IPv4Address("172.17.0.53"), IPv6Address("2001:db8::53"), IPv4Address("127.0.0.53")]
    assert pick_subnet([], servers) == IPv4Network("172.18.0.0/16")


def test_when_all_are_taken_dockers_words_say_so():
    message = "^all predefined address pools have been fully subnetted .*--subnet"
    with pytest.raises(NatlabError, match=message):
        pick_subnet(DEFAULT_POOLS)


@given(st.lists(networks(), max_size=6))
def test_a_picked_subnet_is_the_first_default_pool_that_overlaps_nothing(used):
    free = [pool for pool in DEFAULT_POOLS if not any(pool.overlaps(other) for other in used)]
    if free:
        assert pick_subnet(used) == free[0]
    else:
        with pytest.raises(NatlabError):
            pick_subnet(used)


def test_a_route_prints_itself_with_its_table():
    assert str(Route(DOCKER0, "tun0")) == "172.17.0.0/16 dev tun0 (table main)"
    via = Route(DOCKER0, "eth0", via=IPv4Address("192.168.33.12"))
    assert str(via) == "172.17.0.0/16 via 192.168.33.12 dev eth0 (table main)"
    assert str(Route(DOCKER0, None)) == "172.17.0.0/16 (table main)"


@given(networks(), networks())
def test_overlap_finds_the_route_that_shares_an_address(subnet, other):
    route = Route(other, "tun0")
    assert overlap(subnet, [route]) == (route if subnet.overlaps(other) else None)


def test_a_default_route_overlaps_no_subnet():
    assert overlap(DOCKER0, [Route(IPv4Network("0.0.0.0/0"), "eth0")]) is None


def test_a_subnet_that_overlaps_a_route_is_refused_and_the_route_named():
    routes = [
        Route(IPv4Network("10.0.0.0/8"), "eth1"),
        Route(IPv4Network("172.16.0.0/12"), "tun0", table="vpn"),
    ]
    with pytest.raises(UsageError) as refusal:
        check_subnet(DOCKER0, routes=routes)
    assert str(refusal.value) == (
        "subnet 172.17.0.0/16 overlaps the route 172.16.0.0/12 dev tun0 (table vpn): "
        "choose another with --subnet"
    )


def test_a_subnet_that_overlaps_a_network_is_refused_in_dockers_words():
    message = "^Pool overlaps with other one on this address space .*172.17.0.0/16"
    with pytest.raises(UsageError, match=message):
        check_subnet(IPv4Network("172.17.5.0/24"), networks=[DOCKER0])


def test_a_subnet_beside_the_others_is_taken():
    check_subnet(
        IPv4Network("172.18.0.0/16"),
        routes=[Route(IPv4Network("192.168.33.0/24"), "eth0")],
        networks=[DOCKER0, IPv6Network("2001:db8::/64")],
    )


def test_the_mac_spells_the_address():
    assert mac_for(IPv4Address("172.17.0.2")) == "02:42:ac:11:00:02"


@given(st.ip_addresses(v=4))
def test_a_mac_is_locally_administered_unicast_and_gives_the_address_back(address):
    octets = bytes.fromhex(mac_for(address).replace(":", ""))
    assert octets[0] & 0b11 == 0b10
    assert IPv4Address(octets[2:]) == address


def test_an_ipv6_subnet_is_the_first_of_the_engines_own_that_is_free():
    first = pick_subnet6("engine", [])
    assert (first.prefixlen, first.is_private, str(first)[:2]) == (64, True, "fd")
    second = pick_subnet6("engine", [first, IPv4Network("10.0.0.0/8")])
    assert int(second.network_address) - int(first.network_address) == 1 << 64
    assert pick_subnet6("engine", [second]) == first
    assert not pick_subnet6("another", []).supernet(new_prefix=48).overlaps(first)
