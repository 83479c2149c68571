"""fastbox for asyncio: the same names, arguments, types and errors as the blocking API.

```python
async with aio.Engine.open() as box, box.run("alpine", ["sleep", "60"]) as c:
    done = await c.exec(["id"])
    async with c.exec(["cat"], stdin=fastbox.PIPE) as p:
        await p.stdin.write(b"hello\\n")
        print(await p.stdout.readline())
```
"""

from __future__ import annotations

from fastbox.aio.container import Container, Exec
from fastbox.aio.engine import Engine
from fastbox.aio.process import Process, Reader, Writer

__all__ = ["Container", "Engine", "Exec", "Process", "Reader", "Writer"]
