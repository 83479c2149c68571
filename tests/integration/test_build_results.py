"""What comes of a build: names, labels, files with ids, archives and directories; where contexts and Dockerfiles come from; the command line's forms; equal digests."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastbox
from fastbox.builds import Output
from fastbox.errors import FastboxError, InvalidArgument

from . import buildtool, host
from .buildtool import build, context
from .conftest import Box, busybox_tar

pytestmark = pytest.mark.integration

BUILT = ("built",)
TEXT = """FROM busybox AS base
RUN echo base > /base
FROM base AS other
RUN echo other > /other
FROM base AS last
COPY a /a
LABEL from=file both=file
"""
FILES = {"a": "A\n", "Dockerfile": TEXT}


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine
        buildtool.forget(engine)


@pytest.fixture
def where() -> Iterator[Path]:
    with context(FILES) as where:
        yield where


# Names, labels, files


def test_names_labels_and_files(box: Box, engine: fastbox.Engine, where: Path) -> None:
    box(
        "build", "-t", "built", "-t", "built:two", "-t", "built.example/x/y:z", "--label", "both=flag",
        "--label", "more=1", "--iidfile", str(where / "id"), "--metadata-file", str(where / "meta"),
        str(where),
    )  # fmt: skip
    found = json.loads(box("inspect", "built").stdout)[0]
    assert set(found["RepoTags"]) == {"built:latest", "built:two", "built.example/x/y:z"}
    assert found["Config"]["Labels"] == {"from": "file", "both": "flag", "more": "1"}
    assert (where / "id").read_text() == found["Id"]
    meta = json.loads((where / "meta").read_text())
    assert meta["containerimage.config.digest"] == found["Id"]
    assert meta["containerimage.digest"] == meta["containerimage.descriptor"]["digest"]
    assert "built" in meta["image.name"]
    # A failed build leaves neither an old id nor a name.
    (where / "Dockerfile").write_text("FROM busybox\nRUN false\n")
    assert box("build", "--iidfile", str(where / "id"), str(where), check=False).returncode == 1
    assert not (where / "id").exists()
    box("build", "-t", "built:a", "-t", "not a name", str(where), check=False)
    assert "built:a" not in box("images", "--format", "{{.Repository}}:{{.Tag}}").stdout


def test_targets(box: Box, engine: fastbox.Engine, where: Path) -> None:
    told = build(engine, where, tags=BUILT, target="other")
    assert buildtool.cat(engine, "built", "/other") == ["other\n"]
    assert not any("COPY" in name for name in told.ran)
    assert build(engine, where, target="0").result.image_id
    assert build(engine, where, target="OTHER").result.image_id == told.result.image_id
    with pytest.raises(InvalidArgument, match="othr") as caught:
        build(engine, where, target="othr")
    assert "other" in caught.value.hint


# Outputs


def names_of(tar: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        found = {}
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            found[entry.name.removeprefix("./")] = file.read().decode("latin-1") if file else ""
        return found


def test_files_as_results(box: Box, engine: fastbox.Engine, where: Path) -> None:
    before = box("images", "-aq").stdout
    (where / "Dockerfile").write_text(
        "FROM busybox AS b\nRUN mkdir /d; echo x > /d/x; ln /d/x /y; ln -s y /z\nFROM scratch\nCOPY --from=b /d /d\nCOPY --from=b /y /z /\n"
    )
    box("build", "-o", str(where / "out"), str(where))
    assert (where / "out/d/x").read_text() == "x\n"
    assert (where / "out/z").read_text() == "x\n"  # a link that is named itself is followed
    box("build", "-o", f"type=tar,dest={where}/out.tar", str(where))
    assert names_of((where / "out.tar").read_bytes())["d/x"] == "x\n"
    done = subprocess.run(
        [box.program, "build", "-o", "-", str(where)], env=box.environ, capture_output=True
    )
    assert done.returncode == 0
    assert names_of(done.stdout)["y"] == "x\n"
    assert box("images", "-aq").stdout == before


def test_a_directory_is_not_followed_out(engine: fastbox.Engine) -> None:
    """A link in the place of a directory that the result has."""
    with context(
        {"victim/": "", "out/": "", "Dockerfile": "FROM scratch\nCOPY d /d\n", "d/x": "x"}
    ) as where:
        (where / "out/d").symlink_to(where / "victim")
        try:
            build(engine, where, outputs=(Output(kind="local", target=str(where / "out")),))
        except FastboxError as error:
            buildtool.plain(error)
        assert not list((where / "victim").iterdir())


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_archives(box: Box, engine: fastbox.Engine, where: Path, kind: str) -> None:
    path = where / "image.tar"
    box("build", "-t", "built:1", "-o", f"type={kind},dest={path}", str(where))
    wanted = json.loads(box("inspect", "built:1").stdout)[0]
    source = f"{kind}-archive:{path}"
    done = subprocess.run(["skopeo", "inspect", "--config", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rootfs"]["diff_ids"] == wanted["RootFS"]["Layers"]
    buildtool.forget(engine)
    box("load", "-i", str(path))
    assert json.loads(box("inspect", "built:1").stdout)[0]["Id"] == wanted["Id"]
    assert box("run", "--rm", "built:1", "cat", "/a").stdout == "A\n"
    again = subprocess.run(
        [box.program, "build", "-o", f"type={kind},dest=-", str(where)],
        env=box.environ,
        capture_output=True,
    )
    assert again.returncode == 0, again.stderr
    assert any(name in names_of(again.stdout) for name in ("manifest.json", "index.json"))


def test_outputs_that_cannot_be(box: Box, where: Path) -> None:
    for output in ("type=nothing", "type=tar,dest=/no/such/dir/x", "type=oci,dest=/no/such/dir/x"):
        done = box("build", "-q", "-o", output, str(where), check=False)
        assert done.returncode != 0, output
        assert "Traceback" not in done.stderr
    box("image", "prune", "-f")


# Where it all comes from


def test_dockerfiles_from_elsewhere(box: Box, engine: fastbox.Engine, where: Path) -> None:
    inside = where / "sub/Other.dockerfile"
    inside.parent.mkdir()
    inside.write_text("FROM scratch\nCOPY a /inside\n")
    box("build", "-t", "built", "-f", str(inside), str(where))
    assert buildtool.changes(engine, "built") == {"inside": "A\n"}
    with context({"D": "FROM scratch\nCOPY a /outside\n"}) as outside:
        box("build", "-t", "built", "-f", str(outside / "D"), str(where))
    assert buildtool.changes(engine, "built") == {"outside": "A\n"}
    box("build", "-t", "built", "-f", "-", str(where), stdin=b"FROM scratch\nCOPY a /stdin\n")
    assert buildtool.changes(engine, "built") == {"stdin": "A\n"}
    box("build", "-t", "built", "-", stdin=b"FROM busybox\nRUN echo x > /x\n")
    assert buildtool.changes(engine, "built") == {"x": "x\n"}
    done = box("build", "-f", "-", "-", stdin=b"FROM scratch\n", check=False)
    assert done.returncode != 0
    assert "stdin" in done.stderr


@pytest.mark.parametrize("packed", [False, True])
def test_a_context_from_stdin(box: Box, engine: fastbox.Engine, packed: bool) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in {**FILES, "other": "FROM scratch\nCOPY a /b\n"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    data = gzip.compress(out.getvalue()) if packed else out.getvalue()
    box("build", "-t", "built", "-", stdin=data)
    assert buildtool.cat(engine, "built", "/a") == ["A\n"]
    box("build", "-t", "built", "-f", "other", "-", stdin=data)
    assert buildtool.changes(engine, "built") == {"b": "A\n"}
    cut = box("build", "-", stdin=data[: 40 if packed else 1200], check=False)
    assert cut.returncode != 0
    assert "Traceback" not in cut.stderr


def test_named_contexts(box: Box, engine: fastbox.Engine, where: Path) -> None:
    box("import", "-c", "ENV WHICH=other", "-", "built-other", stdin=busybox_tar())
    text = "FROM base\nCOPY --from=files f /f\nRUN echo $WHICH > /w\n"
    with context({"f": "F\n"}) as files:
        (where / "Dockerfile").write_text(text)
        box(
            "build", "-t", "built", "--build-context", f"files={files}",
            "--build-context", "base=docker-image://built-other", str(where),
        )  # fmt: skip
    assert buildtool.cat(engine, "built", "/f", "/w") == ["F\n", "other\n"]


# Flags


def test_flags_of_steps(box: Box, engine: fastbox.Engine, where: Path) -> None:
    (where / "Dockerfile").write_text(
        "FROM busybox\nRUN grep made.up /etc/hosts > /h; ulimit -n > /n; "
        "df -k /dev/shm | awk 'NR==2 {print $2}' > /s; "
        "{ cat /sys/fs/cgroup/memory.max || cat /sys/fs/cgroup/memory/memory.limit_in_bytes; } 2>&- > /m\n"
    )
    box(
        "build", "-t", "built", "--add-host", "made.up:1.2.3.4", "--ulimit", "nofile=99:99",
        "--shm-size", "8m", "--memory", "64m", str(where),
    )  # fmt: skip
    found = buildtool.cat(engine, "built", "/h", "/n", "/s", "/m")
    assert found[0].split() == ["1.2.3.4", "made.up"]
    assert found[1:] == ["99\n", "8192\n", f"{64 << 20}\n"]


def test_limits_of_processors_and_swap(box: Box, engine: fastbox.Engine, where: Path) -> None:
    one, two = "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"
    (where / "Dockerfile").write_text(
        "FROM busybox\n"
        f"RUN {{ cat {one}/cpu.cfs_quota_us {one}/cpu.cfs_period_us || cat {two}/cpu.max; }} 2>&- | xargs > /quota\n"
        f"RUN {{ cat {one}/cpu.shares || cat {two}/cpu.weight; }} 2>&- > /shares\n"
        "RUN grep Cpus_allowed_list /proc/self/status | cut -f 2 > /cpus; grep Mems_allowed_list /proc/self/status | cut -f 2 > /mems\n"
        f"RUN {{ cat {two}/memory/memory.memsw.limit_in_bytes || cat {two}/memory.swap.max; }} 2>&- > /swap\n"
        "RUN grep Seccomp: /proc/self/status | cut -f 2 > /filter\n"
    )
    box(
        "build", "-t", "built", "--cpu-quota", "50000", "--cpu-period", "100000", "-c", "512",
        "--cpuset-cpus", "0", "--cpuset-mems", "0", "--memory", "64m", "--memory-swap", "96m",
        "--security-opt", "seccomp=unconfined", "--cgroup-parent", "/fastbox-build-test",
        str(where),
    )  # fmt: skip
    found = buildtool.cat(
        engine, "built", "/quota", "/shares", "/cpus", "/mems", "/swap", "/filter"
    )
    assert found[0] == "50000 100000\n"
    assert found[1] in ("512\n", "20\n")  # v1, and what it is on v2
    assert found[2:4] == ["0\n", "0\n"]
    assert found[4] in (
        "",
        f"{96 << 20}\n",
        f"{32 << 20}\n",
    )  # "": a kernel without swap accounting
    assert found[5] == "0\n"
    for path in Path("/sys/fs/cgroup").glob("**/fastbox-build-test"):
        path.rmdir()


def test_platforms(box: Box, engine: fastbox.Engine, where: Path) -> None:
    (where / "Dockerfile").write_text(
        "FROM --platform=$BUILDPLATFORM busybox AS b\nARG TARGETARCH\nRUN echo $TARGETARCH > /x\n"
        "FROM scratch\nCOPY --from=b /x /\n"
    )
    native = json.loads(box("inspect", "busybox").stdout)[0]["Architecture"]
    box("build", "-t", "built", "--platform", f"linux/{native}", str(where))
    assert buildtool.cat(engine, "built", "/x") == [f"{native}\n"]
    foreign = "arm64" if native == "amd64" else "amd64"
    box("build", "-t", "built", "--platform", f"linux/{foreign}", str(where))
    assert json.loads(box("inspect", "built").stdout)[0]["Architecture"] == foreign
    (where / "Dockerfile").write_text('FROM scratch\nCOPY a /\nRUN ["/a"]\n')
    done = box("build", "--platform", f"linux/{foreign}", str(where), check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    done = box("build", "--platform", "no/such/thing/at/all", str(where), check=False)
    assert done.returncode != 0


def test_squash(box: Box, engine: fastbox.Engine, where: Path) -> None:
    text = "FROM busybox\nRUN echo a > /a; echo g > /gone\nCOPY a /b\nRUN rm /gone /etc/group; echo c > /c\n"
    (where / "Dockerfile").write_text(text)
    box("build", "--squash", "-t", "built", str(where))
    assert len(buildtool.layers(engine, "built")) == 2
    found = buildtool.changes(engine, "built")
    assert {name: found[name] for name in "abc"} == {"a": "a\n", "b": "A\n", "c": "c\n"}
    assert "gone" not in found or not (buildtool.layers(engine, "built")[0] / "gone").is_file()
    assert box("run", "--rm", "built", "ls", "/etc").stdout.split() == [
        "hostname",
        "hosts",
        "passwd",
        "resolv.conf",
    ]
    box("system", "check")


def test_pull_asks_what_is_here(box: Box, engine: fastbox.Engine, where: Path) -> None:
    """There are no registries yet: what is here is used, or a clear error."""
    done = box("build", "--pull", str(where), check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("form", ["plain", "json", "quiet", "auto", "tty"])
def test_forms_of_progress(box: Box, engine: fastbox.Engine, where: Path, form: str) -> None:
    done = box("build", f"--progress={form}", str(where), check=False)
    if form == "tty":  # there is no terminal
        assert "Traceback" not in done.stderr
        return
    assert done.returncode == 0
    if form == "json":
        lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
        assert lines
    if form == "quiet":
        assert done.stdout.startswith("sha256:")
        assert not done.stderr


def test_checks(box: Box, engine: fastbox.Engine, where: Path) -> None:
    before = host.snapshot(box.root, box.run_root)
    assert box("build", "--check", str(where)).returncode == 0
    (where / "Dockerfile").write_text("FROM busybox as b\nMAINTAINER x\nRUN false\n")
    done = box("build", "--check", str(where), check=False)
    assert done.returncode == 1
    assert "FromAsCasing" in done.stdout + done.stderr
    assert not host.settle(before, box.root, box.run_root)


def test_graphs(box: Box, engine: fastbox.Engine, where: Path) -> None:
    text = box("build", "--print=graph", str(where)).stdout
    assert "RUN echo base > /base" in text
    assert "COPY a /a" in text
    svg = box("build", "--call", "graph,format=svg", str(where)).stdout
    assert svg.lstrip().startswith("<svg") or "<svg" in svg
    import xml.etree.ElementTree as ElementTree

    ElementTree.fromstring(svg)


# Bit for bit

SAME = """FROM busybox AS one
RUN mkdir /made; for i in {0}; do echo $i > /made/$i; done; ln -s x /made/link; ln /made/1 /made/hard
COPY --chmod=640 tree /tree
FROM busybox
COPY --from=one /made /made
COPY --from=one /tree /tree
WORKDIR /new/dir
ADD archive.tar /added
COPY <<heredoc /inline
text
heredoc
RUN touch -d '2001-02-03 04:05:06' /old; rm -r /home; chmod 700 /made
LABEL a=b
"""


def make_tree(where: Path, order: list[str], shift: int) -> None:
    for name in order:
        path = where / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (where / "tree/link").symlink_to("a")
    for number, path in enumerate(sorted(where.rglob("*"))):
        os.utime(path, (1_700_000_000 + shift + number,) * 2, follow_symlinks=False)


def digests(box: Box, where: Path) -> dict[str, object]:
    meta = where / "meta"
    box(
        "build",
        "-q",
        "-t",
        "built",
        "--metadata-file",
        str(meta),
        str(where),
        SOURCE_DATE_EPOCH="1600000000",
    )
    document = json.loads(meta.read_text())
    data = Path(box.root, "blobs/sha256", document["containerimage.digest"][7:]).read_bytes()
    manifest = json.loads(data)
    return {
        "manifest": document["containerimage.digest"],
        "config": manifest["config"]["digest"],
        "layers": [layer["digest"] for layer in manifest["layers"]],
    }


def test_equal_digests(box: Box, tmp_path: Path) -> None:
    """In two stores, at two times, with files made in another order and at other times."""
    names = ["a", "d/b", "d/e/c", "z", "m"]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("x", "y/z"):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = 1, 1_650_000_000
            tar.addfile(entry, io.BytesIO(b"x"))
    box("save", "-o", str(tmp_path / "base.tar"), "busybox")
    found = []
    for number, order in enumerate((names, names[::-1])):
        mine = Box(str(tmp_path / f"store{number}"), box.run_root)
        mine("load", "-i", str(tmp_path / "base.tar"))
        text = SAME.format("1 2 3")
        with context({"Dockerfile": text, "archive.tar": out.getvalue()}) as where:
            make_tree(where, order, number * 12345)
            found.append(digests(mine, where))
            if number == 0:
                # From the cache, too.
                assert digests(mine, where) == found[0]
                mine(
                    "build",
                    "-q",
                    "--no-cache",
                    "-t",
                    "again",
                    str(where),
                    SOURCE_DATE_EPOCH="1600000000",
                )
                ids = [
                    mine("images", "-q", "--no-trunc", name).stdout for name in ("again", "built")
                ]
                assert ids[0] == ids[1]
        mine("system", "check")
        time.sleep(1.1)  # over the boundary of a second
    assert found[0] == found[1]
