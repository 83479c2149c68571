"""`RUN --mount` of every type: what a step sees, and that nothing of it is in the layer; of secrets, that they are nowhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastbox
from fastbox.builds import Secret, Ssh
from fastbox.errors import FastboxError

from . import buildtool
from .buildtool import build, build_text, changes, context
from .conftest import Box
from .test_build_secrets import agent, secret

__all__ = ["agent", "secret"]  # fixtures
pytestmark = pytest.mark.integration

BUILT = ("built",)


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine
        buildtool.forget(engine)


def only(engine: fastbox.Engine, text: str, wanted: dict[str, str], **options: object) -> None:
    """The layer of the last step has these files, and nothing else."""
    build_text(engine, text, tags=BUILT, **options)
    assert changes(engine, "built") == wanted


# bind

FILES = {
    "a": "A\n",
    "dir/b": "B\n",
    "dir/deep/c": "C\n",
    "hidden/x": "X\n",
    ".dockerignore": "hidden\ndir/deep\n",
}


def test_bind_of_the_context(engine: fastbox.Engine) -> None:
    text = """FROM busybox
RUN --mount=target=/m/n cat /m/n/a /m/n/dir/b > /o; ls -A /m/n > /ls; ls -A /m/n/dir > /ls2
"""
    wanted = {"o": "A\nB\n", "ls": ".dockerignore\nDockerfile\na\ndir\n", "ls2": "b\n"}
    only(engine, text, wanted, files=FILES)
    plain = {name: content for name, content in FILES.items() if name != ".dockerignore"}
    wanted = {"o": "A\nB\n", "ls": "Dockerfile\na\ndir\nhidden\n", "ls2": "b\ndeep\n"}
    only(engine, text, wanted, files=plain)


@pytest.mark.parametrize("ignored", [True, False])
def test_bind_of_parts(engine: fastbox.Engine, ignored: bool) -> None:
    files = {name: text for name, text in FILES.items() if ignored or name != ".dockerignore"}
    text = """FROM busybox
RUN --mount=type=bind,source=dir,target=/m --mount=type=bind,source=a,target=/file \
    cat /m/b /file > /o; ls -A / > /tmp/ls; test -f /file
"""
    build_text(engine, text, files, tags=BUILT)
    found = changes(engine, "built")
    assert found.pop("o") == "B\nA\n"
    assert set(found) == {"tmp", "tmp/ls"}


def test_bind_over_what_is_there(engine: fastbox.Engine) -> None:
    text = """FROM busybox
RUN --mount=source=dir,target=/etc cat /etc/b > /o
RUN --mount=source=a,target=/etc/passwd cat /etc/passwd > /p
RUN test -s /etc/passwd && test ! -e /etc/b
"""
    build_text(engine, text, FILES, tags=BUILT)
    assert buildtool.cat(engine, "built", "/o", "/p") == ["B\n", "A\n"]
    assert "root" in buildtool.cat(engine, "built", "/etc/passwd")[0]


@pytest.mark.parametrize("ignored", [True, False])
def test_bind_that_can_be_written(engine: fastbox.Engine, ignored: bool) -> None:
    """What is written goes; neither the context nor the next step sees it."""
    files = {name: text for name, text in FILES.items() if ignored or name != ".dockerignore"}
    text = """FROM busybox
RUN --mount=target=/m,rw echo new > /m/a; echo more > /m/more; rm -r /m/dir; cat /m/a > /o
RUN --mount=target=/m,rw cat /m/a > /p; test -d /m/dir; test ! -e /m/more
"""
    with context({**files, "Dockerfile": text}) as where:
        build(engine, where, tags=BUILT)
        assert (where / "a").read_text() == "A\n"
        assert (where / "dir/b").exists()
        assert not (where / "more").exists()
    assert buildtool.cat(engine, "built", "/o", "/p") == ["new\n", "A\n"]
    assert changes(engine, "built") == {"p": "A\n"}


def test_bind_is_read_only(engine: fastbox.Engine) -> None:
    text = """FROM busybox AS base
RUN echo base > /base
FROM busybox
RUN --mount=target=/m --mount=from=base,target=/s --mount=from=busybox,target=/i \
    for d in /m /s /i; do \
    (echo x > $d/a) 2> /dev/null && exit 1; (rm $d/bin $d/base) 2> /dev/null && exit 2; \
    mount -o remount,rw $d 2> /dev/null && exit 3; done; true
"""
    with context({**FILES, "Dockerfile": text}) as where:
        build(engine, where, tags=BUILT)
        assert (where / "a").read_text() == "A\n"


def test_bind_of_stages_images_and_contexts(engine: fastbox.Engine) -> None:
    text = """FROM busybox AS one
RUN mkdir -p /d/e; echo e > /d/e/f
RUN echo second > /d/g
FROM scratch AS two
COPY --from=one /d/e/f /f
FROM busybox
RUN --mount=from=one,target=/m cat /m/d/e/f /m/d/g > /o; test -x /m/bin/sh
RUN --mount=from=one,source=/d/e,target=/m cat /m/f > /p; ls /m >> /p
RUN --mount=from=two,source=/f,target=/m cat /m > /q
RUN --mount=from=0,source=d,target=/m cat /m/g > /r
RUN --mount=from=busybox,source=etc/passwd,target=/m grep -c . /m > /s
RUN --mount=from=extra,target=/m cat /m/x > /t
RUN --mount=from=one,target=/m,rw echo new > /m/d/g; cat /m/d/g > /u
RUN --mount=from=one,source=/d/g,target=/m,rw echo new > /m
RUN --mount=from=one,source=/d,target=/m cat /m/g > /v
"""
    with context({"x": "from extra\n"}) as extra:
        build_text(engine, text, tags=BUILT, contexts={"extra": str(extra)})
    found = buildtool.cat(engine, "built", *[f"/{name}" for name in "opqrstuv"])
    assert found == [
        "e\nsecond\n", "e\nf\n", "e\n", "second\n", "2\n", "from extra\n", "new\n", "second\n",
    ]  # fmt: skip
    assert changes(engine, "built") == {"v": "second\n"}


def test_bind_keys(engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN --mount=source=dir,target=/m cat /m/b > /o\n"
    with context({**FILES, "Dockerfile": text}) as where:
        build(engine, where)
        assert not build(engine, where).ran
        (where / "a").write_text("not mounted\n")
        (where / "dir/deep/c").write_text("ignored\n")
        assert not build(engine, where).ran
        (where / "dir/b").write_text("changed\n")
        assert len(build(engine, where, tags=BUILT).ran) == 1
    assert buildtool.cat(engine, "built", "/o") == ["changed\n"]


@pytest.mark.parametrize(
    "mount", ["source=nothing,target=/m", "from=busybox,source=/no/such,target=/m",
              "source=hidden,target=/m"]
)  # fmt: skip
def test_bind_of_nothing(engine: fastbox.Engine, mount: str) -> None:
    with pytest.raises(FastboxError) as caught:
        build_text(engine, f"FROM busybox\nRUN --mount={mount} true\n", FILES)
    assert caught.value.code != "internal"
    buildtool.plain(caught.value)


# cache


def test_cache_is_kept(engine: fastbox.Engine) -> None:
    text = """FROM busybox
ARG n
RUN --mount=type=cache,target=/c/d echo $n >> /c/d/log; cat /c/d/log > /o
"""
    for number in "12":
        build_text(engine, text, tags=BUILT, args={"n": number})
    assert changes(engine, "built") == {"o": "1\n2\n"}
    other = "FROM busybox\nRUN --mount=type=cache,id={},target=/other cat /other/log > /o || true\n"
    build_text(engine, other.format("/c/d"), tags=BUILT)
    assert changes(engine, "built") == {"o": "1\n2\n"}
    build_text(engine, other.format("mine"), tags=BUILT)
    assert changes(engine, "built") == {"o": ""}


def test_cache_owner_and_mode(engine: fastbox.Engine) -> None:
    text = """FROM busybox
USER app
RUN --mount=type=cache,id=o,target=/home/app/.cache,uid=1000,gid=29,mode=0750 \
    touch /home/app/.cache/x; stat -c '%u %g %a' /home/app/.cache > /tmp/o
"""
    build_text(engine, text, tags=BUILT)
    assert buildtool.cat(engine, "built", "/tmp/o") == ["1000 29 750\n"]


def test_cache_begins_with_a_stage(engine: fastbox.Engine) -> None:
    text = """FROM busybox AS seed
RUN mkdir /d; echo seed > /d/s
FROM busybox
RUN --mount=type=cache,from=seed,source=d,target=/c cat /c/s > /o; echo more >> /c/s
RUN --mount=type=cache,from=seed,source=d,target=/c cat /c/s > /p
"""
    build_text(engine, text, tags=BUILT)
    assert buildtool.cat(engine, "built", "/o", "/p") == ["seed\n", "seed\nmore\n"]


def test_cache_read_only(engine: fastbox.Engine) -> None:
    text = """FROM busybox
RUN --mount=type=cache,target=/c echo x > /c/x
RUN --mount=type=cache,target=/c,ro cat /c/x && ! touch /c/y
"""
    build_text(engine, text)


def test_no_cache_keeps_caches(engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c echo x >> /c/log; wc -l < /c/log > /o\n"
    build_text(engine, text)
    build_text(engine, text, tags=BUILT, no_cache=True)
    assert buildtool.cat(engine, "built", "/o") == ["2\n"]


# Two stages meet on a shared cache; what the third mount shows tells how theirs is shared.
MEET = """FROM busybox AS a
RUN --mount=type=cache,target=/s --mount=type=cache,id=t,target=/t,sharing={0} {1}
FROM busybox AS b
RUN --mount=type=cache,target=/s --mount=type=cache,id=t,target=/t,sharing={0} {2}
FROM scratch
COPY --from=a /o /a
COPY --from=b /o /b
"""
WAIT = "i=0; while [ ! -e /s/{0} ]; do i=$((i+1)); [ $i -lt 600 ] || exit 1; sleep 0.05; done"


@pytest.mark.parametrize(("sharing", "seen"), [("shared", "a\nb\n"), ("private", None)])
def test_sharing_at_once(engine: fastbox.Engine, sharing: str, seen: str | None) -> None:
    steps = [
        f"touch /t/{mine} /s/{mine}-1; {WAIT.format(other + '-1')}; ls /t > /o; "
        f"touch /s/{mine}-2; {WAIT.format(other + '-2')}"
        for mine, other in ("ab", "ba")
    ]
    build_text(engine, MEET.format(sharing, *steps), tags=BUILT)
    found = buildtool.cat(engine, "built", "/a", "/b")
    assert found == ([seen, seen] if seen else ["a\n", "b\n"])


def test_sharing_locked(engine: fastbox.Engine) -> None:
    """In two builds: neither ever finds the other's mark."""
    step = "for i in 1 2 3 4 5 6 7 8; do mkdir /t/mark || exit 9; sleep 0.02; rmdir /t/mark; done"
    text = (
        "FROM busybox\nARG n\nRUN --mount=type=cache,id=l,target=/t,sharing=locked " + step + "\n"
    )
    failed: list[BaseException] = []

    def one(number: str) -> None:
        try:
            build_text(engine, text, args={"n": number})
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in "123"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


# tmpfs


def test_tmpfs(engine: fastbox.Engine) -> None:
    text = """FROM busybox
RUN --mount=type=tmpfs,target=/t/u,size=3m echo x > /t/u/x; df -k /t/u | awk 'NR==2 {print $2}' > /o; \
    ! head -c 4000000 /dev/zero > /t/u/big
RUN --mount=type=tmpfs,target=/t/u ls -A /t/u > /p
"""
    build_text(engine, text, tags=BUILT)
    assert buildtool.cat(engine, "built", "/o") == ["3072\n"]
    assert changes(engine, "built") == {"p": ""}


# All of them


def test_mount_points_by_links(engine: fastbox.Engine, secret: Path) -> None:
    """Debian's /var/run is a link to /run."""
    text = """FROM busybox
RUN mkdir -p /run/lock; ln -s /run /var/run; ln -s ../run/lock /var/lock; mkdir /.hidden
RUN --mount=type=secret,id=s,target=/var/run/secrets/s --mount=type=tmpfs,target=/var/lock/x     --mount=type=cache,target=/.hidden/c --mount=type=tmpfs,target=/home/t touch /home/mine
"""
    build_text(engine, text, tags=BUILT, secrets=(Secret(id="s", path=str(secret)),))
    assert changes(engine, "built") == {"home": "", "home/mine": ""}


def test_a_directory_that_the_command_changes_stays(engine: fastbox.Engine) -> None:
    text = """FROM busybox
RUN --mount=type=tmpfs,target=/home/t chmod 711 /home; rm -r /var; mkdir /var
RUN stat -c '%a' /home > /o
"""
    build_text(engine, text, tags=BUILT)
    assert buildtool.cat(engine, "built", "/o") == ["711\n"]


def test_mount_points_leave_nothing(engine: fastbox.Engine, secret: Path, agent: str) -> None:
    text = """FROM busybox
RUN --mount=type=bind,target=/new1/deep/er --mount=type=cache,target=/new2/deep \
    --mount=type=tmpfs,target=/new3 --mount=type=secret,id=s,target=/new4/file \
    --mount=type=ssh,target=/new5/sock --mount=type=bind,source=a,target=/home/file true
RUN --mount=type=tmpfs,target=/new3/deep touch /new3/mine
RUN <<EOF
#!/bin/sh
echo document > /doc
EOF
"""
    options = {"secrets": (Secret(id="s", path=str(secret)),), "ssh": (Ssh(paths=(agent,)),)}
    only(engine, text, {"doc": "document\n"}, files=FILES, **options)
    below = buildtool.layers(engine, "built")[1]
    assert {str(path.relative_to(below)) for path in below.rglob("*")} == {"new3", "new3/mine"}
    assert len(buildtool.layers(engine, "built")) == 3  # the first step has changed nothing


@pytest.mark.parametrize(
    "mount",
    [
        "type=bind,source=../../..,target=/m",
        "type=bind,source=/../../etc,target=/m",
        "type=bind,source=up,target=/m",
        "type=bind,source=abs,target=/m",
        "type=bind,from=stage,source=../../..,target=/m",
        "type=bind,from=stage,source=up,target=/m",
        "type=bind,from=stage,source=abs,target=/m",
        "type=cache,from=stage,source=up,target=/m",
        "type=bind,from=stage,source=up,target=/m,rw",
        "type=bind,source=up,target=/m,rw",
    ],
)
def test_sources_stay_in_their_root(engine: fastbox.Engine, mount: str) -> None:
    """A file of the host that is there, where the paths lead out of the root."""
    with context({"a": "A\n"}) as outside:
        text = f"""FROM busybox AS stage
RUN ln -s ../../../../../../..{outside} /up; ln -s {outside} /abs
FROM busybox
RUN --mount={mount} find /m -name a > /found; find /m -name passwd >> /found
"""
        with context({"Dockerfile": text}) as where:
            os.symlink(f"../../../../../../..{outside}", where / "up")
            os.symlink(outside, where / "abs")
            try:
                build(engine, where, tags=BUILT)
            except FastboxError as error:
                buildtool.refusal(error)
                return
    found = buildtool.cat(engine, "built", "/found")[0].split()
    assert set(found) <= {"/m/etc/passwd", "/m/bin/passwd"}  # a stage's own


@pytest.mark.parametrize("target", ["../../../../t", "/a/../../../t", "link/t", "abs/t"])
def test_targets_stay_in_the_container(engine: fastbox.Engine, target: str) -> None:
    outside = Path("/var/tmp/t")
    assert not outside.exists()
    text = f"""FROM busybox
WORKDIR /w
RUN ln -s ../../../../../../../../var/tmp link; ln -s /var/tmp abs
RUN --mount=type=tmpfs,target={target} --mount=type=cache,target={target}2 mount | grep -q tmpfs
"""
    build_text(engine, text)
    assert not outside.exists()
    assert not Path("/var/tmp/t2").exists()
    assert not Path("/t").exists()
