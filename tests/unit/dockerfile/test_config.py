"""What instructions do to an image's configuration."""

from __future__ import annotations

from typing import Any

import pytest

from fastbox.dockerfile.config import apply
from fastbox.dockerfile.expand import expanded
from fastbox.dockerfile.parse import parse_line
from fastbox.errors import InvalidArgument


def after(run: dict[str, Any], *lines: str, **how: Any) -> dict[str, Any]:
    for line in lines:
        apply(run, expanded(parse_line(line), {}), **how)
    return run


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["CMD a b"], {"Cmd": ["/bin/sh", "-c", "a b"]}),
        (["CMD []"], {"Cmd": []}),
        (
            ['SHELL ["/b", "-x"]', "CMD a", "ENTRYPOINT c"],
            {"Shell": ["/b", "-x"], "Entrypoint": ["/b", "-x", "c"]},
        ),
        (['ENTRYPOINT ["a"]', "ENTRYPOINT []"], {}),
        (["ENV A=1 B=2", "ENV A=3"], {"Env": ["A=3", "B=2"]}),
        (["LABEL a=1", "LABEL a=2 b=3"], {"Labels": {"a": "2", "b": "3"}}),
        (["EXPOSE 80 1-2/udp"], {"ExposedPorts": {"80/tcp": {}, "1/udp": {}, "2/udp": {}}}),
        (["VOLUME /a /b"], {"Volumes": {"/a": {}, "/b": {}}}),
        (["WORKDIR a", "WORKDIR b/..", "WORKDIR ./c/"], {"WorkingDir": "/a/c"}),
        (["WORKDIR //x"], {"WorkingDir": "/x"}),
        (["USER x"], {"User": "x"}),
        (["ONBUILD RUN a", "ONBUILD RUN b"], {"OnBuild": ["RUN a", "RUN b"]}),
        (["STOPSIGNAL RTMIN+3"], {"StopSignal": "RTMIN+3"}),
        (["HEALTHCHECK NONE"], {"Healthcheck": {"Test": ["NONE"]}}),
        (
            ["HEALTHCHECK --interval=1.5s --retries=2 CMD a b"],
            {
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "a b"],
                    "Interval": 1_500_000_000,
                    "Retries": 2,
                }
            },
        ),
        (
            ['HEALTHCHECK --timeout=1ms CMD ["a"]'],
            {"Healthcheck": {"Test": ["CMD", "a"], "Timeout": 1_000_000}},
        ),
        (["RUN x", "COPY a b", "ARG x", "MAINTAINER x"], {}),
    ],
)
def test_apply(lines: list[str], wanted: dict[str, Any]) -> None:
    assert after({}, *lines) == wanted


def test_an_entry_point_and_the_command_before_it() -> None:
    assert after({"Cmd": ["base"]}, 'ENTRYPOINT ["e"]') == {"Entrypoint": ["e"]}
    assert after({"Cmd": ["own"]}, 'ENTRYPOINT ["e"]', own_cmd=True) == {
        "Entrypoint": ["e"],
        "Cmd": ["own"],
    }


def test_another_shell() -> None:
    assert after({}, "CMD x", shell=["/s"]) == {"Cmd": ["/s", "x"]}


def test_what_was_there_is_not_changed_in_place() -> None:
    base: dict[str, Any] = {
        "Env": ["A=1"],
        "Labels": {"a": "1"},
        "ExposedPorts": None,
        "Volumes": {"/a": {}},
        "OnBuild": ["x"],
    }
    kept = {key: value.copy() if value else value for key, value in base.items()}
    run = after(dict(base), "ENV B=2", "LABEL b=2", "EXPOSE 1", "VOLUME /b", "ONBUILD RUN y")
    assert base == kept
    assert run["Volumes"] == {"/a": {}, "/b": {}}


def test_bytes_that_json_cannot_hold() -> None:
    assert after({}, "ENV A=\udce9 B=é") == {"Env": ["A=\ufffd", "B=é"]}


def test_no_such_signal() -> None:
    with pytest.raises(InvalidArgument, match="SIGX"):
        after({}, "STOPSIGNAL SIGX")
