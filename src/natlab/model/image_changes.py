"""Changes to an image's config: the instructions of `docker import -c` and `docker commit -c`.

    CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR

They mean what they mean in a Dockerfile (moby builder BuildFromConfig, buildkit's instructions).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from natlab.errors import UsageError
from natlab.model.dockerfile_words import expand, instructions, json_words, split_words
from natlab.model.image_settings import ImageConfig
from natlab.model.names import one_line
from natlab.model.publish import parse_publish
from natlab.model.refusal import Refusal
from natlab.model.signals import parse_signal

_SHELL: Final = ("/bin/sh", "-c")
_NO_TRIGGERS: Final = ("FROM", "MAINTAINER")
_PAIR: Final = 2


def apply_changes(config: ImageConfig, changes: Iterable[str]) -> ImageConfig:
    """Apply instructions to a config, in their order.

    An ENTRYPOINT drops the Cmd that was there before, unless a CMD stands among the changes
    above it.

    Equivalent to: `docker import -c CHANGE -c CHANGE FILE NAME`.

    Raises:
        Refusal: `FROM is not a valid change command`, `ENV must have two arguments`,
            `CMD …` in the words of Docker's builder.
    """
    cmd_given = False
    for instruction in instructions("\n".join(changes)):
        word, *rest = instruction.split(maxsplit=1)
        name = word.upper()
        change = _CHANGES.get(name)
        if name == "HEALTHCHECK":
            raise Refusal("natlab runs no health checks: leave HEALTHCHECK out")
        if change is None:
            raise Refusal(f"{one_line(word)} is not a valid change command")
        config = change(config, rest[0] if rest else "")
        cmd_given = cmd_given or name == "CMD"
        if name == "ENTRYPOINT" and not cmd_given:
            config = replace(config, cmd=())
    return config


def _cmd(config: ImageConfig, text: str) -> ImageConfig:
    return replace(config, cmd=_command(config, text))


def _entrypoint(config: ImageConfig, text: str) -> ImageConfig:
    return replace(config, entrypoint=_command(config, text))


def _env(config: ImageConfig, text: str) -> ImageConfig:
    env = {_name(variable): variable for variable in config.env}
    known = _known(config)
    for name, value in _pairs("ENV", text):
        key = expand(name, known)
        if not key:
            raise Refusal("ENV names can not be blank")
        env[key] = f"{key}={expand(value, known)}"
    return replace(config, env=tuple(env.values()))


def _label(config: ImageConfig, text: str) -> ImageConfig:
    labels, known = dict(config.labels), _known(config)
    for name, value in _pairs("LABEL", text):
        key = expand(name, known)
        if not key:
            raise Refusal("LABEL names can not be blank")
        labels[key] = expand(value, known)
    return replace(config, labels=labels)


def _expose(config: ImageConfig, text: str) -> ImageConfig:
    words = _at_least_one("EXPOSE", split_words(text))
    try:
        specs = [spec for word in words for spec in parse_publish(expand(word, _known(config)))]
    except UsageError as error:
        raise Refusal(str(error)) from None
    added = tuple(f"{spec.container_port}/{spec.proto}" for spec in specs)
    return replace(config, exposed=tuple(dict.fromkeys(config.exposed + added)))


def _volume(config: ImageConfig, text: str) -> ImageConfig:
    words = json_words(text)
    words = _at_least_one("VOLUME", split_words(text) if words is None else words)
    paths = tuple(expand(word, _known(config)).strip() for word in words)
    if not all(paths):
        raise Refusal("VOLUME specified can not be an empty string")
    return replace(config, volumes=tuple(dict.fromkeys(config.volumes + paths)))


def _user(config: ImageConfig, text: str) -> ImageConfig:
    return replace(config, user=_one("USER", text, config))


def _workdir(config: ImageConfig, text: str) -> ImageConfig:
    path = _one("WORKDIR", text, config)
    joined = posixpath.normpath(posixpath.join("/", config.working_dir, path))
    return replace(config, working_dir=f"/{joined.lstrip('/')}")


def _stopsignal(config: ImageConfig, text: str) -> ImageConfig:
    signal = _one("STOPSIGNAL", text, config)
    parse_signal(signal)
    return replace(config, stop_signal=signal)


def _onbuild(config: ImageConfig, text: str) -> ImageConfig:
    if not text:
        raise Refusal("ONBUILD requires at least one argument")
    trigger = text.split(maxsplit=1)[0].upper()
    if trigger == "ONBUILD":
        raise Refusal("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in _NO_TRIGGERS:
        raise Refusal(f"{trigger} isn't allowed as an ONBUILD trigger")
    return replace(config, on_build=(*config.on_build, text))


_CHANGES: Final[dict[str, Callable[[ImageConfig, str], ImageConfig]]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _command(config: ImageConfig, text: str) -> tuple[str, ...]:
    words = json_words(text)
    if words is not None:
        return words
    return (*(config.shell or _SHELL), text) if text else ()


def _pairs(instruction: str, text: str) -> Iterator[tuple[str, str]]:
    """Read `a=1 b="2 3"`, or the old form of one pair without a sign: `a 1 2 3`."""
    words = _at_least_one(instruction, split_words(text))
    if "=" not in words[0]:
        pair = text.split(maxsplit=1)
        if len(pair) < _PAIR:
            raise Refusal(f"{instruction} must have two arguments")
        yield pair[0], pair[1]
        return
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise Refusal(
                f'Syntax error - can\'t find = in "{one_line(word)}". '
                "Must be of the form: name=value"
            )
        yield name, value


def _known(config: ImageConfig) -> dict[str, str]:
    pairs = (variable.partition("=") for variable in config.env)
    return {name: value for name, _, value in pairs}


def _name(variable: str) -> str:
    return variable.partition("=")[0]


def _one(instruction: str, text: str, config: ImageConfig) -> str:
    value = expand(text, _known(config))
    if not value:
        raise Refusal(f"{instruction} requires exactly one argument")
    return value


def _at_least_one(instruction: str, words: tuple[str, ...]) -> tuple[str, ...]:
    if not words:
        raise Refusal(f"{instruction} requires at least one argument")
    return words
