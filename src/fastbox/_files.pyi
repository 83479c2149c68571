from collections.abc import Callable, Iterable, Sequence

# source, target, kind (S_IFMT), mode, uid, gid, ctime_ns
Entry = tuple[bytes, bytes, int, int, int, int, int]

def digest_files(
    root_fd: int, paths: Sequence[bytes], *, threads: int = 0
) -> list[tuple[bytes, int, int, int]]: ...
def copy_entries(
    source_root: int, target_root: int, entries: Sequence[Entry], *, threads: int = 0
) -> tuple[int, int]: ...
def settle_tree(root_fd: int, max_mtime: int | None) -> int: ...
def remove_stubs(root_fd: int, paths: Iterable[tuple[bytes, int]]) -> int: ...
def list_tree(root_fd: int, path: bytes, *, deep: bool, most: int) -> list[Found]: ...
def known_digests(
    files: Iterable[Found], by_stamp: dict[bytes, bytes], seen: list[Found]
) -> dict[str, tuple[bytes, int, int, int]]: ...
def content_pieces(
    entries: Iterable[tuple[str, str, Found]],
    contents: dict[str, tuple[bytes, int, int, int]],
    *,
    owners: bool,
    capability: Callable[[Found], bytes],
) -> list[bytes]: ...

class Found:
    path: str
    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    ctime_ns: int
    link: str
    def __init__(
        self,
        path: str,
        mode: int,
        uid: int,
        gid: int,
        size: int,
        mtime_ns: int,
        ctime_ns: int,
        link: str,
        dev: int,
        ino: int,
    ) -> None: ...
    @property
    def stamp(self) -> bytes: ...
