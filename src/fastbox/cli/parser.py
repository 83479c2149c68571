"""Docker's flag grammar: long and short flags, bundles, `--flag=value`, repeated flags, `--`. It
knows no flag's meaning.

Values stay text; the only ones read here are switches, since `--rm=false` is grammar.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SWITCH, TEXT, MANY = "switch", "text", "many"
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class UsageError(InvalidArgument):
    """A command line that its command can't read.

    Attributes:
        command: The words that named the command.
    """

    code = "usage"

    def __init__(self, command: str, what: str, hint: str = "") -> None:
        super().__init__(what, hint=hint or f"see `fastbox {command} --help`".replace("  ", " "))
        self.command = command


class Option:
    """One flag.

    Attributes:
        name: Its long name, without dashes.
        short: Its letter, or "".
        kind: SWITCH, TEXT (the last one counts) or MANY.
        about: One line of help; "" hides it from the help.
        value: What the help calls its value.
        stands_for: The long name whose value it sets; itself, unless it is another spelling.
    """

    __slots__ = ("about", "kind", "name", "short", "stands_for", "value")

    def __init__(
        self, name: str, short: str, kind: str, about: str, value: str = "", stands_for: str = ""
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.about = about
        self.value = value or {SWITCH: "", TEXT: "string", MANY: "list"}[kind]
        self.stands_for = stands_for or name


class Arguments:
    """A command line, read.

    Attributes:
        command: The words that named the command, such as "container run".
        operands: What is not a flag, in order.
        help: Whether --help was among the flags.
    """

    __slots__ = ("_switches", "_texts", "command", "help", "operands")

    def __init__(self, command: str = "") -> None:
        self.command = command
        self.operands: list[str] = []
        self.help = False
        self._switches: dict[str, bool] = {}
        self._texts: dict[str, list[str]] = {}

    def set(self, option: Option, value: str | bool) -> None:
        """Take one flag's value."""
        if isinstance(value, bool):
            self._switches[option.stands_for] = value
        else:
            self._texts.setdefault(option.stands_for, []).append(value)

    def given(self, name: str) -> bool:
        """Whether the flag was on the command line."""
        return name in self._texts or name in self._switches

    def switch(self, name: str, default: bool = False) -> bool:
        """A switch's state."""
        return self._switches.get(name, default)

    def text(self, name: str, default: str = "") -> str:
        """The last value of a flag."""
        values = self._texts.get(name)
        return values[-1] if values else default

    def texts(self, name: str) -> list[str]:
        """Every value of a repeated flag, in order."""
        return self._texts.get(name, [])


def parse(
    options: Iterable[Option],
    words: Sequence[str],
    *,
    command: str = "",
    stop_at_operand: bool = False,
) -> Arguments:
    """Read the words after a command's name.

    Args:
        options: The flags that the command takes.
        words: What to read.
        command: The words before, for messages.
        stop_at_operand: Whether everything from the first operand on is an operand.

    Raises:
        UsageError: An unknown flag, a flag without its value, or a switch with a value that is
            neither true nor false.
    """
    return _Reader(options, words, command).read(stop_at_operand)


class _Reader:
    def __init__(self, options: Iterable[Option], words: Sequence[str], command: str) -> None:
        self.names: dict[str, Option] = {}
        self.letters: dict[str, Option] = {}
        for option in options:
            self.names[option.name] = option
            if option.short:
                self.letters[option.short] = option
        self.words = words
        self.at = 0
        self.found = Arguments(command)

    def read(self, stop_at_operand: bool) -> Arguments:
        found, words = self.found, self.words
        while self.at < len(words) and not found.help:
            word = words[self.at]
            self.at += 1
            if word == "--":
                found.operands += words[self.at :]
                break
            if word[:2] == "--":
                self._long(word[2:])
            elif word[:1] == "-" and word != "-":
                self._letters(word[1:])
            elif stop_at_operand:
                found.operands += words[self.at - 1 :]
                break
            else:
                found.operands.append(word)
        return found

    def _long(self, body: str) -> None:
        name, equals, value = body.partition("=")
        option = self.names.get(name)
        if option is not None:
            self._set(option, value if equals else None, f"--{name}")
        elif name == "help" and not equals:
            self.found.help = True
        else:
            raise self._unknown(name)

    def _letters(self, letters: str) -> None:
        """A bundle: switches, of which the last letter may be a flag with a value, attached or in
        the next word.
        """
        for i, letter in enumerate(letters):
            option, rest = self.letters.get(letter), letters[i + 1 :]
            if option is None:
                self._unknown_letter(letter, letters)
                return
            if option.kind != SWITCH or rest[:1] == "=":
                self._set(option, rest.removeprefix("=") if rest else None, f"-{letter}")
                return
            self._set(option, None, f"-{letter}")

    def _set(self, option: Option, value: str | None, spelled: str) -> None:
        if option.kind == SWITCH:
            self.found.set(option, self._truth(value, spelled))
            return
        if value is None:
            if self.at == len(self.words):
                raise UsageError(self.found.command, f"{spelled} needs a value ({option.value})")
            value = self.words[self.at]
            self.at += 1
        self.found.set(option, value)

    def _truth(self, value: str | None, spelled: str) -> bool:
        if value is None or value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise UsageError(
            self.found.command,
            f'invalid value "{value}" for {spelled}: not true or false',
        )

    def _unknown(self, name: str) -> Exception:
        from fastbox.cli.suggest import nearest, unsupported

        command = self.found.command
        later = unsupported(command, name)
        if later is not None:
            return later
        near = nearest(name, self.names)
        hint = f"did you mean --{near}? see `fastbox {command} --help`" if near else ""
        return UsageError(command, f"unknown flag: --{name}", hint)

    def _unknown_letter(self, letter: str, letters: str) -> None:
        if letter == "h":
            self.found.help = True
            return
        from fastbox.cli.suggest import unsupported

        where = f" in -{letters}" if len(letters) > 1 else ""
        later = unsupported(self.found.command, letter)
        raise later or UsageError(self.found.command, f"unknown flag: -{letter}{where}")
