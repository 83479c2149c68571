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


_OF_CONTAINERS = (
    "attach", "commit", "cp", "create", "diff", "exec", "export", "fork", "inspect", "kill", "logs",
    "pause", "port", "ps", "rename", "restart", "rm", "rollback", "run", "snapshot", "start",
    "stats", "stop", "top", "unpause", "update", "wait",
)  # fmt: skip
PLAIN = {
    **{word: word for word in _OF_CONTAINERS},
    "build": "build", "doctor": "doctor", "hello": "hello", "history": "history",
    "images": "images", "import": "import_", "info": "info", "load": "load", "rmi": "rmi",
    "save": "save", "tag": "tag", "version": "version",
}  # fmt: skip
GROUPS = {
    "builder": {"build": "build", "prune": "builder_prune"},
    "buildx": {"build": "build", "prune": "builder_prune"},
    "container": {
        **{word: word for word in _OF_CONTAINERS},
        "list": "ps", "ls": "ps", "prune": "container_prune", "remove": "rm",
    },
    "image": {
        "build": "build", "history": "history", "import": "import_", "inspect": "image_inspect",
        "list": "images", "load": "load", "ls": "images", "prune": "image_prune", "remove": "rmi",
        "rm": "rmi", "save": "save", "tag": "tag",
    },
    "network": {
        "connect": "network_connect", "create": "network_create",
        "disconnect": "network_disconnect", "inspect": "network_inspect", "list": "network_ls",
        "ls": "network_ls", "prune": "network_prune", "reconcile": "network_reconcile",
        "remove": "network_rm", "rm": "network_rm",
    },
    "system": {
        "check": "check", "df": "df", "doctor": "doctor", "info": "info", "prune": "system_prune",
        "start": "system_start",
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
