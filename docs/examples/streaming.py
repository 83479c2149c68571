"""A conversation with a command in a container: write a line, read the answer."""

from __future__ import annotations

import fastbox
from fastbox import PIPE


def main(image: str = "busybox") -> list[str]:
    """Let a calculator in a container add, one line at a time."""
    answers: list[str] = []
    with (
        fastbox.Engine.open() as box,
        box.run(image, ["sleep", "60"]) as c,
        c.popen(["bc"], stdin=PIPE, encoding="utf-8") as calculator,
    ):
        for sum_ in ("1 + 2", "20 * 2 + 2"):
            calculator.stdin.write(sum_ + "\n")
            answers.append(calculator.stdout.readline().strip())
        calculator.stdin.close()
        if calculator.wait(timeout=10) != 0:
            raise RuntimeError(calculator.stderr.read())
    return answers


if __name__ == "__main__":
    print(*main())
