"""`mounts`: docker's own, the three network files, then what was asked for, parents first."""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument, NotFound, Unsupported, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from fastbox.types import Mount, RunOptions

_PROPAGATIONS = frozenset("private rprivate shared rshared slave rslave".split())
# Of `-v`: labels for SELinux and hints for other platforms. They change nothing here.
_IGNORED = frozenset("z Z consistent cached delegated".split())
_OPPOSITE = {"exec": "noexec", "suid": "nosuid", "dev": "nodev", "rw": "ro"}
_TMPFS_FLAGS = frozenset(
    "defaults ro rw exec noexec suid nosuid dev nodev sync async dirsync atime noatime diratime "
    "nodiratime relatime norelatime strictatime nostrictatime".split()
)
_TMPFS_VALUES = frozenset("size mode uid gid nr_inodes nr_blocks huge mpol".split())
NETWORK_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")


def _mount(destination: str, kind: str, source: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": options}


def mounts(options: RunOptions, directory: str) -> list[dict[str, object]]:
    """All mounts of a container whose directory is `directory`, in the order they are made.

    Raises:
        InvalidArgument: A destination, an option or a source that can't be used.
        NotFound: The source of a bind does not exist.
    """
    mapped = options.userns not in ("", "host")
    asked = [_asked(mount, mapped) for mount in options.mounts]
    taken = {str(mount["destination"]) for mount in asked}
    if len(taken) != len(asked):
        double = next(
            str(m["destination"])
            for i, m in enumerate(asked)
            if m["destination"] in [other["destination"] for other in asked[:i]]
        )
        raise InvalidArgument(f"duplicate mount point {double}")
    own = _system(options) + _network_files(directory, options.read_only)
    made = [mount for mount in own if mount["destination"] not in taken]
    return made + sorted(asked, key=lambda mount: str(mount["destination"]).count("/"))


def _system(options: RunOptions) -> list[dict[str, object]]:
    guarded = ["nosuid", "noexec", "nodev"]
    fixed = guarded if options.privileged else [*guarded, "ro"]
    shm = [*guarded, "mode=1777", f"size={_shm_size(options.shm_size)}"]
    return [
        _mount("/proc", "proc", "proc", guarded),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        _mount("/sys", "sysfs", "sysfs", fixed),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", fixed),
        _mount("/dev/mqueue", "mqueue", "mqueue", guarded),
        _mount("/dev/shm", "tmpfs", "shm", shm),
    ]


def _shm_size(size: int) -> int:
    if not 0 < size < 1 << 62:
        raise InvalidArgument("the size of /dev/shm must be positive")
    return size


def _network_files(directory: str, read_only: bool) -> list[dict[str, object]]:
    options = ["rbind", "rprivate", "ro"] if read_only else ["rbind", "rprivate"]
    return [
        _mount(path, "bind", os.path.join(directory, path[5:]), options) for path in NETWORK_FILES
    ]


def _asked(mount: Mount, mapped: bool) -> dict[str, object]:
    target = os.path.normpath(mount.target) if mount.target.startswith("/") else ""
    target = target.replace("//", "/")
    if not target or target == "/" or "\0" in target:
        raise InvalidArgument(
            f'the mount point "{mount.target}" must be an absolute path other than "/"'
        )
    if target == "/proc":
        raise InvalidArgument("\"/proc\" is the container's own and can't be mounted over")
    if mount.kind == "tmpfs":
        return _mount(
            target, "tmpfs", "tmpfs", tmpfs_options(mount.options.split(","), mount.read_only)
        )
    if mount.kind == "bind":
        return _bind(mount, target, mount.source)
    if mount.kind == "volume" and mount.path:
        return _volume(mount, target, mapped)
    if mount.kind == "image" and mount.layers:
        from fastbox.runtime import imagemount

        return imagemount.mount(mount, target, mapped)
    raise Unsupported(
        f'a mount of kind "{mount.kind}" is not supported',
        where=target,
        hint="the kinds are bind, volume, tmpfs and image",
    )


def _volume(mount: Mount, target: str, mapped: bool) -> dict[str, Any]:
    """Of a volume with options, what they tell mount(2); of any other, its directory, which the
    container's own root owns whatever ids it has.
    """
    options = mount.driver_options or {}
    words = [word for word in options.get("o", "").split(",") if word]
    if options and not {"bind", "rbind"} & set(words):
        if mount.subpath:
            raise Unsupported("only all of a volume with options can be mounted", where=target)
        read_only = ["ro"] if mount.read_only else []
        return _mount(target, options["type"], options["device"], [*words, *read_only])
    made = _bind(mount, target, options.get("device") or mount.path)
    if options:
        made["options"] = [*words, *(["ro"] if mount.read_only else [])]
    elif mapped:
        made["options"] = [*made["options"], "idmap"]
    if mount.subpath:
        made["fastbox.subpath"] = mount.subpath
    return made


def _bind(mount: Mount, target: str, source: str) -> dict[str, Any]:
    if not source.startswith("/") or "\0" in source:
        raise InvalidArgument(f'the source "{source}" is not an absolute path')
    propagation = mount.propagation or "rprivate"
    if propagation not in _PROPAGATIONS:
        raise InvalidArgument(f'unknown propagation "{propagation}"')
    for word in filter(None, mount.options.split(",")):
        if word not in _IGNORED:
            raise InvalidArgument(f'unknown option "{word}" of a bind mount', where=target)
    # A volume may be removed and made anew until the container is recorded (volumes/attach.py).
    if mount.kind == "bind" and not os.path.exists(source):
        _make_source(mount, source)
    kind = "bind" if mount.recursive == "disabled" else "rbind"
    return _mount(target, "bind", source, [kind, propagation, *_read_only(mount, source)])


def _read_only(mount: Mount, source: str) -> list[str]:
    """As docker: what is mounted below is read-only, too, where the kernel can (5.12) and nobody
    said otherwise. The kernel is asked for that only where something is mounted.
    """
    if mount.recursive == "readonly":
        if not mount.read_only or mount.propagation not in ("", "private", "rprivate"):
            raise InvalidArgument(
                "a recursively read-only bind mount has to be read-only, its propagation rprivate",
                where=mount.target,
            )
        return ["ro", "rro"]
    if not mount.read_only:
        return []
    if mount.recursive or not _holds_mounts(source):
        return ["ro"]
    numbers = os.uname().release.split(".")
    return ["ro", "rro"] if (int(numbers[0]), int(numbers[1])) >= (5, 12) else ["ro"]


def _holds_mounts(directory: str) -> bool:
    below = os.fsencode(os.path.realpath(directory).rstrip("/") + "/")
    with open("/proc/self/mountinfo", "rb") as file:
        data = file.read()
    if b" " in below or below not in data:
        return b" " in below
    return any(line.split(b" ")[4].startswith(below) for line in data.splitlines())


def _make_source(mount: Mount, source: str) -> None:
    if not mount.create:
        raise NotFound(
            'invalid mount config for type "bind": bind source path does not exist',
            where=source,
            hint="make it, or use -v",
        )
    try:
        os.makedirs(source, mode=0o755, exist_ok=True)
    except OSError as error:
        raise os_error(error, "cannot make the source of the bind mount", source) from error


def tmpfs_options(words: Iterable[str], read_only: bool = False) -> list[str]:
    """Docker's noexec, nosuid, nodev unless the caller says the opposite, then the caller's.

    Raises:
        InvalidArgument: An option that is not known.
    """
    given = [word for word in words if word]
    for word in given:
        name, equals, value = word.partition("=")
        known = name in _TMPFS_VALUES and value if equals else name in _TMPFS_FLAGS
        if not known:
            raise InvalidArgument(f'unknown tmpfs option "{word}"')
    undone = {_OPPOSITE.get(word) for word in given}
    made = [
        word for word in ("noexec", "nosuid", "nodev") if word not in undone and word not in given
    ]
    return made + [word for word in given if word != "defaults"] + (["ro"] if read_only else [])
