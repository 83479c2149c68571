"""`--mount type=image`: another image's files in a container, and that image in use by it."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fastbox
from fastbox.types import Mount

from . import archives

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Box

pytestmark = pytest.mark.integration

PRUNE = ("image", "prune", "-af", "--filter", "label=a=b")  # of archives.configuration
NAME = "docker.io/library/files:latest"


def directory(name: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode = tarfile.DIRTYPE, 0o755
    return made


def load(box: Box, work: Path, name: str, layers: list[bytes]) -> None:
    path = work / "image.tar"
    path.write_bytes(archives.tar(archives.docker_archive(layers, [name])))
    box("load", "-i", str(path))


@pytest.fixture
def files(box: Box, tmp_path: Path) -> Iterator[str]:
    """Three layers: the second hides and adds, the third has a directory anew."""
    first = archives.tar(
        {
            "etc": directory("etc"),
            "etc/old": b"old",
            "etc/kept": b"kept",
            "etc/deep": directory("etc/deep"),
            "etc/deep/first": b"1",
            "anew": directory("anew"),
            "anew/gone": b"gone",
            "way": archives.link("way", "/etc/deep"),
            "out": archives.link("out", "../../../../etc/deep/first"),
        }
    )
    second = archives.tar({"etc/.wh.old": b"", "etc/deep/second": b"2"})
    third = archives.tar({"anew/.wh..wh..opq": b"", "anew/there": b"there"})
    load(box, tmp_path, "files", [first, second, third])
    yield "files"
    for container in box("ps", "-aq").stdout.split():
        box("rm", "-f", container)
    box("rmi", "-f", "files", check=False)
    box("image", "prune", "-f")


def run(box: Box, mount: str, *argv: str, check: bool = True) -> str:
    return box(
        "run", "--rm", "--mount", f"type=image,{mount}", "busybox", *argv, check=check
    ).stdout


def test_the_files_of_all_layers(box: Box, files: str) -> None:
    script = "cd /m; cat etc/kept etc/deep/*; ls; ls etc anew"
    shown = "kept12anew\netc\nout\nway\nanew:\nthere\n\netc:\ndeep\nkept\n"
    assert run(box, f"source={files},target=/m", "sh", "-c", script) == shown
    assert run(box, f"src={files},dst=/m,readonly", "cat", "/m/anew/there") == "there"


def test_nothing_can_be_written(box: Box, files: str) -> None:
    for mount in (f"src={files},dst=/m", "src=busybox,dst=/m", f"src={files},dst=/m,ro=false"):
        done = box(
            "run", "--rm", "--privileged", "--mount", f"type=image,{mount}",
            "busybox", "touch", "/m/new", check=False,
        )  # fmt: skip
        assert "Read-only file system" in done.stderr


@pytest.mark.parametrize(
    ("subpath", "shown"),
    [
        ("etc", "deep\nkept\n"),
        ("etc/deep", "first\nsecond\n"),
        ("anew/", "there\n"),
        ("way", "first\nsecond\n"),
        ("./etc/../anew", "there\n"),
        (".", "anew\netc\nout\nway\n"),
    ],
)
def test_a_directory_of_it(box: Box, files: str, subpath: str, shown: str) -> None:
    assert run(box, f"src={files},dst=/m,image-subpath={subpath}", "ls", "/m") == shown


@pytest.mark.parametrize(("subpath", "shown"), [("etc/kept", "kept"), ("out", "1")])
def test_a_file_of_it(box: Box, files: str, subpath: str, shown: str) -> None:
    assert run(box, f"src={files},dst=/m,image-subpath={subpath}", "cat", "/m") == shown


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("src=files,dst=/m,image-subpath=../etc", "subpath must be a relative path"),
        ("src=files,dst=/m,image-subpath=/etc", "subpath must be a relative path"),
        ("src=files,dst=/m,image-subpath=etc/old", 'the image has no "etc/old"'),
        ("src=files,dst=/m,image-subpath=anew/gone", 'the image has no "anew/gone"'),
        ("src=files,dst=/m,image-subpath=etc/kept/x", 'the image has no "etc/kept/x"'),
        ("src=nosuch,dst=/m", "nosuch"),
        ("dst=/m", "the source is missing"),
        ("src=files,dst=/m,volume-subpath=etc", "subpath is for type=volume"),
    ],
)
def test_what_is_refused(box: Box, files: str, mount: str, said: str) -> None:
    done = box("create", "--mount", f"type=image,{mount}", files, "true", check=False)
    assert done.returncode == 125
    assert said in done.stderr
    assert box("ps", "-aq").stdout == ""


def test_two_of_one_image(box: Box, files: str) -> None:
    words = [f"type=image,src={files},dst=/{place}" for place in "ab"]
    out = box(
        "run", "--rm", "--mount", words[0], "--mount", words[1], "busybox",
        "cat", "/a/etc/kept", "/b/etc/kept",
    ).stdout  # fmt: skip
    assert out == "keptkept"


def test_the_image_is_in_use(box: Box, files: str) -> None:
    mount = ("--mount", f"type=image,src={files},dst=/m")
    container = box("create", *mount, "busybox", "cat", "/m/etc/kept", "/m/etc/deep/second")
    identity = container.stdout.strip()
    record = json.loads((Path(box.root) / "containers" / identity / "record.json").read_text())
    layers = [Path(path) for path in record["options"]["mounts"][0]["layers"]]
    assert len(layers) == 3
    done = box("rmi", files, check=False)
    assert done.returncode == 1
    assert f"containers use it: {identity[:12]}" in done.stderr
    box(*PRUNE)
    assert "files" in box("images", "--format", "{{.Repository}}").stdout.split()
    for _ in range(2):
        assert box("start", "-a", identity).stdout == "kept2"
    box("rmi", "-f", files)
    box(*PRUNE)
    assert "is missing" not in box("system", "check", check=False).stdout
    assert box("start", "-a", identity).stdout == "kept2"
    box("restart", "-t", "0", identity)
    box("rm", "-f", identity)
    box(*PRUNE)
    assert [path for path in layers if path.exists()] == []


def test_inspect(box: Box, files: str) -> None:
    mount = f"type=image,src={files},dst=/m,image-subpath=etc"
    box("create", "--name", "shown", "--mount", mount, "busybox", "true")
    found = json.loads(box("inspect", "shown").stdout)[0]
    image = json.loads(box("image", "inspect", files).stdout)[0]["Id"]
    assert found["Mounts"] == [
        {
            "Type": "image", "Name": files, "Source": image, "Destination": "/m",
            "Mode": "", "RW": False, "Propagation": "rprivate",
        }
    ]  # fmt: skip
    assert found["HostConfig"]["Mounts"] == [
        {"Type": "image", "Source": files, "Target": "/m", "ImageOptions": {"Subpath": "etc"}}
    ]


def test_from_another_container(box: Box, files: str) -> None:
    box("create", "--name", "first", "--mount", f"type=image,src={files},dst=/m", "busybox", "true")
    box("create", "--name", "second", "--volumes-from", "first", "busybox", "cat", "/m/etc/kept")
    box("rm", "first")
    assert box("rmi", files, check=False).returncode == 1
    assert box("start", "-a", "second").stdout == "kept"


def test_in_a_user_namespace(box: Box, files: str) -> None:
    words = ("run", "--rm", "--userns", "200000:65536")
    one = ("--mount", "type=image,src=busybox,dst=/m")
    assert box(*words, *one, "busybox", "stat", "-c", "%u", "/m/bin").stdout == "0\n"
    several = ("--mount", f"type=image,src={files},dst=/m")
    done = box(*words, *several, "busybox", "true", check=False)
    assert "an image of several layers can't be mounted in a user namespace" in done.stderr


def test_the_python_api(box: Box, files: str) -> None:
    mount = Mount(kind="image", source=files, target="/m", subpath="etc/deep")
    with (
        fastbox.Engine.open(root=box.root, run=box.run_root) as engine,
        engine.run("busybox", ["sleep", "60"], mounts=[mount]) as container,
    ):
        assert container.exec(["cat", "/m/first", "/m/second"]).stdout == b"12"
