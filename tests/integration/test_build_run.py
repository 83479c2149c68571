"""RUN of builds: its users, shells and documents, how it fails, its rights, and many of them; its mounts are in test_build_mounts.py and test_build_secrets.py."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import fastbox
from fastbox.errors import BuildFailed, DockerfileError, InvalidArgument

from . import buildtool, host
from .buildtool import build_text, changes
from .conftest import Box

pytestmark = pytest.mark.integration

BUILT = ("built",)


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine
        buildtool.forget(engine)


def fails(engine: fastbox.Engine, text: str, **options: object) -> BuildFailed:
    with pytest.raises(BuildFailed) as caught:
        build_text(engine, text, **options)
    buildtool.plain(caught.value)
    return caught.value


def refused(engine: fastbox.Engine, text: str, match: str, **options: object) -> str:
    with pytest.raises((InvalidArgument, DockerfileError), match=match) as caught:
        build_text(engine, text, **options)
    return buildtool.plain(caught.value)


# What runs


def test_forms_of_documents(engine: fastbox.Engine) -> None:
    text = r"""FROM busybox
RUN <<EOF
echo one > /a
echo "two $HOME \$x" >> /a
EOF
RUN <<EOF sh > /b
echo as input
EOF
RUN cat <<A - <<"B" > /c
first $HOME
A
second $HOME
B
RUN <<EOF
#!/bin/awk -f
BEGIN { print "awk", 6 * 7 > "/d" }
EOF
RUN <<-EOF
	echo tabs > /e
	EOF
"""
    build_text(engine, text, tags=BUILT)
    a, b, d, e = buildtool.cat(engine, "built", "/a", "/b", "/d", "/e")
    assert a == "one\ntwo /root $x\n"
    assert b == "as input\n"
    assert d == "awk 42\n"
    assert e == "tabs\n"


def test_shell_and_exec_forms(engine: fastbox.Engine) -> None:
    text = r"""FROM busybox
RUN ["/bin/sh", "-c", "echo \"$0 $1\" > /exec", "zero", "one $HOME"]
SHELL ["/bin/sh", "-e", "-c"]
RUN false || true; echo $- > /flags
SHELL ["/bin/busybox", "echo", "-n"]
RUN one   two; three
"""
    told = build_text(engine, text, tags=BUILT)
    assert buildtool.cat(engine, "built", "/exec") == ["zero one $HOME\n"]
    assert "e" in buildtool.cat(engine, "built", "/flags")[0]
    assert "one   two; three" in told.output
    assert buildtool.config(engine, "built")["Shell"] == ["/bin/busybox", "echo", "-n"]


def test_users_and_directories(engine: fastbox.Engine) -> None:
    text = """FROM busybox
RUN id > /tmp/root
USER app
RUN id > /tmp/app; echo $HOME > /tmp/home; pwd > /tmp/pwd
WORKDIR /home/app/deep
RUN pwd > /tmp/deep
USER 1234:29
RUN id > /tmp/number
USER app:audio
RUN id > /tmp/group
"""
    build_text(engine, text, tags=BUILT)
    names = ("root", "app", "home", "pwd", "deep", "number", "group")
    found = buildtool.cat(engine, "built", *[f"/tmp/{name}" for name in names])
    assert found[0].startswith("uid=0(root) gid=0(root)")
    assert found[1].startswith("uid=1000(app) gid=1000(app)")
    assert found[2:5] == ["/home/app\n", "/\n", "/home/app/deep\n"]
    assert found[5].startswith("uid=1234 gid=29(audio)")
    assert found[6].startswith("uid=1000(app) gid=29(audio)")


def test_an_unknown_user_is_said(engine: fastbox.Engine) -> None:
    with pytest.raises(fastbox.FastboxError, match="nobody-knows") as caught:
        build_text(engine, "FROM busybox\nUSER nobody-knows\nRUN true\n")
    buildtool.plain(caught.value)


def test_streams(engine: fastbox.Engine) -> None:
    told = build_text(engine, "FROM busybox\nRUN echo to-one; echo to-two >&2; printf 'no end'\n")
    assert told.written(1) == "to-one\nno end"
    assert "to-two\n" in told.written(2)


def test_many_bytes_of_output(engine: fastbox.Engine) -> None:
    told = build_text(engine, "FROM busybox\nRUN head -c 5000000 /dev/zero | tr '\\0' x\n")
    assert told.written(1) == "x" * 5_000_000


def test_stdin_is_empty(engine: fastbox.Engine) -> None:
    told = build_text(engine, "FROM busybox\nRUN wc -c\n")
    assert told.written(1).strip() == "0"


# How it fails


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 1", 1), ("exit 77", 77), ("sh -c 'kill -9 $$'; exit $?", 137), ("nothing-there", 127)],
)
def test_codes(engine: fastbox.Engine, command: str, code: int) -> None:
    before = engine.images.list()
    text = f"FROM busybox\nRUN true\n\n# a comment\nRUN echo the last words; {command}\nRUN true\n"
    error = fails(engine, text, tags=BUILT)
    assert error.exit_status == code
    assert error.line == 5
    assert error.step == f"RUN echo the last words; {command}"
    assert "the last words\n" in error.tail
    assert f"exit code: {code}" in str(error)
    assert error.code == "build.failed"
    assert engine.images.list() == before
    assert not engine.containers.list(all=True)


def test_a_program_that_is_not_there(engine: fastbox.Engine) -> None:
    with pytest.raises(fastbox.FastboxError, match="/no/such") as caught:
        build_text(engine, 'FROM busybox\nRUN ["/no/such", "x"]\n')
    buildtool.plain(caught.value)
    assert caught.value.line == 2  # type: ignore[attr-defined]


def test_an_error_with_hostile_words_is_one_line(engine: fastbox.Engine) -> None:
    error = fails(engine, 'FROM busybox\nRUN ["sh", "-c", "exit 3", "\\u001b[2J\\nnew"]\n')
    assert error.exit_status == 3


def test_the_command_line_tells_of_a_failure(box: Box, engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN for i in 1 2 3; do echo line $i; done; exit 9\n"
    with buildtool.context({"Dockerfile": text}) as where:
        done = box("build", "-t", "built", str(where), check=False)
    assert done.returncode == 1
    assert "line 3" in done.stderr
    assert "exit code: 9" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_background_process_ends_with_its_step(engine: fastbox.Engine) -> None:
    """It would write once a file is there, which the next step makes."""
    text = """FROM busybox
RUN --mount=type=cache,target=/c (trap '' TERM HUP; while :; do echo x >> /c/log; sleep 0.05; done) > /dev/null 2>&1 &
RUN --mount=type=cache,target=/c a=$(wc -c < /c/log || echo 0); sleep 0.3; test "$a" = "$(wc -c < /c/log || echo 0)"
"""
    build_text(engine, text)


def test_a_background_process_that_holds_the_output(engine: fastbox.Engine) -> None:
    """The step is over when its command is, as with docker."""
    told = build_text(engine, "FROM busybox\nRUN sleep 1000 & echo started\nRUN echo next\n")
    assert told.written(1) == "started\nnext\n"


# Rights


def test_what_a_step_removes(box: Box, engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN rm -r /home /var /etc/group /etc/passwd; mkdir /var; touch /var/new\n"
    build_text(engine, text, tags=BUILT)
    assert box("run", "--rm", "built", "ls", "/var").stdout == "new\n"
    assert "home" not in box("run", "--rm", "built", "ls", "/").stdout.split()
    box("system", "check")


def test_networks(engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN --network={} ls /sys/class/net | wc -w > /n; hostname > /h\n"
    build_text(engine, text.format("none"), tags=BUILT)
    assert buildtool.cat(engine, "built", "/n") == ["1\n"]
    build_text(engine, text.format("default"), tags=BUILT)
    assert buildtool.cat(engine, "built", "/n") == ["2\n"]
    error = refused(engine, text.format("host"), "--network=host is not allowed")
    assert "allow" in error
    count = len(os.listdir("/sys/class/net"))
    build_text(engine, text.format("host"), tags=BUILT, allow=("network.host",))
    assert int(buildtool.cat(engine, "built", "/n")[0]) >= count - 2
    build_text(engine, "FROM busybox\nRUN ls /sys/class/net > /n\n", tags=BUILT, network="none")
    assert buildtool.cat(engine, "built", "/n") == ["lo\n"]


def test_security(engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN --security={} grep CapEff /proc/self/status > /caps\n"
    refused(engine, text.format("insecure"), "--security=insecure is not allowed")
    build_text(engine, text.format("sandbox"), tags=BUILT)
    plain = buildtool.cat(engine, "built", "/caps")[0]
    build_text(engine, text.format("insecure"), tags=BUILT, allow=("security.insecure",))
    all_of_them = buildtool.cat(engine, "built", "/caps")[0]
    assert int(plain.split()[1], 16).bit_count() < int(all_of_them.split()[1], 16).bit_count()


def test_limits_are_seen(engine: fastbox.Engine) -> None:
    from fastbox.types import Ulimit

    text = """FROM busybox
RUN ulimit -n > /n; df -k /dev/shm | awk 'NR == 2 { print $2 }' > /shm; grep made.up /etc/hosts > /hosts
RUN { cat /sys/fs/cgroup/memory.max || cat /sys/fs/cgroup/memory/memory.limit_in_bytes; } 2> /dev/null > /memory
"""
    build_text(
        engine, text, tags=BUILT, ulimits=(Ulimit(name="nofile", soft=321, hard=654),),
        shm_size=16 << 20, extra_hosts=("made.up:10.9.8.7",), memory=100 << 20,
    )  # fmt: skip
    found = buildtool.cat(engine, "built", "/n", "/shm", "/hosts", "/memory")
    assert found[0] == "321\n"
    assert found[1] == f"{16 << 10}\n"
    assert found[2].split() == ["10.9.8.7", "made.up"]
    assert found[3] == f"{100 << 20}\n"


def test_what_the_engine_puts_in_is_no_part_of_the_layer(engine: fastbox.Engine) -> None:
    """/etc/hosts, resolv.conf and hostname, /dev, /proc and /sys."""
    build_text(engine, "FROM busybox\nRUN echo x > /only\n", tags=BUILT)
    assert changes(engine, "built") == {"only": "x\n"}


# Many


def test_a_deep_build(engine: fastbox.Engine) -> None:
    steps = "".join(f"RUN echo {number} > /f{number}\n" for number in range(120))
    told = build_text(engine, "FROM busybox\n" + steps, tags=BUILT)
    assert len(told.ran) == 120
    assert len(buildtool.layers(engine, "built")) == 121
    names = [f"/f{number}" for number in (0, 59, 119)]
    assert buildtool.cat(engine, "built", *names) == ["0\n", "59\n", "119\n"]
    again = build_text(engine, "FROM busybox\n" + steps, tags=BUILT)
    assert not again.ran
    assert again.result.image_id == told.result.image_id
    # More of it over it, and all of it as a source of files.
    more = build_text(
        engine, "FROM built\nCOPY --from=built /f7 /g\nRUN cat /g /f119 > /h\n", tags=("built:2",)
    )
    assert len(more.ran) == 2
    assert buildtool.cat(engine, "built:2", "/h") == ["7\n119\n"]


def test_a_hundred_layers_of_copies(engine: fastbox.Engine) -> None:
    files = {f"f{number}": f"{number}\n" for number in range(100)}
    steps = "".join(f"COPY {name} /\n" for name in files)
    build_text(engine, "FROM busybox\n" + steps + "RUN cat /f0 /f99 > /all\n", files, tags=BUILT)
    assert buildtool.cat(engine, "built", "/all") == ["0\n99\n"]
    host.quiet(str(os.environ["FASTBOX_RUN"]))


def test_files_are_read_while_they_are_packed(engine: fastbox.Engine) -> None:
    """A stage's last layer is on its way when another stage takes its files: they don't change."""
    made = "i=0; while [ $i -lt 400 ]; do echo $i > /d/$i; i=$((i+1)); done"
    for number in range(3):
        text = f"""FROM busybox AS one
RUN mkdir /d; {made}; echo {number} > /d/number
FROM scratch
COPY --from=one /d /d
"""
        build_text(engine, text, tags=BUILT, args={"SOURCE_DATE_EPOCH": "1600000000"})
        assert buildtool.cat(engine, "built", "/d/number", "/d/399") == [f"{number}\n", "399\n"]
