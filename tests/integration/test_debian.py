"""A real distribution's root, and images that other tools made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .conftest import Box, Docker, busybox_tar

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def test_debootstrap_root(box: Box, debian: str) -> None:
    out = box(
        "run", "--rm", debian, "sh", "-c", "apt --version && id && cat /proc/1/cgroup && ls /dev"
    ).stdout
    assert out.startswith("apt 2.")
    assert "uid=0(root) gid=0(root) groups=0(root)" in out
    assert "9:name=systemd:/" in out or "0::/\n" in out
    assert all(
        line.endswith(":/") for line in out.splitlines() if line[:1].isdigit() and "::" in line
    )
    assert {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "fd",
        "stdin",
        "stdout",
        "stderr",
        "pts",
        "shm",
        "mqueue",
        "ptmx",
    } <= set(out.split())


def test_apt_writes_into_the_container_layer(box: Box, debian: str) -> None:
    out = box(
        "run",
        "--rm",
        debian,
        "sh",
        "-c",
        "dpkg -l | wc -l; rm -rf /usr/share/doc && mkdir /usr/share/doc && touch /usr/share/doc/new && ls /usr/share/doc; useradd -m someone && id someone",
    ).stdout
    assert out.splitlines()[1] == "new"
    assert "someone" in out
    assert "new" not in box("run", "--rm", debian, "ls", "/usr/share/doc").stdout.split()


def test_an_image_saved_by_docker(box: Box, docker: Docker, tmp_path: Path) -> None:
    docker(
        "run",
        "--name",
        "made",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "rm /bin/vi; mkdir /new; echo layer two > /new/file; rm -r /home; mkdir /home",
    )
    docker(
        "commit",
        "-c",
        'CMD ["cat","/new/file"]',
        "-c",
        "ENV FROM=docker",
        "-c",
        "USER app",
        "made",
        "two:1",
    )
    docker("save", "-o", str(tmp_path / "two.tar"), "two:1")
    assert box("load", "-i", str(tmp_path / "two.tar")).stdout == "Loaded image: two:1\n"
    assert box("run", "--rm", "two:1").stdout == "layer two\n"
    out = box(
        "run", "--rm", "two:1", "sh", "-c", "ls /bin/vi /home; id -un; echo $FROM", check=False
    )
    assert "/bin/vi: No such file" in out.stderr
    assert out.stdout.split() == ["/home:", "app", "docker"] or out.stdout.split() == [
        "app",
        "docker",
    ]
    theirs = docker("image", "inspect", "-f", "{{.Id}}", "two:1").stdout.decode().strip()
    assert box("images", "-q", "--no-trunc", "two:1").stdout.strip() == theirs
    box("rmi", "two:1")
    docker("rm", "made")


def test_an_image_made_by_skopeo(box: Box, docker: Docker, tmp_path: Path) -> None:
    docker("save", "-o", str(tmp_path / "b.tar"), "busybox:latest")
    for form in ("oci-archive", "docker-archive"):
        target = tmp_path / f"{form}.tar"
        subprocess.run(
            [
                "skopeo",
                "copy",
                "-q",
                f"docker-archive:{tmp_path}/b.tar",
                f"{form}:{target}:made:{form}",
            ],
            check=True,
        )
        assert f"made:{form}" in box("load", "-i", str(target)).stdout
        assert box("run", "--rm", f"made:{form}", "echo", "works").stdout == "works\n"
        box("rmi", f"made:{form}")
    subprocess.run(
        [
            "skopeo",
            "copy",
            "-q",
            f"docker-archive:{tmp_path}/b.tar",
            f"oci:{tmp_path}/layout:made:dir",
        ],
        check=True,
    )
    box("load", "-i", str(tmp_path / "layout"))
    assert box("run", "--rm", "made:dir", "echo", "works").stdout == "works\n"
    box("rmi", "made:dir")


def test_two_images_share_a_layer(box: Box) -> None:
    layers = sorted(Path(box.root, "layers").iterdir())
    box("import", "-", "again:1", stdin=busybox_tar())
    assert sorted(Path(box.root, "layers").iterdir()) == layers
    box("rmi", "again:1")
    assert sorted(Path(box.root, "layers").iterdir()) == layers
    assert box("run", "--rm", "busybox", "echo", "still").stdout == "still\n"


def test_tag_and_images(box: Box) -> None:
    box("tag", "busybox", "other/name:v1")
    table = box("images").stdout.splitlines()
    assert table[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert any(row.split()[:2] == ["other/name", "v1"] for row in table[1:])
    assert "Untagged: other/name:v1" in box("rmi", "other/name:v1").stdout
    assert not any("other/name" in row for row in box("images").stdout.splitlines())
