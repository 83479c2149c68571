"""How images read in `images` and `image inspect`: docker's words and shapes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from operator import attrgetter

from fastbox import units
from fastbox.images.reference import Reference, parse
from fastbox.types import ImageInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from fastbox.images.documents import Config
    from fastbox.store.refs import Ref
    from fastbox.support.filters import Filters

NONE = "<none>"


FILTERS = ("dangling", "label", "before", "since", "reference", "until")


def list_images(refs: Sequence[Ref], patterns: Sequence[str]) -> list[ImageInfo]:
    """One line per name that one of the patterns fits (all without any); newest first, and names in
    order where that is equal.
    """
    lines = []
    for ref in refs:
        name = parse(ref.reference) if ref.named else None
        if not patterns or (name is not None and any(matches(text, name) for text in patterns)):
            lines.append(_line(ref, name))
    return sorted(lines, key=attrgetter("created"), reverse=True)


def select(
    refs: Sequence[Ref],
    filters: Filters,
    find: Callable[[str], Ref],
    labels_of: Callable[[Ref], Mapping[str, str]],
) -> list[Ref]:
    """The records that docker's filters let through; `reference` is `list_images`'s matter.

    Args:
        refs: All records.
        filters: Keys of FILTERS, and `label!`.
        find: The record of an image that `before` or `since` names.
        labels_of: An image's labels: read only when they are asked for.
    """
    dangling, until = filters.truth("dangling"), filters.until()
    before = [moment(find(name).created) for name in filters.values("before")]
    since = [moment(find(name).created) for name in filters.values("since")]
    if until is not None:
        before.append(until)
    by_label = filters.values("label") or filters.values("label!")
    return [
        ref
        for ref in refs
        if (dangling is None or dangling is not ref.named)
        and all(moment(ref.created) < limit for limit in before)
        and all(moment(ref.created) > limit for limit in since)
        and (not by_label or filters.labels_fit(labels_of(ref)))
    ]


def moment(created: str) -> int:
    """Nanoseconds since 1970 of what an image's author says; 0 when it says nothing readable."""
    try:
        return units.instant(created) if created else 0
    except ValueError:
        return 0


def matches(pattern: str, name: Reference) -> bool:
    """Whether a pattern is for this name: with or without the tag; * and ? stay between slashes.

    Example:
        >>> matches("build*", parse("buildme:latest"))
        True
    """
    texts = (name.familiar, name.familiar_name, str(name), name.name)
    wanted = pattern.split("/")
    return any(
        len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted))
        for parts in (text.split("/") for text in texts)
    )


def _line(ref: Ref, name: Reference | None) -> ImageInfo:
    return ImageInfo(
        id=ref.config.digest,
        repository=name.familiar_name if name else NONE,
        tag=name.tag if name else NONE,
        digest=ref.manifest.digest,
        created=ref.created,
        size=ref.size,
    )


def describe(
    ref: Ref, same: Sequence[Ref], config: Config, trees: Sequence[str]
) -> dict[str, object]:
    """Docker's image object.

    Args:
        ref: The record that was asked for.
        same: Every record of the same image.
        config: Its configuration.
        trees: The directories of its layers, topmost first.
    """
    named = [(other, parse(other.reference)) for other in same if other.named]
    document = config.document
    comment = _comment(config.document.get("history"))
    return {
        "Id": ref.config.digest,
        "RepoTags": [name.familiar for _, name in named],
        "RepoDigests": sorted(
            {f"{name.familiar_name}@{other.manifest.digest}" for other, name in named}
        ),
        "Parent": "",
        "Comment": document.get("comment") or comment,
        "Created": config.created,
        "Container": document.get("container") or "",
        "ContainerConfig": _container_config(document.get("container_config")),
        "DockerVersion": document.get("docker_version") or "",
        "Author": document.get("author") or "",
        "Config": _run_config(config.run),
        "Architecture": config.platform.architecture,
        **({"Variant": config.platform.variant} if config.platform.variant else {}),
        "Os": config.platform.os,
        "Size": ref.size,
        "VirtualSize": ref.size,
        "GraphDriver": {"Data": _driver(trees), "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Metadata": {"LastTagTime": ref.time},
    }


def _driver(trees: Sequence[str]) -> dict[str, str]:
    """Docker's names; what only a container would have is where it would be."""
    if not trees:
        return {}
    top = trees[0].rpartition("/")[0]
    found = {"MergedDir": f"{top}/merged", "UpperDir": trees[0], "WorkDir": f"{top}/work"}
    return ({"LowerDir": ":".join(trees[1:])} if trees[1:] else {}) | found


def _comment(history: object) -> object:
    if isinstance(history, list) and history and isinstance(history[-1], dict):
        return history[-1].get("comment", "")
    return ""


def _run_config(run: Mapping[str, Any]) -> dict[str, object]:
    """An image's own configuration, with the members that docker always shows present."""
    texts = dict.fromkeys(("Hostname", "Domainname", "User"), "")
    switches = dict.fromkeys(
        ("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"), False
    )
    image: dict[str, object] = {"Env": None, "Cmd": None, "Image": "", "Volumes": None}
    rest = {"WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None}
    return texts | switches | image | rest | dict(run)


def _container_config(value: object) -> dict[str, object]:
    return _run_config(value if isinstance(value, dict) else {})
