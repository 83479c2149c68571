"""Which module answers to which words. Only that module is ever imported."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

    class Command(Protocol):
        """What a module in `commands` has."""

        NAME: str
        USAGE: str
        SUMMARY: str
        OPERANDS: tuple[int, int | None]

        def options(self) -> tuple[Option, ...]:
            """The flags it takes."""
            ...

        def execute(self, engine: Door, args: Arguments, out: Output) -> int:
            """Do it; the exit code."""
            ...


PLAIN = {
    "attach": "attach", "commit": "commit", "cp": "cp", "create": "create", "diff": "diff",
    "doctor": "doctor", "exec": "exec", "export": "export", "fork": "fork", "hello": "hello",
    "history": "history",
    "images": "images", "import": "import_", "info": "info", "inspect": "inspect", "kill": "kill",
    "load": "load", "logs": "logs", "port": "port", "ps": "ps", "rename": "rename", "rm": "rm",
    "rmi": "rmi", "rollback": "rollback", "run": "run", "save": "save", "snapshot": "snapshot",
    "start": "start", "stats": "stats", "stop": "stop", "tag": "tag", "top": "top",
    "update": "update", "version": "version", "wait": "wait",
}  # fmt: skip
GROUPS = {
    "container": {
        "attach": "attach", "commit": "commit", "cp": "cp", "create": "create", "diff": "diff",
        "exec": "exec",
        "export": "export", "fork": "fork", "inspect": "inspect", "kill": "kill", "list": "ps",
        "logs": "logs",
        "ls": "ps", "port": "port", "prune": "container_prune", "ps": "ps", "remove": "rm",
        "rename": "rename", "rm": "rm", "rollback": "rollback", "run": "run",
        "snapshot": "snapshot", "start": "start", "stats": "stats", "stop": "stop",
        "top": "top", "update": "update", "wait": "wait",
    },
    "image": {
        "history": "history", "import": "import_", "inspect": "image_inspect", "list": "images",
        "load": "load", "ls": "images", "prune": "image_prune", "remove": "rmi", "rm": "rmi",
        "save": "save", "tag": "tag",
    },
    "system": {
        "check": "check", "df": "df", "doctor": "doctor", "info": "info", "prune": "system_prune",
    },
    "volume": {
        "create": "volume_create", "inspect": "volume_inspect", "list": "volume_ls",
        "ls": "volume_ls", "prune": "volume_prune", "remove": "volume_rm", "rm": "volume_rm",
    },
}  # fmt: skip
# These take flags only before their first operand: what follows is the container's own command
# line.
STOP_AT_OPERAND = ("run", "create", "exec", "fork", "top")
# These can tell how long each stage of a start took.
STARTS = ("run", "create", "start", "exec")


def load(module: str) -> Command:
    """Import one command's module."""
    import sys

    name = f"fastbox.cli.commands.{module}"
    __import__(name)
    command: Command = sys.modules[name]
    return command
