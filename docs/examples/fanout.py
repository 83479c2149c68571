"""Many commands in many containers at once, on one event loop."""

from __future__ import annotations

import asyncio

from fastbox import aio


async def case(box: aio.Engine, image: str, number: int) -> int:
    """One case, in a fresh container."""
    async with box.run(image, ["sleep", "60"]) as c:
        done = await c.exec(["sh", "-c", f"echo $(({number} * {number}))"], timeout=30)
        return int(done.check().stdout)


async def main(image: str = "busybox", count: int = 20) -> list[int]:
    """All cases; should one fail, the others are cancelled and their containers removed."""
    async with aio.Engine.open() as box, asyncio.TaskGroup() as group:
        tasks = [group.create_task(case(box, image, number)) for number in range(count)]
        results = [await task for task in tasks]
    return results


if __name__ == "__main__":
    print(*asyncio.run(main()))
