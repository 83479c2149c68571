"""commit, diff and export of real containers, against docker's and against other readers."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fastbox
from fastbox.errors import InvalidArgument, StateConflict
from fastbox.runtime.supervisor import Conversation

from . import host
from .conftest import Box, Docker
from .host import until

pytestmark = pytest.mark.integration

# Its size counts. A file that is cut and written again is empty most of the time on a disk that discards what it frees.
COUNTING = "while true; do echo >>/t; done"

# What a container does to its files: every kind of change there is.
CHANGES = """
set -e
mkdir /new; echo hi >/new/file; ln /new/file /new/hard; ln -s file /new/sym; mkfifo /new/fifo
mknod /new/null c 1 3; chown 1000:1000 /new/sym /new/fifo; chmod 4755 /new/file
echo x >>/etc/passwd; rm /etc/group
rm -r /home/app; mkdir /home/app; touch /home/app/again
rm -r /home/app; touch /home/app
chmod 700 /root; touch /tmp/t; mv /usr/bin /usr/bin2; rm -r /var; mkdir /var; touch /var/replaced
touch -d @1000000000 /tmp/old; mkdir -p /deep/er/est; touch /deep/er/est/file; rm /bin/zcat
dd if=/dev/zero of=/tmp/sparse bs=1 count=1 seek=3000000 2>/dev/null
"""


@pytest.fixture
def forget(box: Box) -> Iterator[list[str]]:
    """Images and containers to remove after a test."""
    made: list[str] = []
    yield made
    for name in made:
        box("rm", "-f", name, check=False)
        box("rmi", "-f", name, check=False)


def ran(box: Box, forget: list[str], name: str, script: str, *flags: str) -> str:
    forget.append(name)
    box("run", "--name", name, *flags, "busybox", "/bin/sh", "-c", script)
    return name


def image(box: Box, name: str) -> dict[str, Any]:
    return dict(json.loads(box("inspect", name).stdout)[0])


def top_layer(box: Box, name: str) -> bytes:
    """The packed top layer of an image, found as any other tool would."""
    index = json.loads(Path(box.root, "index.json").read_text())
    key = "org.opencontainers.image.ref.name"
    entry = next(e for e in index["manifests"] if e.get("annotations", {}).get(key) == name)
    blobs = Path(box.root, "blobs/sha256")
    manifest = json.loads((blobs / entry["digest"][7:]).read_bytes())
    layer = manifest["layers"][-1]
    assert layer["mediaType"].endswith("tar+gzip")
    data = (blobs / layer["digest"][7:]).read_bytes()
    assert len(data) == layer["size"]
    assert hashlib.sha256(data).hexdigest() == layer["digest"][7:]
    return data


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


def tree_of(box: Box, reference: str) -> str:
    """All that a container of an image sees, as text."""
    return box(
        "run", "--rm", reference, "/bin/sh", "-c",
        "find / -xdev ! -path '/dev*' ! -path '/proc*' ! -path '/sys*' ! -path /bin/busybox "
        "! -path /etc/hosts ! -path /etc/hostname ! -path /etc/resolv.conf "
        "-exec stat -c '%n %f %u %g %F %h %s' {} + | grep -v '^/ ' | "
        "sed 's/ directory .*/ directory/' | sort",
    ).stdout  # fmt: skip


def test_an_image_of_every_kind_of_change(box: Box, forget: list[str], tmp_path: Path) -> None:
    ran(box, forget, "changed", CHANGES)
    forget.append("changed:1")
    made = box("commit", "-a", "Ada", "-m", "all of it", "changed", "changed:1").stdout.strip()
    found = image(box, "changed:1")
    assert found["Id"] == made
    assert (found["Author"], found["Comment"]) == ("Ada", "all of it")
    assert found["RootFS"]["Layers"][:1] == image(box, "busybox")["RootFS"]["Layers"]
    data = top_layer(box, "changed:1")
    assert (
        "sha256:" + hashlib.sha256(gzip.decompress(data)).hexdigest()
        == found["RootFS"]["Layers"][1]
    )
    names = members(data)
    for name in ("etc/.wh.group", "usr/.wh.bin", "var/.wh..wh..opq", "bin/.wh.zcat", "home/app"):
        assert names[name].isreg(), name
    assert names["new/hard"].islnk()
    assert names["new/hard"].linkname == "new/file"
    assert names["new/file"].mode == 0o4755
    assert (names["new/null"].devmajor, names["new/null"].devminor) == (1, 3)
    assert names["tmp/old"].mtime == 1000000000
    assert not any(name.startswith(("dev", "proc", "sys", ".", "/", "sbin")) for name in names)
    subprocess.run(["tar", "-tzf", "-"], input=data, check=True, capture_output=True)
    # The image shows what the container did.
    box("start", "changed")
    forget.append("changed:tree")
    export = box("export", "-o", str(tmp_path / "e.tar"), "changed")
    assert export.stdout == ""
    box("import", str(tmp_path / "e.tar"), "changed:tree")
    assert tree_of(box, "changed:tree") == tree_of(box, "changed:1")
    assert "/etc/group" not in tree_of(box, "changed:1")


def test_the_same_changes_give_the_same_layer(box: Box, forget: list[str]) -> None:
    ran(box, forget, "twice", CHANGES)
    forget += ["twice:1", "twice:2", "twice:3"]
    first, second = (
        box("commit", "twice", "twice:1").stdout,
        box("commit", "twice", "twice:2").stdout,
    )
    assert first != second  # their times
    assert top_layer(box, "twice:1") == top_layer(box, "twice:2")
    dated = {
        box("commit", "twice", "twice:3", SOURCE_DATE_EPOCH="1234567890").stdout for _ in range(2)
    }
    assert len(dated) == 1
    assert image(box, "twice:3")["Created"] == "2009-02-13T23:31:30.000000000Z"
    assert all(m.mtime <= 1234567890 for m in members(top_layer(box, "twice:3")).values())
    assert "SOURCE_DATE_EPOCH" in box("commit", "twice", check=False, SOURCE_DATE_EPOCH="x").stderr


def test_what_the_image_runs_is_what_the_container_ran(box: Box, forget: list[str]) -> None:
    forget += ["options", "options:1", "options:2"]
    box(
        "create", "--name", "options", "-e", "A=1", "-e", "B=2", "-u", "app", "-w", "/tmp",
        "-l", "x=y", "--stop-signal", "SIGUSR1", "--entrypoint", "/bin/echo", "busybox", "one", "two",
    )  # fmt: skip
    box("commit", "-c", "ENV B=3 C=4", "-c", "EXPOSE 80", "options", "options:1")
    config = image(box, "options:1")["Config"]
    assert sorted(config["Env"]) == ["A=1", "B=3", "C=4"]
    assert (config["Entrypoint"], config["Cmd"]) == (["/bin/echo"], ["one", "two"])
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == (
        "app",
        "/tmp",
        "SIGUSR1",
    )
    assert (config["Labels"], config["ExposedPorts"]) == ({"x": "y"}, {"80/tcp": {}})
    assert box("run", "--rm", "options:1").stdout == "one two\n"
    # What was not given is the image's, and it goes on from there.
    box("rm", "options")
    box("create", "--name", "options", "options:1", "three")
    box("commit", "-c", 'CMD ["four"]', "options", "options:2")
    assert box("run", "--rm", "options:2").stdout == "four\n"
    assert image(box, "options:2")["Config"]["Labels"] == {"x": "y"}


def test_a_container_that_changed_nothing_adds_no_layer(box: Box, forget: list[str]) -> None:
    forget += ["idle", "idle:1", "frozen", "frozen:1"]
    box("create", "--name", "idle", "busybox", "true")
    box("create", "--read-only", "--name", "frozen", "busybox", "true")
    for name in ("idle", "frozen"):
        assert box("diff", name).stdout == ""
        box("commit", name, name + ":1")
        assert image(box, name + ":1")["RootFS"] == image(box, "busybox")["RootFS"]
        assert box("run", "--rm", name + ":1").stdout == ""


def test_a_running_container_stands_still_while_it_is_read(box: Box, forget: list[str]) -> None:
    """Two files that are written one after the other never differ by more than one step."""
    forget += ["busy", "busy:1"]
    loop = "i=0; while true; do i=$((i+1)); for f in /first /second; do echo $i >/x; mv /x $f; done; done"
    box("run", "-d", "--name", "busy", "busybox", "/bin/sh", "-c", loop)
    until(lambda: not box("exec", "busy", "cat", "/second", check=False).returncode)
    for _ in range(5):
        time.sleep(0.05)
        box("commit", "busy", "busy:1")
        first, second = box("run", "--rm", "busy:1", "cat", "/first", "/second").stdout.split()
        assert 0 <= int(first) - int(second) <= 1
    one = box("exec", "busy", "cat", "/second").stdout
    until(lambda: box("exec", "busy", "cat", "/second").stdout != one)
    box("commit", "--pause=false", "busy", "busy:1")
    assert box("kill", "busy").stdout == "busy\n"


def test_whoever_dies_lets_the_container_go_on(box: Box, forget: list[str]) -> None:
    """SIGKILL in the middle of a commit: no container stays stopped, and no image is half there."""
    forget.append("left")
    loop = f"dd if=/dev/urandom of=/big bs=1M count=48 2>/dev/null; {COUNTING}"
    box("run", "-d", "--name", "left", "busybox", "/bin/sh", "-c", loop)
    until(lambda: not box("exec", "left", "ls", "/t", check=False).returncode, 20.0)
    images = box("images", "-q").stdout
    for wait in (0.05, 0.1, 0.15, 0.2, 0.3):
        commit = box.start("commit", "left", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        commit.send_signal(signal.SIGKILL)
        commit.wait()
        end = time.monotonic() + 10 * host.SLOW
        while (one := box("exec", "left", "wc", "-c", "/t", check=False)).returncode:
            assert time.monotonic() < end, one.stderr
        while box("exec", "left", "wc", "-c", "/t").stdout == one.stdout:
            assert time.monotonic() < end
    box("commit", "left")  # and clears away what the killed have left
    box("rm", "-f", "left")
    for name in set(box("images", "-q").stdout.split()) - set(images.split()):
        box("rmi", "-f", name)  # one that was quick enough


def test_a_container_is_removed_while_it_stands_still(box: Box, forget: list[str]) -> None:
    forget.append("doomed")
    box("run", "-d", "--name", "doomed", "busybox", "/bin/sh", "-c",
        "dd if=/dev/urandom of=/big bs=1M count=48 2>/dev/null; sleep 1000")  # fmt: skip
    time.sleep(0.5)
    commit = box.start("commit", "doomed", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.15)
    box("rm", "-f", "doomed")
    out, complaint = commit.communicate(timeout=60 * host.SLOW)
    if commit.returncode:
        assert b"removed meanwhile" in complaint or b"no such container" in complaint
        assert out == b""
    else:
        box("rmi", "-f", out.decode().strip())


def test_diff_is_dockers(box: Box, docker: Docker, forget: list[str]) -> None:
    more = "touch /etc; chmod 644 /etc/passwd; mkdir /a; rmdir /a; chown 5 /tmp; mkdir /mnt; touch /mnt/.x"
    for number, script in enumerate((CHANGES, more)):
        name = f"compared-{number}"
        ran(box, forget, name, script)
        docker("run", "--network", "none", "--name", name, "busybox", "/bin/sh", "-c", script)
        theirs = docker("diff", name).stdout.decode().splitlines()
        ours = box("diff", name).stdout.splitlines()
        assert sorted(ours) == sorted(theirs)
        assert len(ours) == len(set(ours))
        position = {line[2:]: n for n, line in enumerate(ours)}
        for path, n in position.items():  # a directory comes before what is in it
            assert position.get(os.path.dirname(path), -1) < n
        docker("rm", name)


def test_the_layer_is_dockers(box: Box, docker: Docker, forget: list[str]) -> None:
    ran(box, forget, "layered", CHANGES)
    forget.append("layered:1")
    box("commit", "layered", "layered:1")
    docker("run", "--network", "none", "--name", "layered", "busybox", "/bin/sh", "-c", CHANGES)
    docker("commit", "layered", "layered:1")
    with tarfile.open(fileobj=io.BytesIO(docker("save", "layered:1").stdout)) as saved:
        manifest = json.load(saved.extractfile("manifest.json"))  # type: ignore[arg-type]
        layer = saved.extractfile(manifest[0]["Layers"][-1])
        assert layer is not None
        theirs = members(layer.read())
    ours = members(top_layer(box, "layered:1"))
    assert list(ours) == sorted(ours, key=lambda name: name.split("/"))
    assert set(ours) == set(theirs)
    for name, member in ours.items():
        other = theirs[name]
        if ".wh." in name:  # docker's are links to each other, as the kernel's are
            assert member.isreg()
            assert member.size == 0
            continue
        assert (member.type, member.linkname) == (other.type, other.linkname), name
        assert (member.uid, member.gid) == (other.uid, other.gid), name
        if name != "tmp/sparse":
            assert (member.mode, member.size) == (other.mode & 0o7777, other.size), name
    docker("rm", "layered")


def test_other_tools_take_the_image(
    box: Box, docker: Docker, forget: list[str], tmp_path: Path
) -> None:
    ran(box, forget, "shared", CHANGES)
    forget.append("shared:1")
    box("commit", "-c", "CMD cat /new/hard", "shared", "shared:1")
    source = f"oci:{box.root}:shared:1"
    subprocess.run(
        [
            "skopeo",
            "copy",
            "-q",
            "--insecure-policy",
            source,
            f"docker-archive:{tmp_path}/a.tar:shared:1",
        ],
        check=True,
    )
    docker("load", "-i", f"{tmp_path}/a.tar")
    done = docker("run", "--rm", "--network", "none", "shared:1")
    assert done.stdout == b"hi\n"
    seen = docker("run", "--rm", "--network", "none", "shared:1", "/bin/sh", "-c",
                  "ls /var /home /usr /etc; stat -c '%a %u' /root /new/file")  # fmt: skip
    mine = box("run", "--rm", "shared:1", "/bin/sh", "-c",
               "ls /var /home /usr /etc; stat -c '%a %u' /root /new/file").stdout  # fmt: skip
    # docker adds a link of its own.
    assert seen.stdout.decode().replace("mtab\n", "") == mine
    docker("rmi", "shared:1")
    subprocess.run(
        ["umoci", "unpack", "--image", f"{box.root}:shared:1", f"{tmp_path}/bundle"],
        check=True, capture_output=True,
    )  # fmt: skip
    root = tmp_path / "bundle" / "rootfs"
    assert (root / "new" / "hard").read_text() == "hi\n"
    assert not (root / "etc" / "group").exists()
    shutil.rmtree(tmp_path / "bundle")


def exported(box: Box, name: str) -> dict[str, tarfile.TarInfo]:
    done = subprocess.run(
        [box.program, "export", name], env=box.environ, capture_output=True, check=True
    )
    return members(done.stdout)


def test_export_is_the_same_running_and_stopped(
    box: Box, docker: Docker, forget: list[str]
) -> None:
    """What is mounted in a container (proc, dev, hosts, binds) is not its own."""
    forget.append("shown")
    with tempfile.TemporaryDirectory() as shared:
        Path(shared, "secret").write_text("of the host")
        flags = ("-v", f"{shared}:/mnt/shared", "-w", "/work", "--init", "--tmpfs", "/scratch")
        script = "echo 1 >/own; touch /scratch/x; sleep 1000"
        box("run", "-d", "--name", "shown", *flags, "busybox", "/bin/sh", "-c", script)
        docker("run", "-d", "--network", "none", "--name", "shown", *flags, "busybox", "/bin/sh", "-c", script)  # fmt: skip
        while "A /own" not in box("diff", "shown").stdout:
            time.sleep(0.02)
        running = exported(box, "shown")
        theirs = members(docker("export", "shown").stdout)
        docker("rm", "-f", "shown")
        box("stop", "-t", "0", "shown")
    stopped = exported(box, "shown")
    assert [m.get_info() for m in running.values()] == [m.get_info() for m in stopped.values()]
    assert "mnt/shared/secret" not in running
    assert "scratch/x" not in running
    assert running["etc/hosts"].size == 0
    # The engine's own mount points, each as it has them.
    assert set(theirs) - set(running) == {
        ".dockerenv",
        "dev/console",
        "etc/mtab",
        "sbin/docker-init",
    }
    assert set(running) - set(theirs) == {"dev/mqueue"}


def test_export_to_a_file_is_whole_or_nothing(box: Box, forget: list[str], tmp_path: Path) -> None:
    ran(box, forget, "filed", "echo 1 >/f")
    target = tmp_path / "out.tar"
    target.write_text("before")
    assert "no such container" in box.fails("export", "-o", str(target), "nope")
    assert target.read_text() == "before"
    box("container", "export", "--output", str(target), "filed")
    assert "f" in members(target.read_bytes())
    assert [p.name for p in tmp_path.iterdir()] == ["out.tar"]
    assert "no space" in box.fails("export", "-o", "/dev/full", "filed")
    box.fails("export", "-o", f"{tmp_path}/none/out.tar", "filed")
    master, terminal = os.openpty()
    done = subprocess.run(
        [box.program, "export", "filed"],
        env=box.environ, stdout=terminal, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(master)
    os.close(terminal)
    assert done.returncode == 125
    assert b"terminal" in done.stderr


def test_what_is_refused(box: Box, forget: list[str]) -> None:
    ran(box, forget, "refused", "touch /.wh.passwd")
    assert "no such container" in box.fails("commit", "nope")
    assert "no such container" in box.fails("diff", "nope")
    assert "invalid reference" in box.fails("commit", "refused", "BAD:x:y")
    assert "unknown instruction" in box.fails("commit", "-c", "RUN x", "refused")
    assert "at most 2" in box.fails("commit", "refused", "a", "b")
    # A file that would remove another in the image.
    assert ".wh.passwd" in box.fails("commit", "refused")
    forget.append("rootless")
    box("create", "--name", "rootless", "--rootfs", "/usr/share/doc", "true")
    assert "fastbox export" in box.fails("commit", "rootless")


def test_a_full_disk_changes_nothing(box: Box, forget: list[str]) -> None:
    """A store on a small file system that the layer does not fit."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as work:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", work], check=True)
        try:
            small = Box(f"{work}/store", box.run_root)
            tar = Path(work, "b.tar")
            with tarfile.open(tar, "w") as archive:
                archive.add("/bin/busybox", "bin/busybox")
            small("import", str(tar), "small")
            tar.unlink()
            small("run", "--name", "filler", "small", "/bin/busybox", "dd", "if=/dev/urandom",
                  "of=/big", "bs=1M", "count=8")  # fmt: skip
            before = sorted(os.listdir(f"{work}/store/blobs/sha256")), small("images", "-q").stdout
            error = small.fails("commit", "filler", "never:1")
            assert "no space" in error
            after = sorted(os.listdir(f"{work}/store/blobs/sha256")), small("images", "-q").stdout
            assert before == after
            small("rm", "filler")
        finally:
            subprocess.run(["umount", work], check=True)


def test_from_python(box: Box, forget: list[str], tmp_path: Path) -> None:
    forget.append("python:1")
    with fastbox.Engine.open() as engine:
        with engine.run("busybox", ["/bin/sleep", "1000"]) as container:
            container.exec(["/bin/sh", "-c", "echo 1 >/own; rm /etc/group"]).check()
            changes = {(c.kind, c.path) for c in container.diff()}
            assert changes == {("A", "/own"), ("C", "/etc"), ("D", "/etc/group")}
            made = container.commit("python:1", author="Ada", message="m", changes=["CMD cat /own"])
            container.export(str(tmp_path / "a.tar"))
            stream = io.BytesIO()
            container.export(stream)
            assert stream.getvalue() == (tmp_path / "a.tar").read_bytes()
            assert "own" in members(stream.getvalue())
            with pytest.raises(InvalidArgument):
                container.commit("no/such:NAME:x")
        with pytest.raises(fastbox.FastboxError):
            container.diff()
        assert engine.images.inspect("python:1")["Id"] == made
    assert box("run", "--rm", "python:1").stdout == "1\n"


def test_two_commits_at_once(box: Box, forget: list[str]) -> None:
    forget += ["both", "both:1", "both:2"]
    box("run", "-d", "--name", "both", "busybox", "/bin/sh", "-c", "echo 1 >/f; sleep 1000")
    running = [box.start("commit", "both", f"both:{n}", stdout=subprocess.DEVNULL) for n in (1, 2)]
    assert [commit.wait() for commit in running] == [0, 0]
    assert box("run", "--rm", "both:2", "cat", "/f").stdout == "1\n"


def conversation(box: Box, name: str) -> Conversation:
    identity = json.loads(box("inspect", name).stdout)[0]["Id"]
    live = json.loads(Path(box.run_root, "containers", identity).read_text())
    return Conversation(box.run_root, live["supervisor"])


def test_what_stands_still(box: Box, forget: list[str]) -> None:
    """The protocol's own rules: one client at a time, no exec meanwhile, the end of the client is the end of it."""
    forget.append("still")
    box(
        "run",
        "-d",
        "--name",
        "still",
        "busybox",
        "/bin/sh",
        "-c",
        COUNTING,
    )
    identity = json.loads(box("inspect", "still").stdout)[0]["Id"]
    freeze = {"op": "freeze", "id": identity, "frozen": True}
    upper = Path(box.root, "containers", identity, "upper", "t")
    with conversation(box, "still") as one, conversation(box, "still") as other:
        one.ask(freeze)
        before = upper.stat().st_size
        with pytest.raises(StateConflict, match="stopped already"):
            other.ask(freeze)
        with pytest.raises(fastbox.FastboxError):
            other.ask(freeze | {"frozen": False})
        assert "stopped while" in box.fails("exec", "still", "true")
        time.sleep(0.1)
        assert upper.stat().st_size == before
        one.ask(freeze | {"frozen": False})
        box("exec", "still", "true")
        other.ask(freeze)
        before = upper.stat().st_size
    end = time.monotonic() + 10 * host.SLOW
    while upper.stat().st_size == before:
        assert time.monotonic() < end
    with pytest.raises(fastbox.FastboxError), conversation(box, "still") as wrong:
        wrong.ask({"op": "freeze", "id": identity})
    with conversation(box, "still") as one:
        one.ask(freeze)
        box("stop", "-t", "0", "still")  # what is to die is let go
    assert json.loads(box("inspect", "still").stdout)[0]["State"]["Running"] is False


def test_a_supervisor_that_dies_meanwhile_leaves_nothing(box: Box, forget: list[str]) -> None:
    forget.append("orphan")
    box("run", "-d", "--name", "orphan", "busybox", "sleep", "1000")
    identity = json.loads(box("inspect", "orphan").stdout)[0]["Id"]
    [pid] = host.supervisors(box.run_root)
    with conversation(box, "orphan") as one:
        one.ask({"op": "freeze", "id": identity, "frozen": True})
        os.kill(pid, signal.SIGKILL)
        state = json.loads(box("inspect", "orphan").stdout)[0]["State"]
        assert (state["Running"], state["ExitCode"]) == (False, 137)
    forget.append("orphan:1")
    box("commit", "orphan", "orphan:1")
    box("rm", "orphan")
