"""A start from an image, beside forks of a container that has written 500 MB: `true` each time,
from the call to the end of the process, in this process.

The prepared container has ended, so its upper is sealed once, by the first fork; what any later one
pays for it is one more layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from ..suite import BASE, OURS, Budget, Field, Row, Suite
from ..vs_peers.clients import Measure, Measured
from ..vs_peers.lab import Lab

WRITTEN = "mkdir /data; for i in $(seq 500); do head -c 1048576 /dev/zero > /data/$i; done"


def _timed(work: Callable[[], object], after: Callable[[object], None]) -> Measure:
    def measure(count: int, flight: int) -> Measured:
        samples = []
        for _ in range(count // flight):
            begin = time.perf_counter()
            made = work()
            samples += [(time.perf_counter() - begin) * 1e6] * flight
            after(made)
        return Measured(samples, 0)

    return measure


class _Prepared:
    """An engine, and a container that was prepared in it; made when first asked for."""

    def __init__(self, lab: Lab) -> None:
        import fastbox

        self.image = lab.image
        self.engine = lab.stack.enter_context(
            fastbox.Engine.open(root=lab.file("store"), run=lab.file("run"))
        )
        self.source = lab.stack.enter_context(
            self.engine.run(self.image, ["sh", "-c", WRITTEN], network="none")
        )
        if self.source.wait(300):
            raise RuntimeError("the container could not be prepared")

    def plain(self) -> Measure:
        def work() -> object:
            made = self.engine.run(self.image, ["true"], network="none")
            made.wait(60)
            return made

        return _timed(work, _end)

    def fork(self) -> Measure:
        def work() -> object:
            (made,) = self.source.fork(argv=["true"])
            made.wait(60)
            return made

        return _timed(work, _end)

    def hundred(self) -> Measure:
        """Per copy, of a hundred that run at once."""

        def measure(count: int, flight: int) -> Measured:
            samples = []
            for _ in range(count // flight):
                begin = time.perf_counter()
                copies = self.source.fork(100, argv=["sleep", "1000"])
                samples += [(time.perf_counter() - begin) * 1e4] * flight
                for copy in copies:
                    _end(copy)
            return Measured(samples, 0)

        return measure


def _end(made: object) -> None:
    with made:  # type: ignore[attr-defined]
        pass


def _open(field: Field) -> None:
    found: list[_Prepared] = []

    def prepared(name: str) -> Measure:
        if not found:
            found.append(_Prepared(field.lab))
        measure: Measure = getattr(found[0], name)()
        return measure

    for name in ("plain", "fork", "hundred"):
        field.admit(name, partial(prepared, name))


SUITES = (
    Suite(
        name="fork",
        title="`true` in a fork of a container with 500 MB written",
        rows=(
            Row("plain", "start from the image (Engine.run)", BASE),
            Row("fork", "fork and start (Container.fork)", OURS),
            Row("hundred", "one of a hundred forks, started only", OURS),
        ),
        open=_open,
        base="plain",
        rounds=40,
        seconds=40.0,
        apart=True,
        budgets=(Budget("a fork, at most 1.5 x a plain start", "fork", 1.5, "plain"),),
    ),
)
