"""Readiness: what is waited for, and what is said when it does not come."""

from __future__ import annotations

import re
import socket
import time
from typing import TYPE_CHECKING

import pytest

import fastbox
from fastbox import wait

from . import host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Box

pytestmark = pytest.mark.integration
SECONDS = 20 * host.SLOW


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine


def test_a_port_that_begins_to_listen(engine: fastbox.Engine) -> None:
    argv = ["sh", "-c", "sleep 0.3; exec httpd -f -p 8080"]
    with engine.run("busybox", argv, wait=wait.port(8080), timeout=SECONDS) as c:
        got = c.exec(["wget", "-q", "-O", "-", "http://127.0.0.1:8080/etc/passwd"]).check()
        assert got.stdout.startswith(b"root:")
        c.wait_for(wait.port(8080), timeout=0)
        with pytest.raises(fastbox.errors.NotReady, match=r"port 8081: not within 0\.1 s"):
            c.wait_for(wait.port(8081), timeout=0.1)


def test_on_the_host_s_network_only_the_container_s_own_socket_counts(
    engine: fastbox.Engine,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        c = engine.run("busybox", ["sleep", "1000"], network="host")
        with c, pytest.raises(fastbox.errors.NotReady):
            c.wait_for(wait.port(number), timeout=0.3)
    argv = ["sh", "-c", f"(sleep 0.1; exec httpd -f -p 127.0.0.1:{number}) & wait"]
    with engine.run("busybox", argv, network="host") as c:
        c.wait_for(wait.port(number), timeout=SECONDS)


def test_lines_of_the_log(engine: fastbox.Engine) -> None:
    script = (
        "for i in 1 2 3; do echo starting; sleep 0.1; done; echo 'ready in 7 ms' >&2; sleep 1000"
    )
    with engine.run("busybox", ["sh", "-c", script], wait=wait.log("starting", times=3)) as c:
        c.wait_for(wait.log(re.compile(r"ready in \d+ ms")), timeout=SECONDS)
        with pytest.raises(fastbox.errors.NotReady, match='log "starting" 4 times') as failed:
            c.wait_for(wait.log("starting", times=4), timeout=0.2)
        assert failed.value.exit_status is None
        assert failed.value.tail.splitlines() == ["starting"] * 3 + ["ready in 7 ms"]


def test_what_it_wrote_last_counts(engine: fastbox.Engine) -> None:
    with engine.run(
        "busybox", ["sh", "-c", "echo done"], wait=wait.log("done"), timeout=SECONDS
    ) as c:
        assert c.wait(SECONDS) == 0
        c.wait_for(wait.log("done"), timeout=SECONDS)


def test_a_command(engine: fastbox.Engine) -> None:
    script = "sleep 0.3; touch /ready; sleep 1000"
    with engine.run("busybox", ["sh", "-c", script], wait=wait.exec(["test", "-e", "/ready"])) as c:
        assert c.exec(["test", "-e", "/ready"]).exit_code == 0
        with pytest.raises(fastbox.errors.NotReady, match="said: not yet"):
            c.wait_for(wait.exec(["sh", "-c", "echo not yet; false"]), timeout=0.3)
        with pytest.raises(fastbox.errors.NotReady, match="command not found"):
            c.wait_for(wait.exec(["nothing"]), timeout=0.3)
    with pytest.raises(TypeError):
        wait.exec("true")


def test_all_in_order(engine: fastbox.Engine) -> None:
    argv = ["sh", "-c", "echo up; exec httpd -f -p 80"]
    ready = wait.all_of(wait.log("up"), wait.port(80), wait.exec(["true"]))
    assert str(ready) == 'log "up" and port 80 and exec true'
    with engine.run("busybox", argv, wait=ready, timeout=SECONDS) as c:
        assert c.info.state == "running"


@pytest.mark.parametrize("condition", [wait.port(80), wait.log("x"), wait.exec(["false"])], ids=str)
def test_an_end_before_is_told_at_once(engine: fastbox.Engine, condition: wait.Condition) -> None:
    begun = time.monotonic()
    argv = ["sh", "-c", "echo one; echo two >&2; sleep 0.2; exit 9"]
    with pytest.raises(fastbox.errors.NotReady) as failed:
        engine.run("busybox", argv, name="hasty", wait=condition, timeout=1000)
    assert time.monotonic() - begun < SECONDS
    assert failed.value.exit_status == 9
    assert failed.value.tail == "one\ntwo"
    assert str(failed.value) == (
        f"container hasty: {condition}: the container ended before, with code 9\nits last lines:\n  one\n  two"
    )
    assert engine.containers.list(all=True) == []


def test_no_such_port_and_no_health_check(engine: fastbox.Engine) -> None:
    with pytest.raises(fastbox.errors.InvalidArgument):
        wait.port(70000)
    with engine.run("busybox", ["sleep", "1000"], log_driver="none") as c:
        with pytest.raises(fastbox.errors.Unsupported):
            c.wait_for(wait.healthy(), timeout=5)
        with pytest.raises(fastbox.errors.Unsupported):
            c.wait_for(wait.log("x"), timeout=5 * host.SLOW)
