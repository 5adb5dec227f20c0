"""Host ports go forward, meet where sockets would meet, and are settled all or not at all."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import NatlabError, UsageError
from natlab.model.ports import (
    SEED_RANGE,
    Binding,
    Mark,
    PortAllocator,
    PortRange,
    PortRequest,
)

ANY, ANY6 = ip_address("0.0.0.0"), ip_address("::")
LO, LAN = ip_address("127.0.0.1"), ip_address("192.168.33.11")


def wants(ports=None, *addresses, proto="tcp"):
    """Ask for one port (8080), several ((8000, 8010)) or any (None), on 0.0.0.0 unless told."""
    if isinstance(ports, int):
        ports = (ports, ports)
    return PortRequest(addresses or (ANY,), proto, PortRange(*ports) if ports else None)


def numbers(bindings):
    return [binding.port for binding in bindings]


@pytest.mark.parametrize("ends", [(0, 1), (1, 65536), (5, 4), (-1, 3)])
def test_a_range_outside_1_to_65535_or_upside_down_is_refused(ends):
    with pytest.raises(UsageError, match="invalid port range: "):
        PortRange(*ends)


def test_the_range_of_the_seed_is_the_default():
    assert PortRange(49153, 65535) == SEED_RANGE
    assert numbers(PortAllocator().allocate([wants()])) == [49153]


@given(st.integers(1, 65535).flatmap(lambda a: st.tuples(st.just(a), st.integers(a, 65535))))
def test_once_round_a_range_meets_each_port_once(ends):
    ports = PortRange(*ends)
    start = ports.first + len(ports) // 2
    round_trip = list(ports.after(start))
    assert len(round_trip) == len(ports)
    assert set(round_trip) == set(range(ports.first, ports.last + 1))
    assert round_trip[-1] == start


def test_publish_remove_and_again_grows_every_time():
    allocator = PortAllocator()
    seen = []
    for _ in range(4):
        bindings = allocator.allocate([wants()])
        seen += numbers(bindings)
        allocator.release(bindings)
    assert seen == [49153, 49154, 49155, 49156]


def test_at_the_end_of_the_range_it_begins_anew_and_passes_over_what_is_held():
    allocator = PortAllocator(PortRange(100, 103))
    bindings = allocator.allocate([wants() for _ in range(4)])
    allocator.release([bindings[1], bindings[3]])
    assert numbers(allocator.allocate([wants(), wants()])) == [101, 103]


def test_a_full_range_says_so_in_dockers_words():
    allocator = PortAllocator(PortRange(100, 101))
    allocator.allocate([wants(), wants()])
    with pytest.raises(NatlabError, match=r"^all ports are allocated$"):
        allocator.allocate([wants()])


def test_each_address_and_protocol_counts_for_itself():
    allocator = PortAllocator()
    requests = [wants(None, LO), wants(None, LAN), wants(None, LO, proto="udp")]
    assert numbers(allocator.allocate(requests)) == [49153] * 3


def test_tcp_80_udp_80_and_sctp_80_live_side_by_side():
    requests = [wants(80), wants(80, proto="udp"), wants(80, proto="sctp")]
    assert numbers(PortAllocator().allocate(requests)) == [80, 80, 80]


def test_two_different_addresses_do_not_conflict():
    assert numbers(PortAllocator().allocate([wants(80, LO), wants(80, LAN)])) == [80, 80]


def test_ipv4_and_ipv6_wildcards_do_not_conflict():
    assert numbers(PortAllocator().allocate([wants(80, ANY), wants(80, ANY6)])) == [80, 80]


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        (ANY, ANY, "0.0.0.0"),
        (ANY, LO, "0.0.0.0"),
        (LO, ANY, "127.0.0.1"),
        (LO, LO, "127.0.0.1"),
        (ANY6, ip_address("::1"), "::"),
    ],
)
def test_a_port_that_a_container_holds_is_refused_and_its_holder_named(first, second, named):
    allocator = PortAllocator()
    allocator.allocate([wants(8080, first)])
    with pytest.raises(NatlabError) as refusal:
        allocator.allocate([wants(8080, second)])
    assert str(refusal.value) == f"Bind for {named}:8080 failed: port is already allocated"


def test_a_released_port_can_be_had_again():
    allocator = PortAllocator()
    bindings = allocator.allocate([wants(8080)])
    allocator.release(bindings)
    allocator.release(bindings)
    assert allocator.allocate([wants(8080)]) == bindings


def test_exact_ports_are_settled_before_automatic_ones():
    allocator = PortAllocator(PortRange(32768, 60999))
    bindings = allocator.allocate([wants(), wants(32768)])
    assert numbers(bindings) == [32769, 32768], "in the order of the requests"


def test_exact_ports_then_ranges_then_automatic_ones_whatever_their_order():
    allocator = PortAllocator(PortRange(100, 102))
    assert numbers(allocator.allocate([wants(), wants((100, 101)), wants(100)])) == [102, 101, 100]


def test_a_range_gives_a_free_one_of_its_ports_and_goes_forward_too():
    allocator = PortAllocator()
    assert numbers(allocator.allocate([wants((8000, 8002)), wants(8001)])) == [8000, 8001]
    assert numbers(allocator.allocate([wants((8000, 8002))])) == [8002]
    with pytest.raises(NatlabError, match=r"^all ports are allocated$"):
        allocator.allocate([wants((8000, 8002))])


def test_ipv4_and_ipv6_of_one_request_get_the_same_number():
    allocator = PortAllocator()
    allocator.allocate([wants(49153, ANY6)])
    (both,) = allocator.allocate([wants(None, ANY, ANY6)])
    assert both == Binding((ANY, ANY6), "tcp", 49154)


def test_a_port_that_a_process_holds_is_refused_when_it_is_asked_for():
    with pytest.raises(NatlabError) as refusal:
        PortAllocator().allocate([wants(8080)], in_use=lambda *_: True)
    assert str(refusal.value) == (
        "failed to bind host port 0.0.0.0:8080/tcp: address already in use"
    )


def test_an_ipv6_address_stands_in_brackets_in_the_refusal():
    def only_ipv6(address, _port, _proto):
        return address.version == 6

    with pytest.raises(NatlabError, match=r"host port \[::\]:53/udp: address already in use"):
        PortAllocator().allocate([wants(53, ANY, ANY6, proto="udp")], in_use=only_ipv6)


def test_an_automatic_port_passes_over_what_a_process_holds():
    asked = []

    def held(address, port, proto):
        asked.append((address, port, proto))
        return port < 49155

    assert numbers(PortAllocator().allocate([wants()], in_use=held)) == [49155]
    assert asked[0] == (ANY, 49153, "tcp")


def test_a_refused_batch_leaves_nothing_behind():
    allocator = PortAllocator()
    allocator.allocate([wants(80)])
    with pytest.raises(NatlabError, match=r"Bind for 0\.0\.0\.0:80 failed"):
        allocator.allocate([wants(), wants(443), wants(80)])
    assert numbers(allocator.allocate([wants(443), wants()])) == [443, 49153]


def test_a_predicate_that_fails_leaves_nothing_behind():
    def broken(_address, port, _proto):
        if port == 443:
            raise OSError(port)
        return False

    allocator = PortAllocator()
    with pytest.raises(OSError, match="443"):
        allocator.allocate([wants(80), wants(443)], in_use=broken)
    assert numbers(allocator.allocate([wants(80)])) == [80]


def test_an_allocator_goes_on_where_an_earlier_one_stopped():
    earlier = PortAllocator()
    earlier.allocate([wants(), wants()])
    assert earlier.marks == (Mark(ANY, "tcp", SEED_RANGE, 49154),)
    assert numbers(PortAllocator(marks=earlier.marks).allocate([wants()])) == [49155]


def test_a_mark_outside_its_range_is_refused():
    with pytest.raises(UsageError, match="mark 80 lies outside its range 49153-65535"):
        Mark(ANY, "tcp", SEED_RANGE, 80)


def test_a_request_needs_an_address():
    with pytest.raises(UsageError, match="a port needs a host address"):
        PortRequest(())


@pytest.mark.parametrize("addresses", [(LO, LO), (ANY, LO), (LAN, ANY)])
def test_a_request_names_no_address_that_another_one_covers(addresses):
    with pytest.raises(UsageError, match=r"overlap: give only one of them$"):
        PortRequest(addresses)


def test_a_request_for_another_protocol_is_refused():
    with pytest.raises(UsageError, match="invalid proto: icmp"):
        PortRequest((ANY,), "icmp")


def requests():
    """Give requests that meet often: few addresses, few ports."""
    addresses = st.sampled_from([[ANY], [ANY6], [LO], [LAN], [LO, LAN], [ANY, ANY6], [ANY6, LO]])
    ports = st.none() | st.integers(1, 6) | st.sampled_from([(1, 3), (2, 5)])
    return st.builds(
        lambda a, p, proto: wants(p, *a, proto=proto),
        addresses,
        ports,
        st.sampled_from(["tcp", "udp"]),
    )


def sockets(bindings):
    return [(b.proto, b.port, address) for b in bindings for address in b.addresses]


def meet(one, other):
    same_family = one.version == other.version
    return same_family and (one == other or one.is_unspecified or other.is_unspecified)


@given(st.lists(st.tuples(st.lists(requests(), max_size=4), st.booleans()), max_size=12))
def test_no_two_holders_ever_meet_and_each_gets_what_it_asked_for(batches):
    allocator = PortAllocator(PortRange(1, 6))
    held = []
    for batch, keep in batches:
        try:
            bindings = allocator.allocate(batch, in_use=lambda _a, port, _p: port == 4)
        except NatlabError:
            continue
        for request, binding in zip(batch, bindings, strict=True):
            assert binding.port in (request.ports or allocator.ports)
            assert (binding.addresses, binding.proto) == (request.addresses, request.proto)
            assert binding.port != 4
        if keep:
            held += bindings
        else:
            allocator.release(bindings)
        taken = sockets(held)
        for n, (proto, port, address) in enumerate(taken):
            others = [a for q, p, a in taken[:n] if (q, p) == (proto, port)]
            assert not any(meet(address, other) for other in others)


@given(st.lists(requests(), max_size=8), st.lists(requests(), max_size=5))
def test_a_refusal_changes_nothing_that_can_be_seen(before, batch):
    allocator = PortAllocator(PortRange(1, 6))
    for request in before:
        try:
            allocator.allocate([request])
        except NatlabError:
            continue
    state = (allocator.marks, {key: list(who) for key, who in allocator._ledger.held.items()})
    try:
        allocator.release(allocator.allocate(batch))
    except NatlabError:
        assert allocator.marks == state[0]
    assert allocator._ledger.held == state[1]
