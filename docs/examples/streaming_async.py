"""A pipeline between two commands in a container: what one writes, the other reads."""

from __future__ import annotations

import asyncio

from fastbox import PIPE, aio


async def main(image: str = "busybox") -> list[str]:
    """Sort lines as they are made."""
    async with (
        aio.Engine.open() as box,
        box.run(image, ["sleep", "60"]) as c,
        c.exec(["sh", "-c", "for i in 3 1 2; do echo $i; done"]) as source,
        c.exec(["sort"], stdin=PIPE, encoding="utf-8") as sorter,
    ):
        async for line in source.stdout:
            await sorter.stdin.write(line.decode())
        sorter.stdin.close()
        lines = [line.strip() async for line in sorter.stdout]
        await sorter.wait(timeout=10)
        return lines


if __name__ == "__main__":
    print(*asyncio.run(main()))
