"""Several calls in one round trip: all of them, or none."""

from __future__ import annotations

import pytest

from natlab import NatlabError
from natlab.kernel import batch, firewall, links, namespaces
from natlab.kernel.batch import Call
from natlab.kernel.place import NEWEST


def make(here, name):
    forget = Call(here, namespaces.undo_named, (name,))
    return Call(here, namespaces.add_named, (name,), undo=forget)


def test_results_come_in_order_and_each_call_runs_in_its_place(lab):
    one, other = (host.place.number for host in (lab.ubuntu1, lab.ubuntu2))
    lab.ubuntu2.run("ip link add only type bridge", check=True)
    calls = [Call(number, links.present, (["lo", "only"],)) for number in (one, other, one)]
    assert lab.ubuntu1.place.call(batch.together, calls) == [["lo"], ["lo", "only"], ["lo"]]


def test_the_newest_place_can_be_used_before_its_number_is_known(lab):
    here = lab.ubuntu1.place.number
    calls = [make(here, "web"), Call(NEWEST, links.present, (["lo", "eth0"],))]
    number, present = lab.ubuntu1.place.call(batch.together, calls)
    assert present == ["lo"]
    assert lab.agent.call(number, links.present, ["lo"]) == ["lo"]


def test_an_error_undoes_what_was_done_the_last_first(lab):
    host = lab.ubuntu1
    docker0 = host.add_docker0()
    before = [link.name for link in host.links()]
    here, mac = host.place.number, "02:42:ac:11:00:02"
    plug = Call(
        here,
        links.attach,
        (docker0.bridge, "vethx", NEWEST),
        {"mac": mac, "addresses": ["172.17.0.2/16"]},
        Call(here, links.delete, ("vethx",)),
    )
    refused = Call(here, firewall.command, ("no such words",))
    with pytest.raises(NatlabError, match=r"^nft refused `no such words`"):
        host.place.call(batch.together, [make(here, "web"), plug, refused])
    assert [link.name for link in host.links()] == before
    assert host.container_names() == []


def test_what_was_there_before_is_not_undone(lab):
    host = lab.ubuntu1
    host.add_container("web")
    calls = [make(host.place.number, "db"), make(host.place.number, "web")]
    with pytest.raises(FileExistsError):
        host.place.call(batch.together, calls)
    assert host.container_names() == ["web"]
