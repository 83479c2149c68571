"""What a build takes from the cache and what it makes anew; builds at once; what `builder prune` gives back."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fastbox
from fastbox.builds import BuildOptions, Event
from fastbox.errors import BuildFailed
from fastbox.store import filedigests

from . import buildtool, stores
from .buildtool import build, build_text, context
from .conftest import Box, busybox_tar

pytestmark = pytest.mark.integration

BUILT = ("built",)


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine
        buildtool.forget(engine)


# Keys


def test_content_counts_and_times_do_not(engine: fastbox.Engine) -> None:
    text = "FROM busybox\nCOPY a /\nCOPY dir /d/\nRUN cat /a /d/b > /o\n"
    with context({"a": "A", "dir/b": "B", "dir/x/": "", "Dockerfile": text}) as where:
        first = build(engine, where, tags=BUILT)
        for path in where.rglob("*"):
            buildtool.touch(path, 1_000_000_000)
        (where / "other").write_text("in no COPY")
        again = build(engine, where, tags=BUILT)
        assert not again.ran
        assert again.result.image_id == first.result.image_id
        (where / "dir/b").chmod(0o755)
        assert [name.split()[0] for name in build(engine, where).ran] == ["COPY", "RUN"]
        (where / "dir/b").chmod(0o644)
        assert not build(engine, where).ran
        (where / "dir/x/new").touch()
        assert len(build(engine, where).ran) == 2
        (where / "dir/x/new").unlink()
        (where / "a").write_text("B")
        assert len(build(engine, where).ran) == 3


def test_a_file_that_changes_while_a_step_runs(engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN echo now\nCOPY src /src\n"
    with context({"src/file": "old", "Dockerfile": text}) as where:

        def watch(event: Event) -> None:
            if event.kind == "output":
                (where / "src/file").write_text("of a later time")

        engine.builds.build(BuildOptions(context=str(where), tags=BUILT), watch)
        assert buildtool.cat(engine, "built", "/src/file") == ["of a later time"]


def test_what_is_kept_of_a_context_is_what_was_read(
    engine: fastbox.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(where: Path) -> Path:
        status = where.stat()
        name = f"{status.st_dev:x}-{status.st_ino:x}"
        return Path(os.environ["FASTBOX_ROOT"], "build/digests", name)

    text = "FROM busybox\nCOPY dir /d/\nCOPY --from=more c /d/\n"
    files = {"dir/a": "A", "dir/b": "B", "Dockerfile": text}
    with context(files) as where, context({"c": "C"}) as more:
        wishes: dict[str, Any] = {"contexts": {"more": str(more)}, "tags": BUILT}
        build(engine, where, **wishes)
        assert not kept(where).exists()  # of files that were changed just now
        monkeypatch.setattr(filedigests, "_SETTLED_NS", 0)
        assert not build(engine, where, **wishes).ran
        assert kept(where).stat().st_size == 32 + 2 * 72
        assert kept(more).stat().st_size == 32 + 72
        assert not build(engine, where, **wishes).ran
        before = (where / "dir/a").stat()
        (where / "dir/a").write_text("D")
        os.utime(where / "dir/a", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert len(build(engine, where, **wishes).ran) == 2
        assert buildtool.cat(engine, "built", "/d/a", "/d/b", "/d/c") == ["D", "B", "C"]
        kept(where).write_bytes(bytes(kept(where).stat().st_size))
        assert not build(engine, where, **wishes).ran
        build(engine, where, **wishes, no_cache=True)
        assert kept(where).stat().st_size == 32 + 2 * 72  # nothing of before
        engine.builds.prune(all=True)
        assert not kept(where).exists()


def test_names_and_kinds_count(engine: fastbox.Engine) -> None:
    text = "FROM busybox\nCOPY dir /d/\n"
    with context({"dir/a": "A", "Dockerfile": text}) as where:
        build(engine, where)
        (where / "dir/a").rename(where / "dir/b")
        assert len(build(engine, where).ran) == 1
        (where / "dir/c").symlink_to("b")
        assert len(build(engine, where).ran) == 1
        (where / "dir/c").unlink()
        (where / "dir/c").symlink_to("other")
        assert len(build(engine, where).ran) == 1
        (where / "dir/c").unlink()
        (where / "dir/c").mkdir()
        assert len(build(engine, where).ran) == 1
        assert not build(engine, where).ran


def test_arguments(engine: fastbox.Engine) -> None:
    text = """FROM busybox
ARG first=1
RUN echo one
ARG second
RUN echo two
"""
    build_text(engine, text)
    assert build_text(engine, text, args={"second": "x"}).ran == ["RUN echo two"]
    assert len(build_text(engine, text, args={"first": "x"}).ran) == 2
    assert not build_text(engine, text, args={"first": "1"}).ran
    # No stage declares it; a warning, and nothing else.
    assert not build_text(engine, text, args={"third": "x"}).ran
    # Proxies are there for every RUN, and no part of its key.
    assert not build_text(engine, text, args={"HTTP_PROXY": "http://x.invalid"}).ran


def test_the_order_of_variables(engine: fastbox.Engine) -> None:
    text = "FROM busybox\nENV {}=1 {}=2\nRUN env\n"
    build_text(engine, text.format("A", "B"))
    assert not build_text(engine, "FROM busybox\nENV B=2\nENV A=1\nRUN env\n").ran
    assert build_text(engine, text.format("B", "A")).ran


def test_configuration_keeps_files(engine: fastbox.Engine) -> None:
    text = "FROM busybox\n{}\nRUN echo x > /x\nCOPY a /\n"
    build_text(engine, text.format("LABEL a=b"), {"a": "A"})
    for line in (
        "LABEL a=c",
        'CMD ["x"]',
        "EXPOSE 80",
        "ENTRYPOINT x",
        "STOPSIGNAL 9",
        "VOLUME /v",
    ):
        assert not build_text(engine, text.format(line), {"a": "A"}).ran, line
    for line in ("USER root", "WORKDIR /tmp", "ENV A=b", 'SHELL ["/bin/sh", "-ec"]'):
        assert build_text(engine, text.format(line), {"a": "A"}).ran, line


def test_files_of_a_changed_stage_that_are_the_same(engine: fastbox.Engine) -> None:
    text = """FROM busybox AS one
RUN echo same > /x; echo {} > /y
FROM busybox
COPY --from=one /x /
RUN cat /x > /z
"""
    build_text(engine, text.format(1))
    assert len(build_text(engine, text.format(2)).ran) == 1


def test_a_failing_step_keeps_those_before(engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN echo a > /a\nCOPY a /b\nRUN {}\n"
    with pytest.raises(BuildFailed):
        build_text(engine, text.format("false"), {"a": "A"})
    assert build_text(engine, text.format("true"), {"a": "A"}).ran == ["RUN true"]
    with pytest.raises(BuildFailed):  # a failure is no result
        build_text(engine, text.format("false"), {"a": "A"})


def test_without_a_name(box: Box, engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN echo x > /x\nLABEL n=1\n"
    first = build_text(engine, text)
    assert first.result.image_id
    assert not first.result.tags
    infos = engine.images.list()
    assert [i.repository for i in infos if i.id == first.result.image_id] == ["<none>"]
    named = build_text(engine, text, tags=BUILT)
    assert named.result.image_id == first.result.image_id
    assert [i.repository for i in engine.images.list() if i.id == first.result.image_id] == [
        "built"
    ]
    assert box("run", "--rm", first.result.image_id, "cat", "/x").stdout == "x\n"
    # The name moves, and the old one stays without.
    other = build_text(engine, text.replace("n=1", "n=2"), tags=BUILT)
    names = {i.id: i.repository for i in engine.images.list()}
    assert names[other.result.image_id] == "built"
    assert names[first.result.image_id] == "<none>"


def test_no_cache(engine: fastbox.Engine) -> None:
    text = """FROM busybox AS one
RUN cat /proc/sys/kernel/random/uuid > /a
FROM busybox AS two
RUN cat /proc/sys/kernel/random/uuid > /b
FROM scratch
COPY --from=one /a /
COPY --from=two /b /
"""

    def made(**options: object) -> list[str]:
        build_text(engine, text, tags=BUILT, **options)
        return buildtool.cat(engine, "built", "/a", "/b")

    first = made()
    assert made() == first
    a, b = made(no_cache=True)
    assert a != first[0]
    assert b != first[1]
    assert made() == [a, b]  # what was made last counts
    other = made(no_cache_filter=("two",))
    assert other[0] == a
    assert other[1] != b


def test_the_same_base_by_another_name(engine: fastbox.Engine) -> None:
    build_text(engine, "FROM busybox\nRUN echo x\n")
    engine.images.tag("busybox", "built-base:1")
    assert not build_text(engine, "FROM built-base:1\nRUN echo x\n").ran


# Builds at once


def test_two_builds_of_the_same_step(engine: fastbox.Engine) -> None:
    """One makes it, the other waits for it; a third step of each tells them apart."""
    text = """FROM busybox
RUN --mount=type=cache,id=once,target=/c echo x >> /c/log; sleep 0.5; cp /c/log /log
RUN echo {} > /who
"""
    results: dict[int, buildtool.Told] = {}

    def one(number: int) -> None:
        tags = (f"built{number}",)
        results[number] = build_text(engine, text.format(number), tags=tags)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(told.ran) for told in results.values()) == [1, 1, 2]
    for number in range(3):
        found = buildtool.cat(engine, f"built{number}", "/log", "/who")
        assert found == ["x\n", f"{number}\n"]


def begin(box: Box, where: Path, *words: str) -> subprocess.Popen[bytes]:
    return box.start(
        "build", "--progress=plain", *words, str(where),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def wait_for(client: subprocess.Popen[bytes], what: bytes) -> None:
    assert client.stderr is not None
    for line in client.stderr:
        if what in line:
            return
    raise AssertionError(f"it never said {what!r}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_waiting_build_goes_on_when_the_other_is_killed(
    box: Box, engine: fastbox.Engine, number: signal.Signals
) -> None:
    text = """FROM busybox
RUN --mount=type=cache,id=gate,target=/c \
    if [ -e /c/second ]; then echo made > /made; else touch /c/second; echo be''gun; sleep 1000; fi
"""
    with context({"Dockerfile": text}) as where:
        first = begin(box, where, "-t", "built:first")
        wait_for(first, b" begun")  # its output, not its text
        second = begin(box, where, "-t", "built:second")
        wait_for(second, b"[2/2] RUN")
        time.sleep(0.3)
        assert second.poll() is None
        os.killpg(first.pid, number)
        first.wait(30)
        _, rest = second.communicate(timeout=60)
        assert second.returncode == 0, rest
        assert first.stderr is not None
        first.stderr.close()
    assert buildtool.cat(engine, "built:second", "/made") == ["made\n"]
    assert "built:first" not in stores.names(box)
    box("ps", "-a")


def test_prune_during_a_build(box: Box, engine: fastbox.Engine) -> None:
    """It takes nothing away that the build still needs."""
    text = "FROM busybox\n" + "".join(f"RUN echo {n} > /f{n}; sleep 0.1\n" for n in range(15))
    stop = threading.Event()
    failed: list[BaseException] = []

    def pruning() -> None:
        with fastbox.Engine.open() as other:
            while not stop.is_set():
                try:
                    other.builds.prune(all=True)
                    other.images.prune()
                except BaseException as error:
                    failed.append(error)
                    return

    thread = threading.Thread(target=pruning)
    thread.start()
    try:
        for _ in range(3):
            build_text(engine, text, tags=BUILT)
    finally:
        stop.set()
        thread.join()
    assert not failed
    names = [f"/f{number}" for number in range(15)]
    assert buildtool.cat(engine, "built", *names) == [f"{number}\n" for number in range(15)]
    box("system", "check")


# What is given back


def disk(box: Box) -> int:
    done = subprocess.run(["du", "-sk", box.root], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[0])


def test_prune(box: Box, engine: fastbox.Engine) -> None:
    before, used = stores.content(box), disk(box)
    big = "head -c 3000000 /dev/urandom"
    text = f"""FROM busybox
RUN {big} > /kept
"""
    other = f"""FROM busybox
RUN {big} > /a
RUN --mount=type=cache,target=/c {big} > /c/a
"""
    build_text(engine, text, tags=BUILT)
    build_text(engine, other)
    assert disk(box) > used + 12_000
    # The image without a name has its layers: they are not the cache's alone.
    box("image", "prune", "-f")
    reclaimed = engine.builds.prune()
    assert reclaimed.reclaimed > 8_000_000
    assert disk(box) < used + 7_000
    assert not build_text(engine, text, tags=BUILT).ran
    assert len(buildtool.layers(engine, "built")) == 2
    assert "0B" in box("builder", "prune", "-f").stdout
    box("builder", "prune", "-af")
    assert len(build_text(engine, text, tags=BUILT).ran) == 1
    buildtool.forget(engine)
    assert stores.content(box) == before
    assert disk(box) < used + 200


def test_prune_keeps_what_was_used_last(box: Box, engine: fastbox.Engine) -> None:
    for number in range(4):
        build_text(engine, f"FROM busybox\nRUN head -c 1000000 /dev/urandom > /f{number}\n")
    box("image", "prune", "-f")
    steps = sorted(Path(box.root, "build/steps").iterdir(), key=lambda path: path.stat().st_mtime)
    assert steps
    box("builder", "prune", "-f", "--keep-storage", "5MB")
    ran = [
        len(
            build_text(engine, f"FROM busybox\nRUN head -c 1000000 /dev/urandom > /f{number}\n").ran
        )
        for number in (3, 0)
    ]
    assert ran == [0, 1]


def test_prune_until(box: Box, engine: fastbox.Engine) -> None:
    build_text(engine, "FROM busybox\nRUN echo old > /old\n")
    for record in Path(box.root, "build/steps").glob("*/record.json"):
        buildtool.touch(record, int(time.time()) - 7200)
    build_text(engine, "FROM busybox\nRUN echo new > /new\n")
    box("builder", "prune", "-af", "--filter", "until=1h")
    assert not build_text(engine, "FROM busybox\nRUN echo new > /new\n").ran
    assert build_text(engine, "FROM busybox\nRUN echo old > /old\n").ran


def test_prune_of_what_lies_below(box: Box, engine: fastbox.Engine) -> None:
    """Of three layers the lowest step is forgotten: those above are of no use until it is made."""
    text = "FROM busybox\nRUN echo 1 > /a\nRUN echo 2 > /b\nRUN echo 3 > /c\n"
    build_text(engine, text)
    box("image", "prune", "-f")
    steps = Path(box.root, "build/steps")
    for record in steps.glob("*/record.json"):
        if "echo 1" in record.read_text():
            buildtool.touch(record, int(time.time()) - 7200)
    box("builder", "prune", "-af", "--filter", "until=1h")
    build_text(engine, text, tags=BUILT)
    assert buildtool.cat(engine, "built", "/a", "/b", "/c") == ["1\n", "2\n", "3\n"]
    box("system", "check")


def test_the_base_goes_and_comes_back(box: Box, engine: fastbox.Engine) -> None:
    data = busybox_tar() + bytes(512)
    box("import", "-", "built-base", stdin=data)
    with context({"Dockerfile": "FROM built-base\nRUN echo x > /x\n"}) as where:
        box("save", "-o", str(where / "base.tar"), "built-base")
        first = build(engine, where, tags=BUILT)
        box("rmi", "built-base")
        with pytest.raises(fastbox.FastboxError, match="built-base"):
            build(engine, where)
        assert box("run", "--rm", "built", "cat", "/x").stdout == "x\n"
        box("load", "-i", str(where / "base.tar"))
        again = build(engine, where, tags=BUILT)
        assert not again.ran
        assert again.result.image_id == first.result.image_id
