"""Records: keywords in, frozen values out."""

from __future__ import annotations

from typing import Any

import pytest

from fastbox.support.record import Record


class Point(Record):
    """A point."""

    x: int
    y: int = 2
    tags: tuple[str, ...] = ()


def test_values_and_defaults() -> None:
    point = Point(x=1)
    assert (point.x, point.y, point.tags) == (1, 2, ())
    assert point.as_dict() == {"x": 1, "y": 2, "tags": ()}
    assert repr(point) == "Point(x=1, y=2, tags=())"
    assert Point(tags=("a",), y=0, x=0).as_dict() == {"x": 0, "y": 0, "tags": ("a",)}


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "missing argument 'x'"), ({"x": 1, "z": 3}, "unknown argument 'z'"), ({"z": 3}, "missing argument 'x'")],
)  # fmt: skip
def test_wrong_arguments(given: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=f"^Point: {said}$"):
        Point(**given)


def test_frozen_and_slotted() -> None:
    point = Point(x=1)
    for name in ("x", "other"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(point, name, 5)
    assert not hasattr(point, "__dict__")


def test_equality_and_copies() -> None:
    point = Point(x=1)
    assert point == Point(x=1, y=2)
    assert hash(point) == hash(Point(x=1))
    assert point.replace(y=5) == Point(x=1, y=5)
    assert point.y == 2
    with pytest.raises(TypeError):
        point.replace(z=1)

    class Other(Record):
        x: int
        y: int = 2
        tags: tuple[str, ...] = ()

    assert point != Other(x=1)
