"""The store's commands over an engine that takes notes."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest

from fastbox.system.check import Finding
from fastbox.system.usage import ContainerUsage, ImageUsage, Part, Usage, VolumeUsage
from fastbox.types import HistoryEntry, Pruned, VolumeInfo

NOW = 1767323045.0 + 3 * 86400
ID = "sha256:" + "ab" * 32


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)


def test_save(shell) -> None:
    assert shell("save", "-o", "/x", "a", "b", "--format", "oci-dir") == 0
    assert shell("image", "save", "--platform", "arm64", "a") == 0
    assert shell.images.calls == [
        ("save", (["a", "b"], "/x"), {"format": "oci-dir", "platform": ""}),
        ("save", (["a"], 1), {"format": "docker-archive", "platform": "arm64"}),
    ]
    assert shell("save") == 125


def test_save_refuses_a_terminal(shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.isatty", lambda fd: fd == 1)
    assert shell("save", "a") == 125
    assert "terminal" in shell.err
    assert not shell.images.calls
    assert shell("save", "-o", "/x", "a") == 0


def test_history(shell) -> None:
    shell.images.answers["history"] = [
        HistoryEntry(id=ID, created="2026-01-02T03:04:05Z", created_by="RUN\ta\nb \x1b[2J", size=5),
        HistoryEntry(id="<missing>", created="", comment="c", size=4262000),
    ]
    assert shell("history", "a") == 0
    assert shell.out.splitlines() == [
        "IMAGE          CREATED      CREATED BY        SIZE      COMMENT",
        "abababababab   3 days ago   RUN a b \\x1b[2J   5B        ",
        "<missing>      N/A                            4.26MB    c",
    ]
    assert shell("history", "-H=false", "a") == 0
    assert "2026-01-02T03:04:05Z" in shell.out
    assert "4262000" in shell.out
    assert shell("history", "-q", "--no-trunc", "a") == 0
    assert shell.out == f"{ID}\n<missing>\n"
    assert shell("history", "missing") == 125


@pytest.mark.parametrize(
    ("answer", "goes"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("", False)]
)
@pytest.mark.parametrize("group", ["image", "container", "system"])
def test_prunes_ask(
    shell, monkeypatch: pytest.MonkeyPatch, group: str, answer: str, goes: bool
) -> None:
    pruned = Pruned(lines=("x",), reclaimed=1500)
    shell.images.answers["prune"] = shell.containers.answers["prune"] = pruned
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert shell(group, "prune") == 0
    assert shell.out.startswith("WARNING! This will remove")
    assert "Are you sure you want to continue? [y/N] " in shell.out
    assert bool(shell.images.calls + shell.containers.calls) is goes
    assert ("Total reclaimed space: " in shell.out) is goes


def test_prunes(shell) -> None:
    shell.images.answers["prune"] = Pruned(lines=("deleted: x",), reclaimed=1500)
    shell.containers.answers["prune"] = Pruned(lines=(), reclaimed=0)
    assert shell("image", "prune", "-a", "-f", "--filter", "label=a") == 0
    assert shell.out == "Deleted Images:\ndeleted: x\n\nTotal reclaimed space: 1.5kB\n"
    assert shell.images.calls == [("prune", (), {"all": True, "filters": ["label=a"]})]
    assert shell("container", "prune", "-f") == 0
    assert shell.out == "Total reclaimed space: 0B\n"
    assert shell("system", "prune", "-f") == 0
    assert shell.out == "Deleted Images:\ndeleted: x\n\nTotal reclaimed space: 1.5kB\n"


def volume(**changes: object) -> VolumeInfo:
    return VolumeInfo(
        **{
            "name": "data", "driver": "local", "mountpoint": "/v/data/_data",
            "created": "2026-01-02T03:04:05Z", "labels": {"b": "2", "a": "1"}, "options": {},
            "anonymous": False,
        } | changes
    )  # fmt: skip


def test_volumes(shell) -> None:
    shell.volumes.answers |= {"list": [volume()], "create": volume(name="x")}
    assert shell("volume", "ls", "-f", "dangling=true", "--filter", "label=a") == 0
    assert shell.out == "DRIVER    VOLUME NAME\nlocal     data\n"
    assert shell.volumes.calls == [("list", (), {"filters": ["dangling=true", "label=a"]})]
    assert shell("volume", "list", "-q") == 0
    assert shell.out == "data\n"
    assert shell("volume", "ls", "--format", "{{.Name}} {{.Labels}} {{.Scope}} {{.Size}}") == 0
    assert shell.out == "data a=1,b=2 local N/A\n"
    assert shell("volume", "ls", "--cluster") == 125
    words = (
        "-d",
        "local",
        "--label",
        "a=b=c",
        "--label",
        "d",
        "-o",
        "type=none",
        "-o",
        "o=bind,ro",
    )
    assert shell("volume", "create", *words, "x") == 0
    assert shell.out == "x\n"
    wanted = {
        "driver": "local", "labels": {"a": "b=c", "d": ""},
        "options": {"type": "none", "o": "bind,ro"},
    }  # fmt: skip
    assert shell.volumes.calls[-1] == ("create", ("x",), wanted)
    assert shell("volume", "create", "-o", "o=a", "-o", "o=b", "x") == 125
    assert shell("volume", "create", "--availability", "active", "x") == 125
    assert "--availability is for the volumes of a cluster" in shell.err
    assert shell("volume", "rm", "-f", "a", "missing", "b") == 1
    assert shell.out == "a\nb\n"
    assert shell.volumes.calls[-1] == ("remove", ("b",), {"force": True})
    shell.volumes.answers["inspect"] = {"Name": "a"}
    assert shell("volume", "inspect", "-f", "{{.Name}}", "a") == 0
    assert shell.out == "a\n"
    assert shell("volume", "inspect", "missing") == 1


def test_volume_prune(shell) -> None:
    shell.volumes.answers["prune"] = Pruned(lines=("a",), reclaimed=1500)
    assert shell("volume", "prune", "-a", "-f", "--filter", "label!=x") == 0
    assert shell.out == "Deleted Volumes:\na\n\nTotal reclaimed space: 1.5kB\n"
    assert shell.volumes.calls == [("prune", (), {"all": True, "filters": ["label!=x"]})]
    shell.images.answers["prune"] = shell.containers.answers["prune"] = Pruned()
    assert shell("system", "prune", "-f") == 0
    assert len(shell.volumes.calls) == 1
    assert shell("system", "prune", "-f", "--volumes") == 0
    assert shell.out == "Deleted Volumes:\na\n\nTotal reclaimed space: 1.5kB\n"
    assert shell.volumes.calls[-1] == ("prune", (), {"filters": []})


def test_df(shell, image, container) -> None:
    shell.system.answers["usage"] = Usage(
        parts=(
            Part(kind="Images", total=2, active=1, size=2_000_000, reclaimable=500_000),
            Part(kind="Containers", total=1),
            Part(kind="Local Volumes"),
            Part(kind="Build Cache"),
        ),
        images=(ImageUsage(info=image(), shared=1000, unique=2000, containers=1),),
        containers=(ContainerUsage(info=container(), size=4096),),
        volumes=(VolumeUsage(info=volume(containers=(container().id,)), size=8192),),
    )
    assert shell("system", "df") == 0
    assert shell.out.splitlines() == [
        "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE",
        "Images          2         1         2MB       500kB (25%)",
        "Containers      1         0         0B        0B",
        "Local Volumes   0         0         0B        0B",
        "Build Cache     0         0         0B        0B",
    ]
    assert shell("system", "df", "--format", "{{.Type}} {{.Reclaimable}}") == 0
    assert shell.out.startswith("Images 500kB (25%)\n")
    assert shell("system", "df", "-v") == 0
    assert "busybox      latest    abababababab   3 days ago   3kB       1kB" in shell.out
    assert "4.1kB" in shell.out
    assert shell("system", "df", "-v", "--format", "json") == 0
    found = json.loads(shell.out)
    assert found["Images"][0]["SharedSize"] == "1kB"
    assert found["Containers"][0]["Names"] == "happy"
    assert found["Containers"][0]["LocalVolumes"] == "1"
    assert found["Volumes"][0] == {
        "Name": "data", "Links": "1", "Size": "8.19kB", "Driver": "local",
        "Mountpoint": "/v/data/_data",
    }  # fmt: skip
    assert shell("system", "df", "-v", "--format", "x") == 125


def test_check(shell) -> None:
    shell.system.answers["check"] = []
    assert shell("system", "check") == 0
    assert shell.out == "nothing is wrong\n"
    shell.system.answers["check"] = [Finding(what="broken", where="a\x1b", hint="mend it")]
    assert shell("system", "check", "--quick") == 1
    assert shell.out == "a\\x1b: broken (mend it)\n"
    assert shell.system.calls[-1] == ("check", (), {"quick": True})
    assert shell("system", "check", "--format", "json") == 1
    assert json.loads(shell.out) == {"What": "broken", "Where": "a\\x1b", "Hint": "mend it"}


def test_image_inspect(shell) -> None:
    shell.images.answers["inspect"] = {"Id": ID}
    assert shell("image", "inspect", "--platform", "arm64", "-f", "{{.Id}}", "a") == 0
    assert shell.out == ID + "\n"
    assert shell.images.calls == [("inspect", ("a",), {"platform": "arm64"})]
    assert not shell.containers.calls
    assert shell("image", "inspect", "missing") == 1
    assert shell("inspect", "--platform", "arm64", "a") == 125


def test_images_filters(shell) -> None:
    shell.images.answers["list"] = []
    assert shell("images", "-f", "dangling=true", "--filter", "label=a=b") == 0
    options = {"all": False, "filters": ["dangling=true", "label=a=b"]}
    assert shell.images.calls == [("list", ("",), options)]


def test_no_reader(shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(shell, "images", SimpleNamespace(save=broken))
    assert shell("save", "a") == 141


def test_builder_prune(shell) -> None:
    line = "a" * 25 + "\ttrue\t1500\t7200"
    shell.builds.answers["prune"] = Pruned(lines=(line,), reclaimed=1500)
    assert shell("builder", "prune", "-f", "--keep-storage", "1gb") == 0
    assert shell.builds.calls[-1][2]["keep"] == 1 << 30
    heading, row, total = shell.out.splitlines()
    assert heading.split() == ["ID", "RECLAIMABLE", "SIZE", "LAST", "ACCESSED"]
    assert row.split() == ["a" * 25, "true", "1.5kB", "2", "hours", "ago"]
    assert total == "Total:\t1.5kB"
    shell.images.answers["prune"] = shell.containers.answers["prune"] = Pruned()
    assert shell("system", "prune", "-a", "-f") == 0
    assert shell.out.startswith("Deleted build cache objects:\n" + "a" * 25 + "\n\n")
    assert shell.builds.calls[-1][2]["all"]
    count = len(shell.builds.calls)
    assert shell("system", "prune", "-f", "--filter", "label=a") == 0
    assert len(shell.builds.calls) == count
