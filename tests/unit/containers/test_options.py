"""Friendly keywords, signals."""

from __future__ import annotations

from typing import Any

import pytest

from fastbox.containers.options import from_keywords
from fastbox.errors import InvalidArgument
from fastbox.support import signals
from fastbox.types import EndpointOptions, Mount, Ulimit


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


def test_networks() -> None:
    first = EndpointOptions(network="a", aliases=("x",))
    made = from_keywords(
        "x", [], {"endpoints": [first, "b"], "publish": [80, "8080:80"], "link": ["db"]}
    )
    assert made.network == "a"
    assert made.endpoints == (first, EndpointOptions(network="b"))
    assert (made.publish, made.link) == (("80", "8080:80"), ("db",))
    assert from_keywords("x", [], {}).network == "bridge"
    with pytest.raises(InvalidArgument, match="the first of the endpoints"):
        from_keywords("x", [], {"endpoints": [first], "network": "b"})
    with pytest.raises(TypeError):
        from_keywords("x", [], {"publish": "80"})  # type: ignore[typeddict-item]
