"""--link: variables, hosts and names of other containers, beside a real dockerd with a bridge."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from fastbox import Engine

from .conftest import Box, Docker, private_docker

pytestmark = pytest.mark.integration
Party = Box | Docker
SLEEP = ("busybox", "sleep", "1000")
# A range of three, one of two, a port of both protocols, one that is published.
WEB = (
    "--hostname", "webhost", "-e", "FOO=b=r", "-e", "EMPTY=", "-e", "HOME=/x", "-e", "PATH=/bin",
    "--expose", "9000-9002", "--expose", "90-91/udp", "--expose", "443", "--expose", "53/udp",
    "--expose", "53", "--expose", "7001", "--expose", "7002/udp", "--expose", "7003", "-p", "127.0.0.1::8081",
)  # fmt: skip


@pytest.fixture(scope="module")
def networked() -> Iterator[Docker]:
    with private_docker(networks=True) as docker:
        docker("run", "--rm", "--network", "host", "busybox", "true")  # its mount of that stays
        yield docker


@pytest.fixture
def parties(box: Box, networked: Docker) -> Iterator[tuple[Party, Party]]:
    box("network", "inspect", "bridge")  # the default network's bridge stays
    yield box, networked
    for party in (box, networked):
        for name in text(party, "ps", "-aq").split():
            party("rm", "-f", name)
        for name in text(party, "network", "ls", "-q", "-f", "type=custom").split():
            party("network", "rm", name)


def text(party: Party, *words: str) -> str:
    out = party(*words).stdout
    return out.decode() if isinstance(out, bytes) else out


def said(party: Party, *words: str) -> tuple[int, str]:
    """How a command failed, without who says it."""
    done = party(*words, check=False)
    error = done.stderr.decode() if isinstance(done.stderr, bytes) else done.stderr
    lines = [one for one in error.splitlines() if one and not one.startswith(("hint:", "Run '"))]
    line = re.sub(r"^(docker|fastbox): |Error response from daemon: ", "", lines[0])
    return int(done.returncode != 0), re.sub(
        r"^(docker: )?Error response from daemon: ", "", line
    ).lower()


def inspected(party: Party, name: str) -> dict[str, Any]:
    (found,) = json.loads(text(party, "inspect", name))
    return dict(found)


def address(party: Party, name: str, network: str = "bridge") -> str:
    return str(inspected(party, name)["NetworkSettings"]["Networks"][network]["IPAddress"])


def seen(party: Party, *words: str) -> list[str]:
    """What a container that runs has of its links: variables and hosts, those of web as WEB."""
    name = words[0]
    out = sorted(text(party, "exec", name, "/bin/busybox", "env").splitlines())
    out += text(party, "exec", name, "cat", "/etc/hosts").splitlines()
    own = address(party, name)
    for other in words[1:]:
        out = [line.replace(address(party, other), other.upper()) for line in out]
    return [line.replace(own, "OWN") for line in out]


@pytest.mark.parametrize(
    "words",
    [
        ["--link", "web:www"],
        ["--link", "web"],
        ["--link", "/web"],
        ["--link", "web:a-b.c"],
        ["--link", "web:www", "-e", "WWW_ENV_FOO=mine", "-e", "WWW_NAME=mine"],
        ["--link", "web:one", "--link", "web2:one"],
        ["--link", "web:www", "--add-host", "extra:1.2.3.4", "--hostname", "own"],
    ],
    ids=" ".join,
)
def test_variables_and_hosts(parties: tuple[Party, Party], words: list[str]) -> None:
    found = []
    for party in parties:
        party("run", "-d", "--name", "web", *WEB, *SLEEP)
        party("run", "-d", "--name", "web2", "-e", "A=1", *SLEEP)
        words = words if "--hostname" in words else [*words, "--hostname", "me"]
        party("run", "-d", "--name", "me", *words, *SLEEP)
        kept = inspected(party, "me")
        found.append((seen(party, "me", "web"), kept["HostConfig"]["Links"]))
        assert not [entry for entry in kept["Config"]["Env"] or () if "_PORT" in entry]
    assert found[0] == found[1]
    assert len(found[0][0]) > 35


def test_two_links(parties: tuple[Party, Party]) -> None:
    """In any order, which docker has not."""
    found = []
    for party in parties:
        party("run", "-d", "--name", "web", *WEB, *SLEEP)
        party("run", "-d", "--name", "web2", "-e", "A=1", *SLEEP)
        party("run", "-d", "--name", "me", "--hostname", "me", "--link", "web:w", "--link", "web2:x", *SLEEP)  # fmt: skip
        lines = seen(party, "me", "web", "web2")
        found.append([re.sub(r" [0-9a-f]{12} ", " ID ", line) for line in sorted(lines)])
    assert found[0] == found[1]


def test_refusals(parties: tuple[Party, Party]) -> None:
    found = []
    for party in parties:
        answers = []
        party("network", "create", "mine")
        party("run", "-d", "--name", "web", *SLEEP)
        party("run", "-d", "--name", "elsewhere", "--network", "mine", *SLEEP)
        party("run", "-d", "--name", "onhost", "--network", "host", *SLEEP)
        party("run", "-d", "--name", "joined", "--network", "container:onhost", *SLEEP)
        party("create", "--name", "still", *SLEEP)
        for words in (
            ["run", "--link", "nosuch:x"],
            ["create", "--link", "nosuch:x"],
            ["run", "--link", "still:x"],
            ["run", "--link", "onhost:x"],
            ["run", "--link", "joined:x"],
            ["run", "--link", "elsewhere:x"],
            ["run", "--network", "host", "--link", "web:x"],
            ["run", "--network", "container:web", "--link", "web:x"],
            ["run", "--network", "none", "--link", "nosuch:x"],
        ):
            answers.append(said(party, words[0], "--name", "me", *words[1:], "busybox", "true"))
            party("rm", "-f", "me", check=False)
        party("create", "--name", "later", "--link", "still:x", *SLEEP)
        answers.append(said(party, "start", "later"))
        party("start", "still")
        party("start", "later")
        alone = text(party, "run", "--rm", "--network", "none", "--link", "web:x", "busybox", "env")
        assert "X_" not in alone
        answers.append((0, str(inspected(party, "later")["HostConfig"]["Links"])))
        found.append(answers)
    assert found[0] == found[1]
    assert all(code for code, _ in found[0][:10])


def test_the_other_gets_another_address_and_name(parties: tuple[Party, Party]) -> None:
    found = []
    for party in parties:
        steps = []
        party("run", "-d", "--name", "web", *WEB, *SLEEP)
        party("run", "-d", "--name", "me", "--hostname", "me", "--link", "web:www", *SLEEP)
        before = address(party, "web")
        party("kill", "web")
        party("run", "-d", "--name", "taker", *SLEEP)
        if address(party, "taker") != before:  # ours lets an address rest
            party("network", "connect", "--ip", before, "bridge", "taker", check=False)
        party("start", "web")
        if address(party, "web") == before:
            party("kill", "web")
            party("start", "web")
        hosts = text(party, "exec", "me", "cat", "/etc/hosts").splitlines()
        assert address(party, "web") != before
        assert f"{address(party, 'web')}\twww webhost web" in hosts
        steps.append(len(hosts))
        party("rename", "web", "other")
        steps.append(inspected(party, "me")["HostConfig"]["Links"])
        party("restart", "-t", "0", "me")
        steps.append(seen(party, "me", "other"))
        party("rename", "me", "mine")
        steps.append(inspected(party, "mine")["HostConfig"]["Links"])
        party("rm", "-f", "mine")
        party("restart", "-t", "0", "other")
        found.append(steps)
    assert found[0] == found[1]


def nslookup(party: Party, container: str, name: str) -> str:
    """The address, "" for nobody's name."""
    done = party("exec", container, "timeout", "4", "nslookup", name, "127.0.0.11", check=False)
    out = done.stdout.decode() if isinstance(done.stdout, bytes) else done.stdout
    return (re.findall(r"Address(?: \d+)?:\s+(\S+)", out.partition("Name:")[2]) or [""])[0]


def test_networks_of_users(parties: tuple[Party, Party]) -> None:
    found = []
    for party in parties:
        party("network", "create", "mine")
        party("network", "create", "other")
        identity = text(party, "run", "-d", "--name", "web", "--network", "mine", *SLEEP).strip()
        words = ["--link", "web:al", "--link", "later:la", "--link", identity[:12] + ":byid", "--link", "web:taken"]  # fmt: skip
        party("run", "-d", "--name", "me", "--network", "mine", *words, *SLEEP)
        party("run", "-d", "--name", "taken", "--network", "mine", *SLEEP)
        party("run", "-d", "--name", "connected", *SLEEP)
        party("network", "connect", "--link", "web:zz", "mine", "connected")
        asked = [("me", "la")]
        asked_later = [
            ("me", "al"), ("me", "al.mine"), ("me", "web"), ("me", "la"), ("me", "byid"),
            ("me", "taken"), ("taken", "al"), ("taken", "taken"),
            ("connected", "zz"), ("connected", "al"), ("connected", "web"),
        ]  # fmt: skip
        answers = [nslookup(party, *each) for each in asked]
        party("run", "-d", "--name", "later", "--network", "mine", *SLEEP)
        names = {address(party, name, "mine"): name for name in ("web", "later", "taken")}
        answers += [nslookup(party, *each) for each in asked_later]
        me = inspected(party, "me")
        assert "_NAME" not in str(text(party, "exec", "me", "env"))
        found.append(
            (
                [names.get(answer, answer) for answer in answers],
                me["HostConfig"]["Links"],
                [
                    each.replace(identity[:12], "ID")
                    for each in me["NetworkSettings"]["Networks"]["mine"]["Links"]
                ],
                inspected(party, "connected")["NetworkSettings"]["Networks"]["mine"]["Links"],
                said(party, "run", "--rm", "--link", "web:x", "busybox", "true"),
            )
        )
        party("network", "disconnect", "mine", "connected")
        assert not nslookup(party, "connected", "zz")
    assert found[0] == found[1]
    assert found[0][0] == [
        "", "web", "web", "web", "later", "web", "web", "", "taken", "web", "", "web",
    ]  # fmt: skip


def test_health_checks_and_exec_have_the_variables(box: Box) -> None:
    box("run", "-d", "--name", "web", *SLEEP)
    probe = ["--health-cmd", "echo got $WWW_NAME", "--health-interval", "100ms"]
    box("run", "-d", "--name", "me", "--link", "web:www", *probe, *SLEEP)
    assert box("exec", "me", "sh", "-c", "echo $WWW_NAME").stdout == "/me/www\n"
    for _ in range(100):
        log = inspected(box, "me")["State"]["Health"]["Log"]
        if log:
            break
        subprocess.run(["sleep", "0.1"], check=True)
    assert log[0]["Output"] == "got /me/www\n"
    box("rm", "-f", "me", "web")


def test_the_python_api(box: Box) -> None:
    with (
        Engine.open() as engine,
        engine.run("busybox", ["sleep", "60"], name="web", env={"A": "1"}),
        engine.run("busybox", ["sleep", "60"], link=["web:www"]) as me,
    ):
        out = me.exec(["sh", "-c", "echo $WWW_ENV_A"]).check().stdout
    assert out == b"1\n"
