"""Nodes to typed instructions: every instruction and flag, both forms, and what is refused with a hint."""

from __future__ import annotations

from typing import Any

import pytest

from fastbox.dockerfile.instructions import (
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from fastbox.dockerfile.parse import parse_line, read
from fastbox.errors import DockerfileError


def shell(line: str) -> Command:
    return Command(line=line, shell=True)


CASES: list[tuple[str, type, dict[str, Any]]] = [
    ("CMD echo $A", Cmd, {"command": shell("echo $A")}),
    ('cmd ["a", "b c"]', Cmd, {"command": Command(argv=("a", "b c"))}),
    ("CMD []", Cmd, {"command": Command()}),
    ("CMD ['a']", Cmd, {"command": shell("['a']")}),
    ("CMD [ -f x ]", Cmd, {"command": shell("[ -f x ]")}),
    ('ENTRYPOINT ["/e"]', Entrypoint, {"command": Command(argv=("/e",))}),
    ("ENTRYPOINT exec x", Entrypoint, {"command": shell("exec x")}),
    ("ENV A=1 B='x y' C=\"z\\\"\" D=a\\ b", Env, {"pairs": (("A", "1"), ("B", "'x y'"), ("C", '"z\\""'), ("D", "a\\ b"))}),
    ("ENV A  the  value = x", Env, {"pairs": (("A", "the  value = x"),)}),
    ("ENV A=", Env, {"pairs": (("A", ""),)}),
    ('LABEL "a b"=c d=e', Label, {"pairs": (('"a b"', "c"), ("d", "e"))}),
    ("ARG A B=1 C='x y' D=", Arg, {"args": (("A", None), ("B", "1"), ("C", "'x y'"), ("D", ""))}),
    ("EXPOSE 80 53/udp $P", Expose, {"ports": ("80", "53/udp", "$P")}),
    ("VOLUME /a  /b", Volume, {"paths": ("/a", "/b")}),
    ('VOLUME ["/a b"]', Volume, {"paths": ("/a b",)}),
    ("USER a:b", User, {"user": "a:b"}),
    ("WORKDIR /a b", Workdir, {"path": "/a b"}),
    ('SHELL ["/bin/bash", "-c"]', Shell, {"argv": ("/bin/bash", "-c")}),
    ("STOPSIGNAL 9", Stopsignal, {"signal": "9"}),
    ("MAINTAINER A <a@b>", Maintainer, {"name": "A <a@b>"}),
    ("ONBUILD COPY --from=x a  b", Onbuild, {"text": "COPY --from=x a  b"}),
    ("ONBUILD RUN <<-E\n\ta\n\tE", Onbuild, {"text": "RUN <<-E\na\nE"}),
    ("HEALTHCHECK NONE", Healthcheck, {"none": True, "command": None}),
    ("HEALTHCHECK --interval=1m30s --timeout=250ms --start-period=0 --start-interval=1s --retries=3 CMD x y",
     Healthcheck, {"interval": 90.0, "timeout": 0.25, "start_period": 0.0, "start_interval": 1.0, "retries": 3, "command": shell("x y")}),
    ('HEALTHCHECK cmd ["x"]', Healthcheck, {"command": Command(argv=("x",)), "interval": 0.0}),
    ("COPY a b /c/", Copy, {"sources": ("a", "b"), "target": "/c/", "add": False, "unpack": None}),
    ('COPY ["a b", "/c"]', Copy, {"sources": ("a b",), "target": "/c"}),
    ("COPY --from=x --chown=1:2 --chmod=755 --link --parents --exclude=*.a --exclude=b a /", Copy,
     {"from_": "x", "chown": "1:2", "chmod": "755", "link": True, "parents": True, "exclude": ("*.a", "b")}),
    ("COPY --link=false a /", Copy, {"link": False}),
    ("ADD --checksum=sha256:x --keep-git-dir --unpack=false https://x/y /", Copy,
     {"add": True, "checksum": "sha256:x", "keep_git_dir": True, "unpack": False, "sources": ("https://x/y",)}),
    ("RUN --network=none --security=insecure x", Run, {"network": "none", "security": "insecure", "command": shell("x")}),
    ('RUN ["a"]', Run, {"command": Command(argv=("a",))}),
    ("RUN <<EOF\na\nb\nEOF", Run, {"command": shell("a\nb\n"), "script": ""}),
    ("RUN <<EOF\n#!/x\nEOF", Run, {"command": shell("/dev/pipes/EOF"), "script": "#!/x\n"}),
    ("RUN <<'../e v'\n#!/x\n../e v", Run, {"command": shell("/dev/pipes/script"), "script": "#!/x\n"}),
    ("RUN cat <<A <<B\na\nA\nb\nB", Run, {"command": shell("cat <<A <<B\na\nA\nb\nB"), "script": ""}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind", "wanted"), CASES, ids=[case[0].partition("\n")[0] for case in CASES]
)
def test_instructions(text: str, kind: type, wanted: dict[str, Any]) -> None:
    found = parse_line(text)
    assert isinstance(found, kind)
    assert {name: getattr(found, name) for name in wanted} == wanted


def test_inline_files() -> None:
    found = parse_line("COPY a <<x.conf <<'y' /etc/\n$1\nx.conf\n$2\ny")
    assert isinstance(found, Copy)
    assert found.sources == ("a",)
    assert [(doc.name, doc.content, doc.expand) for doc in found.heredocs] == [
        ("x.conf", "$1\n", True),
        ("y", "$2\n", False),
    ]


def test_stages() -> None:
    found = read("ARG V=1\nFROM --platform=$P a:$V AS Base\nRUN x\nFROM base\nARG V\n")
    assert [arg.args for arg in found.args] == [(("V", "1"),)]
    first, second = found.stages
    assert (first.number, first.start.image, first.start.name, first.start.platform) == (
        0,
        "a:$V",
        "base",
        "$P",
    )
    assert (second.number, second.start.image, second.start.name) == (1, "base", "")
    assert [len(stage.instructions) for stage in found.stages] == [1, 1]


def test_texts_for_progress() -> None:
    found = read("from a\nrun x \\\n  y\nRUN <<E\n echo  hi\nz\nE\n")
    run, script = found.stages[0].instructions
    assert (run.where.text, run.where.line, run.where.end) == ("RUN x   y", 2, 3)
    assert (script.where.text, script.where.end) == ("RUN <<E (echo  hi...)", 7)


@pytest.mark.parametrize(
    ("line", "column", "words", "hint"),
    [
        ("RNU x", 1, "unknown instruction: RNU", "did you mean RUN?"),
        ("FRUM x", 1, "unknown instruction", "FROM"),
        ("XYZZY", 1, "unknown instruction", "known: FROM"),
        ("COPY --chwon=1 a b", 6, "unknown flag: --chwon", "did you mean --chown?"),
        ("USER --x a", 6, "takes none", ""),
        ("COPY --from a b", 0, "flag without a value: --from", ""),
        ("COPY --link= a b", 0, "flag without a value: --link", ""),
        ("COPY --link=x a b", 0, "true or false", ""),
        ("COPY --from=a --from=b a b", 0, "twice", ""),
        ("COPY --from=$X a b", 0, "no variables", ""),
        ("COPY a", 0, "a source and a destination", ""),
        ("COPY a <<x\nx", 0, "destination", ""),
        ("COPY <<../x /\n../x", 0, "name of a file", ""),
        ("COPY << x /\nx", 0, "no spaces", ""),
        ("RUN", 0, "needs an argument", ""),
        ("RUN []", 0, "empty array", ""),
        ("CMD [1]", 0, "something else than strings", ""),
        ('CMD ["a\\u0000"]', 0, "NUL", ""),
        ('CMD ["\\ud800"]', 0, "half", ""),
        ("RUN --network=nat x", 15, "unknown --network", "known: default"),
        ("RUN --mount=type=cahce,target=/x x", 18, 'type of mount "cahce"', "did you mean cache?"),
        ("RUN --mount=tpye=bind x", 13, 'unknown key "tpye"', "type"),
        ("ENV", 0, "needs an argument", ""),
        ("ENV A", 0, "a name and a value", ""),
        ("ENV A=1 B", 0, 'no "="', ""),
        ("ENV =1", 0, "empty", ""),
        ("ARG =1", 0, "empty", ""),
        ('VOLUME [""]', 0, "empty", ""),
        ("SHELL /bin/sh -c", 0, "JSON array", ""),
        ("SHELL []", 0, "JSON array", ""),
        ("HEALTHCHECK x", 13, "CMD or NONE", ""),
        ("HEALTHCHECK NONE x", 0, "no arguments", ""),
        ("HEALTHCHECK CMD", 0, "needs a command", ""),
        ("HEALTHCHECK --interval=1 CMD x", 0, "duration", ""),
        ("HEALTHCHECK --interval=1us CMD x", 0, "less than 1ms", ""),
        ("HEALTHCHECK --retries=-1 CMD x", 0, "retries", ""),
        ("ONBUILD FROM x", 0, "triggered", ""),
        ("ONBUILD ONBUILD RUN x", 0, "triggered", ""),
        ("ONBUILD RNU x", 0, "unknown instruction", ""),
        ("FROM", 0, "needs an argument", ""),
        ("FROM a b", 0, "FROM takes", ""),
        ("FROM a as", 0, "FROM takes", ""),
        ("FROM a as b c", 0, "FROM takes", ""),
        ("FROM a as 1b", 0, "invalid name", ""),
        ("FROM a as b/c", 0, "invalid name", ""),
    ],
)
def test_refused(line: str, column: int, words: str, hint: str) -> None:
    with pytest.raises(DockerfileError, match=words) as caught:
        read("FROM x\n" + line)
    assert (caught.value.line, caught.value.column) == (2, column)
    assert hint in caught.value.hint
    assert caught.value.code == "dockerfile.invalid"


@pytest.mark.parametrize(
    ("text", "words"), [("RUN x\nFROM a", "before the first FROM"), ("ARG A", "no FROM")]
)
def test_files_without_a_stage(text: str, words: str) -> None:
    with pytest.raises(DockerfileError, match=words):
        read(text)


@pytest.mark.parametrize("text", ["", "FROM a", "USER a\nUSER b"])
def test_not_one_instruction(text: str) -> None:
    with pytest.raises(DockerfileError):
        parse_line(text)


def test_the_error_is_on_the_line_of_the_word() -> None:
    with pytest.raises(DockerfileError) as caught:
        read("FROM a\nCOPY \\\n  --from=x \\\n  --chmdo=1 a b")
    assert (caught.value.line, caught.value.column) == (4, 3)
    assert caught.value.detail.splitlines()[0] == "   4 |   --chmdo=1 a b"


def test_large_files() -> None:
    assert len(read("FROM a AS b\nRUN x\n" * 10_000).stages) == 10_000
    (long,) = read("FROM a\nRUN " + "x " * (1 << 19)).stages[0].instructions
    assert len(long.where.text) > 1 << 20 - 1
    (joined,) = read("FROM a\nRUN " + "x \\\n" * 100_000).stages[0].instructions
    assert (joined.where.line, joined.where.end) == (2, 100_001)
    (pairs,) = read("FROM a\nENV " + "a=b " * (1 << 18)).stages[0].instructions
    assert isinstance(pairs, Env)
    assert len(pairs.pairs) == 1 << 18
    deep = read("FROM a\nCMD " + "[" * (1 << 20)).stages[0].instructions[0]
    assert isinstance(deep, Cmd)
    assert deep.command.shell
