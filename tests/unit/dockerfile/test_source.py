"""Text to nodes: continuations, comments, directives, flags, heredocs, and what is refused with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbox.dockerfile.source import parse
from fastbox.errors import DockerfileError


def rests(text: str) -> list[tuple[str, str]]:
    return [(node.keyword, node.rest) for node in parse(text).nodes]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM a", [("FROM", "a")]),
        ("  from\ta  \n", [("from", "a")]),
        ("RUN a \\\n  b", [("RUN", "a   b")]),
        ("RUN a \\  \t\n b", [("RUN", "a  b")]),
        ("RUN a\\\\\nRUN b", [("RUN", "a\\\\"), ("RUN", "b")]),
        ("RUN a \\\n# comment \\\n  # another\n b", [("RUN", "a  b")]),
        ("RUN a \\\n\n\n b\nRUN c", [("RUN", "a  b"), ("RUN", "c")]),
        ("RUN a \\", [("RUN", "a")]),
        ("RUN \\\n# all of it\n a", [("RUN", "a")]),
        ("\\\nRUN a", [("RUN", "a")]),
        ("# escape=`\nRUN a `\n b\\\nRUN c", [("RUN", "a  b\\"), ("RUN", "c")]),
        ("RUN a\r\nRUN b \\\r\n c\r\n", [("RUN", "a"), ("RUN", "b  c")]),
        ("\ufeffFROM a", [("FROM", "a")]),
        ("FROM a # no comment", [("FROM", "a # no comment")]),
        ("RUN a\n\x85\nRUN b", [("RUN", "a"), ("RUN", "b")]),
    ],
)
def test_lines(text: str, wanted: list[tuple[str, str]]) -> None:
    assert rests(text) == wanted


def test_an_empty_line_within_is_told() -> None:
    document = parse("FROM a\nRUN a \\\n\n  b\nRUN c")
    assert [node.gap for node in document.nodes] == [0, 4, 0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "# syntax=x\n# escape=`\n# check=skip=all\nFROM a",
            {"syntax": "x", "escape": "`", "check": "skip=all"},
        ),
        ("#SYNTAX = docker/dockerfile:1 \nFROM a", {"syntax": "docker/dockerfile:1"}),
        ("# a comment\n# escape=`\nFROM a", {}),
        ("\n# escape=`\nFROM a", {}),
        ("# unknown=x\n# escape=`\nFROM a", {}),
        ("# escape=\n# syntax=x\nFROM a", {}),
        ("#!/usr/bin/env x\n# syntax=y\nFROM a", {"syntax": "y"}),
        ("FROM a\n# escape=`\n", {}),
        ("// syntax=x\nFROM a", {}),
    ],
)
def test_directives(text: str, wanted: dict[str, str]) -> None:
    document = parse(text)
    assert document.directives == wanted
    assert document.escape == wanted.get("escape", "\\")


@pytest.mark.parametrize(
    ("rest", "flags", "left"),
    [
        ("--a=b --c d", ("--a=b", "--c"), "d"),
        ("--a='b c' d", ("--a=b c",), "d"),
        ('--a="b\\"c" d', ('--a=b"c',), "d"),
        ("--a=b\\ c d", ("--a=b c",), "d"),
        ("-- --a d", (), "--a d"),
        ("-a --b", (), "-a --b"),
        ("--a", ("--a",), ""),
    ],
)
def test_flags(rest: str, flags: tuple[str, ...], left: str) -> None:
    node = parse("X " + rest).nodes[0]
    assert (node.flags, node.rest) == (flags, left)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("RUN <<EOF\na\nb\nEOF\n", [("EOF", "a\nb\n", True)]),
        ("RUN <<EOF\nEOF", [("EOF", "", True)]),
        ("RUN <<'EOF'\n$a\nEOF", [("EOF", "$a\n", False)]),
        ('COPY <<"a b" /x\n$a\na b\n', [("a b", "$a\n", False)]),
        ('COPY <<E"O"F /x\nEOF\n', [("EOF", "", False)]),
        ("ADD <<A <<-B /x/\na\nA\n\t\tb\n\tB\nRUN x", [("A", "a\n", True), ("B", "b\n", True)]),
        ("RUN 3<<EOF cat\nx\nEOF", [("EOF", "x\n", True)]),
        ("RUN cat << EOF\nx\nEOF", [("EOF", "x\n", True)]),
        ("RUN echo <<< EOF", []),
        ("RUN echo '<<EOF'", []),
        ('RUN echo "<<EOF"', []),
        ("RUN echo it's <<EOF", []),
        ('RUN ["sh", "<<EOF"]', []),
        ("CMD cat <<EOF", []),
        ("RUN cat <<EOF | sh && \\\n x\nx\nEOF", [("EOF", "x\n", True)]),
        ("ONBUILD RUN <<EOF\nx\nEOF", [("EOF", "x\n", True)]),
        ("ONBUILD CMD <<EOF", []),
        ("RUN <<EOF\n# no comment\n\\\nEOF", [("EOF", "# no comment\n\\\n", True)]),
        ("RUN <<EOF\r\nx\r\nEOF\r\n", [("EOF", "x\r\n", True)]),
    ],
)
def test_heredocs(text: str, wanted: list[tuple[str, str, bool]]) -> None:
    found = parse(text).nodes[0].heredocs
    assert [(doc.name, doc.content, doc.expand) for doc in found] == wanted


def test_a_heredoc_keeps_its_descriptor_and_lines() -> None:
    nodes = parse("RUN 3<<EOF cat\nx\nEOF\nRUN y").nodes
    assert nodes[0].heredocs[0].descriptor == 3
    assert [(node.where.line, node.where.end) for node in nodes] == [(1, 3), (4, 4)]


def test_comments_directly_above() -> None:
    nodes = parse("# check=skip=x\n# a\n\n# b\n# c\nFROM x\n# d\n#\n# e\nRUN y\nRUN z").nodes
    assert [node.comments for node in nodes] == [("b", "c"), ("e",), ()]


@pytest.mark.parametrize(
    ("data", "line", "column", "words"),
    [
        (b"", 0, 0, "no instructions"),
        (b"# only\n\n", 0, 0, "no instructions"),
        (b"FROM a\nRUN b\0", 2, 0, "NUL"),
        ("FROM a".encode("utf-16"), 1, 0, "NUL"),
        (b"# escape=x\nFROM a", 1, 0, "escape"),
        (b"# escape=`\n# escape=`\nFROM a", 2, 0, "second"),
        (b"FROM a\nRUN a && \\\n <<EOF\nx\n", 3, 2, "unterminated heredoc"),
        (b"FROM a\n" + b" " * (16 << 20), 0, 0, "larger"),
    ],
)
def test_refused(data: bytes, line: int, column: int, words: str) -> None:
    with pytest.raises(DockerfileError, match=words) as caught:
        parse(data, "x/Dockerfile")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith("x/Dockerfile:")


def test_the_excerpt_of_an_error_has_a_caret() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse("FROM a\nRUN \tcat <<EOF\nx")
    assert caught.value.detail == "   2 | RUN  cat <<EOF\n" + " " * 16 + "^"


def test_bytes_that_are_not_utf8_are_kept() -> None:
    node = parse(b"COPY \xe9 /").nodes[0]
    assert node.rest.encode("utf-8", "surrogateescape") == b"\xe9 /"
    assert node.where.text == "COPY \ufffd /"


word = st.text(st.sampled_from("ab-=$'\"[]{}#\\`<"), min_size=1, max_size=8).filter(
    lambda text: not text.endswith("\\") and not text.startswith(("--", "#")) and "<<" not in text
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["RUN", "Copy", "x"]), st.lists(word, min_size=1, max_size=5)),
        min_size=1,
        max_size=5,
    ),
    st.randoms(),
)
def test_a_file_written_in_any_way_reads_the_same(instructions, random) -> None:
    """Words of instructions, put on lines with continuations, comments and empty lines between."""
    lines = ["# a comment"]
    for keyword, words in instructions:
        line = "  " * random.randrange(2) + keyword
        for each in words:
            if random.random() < 0.4:
                lines.append(line + " \\")
                lines += random.choice([[], ["# comment"], ["", "  # x \\"]])
                line = ""
            line += " " + each
        lines += [line, *random.choice([[], [""], ["# y"]])]
    found = [(node.keyword, node.rest.split()) for node in parse("\n".join(lines)).nodes]
    assert found == [(keyword, words) for keyword, words in instructions]


@given(st.text(st.sampled_from("RUNCOPY <<E-\n\\\"'#=$x\r\t\x85`")) | st.binary())
def test_any_text_is_read_or_refused(text) -> None:
    data = text if isinstance(text, bytes) else "RUN x\n" + text
    try:
        document = parse(data)
    except DockerfileError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert refused.isprintable()
        return
    ends = 0
    for node in document.nodes:
        assert ends < node.where.line <= node.where.end <= len(document.lines)
        ends = node.where.end
