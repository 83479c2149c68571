"""From words to an exit code: dispatch, help, errors."""

from __future__ import annotations

import io

import pytest

from fastbox.cli import main as cli
from fastbox.cli import registry
from fastbox.cli.output import Output
from fastbox.errors import CommandNotFound, NotExecutable


def every_command() -> list[tuple[str, str]]:
    words = list(registry.PLAIN.items())
    for group, commands in registry.GROUPS.items():
        words += [(f"{group} {word}", module) for word, module in commands.items()]
    return words


@pytest.mark.parametrize(("words", "module"), every_command())
def test_every_command_explains_itself(shell, words: str, module: str) -> None:
    assert shell(*words.split(), "--help") == 0
    assert shell.out.startswith(f"Usage:  fastbox {words} ".rstrip())
    command = registry.load(module)
    known = (registry.PLAIN.get(command.NAME), f"volume_{command.NAME}", f"network_{command.NAME}")
    assert command.NAME in words or module in known
    names = [option.name for option in command.options()]
    letters = [option.short for option in command.options() if option.short]
    assert len(set(names)) == len(names)
    assert len(set(letters)) == len(letters)
    for option in command.options():
        if option.about:
            assert f"--{option.name}" in shell.out


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(shell, words: list[str]) -> None:
    assert shell(*words) == 0
    for word in registry.PLAIN:
        assert f"\n  {word} " in shell.out


def test_help_of_a_command_and_of_a_group(shell) -> None:
    assert shell("help", "rm") == 0
    assert shell.out.startswith("Usage:  fastbox rm ")
    assert shell("container") == 0
    assert "\n  ls " in shell.out


@pytest.mark.parametrize("words", [["--version"], ["-v"]])
def test_version(shell, words: list[str]) -> None:
    assert shell(*words) == 0
    assert shell.out.startswith("fastbox version ")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["rnu"], "fastbox: unknown command: rnu", "did you mean `fastbox run`?"),
        (
            ["container", "lss"],
            "fastbox container: unknown command: lss",
            "did you mean `fastbox container ls`?",
        ),
        (["nothing-like-it"], "fastbox: unknown command: nothing-like-it", "see `fastbox --help`"),
        (["--nope"], "fastbox: unknown flag: --nope", "see `fastbox --help`"),
        (["run", "--foo"], "fastbox run: unknown flag: --foo", "see `fastbox run --help`"),
        (
            ["rm"],
            "fastbox rm: it takes at least 1 argument",
            "usage: fastbox rm [OPTIONS] CONTAINER",
        ),
        (["tag", "a"], "fastbox tag: it takes exactly 2 arguments", "usage: fastbox tag"),
        (["ps", "x"], "fastbox ps: it takes no arguments", "usage: fastbox ps"),
        (
            ["images", "a", "b"],
            "fastbox images: it takes at most 1 argument",
            "usage: fastbox images",
        ),
    ],
)
def test_wrong_words(shell, words: list[str], message: str, hint: str) -> None:
    assert shell(*words) == 125
    lines = shell.err.splitlines()
    assert lines[0] == message
    assert lines[1].startswith(f"hint: {hint}")
    assert len(lines) == 2
    assert shell.out == ""
    assert not shell.containers.calls


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_dispatch", fail)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            CommandNotFound('cannot run "x": command not found in the container'),
            127,
            'fastbox: cannot run "x": ',
        ),
        (NotExecutable('cannot run "x": permission denied'), 126, 'fastbox: cannot run "x": '),
        (
            ZeroDivisionError("a\x1b[31m"),
            125,
            "fastbox: internal error: ZeroDivisionError: a\\x1b[31m\n",
        ),
        (
            RuntimeError("can't start new thread"),
            125,
            "fastbox: no thread can be started\nhint: raise the limit of processes",
        ),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_errors_and_their_codes(shell, monkeypatch, error, code: int, line: str) -> None:
    failing(monkeypatch, error)
    assert shell("run") == code
    assert shell.err.startswith(line)
    assert "Traceback" not in shell.err
    assert shell.err == "" or line


def test_debug_shows_the_traceback(shell, monkeypatch) -> None:
    assert shell("--debug", "rm") == 125
    assert "Traceback" in shell.err
    monkeypatch.setenv("FASTBOX_DEBUG", "1")
    assert shell("rm") == 125
    assert "Traceback" in shell.err


def test_no_room_for_the_output_is_one_line() -> None:
    err = io.StringIO()
    with pytest.raises(OSError), open("/dev/full", "w") as full:  # noqa: PT011 closing tries again
        assert cli.main(["--version"], Output(full, err)) == 125
    assert (
        err.getvalue().splitlines()[0]
        == "fastbox: cannot write the output: no space left on device"
    )
