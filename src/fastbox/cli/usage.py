"""Help texts, in docker's shape. Only imported when somebody asks."""

from __future__ import annotations

from fastbox.cli import registry
from fastbox.cli.parser import SWITCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastbox.cli.parser import Option
    from fastbox.cli.registry import Command

_GLOBAL = """Options:
  -D, --debug     Show the traceback of an error
      --help      Show this text
  -v, --version   Show the version and quit

Run `fastbox COMMAND --help` for more about a command."""


def command_help(command: Command, words: str) -> str:
    """The help of one command, called by these words."""
    parts = [f"Usage:  fastbox {words} {command.USAGE}".rstrip(), _sentence(command.SUMMARY)]
    names = other_names(words)
    if len(names) > 1:
        parts.append("Aliases:\n  " + ", ".join(f"fastbox {name}" for name in names))
    flags = flag_lines(command.options())
    if flags:
        parts.append("Options:\n" + "\n".join(flags))
    notes = getattr(command, "NOTES", "")
    if notes:
        parts.append(notes)
    return "\n\n".join(parts)


def other_names(words: str) -> list[str]:
    """Every way to call the command that these words call."""
    group, _, word = words.rpartition(" ")
    module = (registry.GROUPS[group] if group else registry.PLAIN)[word]
    names = [word for word, target in registry.PLAIN.items() if target == module]
    for name, commands in registry.GROUPS.items():
        names += [f"{name} {word}" for word, target in commands.items() if target == module]
    return names


def flag_lines(options: Iterable[Option]) -> list[str]:
    """One line a flag, in the order of their names."""
    shown = sorted((option for option in options if option.about), key=lambda option: option.name)
    heads = [_head(option) for option in shown]
    width = max(map(len, heads), default=0) + 3
    return [head.ljust(width) + _sentence(o.about) for head, o in zip(heads, shown, strict=True)]


def _head(option: Option) -> str:
    letter = f"-{option.short}, " if option.short else "    "
    value = f" {option.value}" if option.kind != SWITCH else ""
    return f"  {letter}--{option.name}{value}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def group_help(group: str) -> str:
    """The help of `fastbox container` and its like."""
    table = _command_lines(registry.GROUPS[group])
    more = f"Run `fastbox {group} COMMAND --help` for more about a command."
    return f"Usage:  fastbox {group} COMMAND\n\nCommands:\n{table}\n\n{more}"


def program_help() -> str:
    """The help of `fastbox` itself."""
    groups = "\n".join(f"  {name:<11} Manage {name}s" for name in ("container", "image"))
    return "\n\n".join(
        (
            "Usage:  fastbox [OPTIONS] COMMAND",
            "A container engine",
            f"Commands:\n{_command_lines(registry.PLAIN)}",
            f"Groups:\n{groups}\n  system      Look after the engine",
            _GLOBAL,
        )
    )


def _command_lines(words: dict[str, str]) -> str:
    return "\n".join(
        f"  {word:<11} {_sentence(registry.load(module).SUMMARY)}" for word, module in words.items()
    )
