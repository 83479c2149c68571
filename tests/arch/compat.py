"""docs/compat.md from its parts: `make compat` writes it, test_compat.py checks it.

A part is a file docs/compat/*.md with tables `| command | flag | state | note or reason | test |`; a row may name several
commands and spellings. A flag works when all its rows say so,
and waits when one says `later`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PARTS = ROOT / "docs" / "compat"
PAGE = ROOT / "docs" / "compat.md"
# `docker X --help` of 28.2, one `command --flag [-f]` a line; of `build` buildx's flags and those
# of the classic builder together.
DOCKER = Path(__file__).parent / "docker-flags.txt"
COMMANDS = (
    "run",
    "create",
    "exec",
    "ps",
    "logs",
    "stop",
    "kill",
    "cp",
    "stats",
    "update",
    "inspect",
    "build",
)
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
INTRO = """# Docker's flags

Every flag that docker's client (28.2) lists for {commands}, whether it works here as there, what differs and
why, and the test that shows it. {works} of {count} work ({all:.1f} %); {later} wait for parts that fastbox does not have yet (networks,
registries, plug-ins, the API), and of the others {share:.1f} % work.

This page is made of the files in [compat/](compat/) by `make compat`; a test checks that it is whole, that no flag is missing and
that every test that is named exists. Flags that are not supported yet are refused with a line that says so.
"""


class Row(NamedTuple):
    part: str
    commands: tuple[str, ...]
    flag: str
    state: str
    note: str
    test: str

    def names(self) -> set[str]:
        """The long names in the cell of the flag, or the words of one without a flag."""
        return set(re.findall(r"--[a-z0-9][a-z0-9-]*", self.flag))


def rows() -> list[Row]:
    found = []
    for path in sorted(PARTS.glob("*.md")):
        for line in path.read_text().splitlines():
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            if len(cells) != 5 or cells[0] == "command" or not cells[0].strip("-: "):
                continue
            commands = tuple(word.strip("` ") for word in cells[0].split(","))
            found.append(Row(path.name, commands, cells[1], *cells[2:]))
    return found


def docker_flags() -> list[tuple[str, str, str]]:
    """(command, long name, short name or "")."""
    lines = (line.split() for line in DOCKER.read_text().splitlines())
    return [(words[0], words[1], (words[2:] or [""])[0]) for words in lines]


def by_flag(table: list[Row]) -> dict[tuple[str, str], list[Row]]:
    """The rows of each of docker's flags, by its short name where a row has no other."""
    found: dict[tuple[str, str], list[Row]] = {}
    for command, name, short in docker_flags():
        for row in table:
            words = set(re.split(r"[\s,`()]+", row.flag))
            if command in row.commands and (name in row.names() or (short and short in words)):
                found.setdefault((command, name), []).append(row)
    return found


def page() -> str:
    table = rows()
    flags = by_flag(table)
    works = sum(all(row.state == "works" for row in found) for found in flags.values())
    later = sum(any(row.state == "later" for row in found) for found in flags.values())
    count = len(docker_flags())
    text = [
        INTRO.format(
            commands=", ".join(f"`{name}`" for name in COMMANDS), works=works, count=count, later=later,
            all=100 * works / count, share=100 * works / (count - later),
        )
    ]  # fmt: skip
    groups: dict[str, list[Row]] = {}
    for row in table:
        first = row.commands[0]
        title = "run and create" if first in ("run", "create") else first
        groups.setdefault(title if first in COMMANDS else "Other commands", []).append(row)
    order = ["run and create", *COMMANDS[2:], "Other commands"]
    for title in (title for title in order if title in groups):
        text.append(
            f"## {title}\n\n| command | flag | state | note or reason | test |\n|---|---|---|---|---|"
        )
        for row in sorted(groups[title], key=lambda row: (sorted(row.names()), row.flag)):
            cells = (", ".join(row.commands), row.flag, row.state, row.note, row.test)
            text.append("| " + " | ".join(cells) + " |")
        text.append("")
    return "\n".join(text)


if __name__ == "__main__":
    PAGE.write_text(page())
