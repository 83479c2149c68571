"""Dockerfiles and contexts of people who mean ill: a clear error or the safe meaning, and nothing left behind."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastbox
from fastbox.errors import FastboxError

from . import buildtool
from .buildtool import build, build_text, context
from .conftest import Box

pytestmark = pytest.mark.integration

BUILT = ("built",)


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine
        buildtool.forget(engine)


def refused(engine: fastbox.Engine, where: Path | str, **options: object) -> FastboxError:
    """The error: one line, with a code of ours."""
    with pytest.raises(FastboxError) as caught:
        build(engine, where, **options)
    error = caught.value
    assert error.code != "internal"
    buildtool.plain(error)
    return error


def refused_text(
    engine: fastbox.Engine, text: str, files: buildtool.Files | None = None
) -> FastboxError:
    with context({**(files or {}), "Dockerfile": text}) as where:
        return refused(engine, where)


# Sources of COPY


@pytest.mark.parametrize(
    "source", ["../..", "../../etc/passwd", "/../../../etc/passwd", "a/../../../etc/passwd"]
)
def test_dots_stay_in_the_context(engine: fastbox.Engine, source: str) -> None:
    files = {
        "a/x": "",
        "etc/passwd": "of the context",
        "Dockerfile": f"FROM scratch\nCOPY {source} /o/\n",
    }
    with context(files) as where:
        build(engine, where, tags=BUILT)
    found = buildtool.changes(engine, "built")
    assert found.get("o/passwd", found.get("o/etc/passwd")) == "of the context"


@pytest.mark.parametrize("form", ["COPY {0} /o", "ADD {0} /o", "COPY {0}/ /o/"])
@pytest.mark.parametrize("target", ["/etc", "../../../../../../../../etc"])
def test_links_stay_in_the_context(engine: fastbox.Engine, form: str, target: str) -> None:
    with context({"Dockerfile": "FROM scratch\n" + form.format("link") + "\n"}) as where:
        (where / "link").symlink_to(target)
        refused(engine, where)
        (where / "etc").mkdir()
        (where / "etc/hosts").write_text("of the context")
        build(engine, where, tags=BUILT)
    assert "of the context" in buildtool.changes(engine, "built").values()


def test_a_link_within_a_directory_is_a_link(engine: fastbox.Engine) -> None:
    with context({"d/x": "x", "Dockerfile": "FROM scratch\nCOPY d /d\n"}) as where:
        (where / "d/link").symlink_to("/etc/shadow")
        build(engine, where, tags=BUILT)
    assert os.readlink(buildtool.layers(engine, "built")[0] / "d/link") == "/etc/shadow"


def test_targets_that_are_links_stay_in_the_image(engine: fastbox.Engine) -> None:
    outside = Path("/var/tmp/written")
    assert not outside.exists()
    text = """FROM busybox
RUN ln -s /var/tmp /abs; ln -s ../../../../../../var/tmp /rel; ln -s /loop /loop
COPY a /abs/written
COPY a /rel/written
WORKDIR /rel/made
ADD a .
COPY <<written /abs/
x
written
"""
    build_text(engine, text, {"a": "A"}, tags=BUILT)
    assert not outside.exists()
    assert buildtool.cat(engine, "built", "/var/tmp/written", "/var/tmp/made/a") == ["x\n", "A"]
    assert refused_text(engine, text + "COPY a /loop/x\n", {"a": "A"}).code


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_special_files(engine: fastbox.Engine, kind: str) -> None:
    """In a directory they are what an archive can hold of them; nothing ever waits for one."""
    text = "FROM busybox\nCOPY . /d\nRUN --mount=target=/m test -f /d/x && test -f /m/x\n"
    with context({"x": "x", "Dockerfile": text}) as where:
        if kind == "fifo":
            os.mkfifo(where / "s")
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(where / "s"))
        else:
            os.mknod(where / "s", 0o600 | 0o020000, os.makedev(1, 5))
        try:
            build(engine, where, tags=BUILT)
        except FastboxError as error:
            buildtool.plain(error)
        (where / "Dockerfile").write_text("FROM scratch\nADD s /s\n")
        try:
            build(engine, where)
        except FastboxError as error:
            buildtool.plain(error)


# A context that changes meanwhile

GATE = "RUN --mount=type=cache,id=gate,target=/c echo begun; while [ ! -e /c/go ]; do sleep 0.02; done; rm /c/go\n"


def test_a_directory_that_becomes_a_link(box: Box, engine: fastbox.Engine) -> None:
    """While a step before runs; by then nothing of it has been looked at, or all."""
    text = "FROM busybox\n" + GATE + "COPY d /d\nRUN --mount=source=d,target=/m ls -A /m > /ls\n"
    with context({"d/x": "x", "Dockerfile": text}) as where:
        (where / "secret").mkdir()

        def swap(event: fastbox.builds.Event) -> None:
            if event.kind == "output" and b"begun" in event.data:
                (where / "d").rename(where / "away")
                (where / "d").symlink_to("/etc")
                for cache in Path(box.root, "build/mounts").glob("*/data"):
                    (cache / "go").touch()

        options = fastbox.builds.BuildOptions(context=str(where), tags=BUILT)
        try:
            engine.builds.build(options, swap)
        except FastboxError as error:
            buildtool.refusal(error)
            return
    for layer in buildtool.layers(engine, "built")[:-1]:
        assert not (layer / "d/passwd").exists()
        assert "passwd" not in (layer / "ls").read_text() if (layer / "ls").exists() else True


def test_files_that_change_all_the_time(engine: fastbox.Engine) -> None:
    """Either a file as it was at one time, or one line that says what happened."""
    size = 3_000_000
    text = "FROM scratch\nCOPY d /d\n"
    stop, said = threading.Event(), list[str]()
    with context({"d/f": "0" * size, "Dockerfile": text}) as where:

        def change() -> None:
            number = 0
            while not stop.is_set():
                number = (number + 1) % 10
                (where / "d/f").write_text(str(number) * (size + number))
                time.sleep(0.001)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(10):
                try:
                    told = build(engine, where, tags=BUILT)
                except FastboxError as error:
                    said.append(buildtool.refusal(error))
                else:
                    assert told.result.image_id
        finally:
            stop.set()
            thread.join()
    assert all("chang" in line for line in said), said


# Dockerfiles


def test_a_line_of_a_megabyte(engine: fastbox.Engine) -> None:
    error = refused_text(engine, "FROM busybox\nRUN " + "x" * (2 << 20) + "\n")
    assert len(str(error)) < 1000
    error = refused_text(engine, "FROM busybox\n" + "Y" * (1 << 20) + " x\n")
    assert len(str(error)) < 1000


def test_ten_thousand_stages(engine: fastbox.Engine) -> None:
    """Only what the target needs is built; a chain of them is no recursion."""
    text = "".join(f"FROM scratch AS s{n}\nLABEL n={n}\n" for n in range(10_000))
    with context({"Dockerfile": text}) as where:
        try:
            told = build(engine, where, tags=BUILT)
            assert told.result.image_id
        except FastboxError as error:
            buildtool.plain(error)
    chain = "FROM scratch AS s0\nCOPY a /\n" + "".join(
        f"FROM s{n - 1} AS s{n}\nLABEL n={n}\n" for n in range(1, 3000)
    )
    with context({"a": "A", "Dockerfile": chain}) as where:
        try:
            build(engine, where, tags=BUILT)
        except FastboxError as error:
            buildtool.plain(error)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("FROM nothing-has-this AS nothing-has-this\n", "nothing-has-this"),
        ("FROM zb AS a\nFROM a AS zb\n", "zb"),
        (
            "FROM busybox AS a\nCOPY --from=b /x /\nFROM busybox AS b\nCOPY --from=a /x /\n",
            "circular",
        ),
        ("FROM busybox AS a\nCOPY --from=b /x /\nFROM a AS b\n", "circular"),
        ("FROM busybox AS a\nRUN --mount=from=b,target=/m true\nFROM a AS b\n", "circular"),
        ("FROM busybox AS a\nCOPY --from=a /x /\n", "itself"),
        ("FROM busybox\nCOPY --from=0 /x /\n", "itself"),
        *((f"FROM busybox\nCOPY --from={n} /x /\n", f"no stage {n}") for n in range(1, 10)),
        ("FROM busybox\nRUN --mount=from=1,target=/m true\n", "no stage 1"),
        ("FROM busybox\nCOPY --from=999999999999999999999 /x /\n", "9"),
        ("FROM busybox\nCOPY --from=no-such-stage /x /\n", "no-such-stage"),
        ("FROM busybox\nRUN --mount=from=no-such-stage,target=/m true\n", "no-such-stage"),
        ("FROM busybox\nRUN --mount=type=tmpfs,target=/ true\n", "/"),
        ("FROM busybox\nRUN --mount=type=tmpfs,target=/a/.. true\n", "/"),
        ("FROM busybox\nRUN --mount=type=cache,target=../.. true\n", "/|mount"),
        ("", "no|empty"),
        ("\n#only\n", "no|empty"),
        ("FROM\n", "FROM"),
        ("FROM busybox AS 0\n", "0"),
        (
            "FROM busybox AS a\nFROM busybox AS a\nFROM scratch\nCOPY --from=a /bin/sh /\nRUN\n",
            "RUN",
        ),
    ],
)
def test_graphs_that_cannot_be(engine: fastbox.Engine, text: str, match: str) -> None:
    with context({"Dockerfile": text}) as where, pytest.raises(FastboxError, match=match) as caught:
        build(engine, where)
    assert caught.value.code != "internal"
    buildtool.plain(caught.value)


def test_triggers_that_name_a_stage(engine: fastbox.Engine) -> None:
    """ONBUILD of a base image may mean a stage of whoever uses it."""
    base = (
        "FROM busybox\nONBUILD COPY --from=assets /x /from-assets\nONBUILD RUN cat /from-assets\n"
    )
    build_text(engine, base, tags=("built-base",))
    text = "FROM busybox AS assets\nRUN echo assets > /x\nFROM built-base\n"
    build_text(engine, text, tags=BUILT)
    assert buildtool.cat(engine, "built", "/from-assets") == ["assets\n"]
    error = refused_text(engine, "FROM built-base\nFROM busybox AS assets\nFROM built-base\n")
    assert error.code


def test_names_that_are_escape_sequences(box: Box, engine: fastbox.Engine) -> None:
    """In files, stages, labels and errors: a terminal gets nothing that it would act on."""
    name = "a\x1b[2J\x1b]0;owned\x07\nb"
    files = {name: "x", "d/" + name: "y", "Dockerfile": "FROM busybox\nCOPY . /d\nRUN ls /d\n"}
    with context(files) as where:
        build(engine, where, tags=BUILT)
        text = f'FROM busybox\nCOPY ["{name.splitlines()[0]}", "/"]\nRUN \x1b[2Jtrue\n'
        (where / "Dockerfile").write_text(text)
        done = box("build", str(where), check=False)
        assert done.returncode != 0
        assert "\x1b" not in done.stderr + done.stdout
        assert "\x07" not in done.stderr + done.stdout
        (where / "Dockerfile").write_text("FROM busybox\nRUN echo \x1b[2J; exit 3\n")
        done = box("build", "--progress=plain", str(where), check=False)
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert "\x1b" not in last


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "link out", "big", "none", "socket"])
def test_dockerfiles_that_are_none(engine: fastbox.Engine, kind: str) -> None:
    with context({"x": "x"}) as where:
        path = where / "Dockerfile"
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("Dockerfile")
        elif kind == "link out":
            path.symlink_to("/etc/passwd")
        elif kind == "big":
            path.write_text("# " + "x" * 78 + "\n")
            with path.open("ab") as file:
                file.truncate(16 << 20)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
        error = refused(engine, where)
        assert "root:" not in str(error)
        assert "root:" not in str(getattr(error, "detail", ""))


def test_an_ignore_file_of_many_patterns(engine: fastbox.Engine) -> None:
    patterns = [f"**/x{n}*/?[a-c]*{n}" for n in range(5000)] + ["hidden", "!hidden/not"]
    files = {f"d{n}/f{m}": "" for n in range(20) for m in range(10)}
    files |= {"hidden/a": "", "hidden/not": "", ".dockerignore": "\n".join(patterns)}
    files["Dockerfile"] = "FROM scratch\nCOPY . /\n"
    with context(files) as where:
        try:
            build(engine, where, tags=BUILT)
        except FastboxError as error:
            buildtool.plain(error)
            return
    found = buildtool.changes(engine, "built")
    assert "hidden/not" in found
    assert "hidden/a" not in found


def test_patterns_that_explode(engine: fastbox.Engine) -> None:
    """A pattern without a match copies nothing, and takes no time."""
    pattern = "*a" * 40 + "b"
    files = {
        "a" * 200: "",
        "Dockerfile": f"FROM scratch\nCOPY {pattern} /\n",
        ".dockerignore": "**/" * 50 + pattern,
    }
    with context(files) as where:
        build(engine, where, tags=BUILT)


# Archives


def archive(*entries: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for entry in entries:
            tar.addfile(entry, io.BytesIO(b"x" * entry.size))
    return out.getvalue()


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0
) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


HOSTILE = {
    "dots": [entry("../../../../../../var/tmp/evil", size=1)],
    "absolute": [entry("/var/tmp/evil", size=1)],
    "link": [entry("l", tarfile.SYMTYPE, "/var/tmp"), entry("l/evil", size=1)],
    "dots in a link": [
        entry("l", tarfile.SYMTYPE, "../../../../../var/tmp"),
        entry("l/evil", size=1),
    ],
    "hard link": [entry("l", tarfile.LNKTYPE, "/etc/passwd")],
    "hard link of dots": [entry("l", tarfile.LNKTYPE, "../../../../etc/passwd")],
    "whiteout": [entry(".wh.bin"), entry("d/.wh..wh..opq")],
    "device": [entry("dev", tarfile.BLKTYPE)],
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("how", ["ADD", "context"])
def test_archives(engine: fastbox.Engine, what: str, how: str) -> None:
    evil = Path("/var/tmp/evil")
    assert not evil.exists()
    data = archive(*HOSTILE[what])
    try:
        if how == "ADD":
            text = "FROM busybox\nADD a.tar /o/\nRUN test -x /bin/sh\n"
            build_text(engine, text, {"a.tar": data}, tags=BUILT)
        else:
            whole = archive(*HOSTILE[what])
            out = io.BytesIO(whole)
            with tarfile.open(fileobj=out, mode="a") as tar:
                text = b"FROM busybox\nCOPY . /o/\nRUN test -x /bin/sh\n"
                file = tarfile.TarInfo("Dockerfile")
                file.size = len(text)
                tar.addfile(file, io.BytesIO(text))
            out.seek(0)
            build(engine, "-", stdin=out, tags=BUILT)
    except FastboxError as error:
        buildtool.refusal(error)
    else:
        for layer in buildtool.layers(engine, "built")[:-1]:
            for path in layer.rglob("l"):
                if path.is_file() and not path.is_symlink():
                    assert "root:x" not in path.read_text()
    assert not evil.exists()
