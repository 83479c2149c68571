"""What tests of builds share: contexts as mappings, builds that tell what ran, and trees of images."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastbox
from fastbox.builds import BuildOptions, Built, Event

Files = Mapping[str, str | bytes]


@contextmanager
def context(files: Files) -> Iterator[Path]:
    """A directory with these files; a name that ends in "/" is a directory."""
    base = Path(tempfile.mkdtemp(prefix="fastbox-build-", dir="/var/tmp"))
    try:
        fill(base, files)
        yield base
    finally:
        shutil.rmtree(base)


def fill(base: Path, files: Files) -> None:
    for name, content in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content)


class Told:
    """What a build told, and its result."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.result = Built()

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def steps(self, status: str) -> list[str]:
        return [step.name for step in self.result.steps if step.status == status]

    @property
    def ran(self) -> list[str]:
        """The instructions that were carried out, in the order of their stages."""
        return self.steps("done")

    @property
    def cached(self) -> list[str]:
        return self.steps("cached")

    @property
    def output(self) -> str:
        data = b"".join(event.data for event in self.events if event.kind == "output")
        return data.decode("utf-8", "replace")


def build(engine: fastbox.Engine, where: Path | str, **options: Any) -> Told:
    """Build a context; what it told."""
    told = Told()
    told.result = engine.builds.build(BuildOptions(context=str(where), **options), told)
    return told


def config(engine: fastbox.Engine, image: str) -> dict[str, Any]:
    """The run configuration of an image."""
    found = engine.images.inspect(image)["Config"]
    assert isinstance(found, dict)
    return found


def cat(engine: fastbox.Engine, image: str, *paths: str) -> list[str]:
    """The content of files in an image."""
    with engine.create(image, ["/none"]) as c:
        found = []
        for path in paths:
            target = tempfile.mkdtemp(prefix="fastbox-cat-", dir="/var/tmp")
            try:
                c.copy_out(path, target + "/file")
                found.append(Path(target, "file").read_text())
            finally:
                shutil.rmtree(target)
        return found


def touch(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))
