"""docs/compat.md says of each of docker's flags what it does here, and names tests that exist."""

from __future__ import annotations

import re

import pytest

from . import compat


@pytest.fixture(scope="module")
def table() -> list[compat.Row]:
    return compat.rows()


def test_every_flag_has_a_row(table: list[compat.Row]) -> None:
    found = compat.by_flag(table)
    flags = {(command, name) for command, name, _ in compat.docker_flags()}
    assert flags - found.keys() == set()


def test_a_flag_is_one_parts_matter(table: list[compat.Row]) -> None:
    twice = {
        flag: sorted({row.part for row in rows}) for flag, rows in compat.by_flag(table).items()
    }
    assert {flag: parts for flag, parts in twice.items() if len(parts) > 1} == {}


def test_states_notes_and_tests(table: list[compat.Row]) -> None:
    for row in table:
        assert row.state in ("works", "differs", "later"), row
        tests = compat.TEST.findall(row.test)
        assert tests or row.state != "works", f"no test: {row}"
        assert row.note or row.state == "works", f"no reason: {row}"
        for path, name in tests:
            file = compat.ROOT / path
            assert file.exists(), f"no such file: {row}"
            assert re.search(rf"^\s*(async )?def {name}\(", file.read_text(), re.M), (
                f"no test: {row}"
            )


def test_the_page_is_made_of_its_parts() -> None:
    assert compat.PAGE.read_text() == compat.page(), "run `make compat`"
