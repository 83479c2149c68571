"""Horizontal bars as SVG, by hand: a plot needs no library, and the page needs no script.

A bar reaches the median; the whisker goes from the minimum to the 90th percentile. The colours
follow the reader's scheme, light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

LEFT, RIGHT, WIDTH = 270, 90, 860
ROW, TOP, BOTTOM = 30, 58, 42
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 16px; font-weight: 600; }
  .note { font-size: 12px; fill: #59636e; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .whisker { stroke: #1f2328; stroke-width: 1.5; }
  .ours { fill: #0969da; } .base { fill: #1a7f37; } .peer { fill: #818b98; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .note { fill: #9198a1; } .grid { stroke: #3d444d; }
    .whisker { stroke: #f0f6fc; }
    .ours { fill: #4493f8; } .base { fill: #3fb950; } .peer { fill: #656c76; }
  }
"""


@dataclass(frozen=True)
class Bar:
    """One row; `kind` (ours, base, peer) is its colour, low and high are the whisker's ends."""

    label: str
    value: float
    kind: str
    low: float | None = None
    high: float | None = None

    def ends(self) -> list[float]:
        """Every place on the axis that the row needs."""
        return [value for value in (self.value, self.low, self.high) if value is not None]


class Axis:
    """Values to places: from zero, or by decades when the bars spread over a factor of 20."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        values = [end for bar in bars for end in bar.ends() if end > 0]
        self.log = max(values) > 20 * min(values)
        self.low = 10 ** math.floor(math.log10(min(values))) if self.log else 0.0
        self.high = max(values)

    def place(self, value: float) -> float:
        """The x of `value`."""
        share = value / self.high
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[float]:
        """Round values to draw a line at."""
        if self.log:
            decades = range(int(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
            return [step for step in steps if self.low <= step <= self.high]
        step: float = 10 ** math.floor(math.log10(self.high))
        step = step / 5 if self.high / step < 2 else step / 2 if self.high / step < 5 else step
        return [number * step for number in range(int(self.high / step) + 1)]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def number(value: float) -> str:
    """Three digits that matter, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _row(bar: Bar, axis: Axis, y: float) -> list[str]:
    middle, end = y + ROW / 2, axis.place(bar.value)
    width = max(end - LEFT, 1)
    parts = [
        _text(LEFT - 10, middle + 4, bar.label, anchor="end"),
        f'<rect class="{bar.kind}" x="{LEFT}" y="{y + 6:.1f}" '
        f'width="{width:.1f}" height="{ROW - 12}"/>',
    ]
    if bar.low is not None and bar.high is not None:
        low, high = axis.place(bar.low), axis.place(bar.high)
        parts.append(_line(low, middle, high, middle, "whisker"))
        parts += [_line(x, middle - 5, x, middle + 5, "whisker") for x in (low, high)]
        end = max(end, high)
    return [*parts, _text(end + 8, middle + 4, number(bar.value))]


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """The whole picture.

    Args:
        title: One line above it.
        unit: What the axis counts, such as "ms".
        rows: Top to bottom; at least one value above 0.
    """
    axis = Axis(rows)
    bottom = TOP + ROW * len(rows)
    height = bottom + BOTTOM
    note = f"{unit}{', logarithmic scale' if axis.log else ''}"
    if any(row.low is not None for row in rows):
        note += "; bar: median, whisker: minimum to 90th percentile"
    note += "; blue: fastbox, green: reference, grey: peer"
    parts = [_text(20, 24, title, "title"), _text(20, 44, note, "note")]
    for tick in axis.ticks():
        x = axis.place(tick)
        parts.append(_line(x, TOP, x, bottom, "grid"))
        parts.append(_text(x, bottom + 18, number(tick), "note", "middle"))
    for index, row in enumerate(rows):
        parts += _row(row, axis, TOP + ROW * index)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
    body = "\n".join(parts)
    return f'{head} aria-label="{escape(title)}">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
