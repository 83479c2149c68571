"""The two directories everything lives in: the store and the live state, made on first use,
private to root.
"""

from __future__ import annotations

import os

from fastbox.errors import PermissionDenied, Unsupported, os_error
from fastbox.support import json, paths

SCHEMA = 1
_DIRECTORIES = ("blobs/sha256", "refs", "layers", "containers", "names", "cache", "volumes", "tmp")
_IN_MEMORY = "layers-in-memory"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_EMPTY_INDEX = b'{"schemaVersion":2,"manifests":[]}'
# Names that a container's own mounts need; the lowest layer of every overlay supplies them
# without an upper.
_SKELETON_DIRECTORIES = ("proc", "sys", "dev", "dev/pts", "dev/shm", "dev/mqueue", "etc", "sbin")
_SKELETON_FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "sbin/docker-init")


class Root:
    """Paths below the store's root and the live root.

    Attributes:
        store: Absolute path of the store.
        run: Absolute path of the live state.
    """

    __slots__ = ("run", "store")

    def __init__(self, store: str, run: str) -> None:
        self.store = store
        self.run = run

    @classmethod
    def open(cls, store: str | None = None, run: str | None = None) -> Root:
        """The roots, made when missing.

        Raises:
            PermissionDenied: Not root, or the directories can't be made.
            Unsupported: A newer fastbox wrote this store.
        """
        if os.geteuid() != 0:
            raise PermissionDenied(
                "root rights are needed to start containers", hint="run it with sudo, or as root"
            )
        root = cls(store or paths.store_root(), run or paths.run_root())
        if not os.path.exists(os.path.join(root.store, "oci-layout")):
            root._make_store()
        if not os.path.isdir(os.path.join(root.run, "supervisors")):
            root._make_run()
        root._check_schema()
        return root

    def path(self, *parts: str) -> str:
        """A path below the store, of parts that fastbox itself made (ids, hex digests), never of
        outside text.
        """
        return os.path.join(self.store, *parts)

    def live(self, *parts: str) -> str:
        """A path below the live state."""
        return os.path.join(self.run, *parts)

    @property
    def skeleton(self) -> str:
        """The lowest layer of every overlay."""
        return self.path("skeleton")

    @property
    def layers_in_memory(self) -> bool:
        """Whether writable layers can't be in the store, since overlayfs takes none on itself."""
        return os.path.exists(self.path(_IN_MEMORY))

    def _make_store(self) -> None:
        try:
            os.makedirs(self.store, mode=0o700, exist_ok=True)
            os.chmod(self.store, 0o700)
            for name in _DIRECTORIES:
                os.makedirs(self.path(name), mode=0o700, exist_ok=True)
            _make_skeleton(self.skeleton)
            _create(self.path("schema"), b"%d\n" % SCHEMA)
            _create(self.path("index.json"), _EMPTY_INDEX)
            if file_system(self.store) == "overlay":
                _create(self.path(_IN_MEMORY), b"")
            _create(self.path("oci-layout"), _LAYOUT)  # last: it says that the rest is there
        except OSError as error:
            raise os_error(error, "cannot make the store", self.store) from error

    def _make_run(self) -> None:
        try:
            os.makedirs(self.run, mode=0o700, exist_ok=True)
            for name in ("containers", "supervisors"):
                os.makedirs(self.live(name), mode=0o700, exist_ok=True)
        except OSError as error:
            raise os_error(error, "cannot make the live state", self.run) from error

    def _check_schema(self) -> None:
        with open(self.path("schema"), "rb") as file:
            written = file.read(16).strip()
        if not written.isdigit() or int(written) > SCHEMA:
            raise Unsupported(
                "this store was written by a newer fastbox",
                where=self.store,
                hint="upgrade fastbox",
            )


def file_system(path: str) -> str:
    """The type of the file system that a directory is on, "" when the kernel does not tell."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            if fields.split(" ")[2] == number:
                return rest.split(" ")[0]
    return ""


def _make_skeleton(path: str) -> None:
    os.makedirs(path, mode=0o755, exist_ok=True)
    os.chmod(path, 0o755)
    for name in _SKELETON_DIRECTORIES:
        os.makedirs(os.path.join(path, name), mode=0o755, exist_ok=True)
    for name in _SKELETON_FILES:
        _create(os.path.join(path, name), b"", 0o755 if name.startswith("sbin") else 0o644)


def _create(path: str, data: bytes, mode: int = 0o600) -> None:
    """Make the file with its content, or leave one that is there."""
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.write(fd, data)
        os.fchmod(fd, mode)
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        os.unlink(temporary)


def write_record(path: str, record: dict[str, object], *, durable: bool = False) -> None:
    """Put a record in place by one rename; `durable` syncs it and its directory first.

    Raises:
        FastboxError: The kernel said no (DiskFull, PermissionDenied or plain).
    """
    data = json.dumps_bytes({"schema": SCHEMA} | record)
    write_file(path, data, durable=durable)


def write_file(path: str, data: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Put a file in place by one rename; `durable` syncs it and its directory first."""
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(fd, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
        if durable:
            sync_directory(os.path.dirname(path))
    except OSError as error:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise os_error(error, "cannot write", path) from error


def read_record(path: str, limit: int = 8 << 20) -> dict[str, object] | None:
    """A record, or None when there is none.

    Raises:
        ValueError: It is damaged (the caller says which object is broken).
        Unsupported: A newer fastbox wrote it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        size = os.fstat(fd).st_size
        data = os.read(fd, size + 1) if size <= limit else b""
    finally:
        os.close(fd)
    if size > limit:
        raise ValueError("a record of more than 8 MiB")
    record = json.loads_object(data)
    schema = record.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool):
        raise ValueError("no schema number")
    if schema > SCHEMA:
        raise Unsupported("a record written by a newer fastbox", where=path, hint="upgrade fastbox")
    return record


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
