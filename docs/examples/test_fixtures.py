"""The pytest plugin: a server for the module, a fresh container for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fastbox import wait

if TYPE_CHECKING:
    from fastbox import Container
    from fastbox.testing import ContainerFactory

SERVER = "echo hello > /index.html; exec httpd -f -p 8080 -h /"


@pytest.fixture(scope="module")
def server(fastbox_module_container: ContainerFactory) -> Container:
    """A web server, started once."""
    return fastbox_module_container("busybox", ["sh", "-c", SERVER], wait=wait.port(8080))


def test_page(server: Container) -> None:
    """It serves what it should."""
    done = server.exec(["wget", "-q", "-O", "-", "http://127.0.0.1:8080/index.html"])
    assert done.check().stdout == b"hello\n"


@pytest.mark.parametrize("word", ["one", "two"])
@pytest.mark.fastbox(memory="32m")
def test_fresh(fastbox_container: ContainerFactory, word: str) -> None:
    """Each test has a file system of its own."""
    c = fastbox_container("busybox", ["sleep", "60"], env={"WORD": word})
    assert c.exec(["sh", "-c", "ls /word 2>/dev/null; echo $WORD > /word; cat /word"]).stdout == (
        word.encode() + b"\n"
    )
