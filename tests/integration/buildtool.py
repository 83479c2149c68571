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
from fastbox.errors import BuildFailed, FastboxError

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
        return self.written(1, 2)

    def written(self, *streams: int) -> str:
        """What steps wrote to these streams."""
        data = b"".join(
            event.data
            for event in self.events
            if event.kind == "output" and event.stream in streams
        )
        return data.decode("utf-8", "replace")


def build(engine: fastbox.Engine, where: Path | str, **options: Any) -> Told:
    """Build a context; what it told."""
    told = Told()
    told.result = engine.builds.build(BuildOptions(context=str(where), **options), told)
    return told


def build_text(
    engine: fastbox.Engine, text: str, files: Files | None = None, **options: Any
) -> Told:
    """Build a Dockerfile, beside these files; what it told."""
    with context({**(files or {}), "Dockerfile": text}) as where:
        return build(engine, where, **options)


def plain(error: FastboxError) -> str:
    """An error's line, which must be one, and safe on a terminal."""
    text = str(error)
    assert error.code != "internal", text
    assert text.isprintable(), text
    assert error.hint.isprintable(), error.hint
    return text


def refusal(error: FastboxError) -> str:
    """The line of an error that came before anything of a step ran."""
    assert not isinstance(error, BuildFailed), error.tail
    return plain(error)


def forget(engine: fastbox.Engine) -> None:
    """Remove the images that a test has built, and all that builds keep."""
    names = [f"{info.repository}:{info.tag}" for info in engine.images.list() if info.tag]
    for name in names:
        if name.startswith("built"):
            engine.images.remove(name, force=True)
    engine.images.prune()
    engine.builds.prune(all=True)


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


def layers(engine: fastbox.Engine, image: str) -> list[Path]:
    """The directories of an image's layers, the topmost first."""
    driver: Any = engine.images.inspect(image)["GraphDriver"]
    data = driver["Data"]
    return [Path(p) for p in [data["UpperDir"], *data.get("LowerDir", "").split(":")] if p]


def changes(engine: fastbox.Engine, image: str) -> dict[str, str]:
    """What the topmost layer holds: paths, and the content of files ("" for all else)."""
    top = layers(engine, image)[0]
    return {
        str(path.relative_to(top)): path.read_text("latin-1")
        if path.is_file() and not path.is_symlink()
        else ""
        for path in sorted(top.rglob("*"))
    }


def holding(needle: bytes, *places: str) -> list[str]:
    """The files below these directories that have the needle in them, or in their names."""
    found = []
    for place in places:
        for home, directories, files in os.walk(place):
            found += [f"{home}/{n}" for n in (*directories, *files) if needle in os.fsencode(n)]
            for name in files:
                path = Path(home, name)
                try:
                    if path.is_file() and not path.is_symlink() and needle in path.read_bytes():
                        found.append(str(path))
                except OSError:
                    pass  # gone meanwhile
    return found


def listens(port: int) -> bool:
    """Whether somebody takes connections on a port of loopback."""
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return False
    return True


def touch(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))
