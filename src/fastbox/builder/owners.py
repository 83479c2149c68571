"""`--chown` and `--chmod`: who a name is in the files so far, and what a mode makes of another."""

from __future__ import annotations

import stat

from fastbox.errors import InvalidArgument
from fastbox.store import accounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST = (1 << 32) - 2
_WHO = {"u": 0o700, "g": 0o070, "o": 0o007, "a": 0o777}
_WHAT = {"r": 0o444, "w": 0o222, "x": 0o111}


def owner(text: str, view: int) -> tuple[int, int]:
    """The ids that `--chown=user[:group]` means.

    Args:
        text: Names or numbers.
        view: The root that has etc/passwd and etc/group; -1 for none.

    Raises:
        InvalidArgument: Nobody of that name, or a number out of range.
    """
    user, colon, group = text.partition(":")
    if not user and not group:
        raise InvalidArgument(f'invalid --chown "{text}"', hint="write user[:group]")
    uid, primary = 0, 0
    if user.isascii() and user.isdigit():
        uid = primary = _number(user)
    elif user:
        fields = accounts.entry(view, b"etc/passwd", user)
        if fields is None or len(fields) < 4:
            raise InvalidArgument(
                f'--chown: no user "{user}" in /etc/passwd', hint="give its number"
            )
        uid, primary = _number(fields[2]), _number(fields[3])
    if not colon or not group:
        return uid, primary
    if group.isascii() and group.isdigit():
        return uid, _number(group)
    fields = accounts.entry(view, b"etc/group", group)
    if fields is None or len(fields) < 3:
        raise InvalidArgument(f'--chown: no group "{group}" in /etc/group', hint="give its number")
    return uid, _number(fields[2])


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= _LARGEST):
        raise InvalidArgument(f'--chown: "{text[:20]}" is no id')
    return int(text)


def mode(text: str) -> Callable[[int, int], int]:
    """What `--chmod` makes of (type, permissions): an octal number, or words such as u=rwX,go-w.

    Raises:
        InvalidArgument: Neither.
    """
    if text and not text.strip("01234567") and len(text) <= 5 and int(text, 8) <= 0o7777:
        number = int(text, 8)
        return lambda _kind, _mode: number
    changes = [_change(word, text) for word in text.split(",")]

    def changed(kind: int, before: int) -> int:
        for change in changes:
            before = change(kind, before)
        return before

    return changed


def _change(word: str, text: str) -> Callable[[int, int], int]:
    at = 0
    while at < len(word) and word[at] in "ugoa":
        at += 1
    who, rest = word[:at] or "a", word[at:]
    if not rest or rest[0] not in "+-=":
        raise InvalidArgument(f'invalid --chmod "{text}"', hint="write 755, or u=rwX,go=rX")
    mask = 0
    for letter in who:
        mask |= _WHO[letter]
    sign, what = rest[0], rest[1:]
    if what.strip("rwxXst"):
        raise InvalidArgument(f'invalid --chmod "{text}"', hint="write 755, or u=rwX,go=rX")

    def changed(kind: int, before: int) -> int:
        bits = 0
        for letter in what:
            if letter == "X":
                bits |= 0o111 if kind == stat.S_IFDIR or before & 0o111 else 0
            elif letter == "s":
                bits |= (0o4000 if mask & 0o700 else 0) | (0o2000 if mask & 0o070 else 0)
            elif letter == "t":
                bits |= 0o1000
            else:
                bits |= _WHAT[letter]
        bits &= mask | 0o7000
        if sign == "+":
            return before | bits
        if sign == "-":
            return before & ~bits
        return before & ~mask | bits

    return changed
