"""What a container's directory holds besides records: the three network files and the writable
layer's directories.
"""

from __future__ import annotations

import os

from fastbox.errors import NotFound, ResourceExhausted, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastbox.types import RunOptions


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


def write_network_files(
    directory: str,
    options: RunOptions,
    hostname: str,
    endpoints: Sequence[Mapping[str, object]] = (),
    *,
    served: bool | None = None,
    gateways: Sequence[str] = (),
    links: Sequence[str] = (),
) -> None:
    """hosts, hostname and resolv.conf, at each start: of the host with its network, else docker's.

    Args:
        directory: The container's.
        options: Of the container.
        hostname: Its host name.
        endpoints: As network.json has them; `addresses` is looked at.
        served: It has the embedded name server; None: if `options.network` is a user's network.
        gateways: Addresses of the host that `host-gateway` means.
        links: More lines of the hosts file, of --link.

    Raises:
        FastboxError: They can't be written.
        InvalidArgument: `host-gateway`, and there is no such address.
    """
    from fastbox.support import netfiles

    addresses = netfiles.addresses_of(endpoints)
    if served is None:
        served = netfiles.is_served(options.network)
    found = netfiles.hosts(options, hostname, addresses, gateways=gateways, links=links)
    netfiles.rewrite(directory + "/hosts", found)
    netfiles.rewrite(directory + "/hostname", hostname.encode() + b"\n")
    found = netfiles.resolv_conf(options, addresses, served=served)
    netfiles.rewrite(directory + "/resolv.conf", found)


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
