"""Secrets and ssh agents of a RUN: what it sees of them, and that they are nowhere else."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastbox
from fastbox.builds import BuildOptions, Event, Secret, Ssh
from fastbox.errors import BuildFailed, FastboxError, NotFound

from . import buildtool
from .buildtool import build_text, context
from .conftest import Box

pytestmark = pytest.mark.integration

BUILT = ("built",)


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine
        buildtool.forget(engine)


# secret

SECRET = "hunter2-is-what-nobody-may-find"


@pytest.fixture
def secret() -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(dir="/var/tmp", prefix="test-secret-") as file:
        file.write(SECRET.encode())
        file.flush()
        yield Path(file.name)


def test_secrets(engine: fastbox.Engine, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET", "of a variable")
    text = """FROM busybox
RUN --mount=type=secret,id=s wc -c < /run/secrets/s > /a; stat -c '%u %g %a' /run/secrets/s >> /a
RUN --mount=type=secret,id=s,target=/x/y,uid=1000,gid=29,mode=0440 \
    stat -c '%u %g %a' /x/y > /b; wc -c < /x/y >> /b
RUN --mount=type=secret,id=s,target=rel echo $(pwd) > /c; test -s rel
RUN --mount=type=secret,id=v,env=NAME echo ${#NAME} > /d; test ! -e /run/secrets/v
RUN --mount=type=secret,id=v,env=NAME,target=/f echo ${#NAME} > /e; wc -c < /f >> /e
RUN --mount=type=secret,id=none ls /run/secrets 2> /dev/null > /f; true
RUN --mount=type=secret,id=s ! echo x > /run/secrets/s
"""
    secrets = (Secret(id="s", path=str(secret)), Secret(id="v", env="TEST_SECRET"))
    build_text(engine, text, tags=BUILT, secrets=secrets)
    found = buildtool.cat(engine, "built", *[f"/{name}" for name in "abcdef"])
    size = len(SECRET)
    assert found == [f"{size}\n0 0 400\n", f"1000 29 440\n{size}\n", "/\n", "13\n", "13\n13\n", ""]
    for layer in buildtool.layers(engine, "built")[:-1]:
        assert {path.name for path in layer.rglob("*")} < set("abcdef")


def test_a_secret_that_is_missing(engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN --mount=type=secret,id=s,required=true true\n"
    with pytest.raises(NotFound, match='secret "s": not found') as caught:
        build_text(engine, text)
    assert caught.value.hint
    with pytest.raises(NotFound, match="TEST_NOT_SET"):
        build_text(engine, text, secrets=(Secret(id="s", env="TEST_NOT_SET"),))
    with pytest.raises(FastboxError, match="/no/such"):
        build_text(engine, text, secrets=(Secret(id="s", path="/no/such"),))


def test_a_secret_is_nowhere(
    box: Box, engine: fastbox.Engine, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on the disk while its step runs, nor anywhere afterwards, nor in what is told.

    The file that the container sees lies on a tmpfs, and is gone with the build.
    """
    monkeypatch.setenv("TEST_SECRET", SECRET)
    needle = SECRET.encode()
    on_disk: list[str] = []
    live: list[str] = []
    text = """FROM busybox
RUN --mount=type=secret,id=s --mount=type=secret,id=v,env=NAME,target=/v \
    --mount=type=cache,target=/c \
    echo looking; while [ ! -e /c/looked ]; do sleep 0.02; done; rm /c/looked; \
    test "$NAME" = "$(cat /run/secrets/s)" && test -s /v{0}
"""

    def watch(event: Event) -> None:
        told.append(event)
        if event.kind == "output" and b"looking" in event.data:
            on_disk.extend(buildtool.holding(needle, box.root))
            live.extend(buildtool.holding(needle, box.run_root))
            for cache in Path(box.root, "build/mounts").glob("*/data"):
                (cache / "looked").touch()

    secrets = (Secret(id="s", path=str(secret)), Secret(id="v", env="TEST_SECRET"))
    for end in ("", " && exit 3"):
        told: list[Event] = []
        with context({"Dockerfile": text.format(end)}) as where:
            options = BuildOptions(context=str(where), secrets=secrets, tags=BUILT)
            if end:
                with pytest.raises(BuildFailed) as caught:
                    engine.builds.build(options, watch)
                error = caught.value
                assert SECRET not in f"{error!r} {error} {error.tail} {error.hint} {vars(error)}"
            else:
                built = engine.builds.build(options, watch)
                assert SECRET not in repr(built)
        assert not on_disk
        assert live
        assert all("/builds/" in path for path in live), live
        assert not buildtool.holding(needle, box.root, box.run_root)
        assert SECRET not in repr(told)
    assert SECRET not in repr(engine.images.inspect("built"))


def test_a_secret_is_no_part_of_the_key(engine: fastbox.Engine, secret: Path) -> None:
    text = "FROM busybox\nRUN --mount=type=secret,id=s true\n"
    secrets = (Secret(id="s", path=str(secret)),)
    assert len(build_text(engine, text, secrets=secrets).ran) == 1
    secret.write_text("another")
    assert not build_text(engine, text, secrets=secrets).ran


# ssh


@pytest.fixture
def agent() -> Iterator[str]:
    """A socket that answers every line with one of its own."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        path = f"{home}/agent"
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(100)
                    connection.sendall(b"the agent's answer\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def test_ssh(engine: fastbox.Engine, agent: str) -> None:
    """Debian's busybox speaks no unix sockets: that the socket is one is what it can tell."""
    text = """FROM busybox
RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK"; echo $SSH_AUTH_SOCK > /a; stat -c '%F' $SSH_AUTH_SOCK >> /a
RUN --mount=type=ssh,id=other,target=/x/sock test -S /x/sock; echo $SSH_AUTH_SOCK > /b
RUN echo "[$SSH_AUTH_SOCK]" > /c
"""
    ssh = (Ssh(paths=(agent,)), Ssh(id="other", paths=(agent,)))
    build_text(engine, text, tags=BUILT, ssh=ssh)
    assert buildtool.cat(engine, "built", "/a", "/b", "/c") == [
        "/run/buildkit/ssh_agent.0\nsocket\n", "/x/sock\n", "[]\n",
    ]  # fmt: skip
    names = {
        path.name for layer in buildtool.layers(engine, "built")[:-1] for path in layer.rglob("*")
    }
    assert names == set("abc")


def test_ssh_that_is_missing(engine: fastbox.Engine, tmp_path: Path) -> None:
    text = 'FROM busybox\nRUN --mount=type=ssh{} echo "[$SSH_AUTH_SOCK]" > /o\n'
    build_text(engine, text.format(""), tags=BUILT)
    assert buildtool.cat(engine, "built", "/o") == ["[]\n"]
    with pytest.raises(NotFound, match="no ssh agent") as caught:
        build_text(engine, text.format(",required"))
    assert caught.value.hint
    file = tmp_path / "file"
    file.touch()
    for path in (str(file), str(tmp_path / "none")):
        with pytest.raises(FastboxError, match="ssh"):
            build_text(engine, text.format(",required"), ssh=(Ssh(paths=(path,)),))


def test_a_real_agent(engine: fastbox.Engine, debian: str, tmp_path: Path) -> None:
    """Debian's perl asks an agent of OpenSSH how many keys it has."""
    ask = (
        "use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; "
        "connect($s, pack_sockaddr_un($ENV{SSH_AUTH_SOCK})) or die; "
        "syswrite $s, pack('NC', 1, 11); sysread $s, my $a, 9; my @f = unpack('NCN', $a); "
        "print join(' ', @f[1, 2])"
    )
    text = f'FROM {debian}\nRUN --mount=type=ssh perl -e "{ask.replace("$", chr(92) + "$")}" > /o\n'
    started = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL
    )
    try:
        environ = {**os.environ, "SSH_AUTH_SOCK": str(tmp_path / "agent")}
        make = ["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", str(tmp_path / "key")]
        subprocess.run(make, check=True)
        while subprocess.run(["ssh-add", "-l"], env=environ, capture_output=True).returncode == 2:
            assert started.poll() is None
        subprocess.run(["ssh-add", "-q", str(tmp_path / "key")], env=environ, check=True)
        build_text(engine, text, tags=BUILT, ssh=(Ssh(paths=(str(tmp_path / "agent"),)),))
    finally:
        started.terminate()
        started.wait()
    assert buildtool.cat(engine, "built", "/o") == ["12 1"]
