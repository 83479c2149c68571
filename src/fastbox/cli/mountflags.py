"""-v, --mount and --tmpfs as mounts. What a mount may be is the engine's business; here is only how
it is written.
"""

from __future__ import annotations

import os

from fastbox.cli.values import bad_value, convert
from fastbox.errors import Unsupported
from fastbox.types import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.parser import Arguments

_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
# SELinux labels and other systems' caching: harmless here.
_HARMLESS = ("z", "Z", "consistent", "cached", "delegated")
_LATER = "volumes come later: use an absolute path of the host, or --tmpfs"
_KEYS = {
    "type": "type", "source": "source", "src": "source", "target": "target",
    "destination": "target", "dst": "target", "readonly": "readonly", "ro": "readonly",
    "bind-propagation": "propagation", "tmpfs-size": "size", "tmpfs-mode": "mode",
    "consistency": "consistency",
}  # fmt: skip
_ONLY_OF = {"propagation": "bind", "source": "bind", "size": "tmpfs", "mode": "tmpfs"}


def mounts(args: Arguments) -> tuple[Mount, ...]:
    """Every mount that the flags ask for: --volume, --mount, --tmpfs, each in order.

    Raises:
        UsageError: A value that can't be read.
        Unsupported: A named or anonymous volume.
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
    clean = os.path.normpath(target).replace("//", "/") if target else ""
    if clean[:1] != "/":
        raise bad_value(args, flag, text, f'the target "{target}" is not an absolute path')
    if clean == "/":
        raise bad_value(args, flag, text, 'the target can\'t be "/"')
    return clean


def _volume(args: Arguments, text: str) -> Mount:
    parts = text.split(":")
    if len(parts) == 1 and text[:1] == "/":
        raise Unsupported(f'an anonymous volume ("{text}") is not supported yet', hint=_LATER)
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise bad_value(args, "volume", text, "not source:target[:options]", "/data:/data:ro")
    source = _source(args, text, parts[0])
    read_only, propagation, rest = False, "rprivate", []
    for word in parts[2].split(",") if len(parts) == 3 else ():
        if word in ("ro", "rw"):
            read_only = word == "ro"
        elif word in _PROPAGATIONS:
            propagation = word
        elif word in _HARMLESS:
            rest.append(word)
        else:
            raise bad_value(args, "volume", text, f'unknown option "{word}"', "/data:/data:ro")
    return Mount(
        kind="bind", source=source, target=_target(args, "volume", text, parts[1]),
        read_only=read_only, create=True, propagation=propagation, options=",".join(rest),
    )  # fmt: skip


def _source(args: Arguments, text: str, source: str) -> str:
    """The host's path: absolute, or beginning with a dot and then seen from here, as docker
    does.
    """
    if source[0] == "/":
        return os.path.normpath(source).replace("//", "/")
    if source in (".", "..") or source.startswith(("./", "../")):
        return os.path.abspath(source)
    if source.replace("_", "a").replace(".", "a").replace("-", "a").isalnum():
        raise Unsupported(f'a named volume ("{source}") is not supported yet', hint=_LATER)
    raise bad_value(
        args, "volume", text, f'the source "{source}" is not an absolute path', "/data:/data"
    )


def _tmpfs(args: Arguments, text: str) -> Mount:
    target, _, options = text.partition(":")
    return Mount(kind="tmpfs", target=_target(args, "tmpfs", text, target), options=options)


def _mount(args: Arguments, text: str) -> Mount:
    fields = _fields(args, text)
    kind = fields.get("type", "volume")
    if kind == "volume":
        raise Unsupported(
            f'a volume ("{text}") is not supported yet', hint="write type=bind or type=tmpfs"
        )
    if kind not in ("bind", "tmpfs"):
        raise bad_value(
            args, "mount", text, f'unknown type "{kind}"', "type=bind,src=/data,dst=/data"
        )
    for field, owner in _ONLY_OF.items():
        if field in fields and kind != owner:
            raise bad_value(args, "mount", text, f"{field} is for type={owner}")
    if fields.get("propagation", "private") not in _PROPAGATIONS:
        raise bad_value(args, "mount", text, f'unknown propagation "{fields["propagation"]}"')
    source = fields.get("source", "")
    if kind == "bind" and source[:1] != "/":
        raise bad_value(args, "mount", text, f'the source "{source}" is not an absolute path')
    return Mount(
        kind=kind, source=os.path.normpath(source).replace("//", "/") if source else "",
        target=_target(args, "mount", text, fields.get("target", "")),
        read_only=_truth(args, text, fields.get("readonly", "false")),
        propagation=fields.get("propagation", "rprivate"), options=_tmpfs_options(args, fields),
    )  # fmt: skip


def _fields(args: Arguments, text: str) -> dict[str, str]:
    """`key=value` pairs in one line of CSV."""
    import _csv

    try:
        pairs: list[str] = next(_csv.reader([text], strict=True), [])
    except _csv.Error as error:
        raise bad_value(args, "mount", text, f"not a list with commas: {error}") from None
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        field = _KEYS.get(key.lower())
        if field is None:
            raise bad_value(
                args, "mount", text, f'unknown key "{key}"', "type=bind,src=/data,dst=/data"
            )
        if not equals and field != "readonly":
            raise bad_value(args, "mount", text, f'"{key}" has no value')
        found[field] = value if equals else "true"
    return found


def _truth(args: Arguments, text: str, value: str) -> bool:
    if value.lower() in ("true", "1", "t"):
        return True
    if value.lower() in ("false", "0", "f"):
        return False
    raise bad_value(args, "mount", text, f'readonly is true or false, not "{value}"')


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
