from collections.abc import Sequence

class Watch:
    @property
    def packed(self) -> int: ...
    @property
    def unpacked(self) -> int: ...
    def stop(self) -> None: ...

def extract(
    archive_fd: int,
    root_fd: int,
    layer: bool,
    *,
    lower: Sequence[int] = (),
    gate: int = -1,
    watch: Watch | None = None,
    digests: bool = True,
    copy: int = -1,
    max_entries: int = 0,
    merge: bool = False,
) -> tuple[str, str, int, int, int, int]: ...
def digest_fd(fd: int) -> tuple[str, int]: ...
def copy_digest(infd: int, outfd: int, limit: int) -> tuple[str, int]: ...
def sync_file_system(fd: int) -> None: ...
def unpack(infd: int, outfd: int) -> tuple[str, str, int]: ...

class DiskUsage:
    def add(self, dirfd: int, name: str) -> int: ...

def write_changes(
    upper_fd: int,
    out_fd: int,
    *,
    merged_fd: int = -1,
    packing: str = "gzip",
    max_mtime: int | None = None,
    max_entries: int = 0,
    threads: int = 0,
) -> tuple[str, str, int, int, int]: ...
def write_tree(
    root_fd: int,
    out_fd: int,
    *,
    packing: str = "",
    max_mtime: int | None = None,
    max_entries: int = 0,
    threads: int = 0,
    layer: bool = False,
    stub: bytes | None = None,
) -> tuple[str, str, int, int, int]: ...
def write_item(held: int, name: bytes, out_fd: int) -> tuple[str, str, int, int, int]: ...
def view_layers(layers: Sequence[bytes]) -> int: ...
def view_process(proc_fd: int, *, below: bool = False) -> int: ...
def view_mounted(
    lower: Sequence[bytes],
    *,
    upper: bytes | None = None,
    work: bytes | None = None,
    read_only: bool = False,
    binds: Sequence[tuple[bytes, bytes, bool]] = (),
) -> int: ...
def copy_tree(
    source: int,
    dirfd: int,
    name: bytes,
    *,
    owner: tuple[int, int] | None = None,
    xattrs: bool = False,
) -> tuple[int, int]: ...
def copy_data(source: int, target: int) -> int: ...
