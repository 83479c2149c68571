"""-v, --mount and --tmpfs as mounts. What a mount may be is the engine's business; here is only how
it is written.
"""

from __future__ import annotations

import os

from fastbox.cli.values import bad_value, convert
from fastbox.support import volumewords
from fastbox.types import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.parser import Arguments

_KEYS = {
    "type": "type", "source": "source", "src": "source", "target": "target",
    "destination": "target", "dst": "target", "readonly": "readonly", "ro": "readonly",
    "bind-propagation": "propagation", "bind-recursive": "recursive",
    "bind-nonrecursive": "nonrecursive", "volume-driver": "driver", "volume-label": "label",
    "volume-nocopy": "nocopy", "volume-opt": "opt", "volume-subpath": "subpath",
    "image-subpath": "image-subpath",
    "tmpfs-size": "size", "tmpfs-mode": "mode", "consistency": "consistency",
}  # fmt: skip
_ONLY_OF = {
    **dict.fromkeys(("propagation", "recursive", "nonrecursive"), "bind"),
    **dict.fromkeys(("driver", "label", "nocopy", "opt", "subpath"), "volume"),
    "image-subpath": "image",
    **dict.fromkeys(("size", "mode"), "tmpfs"),
}  # fmt: skip
_SWITCHES = ("readonly", "nocopy", "nonrecursive")
_PAIRS = ("label", "opt")


def mounts(args: Arguments) -> tuple[Mount, ...]:
    """Every mount that the flags ask for: --volume, --mount, --tmpfs, each in order.

    Raises:
        UsageError: A value that can't be read.
    """
    found = [_volume(args, text) for text in args.texts("volume")]
    found += [_mount(args, text) for text in args.texts("mount")]
    found += [_tmpfs(args, text) for text in args.texts("tmpfs")]
    targets: set[str] = set()
    for mount in found:
        if mount.target in targets:
            flag = "tmpfs" if mount.kind == "tmpfs" else "volume"
            raise bad_value(args, flag, mount.target, "two mounts have this target")
        targets.add(mount.target)
    return tuple(found)


def _target(args: Arguments, flag: str, text: str, target: str) -> str:
    return convert(args, flag, text, lambda _: volumewords.target(target))


def _volume(args: Arguments, text: str) -> Mount:
    return convert(args, "volume", text, volumewords.parse)


def _tmpfs(args: Arguments, text: str) -> Mount:
    target, _, options = text.partition(":")
    return Mount(kind="tmpfs", target=_target(args, "tmpfs", text, target), options=options)


def _mount(args: Arguments, text: str) -> Mount:
    fields, pairs = _fields(args, text)
    kind = fields.get("type", "volume").lower()
    if kind not in ("bind", "image", "tmpfs", "volume"):
        raise bad_value(
            args, "mount", text, f'unknown type "{kind}"', "type=bind,src=/data,dst=/data"
        )
    for field, owner in _ONLY_OF.items():
        if (field in fields or pairs.get(field)) and kind != owner:
            raise bad_value(args, "mount", text, f"{field} is for type={owner}")
    if fields.get("propagation", "private") not in volumewords.PROPAGATIONS:
        raise bad_value(args, "mount", text, f'unknown propagation "{fields["propagation"]}"')
    switches = {name: _truth(args, text, name, fields.get(name, "false")) for name in _SWITCHES}
    return Mount(
        kind=kind, source=_mount_source(args, text, kind, fields.get("source", "")),
        target=_target(args, "mount", text, fields.get("target", "")),
        read_only=switches["readonly"], propagation=fields.get("propagation", "rprivate"),
        options=_tmpfs_options(args, fields),
        recursive=_recursive(args, text, fields, switches), no_copy=switches["nocopy"],
        subpath=fields.get("image-subpath" if kind == "image" else "subpath", ""),
        driver=fields.get("driver", ""),
        driver_options=pairs["opt"] or None, labels=pairs["label"] or None, long=True,
    )  # fmt: skip


def _mount_source(args: Arguments, text: str, kind: str, source: str) -> str:
    if kind == "tmpfs" and source:
        raise bad_value(args, "mount", text, "a tmpfs has no source")
    if kind == "image":
        if not source:
            raise bad_value(args, "mount", text, "the source is missing: an image")
        return source
    if kind != "bind":
        if "/" in source:
            raise bad_value(args, "mount", text, f'the source "{source}" is not a name')
        return source
    if source == "." or source.startswith("./"):
        return os.path.abspath(source)
    if source[:1] != "/":
        raise bad_value(args, "mount", text, f'the source "{source}" is not an absolute path')
    return os.path.normpath(source).replace("//", "/")


def _recursive(
    args: Arguments, text: str, fields: dict[str, str], switches: dict[str, bool]
) -> str:
    word = fields.get("recursive", "")
    if word in ("", "enabled"):
        return "disabled" if switches["nonrecursive"] else ""
    if word not in ("disabled", "writable", "readonly"):
        known = "enabled, disabled, writable or readonly"
        raise bad_value(args, "mount", text, f'bind-recursive is {known}, not "{word}"')
    if word != "disabled" and not switches["readonly"]:
        raise bad_value(args, "mount", text, f"bind-recursive={word} needs readonly")
    if word == "readonly" and fields.get("propagation") != "rprivate":
        raise bad_value(
            args, "mount", text, "bind-recursive=readonly needs bind-propagation=rprivate"
        )
    return word


def _fields(args: Arguments, text: str) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """`key=value` in one line of CSV; those whose values are pairs again apart."""
    import _csv

    try:
        entries: list[str] = next(_csv.reader([text], strict=True), [])
    except _csv.Error as error:
        raise bad_value(args, "mount", text, f"not a list with commas: {error}") from None
    found: dict[str, str] = {}
    pairs: dict[str, dict[str, str]] = {name: {} for name in _PAIRS}
    for entry in entries:
        key, equals, value = entry.partition("=")
        field = _KEYS.get(key.lower())
        if field is None:
            raise bad_value(
                args, "mount", text, f'unknown key "{key}"', "type=bind,src=/data,dst=/data"
            )
        if not equals and field not in _SWITCHES:
            raise bad_value(args, "mount", text, f'"{key}" has no value')
        if field in pairs:
            name, _, rest = value.partition("=")
            pairs[field][name] = rest
        else:
            found[field] = value if equals else "true"
    return found, pairs


def _truth(args: Arguments, text: str, field: str, value: str) -> bool:
    if value.lower() in ("true", "1", "t"):
        return True
    if value.lower() in ("false", "0", "f"):
        return False
    raise bad_value(args, "mount", text, f'{field} is true or false, not "{value}"')


def _tmpfs_options(args: Arguments, fields: dict[str, str]) -> str:
    from fastbox import units

    found = []
    if "size" in fields:
        found.append(f"size={convert(args, 'mount', fields['size'], units.size, 'tmpfs-size=64m')}")
    if "mode" in fields:
        found.append(
            f"mode={convert(args, 'mount', fields['mode'], units.octal_mode, 'tmpfs-mode=1777'):o}"
        )
    return ",".join(found)
