"""Waiting for a condition of `fastbox.wait` in asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastbox.containers.readiness import Exec, Wait
from fastbox.errors import FastboxError, StateConflict, Timeout
from fastbox.runtime.supervisor import SupervisorGone

if TYPE_CHECKING:
    from fastbox.aio.container import Container
    from fastbox.containers.readiness import Condition
    from fastbox.types import ExecResult


async def wait_for(container: Container, condition: Condition, timeout: float) -> None:
    """Wait for it.

    Raises:
        NotReady: The container ended before, or the time is over.
    """
    waiting = Wait(container._c, condition, timeout)
    step = waiting.next()
    ended: int | None = None
    while step is not None:
        if ended is not None or waiting.late():
            raise waiting.error(ended)
        if isinstance(step, Exec):
            step = waiting.next(await _run(container, waiting, step))
        else:
            ended = await _exit_within(container, step)
            step = waiting.next()


async def _run(container: Container, waiting: Wait, step: Exec) -> ExecResult | None:
    try:
        result = await container.exec(step.argv, timeout=step.timeout)
    except (StateConflict, SupervisorGone):
        return None
    except FastboxError as error:
        waiting.note(error)
        return None
    waiting.note(result)
    return result


async def _exit_within(container: Container, seconds: float) -> int | None:
    ending = await container._watching()
    if ending is None:
        return (await container.info).exit_code
    try:
        return (await ending.wait(max(seconds, 0))).code
    except Timeout:
        await asyncio.sleep(0)
        return None
    except SupervisorGone:
        return 137
