"""docs/oci.md says of every field of the specification what becomes of it, and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
ROWS = re.compile(r"^\| (`[^|]+`) \| (honoured|refused|not applicable) \| ([^|]*) \| ([^|]*) \|$")


def _rows() -> list[tuple[list[str], str, str, list[str]]]:
    text = (HERE.parents[1] / "docs" / "oci.md").read_text()
    found = [match for line in text.splitlines() if (match := ROWS.match(line))]
    words = re.compile(r"`([^`]+)`")
    return [(words.findall(m[1]), m[2], m[3], words.findall(m[4])) for m in found]


def test_every_field_of_the_specification_has_one_row() -> None:
    named = [field for fields, _, _, _ in _rows() for field in fields]
    assert sorted(named) == sorted((HERE / "fields-1.2.txt").read_text().split())


def test_every_test_that_is_named_is_there() -> None:
    defined = {
        name
        for file in [*HERE.glob("*.py"), HERE.parent / "peers/test_systemd.py"]
        for name in re.findall(r"^def (\w+)", file.read_text(), re.M)
    }
    defined |= {file.name for file in (HERE.parent / "native").glob("*.c")}
    missing = {test for _, _, _, tests in _rows() for test in tests} - defined
    assert not missing


def test_what_is_honoured_is_shown_and_what_is_refused_has_its_words() -> None:
    for fields, treatment, how, tests in _rows():
        assert tests or treatment == "not applicable", fields
        assert how or treatment == "honoured", fields
