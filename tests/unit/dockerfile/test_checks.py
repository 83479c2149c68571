"""Checks: each rule found where it is, not found where it isn't, and how rules are chosen."""

from __future__ import annotations

from typing import Any

import pytest

from fastbox.builds import Warned
from fastbox.dockerfile.checks import check, chosen_rules
from fastbox.dockerfile.parse import understood
from fastbox.dockerfile.rules import EXPERIMENTAL, OWN_RULES, RULES, settings
from fastbox.dockerfile.source import parse
from fastbox.errors import InvalidArgument


def found(text: str, **how: Any) -> tuple[Warned, ...]:
    document = parse(text)
    return check(understood(document), document, **how)


CASES: list[tuple[str, int, str, str]] = [
    ("StageNameCasing", 1, "FROM scratch AS Base", "FROM scratch AS base"),
    ("FromAsCasing", 1, "FROM scratch as b", "FROM scratch AS b"),
    ("NoEmptyContinuation", 5, "FROM scratch\nRUN a \\\n\n \n b", "FROM scratch\nRUN a \\\n#\n b"),
    ("ConsistentInstructionCasing", 2, "FROM scratch\nrun a\nRUN b", "from scratch\nrun a"),
    ("ConsistentInstructionCasing", 2, "FROM scratch\nRun a", "arg a\nFROM scratch\nRUN a"),
    ("DuplicateStageName", 2, "FROM scratch AS a\nFROM scratch AS a", "FROM scratch AS a\nFROM scratch AS b"),
    ("ReservedStageName", 1, "FROM scratch AS context", "FROM scratch AS contexts"),
    ("JSONArgsRecommended", 2, "FROM scratch\nCMD a", 'FROM scratch\nCMD ["a"]'),
    ("JSONArgsRecommended", 2, "FROM scratch\nENTRYPOINT a", 'FROM scratch\nSHELL ["a"]\nENTRYPOINT a'),
    ("MaintainerDeprecated", 2, "FROM scratch\nMAINTAINER a", "FROM scratch\nLABEL maintainer=a"),
    ("UndefinedArgInFrom", 1, "FROM alpine:$V", "ARG V=1\nFROM alpine:$V"),
    ("UndefinedVar", 2, "FROM scratch\nCOPY $foo .", "FROM scratch\nARG foo\nCOPY $foo ."),
    ("UndefinedVar", 2, "FROM scratch\nARG V=$foo", "FROM scratch AS a\nENV foo=1\nFROM a\nARG V=$foo"),
    ("UndefinedVar", 2, "FROM scratch\nEXPOSE $p", "FROM unknown\nEXPOSE 8$p"),
    ("MultipleInstructionsDisallowed", 2, 'FROM scratch\nCMD ["a"]\nCMD ["b"]', 'FROM scratch AS a\nCMD ["a"]\nFROM a\nCMD ["b"]'),
    ("MultipleInstructionsDisallowed", 2, "FROM scratch\nHEALTHCHECK NONE\nHEALTHCHECK CMD x", "FROM scratch\nENV a=1\nENV a=2"),
    ("LegacyKeyValueFormat", 2, "FROM scratch\nENV a b", "FROM scratch\nENV a=b"),
    ("LegacyKeyValueFormat", 2, "FROM scratch\nLABEL a b", "FROM scratch\nLABEL a=b"),
    ("RedundantTargetPlatform", 1, "FROM --platform=$TARGETPLATFORM alpine", "FROM --platform=$BUILDPLATFORM alpine"),
    ("SecretsUsedInArgOrEnv", 2, "FROM scratch\nARG GITHUB_TOKEN", "FROM scratch\nARG TOKENS"),
    ("SecretsUsedInArgOrEnv", 2, "FROM scratch\nENV API_KEY=x", "FROM scratch\nENV PUBLIC_KEY=x KEY_FILE=y"),
    ("InvalidDefaultArgInFrom", 2, "ARG V\nFROM alpine:$V", "ARG V\nFROM alpine:${V:-1}"),
    ("InvalidDefaultArgInFrom", 1, "FROM Foo", "FROM localhost:5000/a/b:C@sha256:ab"),
    ("FromPlatformFlagConstDisallowed", 1, "FROM --platform=linux/amd64 alpine AS b", "FROM --platform=linux/amd64 alpine AS b-amd64"),
    ("FromPlatformFlagConstDisallowed", 1, "FROM --platform=arm64 alpine", "FROM --platform=linux/$TARGETARCH alpine"),
    ("InvalidDefinitionDescription", 1, "# x\nFROM scratch AS b", "# b is it\nFROM scratch AS b"),
    ("InvalidDefinitionDescription", 2, "FROM scratch\n# x\nARG a", "FROM scratch\n# x\n\nARG a"),
    ("ExposeProtoCasing", 2, "FROM scratch\nEXPOSE 80/TCP", "FROM scratch\nEXPOSE 80/tcp"),
    ("ExposeInvalidFormat", 2, "FROM scratch\nEXPOSE 80:80", "FROM scratch\nEXPOSE 80-81"),
    ("WorkdirRelativePath", 2, "FROM scratch\nWORKDIR a", "FROM scratch AS a\nWORKDIR /a\nFROM a\nWORKDIR b"),
    ("CopyIgnoredFile", 2, "FROM scratch\nCOPY no /", "FROM scratch AS a\nCOPY --from=b no /\nADD https://no /"),
    ("CopyIgnoredFile", 2, "FROM scratch\nADD no /", "FROM scratch\nADD yes /"),
    ("JSONArgsInvalid", 2, "FROM scratch\nRUN ['a', 'b']", "FROM scratch\nRUN [ a = b ]"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "line", "bad", "good"), CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES]
)
def test_rules(rule: str, line: int, bad: str, good: str) -> None:
    how = {"ignored": lambda path: path == "no", "override": "experimental=all"}
    line += bad.startswith("# ")
    line += rule == "InvalidDefinitionDescription" and bad.startswith("FROM")
    assert [(each.rule, each.line) for each in found(bad, **how) if each.rule == rule] == [
        (rule, line)
    ]
    assert rule not in {each.rule for each in found(good, **how)}


def test_all_rules_are_tried() -> None:
    assert {case[0] for case in CASES} == {*RULES, *OWN_RULES}


def test_messages_and_addresses() -> None:
    (first,) = found("FROM scratch\nENV PATH=$PAHT:/app")
    assert first.message == "Usage of undefined variable '$PAHT' (did you mean $PATH?)"
    assert first.url == "https://docs.docker.com/go/dockerfile/rule/undefined-var/"
    (second,) = found("FROM scratch\nCMD x")
    assert second.url == "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"


def test_variables_of_the_base() -> None:
    text = "FROM python\nARG V=$PYTHON_VERSION\nENV A=$B"
    assert not found(text)
    (one,) = found(
        text, base_env=lambda image: {"PYTHON_VERSION": "3"} if image == "python" else None
    )
    assert (one.rule, one.line) == ("UndefinedVar", 3)


def test_values_that_are_given() -> None:
    text = "ARG P\nFROM --platform=$P alpine\nARG A\nCOPY $A /"
    asked: list[str] = []
    found(text, args={"A": "x", "P": "y"}, ignored=lambda path: bool(asked.append(path)))
    assert asked == ["x"]


def test_order_is_that_of_lines() -> None:
    lines = [each.line for each in found("FROM scratch AS B\nCMD a\nMAINTAINER x\nENV a b\nCMD b")]
    assert lines == sorted(lines)
    assert len(lines) >= 5


@pytest.mark.parametrize(
    ("head", "override", "count"),
    [
        ("", "", 2),
        ("# check=skip=MaintainerDeprecated\n", "", 1),
        ("# check=skip=all\n", "", 0),
        ("# check=skip=all\n", "skip=StageNameCasing", 1),
        ("# check=skip=A, MaintainerDeprecated,StageNameCasing;error=true\n", "", 0),
    ],
)
def test_skipped(head: str, override: str, count: int) -> None:
    assert len(found(head + "FROM scratch AS A\nMAINTAINER x", override=override)) == count


def test_skipped_above_an_instruction() -> None:
    text = "FROM scratch\n# check=skip=SecretsUsedInArgOrEnv and why\nARG A_KEY\nARG B_KEY"
    assert [each.line for each in found(text)] == [4]


def test_settings() -> None:
    chosen = settings("skip=A,B;error=true;experimental=C")
    assert (chosen.skip, chosen.error, chosen.experimental) == (("A", "B"), True, ("C",))
    assert chosen.counts("X")
    assert not chosen.counts("A")
    assert not any(settings("").counts(rule) for rule in EXPERIMENTAL)
    assert chosen_rules(parse("# check=error=true\nFROM a")).error


@pytest.mark.parametrize("text", ["x", "skip", "error=maybe", "skip=a;b=c"])
def test_settings_that_are_wrong(text: str) -> None:
    with pytest.raises(InvalidArgument):
        settings(text)


def test_what_the_build_will_refuse_is_no_finding() -> None:
    assert not found("FROM ${a\nENV a=${\nEXPOSE x\nCOPY 'a b")


def test_many_stages_on_each_other() -> None:
    stages = "".join(
        f"FROM s{number} AS s{number + 1}\nENV X{number}=$Y{number}\n" for number in range(5000)
    )
    assert len(found("FROM scratch AS s0\n" + stages)) < 5000
