"""Which fields are expanded, in which order values are seen, and what ARG gives."""

from __future__ import annotations

from typing import Any

import pytest

from fastbox.dockerfile.expand import declared, expanded
from fastbox.dockerfile.instructions import Arg, Copy, Run
from fastbox.dockerfile.parse import parse_line, read
from fastbox.errors import DockerfileError

ENV = {"A": "1", "B": "x y", "P": "80 81/udp", "DIR": "/d"}


@pytest.mark.parametrize(
    ("text", "field", "wanted"),
    [
        ("COPY $A '$B' $DIR", "sources", ("1", "$B")),
        ("COPY x $DIR/$A", "target", "/d/1"),
        ("COPY --chown=$A --chmod=7${A}5 x y", "chown", "1"),
        ("COPY --chmod=7${A}5 x y", "chmod", "715"),
        ("COPY --exclude=$A x y", "exclude", ("$A",)),
        ("ADD --checksum=sha256:$A x y", "checksum", "sha256:1"),
        ("ENV A=2 X=$A \"$A\"='$A'", "pairs", (("A", "2"), ("X", "1"), ("1", "$A"))),
        ("ENV X a  $B  c", "pairs", (("X", "a  x y  c"),)),
        ("LABEL x=$B", "pairs", (("x", "x y"),)),
        ("EXPOSE $P 7-9 80", "ports", ("80/tcp", "81/udp", "7/tcp", "8/tcp", "9/tcp")),
        ("EXPOSE 127.0.0.1:1:2/TCP", "ports", ("2/tcp",)),
        ("STOPSIGNAL $A", "signal", "1"),
        ("USER $A:$A", "user", "1:1"),
        ("VOLUME $DIR ${DIR}2", "paths", ("/d", "/d2")),
        ("WORKDIR $DIR/'a b'", "path", "/d/a b"),
        ("ARG X=$A Y=$X", "args", (("X", "1"), ("Y", "1"))),
        ("RUN --network=${NET:-none} x", "network", "none"),
    ],
)
def test_fields(text: str, field: str, wanted: Any) -> None:
    assert getattr(expanded(parse_line(text), ENV), field) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "CMD $A",
        "ENTRYPOINT $A",
        'SHELL ["$A"]',
        "HEALTHCHECK CMD $A",
        "ONBUILD RUN $A",
        "RUN echo $A",
        "MAINTAINER $A",
        'CMD ["$A"]',
    ],
)
def test_what_is_never_expanded(text: str) -> None:
    instruction = parse_line(text)
    assert expanded(instruction, ENV) is instruction


def test_from() -> None:
    start = read("FROM --platform=$P a:$A").stages[0].start
    found = expanded(start, {"A": "2", "P": "linux/arm64"})
    assert (found.image, found.platform) == ("a:2", "linux/arm64")
    with pytest.raises(DockerfileError, match="platform is empty"):
        expanded(start, {})
    with pytest.raises(DockerfileError, match="name of the image is empty"):
        expanded(read("FROM $X").stages[0].start, {})


def test_mounts() -> None:
    run = parse_line("RUN --mount=type=$T,target=$DIR,uid=$A,sharing=locked x")
    assert isinstance(run, Run)
    found = expanded(run, ENV | {"T": "cache"}).mounts[0]
    assert (found.kind, found.target, found.uid, found.sharing, found.read_only) == (
        "cache",
        "/d",
        1,
        "locked",
        False,
    )
    with pytest.raises(DockerfileError, match="type of mount"):
        expanded(run, ENV | {"T": "nfs"})


def test_heredocs() -> None:
    copy = parse_line("COPY <<a <<'b' /\n\"$A\" \\$A\na\n$A\nb")
    assert isinstance(copy, Copy)
    assert [doc.content for doc in expanded(copy, ENV).heredocs] == ['"1" $A\n', "$A\n"]


def test_names_are_collected() -> None:
    used: set[str] = set()
    missing: set[str] = set()
    expanded(parse_line("COPY <<a $A $X\n$B $Y\na"), ENV, used=used, missing=missing)
    assert (used, missing) == ({"A", "B"}, {"X", "Y"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ENV A='x", "unterminated"),
        ("ENV $X=1", "empty"),
        ("WORKDIR ${X:?give X}", "X: give X"),
        ("EXPOSE 0", "not a port"),
        ("EXPOSE 9-8", "ends before"),
        ("EXPOSE 80/icmp", "protocol"),
        ("EXPOSE x:80", "not a port"),
        ("VOLUME $X", "empty"),
        ("RUN --network=$A x", "unknown --network"),
        ("USER " + "${X:-" * 5000, "nested"),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(DockerfileError, match=words) as caught:
        expanded(parse_line(text), ENV, name="D")
    assert str(caught.value).startswith("D:1: ")


def test_declared() -> None:
    arg = parse_line("ARG A B C=$A-$D D='4' E=$D")
    assert isinstance(arg, Arg)
    found = declared(arg, {"D": "old"}, {"B": "given"}, {"A": "outer", "B": "outer", "C": "outer"})
    assert found == {"A": "outer", "B": "given", "C": "outer-old", "D": "4", "E": "4"}
    assert declared(arg, {}, {"C": "$A"})["C"] == "$A"
    assert declared(arg, {}, {})["A"] is None
