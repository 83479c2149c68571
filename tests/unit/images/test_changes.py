"""`--change`: each instruction, both forms, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fastbox.errors import InvalidArgument
from fastbox.images.changes import apply_changes


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (['CMD ["a", "b"]'], {"Cmd": ["a", "b"]}),
        (["cmd echo $HOME"], {"Cmd": ["/bin/sh", "-c", "echo $HOME"]}),
        (["CMD x", 'ENTRYPOINT ["/e"]'], {"Entrypoint": ["/e"]}),
        (['ENTRYPOINT ["/e"]', "CMD []"], {"Entrypoint": ["/e"], "Cmd": []}),
        (["ENV A=1 B='x y'", "ENV A 2 3"], {"Env": ["A=2 3", "B=x y"]}),
        (['LABEL a=b "c d"=e'], {"Labels": {"a": "b", "c d": "e"}}),
        (
            ["EXPOSE 80 53/udp 7-9"],
            {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "7/tcp": {}, "8/tcp": {}, "9/tcp": {}}},
        ),
        (["USER a:b"], {"User": "a:b"}),
        (["VOLUME /a /b", 'VOLUME ["/c d"]'], {"Volumes": {"/a": {}, "/b": {}, "/c d": {}}}),
        (["WORKDIR /a", "WORKDIR b/../c"], {"WorkingDir": "/a/c"}),
        (["WORKDIR ../../.."], {"WorkingDir": "/"}),
        (["ONBUILD RUN x"], {"OnBuild": ["RUN x"]}),
        (["STOPSIGNAL SIGUSR1"], {"StopSignal": "SIGUSR1"}),
    ],
)
def test_instructions(changes: list[str], wanted: dict[str, Any]) -> None:
    assert apply_changes({}, changes) == wanted


@pytest.mark.parametrize(
    "change",
    [
        "",
        "RUN x",
        "CMD",
        "ENV A",
        "ENV A=1 B",
        "ENV 'A=1",
        "EXPOSE 0",
        "EXPOSE 65536",
        "EXPOSE 80/x",
        "EXPOSE a",
        "STOPSIGNAL SIGX",
        "STOPSIGNAL 99",
        "ONBUILD FROM x",
        "CMD [1]",
        'VOLUME [""]',
        "USER a\0",
    ],
)
def test_refused(change: str) -> None:
    with pytest.raises(InvalidArgument):
        apply_changes({}, [change])
