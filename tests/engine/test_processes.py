"""Programs in a lab: run, started, waited for, ended; what they print; their packets captured."""

from __future__ import annotations

import time

import pytest

from natlab import NatlabError, UsageError, ping


def test_a_program_runs_in_its_node_and_its_exit_code_comes_back(lab):
    done = lab.outside.run("hostname; echo oops >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "outside\n", "oops\n")
    assert done.argv == ("bash", "-c", "hostname; echo oops >&2; exit 3")


def test_input_and_environment_reach_it(lab):
    done = lab.ubuntu1.run("cat; echo $WORD", stdin="in\n", env={"WORD": "said"})
    assert done.stdout == "in\nsaid\n"


def test_a_program_that_a_signal_ended_has_a_negative_code(lab):
    assert lab.ubuntu1.run("kill -9 $$").returncode == -9


def test_checked_programs_tell_what_went_wrong(lab):
    with pytest.raises(
        NatlabError, match=r"`bash -c echo bad; exit 4` on ubuntu1 ended with 4: bad"
    ):
        lab.ubuntu1.run("echo bad; exit 4", check=True)


@pytest.mark.parametrize("how", ["run", "start"])
def test_a_program_that_is_missing_is_named(lab, how, descriptors):
    before = descriptors()
    with pytest.raises(NatlabError, match=r"^no program `no-such-program` here: install it"):
        getattr(lab.ubuntu1, how)(["no-such-program", "-x"])
    with pytest.raises(NatlabError, match="`/etc` may not be run: Permission denied"):
        getattr(lab.ubuntu1, how)(["/etc"])
    with pytest.raises(UsageError, match="no command given"):
        getattr(lab.ubuntu1, how)([])
    assert descriptors() == before


def test_a_program_that_outlives_its_time_is_ended_with_all_it_started(lab):
    with pytest.raises(NatlabError, match=r"`bash -c sleep 1000 \| cat` still runs after 0\.3 s"):
        lab.ubuntu1.run("sleep 1000 | cat", timeout=0.3)
    assert lab.ubuntu1.run(["pgrep", "-x", "sleep"]).stdout == ""


def test_ten_megabytes_come_back_whole(lab):
    done = lab.ubuntu1.run("head -c 10000000 /dev/zero | tr '\\0' x; echo end >&2")
    assert len(done.stdout) == 10_000_000
    assert done.stderr == "end\n"


def test_what_is_not_text_is_replaced_and_not_lost(lab):
    assert lab.ubuntu1.run("printf 'a\\377b'").stdout == "a\ufffdb"


def test_a_program_left_in_the_background_holds_nobody_up_and_goes_on(lab):
    began = time.monotonic()
    done = lab.ubuntu1.run("sleep 1000 & echo $!")
    assert time.monotonic() - began < 5
    assert lab.ubuntu1.run(f"kill -0 {done.stdout}").returncode == 0


def test_waiting_for_words_that_a_program_prints(lab):
    with lab.ubuntu1.start("echo one; echo two; sleep 1000") as program:
        assert program.wait_for("one").startswith("one\n")
        assert program.wait_for("two") == program.output == "one\ntwo\n"
        assert program.returncode is None
    assert program.returncode == -9


def test_words_that_never_come_are_told_apart_by_why(lab):
    with lab.ubuntu1.start("echo else") as program:
        with pytest.raises(NatlabError, match="did not print 'word' before it ended: else"):
            program.wait_for("word")
    with lab.ubuntu1.start("sleep 1000") as program:
        with pytest.raises(NatlabError, match=r"'word' within 0.1 s: it printed nothing"):
            program.wait_for("word", timeout=0.1)
        with pytest.raises(NatlabError, match=r"`bash -c sleep 1000` still runs after 0.1 s"):
            program.wait(timeout=0.1)


def test_signals_reach_it_and_ended_programs_are_no_trouble(lab):
    program = lab.ubuntu1.start("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done")
    program.wait_for("ready")
    program.signal(15)
    assert program.wait() == 7
    assert program.wait() == 7
    program.signal(15)
    program.kill()
    program.kill()
    program.close()
    assert program.returncode == 7


def test_a_killed_program_takes_its_group_with_it(lab):
    with lab.ubuntu1.start("sleep 1000 | cat & echo started; wait") as program:
        program.wait_for("started")
    assert lab.ubuntu1.run(["pgrep", "-x", "sleep"]).stdout == ""


def test_a_program_that_was_let_go_of_says_so(lab):
    program = lab.ubuntu1.start("sleep 1000")
    program.close()
    with pytest.raises(NatlabError, match="was let go of"):
        program.wait()


def test_a_program_that_nobody_keeps_leaves_no_descriptor(lab, descriptors):
    before = descriptors()
    for _ in range(5):
        lab.ubuntu1.start("sleep 1000")
    assert descriptors() == before


def test_a_chatty_program_is_not_held_up_by_the_first_64_kilobytes(lab):
    with lab.ubuntu1.start(
        "head -c 500000 /dev/zero; sync; touch /run/done; sleep 1000"
    ) as program:
        lab.ubuntu1.run("until test -e /run/done; do :; done", timeout=10, check=True)
        assert program.returncode is None


def test_captures_see_both_directions_in_the_kernels_time(lab):
    began = time.time_ns()
    with lab.ubuntu1.capture("eth0") as seen:
        assert ping(lab.outside, "192.168.33.11", server=lab.ubuntu1).outcome == "answered"
        assert seen.wait_for(lambda packet: packet.proto == "icmp")
        frames = [c for c in seen.collect() if c.packet.proto == "icmp"]
    assert [(c.outgoing, c.packet.src) for c in frames] == [
        (False, "192.168.33.20"),
        (True, "192.168.33.11"),
    ]
    assert all(c.interface == "eth0" for c in frames)
    assert began <= frames[0].at_ns <= frames[1].at_ns <= time.time_ns()


def test_a_capture_that_sees_nothing_ends_in_time(lab):
    with lab.outside.capture() as seen:
        began = time.monotonic()
        assert seen.wait_for(lambda packet: packet.proto == "tcp", timeout=0.2) is None
        assert 0.2 <= time.monotonic() - began < 2
