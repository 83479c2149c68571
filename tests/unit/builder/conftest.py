"""Trees made from a few words, and a work directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from fastbox.builder.scan import Tree
from fastbox.dockerfile.ignore import Ignore
from fastbox.store.lease import Work
from fastbox.store.root import Root

Files = Mapping[str, str | None]


def fill(root: Path, files: Files) -> Path:
    """Make files: a name that ends in "/" is a directory, content that begins with "->" a link."""
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif content and content.startswith("->"):
            path.symlink_to(content[2:])
        else:
            path.write_text(name if content is None else content)
    return root


@pytest.fixture
def work(root: Root) -> Iterator[Work]:
    with Work(root) as made:
        yield made


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Callable[..., Tree]]:
    """Makes a tree of names, or of a mapping to contents, with patterns of an ignore file."""
    held = []

    def make(files: Files | str, ignore: str = "") -> Tree:
        names = dict.fromkeys(files.split()) if isinstance(files, str) else files
        place = fill(tmp_path / f"tree{len(held)}", names)
        held.append(os.open(place, os.O_PATH | os.O_DIRECTORY))
        return Tree(held[-1], Ignore.parse(ignore) if ignore else None)

    yield make
    for fd in held:
        os.close(fd)
