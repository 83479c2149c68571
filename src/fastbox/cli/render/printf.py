"""Go's printf: verbs, flags, width and precision, and what it says of arguments that don't fit."""

from __future__ import annotations

from fastbox.cli.render.lexer import quote
from fastbox.cli.render.values import Struct, kind, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_WIDTH = 10_000
_FLAGS = "+-# 0"


def printf(form: str, args: Sequence[object]) -> str:
    """The text that a format makes of its arguments."""
    printer = _Printer(form, args)
    return printer.text()


class _Printer:
    def __init__(self, form: str, args: Sequence[object]) -> None:
        self.form, self.args = form, args
        self.at = self.used = 0

    def text(self) -> str:
        found = []
        while self.at < len(self.form):
            end = self.form.find("%", self.at)
            if end < 0:
                found.append(self.form[self.at :])
                break
            found.append(self.form[self.at : end])
            self.at = end + 1
            found.append(self.directive())
        rest = self.args[self.used :]
        if rest:
            extra = ", ".join(
                kind(each) + ("" if each is None else f"={plain(each)}") for each in rest
            )
            found.append(f"%!(EXTRA {extra})")
        return "".join(found)

    def directive(self) -> str:
        flags = self.letters(_FLAGS)
        width, bad_width = self.amount("WIDTH")
        if width is not None and width < 0:
            flags, width = flags + "-", -width
        precision, bad_precision = None, ""
        if self.form.startswith(".", self.at):
            self.at += 1
            precision, bad_precision = self.amount("PREC")
            precision = precision or 0
        bad = bad_width + bad_precision
        if self.at == len(self.form):
            return bad + "%!(NOVERB)"
        verb = self.form[self.at]
        self.at += 1
        if verb == "%":
            return bad + "%"
        if self.used == len(self.args):
            return f"{bad}%!{verb}(MISSING)"
        value = self.args[self.used]
        self.used += 1
        return bad + _each(verb, value, flags, width or 0, precision)

    def letters(self, known: str) -> str:
        begin = self.at
        while self.at < len(self.form) and self.form[self.at] in known:
            self.at += 1
        return self.form[begin : self.at]

    def amount(self, what: str) -> tuple[int | None, str]:
        """A width or a precision: digits, or a star for an argument; and what is wrong."""
        if self.form.startswith("*", self.at):
            self.at += 1
            value = self.args[self.used] if self.used < len(self.args) else None
            self.used = min(self.used + 1, len(self.args))
            if isinstance(value, int) and abs(value) <= _MAX_WIDTH:
                return value, ""
            return None, f"%!(BAD{what})"
        digits = self.letters("0123456789")
        number = int(digits[:9]) if digits else None
        if number is not None and number > _MAX_WIDTH:
            return None, f"%!(BAD{what})"
        return number, ""


def _each(verb: str, value: object, flags: str, width: int, precision: int | None) -> str:
    """One argument; a list's or an object's parts each for themselves, as Go does."""
    if verb == "T":
        return _padded(kind(value), flags, width)
    if isinstance(value, (list, tuple)) and not (verb in "v" and not flags and not width):
        parts = (_each(verb, each, flags, width, precision) for each in value)
        return "[" + " ".join(parts) + "]"
    if isinstance(value, dict) and verb != "v":
        names = sorted(value) if not isinstance(value, Struct) else list(value)
        parts = (
            ("" if isinstance(value, Struct) else _each(verb, name, flags, width, precision) + ":")
            + _each(verb, value[name], flags, width, precision)
            for name in names
        )
        body = " ".join(parts)
        return f"{{{body}}}" if isinstance(value, Struct) else f"map[{body}]"
    text = _scalar(verb, value, flags, precision)
    if text is None:
        shown = "<nil>" if value is None else f"{kind(value)}={plain(value)}"
        return f"%!{verb}({shown})"
    return _padded(text, flags, width, number=not isinstance(value, (str, bool)))


def _padded(text: str, flags: str, width: int, *, number: bool = True) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and number:
        sign = text[:1] if text[:1] in ("+", "-") else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width, "0" if "0" in flags else " ")


def _scalar(verb: str, value: object, flags: str, precision: int | None) -> str | None:
    """The text without padding; None where the verb is not for this kind of value."""
    if verb == "v":
        text = plain(value)
        signed = "+" in flags and isinstance(value, (int, float)) and not isinstance(value, bool)
        return "+" + text if signed and text[:1] != "-" else text
    if isinstance(value, bool):
        return plain(value) if verb == "t" else None
    if isinstance(value, str):
        return _text(verb, value, flags, precision)
    if isinstance(value, int):
        return _integer(verb, value, flags)
    if isinstance(value, float):
        return _real(verb, value, flags, precision)
    return None


def _text(verb: str, value: str, flags: str, precision: int | None) -> str | None:
    if precision is not None:
        value = value[:precision]
    if verb == "s":
        return value
    if verb == "q":
        return f"`{value}`" if "#" in flags and "`" not in value else quote(value)
    if verb in "xX":
        text = value.encode("utf-8", "replace").hex(*((" ",) if " " in flags and value else ()))
        return text if verb == "x" else text.upper()
    return None


def _integer(verb: str, value: int, flags: str) -> str | None:
    sign = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    if verb == "d":
        return f"{sign}{abs(value)}"
    if verb in "xXob":
        prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}[verb] if "#" in flags else ""
        return f"{sign}{prefix}{abs(value):{verb}}"
    if verb in "cqU":
        known = 0 <= value <= 0x10FFFF and not 0xD800 <= value <= 0xDFFF
        if verb == "U":
            return f"U+{value:04X}"
        char = chr(value) if known else "\N{REPLACEMENT CHARACTER}"
        return char if verb == "c" else f"'{quote(char)[1:-1]}'"
    return None


def _real(verb: str, value: float, flags: str, precision: int | None) -> str | None:
    sign = "+" if "+" in flags and value >= 0 else ""
    if verb in "eEfF":
        return f"{sign}{value:.{6 if precision is None else precision}{verb}}"
    if verb in "gG":
        return sign + (plain(value) if precision is None else f"{value:.{precision or 1}{verb}}")
    return None
