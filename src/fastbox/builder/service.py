"""Builds of one store: a Dockerfile and its context in, an image or files out."""

from __future__ import annotations

import time

from fastbox.builder import result
from fastbox.builder.build import Build
from fastbox.builder.context import open_context
from fastbox.builder.course import Course
from fastbox.builder.graph import Graph
from fastbox.builder.named import parse_named
from fastbox.builder.platform import platform_args
from fastbox.builder.solver import Solver
from fastbox.builds import Built, Output, StepReport
from fastbox.dockerfile import checks
from fastbox.dockerfile.errors import refusal
from fastbox.dockerfile.parse import read
from fastbox.errors import FastboxError, os_error
from fastbox.store.lease import Work, hold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fastbox.builder.needs import ImageService, StepService
    from fastbox.builder.state import State
    from fastbox.builds import BuildOptions, Event, Warned
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

    def build(self, options: BuildOptions, watch: Callable[[Event], None] | None = None) -> Built:
        """Build an image, or files.

        Args:
            options: What and how.
            watch: Gets what happens, from any thread, one event at a time.

        Raises:
            DockerfileError: The Dockerfile is not one.
            BuildFailed: A step ended with a code other than 0.
            ImageNotFound: A stage begins with an image that isn't there.
            FastboxError: Anything else; no name was given, and the steps that were made are kept.
        """
        from fastbox.builder.outputs import write_outputs

        began = time.monotonic()
        names = self._images().check_names(options.tags) if options.tags else ()
        with hold(self._root), Work(self._root) as work:
            build = Build(self._root, work, options, self._images(), self._steps, watch)
            try:
                courses = self._solve(build)
                state, document = result.finish(build, courses[build.graph.target].end)
                made = write_outputs(build, state, document, names)
            except OSError as error:
                raise os_error(error, "the build failed") from error
            finally:
                build.close()
        reports = _reports(build, courses)
        return made.replace(
            warnings=_warnings(build), steps=reports, seconds=time.monotonic() - began
        )

    def _solve(self, build: Build) -> dict[int, Course]:
        options = build.options
        with build.teller.vertex("[internal] load build definition") as vertex:
            build.context, data, name = open_context(options, build.work)
            build.file = read(data, name)
            build.refuse = refusal(build.file)
            del vertex
        build.platform = platform_args(options.platform, options.target)
        build.named = parse_named(options.contexts)
        build.graph = Graph(
            build.file, given=build.given, platform=build.platform, target=options.target,
            contexts=build.named, refuse=build.refuse,
        )  # fmt: skip
        courses: dict[int, Course] = {}
        for number in build.graph.needed():
            courses[number] = Course(build, build.graph.nodes[number], courses)
        Solver(courses, build.stop, options.parallel or _threads()).run()
        return courses

    def check(self, options: BuildOptions) -> tuple[Warned, ...]:
        """What docker's build checks say of the Dockerfile; nothing is built.

        Raises:
            DockerfileError: The Dockerfile is not one.
        """
        with Work(self._root) as work:
            context, data, name = open_context(options, work)
            with context:
                return checks.check(data, name, target=options.target, ignored=context.ignored)

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
            self._root, all=all, keep=keep, max_used=max_used, min_free=min_free, filters=filters
        )
        self._images().sweep()
        return pruned
