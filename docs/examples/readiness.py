"""A server that is ready when `run` returns: its port listens and its log says so."""

from __future__ import annotations

import fastbox
from fastbox import wait


def main(image: str = "busybox") -> str:
    """Start a web server and ask it for a page."""
    script = "echo hello > /index.html; echo starting; exec httpd -f -p 8080 -h /"
    ready = wait.all_of(wait.log("starting"), wait.port(8080))
    with (
        fastbox.Engine.open() as box,
        box.run(image, ["sh", "-c", script], wait=ready, timeout=30) as server,
    ):
        page = server.exec(["wget", "-q", "-O", "-", "http://127.0.0.1:8080/index.html"]).check()
        return page.stdout.decode()


if __name__ == "__main__":
    print(main(), end="")
