"""A small terminal: what a person sees after some bytes. It knows what the renderers send, and fails on anything else."""

from __future__ import annotations

import unicodedata


class Screen:
    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.columns, self.lines = columns, lines
        self.rows: list[list[str]] = [[]]  # with what has scrolled away
        self.y = self.x = 0
        self.cursor = True

    def write(self, text: str) -> None:
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                end = at + 2
                while not text[end].isalpha():
                    end += 1
                self._control(text[at + 1 : end], text[end])
                at = end + 1
            else:
                self._put(text[at])
                at += 1

    @property
    def top(self) -> int:
        return max(len(self.rows) - self.lines, 0)

    def _control(self, body: str, final: str) -> None:
        assert body[:1] == "["
        if final in "hl":
            assert body == "[?25"
            self.cursor = final == "h"
        elif final == "A":
            self.y = max(self.y - int(body[1:]), self.top)
        elif final == "K":
            del self._row()[self.x :]
        elif final == "J":
            del self._row()[self.x :]
            del self.rows[self.y + 1 :]
        else:
            assert final == "m", f"unknown: {body}{final}"

    def _row(self) -> list[str]:
        return self.rows[self.y]

    def _put(self, char: str) -> None:
        if char == "\r":
            self.x = 0
        elif char == "\n":
            self._down()
        else:
            assert char.isprintable(), f"a control character: {char!r}"
            wide = 2 if unicodedata.east_asian_width(char) in "WF" else 1
            if unicodedata.combining(char):
                wide = 0
            if self.x + wide > self.columns:
                self._down()
            row = self._row()
            row += [" "] * (self.x - len(row))
            row[self.x : self.x + wide] = [char] + [""] * (wide - 1)
            self.x += wide

    def _down(self) -> None:
        self.x = 0
        self.y += 1
        if self.y == len(self.rows):
            self.rows.append([])

    def resize(self, columns: int, lines: int) -> None:
        """As terminals that fold do it; the cursor stays at the end."""
        assert self.y == len(self.rows) - 1
        folded: list[list[str]] = []
        for row in self.rows:
            folded += [row[at : at + columns] for at in range(0, max(len(row), 1), columns)]
        self.rows, self.columns, self.lines = folded, columns, lines
        self.y, self.x = len(folded) - 1, 0

    def seen(self) -> list[str]:
        """All rows, also those that have scrolled away, without blanks at their ends."""
        rows = ["".join(row).rstrip() for row in self.rows]
        while rows and not rows[-1]:
            rows.pop()
        return rows
