"""`ps`: states, filters, sizes, formats, of containers that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import fastbox

from .conftest import Box
from .host import until
from .test_lifecycle import IDLE

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def some(box: Box) -> Iterator[dict[str, str]]:
    """One that runs, one that has ended, one that was made; their ids."""
    made = {
        "web-1": box(
            "run", "-d", "--name", "web-1", "--label", "tier=front", "--label", "app.io/a-b=c",
            *IDLE,
        ),
        "job": box(
            "run", "-d", "--name", "job", "--label", "tier=back", "busybox", "sh", "-c",
            "echo 1234 > /file; exit 3",
        ),
        "new": box("create", "--name", "new", "--expose", "80", "--expose", "90-91/udp", "busybox", "true"),
    }  # fmt: skip
    until(lambda: "Exited" in box("ps", "-a", "--filter", "name=job").stdout)
    yield {name: done.stdout.strip() for name, done in made.items()}
    for name in made:
        box("rm", "-f", name)


def names(box: Box, *words: str) -> list[str]:
    return box("ps", "--format", "{{.Names}}", *words).stdout.split()


def test_states_and_limits(box: Box, some: dict[str, str]) -> None:
    assert names(box) == ["web-1"]
    assert names(box, "-a") == ["new", "job", "web-1"]
    assert names(box, "-l") == ["new"]
    assert names(box, "-n", "2") == ["new", "job"]
    assert names(box, "-n", "0") == ["web-1"]
    assert box("ps", "-aq", "--no-trunc").stdout.split() == [
        some["new"],
        some["job"],
        some["web-1"],
    ]
    for words in (("container", "ls"), ("container", "list"), ("container", "ps"), ("ps",)):
        assert box(*words, "-q").stdout == some["web-1"][:12] + "\n"
    states = dict(
        line.split("|") for line in box("ps", "-a", "--format", "{{.Names}}|{{.Status}}").stdout.splitlines()
    )  # fmt: skip
    assert states["web-1"].startswith("Up ")
    assert states["job"].startswith("Exited (3) ")
    assert states["job"].endswith(" ago")
    assert states["new"] == "Created"


def test_filters(box: Box, some: dict[str, str]) -> None:
    tries = {
        ("name=web",): ["web-1"],
        ("name=^web-[0-9]$",): ["web-1"],
        ("name=^/job$",): ["job"],
        ("name=job", "name=new"): ["new", "job"],
        ("name=job", "status=created"): [],
        ("status=exited", "status=created"): ["new", "job"],
        ("status=running",): ["web-1"],
        ("exited=3",): ["job"],
        ("exited=0", "exited=3"): ["job"],
        ("exited=0",): [],
        (f"id={some['job'][:12]}",): ["job"],
        ("label=tier",): ["job", "web-1"],
        ("label=tier=back",): ["job"],
        ("label=tier", "label=app.io/a-b=c"): ["web-1"],
        ("before=new",): ["job", "web-1"],
        (f"before={some['job'][:10]}",): ["web-1"],
        ("since=web-1",): ["new", "job"],
        ("ancestor=busybox",): ["new", "job", "web-1"],
        ("ancestor=busybox:latest", "name=web"): ["web-1"],
        ("ancestor=nothing",): [],
        ("expose=80",): ["new"],
        ("expose=80/udp",): [],
        ("expose=85-95/udp",): ["new"],
        ("publish=80",): [],
        ("network=bridge",): ["new", "job", "web-1"],
        ("network=host",): [],
        ("health=none",): ["new", "job", "web-1"],
        ("health=healthy",): [],
        ("is-task=false",): ["new", "job", "web-1"],
        ("is-task=true",): [],
        ("volume=/nowhere",): [],
    }
    for filters, found in tries.items():
        words = [word for text in filters for word in ("--filter", text)]
        assert names(box, "-a", *words) == found, filters
    assert names(box, "--filter", "status=exited") == ["job"]  # a state asks for all
    assert names(box, "--filter", "exited=3") == []


def test_ancestors_and_their_descendants(box: Box, some: dict[str, str]) -> None:
    box("commit", "job", "child")
    try:
        box("create", "--name", "grown", "child", "true")
        image = box("inspect", "--type", "image", "-f", "{{.Id}}", "child").stdout.strip()
        for reference in ("child", image, image[7:19]):
            assert names(box, "-a", "-f", f"ancestor={reference}") == ["grown"]
        assert "grown" in names(box, "-a", "-f", "ancestor=busybox")
    finally:
        box("rm", "grown")
        box("rmi", "child")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("foo=bar", 'invalid filter "foo"'),
        ("foo", 'invalid filter "foo"'),
        ("status=up", "invalid filter 'status=up'"),
        ("exited=a", "invalid filter 'exited=a'"),
        ("health=well", "invalid filter 'health=well'"),
        ("is-task=perhaps", 'invalid filter "is-task=perhaps"'),
        ("before=nobody", 'no such container "nobody"'),
        ("expose=http", 'invalid port "http"'),
    ],
)
def test_what_is_no_filter(box: Box, text: str, why: str) -> None:
    assert why in box.fails("ps", "--filter", text)


def test_sizes(box: Box, some: dict[str, str]) -> None:
    heading, row = box("ps", "-as", "--filter", "name=job").stdout.splitlines()
    assert heading.endswith("NAMES     SIZE")
    assert " (virtual " in row
    shown = box("ps", "-a", "--format", "{{.Names}} {{.Size}}").stdout
    assert "new 0B (virtual " in shown
    assert "job 0B" not in shown
    found = json.loads(box("ps", "-a", "--format", "json", "--filter", "name=new").stdout)
    assert found["Size"] == "0B"
    assert sorted(found) == [
        "Command", "CreatedAt", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Names",
        "Networks", "Platform", "Ports", "RunningFor", "Size", "State", "Status",
    ]  # fmt: skip


def test_a_list_of_a_thousand_is_read_once_each(
    box: Box, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No container's record is parsed with its options, and what has ended needs no look by heal."""
    from fastbox.containers import heal, listing

    with fastbox.Engine.open() as engine:
        options = fastbox.types.RunOptions(image="busybox", argv=("true",))
        made = {engine.containers.create(options) for _ in range(20)}
        looked: list[str] = []
        real, listing.heal.look = heal.look, lambda *a, **k: looked.append(a[2])  # type: ignore[assignment]
        try:
            found = [info for info in engine.containers.list(all=True) if info.id in made]
        finally:
            listing.heal.look = real
        assert len(found) == 20
        assert not made.intersection(looked)
        assert {info.network for info in found} == {"bridge"}
        for info in found:
            assert info == engine.containers.get(info.id).replace(network="bridge")
            engine.containers.remove(info.id)
