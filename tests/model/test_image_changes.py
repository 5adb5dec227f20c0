"""Changes of import and commit mean what they mean in a Dockerfile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.image_changes import apply_changes
from natlab.model.image_settings import ImageConfig
from natlab.model.refusal import Refusal

SH = ("/bin/sh", "-c")


def changed(*changes, **config):
    return apply_changes(ImageConfig(**config), changes)


def outcome(call, *args):
    """Give what came out, the refusal if it was refused."""
    try:
        return call(*args)
    except Refusal as refusal:
        return refusal


def refused(*changes, **config):
    with pytest.raises(Refusal) as refusal:
        changed(*changes, **config)
    return refusal.value.status, str(refusal.value)


@pytest.mark.parametrize(
    ("change", "cmd"),
    [
        ('CMD ["httpd", "-f"]', ("httpd", "-f")),
        ("CMD httpd -f", (*SH, "httpd -f")),
        ('cmd ["a"]', ("a",)),
        ("CMD []", ()),
        ("CMD", ()),
        ("CMD [not json", (*SH, "[not json")),
        ("CMD ['a']", (*SH, "['a']")),
        ("CMD echo $HOME", (*SH, "echo $HOME")),
        ("CMD httpd \\\n  -f", (*SH, "httpd   -f")),
        ("# a comment\nCMD a", (*SH, "a")),
    ],
)
def test_a_command_has_a_json_form_and_a_shell_form(change, cmd):
    assert changed(change).cmd == cmd


def test_the_shell_form_takes_the_images_shell():
    config = ImageConfig(shell=("bash", "-lc"))  # noqa: S604 - a value, nothing runs
    assert apply_changes(config, ["CMD dir"]).cmd == ("bash", "-lc", "dir")


def test_an_entrypoint_drops_the_cmd_that_was_there_before():
    config = changed('ENTRYPOINT ["/app"]', cmd=("old",))
    assert (config.entrypoint, config.cmd) == (("/app",), ())


def test_an_entrypoint_leaves_a_cmd_of_the_same_changes():
    config = changed('CMD ["new"]', 'ENTRYPOINT ["/app"]', cmd=("old",))
    assert (config.entrypoint, config.cmd) == (("/app",), ("new",))


@pytest.mark.parametrize(
    ("change", "env"),
    [
        ("ENV A=1", ("A=1", "B=old")),
        ("ENV C=1 D=2", ("A=old", "B=old", "C=1", "D=2")),
        ('ENV C="two words" D=two\\ words', ("A=old", "B=old", "C=two words", "D=two words")),
        ("ENV C='$A'", ("A=old", "B=old", "C=$A")),
        ("ENV C two words", ("A=old", "B=old", "C=two words")),
        ("ENV C=$A D=$C", ("A=old", "B=old", "C=old", "D=")),
        ("ENV C=${A}er", ("A=old", "B=old", "C=older")),
        ("ENV C=", ("A=old", "B=old", "C=")),
        ("ENV C=a=b", ("A=old", "B=old", "C=a=b")),
    ],
)
def test_variables_are_set_in_their_order(change, env):
    assert changed(change, env=("A=old", "B=old")).env == env


def test_a_later_change_knows_the_variables_of_an_earlier_one():
    config = changed("ENV PORT=80", "EXPOSE $PORT", "LABEL port=$PORT", "WORKDIR /srv/$PORT")
    assert config.exposed == ("80/tcp",)
    assert config.labels == {"port": "80"}
    assert config.working_dir == "/srv/80"


@pytest.mark.parametrize(
    ("change", "exposed"),
    [
        ("EXPOSE 80", ("443/tcp", "80/tcp")),
        ("EXPOSE 53/udp 443", ("443/tcp", "53/udp")),
        ("EXPOSE 80-82", ("443/tcp", "80/tcp", "81/tcp", "82/tcp")),
    ],
)
def test_ports_are_added(change, exposed):
    assert changed(change, exposed=("443/tcp",)).exposed == exposed


def test_labels_are_added_and_replaced():
    config = changed('LABEL a=1 "b.c"="x y"', "LABEL d e f", labels={"a": "0"})
    assert config.labels == {"a": "1", "b.c": "x y", "d": "e f"}


@pytest.mark.parametrize(
    ("change", "volumes"),
    [("VOLUME /a /b", ("/a", "/b")), ('VOLUME ["/a", "/b c"]', ("/a", "/b c"))],
)
def test_volumes_are_added(change, volumes):
    assert changed(change).volumes == volumes


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        (["WORKDIR /a"], "/a"),
        (["WORKDIR a"], "/a"),
        (["WORKDIR /a", "WORKDIR b/../c"], "/a/c"),
        (["WORKDIR /a/"], "/a"),
        (["WORKDIR //a"], "/a"),
        (["WORKDIR /two words"], "/two words"),
    ],
)
def test_a_working_directory_is_joined_to_the_one_before(changes, path):
    assert changed(*changes).working_dir == path


def test_user_stop_signal_and_triggers_are_set():
    config = changed("USER app:app", "STOPSIGNAL SIGQUIT", "ONBUILD RUN make", "ONBUILD USER x")
    assert (config.user, config.stop_signal) == ("app:app", "SIGQUIT")
    assert config.on_build == ("RUN make", "USER x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("FROM alpine", "FROM is not a valid change command"),
        ("run ls", "run is not a valid change command"),
        ("nonsense", "nonsense is not a valid change command"),
        ("HEALTHCHECK NONE", "natlab runs no health checks: leave HEALTHCHECK out"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        (
            "ENV A=1 B",
            'Syntax error - can\'t find = in "B". Must be of the form: name=value',
        ),
        ("ENV =1", "ENV names can not be blank"),
        ("LABEL =1", "LABEL names can not be blank"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("USER", "USER requires exactly one argument"),
        ("WORKDIR $NOPE", "WORKDIR requires exactly one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ('VOLUME [""]', "VOLUME specified can not be an empty string"),
        ("STOPSIGNAL foo", "invalid signal: foo"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD ONBUILD USER x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        (
            "CMD [1]",
            "when using JSON array syntax, arrays must be comprised of strings only",
        ),
        ("ENV A=${B", 'failed to process "${B": unsupported modifier in variable'),
    ],
)
def test_a_change_that_is_none_is_refused_in_dockers_words(change, message):
    assert refused(change) == (400, message)


def test_a_port_that_is_none_is_refused():
    assert refused("EXPOSE x")[1].startswith("invalid containerPort: x")


def test_no_change_changes_nothing():
    assert changed(cmd=("a",)) == changed("", "# only this", cmd=("a",)) == ImageConfig(cmd=("a",))


@given(st.lists(st.text(max_size=20), max_size=3))
def test_any_changes_are_applied_or_refused(changes):
    result = outcome(changed, *changes)
    assert isinstance(result, ImageConfig) or result.status == 400
    assert isinstance(result, ImageConfig) or "\n" not in str(result)


@given(
    st.sampled_from(["ENV", "LABEL", "EXPOSE", "VOLUME", "USER", "CMD", "WORKDIR", "ONBUILD"]),
    st.text(alphabet="aA=$\\{}\"'[] :-+8/", max_size=15),
)
def test_any_argument_is_taken_or_refused(instruction, text):
    result = outcome(changed, f"{instruction} {text}")
    assert isinstance(result, ImageConfig) or result.status == 400
