"""The result of a build: an image's configuration, manifest and names; or its files."""

from __future__ import annotations

from fastbox.builder.made import stack
from fastbox.builder.state import COMMENT, Entry, key_of
from fastbox.store.buildcache import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from fastbox.builder.build import Build
    from fastbox.builder.made import Made
    from fastbox.builder.state import State
    from fastbox.store.refs import Ref


def finish(build: Build, state: State) -> tuple[State, dict[str, Any]]:
    """The result's state and its configuration document, its layers published.

    The same steps and options give the same document: its time is that of the first build that
    had them.
    """
    state.wait()
    labels = build.options.labels or {}
    if labels:
        state.run["Labels"] = dict(state.run.get("Labels") or {}) | dict(labels)
    if build.options.squash:
        from fastbox.builder.squash import squashed

        state = squashed(build, state)
    run = {name: value for name, value in state.run.items() if value not in ([], {}, "", None)}
    document = dict(state.document)
    time = _time(build, state, run)
    document["created"] = time
    document["config"] = run
    document["rootfs"] = {"type": "layers", "diff_ids": [_diff_id(made) for made in full(state)]}
    document["history"] = [_history(entry, time) for entry in state.history]
    return state, document


def full(state: State) -> list[Made]:
    """The layers that are some, bottom first."""
    return [made for made in reversed(stack(state.top)) if not made.empty]


def _diff_id(made: Made) -> str:
    assert made.layer is not None
    return made.layer.diff_id


def _time(build: Build, state: State, run: Mapping[str, Any]) -> str:
    """When this very image was made first."""
    if build.epoch is not None:
        return build.now()
    chain = state.top.chain if state.top else ""
    history = [
        [entry.created_by, bool(entry.made), dict(entry.given or {})] for entry in state.history
    ]
    key = key_of("image", chain, run, state.document, history)
    build.time_key = key
    step = None if build.options.no_cache else build.cache.get(key)
    if step is None:
        others = [place.steps[key].created for place in build.imports if key in place.steps]
        created = next(filter(None, others), "") or build.now()
        step = Step(created=created, name="the image")
        build.cache.put(key, step)
    else:
        build.cache.touch(key)
    return step.created


def _history(entry: Entry, time: str) -> dict[str, Any]:
    if entry.given is not None:
        return dict(entry.given)
    found: dict[str, Any] = {
        "created": entry.created or time,
        "created_by": entry.created_by,
        "comment": COMMENT,
    }
    if entry.made is None or entry.made.empty:
        found["empty_layer"] = True
    return found


def publish(build: Build, state: State, document: Mapping[str, Any], names: Sequence[str]) -> Ref:
    """Make it an image of the store."""
    layers = full(state)
    return build.images.publish_built(
        document,
        [(made.packed, made.chain) for made in layers],
        sum(made.size for made in layers),
        names,
    )


def metadata(ref: Ref, names: Sequence[str]) -> dict[str, object]:
    """What `--metadata-file` gets of an image."""
    found: dict[str, object] = {
        "containerimage.config.digest": ref.config.digest,
        "containerimage.descriptor": {
            "mediaType": ref.manifest.media_type,
            "digest": ref.manifest.digest,
            "size": ref.manifest.size,
        },
        "containerimage.digest": ref.manifest.digest,
    }
    if names:
        found["image.name"] = ",".join(names)
    return found
