"""The containers of a pytest scope, and what a failure says of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastbox.errors import FastboxError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self, Unpack

    import pytest

    from fastbox.containers.container import Container
    from fastbox.containers.options import RunKeywords
    from fastbox.containers.readiness import Condition
    from fastbox.engine import Engine
    from fastbox.types import ContainerInfo

LABEL = "fastbox.pytest"


class ContainerFactory:
    """Starts containers that end with a scope. Call it as `fastbox.Engine.run`."""

    def __init__(self, engine: Engine, config: pytest.Config, node: Any) -> None:
        self._engine, self._node = engine, node
        self._keep: bool = config.option.fastbox_keep
        self.lines: int = config.option.fastbox_log_lines
        self._unique = ""
        self.made: list[Container] = []
        self.failed = False

    def __call__(
        self,
        image: str = "",
        argv: Sequence[str] = (),
        *,
        stdin: int | None = None,
        wait: Condition | None = None,
        timeout: float = 60.0,
        **options: Unpack[RunKeywords],
    ) -> Container:
        """Start a container: `fastbox.Engine.run`. A `name` gets the worker's id and a number of
        the process appended, so that workers and sessions side by side don't meet; `Container.name`
        has it whole. The marker `fastbox` gives defaults for the options.

        Raises:
            NotReady: It ended before it was ready, or was not in time; with its last log lines.
        """
        merged = self._merge(options)
        # With --fastbox-keep a failure's containers have to outlive us.
        container = self._engine.run(image, argv, stdin=stdin, detach=self._keep, **merged)
        self.made.append(container)
        if wait is not None:
            container.wait_for(wait, timeout)
        return container

    def _merge(self, options: RunKeywords) -> RunKeywords:
        merged: dict[str, Any] = {}
        iter_markers = getattr(self._node, "iter_markers", None)
        for marker in reversed(list(iter_markers("fastbox")) if iter_markers else []):
            merged |= marker.kwargs
        merged |= options
        if merged.get("name"):
            merged["name"] += f"-{worker()}-{os.getpid()}"
        merged["labels"] = {**(merged.get("labels") or {}), LABEL: self._node.nodeid or "session"}
        return merged  # type: ignore[return-value]

    def __enter__(self) -> Self:
        _open.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _open.remove(self)
        errors = []
        for container in reversed(self.made):
            try:
                self._end(container)
            except FastboxError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _end(self, container: Container) -> None:
        if self._keep and not self.failed:
            try:
                container.remove(force=True)
            except FastboxError as error:
                if error.http_status != 404:
                    raise
        container.close()

    @property
    def keeps(self) -> bool:
        """Whether containers stay after a failure."""
        return self._keep


_open: list[ContainerFactory] = []


def worker() -> str:
    """The id of pytest-xdist's worker, or "main"."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


def sections(item: pytest.Item) -> list[tuple[str, str]]:
    """What a failed test's report says of the containers that it could use."""
    found = []
    for factory in _open:
        if item.nodeid.startswith(factory._node.nodeid):
            factory.failed = True
            found += [_section(factory, container) for container in factory.made]
    return found


def _section(factory: ContainerFactory, container: Container) -> tuple[str, str]:
    from fastbox.containers.readiness import last_lines

    title = f"fastbox container {container.name}"
    try:
        info = container.info
    except FastboxError as error:
        return title, f"{error}\n"
    lines = [
        f"command: {' '.join(info.command)}",
        f"image:   {info.image}",
        f"state:   {_state(info)}",
    ]
    if factory.keeps:
        lines.append(
            f"kept:    fastbox exec -it {container.name} sh; fastbox rm -f {container.name}"
        )
    log = last_lines(container, factory.lines)
    lines += [f"last {factory.lines} log lines:", log] if log else ["its log is empty"]
    return title, "\n".join(lines) + "\n"


def _state(info: ContainerInfo) -> str:
    if info.state != "exited":
        return info.state
    extra = ", out of memory" if info.oom_killed else ""
    return f"exited with code {info.exit_code}{extra}" + (f": {info.error}" if info.error else "")
