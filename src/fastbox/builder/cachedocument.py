"""What a cache that leaves the store says of its steps: their keys, and what came of each.

`{"schema":1,"steps":{KEY: {...}}}`, the members of `store/buildcache.Step` that are not empty.
Whoever reads it has got it from somebody else.
"""

from __future__ import annotations

from fastbox import units
from fastbox.errors import InvalidSpec, ResourceExhausted
from fastbox.store.buildcache import Step
from fastbox.store.content import MAX_SIZE, hex_of, is_hex64
from fastbox.support import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MEDIA_TYPE = "application/vnd.fastbox.buildcache.v1+json"
MEMBER = "fastbox.buildcache.v1"  # of an image's configuration
MAX_DOCUMENT = 8 << 20
MAX_STEPS = 10_000
_MAX_NAME = 4096
_DIGESTS = ("chain", "parent", "diff_id", "digest")
_SIZES = ("size", "packed_size")
_MEMBERS = frozenset((*_DIGESTS, *_SIZES, "created", "name", "same"))


def document(steps: Mapping[str, Step]) -> dict[str, Any]:
    """The document of these steps, by their keys."""
    return {"schema": 1, "steps": {key: _members(step) for key, step in steps.items()}}


def _members(step: Step) -> dict[str, Any]:
    found = {name: value for name, value in step.as_dict().items() if value and name in _MEMBERS}
    if "name" in found:
        found["name"] = found["name"][:_MAX_NAME]
    return found


def parse(value: object) -> dict[str, Step]:
    """The steps of a document by their keys; members that are unknown are left out.

    Raises:
        InvalidSpec: It is no such document.
        ResourceExhausted: More than 10,000 steps.
    """
    if not isinstance(value, dict) or value.get("schema") != 1:
        raise InvalidSpec("not a cache of this version")
    steps = value.get("steps")
    if not isinstance(steps, dict):
        raise InvalidSpec("the cache has no steps")
    if len(steps) > MAX_STEPS:
        raise ResourceExhausted(f"a cache of more than {MAX_STEPS} steps")
    return {_key(key): _step(step) for key, step in steps.items()}


def _key(key: object) -> str:
    if not isinstance(key, str) or not is_hex64(key):
        raise InvalidSpec(f"not the key of a step: {str(key)[:100]!r}")
    return key


def _step(value: object) -> Step:
    if not isinstance(value, dict):
        raise InvalidSpec("a step of the cache is not an object")
    if value.get("same"):
        return Step(same=_key(value["same"]))
    made: dict[str, Any] = {"created": _time(value.get("created")), "name": _name(value)}
    for member in _SIZES:
        made[member] = _size(value.get(member, 0))
    if value.get("chain"):
        parent = value.get("parent")
        made |= {each: "sha256:" + hex_of(value.get(each)) for each in _DIGESTS if each != "parent"}
        made["parent"] = "sha256:" + hex_of(parent) if parent else ""
    return Step(**made)


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SIZE:
        raise InvalidSpec("a step of the cache has no valid size")
    return value


def _time(value: object) -> str:
    """Only as the builder writes it: it goes into images."""
    try:
        if isinstance(value, str) and clock.rfc3339(units.instant(value)) == value:
            return value
    except (ValueError, OverflowError):
        pass
    raise InvalidSpec(f"a step of the cache has no valid time: {str(value)[:100]!r}")


def _name(value: Mapping[str, Any]) -> str:
    name = value.get("name", "")
    if not isinstance(name, str) or len(name) > _MAX_NAME:
        raise InvalidSpec("a step of the cache has no valid name")
    return "".join(char if char.isprintable() else " " for char in name)
