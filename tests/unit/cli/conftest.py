"""A command line over an engine that only takes notes."""

from __future__ import annotations

import io

import pytest

from fastbox.cli import main as cli
from fastbox.cli.output import Output
from fastbox.errors import ContainerNotFound, ImageNotFound, NetworkNotFound, NotFound
from fastbox.types import ContainerInfo, ImageInfo, Pruned


class Calls:
    """Answers what `answers` says for a method's name, and remembers each call."""

    def __init__(self, missing: type[Exception]) -> None:
        self.calls: list[tuple[str, tuple, dict]] = []
        self.answers: dict[str, object] = {}
        self.missing = missing

    def __getattr__(self, name: str):
        def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            if args and str(args[0]).startswith("missing"):
                raise self.missing("no such thing", where=str(args[0]))
            return self.answers.get(name)

        return call


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Ended:
    """How an attached process ended."""

    def __init__(self, kind: str = "exit", code: int = 0) -> None:
        self.kind, self.code = kind, code
        self.id, self.closed, self.given = "c" * 64, False, {}

    def carry(self, **given: object) -> Ended:
        self.given = given
        return self

    def close(self) -> None:
        self.closed = True


class Shell:
    """Runs command lines and keeps what they print."""

    def __init__(self) -> None:
        self.containers, self.images = Calls(ContainerNotFound), Calls(ImageNotFound)
        self.system, self.volumes = Calls(ImageNotFound), Calls(NotFound)
        self.networks, self.builds = Calls(NetworkNotFound), Calls(NotFound)
        self.networks.answers["prune"] = Pruned()
        self.out = self.err = ""

    def __call__(self, *words: str, terminal: bool = False) -> int:
        out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
        code = cli.main(words, Output(out, err))
        self.out, self.err = out.getvalue(), err.getvalue()
        return code


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    made = Shell()
    monkeypatch.setattr(cli, "Door", lambda: made)
    monkeypatch.delenv("FASTBOX_DEBUG", raising=False)
    return made


@pytest.fixture
def container():
    def make(**changes: object) -> ContainerInfo:
        return ContainerInfo(
            **{
                "id": "0123456789abcdef" * 4, "name": "happy", "image": "busybox:latest",
                "image_id": "sha256:" + "ab" * 32, "command": ("sh", "-c", "echo hi; sleep 1000"),
                "created": "2026-01-02T03:04:05.5Z", "state": "running",
                "started": "2026-01-02T03:04:06Z", "labels": {"b": "2", "a": "1"},
            } | changes
        )  # fmt: skip

    return make


@pytest.fixture
def image():
    def make(**changes: object) -> ImageInfo:
        return ImageInfo(
            **{
                "id": "sha256:" + "ab" * 32, "repository": "busybox", "tag": "latest",
                "digest": "sha256:" + "cd" * 32, "created": "2026-01-02T03:04:05Z", "size": 4262000,
            } | changes
        )  # fmt: skip

    return make


@pytest.fixture
def ended():
    return Ended
