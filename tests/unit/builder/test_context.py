"""Contexts of every origin but the network, and which Dockerfile and ignore file count."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from fastbox.builder import context as contexts
from fastbox.builder.context import Context, open_context
from fastbox.builder.graph import Graph, copied
from fastbox.builds import BuildOptions
from fastbox.dockerfile.parse import understood
from fastbox.dockerfile.source import parse
from fastbox.errors import Conflict, FastboxError, InvalidArgument, NotFound, ResourceExhausted
from tests.unit.builder.conftest import fill
from tests.unit.builder.test_unpacking import PACKINGS, tar


def opened(work, **options):
    """(the names in the context, the Dockerfile, its name)"""
    context, data, name = open_context(BuildOptions(**options), work)
    with context:
        return " ".join(found.path for found in context.tree.below("")), data, name


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return fill(tmp_path / "here", {"Dockerfile": "FROM a", "x": "", "secret": ""})


def test_a_directory(work, here) -> None:
    assert opened(work, context=str(here)) == ("Dockerfile secret x", b"FROM a", "Dockerfile")


def test_its_ignore_file_hides_the_dockerfile_from_copies_only(work, here) -> None:
    fill(here, {".dockerignore": "secret\nDockerfile\n.dockerignore\n"})
    assert opened(work, context=str(here)) == ("x", b"FROM a", "Dockerfile")


def test_a_dockerfile_of_another_place_is_the_hosts(work, here, tmp_path) -> None:
    other = fill(tmp_path / "other", {"my.Dockerfile": "FROM b"}) / "my.Dockerfile"
    assert opened(work, context=str(here), file=str(other))[1:] == (b"FROM b", str(other))


def test_the_ignore_file_of_a_dockerfile_wins(work, here, tmp_path) -> None:
    fill(
        here,
        {
            ".dockerignore": "x\n",
            "b.Dockerfile": "FROM b",
            "b.Dockerfile.dockerignore": "s*\n*ock*",
        },
    )
    assert opened(work, context=str(here), file=str(here / "b.Dockerfile"))[0] == "x"
    assert "secret" in opened(work, context=str(here))[0]
    fill(here, {"Dockerfile.dockerignore": ""})
    assert "x" in opened(work, context=str(here))[0].split()


def test_a_dockerfile_from_stdin(work, here) -> None:
    names, data, name = opened(work, context=str(here), file="-", stdin=io.BytesIO(b"FROM c"))
    assert (names, data, name) == ("Dockerfile secret x", b"FROM c", "-")


def test_a_dockerfile_as_the_whole_context(work) -> None:
    assert opened(work, context="-", stdin=io.BytesIO(b"FROM d"))[:2] == ("", b"FROM d")


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_tar_from_stdin(work, here, packing) -> None:
    fill(here, {".dockerignore": "secret", "sub/b.Dockerfile": "FROM b"})
    data = tar(here, packing)
    names = ".dockerignore Dockerfile sub sub/b.Dockerfile x"
    assert opened(work, context="-", stdin=io.BytesIO(data)) == (names, b"FROM a", "Dockerfile")
    found = opened(work, context="-", stdin=io.BytesIO(data), file="sub/b.Dockerfile")
    assert found[1:] == (b"FROM b", "sub/b.Dockerfile")


def test_a_tar_from_a_pipe(work, here) -> None:
    source, to = os.pipe()
    os.write(to, tar(here))
    os.close(to)
    with open(source, "rb") as stream:
        assert opened(work, context="-", stdin=stream)[1] == b"FROM a"


@pytest.mark.parametrize("link", ["../outside", "/etc/hostname"])
def test_a_dockerfile_that_is_a_link_stays_in_its_context(work, here, tmp_path, link) -> None:
    (tmp_path / "outside").write_text("not for you")
    (here / "Dockerfile").unlink()
    (here / "Dockerfile").symlink_to(link)
    with pytest.raises(NotFound):
        opened(work, context=str(here))
    (here / "etc").mkdir()
    (here / "etc/hostname").write_text("inside")
    (here / "outside").write_text("inside")
    assert opened(work, context=str(here))[1] == b"inside"


def test_a_path_in_a_tar_does_not_lead_to_the_host(work, here) -> None:
    (here / "l").symlink_to("/etc")
    for file in ("/etc/hostname", "../../../etc/hostname", "l/hostname"):
        with pytest.raises(NotFound):
            opened(work, context="-", stdin=io.BytesIO(tar(here)), file=file)


@pytest.mark.parametrize(
    ("there", "hint"),
    [
        ("dockerfile", "there is {}/dockerfile: name it with -f"),
        ("Containerfile", "there is {}/Containerfile: name it with -f"),
        ("Dockerfile.dev", "there is {}/Dockerfile.dev: name it with -f"),
        ("Dockerfile.dockerignore", ""),
        ("other", ""),
    ],
)
def test_no_dockerfile(work, tmp_path, there, hint) -> None:
    place = fill(tmp_path / "place", {there: ""})
    with pytest.raises(NotFound) as caught:
        opened(work, context=str(place))
    what = f"failed to read dockerfile: open {place}/Dockerfile: no such file or directory"
    assert (str(caught.value), caught.value.hint) == (what, hint.format(place))


def test_no_dockerfile_of_a_given_name(work, here) -> None:
    with pytest.raises(NotFound) as caught:
        opened(work, context=str(here), file=str(here / "dockerfile"))
    assert caught.value.hint == f"there is {here}/Dockerfile: name it with -f"


@pytest.mark.parametrize(
    ("options", "kind", "what"),
    [
        ({"context": "none"}, NotFound, 'unable to prepare context: path "none" not found'),
        ({"context": "-", "file": "-"}, InvalidArgument, "can't use stdin for both"),
        ({"context": "-"}, InvalidArgument, "no stream"),
        ({"context": "-", "stdin": io.BytesIO()}, InvalidArgument, "nothing came"),
        ({"context": "-", "stdin": io.BytesIO(b"FROM a"), "file": "x"}, Conflict, "ambiguous"),
        ({"context": __file__}, InvalidArgument, "not a directory"),
        ({"context": "ftp://host/x"}, NotFound, "not found"),
        ({"context": "file:///etc"}, NotFound, "not found"),
    ],
)
def test_what_can_not_be_a_context(work, options, kind, what) -> None:
    with pytest.raises(kind, match=what):
        opened(work, **options)


def test_a_dockerfile_that_is_none(work, here) -> None:
    (here / "Dockerfile").unlink()
    (here / "Dockerfile").mkdir()
    with pytest.raises(InvalidArgument, match="a directory"):
        opened(work, context=str(here))
    os.mkfifo(here / "pipe")
    with pytest.raises(InvalidArgument, match="not a regular file"):
        opened(work, context=str(here), file=str(here / "pipe"))


def test_a_dockerfile_that_is_too_large(work, here) -> None:
    with open(here / "Dockerfile", "wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(ResourceExhausted):
        opened(work, context=str(here))
    with pytest.raises(ResourceExhausted):
        opened(work, context="-", stdin=io.BytesIO(b"#" * ((16 << 20) + 1)))


def test_nothing_stays_open(work, here) -> None:
    before = len(os.listdir("/proc/self/fd"))
    opened(work, context=str(here))
    opened(work, context="-", stdin=io.BytesIO(tar(here)))
    with pytest.raises(FastboxError):
        opened(work, context=str(here), file="none")
    with pytest.raises(FastboxError):
        opened(work, context="-", stdin=io.BytesIO(tar(here)[:1000]))
    assert len(os.listdir("/proc/self/fd")) == before


# Reading ahead


def ahead(place: Path, *sources: str) -> Context:
    """A context that has read these ahead, and is open."""
    context = Context("here", os.open(place, os.O_RDONLY | os.O_DIRECTORY))
    context.read_ahead(sources)
    with context._reading:
        return context


def test_what_is_read_ahead_is_known(tmp_path) -> None:
    here = fill(tmp_path / "here", {"d/a": "1", "d/l": "->a", "b": "2", "c": "3", "l": "->b"})
    with ahead(here, "d", "l", "nowhere") as context:
        assert sorted(context.digests.read(())) == ["b", "d/a"]
        (here / "d/new").touch()
        assert [found.path for found in context.tree.below("d")] == ["d/a", "d/l"]


def test_no_more_is_read_ahead_than_may_be_in_vain(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(contexts, "_AHEAD", 2)
    monkeypatch.setattr(contexts, "_AHEAD_BYTES", 10)
    here = fill(tmp_path / "here", {"a": "12345", "d/b": "123", "d/c": "123", "e": "1"})
    with ahead(here, "a", "d", "e") as context:
        assert list(context.digests.read(())) == ["a"]
    fill(here, {"d/f": ""})
    with ahead(here, "a", "d") as context:
        assert not context.tree._walked
        assert len(context.tree.below("d")) == 3


def test_what_was_read_ahead_does_not_outlive_a_step(tmp_path) -> None:
    here = fill(tmp_path / "here", {"d/a": "1"})
    with ahead(here, "d") as context:
        context.time_passed()
        fill(here, {"d/a": "22", "d/b": "3"})
        assert [found.path for found in context.tree.below("d")] == ["d/a", "d/b"]
        found = context.tree.get("d/a")
        assert found is not None
        assert context.digests.read([found])["d/a"][1] == 2
        context.time_passed()  # what a step has asked for is read once
        assert list(context.digests.read(())) == ["d/a"]


def test_nothing_ends_before_it_has_been_read(tmp_path) -> None:
    here = fill(tmp_path / "here", {f"d/{number}": None for number in range(500)})
    for _ in range(20):
        context = Context("here", os.open(here, os.O_RDONLY | os.O_DIRECTORY))
        context.read_ahead(["d"])
        context.close()
        assert len(context.digests.read(())) == 500


def test_what_a_dockerfile_copies_by_its_text_alone() -> None:
    text = """
FROM a AS unneeded
COPY x /
FROM b AS base
COPY one two/ /t/
COPY --from=c /three /
ADD http://example.org/four five $SIX /
FROM base
COPY --exclude=*.o seven /
COPY --parents eight /
COPY ni?e one /t/
RUN ten
"""
    graph = Graph(
        understood(parse(text.encode(), "Dockerfile")), given={}, platform={}, target="",
        contexts={}, refuse=lambda *_: FastboxError("refused"),
    )  # fmt: skip
    assert copied(graph) == ["one", "two/", "five"]
