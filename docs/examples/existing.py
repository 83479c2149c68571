"""Containers that outlive the program, found again by name."""

from __future__ import annotations

import fastbox


def main(image: str = "busybox", name: str = "example-counter") -> list[str]:
    """Count in a container over two engines, as two programs would."""
    with fastbox.Engine.open() as box:
        box.run(image, ["sleep", "600"], name=name, detach=True)
    counts: list[str] = []
    with fastbox.Engine.open() as box, box.container(name) as counter:
        for _ in range(2):
            done = counter.exec(["sh", "-c", "echo x >> /count; wc -l < /count"]).check()
            counts.append(done.stdout.decode().strip())
        counter.stop(timeout=0)
        counter.start()
        counts.append(counter.exec(["sh", "-c", "wc -l < /count"]).check().stdout.decode().strip())
        counter.remove(force=True)
    return counts


if __name__ == "__main__":
    print(*main())
