"""Images for comparisons, as files: layers that hold all that a tar can say, and the archives around them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from . import archives

PACKS = ("plain", "gzip", "zstd")


class Meta(NamedTuple):
    mode: int
    owner: tuple[int, int]
    mtime: int
    xattrs: dict[str, bytes] | None


class Writer:
    """A layer's tar, member by member; names, links and attributes are bytes, times nanoseconds."""

    def __init__(self, path: Path, said: dict[bytes, Meta] | None = None) -> None:
        self._file = path.open("wb")
        self._said = {} if said is None else said

    def close(self) -> None:
        self._file.write(bytes(1024))
        self._file.close()

    def add(
        self,
        name: bytes | str,
        kind: bytes = tarfile.REGTYPE,
        data: bytes = b"",
        *,
        link: bytes | str = b"",
        mode: int = 0o644,
        owner: tuple[int, int] = (0, 0),
        mtime: int = 1_700_000_000_000_000_000,
        device: tuple[int, int] = (0, 0),
        xattrs: dict[str, bytes] | None = None,
    ) -> None:
        name, link = os.fsencode(name), os.fsencode(link)
        self._said[name] = Meta(mode, owner, mtime, xattrs)
        records = {"mtime": f"{mtime // 10**9}.{mtime % 10**9:09d}".encode()}
        records["path"] = name
        if link:
            records["linkpath"] = link
        records |= {"uid": str(owner[0]).encode(), "gid": str(owner[1]).encode()}
        records |= {f"SCHILY.xattr.{key}": value for key, value in (xattrs or {}).items()}
        self._raw("pax", tarfile.XHDTYPE, b"".join(record(k, v) for k, v in records.items()))
        entry = tarfile.TarInfo("member")
        entry.type, entry.mode, entry.size = kind, mode, len(data)
        entry.linkname = "link" if link else ""
        entry.devmajor, entry.devminor = device
        self._write(entry, data)

    def link(self, name: bytes | str, target: bytes | str) -> None:
        """A hard link, whose header repeats what its target's says: docker goes by the last."""
        said = self._said[os.fsencode(target).lstrip(b"/")]
        self.add(name, tarfile.LNKTYPE, link=target, **said._asdict())

    def directory(self, name: bytes | str, mode: int = 0o755, **more: object) -> None:
        self.add(name, tarfile.DIRTYPE, mode=mode, **more)  # type: ignore[arg-type]

    def _raw(self, name: str, kind: bytes, data: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.size = kind, len(data)
        self._write(entry, data)

    def _write(self, entry: tarfile.TarInfo, data: bytes) -> None:
        header = entry.tobuf(tarfile.USTAR_FORMAT)
        self._file.write(header + data + bytes(-len(data) % 512))


def record(key: str, value: bytes) -> bytes:
    """One line of a pax header, which begins with its own length."""
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


@contextmanager
def layer(path: Path, said: dict[bytes, Meta] | None = None) -> Iterator[Writer]:
    writer = Writer(path, said)
    yield writer
    writer.close()


# Archives around layers.


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def configuration(layers: list[Path]) -> bytes:
    found = json.loads(archives.configuration([]))
    found["rootfs"]["diff_ids"] = [digest_of(path) for path in layers]
    return archives.encode(found)


def docker_archive(target: Path, images: dict[str, list[Path]]) -> Path:
    """What `docker save` writes of images by name; a layer of several is there once."""
    members: dict[Path, str] = {}
    texts, entries = {}, []
    for name, layers in images.items():
        config = configuration(layers)
        file = f"{archives.digest(config)[7:]}.json"
        texts[file] = config
        found = [members.setdefault(path, f"{len(members)}/layer.tar") for path in layers]
        entries.append({"Config": file, "RepoTags": [name], "Layers": found})
    texts["manifest.json"] = archives.encode(entries)
    with tarfile.open(target, "w") as tar:
        for path, member in members.items():
            tar.add(path, member)
        for member, data in texts.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return target


def pack(path: Path, how: str, target: Path) -> Path:
    if how == "plain":
        shutil.copyfile(path, target)
    elif how == "gzip":
        with path.open("rb") as source, gzip.open(target, "wb", compresslevel=1) as packed:
            shutil.copyfileobj(source, packed)
    else:
        subprocess.run(["zstd", "-q", "-1", "-f", str(path), "-o", str(target)], check=True)
    return target


def layout(target: Path, layers: list[Path], name: str, how: str = "plain") -> Path:
    """An OCI layout in a directory; its layers packed in one of PACKS."""
    blobs = target / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> bytes:
        (blobs / archives.digest(data)[7:]).write_bytes(data)
        return data

    suffix = "" if how == "plain" else f"+{how}"
    entries = []
    for path in layers:
        packed = pack(path, how, target / "packed")
        digest, size = digest_of(packed), packed.stat().st_size
        packed.rename(blobs / digest[7:])
        entries.append({"mediaType": archives.LAYER + suffix, "digest": digest, "size": size})
    config = put(configuration(layers))
    manifest = put(
        archives.encode(
            {
                "schemaVersion": 2,
                "mediaType": archives.MANIFEST,
                "config": archives.descriptor(archives.CONFIG, config),
                "layers": entries,
            }
        )
    )
    annotations = {"org.opencontainers.image.ref.name": name}
    entry = archives.descriptor(archives.MANIFEST, manifest, annotations=annotations)
    (target / "index.json").write_bytes(archives.index_of(entry))
    (target / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return target


# What layers hold.


def acl(*entries: tuple[int, int, int]) -> bytes:
    """(tag, permissions, id) of each entry, as the kernel keeps them."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


USER_OBJ, USER, GROUP_OBJ, MASK, OTHER, NOBODY = 1, 2, 4, 16, 32, 0xFFFFFFFF
ACCESS = acl(
    (USER_OBJ, 6, NOBODY), (USER, 6, 1000), (GROUP_OBJ, 4, NOBODY), (MASK, 6, NOBODY), (OTHER, 4, NOBODY)
)  # fmt: skip
DEFAULT = acl(
    (USER_OBJ, 7, NOBODY), (USER, 7, 1001), (GROUP_OBJ, 5, NOBODY), (MASK, 7, NOBODY), (OTHER, 0, NOBODY)
)  # fmt: skip
CAPABILITY = bytes.fromhex(
    "0100000200040000000000000000000000000000"
)  # net_bind_service, effective
LONG = "/".join(["directory-with-a-long-name-" + "x" * 60] * 20)


def odd(work: Path) -> list[Path]:
    """Everything that is not just a file, in one layer, and a second one that changes some of it."""
    one, two = work / "1.tar", work / "2.tar"
    ms = 1_000_000
    with layer(one) as tar:
        tar.directory("./", 0o711, mtime=1_600_000_000_123_456_789)
        tar.directory("links")
        tar.add("links/first", data=b"three names", owner=(5, 6), mtime=1234567890_000000001)
        tar.link("links/second", "links/first")
        tar.link("third", "links/second")
        tar.add("symlink", tarfile.SYMTYPE, link="/links/first", owner=(7, 8), mtime=5 * 10**9 + 5)
        tar.link("symlink-two", "symlink")
        tar.add("dangling", tarfile.SYMTYPE, link=b"/no/\xff\xfe/such")
        tar.directory("modes")
        for mode in (0, 0o4755, 0o2755, 0o1777, 0o6711, 0o7777, 0o400):
            tar.add(f"modes/file-{mode:o}", data=b"x", mode=mode, owner=(1000, 2000))
            tar.directory(f"modes/directory-{mode:o}", mode, owner=(3000, 4000))
        tar.add("owners", owner=(4294967294, 4294967294))
        tar.directory("attributes")
        tar.add("attributes/user", xattrs={"user.text": b"value", "user.binary": bytes(range(256))})
        tar.add("attributes/empty", xattrs={"user.empty": b""})
        tar.add("attributes/capable", mode=0o755, xattrs={"security.capability": CAPABILITY})
        tar.add(
            "attributes/owned",
            owner=(1, 1),
            mode=0o4755,
            xattrs={"security.capability": CAPABILITY},
        )
        tar.add("attributes/acl", mode=0o664, xattrs={"system.posix_acl_access": ACCESS})
        tar.directory("attributes/default", 0o770, xattrs={"system.posix_acl_default": DEFAULT})
        tar.add("attributes/default/inherits-nothing", data=b"x", mode=0o640)
        tar.directory("attributes/default/nor-does", 0o750)
        tar.add("attributes/default/nor-does/below", data=b"x", mode=0o604)
        tar.add("attributes/default/fifo", tarfile.FIFOTYPE, mode=0o620)
        tar.directory("attributes/directory", xattrs={"user.of": b"a directory"})
        tar.directory("nodes")
        tar.add("nodes/null", tarfile.CHRTYPE, device=(1, 3), mode=0o666)
        tar.add("nodes/disk", tarfile.BLKTYPE, device=(8, 1), mode=0o660, owner=(0, 6))
        tar.add("nodes/large", tarfile.CHRTYPE, device=(511, 70000), mode=0o600)
        tar.add("nodes/fifo", tarfile.FIFOTYPE, mode=0o622, mtime=9 * 10**9 + 9)
        tar.link("nodes/fifo-two", "nodes/fifo")
        tar.directory("times", mtime=42)
        for name, mtime in {
            "epoch": 0,
            "half": 500 * ms,
            "late": 4_102_444_800_999_999_999,
        }.items():
            tar.add(f"times/{name}", mtime=mtime)
        tar.add("x" * 255)
        tar.add(LONG + "/file", data=b"deep")
        tar.add(b"not-utf8-\xff\x80", data=b"\xff")
        tar.add("colon:comma,equals=back\\slash", data=b"x")
        tar.add("new\nline and space ", data=b"x")
        tar.add(".hidden")
        tar.add("empty")
    with layer(two) as tar:
        tar.directory("links", 0o750)
        tar.add("links/second", data=b"on its own now")
        tar.directory("attributes/default", 0o770, mtime=77 * 10**9)
        tar.directory("nodes", 0o700)
        tar.add("nodes/.wh.fifo")
        tar.add(".wh.empty")
        tar.directory("new")
        tar.add("new/.wh.nothing")
    return [one, two]


def deep(work: Path, count: int = 60, seed: int = 7) -> list[Path]:
    """Layers that add, remove, replace and hide what the ones below have, in every combination of types."""
    chance = random.Random(seed)
    tree: dict[str, str] = {"": "directory"}
    layers = []
    for number in range(count):
        path = work / f"{number}.tar"
        with layer(path) as tar:
            Change(tar, tree, chance, number).make()
        layers.append(path)
    return layers


class Change:
    """One layer over `tree` (path -> kind), as a tool would write it that lists every parent."""

    def __init__(
        self, tar: Writer, tree: dict[str, str], chance: random.Random, number: int
    ) -> None:
        self.tar, self.tree, self.chance, self.number = tar, tree, chance, number
        self.listed: set[str] = set()
        self.own: list[str] = []  # files of this layer
        self.touched: set[str] = set()

    def make(self) -> None:
        steps: list[tuple[Callable[[], None], int]] = [
            (self.put, 14),
            (self.remove, 4),
            (self.hide, 1),
            (self.link, 2),
        ]
        for step, times in steps:
            for _ in range(self.chance.randrange(times + 1) + (step == self.put)):
                step()

    def pick(self, kinds: tuple[str, ...]) -> str | None:
        found = sorted(p for p, kind in self.tree.items() if kind in kinds and self.free(p))
        return self.chance.choice(found) if found else None

    def free(self, path: str) -> bool:
        """Whether this layer has said nothing about it, its parents or what is below it."""
        return not any(
            path == other or other.startswith(f"{path}/") or path.startswith(f"{other}/")
            for other in self.touched
        )

    def parents(self, path: str) -> None:
        parts = path.split("/")[:-1]
        for end in range(1, len(parts) + 1):
            above = "/".join(parts[:end])
            if above not in self.listed:
                self.listed.add(above)
                self.tar.directory(
                    above, 0o700 | self.chance.randrange(64), mtime=self.number * 10**9 + end
                )

    def drop(self, path: str) -> None:
        for other in [p for p in self.tree if p == path or p.startswith(f"{path}/")]:
            del self.tree[other]

    def put(self) -> None:
        """Something new, or in the place of something of any kind."""
        parent = self.pick(("directory",)) if self.chance.random() < 0.9 else ""
        if parent is None or parent.count("/") > 3:
            parent = ""
        taken = self.pick(("file", "directory", "symlink", "fifo"))
        new = f"{parent}/n{self.number}-{self.chance.randrange(1000)}".lstrip("/")
        path = taken if taken and self.chance.random() < 0.4 else new
        if not self.free(path) or path in self.listed:
            return
        kind = self.chance.choice(["file", "file", "directory", "directory", "symlink", "fifo"])
        self.parents(path)
        self.touched.add(path)
        if not (kind == "directory" and self.tree.get(path) == "directory"):
            self.drop(path)
        self.tree[path] = kind
        mtime, owner = self.chance.randrange(10**18), (self.number, self.chance.randrange(9))
        if kind == "file":
            self.tar.add(path, data=self.chance.randbytes(20), mtime=mtime, owner=owner)
            self.own.append(path)
        elif kind == "symlink":
            self.tar.add(
                path, tarfile.SYMTYPE, link=self.chance.choice(["n", "/", ".."]), mtime=mtime
            )
        else:
            flag = tarfile.DIRTYPE if kind == "directory" else tarfile.FIFOTYPE
            self.tar.add(path, flag, mode=0o750, mtime=mtime, owner=owner)

    def remove(self) -> None:
        path = self.pick(("file", "directory", "symlink", "fifo"))
        if path and path not in self.listed:
            self.parents(path)
            self.touched.add(path)
            self.drop(path)
            above, _, name = path.rpartition("/")
            self.tar.add(f"{above}/.wh.{name}".lstrip("/"))

    def hide(self) -> None:
        """An opaque directory, with something new in it."""
        path = self.pick(("directory",))
        if path and path not in self.listed:
            self.parents(f"{path}/x")
            self.touched.add(path)
            self.drop(path)
            self.tree[path] = "directory"
            self.tar.add(f"{path}/.wh..wh..opq")
            self.tar.add(f"{path}/new", data=b"after")
            self.tree[f"{path}/new"] = "file"

    def link(self) -> None:
        if self.own:
            path = f"link{self.number}-{self.chance.randrange(1000)}"
            if self.free(path) and path not in self.tree:
                self.touched.add(path)
                self.tree[path] = "file"
                self.tar.link(path, self.chance.choice(self.own))


def linked(work: Path) -> list[Path]:
    """Hard links to files of lower layers, as builders without an overlay write them."""
    said: dict[bytes, Meta] = {}
    one, two, three, four = (work / f"{number}.tar" for number in range(4))
    with layer(one, said) as tar:
        tar.directory("./", 0o755)
        tar.directory("usr", 0o751, owner=(3, 4), mtime=1_500_000_000_000_000_001)
        tar.directory("usr/bin", 0o711, xattrs={"user.note": b"of a parent"})
        tar.add(
            "usr/bin/tool", data=b"tool" * 5000, mode=0o4755, owner=(1, 2), mtime=123,
            xattrs={"user.kept": b"yes", "security.capability": CAPABILITY},
        )  # fmt: skip
        tar.add("usr/bin/other", data=b"other")
        tar.add("replaced", data=b"old")
        tar.add("symlink", tarfile.SYMTYPE, link="usr/bin/tool", mtime=99)
        tar.add("fifo", tarfile.FIFOTYPE)
    with layer(two, said) as tar:
        tar.add("replaced", data=b"new", mtime=7 * 10**9)
    with layer(three, said) as tar:
        tar.link("tool", "usr/bin/tool")
        tar.link("tool-again", "/usr/bin/tool")
        tar.link("replaced-two", "replaced")
        tar.link("symlink-two", "symlink")
        tar.link("fifo-two", "fifo")
    with layer(four, said) as tar:
        tar.link("tool-of-four", "tool")
        tar.add("usr/.wh.nothing")
    return [one, two, three, four]


SPARSE = ("gnu", "0.0", "0.1", "1.0")


def sparse(work: Path, versions: tuple[str, ...] = SPARSE[1:]) -> list[Path]:
    """Files with holes, a layer for each of the ways in which GNU tar writes them."""
    layers = []
    for version in versions:
        home = work / version
        files = home / f"sparse-{version}"
        files.mkdir(parents=True)
        holes(files)
        way = ["--format=pax", f"--sparse-version={version}"]
        way = ["--format=gnu"] if version == "gnu" else way
        path = work / f"{version}.tar"
        words = ["tar", "-C", str(home), *way, "-S", "-cf", str(path), files.name]
        subprocess.run(words, check=True)
        shutil.rmtree(home)
        layers.append(path)
    return layers


def holes(files: Path) -> None:
    mebi = 1 << 20
    maps = {
        "begin": (4 * mebi, [(3 * mebi, b"end")]),
        "end": (4 * mebi, [(0, b"begin")]),
        "both": (4 * mebi, [(2 * mebi, b"middle" * 1000)]),
        "all": (4 * mebi, []),
        "none": (9, [(0, b"no holes.")]),
        "many": (8 * mebi, [(n * mebi // 4, bytes([n]) * 4096) for n in range(32)]),
        "empty": (0, []),
    }
    for name, (size, pieces) in maps.items():
        with (files / name).open("wb") as file:
            file.truncate(size)
            for offset, data in pieces:
                file.seek(offset)
                file.write(data)


def busybox(work: Path) -> list[Path]:
    from .conftest import busybox_tar

    one, two = work / "1.tar", work / "2.tar"
    one.write_bytes(busybox_tar())
    with layer(two) as tar:
        tar.directory("bin")
        tar.add("bin/.wh.vi")
        tar.add("etc/motd", data=b"hello\n")
    return [one, two]


def debootstrapped(cache: Path, name: str, packages: str = "") -> list[Path]:
    """Debian as debootstrap makes it, kept between runs."""
    tar = cache / f"{name}.tar"
    if not tar.exists():
        cache.mkdir(parents=True, exist_ok=True)
        more = [f"--include={packages}"] if packages else []
        with tempfile.TemporaryDirectory(dir="/var/tmp") as work:
            words = ["debootstrap", "--variant=minbase", *more, "bookworm", f"{work}/root"]
            subprocess.run(words, check=True, capture_output=True, timeout=900)
            subprocess.run(["tar", "-C", f"{work}/root", "-cf", f"{tar}.part", "."], check=True)
        os.rename(f"{tar}.part", tar)
    return [tar]
