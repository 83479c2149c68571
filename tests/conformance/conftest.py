"""The stages, the parties that stand on them, and the check that none leaves anything behind."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import stage as stages
from .bundle import Bundle, make_root
from .container import Container
from .party import HIDE, Party
from .stage import Stage


class Court:
    """Everything that the tests of this package share."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.template = base / "template"
        self.material = base / "material"
        make_root(self.template)
        mounts = material(self.material)
        # A stage each, so that none sees what another did to the mounts. crun refuses a machine with v1 controllers
        # and a v2 hierarchy that names some as well.
        self.parties = [
            Party("runc", "runc", Stage(mounts), base),
            Party("crun", "crun", Stage(f"{HIDE}\n{mounts}"), base),
        ]
        if shutil.which("fastbox-oci"):
            self.parties.append(Party("fastbox", "fastbox-oci", Stage(mounts), base))
        self.count = 0

    def bundle(self, party: Party, name: str = "") -> Bundle:
        """A new bundle of a party's own."""
        self.count += 1
        path = self.base / f"{party}-{self.count}"
        path.mkdir()
        name = name or f"box-{self.count}"
        return Bundle(path, self.template, party.stage, name, self.material)

    def close(self) -> None:
        for party in self.parties:
            party.stage.close()
        stages.remove_groups()


def material(path: Path) -> str:
    """Directories and files to mount, the same for every party: a script that makes their mounts."""
    for name in ("directory/below", "tree/sub", "owned", "shared", "slave"):
        (path / name).mkdir(parents=True)
    (path / "directory/text").write_text("of the host\n")
    (path / "file").write_text("a file of the host\n")
    (path / "owned/text").write_text("of 1000\n")
    os.chown(path / "owned/text", 1000, 1000)
    (path / "directory/link").symlink_to("text")
    return f"""cd {path}
mount -t tmpfs tree tree
mkdir tree/sub
mount -t tmpfs sub tree/sub
mount -t tmpfs shared shared
mount --make-shared shared
mount -t tmpfs slave slave
mount --make-shared slave
cd /
mount -o remount,bind,ro /sys/fs/cgroup"""


@pytest.fixture(scope="session")
def court() -> Iterator[Court]:
    base = Path(tempfile.mkdtemp(prefix="fastbox-conformance-", dir="/var/tmp"))
    base.chmod(0o755)
    court = Court(base)
    try:
        yield court
    finally:
        court.close()
        shutil.rmtree(base)


@pytest.fixture(autouse=True)
def nothing_left(court: Court) -> Iterator[None]:
    """After a test each stage has the mounts that it had, and no party a container or a group."""
    before = {p.name: p.stage.mounts() for p in court.parties}
    yield
    left = {p.name: found for p in court.parties if (found := p.clean())}
    assert not left, f"containers left behind: {left}"
    assert not stages.sweep()
    for party in court.parties:
        more = [m for m in party.stage.mounts() if m not in before[party.name]]
        assert not more, f"{party} left mounts behind: {more}"


def names() -> list[str]:
    return ["runc", "crun", "fastbox"] if shutil.which("fastbox-oci") else ["runc", "crun"]


@pytest.fixture(params=names())
def party(request: pytest.FixtureRequest, court: Court) -> Party:
    """Each of the runtimes in turn."""
    return next(p for p in court.parties if p.name == request.param)


def only(*parties: str) -> pytest.MarkDecorator:
    """For a test of what the other rivals do not have."""
    return pytest.mark.parametrize("party", [p for p in parties if p in names()], indirect=True)


@pytest.fixture
def fastbox(court: Court) -> Party:
    """The one that is judged, where the rivals have nothing to say."""
    return next(p for p in court.parties if p.name == "fastbox")


New = Callable[..., Container]


@pytest.fixture
def new(court: Court, party: Party) -> Iterator[New]:
    """Makes containers of the party, and reaps their processes at the end."""
    made: list[Container] = []

    def make(edit: Callable[[Bundle], None] = lambda b: None, **words: str) -> Container:
        bundle = court.bundle(party)
        bundle.process["args"] = ["/bin/sleep", "1000"]
        edit(bundle)
        bundle.write()
        made.append(Container(party, bundle))
        return made[-1]

    yield make
    for container in made:
        container.close()


PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(scope="package", autouse=True)
def reaper() -> Iterator[None]:
    """Containers' processes become children of the tests when their runtime is gone, as they do with conmon and containerd's shim. Only of
    these tests: others need an init that reaps.
    """
    prctl = ctypes.CDLL(None).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    assert prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0
