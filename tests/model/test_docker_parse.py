"""Docker's command lines: options, values and their messages, as spf13/pflag has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.docker_flags import Command, CommandLineError
from natlab.model.docker_parse import parse

MANUAL = """\
  -a, --all             Everything
  -d, --detach          In the background
  -e, --env list        Variables
      --label list      Labels
      --name string     A name
  -n, --last int        How many
      --subnet strings  Subnets
  -f, --filter filter   Filter
  -m, --memory bytes    Memory
      --human           Words (default true)"""

MIXED = Command("ps", "", "[OPTIONS] A [B]", "List", MANUAL, least=1, most=2)
FIRST = Command("run", "", "[OPTIONS] IMAGE [ARG...]", "Run", MANUAL, 1, None, mixed=False)


@pytest.mark.parametrize(
    ("words", "values", "arguments"),
    [
        ("-ad x", {"all": True, "detach": True}, ["x"]),
        ("-a=false --human=0 x", {"all": False, "human": False}, ["x"]),
        ("x -d", {"detach": True}, ["x"]),
        ("-ade A=1 -eB -e=C --env D --env=E=2 x", None, ["x"]),
        ("--name= x", {"name": ""}, ["x"]),
        ("--name -d x", {"name": "-d"}, ["x"]),
        ("-n5 x", {"last": 5}, ["x"]),
        ("-n -1 x", {"last": -1}, ["x"]),
        ("--subnet a,b --subnet c x", {"subnet": ["a", "b", "c"]}, ["x"]),
        ("-f Name=x=y -f b= x", {"filter": [("name", "x=y"), ("b", "")]}, ["x"]),
        ("-m 10m x", {"memory": 10 << 20}, ["x"]),
        ("-- -d --all", {}, ["-d", "--all"]),
        ("- x", {}, ["-", "x"]),
        ("--help", {"help": True}, []),
        ("-h", {"help": True}, []),
    ],
)
def test_options_are_read_as_pflag_reads_them(words, values, arguments):
    said = parse(MIXED, words.split())
    everything = {"all": True, "detach": True, "env": ["A=1", "B", "C", "D", "E=2"]}
    assert said.values == (everything if values is None else values)
    assert said.arguments == arguments


def test_what_follows_the_first_argument_belongs_to_the_program():
    said = parse(FIRST, ["-d", "busybox", "ls", "-a", "--", "--name"])
    assert said.values == {"detach": True}
    assert said.arguments == ["busybox", "ls", "-a", "--", "--name"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--foo x", "unknown flag: --foo"),
        ("--nmae=x x", "unknown flag: --nmae (did you mean --name?)"),
        ("-dz x", "unknown shorthand flag: 'z' in -z (there are -a, -d, -e, -f, -h, -m, -n)"),
        ("--name", "flag needs an argument: --name"),
        ("x -de", "flag needs an argument: 'e' in -e"),
        ("-n x y", 'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": '),
        ("-d=x y", 'invalid argument "x" for "-d, --detach" flag: strconv.ParseBool: parsing "x"'),
        ("-f x y", 'invalid argument "x" for "-f, --filter" flag: bad format of filter (expected'),
        ("-m 1x y", 'invalid argument "1x" for "-m, --memory" flag: invalid size: \'1x\''),
        ("-e = x", 'invalid argument "=" for "-e, --env" flag: invalid environment variable: ='),
    ],
)
def test_a_wrong_option_is_refused_in_dockers_words(words, message):
    with pytest.raises(CommandLineError) as refused:
        parse(MIXED, words.split())
    assert str(refused.value).startswith(message)
    assert refused.value.code == 125


@pytest.mark.parametrize(
    ("least", "most", "words", "message"),
    [
        (0, 0, ["x"], "accepts no arguments"),
        (1, 1, [], "requires 1 argument"),
        (2, 2, ["x"], "requires 2 arguments"),
        (1, None, [], "requires at least 1 argument"),
        (2, None, ["x"], "requires at least 2 arguments"),
        (1, 2, [], "requires at least 1 and at most 2 arguments"),
    ],
)
def test_too_few_or_too_many_arguments_are_told_with_the_usage(least, most, words, message):
    with pytest.raises(CommandLineError) as refused:
        parse(Command("tag", "", "A B", "", least=least, most=most), words)
    assert str(refused.value) == f"docker: 'docker tag' {message}: docker tag A B"
    assert refused.value.code == 1


def test_help_is_laid_out_as_docker_does():
    command = Command("ps", "", "[OPTIONS]", "List", MANUAL, aliases=("container ls",))
    first = "Usage:  docker ps [OPTIONS]\n\nList\n\nAliases:\n  docker container ls, docker ps\n\n"
    assert command.help == f"{first}Options:\n{MANUAL}"


def refusal(words) -> str:
    """Why words are refused; nothing if they are not."""
    try:
        parse(MIXED, words)
    except CommandLineError as error:
        return str(error)
    return ""


@given(st.lists(st.text(alphabet="-adefnm=x1,", max_size=6), max_size=5))
def test_any_words_are_read_or_refused_in_one_line(words):
    assert "\n" not in refusal(words)
