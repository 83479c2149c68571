"""Two containers that know each other by name, and a port of this host that leads into one."""

from __future__ import annotations

import urllib.request

import fastbox
from fastbox import wait


def main(image: str = "busybox") -> str:
    """Start a web server on a network of its own; ask it from the host and from a neighbour."""
    server = ["sh", "-c", "echo hello > /index.html; exec httpd -f -p 80 -h /"]
    with fastbox.Engine.open() as box:
        box.networks.create("example")
        try:
            with box.run(
                image,
                server,
                name="web",
                network="example",
                publish=["127.0.0.1::80"],  # any port that is free
                wait=wait.port(80),
            ) as web:
                port = web.info.ports[0]["host_port"]
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html") as answer:
                    outside = answer.read().decode().strip()
                with box.run(image, ["sleep", "60"], network="example") as neighbour:
                    page = neighbour.exec(["wget", "-q", "-O", "-", "http://web/index.html"])
                return f"{outside} {page.check().stdout.decode().strip()}"
        finally:
            box.networks.remove("example")


if __name__ == "__main__":
    print(main())
