"""Friendly keywords to `BuildOptions`: a tag or several, secrets as a mapping, sizes as "256m"."""

from __future__ import annotations

from fastbox.builds import BuildOptions, CacheSource, Output, Secret, Ssh
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO, TypedDict

    from fastbox.types import Ulimit

    class BuildKeywords(TypedDict, total=False):
        """The keywords of `Engine.build`; `builds.BuildOptions` describes them."""

        stdin: BinaryIO | None
        file: str
        tag: str | Sequence[str]
        target: str
        args: Mapping[str, str | None] | None
        labels: Mapping[str, str] | None
        contexts: Mapping[str, str] | None
        secrets: Mapping[str, str] | Sequence[Secret]  # an id and its file's path
        ssh: Sequence[Ssh]
        outputs: Sequence[Output]
        cache_from: Sequence[CacheSource]
        cache_to: Sequence[CacheSource]
        no_cache: bool
        no_cache_filter: Sequence[str]
        pull: bool
        platform: str
        network: str
        allow: Sequence[str]
        extra_hosts: Sequence[str]
        ulimits: Sequence[Ulimit]
        shm_size: int | str
        memory: int | str | None
        memory_swap: int | str | None
        cpu_shares: int | None
        cpu_period: int | None
        cpu_quota: int | None
        cpuset_cpus: str
        cpuset_mems: str
        cgroup_parent: str
        security_opt: Sequence[str]
        squash: bool
        parallel: int


_TUPLES = (
    "ssh", "outputs", "cache_from", "cache_to", "no_cache_filter", "allow", "extra_hosts",
    "ulimits", "security_opt",
)  # fmt: skip


def from_keywords(context: str, given: BuildKeywords) -> BuildOptions:
    """The options that `Engine.build`'s arguments mean.

    Raises:
        TypeError: An unknown keyword, or a text where a list is wanted.
        InvalidArgument: A size that can't be read.
    """
    values: dict[str, object] = dict(given)
    tags = values.pop("tag", ())
    values["tags"] = (tags,) if isinstance(tags, str) else tuple(tags)  # type: ignore[arg-type]
    secrets = values.pop("secrets", ())
    if hasattr(secrets, "items"):
        secrets = [Secret(id=name, path=path) for name, path in secrets.items()]
    values["secrets"] = tuple(secrets)  # type: ignore[arg-type]
    for key in _TUPLES:
        if key in values:
            if isinstance(values[key], str):
                raise TypeError(f"{key} is a list, not one text")
            values[key] = tuple(values[key])  # type: ignore[arg-type]
    for key in ("shm_size", "memory", "memory_swap"):
        if isinstance(values.get(key), str):
            values[key] = _size(str(values[key]))
    return BuildOptions(context=context, **values)  # type: ignore[arg-type]


def _size(text: str) -> int:
    from fastbox import units

    try:
        return -1 if text == "-1" else units.size(text)
    except ValueError as error:
        raise InvalidArgument(
            f'"{text}" is not a size: {error}', hint="write a number and b, k, m or g: 256m"
        ) from None
