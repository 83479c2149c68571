"""What a stage is after each of its steps: files, configuration, history, arguments."""

from __future__ import annotations

from fastbox.builder.made import stack
from fastbox.store.content import sha256
from fastbox.support import json
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fastbox.builder.made import Made

_KEPT = ("architecture", "os", "variant", "os.version", "os.features", "author")
COMMENT = "fastbox.dockerfile.v0"


def key_of(*parts: object) -> str:
    """The cache's key for what is decided by these parts: 64 hex digits."""
    return str(sha256(json.dumps_bytes(list(parts), sort_keys=True)).hexdigest())


class Entry(Record):
    """One line of the history; `made` tells whether there is a layer to it."""

    created_by: str
    created: str = ""  # "": the image's own time
    made: Made | None = None  # None: it is about the configuration only
    given: Mapping[str, Any] | None = None  # of the base image: as it is there


class State:
    """A stage between two steps.

    Attributes:
        top: The topmost layer, or None.
        key: What the files depend on, as the cache knows it.
        run: The image's run configuration, docker's `config` object.
        document: What is kept of the base image's configuration.
        history: How it came to be.
        args: Arguments in scope, in the order of their declaration; None without a value.
        own_cmd: The stage has a CMD of its own: ENTRYPOINT leaves it.
    """

    __slots__ = ("args", "document", "history", "key", "own_cmd", "run", "top")

    def __init__(self) -> None:
        self.top: Made | None = None
        self.key = key_of("scratch")
        self.run: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.history: list[Entry] = []
        self.args: dict[str, str | None] = {}
        self.own_cmd = False

    def successor(self) -> State:
        """What a stage that begins with this one has: all of it, arguments too."""
        new = State()
        new.top, new.key = self.top, self.key
        new.run, new.document = json.loads(json.dumps(self.run)), dict(self.document)
        new.history, new.args = list(self.history), dict(self.args)
        return new

    @property
    def env(self) -> dict[str, str]:
        """The image's variables."""
        pairs = (entry.partition("=") for entry in self.run.get("Env") or ())
        return {name: value for name, _, value in pairs}

    @property
    def variables(self) -> dict[str, str]:
        """What instructions can refer to: arguments, and the image's variables over them."""
        given = {name: value for name, value in self.args.items() if value is not None}
        return given | self.env

    @property
    def shell(self) -> list[str]:
        """What runs a shell form."""
        return list(self.run.get("Shell") or ("/bin/sh", "-c"))

    @property
    def user(self) -> str:
        """Who runs."""
        return str(self.run.get("User") or "")

    @property
    def workdir(self) -> str:
        """Where it runs."""
        return str(self.run.get("WorkingDir") or "/")

    def wait(self) -> None:
        """Until its layers are published.

        Raises:
            FastboxError: One could not be.
        """
        for made in reversed(stack(self.top)):
            made.wait()


def base_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """What an image keeps of its base's configuration."""
    return {name: document[name] for name in _KEPT if document.get(name)}
