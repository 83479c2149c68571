"""What a container's directory holds besides records: the three network files and the writable
layer's directories.
"""

from __future__ import annotations

import os

from fastbox.errors import NotFound, ResourceExhausted, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.types import RunOptions

# What docker writes.
_HOSTS = (
    b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
    b"ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)
_MAX_BYTES = 1 << 20


def put(path: str, data: bytes, mode: int = 0o600) -> None:
    """Write a file that does not exist yet; the directory is ours and nobody reads it before the
    record is there.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            if os.write(fd, data) != len(data):
                raise OSError(28, os.strerror(28), path)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
    except OSError as error:
        raise os_error(error, "cannot write", path) from error


def write_network_files(directory: str, options: RunOptions, hostname: str) -> None:
    """hosts, hostname and resolv.conf: of the host with its network, else fixed ones without name
    servers; with the hosts and servers that were asked for.
    """
    host = options.network == "host"
    hosts = _read("/etc/hosts") if host else _HOSTS
    resolv_conf = _read("/etc/resolv.conf") if host else b""
    if options.extra_hosts or options.dns or options.dns_options or options.dns_search:
        from fastbox.containers import netfiles

        hosts = netfiles.hosts(hosts, options)
        resolv_conf = netfiles.resolv_conf(resolv_conf, options)
    put(directory + "/hosts", hosts, 0o644)
    put(directory + "/hostname", hostname.encode() + b"\n", 0o644)
    put(directory + "/resolv.conf", resolv_conf, 0o644)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return b""


def make_scratch(scratch: str) -> None:
    """upper/ and work/; upper's mode is that of the container's "/"."""
    try:
        for name, mode in (("/upper", 0o755), ("/work", 0o700)):
            os.mkdir(scratch + name, mode)
            os.chmod(scratch + name, mode)
    except OSError as error:
        raise os_error(error, "cannot make the writable layer", scratch) from error


def contains(outer: str, inner: str) -> bool:
    """Whether `inner` lies in the tree of `outer` on one file system: overlayfs refuses such
    layers.
    """
    outer, inner = os.path.realpath(outer), os.path.realpath(inner)
    below = inner == outer or inner.startswith(outer.rstrip("/") + "/")
    return below and os.stat(outer).st_dev == os.stat(inner).st_dev


def check_rootfs(rootfs: str) -> str:
    """The real path of a directory of the host that becomes a root.

    Raises:
        NotFound: It is not a directory.
    """
    path = os.path.realpath(rootfs)
    if not os.path.isdir(path):
        raise NotFound("the root directory does not exist", where=rootfs)
    return path


def foreign_scratch(container: str, rootfs: str, run: str) -> str:
    """A directory for a writable layer on another file system than `rootfs`: the live state's or
    /dev/shm, in memory.

    Raises:
        ResourceExhausted: There is none.
    """
    device = os.stat(rootfs).st_dev
    for place in (run, "/run", "/dev/shm"):
        if os.path.isdir(place) and os.stat(place).st_dev != device:
            path = f"{place}/fastbox-{container}"
            os.mkdir(path, 0o700)
            return path
    raise ResourceExhausted(
        "no place for the writable layer: the root holds the store, and there is no tmpfs",
        where=rootfs,
        hint="mount a tmpfs on /run",
    )
