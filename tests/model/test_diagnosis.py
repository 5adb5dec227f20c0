"""Diagnosis: facts about a machine become findings, each with what to do."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model import diagnosis, diagnosis_network, diagnosis_userns, nft_text
from natlab.model.diagnosis import Feature, Finding, Libnftables, worst
from natlab.model.diagnosis_network import Kept, Surroundings
from natlab.model.diagnosis_userns import UserNamespaces
from natlab.model.state import RouteEntry

ALL_TOOLS = {
    name: f"/usr/bin/{name}" for name in (*diagnosis.REQUIRED_TOOLS, *diagnosis.USEFUL_TOOLS)
}
APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"


def without(*names: str) -> dict[str, str | None]:
    return {name: None if name in names else path for name, path in ALL_TOOLS.items()}


# Findings


def test_a_warning_without_a_remedy_is_refused() -> None:
    with pytest.raises(UsageError, match="must say what to do"):
        Finding("warning", "kernel", "old")
    with pytest.raises(UsageError, match="must say what to do"):
        Finding("problem", "kernel", "old")


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="ok, warning, problem"):
        Finding("bad", "kernel", "x")  # type: ignore[arg-type]


@given(st.lists(st.sampled_from(diagnosis.LEVELS)))
def test_the_worst_level_is_the_highest_that_is_there(levels: list[diagnosis.Level]) -> None:
    expected = next((level for level in ("problem", "warning") if level in levels), "ok")
    assert worst(Finding(level, "x", "y", "z") for level in levels) == expected


# Kernel, libraries, programs


@pytest.mark.parametrize(
    ("system", "release", "level"),
    [
        ("Linux", "6.18.44-fc", "ok"),
        ("Linux", "5.3.0", "ok"),
        ("Linux", "5.2.21-generic", "problem"),
        ("Linux", "strange", "ok"),
        ("Darwin", "23.1.0", "problem"),
    ],
)
def test_the_kernel_is_linux_and_new_enough(system: str, release: str, level: str) -> None:
    assert diagnosis.kernel(system, release).level == level


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("nftables v1.0.6 (Lester Gooch #5)", (1, 0, 6)),
        ("6.18.44-fc-v669", (6, 18, 44)),
        ("no number", ()),
    ],
)
def test_a_version_is_the_first_number_with_dots(text: str, numbers: tuple[int, ...]) -> None:
    assert diagnosis.version(text) == numbers


@pytest.mark.parametrize(
    ("found", "level", "part"),
    [
        (Libnftables(binding=False), "problem", "pip install oxl-libnftables"),
        (Libnftables(binding=True), "problem", "sudo apt-get install libnftables1"),
        (
            Libnftables(binding=True, library="/l.so", nft="nftables v0.9.8 (E.D.S.)"),
            "warning",
            "newer",
        ),
        (Libnftables(binding=True, library="/l.so", nft="nftables v1.0.6 (L)"), "ok", ""),
        (Libnftables(binding=True, library="/l.so"), "ok", ""),
    ],
)
def test_libnftables(found: Libnftables, level: str, part: str) -> None:
    finding = diagnosis.libnftables(found)
    assert finding.level == level
    assert part in finding.remedy


def test_pyroute2_missing_names_the_command() -> None:
    assert "pip install 'pyroute2" in diagnosis.pyroute2(None).remedy
    assert diagnosis.pyroute2("0.9.7").level == "ok"


def test_with_all_tools_there_is_nothing_to_install() -> None:
    (finding,) = diagnosis.tools(ALL_TOOLS)
    assert finding.level == "ok"


def test_one_line_installs_exactly_what_is_missing() -> None:
    _, missing = diagnosis.tools(without("tcpdump", "nc"))
    assert missing.level == "warning"
    assert missing.remedy == "run `sudo apt-get install -y netcat-openbsd tcpdump`"


def test_without_ip_or_nft_the_course_cannot_be_typed() -> None:
    _, missing = diagnosis.tools(without("ip", "curl"))
    assert missing.level == "problem"
    assert "typed with ip" in missing.says
    assert missing.remedy == "run `sudo apt-get install -y curl iproute2`"


def test_with_no_tool_at_all_everything_is_to_be_installed() -> None:
    (missing,) = diagnosis.tools({})
    packages = {*diagnosis.REQUIRED_TOOLS.values(), *diagnosis.USEFUL_TOOLS.values()}
    assert all(package in missing.remedy for package in packages)


@pytest.mark.parametrize(
    ("says", "levels"),
    [
        ("iptables v1.8.9 (nf_tables)", ["ok"]),
        ("iptables v1.8.9 (legacy)", ["warning"]),
        ("iptables v1.6.1", ["warning"]),
        (None, []),
    ],
)
def test_iptables_back_end(says: str | None, levels: list[str]) -> None:
    assert [finding.level for finding in diagnosis.iptables(says)] == levels


@pytest.mark.parametrize(("needed", "level"), [(True, "problem"), (False, "warning")])
def test_a_feature_that_does_not_work_names_its_module(needed: bool, level: str) -> None:
    tried = Feature(
        name="bridge",
        module="bridge",
        use="docker0",
        needed=needed,
        error="Operation not supported",
    )
    finding = diagnosis.feature(tried)
    assert (finding.level, finding.topic) == (level, "bridge")
    assert "Operation not supported" in finding.says
    assert "sudo modprobe bridge" in finding.remedy


def test_a_sandbox_that_was_refused_keeps_its_remedy() -> None:
    finding = diagnosis.sandbox("this user may not make namespaces (EPERM): run `sudo x`, or y")
    assert finding == Finding(
        "problem", "sandbox", "this user may not make namespaces (EPERM)", "run `sudo x`, or y"
    )
    assert diagnosis.sandbox("it ended").remedy == "run natlab as root"
    assert diagnosis.sandbox(None).level == "ok"


def test_root_and_ordinary_users_are_both_well() -> None:
    assert diagnosis.privilege(0, admin=True).level == "ok"
    assert "ordinary user" in diagnosis.privilege(1000, admin=False).says


# User namespaces


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("kernel.unprivileged_userns_clone", "sudo sysctl -w kernel.unprivileged_userns_clone=1`"),
        ("user.max_user_namespaces", "sudo sysctl -w user.max_user_namespaces=15000`"),
        (APPARMOR, f"sudo sysctl -w {APPARMOR}=0`"),
    ],
)
def test_the_setting_that_forbids_user_namespaces_is_named_with_its_remedy(
    setting: str, remedy: str
) -> None:
    bad = diagnosis_userns.SETTINGS[setting]
    finding = diagnosis_userns.user_namespaces(
        UserNamespaces(allowed=False, settings={setting: bad})
    )
    assert finding.level == "problem"
    assert f"{setting} = {bad}" in finding.says
    assert remedy in finding.remedy
    assert "/etc/sysctl.d/60-natlab.conf" in finding.remedy


def test_where_apparmor_forbids_them_a_profile_is_the_other_way() -> None:
    found = UserNamespaces(allowed=False, settings={APPARMOR: "1"}, python="/opt/my py/bin/python3")
    text = diagnosis_userns.user_namespaces(found).remedy
    assert "sudo apparmor_parser -r /etc/apparmor.d/natlab" in text
    line = diagnosis_userns.apparmor_profile(found.python)
    words = shlex.split(line.partition(" | ")[0])
    assert words == [
        "printf",
        "%s\\n",
        "abi <abi/4.0>,",
        "include <tunables/global>",
        'profile natlab "/opt/my py/bin/python3" flags=(unconfined) {',
        "  userns,",
        "}",
    ]


def test_two_settings_in_the_way_are_one_command() -> None:
    settings = {"kernel.unprivileged_userns_clone": "0", "user.max_user_namespaces": "0"}
    text = diagnosis_userns.remedy(UserNamespaces(allowed=False, settings=settings))
    assert "-w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000`" in text


def test_a_setting_that_allows_them_is_not_blamed() -> None:
    fine = {
        "user.max_user_namespaces": "96365",
        APPARMOR: "0",
        "kernel.unprivileged_userns_clone": "1",
    }
    finding = diagnosis_userns.user_namespaces(UserNamespaces(allowed=False, settings=fine))
    assert "the kernel refuses" in finding.says
    assert "sudo natlab up" in finding.remedy


def test_inside_a_container_the_container_is_to_be_started_otherwise() -> None:
    finding = diagnosis_userns.user_namespaces(UserNamespaces(allowed=False, container=True))
    assert "--privileged" in finding.remedy


@pytest.mark.parametrize(
    ("allowed", "settings", "root", "level"),
    [
        (True, {}, False, "ok"),
        (True, {}, True, "ok"),
        (False, {}, False, "problem"),
        (False, {APPARMOR: "1"}, True, "warning"),
        (None, {}, True, "ok"),
        (None, {"user.max_user_namespaces": "0"}, True, "warning"),
    ],
)
def test_how_bad_it_is_depends_on_who_asks(
    allowed: bool | None, settings: dict[str, str], root: bool, level: str
) -> None:
    found = UserNamespaces(allowed=allowed, settings=settings, root=root)
    assert diagnosis_userns.user_namespaces(found).level == level


# The machine's network


def surroundings(listing: str = "", **facts: object) -> Surroundings:
    return Surroundings(ruleset=nft_text.parse(listing), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "sign"),
    [
        (Surroundings(links=("lo", "docker0")), "interface docker0"),
        (Surroundings(links=("br-0123456789ab",)), "interface br-0123456789ab"),
        (Surroundings(sockets=("/run/docker.sock",)), "socket /run/docker.sock"),
        (Surroundings(processes=("dockerd",)), "process dockerd"),
        (surroundings("table ip docker-bridges {\n}\n"), "table ip docker-bridges"),
        (surroundings("table ip nat {\n\tchain DOCKER {\n\t}\n}\n"), "chain DOCKER in ip nat"),
    ],
)
def test_a_real_docker_is_known_by_any_of_its_signs(found: Surroundings, sign: str) -> None:
    finding = diagnosis_network.docker(found)
    assert finding.level == "warning"
    assert sign in finding.says
    assert "does not disturb the sandbox" in finding.says


def test_natlabs_own_table_and_a_persons_bridge_are_no_docker() -> None:
    found = surroundings("table ip natlab {\n\tchain DOCKER {\n\t}\n}\n", links=("lo", "br-lan"))
    assert diagnosis_network.docker(found).level == "ok"


FORWARD = (
    "table {} {{\n\tchain {} {{\n"
    "\t\ttype filter hook forward priority filter; policy {};\n"
    "\t}}\n{}}}\n"
)


@pytest.mark.parametrize(
    ("table", "chain", "more", "whose"),
    [
        ("inet firewalld", "filter_FORWARD", "", "firewalld's"),
        ("ip filter", "FORWARD", "\tchain ufw-before-forward {\n\t}\n", "ufw's"),
        ("ip filter", "FORWARD", "\tchain DOCKER-USER {\n\t}\n", "Docker's"),
        ("inet mine", "fwd", "", "somebody's own"),
        ("ip natlab", "FORWARD", "\tchain DOCKER {\n\t}\n", "Docker's"),
    ],
)
def test_a_forward_chain_that_drops_is_named_with_its_owner(
    table: str, chain: str, more: str, whose: str
) -> None:
    found = surroundings(FORWARD.format(table, chain, "drop", more))
    (finding,) = diagnosis_network.firewalls(found)
    assert finding.level == "warning"
    assert f"chain {chain} of table {table} ({whose})" in finding.says


def test_a_forward_chain_that_accepts_is_in_nobodys_way() -> None:
    (finding,) = diagnosis_network.firewalls(
        surroundings(FORWARD.format("inet x", "y", "accept", ""))
    )
    assert finding == Finding("ok", "firewall", "no other firewall is in the way")


def test_rules_that_could_not_be_listed_are_not_said_to_be_none() -> None:
    (finding,) = diagnosis_network.firewalls(Surroundings())
    assert "as far as can be seen" in finding.says


def test_firewalld_and_ufw_are_named() -> None:
    found = surroundings(processes=("firewalld",), ufw=True)
    says = " ".join(finding.says for finding in diagnosis_network.firewalls(found))
    assert "firewalld is on" in says
    assert "ufw is on" in says


def overlapping(*routes: RouteEntry) -> list[str]:
    return [f.says for f in diagnosis_network.collisions(routes) if f.level == "warning"]


def test_a_vpns_route_in_a_table_of_its_own_is_found() -> None:
    (says,) = overlapping(RouteEntry("172.16.0.0/12", "tun0", table=1000))
    assert says.startswith(
        "172.17.0.0/16 overlaps the machine's route 172.16.0.0/12 dev tun0 table 1000"
    )


def test_a_smaller_route_inside_a_subnet_of_the_lab_is_found() -> None:
    (says,) = overlapping(RouteEntry("192.168.33.7/32", "wg0"))
    assert "192.168.33.0/24 overlaps the machine's route 192.168.33.7/32 dev wg0" in says


def test_a_route_without_a_device_is_named_by_its_kind() -> None:
    says = overlapping(RouteEntry("192.168.0.0/16", None, kind="unreachable", table=7))
    assert len(says) == 2
    assert all("unreachable 192.168.0.0/16 table 7" in one for one in says)


@pytest.mark.parametrize(
    "dst", ["default", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "172.18.0.0/16"]
)
def test_a_default_route_or_a_strangers_is_no_collision(dst: str) -> None:
    (finding,) = diagnosis_network.collisions([RouteEntry(dst, "eth0", "10.0.2.2")])
    assert finding.level == "ok"


def test_routes_that_were_not_read_are_not_judged() -> None:
    assert diagnosis_network.collisions(None) == []


def test_a_lab_whose_keeper_was_killed_is_a_leftover() -> None:
    labs = [Kept("classroom", 11, alive=True), Kept("other", 12, alive=False)]
    (finding,) = diagnosis_network.leftovers(labs)
    assert (finding.level, finding.topic) == ("warning", "labs")
    assert "lab other: its keeper (process 12)" in finding.says
    assert "natlab down --name other" in finding.remedy


def test_labs_that_are_up_are_no_leftovers() -> None:
    assert (
        diagnosis_network.leftovers([Kept("classroom", 11, alive=True)])[0].says == "up: classroom"
    )
    assert diagnosis_network.leftovers([])[0].level == "ok"


def test_a_damaged_journal_is_a_warning_with_its_remedy() -> None:
    finding = diagnosis_network.unreadable("/x/y.json is damaged: remove it")
    assert (finding.says, finding.remedy) == ("/x/y.json is damaged", "remove it")
