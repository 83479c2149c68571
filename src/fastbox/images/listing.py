"""How images read in `images` and `image inspect`: docker's words and shapes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from operator import attrgetter

from fastbox.images.reference import Reference, parse
from fastbox.types import ImageInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.images.documents import Config
    from fastbox.store.refs import Ref

NONE = "<none>"


def list_images(refs: Sequence[Ref], pattern: str) -> list[ImageInfo]:
    """One line per name; newest first, and names in order where that is equal."""
    lines = []
    for ref in refs:
        name = parse(ref.reference) if ref.named else None
        if not pattern or (name is not None and matches(pattern, name)):
            lines.append(_line(ref, name))
    return sorted(lines, key=attrgetter("created"), reverse=True)


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
    driver = {"LowerDir": ":".join(trees[1:]), "UpperDir": trees[0]} if trees else {}
    return {
        "Id": ref.config.digest,
        "RepoTags": [name.familiar for _, name in named],
        "RepoDigests": sorted(
            {f"{name.familiar_name}@{other.manifest.digest}" for other, name in named}
        ),
        "Parent": "",
        "Comment": document.get("comment") or comment,
        "Created": config.created,
        "DockerVersion": document.get("docker_version") or "",
        "Author": document.get("author") or "",
        "Config": _run_config(config),
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": ref.size,
        "GraphDriver": {"Data": driver, "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Metadata": {"LastTagTime": ref.time},
    }


def _comment(history: object) -> object:
    if isinstance(history, list) and history and isinstance(history[-1], dict):
        return history[-1].get("comment", "")
    return ""


def _run_config(config: Config) -> dict[str, object]:
    """The image's own configuration, with the members that scripts look for present."""
    absent = dict.fromkeys(("Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"))
    return {"User": "", "WorkingDir": ""} | absent | dict(config.run)
