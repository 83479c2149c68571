"""The commands and configurations of the documents, as the tests run them."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
PROGRAM = "/usr/local/bin/fastbox-oci"  # where the documents say that it is

_BLOCK = re.compile(
    r"<!-- test: ([a-z-]+) -->\n```([a-z]*)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S
)


class Block:
    """A block of a document, named by the comment before it, and the output that the document promises."""

    def __init__(self, name: str, language: str, text: str, output: str | None) -> None:
        self.name, self.language, self.text, self.output = name, language, text, output

    def __repr__(self) -> str:
        return self.name


def blocks(document: str) -> dict[str, Block]:
    text = (DOCS / document).read_text()
    found: dict[str, Block] = {}
    for name, language, body, output in _BLOCK.findall(text):
        assert name not in found, f"{document}: two blocks are called {name}"
        found[name] = Block(name, language, body, output or None)
    return found


def configuration(document: str, name: str, program: str) -> str:
    """A configuration file out of a document, or a file below docs/, with the program that is to be tested."""
    text = blocks(document)[name].text if name else (DOCS / document).read_text()
    assert PROGRAM in text, f"{document}: {name} does not name {PROGRAM}"
    return text.replace(PROGRAM, program)
