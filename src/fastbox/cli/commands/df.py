"""Show how much of the disk images, containers and volumes take."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Option
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.system.usage import Part, Usage

NAME = "df"
USAGE = "[OPTIONS]"
SUMMARY = "show how much of the disk everything takes"
OPERANDS = (0, 0)
_HEADINGS = {
    "Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}  # fmt: skip
_IMAGES = (
    "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS",
)  # fmt: skip
_CONTAINERS = (
    "CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES",
)  # fmt: skip
_VOLUMES = ("VOLUME NAME", "LINKS", "SIZE")
_CACHE_WORDS = (
    "ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared",
)  # fmt: skip
_CACHE = ("CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED")


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("format", "", TEXT, "print a table, json, or a template such as {{.Type}}"),
        Option("verbose", "v", SWITCH, "show each image, container and volume"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print it."""
    form, verbose = args.text("format"), args.switch("verbose")
    if form and verbose and form != "json":
        raise InvalidArgument("--verbose with --format can only be json")
    usage = engine.system.usage()
    if not verbose:
        from fastbox.cli.render import table

        items = [_fields(part) for part in usage.parts]
        table.show(out, items, fields=list(_HEADINGS), headings=_HEADINGS, form=form)
    elif form:
        from fastbox.support import json

        out.line(json.dumps(_document(usage)))
    else:
        _show_verbose(usage, out)
    return 0


def _fields(part: Part) -> dict[str, str]:
    from fastbox.cli.render import human

    share = f" ({100 * part.reclaimable // part.size}%)" if part.size and part.reclaimable else ""
    return {
        "Type": part.kind,
        "TotalCount": str(part.total),
        "Active": str(part.active),
        "Size": human.size(part.size),
        "Reclaimable": human.size(part.reclaimable) + share,
    }


def _show_verbose(usage: Usage, out: Output) -> None:
    from fastbox.cli.render import human, table

    images, containers = _rows(usage)
    _section(out, "Images space usage:", [_IMAGES, *images])
    _section(out, "Containers space usage:", [_CONTAINERS, *containers])
    _section(out, "Local Volumes space usage:", [_VOLUMES, *_volume_rows(usage)])
    cache = next(part.size for part in usage.parts if part.kind == "Build Cache")
    out.line(f"Build cache usage: {human.size(cache)}\n")
    for line in table.lines([_CACHE, *_cache_rows(usage)]):
        out.line(line)


def _section(out: Output, title: str, rows: list[tuple[str, ...]]) -> None:
    from fastbox.cli.render import table

    out.line(title + "\n")
    for line in table.lines(rows):
        out.line(line)
    out.line("")


def _rows(usage: Usage) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    import time

    from fastbox.cli.commands import images as image_list
    from fastbox.cli.commands import ps
    from fastbox.cli.render import human

    now = time.time()
    images, containers = [], []
    for image in usage.images:
        field = image_list.fields(image.info, now, False)
        sizes = (image.shared + image.unique, image.shared, image.unique)
        images.append(
            (
                *(field[name] for name in ("Repository", "Tag", "ID", "CreatedSince")),
                *map(human.size, sizes),
                str(image.containers),
            )
        )
    for container in usage.containers:
        field = ps.fields(container.info, now, False)
        containers.append(
            (
                *(field[name] for name in ("ID", "Image", "Command")),
                str(_links(usage, container.info.id)),
                human.size(container.size),
                *(field[name] for name in ("RunningFor", "Status", "Names")),
            )
        )
    return images, containers


def _volume_rows(usage: Usage) -> list[tuple[str, ...]]:
    from fastbox.cli.render import human

    return [
        (volume.info.name, str(len(volume.info.containers)), human.size(volume.size))
        for volume in usage.volumes
    ]


def _cache_rows(usage: Usage) -> list[tuple[str, ...]]:
    """How often something was used is not counted."""
    import time

    from fastbox.cli.render import human

    now = time.time()
    rows: list[tuple[str, ...]] = []
    for each in usage.cache:
        item = each.item
        created = human.since(item.created, now)
        rows.append(
            (
                item.key[:12],
                "exec.cachemount" if item.is_mount else "regular",
                human.size(each.size),
                f"{created} ago" if created else "N/A",
                f"{human.age(now - item.used)} ago",
                "N/A",
                str(each.shared).lower(),
            )
        )
    return rows


def _links(usage: Usage, container: str) -> int:
    return sum(container in volume.info.containers for volume in usage.volumes)


def _document(usage: Usage) -> dict[str, object]:
    images, containers = _rows(usage)
    return {
        "Images": [
            dict(zip(_words(_IMAGES), row, strict=True))
            | {"ID": image.info.id, "Digest": image.info.digest}
            for row, image in zip(images, usage.images, strict=True)
        ],
        "Containers": [
            dict(zip(_words(_CONTAINERS), row, strict=True)) | {"ID": container.info.id}
            for row, container in zip(containers, usage.containers, strict=True)
        ],
        "Volumes": [
            dict(zip(("Name", "Links", "Size"), row, strict=True))
            | {"Driver": volume.info.driver, "Mountpoint": volume.info.mountpoint}
            for row, volume in zip(_volume_rows(usage), usage.volumes, strict=True)
        ],
        "BuildCache": [
            dict(zip(_CACHE_WORDS, row, strict=True))
            | {"ID": each.item.key, "Description": each.item.name, "InUse": "false"}
            for row, each in zip(_cache_rows(usage), usage.cache, strict=True)
        ],
    }


def _words(headings: tuple[str, ...]) -> list[str]:
    """The members' names in JSON."""
    known = {
        "IMAGE ID": "ID", "CONTAINER ID": "ID", "CREATED": "CreatedSince",
        "REPOSITORY": "Repository",
    }  # fmt: skip
    return [known.get(text) or text.title().replace(" ", "") for text in headings]
