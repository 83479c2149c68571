"""Reading the files of a log: what docker and we write, damaged ones, several, and while they move."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fastbox import _native
from fastbox.containers import logfiles, logpack
from fastbox.containers.logs import LogReader
from fastbox.support import moments


def stamp(n: int) -> str:
    return f"2026-01-01T00:{n // 60 % 60:02d}:{n % 60:02d}.000000000Z"


def write(path: Path, numbers: range, width: int = 1) -> None:
    lines = [
        json.dumps({"log": f"{n} {'x' * width}\n", "stream": "stdout", "time": stamp(n)})
        for n in numbers
    ]
    path.write_text("".join(line + "\n" for line in lines))


def varint(value: int) -> bytes:
    made = b""
    while value >= 128:
        made += bytes([value & 127 | 128])
        value >>= 7
    return made + bytes([value])


def frame(text: bytes, when: int, source: bytes = b"stdout", partial: bytes = b"") -> bytes:
    message = b"\x0a" + varint(len(source)) + source + b"\x10" + varint(when)
    message += b"\x1a" + varint(len(text)) + text + partial
    size = len(message).to_bytes(4, "big")
    return size + message + size


def numbers(path: Path, kind: int = logfiles.JSON, **given: int | None) -> list[int]:
    reader = LogReader(str(path), kind, **given)  # type: ignore[arg-type]
    return [int(line.text.split()[0]) for line in reader]


@pytest.mark.parametrize("width", [1, 900])
@pytest.mark.parametrize("tail", [None, 0, 1, 7, 100, 399, 400, 401])
def test_tail_of_one_file(tmp_path: Path, width: int, tail: int | None) -> None:
    write(tmp_path / "log", range(400), width)
    expected = list(range(400))[400 - (400 if tail is None else min(tail, 400)) :]
    assert numbers(tmp_path / "log", tail=tail) == expected
    data = b"".join(frame(b"%d " % n + b"x" * width, n + 1) for n in range(400))
    (tmp_path / "local").write_bytes(data)
    assert numbers(tmp_path / "local", logfiles.LOCAL, tail=tail) == expected


@pytest.mark.parametrize("tail", [0, 1, 99, 100, 101, 250, 300, 301, None])
def test_tail_across_rotated_files(tmp_path: Path, tail: int | None) -> None:
    for number, name in enumerate(("log.2", "log.1", "log")):
        write(tmp_path / name, range(number * 100, number * 100 + 100))
    expected = list(range(300))[300 - (300 if tail is None else min(tail, 300)) :]
    assert numbers(tmp_path / "log", tail=tail) == expected


def test_no_log_and_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert list(LogReader(str(path))) == []
    good = f'{{"log":"a","stream":"stderr","time":"{stamp(0)}"}}\n'
    path.write_bytes(b"garbage\n" + good.encode() + b"\0\0\0\n" + b'{"log":"unfinished')
    (line,) = LogReader(str(path))
    assert (line.text, line.stream, line.partial, line.attrs) == ("a", "stderr", True, None)
    path.write_bytes(
        b"damage" + frame(b"1", 5) + b"\0\0\0\x09more damage" + frame(b"2", 6) + b"\0\0"
    )
    assert [line.text for line in LogReader(str(path), logfiles.LOCAL)] == ["1", "2"]


def test_a_line_without_end_does_not_fill_memory(tmp_path: Path) -> None:
    path = tmp_path / "log"
    good = f'{{"log":"a\\n","stream":"stdout","time":"{stamp(0)}"}}\n'.encode()
    path.write_bytes(b"x" * (5 << 20) + b"\n" + good * 3)
    assert [line.text for line in LogReader(str(path))][-2:] == ["a", "a"]


@pytest.mark.parametrize(
    "line",
    [
        r'{"log":"\u20ac \ud83d\ude00 \ud800x\n","stream":"stdout","time":"2026-01-01T01:00:00.5+01:00"}',
        r' { "time" : "2026-01-01T00:00:00.5Z" , "x" : [1,{"a":"]}"}], "stream":"stdout", "log" : "€ 😀 \udfffx\n" } ',
    ],
)
def test_dockers_forms_of_json(tmp_path: Path, line: str) -> None:
    (tmp_path / "log").write_text(line + "\n")
    (found,) = LogReader(str(tmp_path / "log"))
    assert found.text == "€ 😀 \ufffdx"
    assert found.time == "2026-01-01T00:00:00.500000000Z"


def test_since_and_until(tmp_path: Path) -> None:
    write(tmp_path / "log", range(10))
    since, until = moments.parse("2026-01-01T00:00:03Z"), moments.parse("2026-01-01T00:00:05.5Z")
    assert numbers(tmp_path / "log", since=since, until=until) == [3, 4, 5]


def printed(path: Path, kind: int = logfiles.JSON, **wish: bool) -> list[tuple[int, bytes]]:
    made = []
    with LogReader(str(path), kind) as reader:
        while not reader.ended:
            made += reader.text_ready(**({"timestamps": False, "details": False} | wish))
    return made


def test_printing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = [
        {"log": "a\n", "stream": "stdout", "attrs": {"k": "v w", "é": "&="}, "time": stamp(1)},
        {"log": "b", "stream": "stdout", "time": stamp(2)},
        {"log": "c\n", "stream": "stderr", "time": stamp(3)},
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    assert printed(path) == [(1, b"a\nb"), (2, b"c\n")]
    first = b"k=v+w,%C3%A9=%26%3D a\n"
    assert printed(path, details=True) == [(1, first + b" b"), (2, b" c\n")]
    times = [stamp(n).encode() for n in (1, 2, 3)]
    assert printed(path, details=True, timestamps=True) == [
        (1, times[0] + b" " + first + times[1] + b"  b"),
        (2, times[2] + b"  c\n"),
    ]


def test_printing_much(tmp_path: Path) -> None:
    """More runs than one call takes, more text than one block."""
    path = tmp_path / "log"
    rows = [(1 + n % 2, b"%d" % n + b"x" * (n % 400)) for n in range(30000)]
    path.write_bytes(
        b"".join(
            b'{"log":"%s\\n","stream":"%s","time":"2026-01-01T00:00:00Z"}\n'
            % (text, b"stdout" if stream == 1 else b"stderr")
            for stream, text in rows
        )
    )
    assert printed(path) == [(stream, text + b"\n") for stream, text in rows]
    path.write_bytes(
        b"".join(frame(text, 5, b"" + (b"stderr", b"stdout")[stream % 2]) for stream, text in rows)
    )
    assert printed(path, logfiles.LOCAL) == [(stream, text + b"\n") for stream, text in rows]


def test_pieces_of_the_local_driver(tmp_path: Path) -> None:
    piece = b"\x20\x01\x2a" + varint(5) + b"\x12\x01a\x18\x01"
    last = b"\x20\x01\x2a" + varint(7) + b"\x08\x01\x12\x01a\x18\x02"
    (tmp_path / "log").write_bytes(frame(b"one", 1, partial=piece) + frame(b"two", 1, partial=last))
    lines = list(LogReader(str(tmp_path / "log"), logfiles.LOCAL))
    assert [(line.text, line.partial) for line in lines] == [("one", True), ("two", False)]


def test_the_next_file_by_identity(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, range(1))
    (part,) = logfiles.snapshot(str(path))
    assert logfiles.successor(str(path), part) is None
    os.rename(path, tmp_path / "log.1")
    assert logfiles.successor(str(path), part) is None  # between the two names
    write(path, range(1, 2))
    newer = logfiles.successor(str(path), part)
    assert newer is not None
    assert os.path.samestat(os.fstat(newer.fd), path.stat())
    os.rename(tmp_path / "log.1", tmp_path / "log.2")  # a gap, as a rotation has it for a moment
    over = logfiles.successor(str(path), part)
    assert over is not None
    assert over.inode == newer.inode
    os.unlink(tmp_path / "log.2")
    other = logfiles.successor(str(path), part)  # it is gone: the oldest there is
    assert other is not None
    assert os.path.samestat(os.fstat(other.fd), path.stat())
    for each in (part, newer, over, other):
        each.close()


@pytest.mark.parametrize("gap", range(5))
@pytest.mark.parametrize("packed", [False, True])
def test_a_rotation_that_was_cut_short(tmp_path: Path, gap: int, packed: bool) -> None:
    """Its writer was killed between two renames: the name between them stays unused."""
    path = tmp_path / "log"
    names = [name for name in range(5) if name != gap]
    for name in names:
        file = tmp_path / (f"log.{name}" if name else "log")
        write(file, range(4 - name, 5 - name))
        if packed and name > 1:
            with file.open("rb") as source:
                logpack._pack(source.fileno(), logfiles.JSON, f"{file}.gz")
            file.unlink()
    whole = [4 - name for name in names[::-1]]
    assert numbers(path) == whole
    parts = logfiles.snapshot(str(path))
    for part, expected in zip(parts, [*parts[1:], None], strict=True):
        found = logfiles.successor(str(path), part)
        # By what is in it: the number of an inode that is gone is another file's soon.
        assert (found and found.pread(4096, 0)) == (expected and expected.pread(4096, 0))
        if found:
            found.close()
    for part in parts:
        part.close()


def test_hostile_blocks_are_no_records() -> None:
    for data in (
        b"",
        b"\n",
        b"{\n",
        b'{"log":"\\',
        b'{"log":"\\u12\n',
        b"\xff" * 64,
        b'{"a":{{{\n',
    ):
        for kind in (0, 1):
            assert _native.log_records(kind, data, 0, 1)[0] == []
            assert _native.log_print(kind, data, 0, 1, True, True)[0] == []
