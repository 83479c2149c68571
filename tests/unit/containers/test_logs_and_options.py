"""Reading logs, friendly keywords, signals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastbox.containers import logs
from fastbox.containers.options import from_keywords
from fastbox.errors import InvalidArgument
from fastbox.support import signals
from fastbox.types import Mount, Ulimit


def write(path: Path, count: int, width: int = 1) -> None:
    lines = [
        json.dumps(
            {
                "log": f"{n} {'x' * width}\n",
                "stream": "stdout",
                "time": f"2026-01-01T00:00:{n % 60:02d}.000000000Z",
            }
        )
        for n in range(count)
    ]
    path.write_text("".join(line + "\n" for line in lines))


@pytest.mark.parametrize("width", [1, 900])
@pytest.mark.parametrize("tail", [None, 0, 1, 7, 100, 399, 400, 401])
def test_tail(tmp_path: Path, width: int, tail: int | None) -> None:
    write(tmp_path / "log", 400, width)
    found = [int(line.text.split()[0]) for line in logs.read(str(tmp_path / "log"), tail=tail)]
    assert found == list(range(400))[400 - (400 if tail is None else min(tail, 400)) :]


def test_no_log_and_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert list(logs.read(str(path))) == []
    good = '{"log":"a","stream":"stderr","time":"t"}\n'
    path.write_bytes(b"garbage\n" + good.encode() + b"\0\0\0\n" + b'{"log":"unfinished')
    (line,) = logs.read(str(path))
    assert (line.text, line.stream, line.partial) == ("a", "stderr", True)


def test_since_and_until(tmp_path: Path) -> None:
    write(tmp_path / "log", 10)
    found = logs.read(
        str(tmp_path / "log"), since="2026-01-01T00:00:03", until="2026-01-01T00:00:05.5"
    )
    assert [line.text[0] for line in found] == ["3", "4", "5"]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (5, 5),
        ("5", 5),
        ("256m", 256 << 20),
        ("1.5g", 3 << 29),
        ("64KiB", 65536),
        ("2 kb", 2048),
        ("1B", 1),
        ("-1", -1),
    ],
)
def test_sizes(text: int | str, size: int) -> None:
    assert from_keywords("x", ["a"], {"memory_swap": text}).memory_swap == size


@pytest.mark.parametrize("text", ["", "m", "1x", "1mm", "ten", "1.2.3k", "nan", "1e400g"])
def test_not_sizes(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a size"):
        from_keywords("x", ["a"], {"memory": text})


def test_keywords() -> None:
    made = from_keywords(
        "x", ["a"], {"env": {"A": "1"}, "memory": "1g", "ulimits": {"nofile": (1, 2)}, "tmpfs": ["/t:size=1m"], "cap_add": ["X"]},
    )  # fmt: skip
    assert made.env == ("A=1",)
    assert made.memory == 1 << 30
    assert made.ulimits == (Ulimit(name="nofile", soft=1, hard=2),)
    assert made.mounts == (Mount(kind="tmpfs", target="/t", options="size=1m"),)


@pytest.mark.parametrize(
    "wrong", [{"nonsense": 1}, {"env": "A=1"}, {"cap_add": "X"}, {"tmpfs": "/t"}]
)
def test_wrong_keywords_are_type_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        from_keywords("x", ["a"], wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        from_keywords("x", "a b", {})


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (9, 9),
        ("9", 9),
        ("kill", 9),
        ("SIGTERM", 15),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX-1", 63),
    ],
)
def test_signals(name: int | str, number: int) -> None:
    assert signals.number(name) == number


@pytest.mark.parametrize(
    "name", [0, 65, "-1", "", "NOPE", "TERM+1", "RTMIN+", "RTMIN+99", "_DFL", "_IGN"]
)
def test_not_signals(name: int | str) -> None:
    with pytest.raises(InvalidArgument):
        signals.number(name)
