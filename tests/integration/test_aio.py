"""The asyncio API: the same names, cancellation that ends what it started, nothing left in the loop."""

from __future__ import annotations

import asyncio
import gc
import inspect
import resource
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import fastbox
from fastbox import PIPE, aio, wait

from . import buildtool, host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastbox.builds import Event

    from .conftest import Box

pytestmark = pytest.mark.integration
SECONDS = 20 * host.SLOW


def run(body: Callable[[aio.Engine], Awaitable[object]]) -> None:
    """Run it in a loop in debug mode, with an engine; no task, no descriptor, no warning is left."""

    async def main() -> None:
        async with aio.Engine.open() as box:
            await body(box)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        assert len(selector.get_map()) == 1  # the loop's own pipe

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main(), debug=True)
        gc.collect()


def names(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize("kind", ["Engine", "Container", "Process"])
def test_both_have_the_same_names_and_signatures(kind: str) -> None:
    blocking, twin = getattr(fastbox, kind), getattr(aio, kind)
    attributes = {"id", "name", "root"}
    assert names(blocking) - attributes == names(twin) - attributes
    for name in names(blocking) - attributes:
        one, other = getattr(blocking, name), getattr(twin, name)
        if isinstance(one, property) or (kind, name) == ("Container", "exec"):
            assert isinstance(other, property) == isinstance(one, property)
            continue
        mine, its = inspect.signature(one), inspect.signature(other)
        assert list(mine.parameters.values()) == list(its.parameters.values()), name
    if kind == "Container":  # aio's `exec` is both: awaited it is exec, entered it is popen
        wanted = {
            **inspect.signature(blocking.popen).parameters,
            **inspect.signature(blocking.exec).parameters,
        }
        assert dict(inspect.signature(twin.exec).parameters) == wanted


def test_exec_is_awaited_or_entered(box: Box) -> None:
    async def body(engine: aio.Engine) -> None:
        async with engine.run("busybox", ["sleep", "1000"], env={"A": "1"}) as c:
            done = await c.exec(
                ["sh", "-c", "cat; echo $A$B; echo bad >&2; exit 3"], input=b"in\n", env={"B": "2"}
            )
            assert (done.exit_code, done.stdout, done.stderr) == (3, b"in\n12\n", b"bad\n")
            async with c.exec(["cat"], stdin=PIPE) as p:
                await p.stdin.write(b"one\n")
                assert await p.stdout.readline() == b"one\n"
                assert await p.poll() is None
                p.stdin.close()
                assert await p.stdout.read() == b""
                assert await p.wait(SECONDS) == 0
            p2 = await c.popen(["sh", "-c", "echo a; echo b; exit 2"], encoding="utf-8")
            assert [line async for line in p2.stdout] == ["a\n", "b\n"]
            assert await p2.wait(SECONDS) == 2
            p2.close()
            with pytest.raises(fastbox.errors.CommandNotFound):
                await c.exec(["nothing"])
            with pytest.raises(fastbox.errors.Timeout):
                await c.exec(["sleep", "777"], timeout=0.2)
            assert (await c.info).state == "running"

    run(body)


def test_megabytes_both_ways(box: Box) -> None:
    data = bytes(range(256)) * 20000

    async def body(engine: aio.Engine) -> None:
        async with engine.run("busybox", ["sleep", "1000"]) as c:
            assert (await c.exec(["cat"], input=data)).stdout == data
            assert (await c.exec(["true"], input=data)).exit_code == 0
            async with c.exec(["cat"], stdin=PIPE) as p:
                feeding = asyncio.ensure_future(p.stdin.write(data))
                assert len(await p.stdout.read(10)) == 10
                got = 10
                while got < len(data):
                    got += len(await p.stdout.read(1 << 20))
                assert await feeding == len(data)

    run(body)


def test_cancelling_an_exec_ends_all_of_it_first(box: Box) -> None:
    async def body(engine: aio.Engine) -> None:
        async with engine.run("busybox", ["sleep", "1000"]) as c:
            script = "setsid sleep 777 & (sleep 777 &); sleep 777"
            for pause in (0, 0.001, 0.005, 0.05, 0.3):
                task = asyncio.ensure_future(awaited(c, script))
                await asyncio.sleep(pause)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert b"sleep 777" not in (await c.exec(["ps"])).stdout

            async def streaming() -> None:
                async with c.exec(["sh", "-c", script]) as p:
                    await p.stdout.read()

            stream = asyncio.ensure_future(streaming())
            await asyncio.sleep(0.2)
            stream.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stream
            assert b"sleep 777" not in (await c.exec(["ps"])).stdout
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(awaited(c, script), 0.2)
            assert b"sleep 777" not in (await c.exec(["ps"])).stdout

    async def awaited(c: aio.Container, script: str) -> fastbox.types.ExecResult:
        return await c.exec(["sh", "-c", script])

    run(body)


def test_cancelling_a_run_leaves_no_container(box: Box) -> None:
    async def body(engine: aio.Engine) -> None:
        for pause in (0, 0.001, 0.003, 0.01):
            task = asyncio.ensure_future(made(engine))
            await asyncio.sleep(pause)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(engine.containers.list, all=True) == []
        waiting = asyncio.ensure_future(made(engine, wait.port(80)))
        await asyncio.sleep(0.3)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await asyncio.to_thread(engine.containers.list, all=True) == []

    async def made(engine: aio.Engine, condition: wait.Condition | None = None) -> None:
        async with engine.run("busybox", ["sleep", "1000"], wait=condition):
            await asyncio.sleep(1000)

    run(body)


def test_five_hundred_at_once(box: Box) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))

    async def body(engine: aio.Engine) -> None:
        async with engine.run("busybox", ["sleep", "1000"]) as c:
            done = await asyncio.gather(
                *(c.exec(["sh", "-c", f"read x; echo ${{x}}{n}"], input=b"a\n") for n in range(500))
            )
            assert [each.stdout for each in done] == [b"a%d\n" % n for n in range(500)]
            tasks = [asyncio.ensure_future(one(c)) for _ in range(60)]
            await asyncio.sleep(0.2)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(end) for end in ends} == {asyncio.CancelledError}
            assert b"sleep 777" not in (await c.exec(["ps"])).stdout

    async def one(c: aio.Container) -> object:
        return await c.exec(["sleep", "777"])

    try:
        run(body)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_containers_side_by_side_and_their_life(box: Box) -> None:
    async def one(engine: aio.Engine, number: int) -> int:
        async with engine.run("busybox", ["sh", "-c", f"exit {number}"]) as c:
            return await c.wait(SECONDS)

    async def body(engine: aio.Engine) -> None:
        assert await asyncio.gather(*(one(engine, n) for n in range(24))) == list(range(24))
        async with engine.create("busybox", ["sleep", "1000"], stop_signal="KILL") as c:
            await c.start()
            waiting = asyncio.ensure_future(c.wait())
            with pytest.raises(fastbox.errors.Timeout):
                await c.wait(0.01)
            begun = time.monotonic()
            await c.kill("TERM")
            await c.kill()
            assert await waiting == 137
            assert time.monotonic() - begun < SECONDS
            await c.restart()
            async with engine.container(c.id) as again:
                assert (await again.exec(["echo", "hi"])).stdout == b"hi\n"
        async with engine.run("busybox", ["cat"], stdin=PIPE) as c, c.attach() as p:
            await p.stdin.write(b"x")
            p.stdin.close()
            assert await p.stdout.read() == b"x"
            assert await p.wait(SECONDS) == 0

    run(body)


def test_ready_or_not(box: Box) -> None:
    async def body(engine: aio.Engine) -> None:
        argv = ["sh", "-c", "sleep 0.2; exec httpd -f -p 8080"]
        async with engine.run("busybox", argv, wait=wait.port(8080), timeout=SECONDS) as c:
            await c.wait_for(wait.all_of(wait.port(8080), wait.exec(["true"])))
        with pytest.raises(fastbox.errors.NotReady, match="code 3") as failed:
            await engine.run("busybox", ["sh", "-c", "echo last words; exit 3"], wait=wait.port(1))
        assert failed.value.exit_status == 3
        assert "last words" in str(failed.value)
        assert await asyncio.to_thread(engine.containers.list, all=True) == []

    run(body)


def test_what_is_never_awaited_is_told(box: Box) -> None:
    engine = fastbox.Engine.open()
    with engine.run("busybox", ["sleep", "1000"]) as c:
        twin: Any = aio.Container(c, None)  # type: ignore[arg-type]
        with pytest.warns(RuntimeWarning, match="nothing was run"):
            twin.exec(["true"])
    engine.close()


def test_logs_as_they_come(box: Box) -> None:
    async def body(engine: aio.Engine) -> None:
        argv = ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"]
        async with engine.run("busybox", argv) as c:
            assert [line.text async for line in c.logs(follow=True)] == ["1", "2", "3"]
            assert [line.text async for line in c.logs(tail=1)] == ["3"]

    run(body)


def test_a_build_and_its_cancellation(box: Box) -> None:
    with buildtool.context({"Dockerfile": "FROM busybox\nRUN echo begins; sleep 1000\n"}) as where:

        async def body(engine: aio.Engine) -> None:
            begun = asyncio.Event()
            loop = asyncio.get_running_loop()

            def watch(event: Event) -> None:
                if event.kind == "output":
                    loop.call_soon_threadsafe(begun.set)

            task = asyncio.create_task(engine.build(str(where), tag="built:aio", watch=watch))
            await asyncio.wait_for(begun.wait(), SECONDS)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, SECONDS)
            assert not engine.images.list("built")
            (where / "Dockerfile").write_text("FROM busybox\nCMD echo made\n")
            made = await engine.build(str(where), tag="built:aio")
            assert made.tags == ("docker.io/library/built:aio",)

        run(body)
    box("rmi", "built:aio")
    box("builder", "prune", "-af")
