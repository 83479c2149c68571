"""`--cache-to`: the steps of a build for other stores, in a directory or in the image itself."""

from __future__ import annotations

from fastbox.builder import cachedocument
from fastbox.builder.result import full
from fastbox.builds import Event
from fastbox.errors import FastboxError, InvalidArgument, Unsupported, os_error
from fastbox.store.buildcache import Step
from fastbox.store.content import Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fastbox.builder.build import Build
    from fastbox.builder.course import Course
    from fastbox.builder.state import State
    from fastbox.builds import BuildOptions, CacheSource


def check_targets(options: BuildOptions) -> None:
    """Refuse what can't be written before anything is built.

    Raises:
        InvalidArgument: An unknown kind, or a directory without a name.
        Unsupported: A registry.
    """
    for target in options.cache_to:
        if target.kind == "registry":
            raise Unsupported(
                "a cache can't be written to a registry yet", hint="use type=local or type=inline"
            )
        if target.kind not in ("local", "inline"):
            raise InvalidArgument(f'unknown cache "{target.kind}"', hint="local or inline")
        if target.kind == "local" and not target.path:
            raise InvalidArgument("--cache-to type=local needs dest=")


def steps_of(build: Build, courses: Mapping[int, Course], mode: str) -> dict[str, Step]:
    """The steps that were made or taken from the cache, by their keys.

    Args:
        build: The build, its layers published.
        courses: All of its stages.
        mode: min: those of the result's stage and of the stages that it begins with; max: all.
    """
    chosen, number = set(courses) if mode == "max" else set(), build.graph.target
    while mode != "max":
        chosen.add(number)
        base = build.graph.nodes[number].base
        if base is None:
            break
        number = base
    found: dict[str, Step] = {}
    for number in sorted(chosen):
        for key, keys in courses[number].keys:
            step = build.cache.get(key)
            if step is None or step.same:
                continue  # pruned meanwhile
            found[key] = step
            found.update({each: Step(same=key) for each in sorted(keys) if each != key})
    time = build.cache.get(build.time_key) if build.time_key else None
    if time is not None:
        found[build.time_key] = time
    return found


def add_inline(
    build: Build, courses: Mapping[int, Course], state: State, document: dict[str, Any]
) -> None:
    """`type=inline`: the steps whose layers the image has go into its configuration."""
    if not any(target.kind == "inline" for target in build.options.cache_to):
        return
    chains = {"", *(made.chain for made in full(state))}
    found = {
        key: step
        for key, step in steps_of(build, courses, "min").items()
        if step.same or step.chain in chains
    }
    found = {key: step for key, step in found.items() if not step.same or step.same in found}
    document[cachedocument.MEMBER] = cachedocument.document(found)


def write_targets(build: Build, courses: Mapping[int, Course]) -> None:
    """Every `type=local`.

    Raises:
        FastboxError: It can't be written (with `ignore-error=true` that is a warning).
    """
    for target in build.options.cache_to:
        if target.kind != "local":
            continue
        try:
            with build.teller.vertex("exporting cache to client directory"):
                _write(build, steps_of(build, courses, target.mode), target)
        except FastboxError as error:
            if (target.attributes or {}).get("ignore-error") not in ("true", "1"):
                raise
            build.teller.tell(Event(kind="warning", text=f"cache {target.path}: {error}"))


def _write(build: Build, steps: Mapping[str, Step], target: CacheSource) -> None:
    from fastbox.builder.cachedirectory import CacheDirectory

    try:
        with CacheDirectory(target.path, make=True) as directory:
            tag = (target.attributes or {}).get("tag", "latest")
            directory.write(Content(build.root), steps, tag)
    except FastboxError:
        raise
    except OSError as error:
        raise os_error(error, "cannot write the cache", target.path) from error
