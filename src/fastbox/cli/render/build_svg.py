"""The graph of a build as an SVG that needs nothing else: a column for each stage, a box for each
step in the colour of what became of it, a curve for each need, the longest chain drawn bold.
"""

from __future__ import annotations

from fastbox.cli.render.build_graph import by_stage, label, longest, outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.builds import StepReport

_WIDTH, _HEIGHT, _ACROSS, _DOWN, _EDGE, _TOP = 280, 44, 60, 22, 20, 56  # pixels
_LETTERS = 40  # that fit into a box
_COLOURS = {
    "cached": "#d8e6f3", "done": "#d5edd6", "failed": "#f6cfcb", "canceled": "#f7e7c0",
    "unneeded": "#eeeeee",
}  # fmt: skip
_STYLE = (
    "text{font:12px sans-serif;fill:#222}.s{font-weight:bold}.o{fill:#555;font-size:11px}"
    "rect{stroke:#888}path{fill:none;stroke:#999;stroke-width:1.2}"
    ".c{stroke:#333;stroke-width:2.2}"
)

Place = tuple[int, int]  # the upper left corner of a box


def draw(steps: Sequence[StepReport]) -> str:
    """The whole file."""
    stages = by_stage(steps)
    places = _places(steps, list(stages))
    chain, seconds = longest(steps)
    bold = set(chain) if seconds else set()
    right = max((x for x, _ in places.values()), default=0) + _WIDTH + _EDGE
    low = max((y for _, y in places.values()), default=0) + _HEIGHT + _EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right}" height="{low + 24}" '
        f'viewBox="0 0 {right} {low + 24}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{right}" height="{low + 24}" style="fill:#fff;stroke:none"/>',
    ]
    for column, stage in enumerate(stages):
        x = _EDGE + column * (_WIDTH + _ACROSS)
        parts.append(f'<text class="s" x="{x}" y="{_TOP - 20}">{_escape(stage or "stage")}</text>')
    parts += [_curve(places, need, step, bold) for step in steps for need in step.needs]
    parts += [_box(step, places[step.number], step.number in bold) for step in steps]
    return "\n".join([*parts, *_legend(low), "</svg>"])


def _places(steps: Sequence[StepReport], stages: list[str]) -> dict[int, Place]:
    """Where each step is: below all that it needs, and below the one before in its stage."""
    columns = {stage: number for number, stage in enumerate(stages)}
    rows: dict[int, int] = {}
    lowest: dict[str, int] = {}
    for step in steps:
        below = [rows[number] for number in step.needs if number in rows]
        row = max([lowest.get(step.stage, -1), *below]) + 1
        rows[step.number] = lowest[step.stage] = row
    return {
        step.number: (
            _EDGE + columns[step.stage] * (_WIDTH + _ACROSS),
            _TOP + rows[step.number] * (_HEIGHT + _DOWN),
        )
        for step in steps
    }


def _curve(places: dict[int, Place], need: int, step: StepReport, bold: set[int]) -> str:
    """From the lower edge of what is needed to the upper edge of who needs it."""
    if need not in places:
        return ""
    (x1, y1), (x2, y2) = places[need], places[step.number]
    x1, x2, y1 = x1 + _WIDTH // 2, x2 + _WIDTH // 2, y1 + _HEIGHT
    middle = (y1 + y2) // 2
    mark = ' class="c"' if {need, step.number} <= bold else ""
    return f'<path{mark} d="M{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {y2}"/>'


def _box(step: StepReport, place: Place, bold: bool) -> str:
    from fastbox.cli.render.human import cut

    x, y = place
    colour = _COLOURS.get(step.status, "#ffffff")
    mark = ' class="c"' if bold else ""
    name = _escape(cut(label(step), _LETTERS))
    return (
        f"<g><title>{_escape(label(step))}</title>"
        f'<rect{mark} x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="4" fill="{colour}"/>'
        f'<text x="{x + 8}" y="{y + 18}">{step.number} {name}</text>'
        f'<text class="o" x="{x + 8}" y="{y + 35}">{_escape(outcome(step))}</text></g>'
    )


def _legend(top: int) -> list[str]:
    parts = []
    for place, (status, colour) in enumerate(_COLOURS.items()):
        x = _EDGE + place * 90
        parts.append(f'<rect x="{x}" y="{top}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text class="o" x="{x + 16}" y="{top + 10}">{status}</text>')
    return parts


def _escape(text: str) -> str:
    """Text that can't become markup; characters that XML has no place for are shown as escapes."""
    from fastbox.cli.render.build_text import clean

    plain = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace('"', "&quot;")
