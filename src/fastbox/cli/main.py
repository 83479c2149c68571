"""From the words of the command line to one command's exit code; the one place that turns errors
into lines.
"""

from __future__ import annotations

import os

from fastbox.cli import registry
from fastbox.cli.door import Door
from fastbox.cli.output import Output
from fastbox.cli.parser import UsageError, parse
from fastbox.support import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

ENGINE_ERROR = 125
INTERRUPTED = 130
NO_READER = 141  # 128 + SIGPIPE, as if nobody had caught it


def run(words: Sequence[str], began: int) -> NoReturn:
    """Execute a command line and leave the process: everything is written, so the interpreter's own
    teardown would only cost time.

    Args:
        words: The command line.
        began: When Python came to our first line (CLOCK_MONOTONIC, ns).
    """
    import sys

    clock.begin_command(_before(sys._xoptions.get("fastbox"), began))
    clock.mark("imports")
    os._exit(main(words))


def _before(launched: object, began: int) -> list[clock.Mark]:
    """What came before our first line: the launcher says when it began and when it was done."""
    try:
        first, done = map(int, str(launched).split("-"))
    except ValueError:  # another way to start Python
        return [("", began, None)]
    return [("", first, None), ("launcher", done, None), ("python", began, None)]


def main(words: Sequence[str], out: Output | None = None) -> int:
    """Execute a command line; the exit code."""
    try:
        _let_interrupts_in()
        out = out or Output()
        code = _dispatch(words, out)
        out.flush()
    except BrokenPipeError:
        return NO_READER
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from fastbox.cli.report import report

        return report(error, out or Output())
    return code


def _let_interrupts_in() -> None:
    """The launcher blocks SIGINT until there is somebody to catch it."""
    from _signal import SIG_UNBLOCK, SIGINT, pthread_sigmask  # type: ignore[import-not-found]

    pthread_sigmask(SIG_UNBLOCK, (SIGINT,))


def _dispatch(words: Sequence[str], out: Output) -> int:
    at = 0
    while at < len(words) and words[at][:1] == "-":
        if words[at] not in ("-D", "--debug"):
            return _about(words[at], out)
        out.debug = True
        at += 1
    if at == len(words):
        return _about("--help", out)
    word, rest = words[at], words[at + 1 :]
    if word in registry.PLAIN:
        return execute(registry.PLAIN[word], word, rest, out)
    return _less_common(word, rest, out)


def execute(module: str, words: str, rest: Sequence[str], out: Output) -> int:
    """Import one command's module, read its flags, and let it act."""
    command = registry.load(module)
    clock.mark("command")
    stop = module in registry.STOP_AT_OPERAND
    args = parse(command.options(), rest, command=words, stop_at_operand=stop)
    if args.help:
        from fastbox.cli.usage import command_help

        out.line(command_help(command, words))
        return 0
    least, most = command.OPERANDS
    count = len(args.operands)
    if count < least or (most is not None and count > most):
        raise UsageError(
            words, _count_message(least, most), f"usage: fastbox {words} {command.USAGE}".rstrip()
        )
    clock.mark("flags")
    if module in registry.STARTS and (
        os.environ.get(clock.TRACE) or args.given("timings") or args.given("timeline")
    ):
        from fastbox.cli.timings import Report

        with Report(args, out):
            return command.execute(Door(), args, out)
    return command.execute(Door(), args, out)


def _count_message(least: int, most: int | None) -> str:
    if most == 0:
        return "it takes no arguments"
    kind = "exactly" if least == most else "at least" if most is None else "at most"
    number = least if kind != "at most" else most
    return f"it takes {kind} {number} argument{'' if number == 1 else 's'}"


def _less_common(word: str, rest: Sequence[str], out: Output) -> int:
    """Groups (`fastbox container run`), `fastbox help`, and words that nobody knows."""
    from fastbox.cli.usage import group_help, program_help

    if word == "help":
        if not rest:
            out.line(program_help())
            return 0
        return _dispatch([*rest, "--help"], out)
    commands = registry.GROUPS.get(word)
    if commands is None:
        raise _unknown(word, "", [*registry.PLAIN, *registry.GROUPS])
    if not rest or rest[0] in ("--help", "-h"):
        out.line(group_help(word))
        return 0
    if rest[0] not in commands:
        raise _unknown(rest[0], word, commands)
    return execute(commands[rest[0]], f"{word} {rest[0]}", rest[1:], out)


def _unknown(word: str, group: str, known: Sequence[str] | dict[str, str]) -> UsageError:
    from fastbox.cli.suggest import nearest

    near = nearest(word, known)
    called = f"fastbox {group} ".replace("  ", " ")
    hint = f"did you mean `{called}{near}`? " if near else ""
    return UsageError(group, f"unknown command: {word}", hint + f"see `{called}--help`")


def _about(flag: str, out: Output) -> int:
    if flag in ("-v", "--version"):
        from fastbox import __version__

        out.line(f"fastbox version {__version__}")
        return 0
    if flag in ("-h", "--help"):
        from fastbox.cli.usage import program_help

        out.line(program_help())
        return 0
    raise UsageError("", f"unknown flag: {flag}")
