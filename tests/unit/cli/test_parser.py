"""Docker's flag grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbox.cli.parser import MANY, SWITCH, TEXT, Arguments, Option, UsageError, parse
from fastbox.errors import FastboxError, Unsupported

OPTIONS = (
    Option("detach", "d", SWITCH, "x"),
    Option("tty", "t", SWITCH, "x"),
    Option("interactive", "i", SWITCH, "x"),
    Option("env", "e", MANY, "x"),
    Option("name", "", TEXT, "x"),
    Option("memory", "m", TEXT, "x"),
    Option("network", "", TEXT, "x"),
    Option("net", "", TEXT, "", stands_for="network"),
)


def read(*words: str, stop: bool = True) -> Arguments:
    return parse(OPTIONS, words, command="run", stop_at_operand=stop)


def test_bundles() -> None:
    found = read("-itd", "image", "-x")
    assert found.switch("interactive")
    assert found.switch("tty")
    assert found.switch("detach")
    assert found.operands == ["image", "-x"]


@pytest.mark.parametrize(
    "words",
    [
        ["-e", "A=1"],
        ["-eA=1"],
        ["-e=A=1"],
        ["--env", "A=1"],
        ["--env=A=1"],
        ["-ie", "A=1"],
        ["-ieA=1"],
    ],
)
def test_ways_to_give_a_value(words: list[str]) -> None:
    assert read(*words).texts("env") == ["A=1"]


def test_repeats_are_kept_in_order_and_the_last_counts() -> None:
    found = read("-e", "A=1", "-e", "B=2", "--name", "x", "--name=y")
    assert found.texts("env") == ["A=1", "B=2"]
    assert found.text("name") == "y"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("--tty", True),
        ("--tty=true", True),
        ("--tty=0", False),
        ("-t=false", False),
        ("-it=F", False),
    ],
)
def test_switches(word: str, state: bool) -> None:
    assert read(word).switch("tty") is state


def test_two_dashes_end_the_flags() -> None:
    assert read("-t", "--", "-d", "--", "x").operands == ["-d", "--", "x"]
    assert read("image", "--", "x").operands == ["image", "--", "x"]


def test_flags_between_operands_where_the_command_lets_them() -> None:
    found = read("a", "-d", "b", "-", stop=False)
    assert found.operands == ["a", "b", "-"]
    assert found.switch("detach")


def test_another_spelling_sets_the_same_value() -> None:
    assert read("--net", "host").text("network") == "host"


def test_help_stops_the_reading() -> None:
    assert read("--help", "--nonsense").help
    assert read("-h").help
    assert not read("image", "--help").help


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["--foo=1"], "unknown flag: --foo"),
        (["-x"], "unknown flag: -x"),
        (["-tx"], "unknown flag: -x in -tx"),
        (["--name"], "--name needs a value (string)"),
        (["-e"], "-e needs a value (list)"),
        (["--tty=maybe"], 'invalid value "maybe" for --tty: not true or false'),
        (["--"[:1] + "-=x"], "unknown flag: --"),
    ],
)
def test_messages(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(*words)
    assert str(raised.value) == message
    assert "fastbox run --help" in raised.value.hint


def test_a_typing_mistake_is_guessed() -> None:
    with pytest.raises(UsageError) as raised:
        read("--detahc")
    assert raised.value.hint.startswith("did you mean --detach?")


def test_flags_that_come_later_say_so() -> None:
    with pytest.raises(Unsupported) as raised:
        read("--use-api-socket", "image")
    assert str(raised.value) == "--use-api-socket is not supported yet"


@given(st.lists(st.text(max_size=8), max_size=6), st.booleans())
def test_any_words_are_read_or_refused(words: list[str], stop: bool) -> None:
    try:
        found = read(*words, stop=stop)
    except FastboxError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert all(word in words for word in found.operands)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_what_follows_an_image_is_untouched(words: list[str]) -> None:
    assert read("-d", "image", *words).operands == ["image", *words]
    assert read("--", *words).operands == words
