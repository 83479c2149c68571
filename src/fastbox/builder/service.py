"""Builds of one store: a Dockerfile and its context in, an image or files out."""

from __future__ import annotations

import os
import time

from fastbox.builder.build import EPOCH, Build, given_args
from fastbox.builder.context import is_directory, open_context
from fastbox.builder.graph import PROXIES, Graph, copied
from fastbox.builder.platform import platform_args
from fastbox.builds import Built, Event
from fastbox.dockerfile.parse import understood
from fastbox.dockerfile.source import parse
from fastbox.errors import os_error
from fastbox.store.lease import Work, any_dead, heal, hold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from fastbox.builder.course import Course
    from fastbox.builder.needs import ImageService, StepService
    from fastbox.builder.solver import Stop
    from fastbox.builder.state import State
    from fastbox.builds import BuildOptions, Warned
    from fastbox.dockerfile.source import Document
    from fastbox.store.root import Root
    from fastbox.types import Pruned

_LEAST_THREADS = 8


class Builds:
    """The builds of one store."""

    __slots__ = ("_images", "_root", "_steps")

    def __init__(
        self,
        root: Root,
        images: Callable[[], ImageService],
        steps: Callable[[], StepService],
    ) -> None:
        # Called when needed: a build that is all cached starts no container.
        self._root, self._images, self._steps = root, images, steps

    def build(
        self,
        options: BuildOptions,
        watch: Callable[[Event], None] | None = None,
        stop: Stop | None = None,
    ) -> Built:
        """Build an image, or files.

        Args:
            options: What and how.
            watch: Gets what happens, from any thread, one event at a time.
            stop: Set by another thread, it ends the build, which raises Canceled.

        Raises:
            DockerfileError: The Dockerfile is not one.
            BuildFailed: A step ended with a code other than 0.
            ImageNotFound: A stage begins with an image that isn't there.
            FastboxError: Anything else; no name was given, and the steps that were made are kept.
        """
        began = time.monotonic()
        if options.cache_to:
            from fastbox.builder.cacheexport import check_targets

            check_targets(options)
        self._tidy()
        useless = False
        try:
            with hold(self._root), Work(self._root) as work:
                build = Build(self._root, work, options, self._images, self._steps, watch, stop)
                try:
                    built = self._build(build)
                except OSError as error:
                    raise os_error(error, "the build failed") from error
                finally:
                    build.close()
                    useless = build.useless
        finally:
            if useless:
                self._images().sweep()
        return built.replace(seconds=time.monotonic() - began)

    def _build(self, build: Build) -> Built:
        warnings = self._read(build)
        names = build.images.check_names(build.options.tags)

        from fastbox.builder import reports, result

        if build.options.check:
            return Built(warnings=warnings, steps=reports.planned(build.graph))
        if build.options.cache_from:
            from fastbox.builder.cacheimport import open_imports

            build.imports = open_imports(build)
        courses = self._solve(build)
        state, document = result.finish(build, courses[build.graph.target].end)
        made = self._write(build, courses, state, document, names)
        return made.replace(warnings=warnings, steps=reports.of_all(build.graph, courses))

    def _write(
        self,
        build: Build,
        courses: Mapping[int, Course],
        state: State,
        document: dict[str, Any],
        names: Sequence[str],
    ) -> Built:
        from fastbox.builder.outputs import write_outputs

        if not build.options.cache_to:
            return write_outputs(build, state, document, names)
        from fastbox.builder.cacheexport import add_inline, write_targets

        add_inline(build, courses, state, document)
        made = write_outputs(build, state, document, names)
        write_targets(build, courses)
        return made

    def _tidy(self) -> None:
        """Builds that were killed have left their work, containers, and secrets in memory."""
        heal(self._root.live("builds"))
        if any_dead(self._root):
            self._images().tidy()
            self._steps().tidy()

    def _read(self, build: Build) -> tuple[Warned, ...]:
        """Context, Dockerfile and graph; what its checks say."""
        options = build.options
        with build.teller.vertex("[internal] load build definition"):
            context, data, name = open_context(options, build.work, lambda: build.stop.stopped)
            build.context = context
            if is_directory(options.context):
                context.keep_digests(self._root, anew=options.no_cache)
            document = parse(data, name)
            build.file = understood(document)
            build.platform = platform_args(options.platform, options.target)
            if options.contexts:
                from fastbox.builder.named import parse_named

                build.named = parse_named(options.contexts)
            build.graph = Graph(
                build.file, given=build.given, platform=build.platform,
                target=options.target, contexts=build.named, refuse=build.refuse,
            )  # fmt: skip
        if not options.check:
            context.read_ahead(copied(build.graph))
        found = self._warnings(build, document)
        unused = sorted(set(build.given) - build.graph.declared - PROXIES - {EPOCH})
        if unused:
            text = f"one or more build-args {unused} were not consumed"
            build.teller.tell(Event(kind="warning", text=text))
        return found

    def _warnings(self, build: Build, document: Document) -> tuple[Warned, ...]:
        from fastbox.dockerfile import checks

        context = build.context
        found = checks.check(
            build.file, document, args=build.given, predefined=build.platform,
            ignored=context.hides if context else None,
        )  # fmt: skip
        if found and checks.chosen_rules(document).error:
            first = found[0]
            raise build.refuse(first.line, f"check {first.rule}: {first.message}", "")
        return found

    def _solve(self, build: Build) -> dict[int, Course]:
        from fastbox.builder.course import Course
        from fastbox.builder.solver import Solver
        from fastbox.builder.triggers import with_triggers

        courses: dict[int, Course] = {}
        with_triggers(build)
        for number in build.graph.needed():
            courses[number] = Course(build, build.graph.nodes[number], courses)
        Solver(courses, build.stop, build.options.parallel or _threads()).run()
        return courses

    def check(self, options: BuildOptions) -> tuple[Warned, ...]:
        """What docker's build checks say of the Dockerfile; nothing is built.

        Raises:
            DockerfileError: The Dockerfile is not one.
        """
        from fastbox.dockerfile import checks

        with Work(self._root) as work:
            context, data, name = open_context(options, work)
            with context:
                document = parse(data, name)
                return checks.check(
                    understood(document), document, args=given_args(options.args or {}),
                    predefined=platform_args(options.platform, options.target),
                    ignored=context.hides,
                )  # fmt: skip

    def prune(
        self,
        *,
        all: bool = False,
        keep: int | None = None,
        max_used: int | None = None,
        min_free: int | None = None,
        filters: Sequence[str] = (),
    ) -> Pruned:
        """Take away what builds keep; see `prune.prune`."""
        from fastbox.builder.prune import prune

        pruned = prune(
            self._root, self._images().needed(), all=all, keep=keep, max_used=max_used,
            min_free=min_free, filters=filters,
        )  # fmt: skip
        self._images().sweep()
        return pruned


def _threads() -> int:
    """Steps mostly wait for programs, which may wait themselves."""
    return max(_LEAST_THREADS, 4 * (os.cpu_count() or 1))
