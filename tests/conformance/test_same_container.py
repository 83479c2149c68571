"""The same bundles under runc, crun and fastbox-oci: the same observable container, but for the differences that are listed with reasons."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

from . import (
    cases_mounts,
    cases_namespaces,
    cases_process,
    cases_resources,
    cases_seccomp,
    collect,
    test_exec,
)
from .bundle import CASES, Bundle, Case
from .conftest import Court
from .differences import DIFFERENCES, RUN, USED, explain, row_for
from .party import Party, held

__all__ = ["cases_mounts", "cases_namespaces", "cases_process", "cases_resources", "cases_seccomp"]


def observe(court: Court, party: Party, case: Case) -> tuple[collect.Observation, dict[str, str]]:
    """Run a case's bundle under a party: all that is seen of the container, and what a runtime must show."""
    bundle = court.bundle(party)
    try:
        case.edit(bundle)
        bundle.write()
        return look(party, bundle), bundle.expected
    finally:
        bundle.close()


def look(party: Party, bundle: Bundle) -> collect.Observation:
    given = {
        kind: collect._link(holder.path(kind))
        for holder in bundle.holders
        for kind in collect.NAMESPACES
    }
    names = collect.Normaliser(party, bundle.path, bundle.name, given)
    seen: collect.Observation = {}
    own: set[Path] = set()
    with held(party, bundle.path, bundle.name, *bundle.flags) as container:
        if container.pid:
            seen |= collect.process(container.pid, names)
            seen |= collect.mounts(container.pid, names)
            seen |= collect.devices(container.pid)
            seen |= collect.groups(container.pid, names)
            own = set(collect.own_groups(container.pid))
    assert not [path for path in own if path.exists()], "groups outlive their container"
    seen |= collect.report(container.report, names)
    seen |= collect.left(bundle.rootfs)
    seen["exit"] = str(container.code)
    seen["errors"] = names(container.errors)
    return seen


@pytest.mark.parametrize("case", CASES.values(), ids=lambda c: c.name)
def test_the_same_container(court: Court, case: Case) -> None:
    seen = {}
    for party in court.parties:
        if party.name not in (*case.peers, "fastbox"):
            continue
        seen[party.name], expected = observe(court, party, case)
        for key, pattern in expected.items():
            value = seen[party.name].get(key, "(absent)")
            fits = fnmatch.fnmatchcase(value, pattern) or row_for(party.name, key, case.name, value)
            assert fits, (party.name, key, value, pattern, seen[party.name]["errors"])
    wrong = explain(seen, case.name)
    assert not wrong, "\n".join(wrong)


def test_every_excuse_is_needed() -> None:
    """Once all cases have run: a row that nothing needs any more hides what comes next."""
    if CASES.keys() | test_exec.CASES.keys() == RUN:
        left = [
            f"{row.party} {row.keys} {row.cases}"
            for row in DIFFERENCES
            if row.always and row not in USED
        ]
        assert not left, "\n".join(left)
