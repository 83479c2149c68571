"""What is said after a build: the output of a step that failed, the lines of the Dockerfile it
stands on, and what checks have found.
"""

from __future__ import annotations

from fastbox.cli.render.build_text import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastbox.builds import Warned
    from fastbox.cli.render.build_vertex import Vertex

_RULE = "-" * 20
_AROUND = 2  # lines before and after
_LONGEST = 1000  # characters of a source line
_MOST = 40  # lines of an excerpt


def logs(failed: Iterable[Vertex], tail: str, last: int | None) -> list[str]:
    """The output of steps that failed.

    Args:
        failed: The steps.
        tail: The end of the output as the error has it, for a step without any.
        last: How many lines at most; None: all that were kept.
    """
    found: list[str] = []
    for vertex in failed:
        lines = vertex.log or [clean(line) for line in tail.splitlines()]
        if last is not None:
            lines = lines[-last:]
        elif vertex.left_out:
            lines = ["(earlier lines are left out)", *lines]
        found += ["------", f" > {vertex.name}:", *lines, "------"]
    return found


def excerpt(name: str, source: Sequence[str], first: int, last: int = 0) -> list[str]:
    """Lines `first` to `last` (counted from 1) of a file, marked, with those around them; only the
    place when the file has no such lines.
    """
    last = max(first, last)
    found = [f"{clean(name)}:{first}"]
    if not 1 <= first <= len(source):
        return found
    end = min(last + _AROUND, len(source), first + _MOST)
    found.append(_RULE)
    for number in range(max(first - _AROUND, 1), end + 1):
        mark = ">>>" if first <= number <= last else "   "
        text = clean(source[number - 1].rstrip("\r\n"))[:_LONGEST]
        found.append(f" {number:3d} | {mark} {text}".rstrip())
    return [*found, _RULE]


def warnings(found: Sequence[Warned], events: Sequence[tuple[str, int]]) -> list[str]:
    """A line for each warning under how many there are; [] without any."""
    texts = [_located(f"{w.rule}: {w.message}" if w.rule else w.message, w.line) for w in found]
    told = {warned.message for warned in found if warned.message}
    texts += [_located(t, n) for t, n in events if not any(t.endswith(m) for m in told)]
    if not texts:
        return []
    count = "1 warning" if len(texts) == 1 else f"{len(texts)} warnings"
    return ["", f" {count} found (use --check to expand):", *(f" - {text}" for text in texts)]


def _located(text: str, line: int) -> str:
    return clean(text.replace("\n", " ")) + (f" (line {line})" if line else "")


def check(found: Sequence[Warned], name: str, source: Sequence[str]) -> list[str]:
    """What `--check` prints."""
    if not found:
        return ["Check complete, no warnings found."]
    count = "1 warning has" if len(found) == 1 else f"{len(found)} warnings have"
    lines = [f"Check complete, {count} been found!"]
    for warned in sorted(found, key=lambda warned: warned.line):
        url = f" - {clean(warned.url)}" if warned.url else ""
        lines += ["", f"WARNING: {clean(warned.rule)}{url}", clean(warned.message)]
        if warned.line:
            lines += excerpt(name, source, warned.line)
    return lines


def check_document(found: Sequence[Warned]) -> dict[str, object]:
    """What `--call=check,format=json` prints."""
    warnings = [
        {"ruleName": w.rule, "detail": w.message, "url": w.url, "line": w.line} for w in found
    ]
    return {"warnings": warnings}
