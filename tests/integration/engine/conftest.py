"""A busybox root, an engine on a store of its own, and a check that nothing is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fastbox

from .. import host

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSYBOX = "/bin/busybox"


def remains() -> dict[str, object]:
    """What a container could leave behind on the host."""
    groups = [str(p) for p in Path("/sys/fs/cgroup").glob("*/fastbox/*")]
    groups += [str(p) for p in Path("/sys/fs/cgroup").glob("fastbox/*")]
    mounts = Path("/proc/self/mountinfo").read_text().count("\n")
    return {"cgroups": sorted(g for g in groups if os.path.isdir(g)), "mounts": mounts}


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> str:
    top = tmp_path_factory.mktemp("rootfs")
    for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev"):
        (top / name).mkdir()
    (top / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, top / "bin/busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout
    for applet in applets.split():
        if applet != "busybox":
            (top / "bin" / applet).symlink_to("busybox")
    (top / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\n"
    )
    (top / "etc/group").write_text("root:x:0:\nwheel:x:10:root\napp:x:1000:\nextra:x:77:app\n")
    return str(top)


@pytest.fixture
def box(tmp_path: Path, rootfs: str) -> Iterator[fastbox.Engine]:
    before = remains()
    engine = fastbox.Engine.open(root=str(tmp_path / "store"), run=str(tmp_path / "run"))
    with engine:
        yield engine
        for info in engine.containers.list(all=True):
            engine.containers.remove(info.id, force=True)
    # A supervisor answers first and releases then.
    deadline = time.monotonic() + 5 * host.SLOW
    while remains() != before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert remains() == before
    assert list((tmp_path / "store/containers").iterdir()) == []
