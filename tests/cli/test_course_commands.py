"""steps, show, do, check, hint, reset: the course at the command line."""

from __future__ import annotations

import signal

from natlab.course import manifest

COUNT = len(manifest.load().steps)


def test_steps_shows_the_syllabus_and_what_has_passed(lab):
    before = lab("steps").stdout
    assert f"0 of {COUNT} passed. Next: `natlab show 01`" in before
    lab("do", "4")
    lab("check", "4")
    after = lab("steps").stdout
    assert "✓ 04" in after
    assert f"1 of {COUNT} passed" in after


def test_show_prints_what_to_type(natlab):
    text = natlab("show", "veth").stdout
    assert text == natlab("show", "4").stdout == natlab("show", "04").stdout
    assert "ip link add vethweb type veth" in text


def test_an_unknown_step_is_refused_with_what_there_is(natlab):
    assert f"01 to {COUNT:02}" in natlab.error("show", "99", code=2)
    assert '"masquerade"' in natlab.error("show", "maskerade", code=2)


def test_do_builds_the_end_of_a_step_whatever_stood_before(lab):
    lab("exec", "ubuntu1", "--", "ip", "netns", "add", "rubbish")
    lab("exec", "ubuntu1", "--", "ip", "link", "add", "docker0", "type", "bridge")
    assert "step 04 is built" in lab("do", "4").stdout
    assert lab("exec", "ubuntu1", "--", "ip", "netns").stdout.split()[0] == "web"
    checked = lab("check", "4").stdout
    assert "✓ the host reaches the container" in checked
    assert "4 checks: 4 passed" in checked
    assert "Next: `natlab show 05`" in checked


def test_check_tells_expected_found_and_hint_and_exits_1(lab):
    lab("do", "4")
    lab("exec", "web", "--", "ip", "route", "del", "default")
    said = lab("check", "4", code=1).stdout
    assert "expected  default via 172.17.0.1 on web" in said
    assert "found     no default route" in said
    assert "hint      web must send everything else to 172.17.0.1" in said
    assert "1 failed, 2 blocked" in said


def test_hint_depends_on_what_is_missing_now(lab):
    lab("reset", "4")
    first = lab("hint", "4").stdout
    lab("do", "4")
    lab("exec", "web", "--", "ip", "route", "del", "default")
    second = lab("hint", "4").stdout
    assert "no eth0 yet" in first
    assert "default via 172.17.0.1" in second
    lab("do", "4")
    assert "complete" in lab("hint", "4").stdout


def test_reset_goes_back_to_where_the_step_begins(lab):
    lab("do", "8")
    lab("reset", "4")
    lab("check", "3")
    lab("check", "4", code=1)
    assert lab("exec", "ubuntu1", "--", "nft", "list", "ruleset").stdout == ""


def test_check_without_a_step_takes_the_first_that_has_not_passed(lab):
    lab("do", "1")
    assert lab("check").stdout.startswith("01 ·")
    lab("do", "2")
    assert lab("check").stdout.startswith("02 ·")


def test_do_wants_a_step_and_not_two_ways_at_once(lab):
    assert "which step?" in lab.error("do", code=2)
    assert "not both" in lab.error("do", "4", "--all", code=2)


def test_do_check_throwaway_needs_no_lab_and_leaves_none(natlab):
    said = natlab("do", "4", "--check", "--throwaway").stdout
    assert "1 step, 4 checks: 4 passed" in said
    assert "no lab is up" in natlab("status", code=1).stdout


def test_ctrl_c_in_the_middle_of_do_all_leaves_nothing_half_made(lab):
    running = lab.popen("do", "--all")
    assert running.stdout is not None
    while "step 03" not in running.stdout.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "go on with `natlab do" in lab.one_line(error)
    assert lab("status").stdout.count("nothing yet") == 3
    assert lab("exec", "ubuntu1", "--", "nft", "list", "ruleset").stdout == ""
    lab("do", "4", "--check")
