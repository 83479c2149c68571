"""What a store holds, for tests that disturb it: which images, whether each is whole, and what belongs to none."""

from __future__ import annotations

import json
import os
import time
from glob import glob

from . import host, trees
from .conftest import Box
from .trees import Tree


def content(box: Box) -> dict[str, list[str]]:
    """Every object and record by name, so that nothing half-done goes unseen; once containers that were said to be removed have been deleted."""
    end = time.monotonic() + 10 * host.SLOW
    while glob(f"{box.root}/tmp/rm-*") and time.monotonic() < end:
        time.sleep(0.01)
    found = {
        name: sorted(os.listdir(f"{box.root}/{name}"))
        for name in ("blobs/sha256", "refs", "layers", "tmp", "containers", "names")
    }
    for layer in found["layers"]:
        assert sorted(os.listdir(f"{box.root}/layers/{layer}")) == ["record.json", "tree"], layer
    return found


def names(box: Box) -> list[str]:
    lines = box("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    return sorted(line for line in lines if not line.endswith("<none>"))


def tree_of(box: Box, name: str) -> Tree:
    """An image's tree as a container sees it, without the times that its extraction made."""
    driver = json.loads(box("inspect", name).stdout)[0]["GraphDriver"]["Data"]
    found = trees.stacked(
        [driver["UpperDir"], *filter(None, driver.get("LowerDir", "").split(":"))]
    )
    for entry in found.values():
        if abs(time.time_ns() - int(entry["mtime"])) < 3600 * 10**9:
            entry["mtime"] = "new"
    return found


def check_whole(box: Box, wanted: dict[str, Tree]) -> None:
    """Whatever of these images is listed is all there: its tree is what it was at first."""
    for name in set(names(box)) & set(wanted):
        assert tree_of(box, name) == wanted[name], name
