"""An image's config and a run's wishes come together as Docker puts them together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.image_config import DEFAULT_PATH, ImageConfig, effective, process_env
from natlab.model.refusal import Refusal

PATH = f"PATH={DEFAULT_PATH}"
IMAGE = ImageConfig(
    env=("LANG=C", "APP=image"),
    cmd=("serve", "--all"),
    entrypoint=("/app",),
    exposed=("80/tcp",),
    volumes=("/data",),
    working_dir="/srv",
    user="app",
    labels={"a": "image", "b": "image"},
    stop_signal="SIGQUIT",
)


def refused(call, *args, **kwargs):
    with pytest.raises(Refusal) as refusal:
        call(*args, **kwargs)
    return refusal.value.status, str(refusal.value)


word = st.text(min_size=1, max_size=6)
words = st.lists(word, max_size=3).map(tuple)
configs = st.builds(
    ImageConfig,
    env=words,
    cmd=words,
    entrypoint=words,
    exposed=st.lists(word, max_size=3, unique=True).map(tuple),
    volumes=st.lists(word, max_size=3, unique=True).map(tuple),
    working_dir=st.text(max_size=6),
    user=st.text(max_size=6),
    labels=st.dictionaries(word, st.text(max_size=6), max_size=3),
    stop_signal=st.text(max_size=6),
    shell=words,
    on_build=words,
)


@given(configs)
def test_a_config_that_was_written_is_read_again(config):
    assert ImageConfig.from_json(config.to_json()) == config


def test_a_config_is_written_without_what_is_empty():
    assert ImageConfig().to_json() == {}
    assert ImageConfig(cmd=("sh",), exposed=("80/tcp",), volumes=("/data",)).to_json() == {
        "ExposedPorts": {"80/tcp": {}},
        "Cmd": ["sh"],
        "Volumes": {"/data": {}},
    }


def test_nulls_and_unknown_keys_are_passed_over():
    value = {"Cmd": None, "Entrypoint": None, "Labels": None, "Volumes": None, "Healthcheck": {}}
    assert ImageConfig.from_json(value) == ImageConfig.from_json(None) == ImageConfig()


def test_a_command_may_be_one_word():
    assert ImageConfig.from_json({"Cmd": "sh"}).cmd == ("sh",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "invalid JSON: config must be an object"),
        ({"Env": "A=1"}, "invalid JSON: Env must be a list"),
        ({"Env": [1]}, "invalid JSON: Env must be a list of strings"),
        ({"Cmd": {}}, "invalid JSON: Cmd must be a list"),
        ({"ExposedPorts": ["80"]}, "invalid JSON: ExposedPorts must be an object"),
        ({"User": 0}, "invalid JSON: User must be a string"),
        ({"Labels": {"a": 1}}, "invalid JSON: Labels must have strings for values"),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused(value, message):
    assert refused(ImageConfig.from_json, value) == (400, message)


def test_without_wishes_the_image_decides():
    container = effective(IMAGE, {}, hostname="0123456789ab")
    assert container.argv == ("/app", "serve", "--all")
    assert container.env == (PATH, "HOSTNAME=0123456789ab", "LANG=C", "APP=image")
    assert container.config_env == ("LANG=C", "APP=image")
    assert (container.cwd, container.user) == ("/srv", "app")
    assert (container.exposed, container.volumes) == (("80/tcp",), ("/data",))
    assert container.labels == {"a": "image", "b": "image"}
    assert container.stop_signal == "SIGQUIT"


def test_the_runs_wishes_come_first_and_lists_are_joined():
    body = {
        "Env": ["APP=run", "NEW=1"],
        "ExposedPorts": {"53/udp": {}, "80/tcp": {}},
        "Labels": {"b": "run", "c": "run"},
        "StopSignal": "9",
        "User": "1000:1000",
        "Volumes": {"/more": {}},
        "WorkingDir": "/tmp",  # noqa: S108 - a path in a container
    }
    container = effective(IMAGE, body)
    assert container.config_env == ("APP=run", "NEW=1", "LANG=C")
    assert container.exposed == ("80/tcp", "53/udp")
    assert container.labels == {"a": "image", "b": "run", "c": "run"}
    assert container.volumes == ("/data", "/more")
    assert (container.cwd, container.user, container.stop_signal) == (
        "/tmp",  # noqa: S108
        "1000:1000",
        "9",
    )


@pytest.mark.parametrize(
    ("body", "argv"),
    [
        ({"Cmd": ["sh"]}, ("/app", "sh")),
        ({"Cmd": []}, ("/app", "serve", "--all")),
        ({"Cmd": "sh"}, ("/app", "sh")),
        ({"Entrypoint": ["/run"]}, ("/run",)),
        ({"Entrypoint": ["/run"], "Cmd": ["x"]}, ("/run", "x")),
        ({"Entrypoint": "/run"}, ("/run",)),
        ({"Entrypoint": [""], "Cmd": ["x"]}, ("x",)),
        ({"Entrypoint": [], "Cmd": ["x"]}, ("x",)),
        ({"Entrypoint": []}, ("serve", "--all")),
        ({"Entrypoint": None}, ("/app", "serve", "--all")),
    ],
)
def test_the_program_is_put_together_from_entrypoint_and_cmd(body, argv):
    assert effective(IMAGE, body).argv == argv


@pytest.mark.parametrize("body", [{}, {"Cmd": []}, {"Entrypoint": [""]}])
def test_a_container_without_a_program_is_refused(body):
    assert refused(effective, ImageConfig(), body) == (400, "no command specified")


def test_an_emptied_entrypoint_drops_the_images_cmd_too():
    assert refused(effective, IMAGE, {"Entrypoint": [""]}) == (400, "no command specified")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Env": ["=1"]}, "invalid environment variable: =1"),
        ({"Env": [""]}, "invalid environment variable: "),
        ({"StopSignal": "foo"}, "invalid signal: foo"),
        (
            {"WorkingDir": "srv"},
            "the working directory 'srv' is invalid, it needs to be an absolute path",
        ),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_in_dockers_words(body, message):
    assert refused(effective, IMAGE, body) == (400, message)


def test_defaults_stand_where_nobody_says_anything():
    container = effective(ImageConfig(cmd=("sh",)), {}, hostname="web")
    assert container.env == (PATH, "HOSTNAME=web")
    assert (container.cwd, container.user, container.stop_signal) == ("/", "", "SIGTERM")


def test_a_terminal_gives_a_term():
    container = effective(ImageConfig(cmd=("sh",)), {"Tty": True}, hostname="web")
    assert container.env == (PATH, "HOSTNAME=web", "TERM=xterm")


def test_variables_override_the_defaults_and_the_links_where_they_stand():
    env = process_env(
        ["PATH=/bin", "DB_PORT=mine", "X="], hostname="web", links=["DB_PORT=tcp://x", "DB_NAME=y"]
    )
    assert env == ("PATH=/bin", "HOSTNAME=web", "DB_PORT=mine", "DB_NAME=y", "X=")


def test_a_name_without_a_value_takes_the_variable_away():
    container = effective(IMAGE, {"Env": ["PATH", "LANG"]}, hostname="web")
    assert container.env == ("HOSTNAME=web", "APP=image")


@given(st.lists(st.from_regex(r"[A-C]=?[0-9]?", fullmatch=True), max_size=6))
def test_every_variable_is_there_once(variables):
    names = [v.partition("=")[0] for v in process_env(variables, tty=True)]
    assert len(names) == len(set(names))


def test_the_command_is_shown_with_quotes_around_what_has_spaces():
    container = effective(ImageConfig(), {"Cmd": ["sh", "-c", "echo hi"]})
    assert container.command == "sh -c 'echo hi'"
