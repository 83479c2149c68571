"""Flags' texts as values, each failure one line with the flag, the value, the reason and an
example; and the flags that commands share.
"""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Arguments, Option, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

TIMING = (
    Option(
        "timeline",
        "",
        TEXT,
        "write the stages of the start to this file, for a trace viewer",
        "file",
    ),
    Option("timings", "", SWITCH, "print how long each stage of the start took"),
)
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def bad_value(args: Arguments, flag: str, value: str, why: object, example: str = "") -> UsageError:
    """The error for a value that can't be used."""
    shown = f", for example --{flag} {example}" if example else ""
    return UsageError(args.command, f'invalid value "{value}" for --{flag}: {why}{shown}')


def read(args: Arguments, flag: str, parse: Callable[[str], T], example: str) -> T | None:
    """The flag's value, or None when it isn't given."""
    return convert(args, flag, args.text(flag), parse, example) if args.given(flag) else None


def convert(
    args: Arguments, flag: str, text: str, parse: Callable[[str], T], example: str = ""
) -> T:
    """One text as a value; `parse` raises ValueError with the reason."""
    try:
        return parse(text)
    except ValueError as error:
        raise bad_value(args, flag, text, error, example) from None


def whole(args: Arguments, flag: str, low: int, high: int, example: str) -> int | None:
    """A whole number within a range, or None when the flag isn't given."""
    if not args.given(flag):
        return None
    from fastbox import units

    return convert(
        args, flag, args.text(flag), lambda text: units.integer(text, low, high), example
    )


def signal(args: Arguments, flag: str) -> str:
    """A signal's name or number as it was written, known to be one; "" when the flag isn't
    given.
    """
    if args.given(flag):
        from fastbox.support import signals

        read(args, flag, signals.number, "TERM")
    return args.text(flag)


def detach_keys(args: Arguments) -> bytes:
    """--detach-keys as the bytes that a terminal sends; ctrl-p ctrl-q without it."""
    text = args.text("detach-keys")
    return bytes(_key(args, text, key) for key in text.split(",")) if text else b"\x10\x11"


def _key(args: Arguments, text: str, key: str) -> int:
    if len(key) == 1 and key.isascii():
        return ord(key)
    letter = key.lower().removeprefix("ctrl-")
    if len(letter) == 1 and len(key) == 6:
        if "a" <= letter <= "z":
            return ord(letter) - 96
        if letter in _CONTROL:
            return _CONTROL[letter]
    raise bad_value(
        args,
        "detach-keys",
        text,
        f'"{key}" is neither a character nor ctrl- and one',
        "ctrl-p,ctrl-q",
    )
