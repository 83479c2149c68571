"""One build: what all of its stages share."""

from __future__ import annotations

import _thread
import os
import time

from fastbox.builder.secrets import SecretFiles
from fastbox.builder.solver import Stop
from fastbox.builder.telling import Teller
from fastbox.errors import DockerfileError
from fastbox.store.buildcache import BuildCache
from fastbox.support import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastbox.builder.cacheimport import Import
    from fastbox.builder.context import Context
    from fastbox.builder.graph import Graph
    from fastbox.builder.layers import LayerStore
    from fastbox.builder.named import NamedContext
    from fastbox.builder.needs import ImageService, StepService
    from fastbox.builder.remote import Download
    from fastbox.builder.sources import Source
    from fastbox.builds import BuildOptions, Event
    from fastbox.dockerfile.instructions import Dockerfile
    from fastbox.errors import FastboxError
    from fastbox.store.buildcache import Claim
    from fastbox.store.lease import Work
    from fastbox.store.root import Root

EPOCH = "SOURCE_DATE_EPOCH"  # as a variable of ours, or a build argument


class Build:
    """One build, from its context to its result.

    Attributes:
        options: What was asked for.
        file: The Dockerfile.
        graph: Its stages.
        context: The files that COPY takes, or None when nothing does.
        named: Named contexts by their lower-case names.
        given: Build arguments that have a value.
        platform: TARGETPLATFORM and the like, as arguments.
        epoch: SOURCE_DATE_EPOCH in seconds, or None.
        imports: Who is asked for steps that the store doesn't know.
        replaced: A step that was made again came out otherwise: its old layer may be of no use.
        time_key: Under which the cache knows when the result was made first, or "".
    """

    __slots__ = (
        "_images", "_layers", "_layers_lock", "cache", "context", "downloads", "epoch", "file",
        "given", "graph", "imports", "named", "options", "platform", "replaced", "root", "secrets",
        "source_lock", "sources", "steps", "stop", "teller", "time_key", "work",
    )  # fmt: skip

    def __init__(
        self,
        root: Root,
        work: Work,
        options: BuildOptions,
        images: Callable[[], ImageService],
        steps: Callable[[], StepService],
        watch: Callable[[Event], None] | None,
        stop: Stop | None,
    ) -> None:
        self.root, self.work, self.options = root, work, options
        self._images, self.steps = images, steps
        self.teller, self.stop = Teller(watch), stop or Stop()
        self.cache = BuildCache(root)
        self.given = given_args(options.args or {})
        self.epoch = _epoch(self.given)
        self._layers: LayerStore | None = None
        self._layers_lock = _thread.allocate_lock()
        self.secrets = SecretFiles(root, options)
        self.platform: Mapping[str, str] = {}
        self.named: Mapping[str, NamedContext] = {}
        self.file: Dockerfile
        self.graph: Graph
        self.context: Context | None = None
        self.source_lock = _thread.allocate_lock()
        self.replaced = False
        self.sources: dict[int | str, Source] = {}  # by stage, image or context
        self.imports: list[Import] = []
        self.time_key = ""
        self.downloads: dict[str, Download] = {}  # by address

    @property
    def images(self) -> ImageService:
        """The store's images: nothing of them is loaded before a stage begins with one."""
        return self._images()

    @property
    def layers(self) -> LayerStore:
        """The layers that its steps make: a build that is all cached makes none."""
        with self._layers_lock:
            if self._layers is None:
                from fastbox.builder.layers import LayerStore

                self._layers = LayerStore(self.root, self.work, self.epoch)
            return self._layers

    @property
    def useless(self) -> bool:
        """Whether layers were stored, but not remembered, or replaced others."""
        return self.replaced or (self._layers is not None and self._layers.broken)

    def now(self) -> str:
        """The time that goes into documents."""
        return clock.now() if self.epoch is None else clock.rfc3339(self.epoch * 1_000_000_000)

    def claim(self, key: str) -> Claim:
        """The right to make a step, once nobody else makes it.

        Raises:
            Canceled: The build is to end.
        """
        while True:
            claim = self.cache.try_claim(key)
            if claim is not None:
                return claim
            self.stop.check()
            time.sleep(0.01)

    def refuse(self, line: int, what: str, hint: str) -> FastboxError:
        """The error for a line of the Dockerfile."""
        text = self.file.lines[line - 1] if 0 < line <= len(self.file.lines) else ""
        return DockerfileError(what, where=self.file.name, hint=hint, line=line, source=text)

    def place(self, error: FastboxError, line: int) -> FastboxError:
        """The error, with the line that it happened at, for whoever shows it."""
        if not getattr(error, "line", 0):
            error.line = line  # type: ignore[attr-defined]
        error.file, error.source = self.file.name, self.file.lines  # type: ignore[attr-defined]
        return error

    def close(self) -> None:
        """Publish what is on its way, and let go of all."""
        try:
            if self._layers is not None:
                self._layers.close()
        finally:
            for source in self.sources.values():
                source.close()
            for place in self.imports:
                place.close()
            if self.context is not None:
                self.context.close()
            self.secrets.close()
            self.stop.close()


def given_args(args: Mapping[str, str | None]) -> dict[str, str]:
    """Build arguments with their values; one without takes this process's variable, if there is
    one. The host's proxies are no arguments unless they are given: an image must not depend on
    them.
    """
    found = {}
    for name, value in args.items():
        value = os.environ.get(name) if value is None else value
        if value is not None:
            found[name] = value
    return found


def _epoch(given: Mapping[str, str]) -> int | None:
    text = given.get(EPOCH)
    if text is None:
        return clock.source_date()
    return clock.source_date_of(text)
