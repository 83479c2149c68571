"""The graph of a build as text: a tree of stages and their steps, with what each needs of others,
what was cached, what took how long, and the chain that took longest.
"""

from __future__ import annotations

from fastbox.cli.render import human
from fastbox.cli.render.build_text import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.builds import StepReport

_LONGEST = 72  # characters of a step's name


def text(steps: Sequence[StepReport]) -> list[str]:
    """The lines of it."""
    if not steps:
        return ["no steps"]
    stages = by_stage(steps)
    of = {step.number: step for step in steps}
    digits = len(str(max(of)))
    names = {step.number: label(step) for step in steps}
    width = max(map(len, names.values()))
    lines = []
    for place, (stage, chain) in enumerate(stages.items()):
        last = place == len(stages) - 1
        lines.append(f"{'└─' if last else '├─'} {clean(stage) or 'stage'}")
        bar = "   " if last else "│  "
        for step in chain:
            branch = "└─" if step is chain[-1] else "├─"
            line = f"{bar}{branch} {step.number:{digits}d} {names[step.number]:{width}s}"
            lines.append(f"{line}  {outcome(step)}{_needs(step, chain, of)}".rstrip())
    return [*lines, *_summary(steps)]


def by_stage(steps: Sequence[StepReport]) -> dict[str, list[StepReport]]:
    """The steps of each stage, in their order."""
    found: dict[str, list[StepReport]] = {}
    for step in steps:
        found.setdefault(step.stage, []).append(step)
    return found


def label(step: StepReport) -> str:
    """A step's name on one line, cut."""
    return human.cut(clean(step.name.replace("\n", " ")), _LONGEST)


def outcome(step: StepReport) -> str:
    """What became of it: "done 12.3s 4.5MB"."""
    words = [step.status]
    if step.status in ("done", "failed"):
        words.append(f"{step.seconds:.1f}s")
    if step.size:
        words.append(human.size(step.size))
    return " ".join(words)


def _needs(step: StepReport, chain: list[StepReport], of: dict[int, StepReport]) -> str:
    """What it needs beyond the step before it in its stage."""
    own = {other.number for other in chain}
    others = [number for number in step.needs if number not in own]
    if not others:
        return ""
    names = [f"{n} ({clean(of[n].stage)})" if n in of else str(n) for n in others]
    return "  needs " + ", ".join(names)


def longest(steps: Sequence[StepReport]) -> tuple[list[int], float]:
    """The chain of steps, each of which needs the one before, that took longest, and its seconds.
    A need that comes later in the list than who needs it counts for nothing.
    """
    best: dict[int, tuple[float, int]] = {}  # seconds up to here, and the step before
    for step in steps:
        known = [(best[number][0], number) for number in step.needs if number in best]
        before, number = max(known, default=(0.0, 0))
        best[step.number] = (before + step.seconds, number)
    end = max(best, key=lambda number: best[number][0], default=0)
    seconds = best[end][0] if best else 0.0
    chain = []
    while end in best:
        chain.append(end)
        end = best[end][1]
    return chain[::-1], seconds


def _summary(steps: Sequence[StepReport]) -> list[str]:
    counts: dict[str, int] = {}
    for step in steps:
        counts[step.status] = counts.get(step.status, 0) + 1
    total = f"{len(steps)} step{'' if len(steps) == 1 else 's'}: " + ", ".join(
        f"{n} {status}" for status, n in counts.items()
    )
    chain, seconds = longest(steps)
    if not seconds:
        return ["", total]
    of = {step.number: step for step in steps}
    timed = [number for number in chain if of[number].seconds]
    return ["", total, f"longest chain: {' > '.join(map(str, timed))}, {seconds:.1f}s"]


def document(steps: Sequence[StepReport]) -> list[dict[str, object]]:
    """The steps as JSON has them."""
    return [step.as_dict() | {"needs": list(step.needs)} for step in steps]
